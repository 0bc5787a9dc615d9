// Which number stands where? A small tensor x holds 0, 1, 2, … in the order of its
// storage. Its axes are put in another order, which changes strides and moves nothing;
// beside it stands a plain view of the same shape. The rules are PyTorch's.

const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
const written = (sizes) => `(${sizes.join(", ")})`;

// All orders of some axes: [0, 1], [1, 0].
function permutations(axes) {
  if (axes.length === 0) return [[]];
  return axes.flatMap((first) =>
    permutations(axes.filter((axis) => axis !== first)).map((rest) => [first, ...rest]));
}

// The strides of numbers that lie in reading order, without gaps.
const plainStrides = (shape) => shape.map((_, axis) => product(shape.slice(axis + 1)));

// Every index of a shape, in reading order.
function indices(shape) {
  const strides = plainStrides(shape);
  return [...Array(product(shape)).keys()].map((n) =>
    shape.map((size, axis) => Math.floor(n / strides[axis]) % size));
}

// Where in storage an index leads.
const place = (index, strides) => index.reduce((sum, i, axis) => sum + i * strides[axis], 0);

// The strides under which the same storage reads as another shape, or null if there are
// none. Axes that lie evenly behind each other form a run; each run must be cut into
// whole axes of the new shape.
function viewStrides(shape, strides, target) {
  const found = Array(target.length);
  let axis = target.length;
  let run = 1; // numbers in the run so far
  let step = strides.at(-1); // between neighbours in the run
  for (let i = shape.length - 1; i >= 0; i--) {
    run *= shape[i];
    if (i > 0 && strides[i - 1] === run * step) continue;
    let cut = 1;
    while (axis > 0 && cut < run) {
      found[--axis] = cut * step;
      cut *= target[axis];
    }
    if (cut !== run) return null;
    run = 1;
    step = strides[i - 1];
  }
  return found;
}

// The call that puts the axes in an order.
function reordering(order) {
  const moved = order.filter((axis, i) => axis !== i).sort();
  if (moved.length === 0) return "x";
  return moved.length === 2 ? `x.transpose${written(moved)}` : `x.permute${written(order)}`;
}

function render({ model, el }) {
  const shapes = model.get("shapes");
  const targets = [[product(shapes[0])], ...shapes];
  const shape = () => shapes[model.get("shape")];
  const orders = () => permutations([...shape().keys()]);
  const select = (element) => {
    model.set("element", element);
    model.save_changes();
  };

  const axes = slider(model, "order", { label: "Order of axes", min: 0,
    max: orders().length - 1, format: (i) => orders()[i].join(", ") });
  const status = statusLine();
  const storage = element("p", { class: "llm-storage", "aria-hidden": "true" });
  const address = element("p", { class: "llm-address" });
  const tables = element("div", { class: "llm-grids" });
  const after = element("p", { class: "llm-after" });
  const result = element("div", { class: "llm-grids" });

  // A number stands for its place in storage; its shade tells the row of x it is from.
  function box(number, classes = "") {
    const rows = shape()[0];
    const row = Math.floor(number * rows / product(shape()));
    const node = element("span", { class: `llm-number ${classes}` }, String(number));
    node.style.setProperty("--shade", `${6 + Math.round(38 * row / (rows - 1))}%`);
    return node;
  }

  // Places in storage as a table: a row for each index of all axes but the last.
  function grid(caption, sizes, places, classes) {
    const width = sizes.at(-1);
    const leading = indices(sizes.slice(0, -1));
    const cells = places.map((number, n) => {
      const node = box(number, classes(number, n));
      node.addEventListener("click", () => select(n));
      return node;
    });
    const rows = leading.map((index, row) =>
      [`[${[...index, ":"].join(", ")}]`, ...cells.slice(row * width, (row + 1) * width)]);
    const node = tableOf(caption, ["index", ...Array(width).keys()].map(String), rows);
    leading.forEach((index, row) => {
      if (row > 0 && index.at(-1) === 0) node.tBodies[0].rows[row].className = "llm-block";
    });
    return element("div", { class: "llm-scroll" }, node);
  }

  function show() {
    const order = orders()[model.get("order")];
    const sizes = order.map((axis) => shape()[axis]);
    const strides = order.map((axis) => plainStrides(shape())[axis]);
    const places = indices(sizes).map((index) => place(index, strides));
    const chosen = model.get("element");
    const call = reordering(order);
    const plain = `x.view${written(sizes)}`;
    const elsewhere = places.filter((number, n) => number !== n).length;
    const name = order.every((axis, i) => axis === i) ? "x" : "y";

    status.textContent = `${name === "y" ? `y = ${call}` : "x"} has the shape ${written(sizes)}` +
      ` and the strides ${written(strides)}. ` + (name === "y"
      ? `${elsewhere} of its ${places.length} numbers stand elsewhere than in ${plain}.`
      : "Its numbers stand in the order of the storage.");
    storage.replaceChildren("Storage: ", ...places.map((_, number) =>
      box(number, number === places[chosen] ? "llm-chosen" : "")));
    const index = indices(sizes)[chosen];
    const sum = index.map((i, axis) => `${i} × ${strides[axis]}`).join(" + ");
    address.textContent = `${name}[${index.join(", ")}] is at place ${sum} = ${places[chosen]}` +
      ` of the storage; in ${plain}, the same index leads to ${chosen}.`;
    const mark = (_, n) => (n === chosen ? "llm-chosen" : "");
    tables.replaceChildren(
      grid(name === "y" ? `y = ${call}` : "x", sizes, places, mark),
      grid(plain, sizes, [...places.keys()], (number, n) =>
        `${mark(number, n)} ${places[n] === number ? "" : "llm-elsewhere"}`));
    showTarget(name, sizes, strides, places);
  }

  // What becomes of the reordered numbers when they are viewed as one more shape.
  function showTarget(name, sizes, strides, places) {
    const target = targets[model.get("target")];
    after.textContent = "";
    result.replaceChildren();
    if (!target) return;
    const found = viewStrides(sizes, strides, target);
    const view = `${name}.view${written(target)}`;
    const reshape = `${name}.reshape${written(target)}`;
    after.textContent = found
      ? `${view} reads the same storage with the strides ${written(found)}: nothing is copied.`
      : `${view} fails: no strides reach the numbers in this order. ${reshape} copies them.`;
    const marked = places[model.get("element")];
    result.replaceChildren(grid(found ? view : reshape, target, places,
      (number) => (number === marked ? "llm-chosen" : "")));
  }

  model.on("change:shape", () => {
    axes.querySelector("input").max = orders().length - 1;
    model.set("order", 0);
    axes.refresh();
    show();
  });
  for (const trait of ["order", "target", "element"]) model.on(`change:${trait}`, show);
  el.append(
    slider(model, "shape", { label: "Shape of x", min: 0, max: shapes.length - 1,
      format: (i) => written(shapes[i]) }),
    axes,
    slider(model, "element", { label: "Element", min: 0, max: targets[0][0] - 1,
      format: (n) => `${n + 1} of ${targets[0][0]}` }),
    choice(model, "target", { label: "Then view as", options: [[-1, "as it is"],
      ...targets.map((target, i) => [i, written(target)])] }),
    status, storage, address, tables, after, result);
  show();
}

export default { render };
