// What a sampler does to one next-token distribution: temperature, top-k, top-p, a draw.
// The rules are those of llm_core.generation; equal logits rank by their id.

const SHOWN = 12; // tokens with a row of their own; the others share one

function softmax(logits, temperature) {
  const top = Math.max(...logits);
  const terms = logits.map((z) => Math.exp((z - top) / temperature));
  const sum = terms.reduce((a, b) => a + b);
  return terms.map((term) => term / sum);
}

// Returns the ids by falling logit, and the probability of each id.
function distribution(logits, temperature, topK, topP) {
  const ranked = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
  const kept = temperature === 0 ? ranked.slice(0, 1) : ranked.slice(0, topK);
  const p = softmax(kept.map((id) => logits[id]), temperature || 1);
  let mass = 0;
  const nucleus = p.filter((each) => {
    const needed = mass < topP || topP === 1;
    mass += each;
    return needed;
  });
  const total = nucleus.reduce((a, b) => a + b);
  const probabilities = logits.map(() => 0);
  nucleus.forEach((each, rank) => { probabilities[kept[rank]] = each / total; });
  return { ranked, probabilities };
}

function draw(probabilities) {
  let rest = Math.random();
  let last = 0;
  for (const [id, p] of probabilities.entries()) {
    if (p === 0) continue;
    last = id;
    rest -= p;
    if (rest < 0) break;
  }
  return last;
}

function render({ model, el }) {
  const tokens = model.get("tokens");
  const logits = model.get("logits");
  const before = softmax(logits, 1);
  const counts = logits.map(() => 0);

  const rows = element("tbody");
  const status = statusLine();
  const table = element("table", { class: "llm-bars" },
    element("caption", {}, "What comes next after “",
      element("span", { class: "llm-token" }, visible(model.get("context"))), "”?"),
    element("colgroup", {}, ...Array.from({ length: 4 }, () => element("col"))),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, "token"),
      element("th", { scope: "col", colspan: 2 }, "chance to be drawn"),
      element("th", { scope: "col" }, "drawn"))),
    rows);

  function row(name, p, unchanged, count) {
    const bar = element("div", { class: "llm-bar" });
    bar.style.width = `${100 * p}%`;
    const mark = element("div", { class: "llm-mark" });
    mark.style.left = `${100 * unchanged}%`;
    return element("tr", p ? {} : { class: "llm-cut" },
      element("th", { scope: "row" }, name),
      element("td", { class: "llm-track" }, bar, mark),
      element("td", {}, p ? percent(p) : "cut"),
      element("td", {}, count ? String(count) : ""));
  }

  function show() {
    const { ranked, probabilities } = distribution(
      logits, model.get("temperature"), model.get("top_k"), model.get("top_p"));
    const sum = (values, ids) => ids.reduce((total, id) => total + values[id], 0);
    const token = (id) => element("span", { class: "llm-token" }, visible(tokens[id]));
    rows.replaceChildren(...ranked.slice(0, SHOWN).map(
      (id) => row(token(id), probabilities[id], before[id], counts[id])));
    const others = ranked.slice(SHOWN);
    if (others.length) {
      rows.append(row(`${others.length} others`, sum(probabilities, others),
        sum(before, others), sum(counts, others)));
    }
    const possible = probabilities.filter((p) => p > 0);
    const bits = possible.reduce((total, p) => total - p * Math.log2(p), 0);
    status.textContent = `${possible.length} of ${logits.length} tokens can be drawn; ` +
      `their chances add up to ${percent(sum(probabilities, ranked))}. ` +
      `Uncertainty: ${Math.abs(bits).toFixed(2)} bits.`;
    return probabilities;
  }

  function restart() {
    counts.fill(0);
    show();
  }

  function drawMany() {
    const probabilities = show();
    for (let i = 0; i < 100; i++) counts[draw(probabilities)] += 1;
    show();
  }

  for (const trait of ["temperature", "top_k", "top_p"]) model.on(`change:${trait}`, restart);
  el.append(table,
    slider(model, "temperature", { label: "Temperature", min: 0, max: 2, step: 0.05,
      format: (t) => t === 0 ? "0 (greedy)" : t.toFixed(2) }),
    slider(model, "top_k", { label: "Top-k", values: countsUpTo(logits.length),
      format: (k) => k === logits.length ? `${k} (all)` : String(k) }),
    slider(model, "top_p", { label: "Top-p", min: 0.05, max: 1, step: 0.05,
      format: (p) => p === 1 ? "1 (all)" : p.toFixed(2) }),
    element("div", { class: "llm-row" }, button("Draw 100 tokens", drawMany), status));
  show();
}

export default { render };
