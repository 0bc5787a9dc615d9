// Whom does a token read? One head's attention over a sentence, twice: as shades on the
// words, for the token in focus, and as the whole map. A table holds the same numbers.
// Between them stands what every head reads most, and each can be chosen there.

const CELL = 14; // of the map, in its own units
const LEGIBLE = 48; // tokens; the readers' names beside a larger map would be too small

function attentionFigure({ model, el }) {
  const tokens = model.get("tokens");
  const weights = model.get("weights"); // [layer][head][reader][read, up to the reader]
  const numbers = (count) => [...Array(count).keys()].map((i) => [i, String(i + 1)]);
  const head = () => weights[model.get("layer")][model.get("head")];

  const words = tokens.map((token, i) => {
    const word = control("button", { type: "button", class: "llm-word", tabindex: "-1" }, visible(token));
    word.addEventListener("click", () => focus(i));
    return word;
  });
  const status = statusLine();
  const heads = element("div", { class: "llm-scroll llm-heads", tabindex: "0", role: "region",
    "aria-label": "What every head reads most" });
  const size = CELL * tokens.length;
  const named = tokens.length <= LEGIBLE;
  const map = svg("svg", { class: "llm-map", viewBox: `0 0 ${size + (named ? 70 : 0)} ${size}`,
    role: "img" });
  const tip = svg("title", {});
  const twin = element("div", { class: "llm-scroll", tabindex: "0", role: "region",
    "aria-label": "The attention map as a table" });

  function focus(i) {
    model.set("focus", i);
    model.save_changes();
  }

  // The root lets small weights be seen: 1 % becomes a tenth of the full shade.
  function shade(node, weight) {
    node.style.setProperty("--weight", `${(100 * Math.sqrt(weight)).toFixed(1)}%`);
  }

  function drawMap() {
    map.setAttribute("aria-label",
      `Attention map of layer ${model.get("layer") + 1}, head ${model.get("head") + 1}: ` +
      "one row for each reading token, one column for each token it reads.");
    const names = tokens.slice(0, named ? LEGIBLE : 0).map((token, i) => svg("text",
      { x: (i + 1) * CELL + 4, y: (i + 0.7) * CELL, "aria-hidden": "true" }, visible(token)));
    map.replaceChildren(tip, ...names, ...head().flatMap((row, i) => row.map((weight, j) => {
      const cell = svg("rect", { x: j * CELL, y: i * CELL, width: CELL - 1, height: CELL - 1 });
      shade(cell, weight);
      return cell;
    })));
    map.append(svg("rect", { class: "llm-map-focus", height: CELL - 1 }));
    if (twin.hasChildNodes()) drawTwin();
  }

  // A long text's table is thousands of cells: it is made when somebody opens it.
  function drawTwin() {
    twin.replaceChildren(tableOf("Rows read columns; in percent",
      ["", ...tokens.map(visible)],
      head().map((row, i) => [visible(tokens[i]), ...row.map((w) => (100 * w).toFixed(1))])));
  }

  // The reader and the token read of the cell under the pointer; nothing beside a cell.
  function cellAt(event) {
    if (event.target.tagName !== "rect") return [];
    const [i, j] = ["y", "x"].map((name) => event.target.getAttribute(name) / CELL);
    return [i, j];
  }

  map.addEventListener("click", (event) => {
    const [i] = cellAt(event);
    if (i !== undefined) focus(i);
  });
  map.addEventListener("pointerover", (event) => {
    const [i, j] = cellAt(event);
    tip.textContent = i === undefined ? ""
      : `${visible(tokens[i])} reads ${visible(tokens[j])}: ${percent(head()[i][j])}`;
  });

  const most = (row) => [...row.keys()].sort((a, b) => row[b] - row[a] || a - b);

  // A button for every head, with the token that the token in focus reads most there.
  const choices = weights.map((layer, l) => layer.map((_, h) => {
    const node = control("button", { type: "button", class: "llm-head" });
    node.addEventListener("click", () => {
      model.set("layer", l);
      model.set("head", h);
      model.save_changes();
    });
    return node;
  }));
  const caption = element("caption", {});
  const corner = element("th", { scope: "col" }, "layer");
  heads.append(element("table", { class: "llm-table" }, caption,
    element("thead", {}, element("tr", {}, corner,
      ...choices[0].map((_, h) => element("th", { scope: "col" }, `head ${h + 1}`)))),
    element("tbody", {}, ...choices.map((row, l) => element("tr", {},
      element("th", { scope: "row" }, String(l + 1)),
      ...row.map((node) => element("td", {}, node)))))));

  function showHeads() {
    const reader = model.get("focus");
    caption.textContent = `What each head reads most at “${visible(tokens[reader])}”`;
    choices.forEach((row, l) => row.forEach((node, h) => {
      const read = weights[l][h][reader];
      const [best] = most(read);
      node.replaceChildren(visible(tokens[best]), element("br"), percent(read[best]));
      node.setAttribute("aria-pressed",
        String(l === model.get("layer") && h === model.get("head")));
      shade(node, read[best]);
    }));
  }

  function showFocus() {
    showHeads();
    const reader = model.get("focus");
    const row = head()[reader];
    words.forEach((word, i) => {
      shade(word, row[i] ?? 0);
      word.setAttribute("aria-pressed", String(i === reader));
      word.classList.toggle("llm-later", i > reader);
    });
    const line = map.lastChild;
    line.setAttribute("y", reader * CELL);
    line.setAttribute("width", (reader + 1) * CELL - 1);
    status.textContent = `“${visible(tokens[reader])}” reads ` +
      most(row).slice(0, 3).map((i) => `“${visible(tokens[i])}” ${percent(row[i])}`).join(", ") + ".";
  }

  function showHead() {
    drawMap();
    showFocus();
  }

  const summary = control("summary", {}, "The same map as a table");
  summary.addEventListener("click", drawTwin);
  for (const trait of ["layer", "head"]) model.on(`change:${trait}`, showHead);
  model.on("change:focus", showFocus);
  el.append(
    element("p", { class: "llm-words" }, ...words),
    status,
    slider(model, "focus", { label: "Reading token", min: 0, max: tokens.length - 1,
      format: (i) => `${i + 1}: ${visible(tokens[i])}` }),
    element("div", { class: "llm-choices" },
      choice(model, "layer", { label: "Layer", options: numbers(weights.length) }),
      choice(model, "head", { label: "Head", options: numbers(weights[0].length) })),
    heads,
    map,
    element("details", {}, summary, twin));
  showHead();
}
