// Byte-pair encoding on the reader's own text, one merge at a time. The rules are those
// of llm_core.tokenizer: GPT-2's pieces, pairs counted with their pieces, and of pairs
// that are equally frequent the one whose bytes are greatest.

const MOST_MERGES = 60;
const CANDIDATES = 5;
const PIECES = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

// A token is a string with one character for each byte, so that < compares bytes.
const toBytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));

// What a token looks like: its text, or its bytes in hex where they are no text.
function shown(token) {
  const bytes = Uint8Array.from(token, (byte) => byte.charCodeAt(0));
  try {
    return visible(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
    return `‹${hex.join(" ")}›`;
  }
}

function merge(tokens, [left, right]) {
  const merged = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else {
      merged.push(tokens[i]);
    }
  }
  return merged;
}

// All pairs of neighbours as { pair, count }, the one to merge first.
function rankedPairs(words) {
  const found = new Map();
  for (const { tokens, count } of words) {
    for (let i = 0; i + 1 < tokens.length; i++) {
      const pair = [tokens[i], tokens[i + 1]];
      const key = `${pair[0].length} ${pair[0]}${pair[1]}`;
      const entry = found.get(key) ?? { pair, count: 0 };
      entry.count += count;
      found.set(key, entry);
    }
  }
  const compare = (a, b) => (a < b ? 1 : a > b ? -1 : 0);
  return [...found.values()].sort((a, b) => b.count - a.count
    || compare(a.pair[0], b.pair[0]) || compare(a.pair[1], b.pair[1]));
}

// The ranked pairs before each merge; the first of each is the one that is merged.
function train(text) {
  const counts = new Map();
  for (const [piece] of text.matchAll(PIECES)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  let words = [...counts].map(([piece, count]) => ({ tokens: [...toBytes(piece)], count }));
  const steps = [rankedPairs(words)];
  while (steps.at(-1).length && steps.length <= MOST_MERGES) {
    const { pair } = steps.at(-1)[0];
    words = words.map(({ tokens, count }) => ({ tokens: merge(tokens, pair), count }));
    steps.push(rankedPairs(words));
  }
  return steps;
}

function render({ model, el }) {
  let steps = train(model.get("text"));
  const last = () => steps.length - 1;
  const chosen = () => steps.slice(0, model.get("step")).map(([best]) => best.pair);
  const go = (step) => {
    model.set("step", Math.max(0, Math.min(step, last())));
    model.save_changes();
  };

  const id = uniqueId();
  const area = control("textarea", { id, rows: 3, maxlength: 600, spellcheck: "false" });
  area.value = model.get("text");
  const merges = slider(model, "step", { label: "Merges", min: 0, max: last(),
    format: (step) => `${step} of ${last()}` });
  const back = button("Back", () => go(model.get("step") - 1));
  const next = button("Merge the best pair", () => go(model.get("step") + 1));
  const status = statusLine();
  const cut = element("p", { class: "llm-cut-text" });
  const candidates = element("div", { class: "llm-scroll" });
  const learned = element("p", { class: "llm-learned" });

  function box(token, classes) {
    return element("span", { class: `llm-token llm-box ${classes}` }, shown(token));
  }

  // The text in its tokens; the newest token is marked, and the pair to merge next.
  function showText(pairs, best) {
    const newest = pairs.length ? pairs.at(-1).join("") : null;
    let count = 0;
    const boxes = [...model.get("text").matchAll(PIECES)].flatMap(([piece]) => {
      const tokens = pairs.reduce(merge, [...toBytes(piece)]);
      count += tokens.length;
      const isNext = tokens.map(() => false);
      for (let i = 0; best && i + 1 < tokens.length; i++) {
        if (tokens[i] !== best.pair[0] || tokens[i + 1] !== best.pair[1]) continue;
        isNext[i] = isNext[++i] = true;
      }
      return tokens.map((token, i) => box(token,
        isNext[i] ? "llm-next" : token === newest ? "llm-new" : ""));
    });
    cut.replaceChildren(...boxes);
    return count;
  }

  function showCandidates(ranked) {
    const rows = ranked.slice(0, CANDIDATES).map(({ pair, count }, i) => [
      box(pair[0], ""), box(pair[1], ""), String(count),
      i === 0 ? "yes" : count === ranked[0].count ? "equal, but earlier in the alphabet" : "no"]);
    candidates.replaceChildren(tableOf("The most frequent pairs now",
      ["left", "right", "count", "merged next"], rows));
  }

  function show() {
    const step = model.get("step");
    const pairs = chosen();
    const count = showText(pairs, steps[step][0]);
    const bytes = toBytes(model.get("text")).length;
    const made = pairs.length ? `Merge ${step} made “${shown(pairs.at(-1).join(""))}”. ` : "";
    const done = steps[step].length ? "" : " No pair is left.";
    status.textContent = `${made}${bytes} bytes are ${count} tokens now.${done}`;
    showCandidates(steps[step]);
    learned.replaceChildren("Learned so far: ",
      ...(pairs.length ? pairs.map((pair) => box(pair.join(""), "")) : ["nothing"]));
    back.disabled = step === 0;
    next.disabled = step === last();
  }

  model.on("change:step", show);
  model.on("change:text", () => {
    steps = train(model.get("text"));
    merges.querySelector("input").max = last();
    if (area.value !== model.get("text")) area.value = model.get("text");
    if (model.get("step") === 0) merges.querySelector("output").textContent = `0 of ${last()}`;
    else go(0);
    show();
  });
  area.addEventListener("input", () => {
    model.set("text", area.value);
    model.save_changes();
  });
  el.append(element("label", { for: id }, "A text to learn from"), area, merges,
    element("div", { class: "llm-row" }, back, next), status, cut, candidates, learned);
  show();
}

export default { render };
