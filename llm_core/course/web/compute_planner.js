// What a training costs, and how long it takes. The formulas are those of `plan` in
// widgets/compute_planner.py; tests hold the two together.

const OWN = "your own";
const OUTPUTS = ["blocks", "6 N D", "attention", "FLOPs", "tokens a parameter", "device-hours",
  "hours", "best parameters", "best tokens"];

// Ten stops in each power of ten, evenly apart for the eye.
function stopsBetween(first, last) {
  const stops = [];
  for (let power = first; power < last; power++) {
    for (const digits of [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.3, 8]) stops.push(Number(`${digits}e${power}`));
  }
  return [...stops, Number(`1e${last}`)];
}

const STOPS = {
  parameters: stopsBetween(4, 13),
  tokens: stopsBetween(5, 15),
  width: [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 5120,
    6144, 8192, 12288, 16384, 24576, 32768],
  context: [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 1048576],
  utilization: [1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 80, 90, 100],
  count: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
  ratio: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
};
const FOUR = ["parameters", "tokens", "width", "context"];

function plan({ parameters, tokens, width, context, utilization, count, ratio }, peak) {
  const dense = 6 * parameters * tokens;
  const attention = (parameters * tokens * context) / width;
  const hours = (dense + attention) / ((peak * utilization) / 100) / 3600;
  const best = Math.sqrt((dense + attention) / (6 + context / width) / ratio);
  return [parameters / (12 * width ** 2), dense, attention, dense + attention, tokens / parameters,
    hours, hours / count, best, ratio * best];
}

// 3.15e23 is "3.15 · 10²³".
function scientific(number, decimals = 2) {
  const [digits, power] = number.toExponential(decimals).split("e");
  const raised = String(Number(power)).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  return `${digits} · 10${raised}`;
}

// 1.75e11 is "175 billion": three digits that count.
function inWords(number) {
  const names = ["", " thousand", " million", " billion", " trillion", " quadrillion"];
  let power = 0;
  for (; number >= 999.5 && power + 1 < names.length; power++) number /= 1000;
  return threeDigits(number) + names[power];
}

function threeDigits(number) {
  if (number < 0.001) return scientific(number);
  if (number >= 999.5) return exactly(Math.round(number));
  return String(Number(number.toPrecision(3)));
}

// The same with six digits, and with a power of ten from a million on.
function inFull(number) {
  if (number < 0.001 || number >= 999_999.5) return scientific(number, 5);
  return number.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}

function inTime(hours) {
  const units = [["years", 24 * 365.25], ["days", 24], ["hours", 1], ["minutes", 1 / 60]];
  const [name, size] = units.find(([, each]) => hours >= each) ?? ["seconds", 1 / 3600];
  return `${threeDigits(hours / size)} ${name}`;
}

function render({ model, el }) {
  const trainings = model.get("trainings");
  const peaks = model.get("peaks");
  const setting = () => Object.fromEntries(Object.keys(STOPS).map((each) => [each, model.get(each)]));
  const matches = (name) => FOUR.every((each, i) => trainings[name][i] === model.get(each));
  const set = (values) => {
    settling = true;
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    settling = false;
    model.set("chosen", Object.keys(trainings).find(matches) ?? OWN);
    model.save_changes();
    show();
  };

  const named = choice(model, "chosen", { label: "Training",
    options: [...Object.keys(trainings), OWN].map((name) => [name, name]) });
  named.querySelector("option:last-child").disabled = true; // what the controls choose
  const device = choice(model, "device", { label: "Device",
    options: Object.keys(peaks).map((name) => [name, name]) });

  const words = { width: exactly, context: exactly, count: exactly, parameters: inWords, tokens: inWords, utilization: (value) => `${value} %` };
  const sliders = Object.fromEntries(Object.entries(STOPS).map(([trait, stops]) => {
    const known = FOUR.includes(trait) ? Object.values(trainings).map((each) => each[FOUR.indexOf(trait)]) : [];
    const values = [...new Set([...stops, ...known])].sort((a, b) => a - b);
    const label = { count: "devices", ratio: "ratio D / N" }[trait] ?? trait;
    return [trait, slider(model, trait, { label, values, format: words[trait] ?? String })];
  }));

  // A box for any number, such as 6.7e9, beside a slider that knows only its stops.
  function numberBox(trait) {
    const id = uniqueId();
    const [least, most] = [STOPS[trait][0], STOPS[trait].at(-1)];
    const input = control("input", { id, type: "number", min: least, max: most, step: "any" });
    const write = () => { input.value = Number(model.get(trait).toPrecision(6)); };
    input.addEventListener("change", () => {
      const value = Number(input.value);
      if (value >= least && value <= most) model.set(trait, value);
      model.save_changes();
      write();
    });
    model.on(`change:${trait}`, write);
    write();
    return element("div", { class: "llm-exact-box" }, element("label", { for: id }, `${trait}, as a number`), input);
  }

  const status = statusLine();
  const best = element("p", { class: "llm-best" });
  const take = button("Plan this training", () => {
    const values = plan(setting(), peaks[model.get("device")]);
    set({ parameters: values[7], tokens: values[8] });
  });
  const exact = element("div", { class: "llm-scroll" });

  let settling = false;
  function show() {
    const now = setting();
    const name = model.get("device");
    const values = plan(now, peaks[name]);
    const [blocks, , attention, flops, ratio, deviceHours, hours, parameters, tokens] = values;
    const narrow = blocks < 1 ? " A single block of this width has more parameters than that: choose a smaller width." : "";
    status.textContent = `${scientific(flops)} FLOPs, ${threeDigits((100 * attention) / flops)} % of them attention; ` +
      `${threeDigits(ratio)} tokens a parameter. ${threeDigits(deviceHours)} device-hours: ` +
      `${inTime(hours)} on ${now.count} × ${name} at ${now.utilization} % of ` +
      `${scientific(peaks[name])} FLOPs a second.${narrow}`;
    best.textContent = `The same FLOPs with ${now.ratio} tokens a parameter: ` +
      `${inWords(parameters)} parameters, ${inWords(tokens)} tokens.`;
    const possible = parameters >= 1e4 && parameters <= 1e13 && tokens >= 1e5 && tokens <= 1e15;
    take.disabled = !possible || Math.abs(parameters / now.parameters - 1) < 1e-9;
    exact.replaceChildren(tableOf("Every number", ["what", "amount"],
      OUTPUTS.map((output, i) => [output, inFull(values[i])])));
  }

  model.on("change:chosen", () => {
    const chosen = trainings[model.get("chosen")];
    if (!chosen || settling || matches(model.get("chosen"))) return;
    set(Object.fromEntries(FOUR.map((each, i) => [each, chosen[i]])));
  });
  for (const trait of [...Object.keys(STOPS), "device"]) {
    model.on(`change:${trait}`, () => {
      if (!settling) set({});
    });
  }
  el.append(named, sliders.parameters, numberBox("parameters"), sliders.tokens, numberBox("tokens"),
    sliders.width, sliders.context, device, sliders.utilization, sliders.count, status,
    sliders.ratio, best, take,
    element("details", {}, element("summary", {}, "The numbers in full"), exact));
  show();
}

export default { render };
