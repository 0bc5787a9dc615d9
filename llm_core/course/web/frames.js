// Frames that Python made, behind one or two controls. In a page these are all there
// is; in JupyterLab the kernel then answers each move with a frame of its own.

function render({ model, el }) {
  const values = model.get("values"); // of each control, in words
  const frames = model.get("frames");
  const lines = model.get("lines");
  const live = model.get("_live") === true;
  const traits = ["first", "second"].slice(0, values.length);

  const place = () => traits.map((trait) => model.get(trait));
  const current = () => frames[place().reduce((at, i, c) => at * values[c].length + i, 0)];
  // A frame's picture: lines of its own, and ranges of the first frame's lines.
  const drawing = (frame) => typeof frame.picture === "string" ? frame.picture
    : frame.picture.flatMap((part) => Array.isArray(part) ? lines.slice(...part) : part).join("\n");

  const picture = element("div", { class: "llm-frames-picture" });
  const status = statusLine();
  // All texts lie on one place, so that the figure is as tall as the longest asks for.
  const texts = frames.map(({ text }) => element("p", { class: "llm-frames-text" }, text));
  const answer = element("p", { class: "llm-frames-text" });
  const note = element("p", { class: "llm-frames-note" });

  function show(frame, text) {
    picture.innerHTML = drawing(frame);
    status.replaceChildren(...Object.entries(frame.numbers).flatMap(([name, number], i) =>
      [`${i ? ", " : ""}${name} `, element("strong", {}, number)]));
    for (const each of [...texts, answer]) each.classList.toggle("llm-shown", each === text);
  }

  function move() {
    show(current(), texts[frames.indexOf(current())]);
  }

  // The kernel's answer to a move, unless the reader has moved on.
  function showAnswer() {
    const frame = model.get("_answer");
    if (String(frame.place) !== String(place())) return;
    if (frame.error) {
      status.textContent = `The function did not answer: ${frame.error}`;
      return;
    }
    answer.textContent = frame.text;
    show(frame, answer);
  }

  const name = model.get("function");
  const called = name ? [element("code", {}, name)] : ["the function"];
  note.append(...(live
    ? ["Each move calls ", ...called, " in your kernel."]
    : [`These ${frames.length} frames were computed when the book was built; in JupyterLab, each move calls `,
      ...called, "."]));

  const controls = traits.map((trait, c) => {
    const label = model.get("labels")[c];
    return model.get("numeric")[c]
      ? slider(model, trait, { label, max: values[c].length - 1, format: (i) => values[c][i] })
      : choice(model, trait, { label, options: values[c].map((words, i) => [i, words]) });
  });

  const numbers = Object.keys(frames[0].numbers);
  const some = frames.some(({ text }) => text);
  const product = values.reduce((rows, each) => rows.flatMap((row) => each.map((v) => [...row, v])), [[]]);
  // A last control that changes pictures alone has no place in a table.
  const size = values.at(-1).length;
  const said = ({ numbers, text }) => JSON.stringify([numbers, text]);
  const idle = values.length > 1 && frames.every((frame, i) => said(frame) === said(frames[i - i % size]));
  const named = idle ? traits.length - 1 : traits.length;
  const rows = frames.map((frame, i) => [...product[i].slice(0, named),
    ...numbers.map((n) => frame.numbers[n]), ...(some ? [frame.text] : [])]);
  const twin = tableOf("All frames",
    [...model.get("labels").slice(0, named), ...numbers, ...(some ? ["text"] : [])],
    rows.filter((_, i) => !idle || i % size === 0));

  for (const trait of traits) model.on(`change:${trait}`, move);
  model.on("change:_answer", showAnswer);
  el.append(element("div", { class: ["llm-one-control", "llm-two-controls"][values.length - 1] }, ...controls));
  if (drawing(frames[0])) el.append(picture);
  if (numbers.length || live) el.append(status);
  if (some || live) el.append(element("div", { class: "llm-frames-texts" }, ...texts, answer));
  el.append(note, element("details", {}, control("summary", {}, "All frames as a table"),
    element("div", { class: "llm-scroll", tabindex: "0", role: "region", "aria-label": "All frames as a table" }, twin)));
  move();
}

export default { render };
