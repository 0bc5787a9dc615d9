// With model.js and heads.js.
// Every head of a model, on a sentence of the reader's own: the model reads it here, in
// the page, and the figure below shows whom each token read.

const PAUSE = 250; // milliseconds without a key before a sentence is read

// What a figure keeps for itself; a choice of layer or head outlives its sentence.
class View {
  constructor(model, state) {
    Object.assign(this, { model, state, listeners: [] });
  }

  get(name) { return this.state[name]; }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.model.set(name, value);
    for (const [event, listener] of this.listeners) if (event === `change:${name}`) listener();
  }

  save_changes() { this.model.save_changes(); }

  on(event, listener) { this.listeners.push([event, listener]); }
}

function render({ model, el }) {
  const { header, weights } = globalThis.llmShared?.[model.get("shared")]
    ?? { header: model.get("header"), weights: model.get("weights") };
  const { model: network, tokenizer } = loadPacked(header, weights);
  const end = tokenizer.special["<|endoftext|>"];
  const longest = Math.min(network.max_seq_len, model.get("longest"));

  // Read ids: the weights of each layer, head and reader.
  function maps(ids) {
    const found = Array.from({ length: network.num_layers },
      () => Array.from({ length: network.num_heads }, () => []));
    const cache = network.newCache();
    cache.watch = (layer, head, row) => found[layer][head].push([...row]);
    for (const id of ids) network.read(id, cache);
    return found;
  }

  const sentence = control("textarea", { id: uniqueId(), rows: 3, spellcheck: "false" });
  const status = statusLine();
  const figure = element("div");

  function read() {
    const opening = end === undefined ? [] : [end];
    let ids;
    try {
      ids = [...opening, ...tokenizer.encode(model.get("text"))];
      if (!ids.length) throw new Error("type a sentence");
    } catch (error) {
      status.textContent = `This cannot be read: ${error.message}.`;
      return;
    }
    const count = ids.length;
    ids.length = Math.min(count, longest);
    status.textContent = count > longest ? `The first ${longest} of ${count} tokens are read.`
      : `${count} tokens are read.`;
    const tokens = ids.map((id) => id === end ? "start" : nameOf(tokenizer.tokens[id]));
    const view = new View(model, { tokens, weights: maps(ids),
      layer: model.get("layer"), head: model.get("head"), focus: ids.length - 1 });
    figure.replaceChildren();
    attentionFigure({ model: view, el: figure });
  }

  let waiting;
  sentence.value = model.get("text");
  sentence.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      model.set("text", sentence.value);
      model.save_changes();
    }, PAUSE);
  });
  model.on("change:text", () => {
    if (sentence.value !== model.get("text")) sentence.value = model.get("text");
    read();
  });
  el.append(element("label", { for: sentence.id }, "Your sentence"), sentence, status, figure);
  read();
  return () => clearTimeout(waiting);
}

export default { render };
