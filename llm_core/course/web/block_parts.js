// Stacks of blocks with parts switched off: three curves by depth, and the same numbers
// as a table. All of it was measured beforehand, in Python; here it is looked up.

const CURVES = [
  { name: "size", title: "Size of the numbers", log: true, style: "llm-curve llm-size" },
  { name: "gradient", title: "Gradient that arrives", log: true, style: "llm-curve llm-gradient" },
  { name: "likeness", title: "Likeness of the positions", log: false, style: "llm-curve llm-likeness" },
];
const SETTINGS = ["residual", "norm", "feed_forward", "small_outputs", "depth"];
// A stack is sound where the first two stay within a factor of this, the third below that.
const FACTOR = 100;
const ALIKE = 0.95;

const [WIDTH, HEIGHT] = [260, 150]; // of one picture, in its own units
const EDGE = { left: 40, right: 10, top: 10, bottom: 34 };

// 1234567 -> "1.2 · 10⁶", 0.0213 -> "0.0213": powers only where digits would not do.
function written(value) {
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -3 && exponent < 4) return String(Number(value.toPrecision(3)));
  const [digits, power] = value.toExponential(1).split("e");
  return `${digits} · ${tenTo(Number(power))}`;
}

// Two digits, and no minus before a zero.
const likenessOf = (value) => (Math.round(100 * value) / 100 + 0).toFixed(2);

function tenTo(exponent) {
  if (Math.abs(exponent) < 4) return String(Number(`1e${exponent}`));
  const small = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  return "10" + [...String(exponent)].map((digit) => small[digit]).join("");
}

// An axis that covers the values: whole powers of ten, or 0 to 1.
function scaleFor(values, log) {
  if (!log) return { low: 0, high: 1, ticks: [0, 0.5, 1], words: String, of: (value) => value };
  const powers = values.map(Math.log10);
  const low = Math.min(-1, Math.floor(Math.min(...powers)));
  const high = Math.max(1, Math.ceil(Math.max(...powers)));
  const step = Math.max(1, Math.ceil((high - low) / 5));
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return { low, high, ticks, words: tenTo, of: Math.log10 };
}

function drawCurve(picture, { title, log, style }, values) {
  const depth = values.length - 1;
  const scale = scaleFor(values, log);
  const x = (i) => EDGE.left + (i / depth) * (WIDTH - EDGE.left - EDGE.right);
  const y = (level) => HEIGHT - EDGE.bottom
    - ((level - scale.low) / (scale.high - scale.low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const lines = scale.ticks.flatMap((tick) => [
    svg("line", { class: "llm-grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(tick), y2: y(tick) }),
    svg("text", { x: EDGE.left - 6, y: y(tick) + 4, "text-anchor": "end" }, scale.words(tick)),
  ]);
  const places = [0, depth / 2, depth].map((i) =>
    svg("text", { x: x(i), y: HEIGHT - 17, "text-anchor": "middle" }, String(i)));
  const points = values.map((value, i) =>
    `${x(i).toFixed(1)},${y(Math.max(scale.low, scale.of(value))).toFixed(1)}`);
  picture.replaceChildren(...lines, ...places,
    svg("text", { x: x(depth / 2), y: HEIGHT - 2, "text-anchor": "middle" }, "blocks passed"),
    svg("polyline", { class: style, points: points.join(" ") }));
  picture.setAttribute("aria-label", `${title} by depth: ${written(values[0])} before the ` +
    `first block, ${written(values[depth])} after block ${depth}.`);
}

function verdictOn({ size, gradient, likeness }) {
  const tooFar = (value) => value > FACTOR ? "explodes" : value < 1 / FACTOR ? "vanishes" : "";
  const faults = [];
  if (tooFar(size.at(-1))) faults.push(`what flows up ${tooFar(size.at(-1))}`);
  if (tooFar(gradient[0])) faults.push(`the gradient ${tooFar(gradient[0])} on its way down`);
  if (!(likeness.at(-1) < ALIKE)) faults.push("the positions become the same");
  if (!faults.length) return "sound at the start.";
  return `lost: ${faults.join(", ")}.`;
}

function render({ model, el }) {
  const runs = model.get("runs");
  const depths = [...new Set(runs.map((run) => run.depth))].sort((a, b) => a - b);
  const chosen = () => runs.find((run) => SETTINGS.every((name) => run[name] === model.get(name)));

  const pictures = CURVES.map(({ title }) => {
    const picture = svg("svg", { class: "llm-profile", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    return { picture, figure: element("div", { class: "llm-panel" }, element("p", {}, title), picture) };
  });
  const status = statusLine();
  const twin = element("div", { class: "llm-scroll", tabindex: "0", role: "region",
    "aria-label": "The three curves as a table" });

  function draw() {
    const run = chosen();
    CURVES.forEach((curve, i) => drawCurve(pictures[i].picture, curve, run[curve.name]));
    status.textContent = `${run.depth} blocks, ${verdictOn(run)} Size at the top ` +
      `${written(run.size.at(-1))}, gradient at the bottom ${written(run.gradient[0])}, ` +
      `likeness at the top ${likenessOf(run.likeness.at(-1))}.`;
    twin.replaceChildren(tableOf("By depth", ["blocks passed", ...CURVES.map(({ name }) => name)],
      run.size.map((size, i) => [String(i), written(size), written(run.gradient[i]),
        likenessOf(run.likeness[i])])));
  }

  for (const name of SETTINGS) model.on(`change:${name}`, draw);
  el.append(
    choice(model, "residual", { label: "A part’s output",
      options: [[true, "is added to the stream"], [false, "replaces the stream"]] }),
    choice(model, "norm", { label: "Norm",
      options: [["none", "none"], ["pre", "before each part (pre)"], ["post", "after each part (post)"]] }),
    choice(model, "feed_forward", { label: "Feed-forward", options: [[true, "on"], [false, "off"]] }),
    choice(model, "small_outputs", { label: "Output matrices",
      options: [[false, "full size"], [true, "drawn smaller"]] }),
    slider(model, "depth", { label: "Blocks", values: depths }),
    status,
    element("div", { class: "llm-panels" }, ...pictures.map(({ figure }) => figure)),
    element("p", { class: "llm-note" }, "Every point was measured in Python, on random input and " +
      "random weights, when the notebook ran. A gradient of size 1 enters at the top."),
    element("details", {}, control("summary", {}, "The curves as a table"), twin));
  draw();
}

export default { render };
