// Helpers that stand in front of every widget's script. No widget builds a control
// by hand: these give each one a label, and keep JupyterLab's shortcuts off it.

// element("p", { class: "note" }, "text", child): attributes and children are optional.
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The same for the shapes inside an <svg>.
function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

let lastId = 0;
const uniqueId = () => `llm-${Math.random().toString(36).slice(2, 8)}-${++lastId}`;

// JupyterLab binds the arrow keys of whatever has the focus, unless it carries this.
function control(tag, attributes, ...children) {
  return element(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);
}

function button(label, onClick) {
  const node = control("button", { type: "button", class: "llm-button" }, label);
  node.addEventListener("click", onClick);
  return node;
}

// A labelled slider that is tied to one trait. `format` says its value in words. With
// `values`, a rising list, it stops at these and nowhere else. Call `refresh()` on it
// when the words, or the input's `max`, depend on something else that changed.
function slider(model, trait, { label, values, min = 0, max, step = 1, format = String }) {
  const id = uniqueId();
  const output = element("output", { for: id });
  const input = control("input", { id, type: "range", min, max: max ?? values.length - 1, step });
  const show = () => {
    const value = model.get(trait);
    input.value = values ? values.findLastIndex((each) => each <= value) : value;
    output.textContent = format(value);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    model.set(trait, values ? values[Number(input.value)] : Number(input.value));
    model.save_changes();
  });
  model.on(`change:${trait}`, show);
  show();
  const node = element("div", { class: "llm-slider" },
    element("label", { for: id }, label), input, output);
  return Object.assign(node, { refresh: show });
}

// A labelled choice that is tied to one trait: options are [value, words] pairs.
function choice(model, trait, { label, options }) {
  const id = uniqueId();
  const select = control("select", { id });
  for (const [value, words] of options) select.append(element("option", { value }, words));
  const show = () => { select.value = model.get(trait); };
  select.addEventListener("change", () => {
    const chosen = options.find(([value]) => String(value) === select.value);
    model.set(trait, chosen[0]);
    model.save_changes();
  });
  model.on(`change:${trait}`, show);
  show();
  return element("div", { class: "llm-choice" }, element("label", { for: id }, label), select);
}

// A sentence that screen readers speak when it changes.
const statusLine = () => element("p", { class: "llm-status", role: "status", "aria-live": "polite" });

// A table whose first cell of each row names the row.
function tableOf(caption, header, rows) {
  const cells = ([first, ...rest]) => [
    element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell))];
  return element("table", { class: "llm-table" }, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...header.map((cell) => element("th", { scope: "col" }, cell)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))));
}

// Spaces and line ends made visible, as the book writes tokens everywhere.
const visible = (token) => token.replaceAll(" ", "␣").replaceAll("\n", "↵");
const exactly = (number) => number.toLocaleString("en-US");
const percent = (p) => `${(100 * p).toFixed(1)} %`;

// Where a slider for a number of things stops: often at first, then more rarely.
const COUNTS = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000];
const countsUpTo = (all) => [...COUNTS.filter((count) => count < all), all];

const PREFIXES = ["", "k", "M", "G", "T", "P", "E", "Z"];
const NUMBER_WORDS = ["", "thousand", "million", "billion", "trillion"];

// 1234567 bytes are "1.23 MB", as many parameters "1.23 million": three digits that count.
function inUnits(number, unit, prefixes = PREFIXES) {
  let power = 0;
  for (; number >= 999.5 && power + 1 < prefixes.length; power++) number /= 1000;
  const digits = power === 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return `${number.toFixed(digits)} ${prefixes[power]}${unit}`;
}
