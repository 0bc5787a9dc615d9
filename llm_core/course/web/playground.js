// With model.js and oracle.js.
// A model in the reader's hands. It writes here, in the page; at every place of its text
// one sees what else could have stood there, and can go on from that. What it writes
// enters the page as text, never as HTML.

const ROWS = 8; // tokens with a row of their own; the others share one
const FULL_SHADE = 8; // bits
const SLICE = 24; // milliseconds of writing between two pictures
const LONGEST = 1000; // ids

// The text of a growing list of ids, a <span> for each. A character of several tokens
// stands where it becomes whole.
class Text {
  constructor(node, tokens) {
    Object.assign(this, { node, tokens, ids: [], spans: [] });
    this.decoder = this.newDecoder();
  }

  newDecoder() { return new TextDecoder("utf-8", { ignoreBOM: true }); }

  read(id) { return this.decoder.decode(bytesOf(this.tokens[id]), { stream: true }); }

  // Show these ids; `dress(span, place)` is called for each new one.
  show(ids, dress) {
    let same = 0;
    while (same < this.ids.length && this.ids[same] === ids[same]) same++;
    if (same < this.ids.length) {
      this.ids.length = same;
      this.decoder = this.newDecoder();
      for (const id of this.ids) this.read(id);
      for (const span of this.spans.splice(same)) span.remove();
    }
    for (let place = same; place < ids.length; place++) {
      const text = this.read(ids[place]);
      const span = element("span", { "data-place": place }, text.replaceAll("\n", "↵\n"));
      dress(span, place);
      this.ids.push(ids[place]);
      this.spans.push(span);
    }
    this.node.append(...this.spans.slice(same));
  }
}

// The likeliest tokens, one to a row: a button with its name, its chance after the
// filters, a mark where the model itself put it, and what the grammar says.
function tokenRow(onClick) {
  const name = element("bdi", { class: "llm-token" });
  const press = button(name, onClick);
  const own = element("div", { class: "llm-own" });
  const mark = element("div", { class: "llm-before" });
  const exact = element("div", { class: "llm-exact" });
  const chance = element("td");
  const grammar = element("td", { class: "llm-grammar" });
  const node = element("tr", {}, element("th", { scope: "row" }, press),
    element("td", {}, element("div", { class: "llm-lane" }, own, mark, exact)), chance, grammar);
  const show = ({ token, p, before, oracle, came }) => {
    name.textContent = token;
    own.style.width = `${100 * p}%`;
    mark.style.left = `${100 * before}%`;
    exact.style.width = `${100 * (oracle ?? 0)}%`;
    chance.textContent = p ? percent(p) : "cut";
    grammar.textContent = oracle === undefined ? "" : percent(oracle);
    node.classList.toggle("llm-came", came);
    node.classList.toggle("llm-cut", !p);
  };
  return { node, press, show };
}

function likeliest(p, count) {
  const found = [];
  for (let id = 0; id < p.length; id++) {
    let rank = found.length;
    while (rank > 0 && p[id] > p[found[rank - 1]]) rank--;
    if (rank < count) found.splice(rank, 0, id);
    if (found.length > count) found.pop();
  }
  return found;
}

const bitsOf = (p) => p.reduce((sum, each) => sum - (each && each * Math.log2(each)), 0);
const inBits = (bits) => `${Math.abs(bits).toFixed(2)} bits`;

function render({ model, el }) {
  const { header, weights, grammar } = globalThis.llmShared?.[model.get("shared")]
    ?? { header: model.get("header"), weights: model.get("weights"), grammar: model.get("grammar") };
  const { model: network, tokenizer } = loadPacked(header, weights);
  const story = readGrammar(grammar);
  const { tokens } = tokenizer;
  const end = tokenizer.special["<|endoftext|>"];
  const opening = end === undefined ? [] : [end]; // where every text begins
  const writer = new Writer(network, opening);
  const drawn = new Map(); // how likely the model found an id that is not shown yet
  let prompted = 0; // how many of the ids are the prompt's
  let fault = ""; // what is wrong with the prompt
  let running = false;

  const name = (id) => id === end ? "the end" : nameOf(tokens[id]);
  const ended = () => writer.ids.length > prompted && writer.ids.at(-1) === end;
  const canGoOn = () => !fault && !ended() && writer.ids.length < LONGEST;
  const firstPlace = () => writer.streams.findIndex(Boolean) + 1;
  const lastPlace = () => writer.ids.length - (ended() ? 1 : 0);
  const place = () => Math.max(firstPlace(), Math.min(model.get("place"), lastPlace()));
  const chances = (logits) => softmax(filterLogits(logits, [], {
    temperature: model.get("temperature"),
    top_k: model.get("top_k") < tokens.length ? model.get("top_k") : null,
    top_p: model.get("top_p"),
    min_p: model.get("min_p") || null,
    repetition_penalty: 1,
  }));

  // --- writing ------------------------------------------------------------------------

  // The number of chance at a place depends on the seed and the place alone: so a text is
  // the same, whether it is written in one go or not.
  function step() {
    const at = writer.ids.length;
    const { logits } = writer;
    const id = drawId(chances(logits), randomFrom(model.get("seed"), at)());
    drawn.set(at, softmax(logits)[id]);
    writer.push(id);
  }

  function begin() {
    fault = "";
    try {
      const prompt = tokenizer.encode(model.get("prompt"));
      if (!opening.length && !prompt.length) throw new Error("type how the text begins");
      writer.rewrite([...opening, ...prompt]);
    } catch (error) {
      fault = `This cannot be continued: ${error.message}.`;
      writer.rewrite(opening);
    }
    prompted = writer.ids.length;
    paceLine.textContent = "";
    rest();
  }

  function goOnWith(id) {
    writer.cut(place());
    prompted = Math.min(prompted, writer.ids.length);
    writer.push(id);
    rest();
  }

  // Slices follow each other as messages: in between, the page draws and listens.
  const slices = new MessageChannel();
  let began; // when a run began, and with how many ids
  slices.port1.onmessage = ({ data }) => {
    if (!running || data !== began.time) return; // of a run that was stopped
    const pause = performance.now() + SLICE;
    do step(); while (canGoOn() && performance.now() < pause);
    const written = writer.ids.length - began.length;
    const pace = 1000 * written / (performance.now() - began.time);
    paceLine.textContent = `${written} ${written === 1 ? "token" : "tokens"}, ${Math.round(pace)} a second`;
    if (!canGoOn()) return rest();
    model.set("place", lastPlace());
    show();
    slices.port2.postMessage(began.time);
  };

  function run() {
    if (running) return rest();
    running = true;
    began = { time: performance.now(), length: writer.ids.length };
    slices.port2.postMessage(began.time);
    showButtons();
  }

  // Write no more, and look at what comes next.
  function rest() {
    running = false;
    const moved = model.get("place") !== lastPlace();
    model.set("text", tokenizer.decode(writer.ids.filter((id) => id !== end)));
    model.set("place", lastPlace()); // which shows it all
    model.save_changes();
    if (!moved) show();
  }

  // --- showing ------------------------------------------------------------------------

  const prompt = control("textarea", { id: uniqueId(), rows: 2, spellcheck: "false" });
  const seed = control("input", { id: uniqueId(), type: "number", min: 0, max: 2 ** 32 - 1 });
  const runButton = button("Run", run);
  const stepButton = button("Step", () => { running = false; step(); rest(); });
  const paceLine = element("span", { class: "llm-pace" });
  const written = control("div", { class: "llm-written", tabindex: "0", role: "region",
    "aria-label": "The text" });
  const text = new Text(written, tokens);
  const status = statusLine();
  const shown = []; // the ids of the rows
  const rows = Array.from({ length: Math.min(ROWS, tokens.length) },
    (_, row) => tokenRow(() => goOnWith(shown[row])));
  const others = tokenRow(() => {});
  others.press.replaceWith(element("span", {}, `${exactly(tokens.length - rows.length)} others`));
  const caption = element("caption");
  const table = element("table", { class: "llm-bars llm-alternatives" }, caption,
    element("colgroup", {}, ...Array.from({ length: 4 }, () => element("col"))),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, "token"),
      element("th", { scope: "col", colspan: 2 }, "chance to be drawn"),
      element("th", { scope: "col", class: "llm-grammar" }, "the grammar"))),
    element("tbody", {}, ...rows.map(({ node }) => node),
      ...(tokens.length > rows.length ? [others.node] : [])));

  function dress(span, at) {
    const id = writer.ids[at];
    if (id === end) span.replaceChildren(at ? "the end" : "");
    if (id === end && at) span.className = "llm-end";
    if (at < prompted) span.classList.add("llm-prompted");
    if (!writer.streams[at - 1]) return span.classList.add("llm-unread");
    const bits = -Math.log2(drawn.get(at) ?? softmax(writer.logitsAt(at))[id]);
    drawn.delete(at);
    span.style.setProperty("--share", `${Math.min(100, 100 * bits / FULL_SHADE).toFixed(0)}%`);
  }

  function showText() {
    text.show(writer.ids, dress);
    text.spans.forEach((span, at) => span.classList.toggle("llm-here", at === place()));
    if (running) written.scrollTop = written.scrollHeight;
  }

  function showRows() {
    const at = place();
    const logits = writer.logitsAt(at);
    table.hidden = !logits;
    if (!logits) return;
    const came = writer.ids[at];
    const before = softmax(logits);
    const p = chances(logits);
    const oracle = oracleIds(story, tokenizer, writer.ids.slice(0, at));
    shown.splice(0, Infinity, ...likeliest(before, rows.length));
    if (came !== undefined && !shown.includes(came)) shown[rows.length - 1] = came;
    const one = (id) => ({ token: name(id), p: p[id], before: before[id],
      oracle: oracle ? oracle.get(id) ?? 0 : undefined, came: id === came });
    const many = shown.map(one);
    many.forEach((each, row) => rows[row].show(each));
    const left = (key) => many.reduce((sum, each) => Math.max(0, sum - each[key]), 1);
    others.show({ token: "", p: left("p"), before: left("before"), came: false,
      oracle: oracle ? left("oracle") : undefined });
    table.classList.toggle("llm-with-grammar", Boolean(oracle));
    caption.textContent = came === undefined ? "What comes next" : "What could have stood here";
    if (!running) showStatus(came, p, before, oracle);
  }

  function showStatus(came, p, before, oracle) {
    const possible = p.filter(Boolean).length;
    const words = came === undefined
      ? [`${exactly(possible)} of ${exactly(tokens.length)} tokens can be drawn. Uncertainty: ${inBits(bitsOf(p))}.`,
        oracle && ` The grammar allows ${exactly(oracle.size)}, with ${inBits(bitsOf([...oracle.values()]))}.`]
      : ["“", element("bdi", { class: "llm-token" }, name(came)), "” stands here. The model ",
        `gave it ${percent(before[came])}, which makes it cost ${inBits(-Math.log2(before[came]))}.`,
        oracle && ` The grammar gave it ${percent(oracle.get(came) ?? 0)}.`];
    status.replaceChildren(...words.filter(Boolean));
  }

  function showButtons() {
    runButton.textContent = running ? "Stop" : "Run";
    runButton.disabled = !running && !canGoOn();
    stepButton.disabled = !canGoOn();
  }

  const look = slider(model, "place", { label: "Token", min: 1, max: 1,
    format: (at) => at >= writer.ids.length ? "the next one"
      : `${at + 1 - opening.length} of ${writer.ids.length - opening.length}` });

  function show() {
    const input = look.querySelector("input");
    Object.assign(input, { min: firstPlace(), max: lastPlace(), disabled: firstPlace() >= lastPlace() });
    look.refresh();
    status.textContent = fault;
    showText();
    showRows();
    showButtons();
  }

  function another() {
    model.set("seed", (model.get("seed") + 1) % 2 ** 32);
    begin();
    if (canGoOn()) run();
  }

  prompt.value = model.get("prompt");
  prompt.addEventListener("input", () => {
    model.set("prompt", prompt.value);
    model.save_changes();
  });
  model.on("change:prompt", () => {
    if (prompt.value !== model.get("prompt")) prompt.value = model.get("prompt");
    begin();
  });
  seed.value = model.get("seed");
  seed.addEventListener("input", () => {
    if (!seed.value || !seed.checkValidity()) return;
    model.set("seed", Number(seed.value));
    model.save_changes();
  });
  model.on("change:seed", () => {
    if (Number(seed.value) !== model.get("seed")) seed.value = model.get("seed");
  });
  written.addEventListener("click", ({ target }) => {
    if (!target.dataset.place || target.classList.contains("llm-unread")) return;
    if (running) rest();
    model.set("place", Number(target.dataset.place));
    model.save_changes();
  });
  model.on("change:place", () => { if (!running) show(); });
  for (const trait of ["temperature", "top_k", "top_p", "min_p"]) model.on(`change:${trait}`, show);

  el.append(
    element("label", { for: prompt.id }, "How the text begins"), prompt,
    element("div", { class: "llm-row" }, runButton, stepButton, button("Start over", begin),
      element("span", { class: "llm-seed" }, element("label", { for: seed.id }, "Seed"), seed),
      button("Another seed", another), paceLine),
    written, look, status,
    element("div", { class: "llm-desk" }, element("div", {}, table),
      element("div", {},
        slider(model, "temperature", { label: "Temperature", min: 0, max: 2, step: 0.05,
          format: (t) => t === 0 ? "0 (greedy)" : t.toFixed(2) }),
        slider(model, "top_k", { label: "Top-k", values: countsUpTo(tokens.length),
          format: (k) => k >= tokens.length ? `${exactly(tokens.length)} (all)` : exactly(k) }),
        slider(model, "top_p", { label: "Top-p", min: 0.05, max: 1, step: 0.05,
          format: (p) => p === 1 ? "1 (all)" : p.toFixed(2) }),
        slider(model, "min_p", { label: "Min-p", min: 0, max: 0.5, step: 0.01,
          format: (p) => p === 0 ? "0 (off)" : p.toFixed(2) }))));
  begin();
  return () => {
    running = false;
    slices.port1.close();
  };
}

export default { render };
