// One query against a few keys in the plane: move it, and see scores become weights.

const REACH = 3; // the plane runs from -3 to 3, both ways
const UNIT = 50; // of the picture, for 1 of the plane

function render({ model, el }) {
  const tokens = model.get("tokens");
  const keys = model.get("key_vectors");
  const values = model.get("value_vectors");
  const number = (x, digits = 2) => String(Number(x.toFixed(digits))).replace("-", "−");
  const pair = (vector) => `(${vector.map((x) => number(x)).join(", ")})`;

  // Scores, their exponentials and the weights; a later key has the score -Infinity.
  function attend() {
    const scale = model.get("scaled") ? Math.SQRT2 : 1;
    const scores = keys.map(([a, b], i) =>
      i > model.get("reader") ? -Infinity : (model.get("x") * a + model.get("y") * b) / scale);
    const powers = scores.map(Math.exp);
    const total = powers.reduce((sum, power) => sum + power);
    const weights = powers.map((power) => power / total);
    const mix = [0, 1].map((channel) =>
      values.reduce((sum, value, i) => sum + weights[i] * value[channel], 0));
    return { scores, powers, total, weights, mix };
  }

  const at = ([x, y]) => [x * UNIT, -y * UNIT];
  const edge = (REACH + 0.2) * UNIT;
  const plane = svg("svg", { class: "llm-plane", role: "img",
    viewBox: `${-edge} ${-edge} ${2 * edge} ${2 * edge}` });
  for (const [dx, dy] of [[1, 0], [0, 1]]) {
    plane.append(svg("line", { class: "llm-axis", x1: -edge * dx, x2: edge * dx,
      y1: -edge * dy, y2: edge * dy }));
  }
  const arrows = keys.map((key, i) => {
    const [x, y] = at(key);
    const dot = svg("circle", { cx: x, cy: y });
    const name = svg("text", { x: x + (x < 0 ? -16 : 16), y: y - 16,
      "text-anchor": x < 0 ? "end" : "start" }, visible(tokens[i]));
    const arrow = svg("g", { class: "llm-key" }, svg("line", { x2: x, y2: y }), dot, name);
    plane.append(arrow);
    return { arrow, dot };
  });
  const shaft = svg("line", { class: "llm-query" });
  const handle = svg("circle", { class: "llm-handle", r: 11 });
  plane.append(shaft, handle);

  // The query follows the pointer, in steps of a tenth.
  function follow(event) {
    const box = plane.getBoundingClientRect();
    const spot = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const [x, y] = spot.map((share) => {
      const place = (2 * share - 1) * edge / UNIT;
      return Math.round(10 * Math.max(-REACH, Math.min(REACH, place))) / 10;
    });
    model.set("x", x);
    model.set("y", -y);
    model.save_changes();
  }
  plane.addEventListener("click", follow);
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) follow(event);
  });

  const sums = element("div", { class: "llm-scroll llm-sums", tabindex: "0", role: "region",
    "aria-label": "The computation as a table" });
  const status = statusLine();

  function draw() {
    const { scores, powers, total, weights, mix } = attend();
    const query = [model.get("x"), model.get("y")];
    const [x, y] = at(query);
    for (const [node, names] of [[shaft, ["x2", "y2"]], [handle, ["cx", "cy"]]]) {
      node.setAttribute(names[0], x);
      node.setAttribute(names[1], y);
    }
    arrows.forEach(({ arrow, dot }, i) => {
      arrow.classList.toggle("llm-masked", i > model.get("reader"));
      dot.setAttribute("r", (3 + 20 * Math.sqrt(weights[i])).toFixed(1));
    });
    plane.setAttribute("aria-label", `The query ${pair(query)} and the keys ` +
      keys.map((key, i) => `${visible(tokens[i])} ${pair(key)}`).join(", ") + " as arrows.");
    const rows = tokens.map((token, i) => [visible(token), pair(keys[i]),
      scores[i] === -Infinity ? "−∞" : number(scores[i]), number(powers[i]),
      percent(weights[i]), pair(values[i])]);
    sums.replaceChildren(tableOf(`Query ${pair(query)}`,
      ["token", "key k", model.get("scaled") ? "q·k / √2" : "q·k", "e^score", "weight", "value"],
      [...rows, ["together", "", "", number(total), percent(1), pair(mix)]]));
    const most = Math.max(...weights);
    const read = tokens.filter((_, i) => weights[i] > most - 1e-9) // rounding breaks no tie
      .map((token) => `“${visible(token)}”`);
    status.textContent = `The query ${pair(query)} reads ${read.join(" and ")} most, ` +
      `${percent(most)}${read.length > 1 ? " each" : ""}; the mix is ${pair(mix)}.`;
  }

  for (const trait of ["x", "y", "reader", "scaled"]) model.on(`change:${trait}`, draw);
  const channel = (trait, label) => slider(model, trait,
    { label, min: -REACH, max: REACH, step: 0.1, format: number });
  el.append(
    element("div", { class: "llm-beside" }, plane, sums),
    status,
    channel("x", "Query, 1st channel"),
    channel("y", "Query, 2nd channel"),
    slider(model, "reader", { label: "Reader’s place", max: tokens.length - 1,
      format: (i) => `${i + 1}: ${visible(tokens[i])}` }),
    choice(model, "scaled", { label: "Score", options: [[false, "q · k"], [true, "q · k / √d"]] }));
  draw();
}

export default { render };
