// Gradient descent on the logits of three characters. Two logits are free, the third is
// 0; the loss is the cross-entropy with the counted shares, and its gradient p - shares.

const STEPS = 60;
const REACH = 6; // the map shows logits from -REACH to REACH
const GRID = 64; // cells of the map in each direction, for its contours
const RATES = [0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30];
const LEVELS = [0.02, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8];
const CHART = { width: 300, height: 165, left: 30, top: 8, bottom: 20 };

function softmax(logits) {
  const top = Math.max(...logits);
  const terms = logits.map((z) => Math.exp(z - top));
  const sum = terms.reduce((a, b) => a + b);
  return terms.map((term) => term / sum);
}

// ln p straight from the logits: p itself may be too small for a number.
function crossEntropy(logits, shares) {
  const top = Math.max(...logits);
  const total = top + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0));
  return shares.reduce((sum, share, i) => sum + share * (total - logits[i]), 0);
}

// Where the walk is at each step: [{ logits, p, gradient, loss }, ...].
function walk(start, rate, shares) {
  const places = [];
  let logits = [...start, 0];
  for (let i = 0; i <= STEPS; i++) {
    const p = softmax(logits);
    const gradient = p.map((each, k) => each - shares[k]);
    places.push({ logits, p, gradient, loss: crossEntropy(logits, shares) });
    logits = logits.map((z, k) => k < 2 ? z - rate * gradient[k] : 0);
  }
  return places;
}

const across = (x) => 100 * (x + REACH) / (2 * REACH); // in percent of the map
const down = (y) => 100 - across(y);

// The lines on which a function of two logits has one value: marching squares.
function contour(values, level) {
  const at = (i) => -REACH + 2 * REACH * i / GRID;
  let path = "";
  for (let i = 0; i < GRID; i++) {
    for (let j = 0; j < GRID; j++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
      const points = corners.flatMap(([a, b], k) => {
        const [c, d] = corners[(k + 1) % 4];
        const [from, to] = [values[a][b], values[c][d]];
        if (from < level === to < level) return [];
        const share = (level - from) / (to - from);
        return [[at(a) + share * (at(c) - at(a)), at(b) + share * (at(d) - at(b))]];
      });
      for (let k = 0; k + 1 < points.length; k += 2) {
        const [[x0, y0], [x1, y1]] = points.slice(k, k + 2);
        path += `M${across(x0).toFixed(2)} ${down(y0).toFixed(2)}L${across(x1).toFixed(2)} ${down(y1).toFixed(2)}`;
      }
    }
  }
  return path;
}

// A number with its sign as print has it, and no sign at all where it rounds to 0.
function signed(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

function render({ model, el }) {
  const names = model.get("names").map(visible);
  const counts = model.get("counts");
  const total = counts.reduce((a, b) => a + b);
  const shares = counts.map((count) => count / total);
  const goal = shares.map((share) => Math.log(share / shares[2])); // the best logits
  const least = crossEntropy(goal, shares);
  let places = [];
  let timer = null;

  // The landscape: contours of the loss, drawn once.
  const clip = uniqueId();
  const grid = [...Array(GRID + 1).keys()].map((i) => -REACH + 2 * REACH * i / GRID);
  const values = grid.map((x) => grid.map((y) => crossEntropy([x, y, 0], shares)));
  const trace = svg("polyline", { class: "llm-trace" });
  const dots = svg("g", { class: "llm-dots" });
  const here = svg("circle", { class: "llm-at-step", r: 2.2 });
  const map = svg("svg", { class: "llm-landscape", viewBox: "0 0 100 100", role: "img" },
    svg("clipPath", { id: clip }, svg("rect", { width: 100, height: 100 })),
    ...LEVELS.map((level) => svg("path", { class: "llm-contour", d: contour(values, least + level) })),
    svg("path", { class: "llm-zero-line", d: "M0 50H100M50 0V100" }),
    svg("g", { class: "llm-goal", transform: `translate(${across(goal[0])} ${down(goal[1])})` },
      svg("path", { d: "M-2 -2L2 2M-2 2L2 -2" })),
    svg("g", { "clip-path": `url(#${clip})` }, trace, dots, here),
    svg("text", { x: 98.5, y: 48, "text-anchor": "end", "aria-hidden": "true" }, `logit of ${names[0]} →`),
    svg("text", { x: 51.5, y: 4.5, "aria-hidden": "true" }, `↑ logit of ${names[1]}`));

  // The loss, step by step.
  const line = svg("polyline", { class: "llm-loss-line" });
  const bottom = svg("path", { class: "llm-least" });
  const highest = svg("text", { x: CHART.left - 4, y: CHART.top + 8, "text-anchor": "end", "aria-hidden": "true" });
  const lowest = svg("text", { x: CHART.left - 4, y: CHART.height - CHART.bottom, "text-anchor": "end", "aria-hidden": "true" }, "0");
  const chart = svg("svg", { class: "llm-loss-chart", viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" },
    svg("path", { class: "llm-zero-line", d: `M${CHART.left} ${CHART.top}V${CHART.height - CHART.bottom}H${CHART.width}` }),
    bottom, line, highest, lowest,
    svg("text", { x: CHART.left, y: CHART.height - 5, "aria-hidden": "true" }, "loss at step 0"),
    svg("text", { x: CHART.width, y: CHART.height - 5, "text-anchor": "end", "aria-hidden": "true" }, String(STEPS)));

  const shareRows = element("tbody");
  const shareTable = element("table", { class: "llm-shares" },
    element("caption", {}, "The model's shares now (bars), and the counted ones (dotted lines)"),
    element("thead", {}, element("tr", {}, ...["next", "share", "model", "counted", "slope"]
      .map((name) => element("th", { scope: "col" }, name)))),
    shareRows);
  const status = statusLine();
  const twin = element("div", { class: "llm-scroll llm-steps-table", tabindex: "0", role: "region", "aria-label": "Every step as a table" });

  function change(state) {
    for (const [trait, value] of Object.entries(state)) model.set(trait, value);
    model.save_changes();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    run.textContent = "Run";
  }

  function advance() {
    const step = Math.min(model.get("step") + 1, STEPS);
    change({ step });
    if (step === STEPS) stop();
  }

  function startOrStop() {
    if (timer) {
      stop();
      return;
    }
    if (model.get("step") === STEPS) change({ step: 0 });
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      change({ step: STEPS });
      return;
    }
    run.textContent = "Stop";
    timer = setInterval(advance, 100);
  }

  const next = button("One step", () => { stop(); advance(); });
  const run = button("Run", startOrStop);
  const reset = button("Start over", () => { stop(); change({ step: 0 }); });

  // A click on the map begins anew there.
  map.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect();
    const logit = (share) => Math.round(10 * REACH * (2 * share - 1)) / 10;
    stop();
    change({
      step: 0,
      first: logit((event.clientX - box.left) / box.width),
      second: logit(1 - (event.clientY - box.top) / box.height),
    });
  });

  function showMap(passed) {
    const points = passed.map(({ logits: [x, y] }) => `${across(x).toFixed(2)},${down(y).toFixed(2)}`);
    trace.setAttribute("points", points.join(" "));
    dots.replaceChildren(...passed.map(({ logits: [x, y] }) =>
      svg("circle", { cx: across(x).toFixed(2), cy: down(y).toFixed(2), r: 0.8 })));
    const [x, y] = passed.at(-1).logits;
    here.setAttribute("cx", across(x).toFixed(2));
    here.setAttribute("cy", down(y).toFixed(2));
    map.setAttribute("aria-label", `A map of the loss over two logits, with the path of ${passed.length - 1} steps. ` +
      `It stands at ${signed(x, 2)}, ${signed(y, 2)}; the lowest point is ${signed(goal[0], 2)}, ${signed(goal[1], 2)}.`);
  }

  function showChart(passed) {
    const top = Math.max(2, ...passed.map(({ loss }) => loss));
    const height = CHART.height - CHART.bottom - CHART.top;
    const y = (loss) => CHART.top + height * (1 - loss / top);
    const x = (step) => CHART.left + (CHART.width - CHART.left) * step / STEPS;
    line.setAttribute("points", passed.map(({ loss }, i) => `${x(i).toFixed(1)},${y(loss).toFixed(1)}`).join(" "));
    bottom.setAttribute("d", `M${CHART.left} ${y(least).toFixed(1)}H${CHART.width}`);
    highest.textContent = top.toFixed(1);
    chart.setAttribute("aria-label", `The loss over the steps: from ${passed[0].loss.toFixed(2)} ` +
      `to ${passed.at(-1).loss.toFixed(2)}; a dashed line marks the least possible, ${least.toFixed(2)}.`);
  }

  function showShares({ p, gradient }) {
    shareRows.replaceChildren(...names.map((name, i) => {
      const bar = element("div", { class: "llm-share" });
      bar.style.width = `${100 * p[i]}%`;
      const mark = element("div", { class: "llm-counted" });
      mark.style.left = `${100 * shares[i]}%`;
      return element("tr", {},
        element("th", { scope: "row" }, element("span", { class: "llm-token" }, name)),
        element("td", { class: "llm-share-track" }, bar, mark),
        element("td", {}, percent(p[i])),
        element("td", {}, percent(shares[i])),
        element("td", {}, i < 2 ? signed(gradient[i], 4) : "fixed"));
    }));
  }

  function showSteps(passed) {
    const rows = passed.map(({ logits, p, gradient, loss }, i) => [String(i),
      signed(logits[0], 3), signed(logits[1], 3), ...p.map(percent),
      signed(gradient[0], 4), signed(gradient[1], 4), loss.toFixed(4)]);
    twin.replaceChildren(tableOf("Logits, probabilities, slopes and loss",
      ["step", `logit ${names[0]}`, `logit ${names[1]}`, ...names.map((name) => `p(${name})`),
        `slope ${names[0]}`, `slope ${names[1]}`, "loss"], rows));
  }

  function show() {
    const step = model.get("step");
    const passed = places.slice(0, step + 1);
    const { loss } = places[step];
    showMap(passed);
    showChart(passed);
    showShares(places[step]);
    showSteps(passed);
    const rose = step && loss > places[step - 1].loss + 1e-9;
    const far = places[step].logits.some((z) => Math.abs(z) > REACH);
    status.textContent = `Step ${step}: loss ${loss.toFixed(4)} nats, at best ${least.toFixed(4)}.` +
      (rose ? " The last step made it worse." : "") + (far ? " It has left the map." : "");
    next.disabled = step === STEPS;
    reset.disabled = step === 0;
  }

  function replan() {
    places = walk([model.get("first"), model.get("second")], model.get("rate"), shares);
    show();
  }

  for (const trait of ["first", "second", "rate"]) model.on(`change:${trait}`, replan);
  model.on("change:step", show);
  const startSlider = (trait, name) => slider(model, trait, { label: `Start: logit of ${name}`,
    min: -REACH, max: REACH, step: 0.1, format: (z) => signed(z, 1) });
  el.append(
    element("div", { class: "llm-descent" }, map, element("div", {}, shareTable, chart)),
    status,
    element("div", { class: "llm-row" }, next, run, reset),
    slider(model, "rate", { label: "Learning rate", values: RATES }),
    slider(model, "step", { label: "Steps", min: 0, max: STEPS }),
    startSlider("first", names[0]), startSlider("second", names[1]),
    element("details", {}, control("summary", {}, "Every step as a table"), twin));
  replan();
}

export default { render };
