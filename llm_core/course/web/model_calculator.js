// What a GPT of GPT-2's form costs. The formulas are those of llm_core.model, for 32-bit
// numbers and full rows; the work is counted as PyTorch counts it, attention whole.

const OWN = "your own shape";
const BYTES = 4;
const STOPS = {
  vocab_size: [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144],
  d_model: [16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280,
    1536, 1792, 2048, 2560, 3072, 4096, 5120, 6144, 8192, 12288, 16384],
  num_layers: [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128],
  num_heads: [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128],
  max_seq_len: [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072],
  batch_size: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
};
const FIVE = Object.keys(STOPS).slice(0, 5);

// Everything that is shown, in whole numbers.
function costs({ vocab_size: V, d_model: C, num_layers: L, max_seq_len: T, batch_size: B }) {
  const parts = {
    embedding: V * C, // the output head, too
    positions: T * C,
    attention: L * (4 * C * C + 4 * C),
    "feed-forward": L * (8 * C * C + 5 * C),
    norms: L * 4 * C + 2 * C,
  };
  const parameters = sum(parts);
  const training = {
    weights: parameters * BYTES,
    gradients: parameters * BYTES,
    optimizer: 2 * parameters * BYTES,
    activations: B * T * (16 * L * C + 2 * C + V) * BYTES,
  };
  const work = {
    "block matrices": 2 * 12 * L * C * C,
    attention: 4 * L * T * C,
    "output head": 2 * V * C,
  };
  return { parts, parameters, training, cache: 2 * L * B * T * C * BYTES, work,
    forward: sum(work), step: 3 * sum(work) * B * T };
}

const sum = (parts) => Object.values(parts).reduce((a, b) => a + b);

function render({ model, el }) {
  const shapes = model.get("shapes");
  const shape = () => Object.fromEntries(Object.keys(STOPS).map((each) => [each, model.get(each)]));
  const matches = (name) => FIVE.every((each) => shapes[name][each] === model.get(each));

  const named = choice(model, "chosen", { label: "Model",
    options: [...Object.keys(shapes), OWN].map((name) => [name, name]) });
  named.querySelector("option:last-child").disabled = true; // what the sliders choose
  const sliders = Object.entries(STOPS).map(([trait, stops]) => {
    const values = [...stops, model.get(trait), ...Object.values(shapes).map((each) => each[trait])];
    const known = values.filter((value) => value !== undefined);
    return slider(model, trait, { label: trait, format: exactly,
      values: [...new Set(known)].sort((a, b) => a - b) });
  });
  const status = statusLine();
  const bills = element("div", { class: "llm-bills" });
  const exact = element("div", { class: "llm-scroll" });

  const written = (number, unit) =>
    unit === "parameters" ? inUnits(number, "", NUMBER_WORDS) : inUnits(number, unit);

  // One bill: a table with a bar in each row, as long as its share of the longest.
  function bill(caption, entries, unit) {
    const most = Math.max(...Object.values(entries));
    const rows = Object.entries(entries).map(([name, number]) => {
      const bar = element("div", { class: "llm-cost" });
      bar.style.width = `${(100 * number) / most}%`;
      return [name, bar, written(number, unit)];
    });
    const table = tableOf(caption, ["part", "share", "amount"], rows);
    table.classList.add("llm-bill");
    return table;
  }

  function showExactly({ parts, parameters, training, cache, work, forward, step }) {
    const rows = [
      ...Object.entries(parts).map(([name, count]) => [`parameters: ${name}`, count]),
      ["parameters", parameters],
      ...Object.entries(training).map(([name, bytes]) => [`bytes: ${name}`, bytes]),
      ["bytes in training", sum(training)],
      ["bytes: cache", cache],
      ...Object.entries(work).map(([name, flops]) => [`FLOPs of a token: ${name}`, flops]),
      ["FLOPs of a token, forward", forward],
      ["FLOPs of a token in training", 3 * forward],
      ["FLOPs of a training step", step],
    ];
    exact.replaceChildren(tableOf("Every number in full", ["what", "amount"],
      rows.map(([name, number]) => [name, exactly(number)])));
  }

  // Heads that would share the channels evenly: the nearest below and above.
  function misfit({ num_heads: heads, d_model: width }) {
    const fit = (step) => {
      let near = Math.min(heads, width);
      while (width % near) near += step;
      return near;
    };
    const nearest = [...new Set([fit(-1), fit(1)])];
    return `num_heads must divide d_model: ${heads} heads cannot share ${exactly(width)} channels ` +
      `evenly. ${nearest.join(" or ")} would fit.`;
  }

  function show() {
    const now = shape();
    const valid = now.d_model % now.num_heads === 0;
    for (const node of [bills, exact]) node.classList.toggle("llm-void", !valid);
    if (!valid) {
      status.textContent = misfit(now);
      return;
    }
    const all = costs(now);
    const rows = now.batch_size === 1 ? "one row" : `${exactly(now.batch_size)} rows`;
    status.textContent = `${exactly(all.parameters)} parameters. A training step on ${rows} of ` +
      `${exactly(now.max_seq_len)} tokens needs ${inUnits(sum(all.training), "B")} ` +
      `and ${inUnits(all.step, "FLOP")}.`;
    bills.replaceChildren(
      bill(`Parameters: ${written(all.parameters, "parameters")}`, all.parts, "parameters"),
      bill(`Memory: ${inUnits(sum(all.training), "B")} in training; the cache is for writing`,
        { ...all.training, cache: all.cache }, "B"),
      bill(`Work on a token: ${inUnits(all.forward, "FLOP")} forward, ` +
        `${inUnits(3 * all.forward, "FLOP")} in training`, all.work, "FLOP"));
    showExactly(all);
  }

  let choosing = false;
  model.on("change:chosen", () => {
    const chosen = shapes[model.get("chosen")];
    if (!chosen || matches(model.get("chosen"))) return;
    choosing = true;
    for (const each of FIVE) model.set(each, chosen[each]);
    choosing = false;
    model.save_changes();
    show();
  });
  for (const trait of Object.keys(STOPS)) {
    model.on(`change:${trait}`, () => {
      if (choosing) return;
      if (trait !== "batch_size") {
        model.set("chosen", Object.keys(shapes).find(matches) ?? OWN);
        model.save_changes();
      }
      show();
    });
  }
  el.append(named, ...sliders, status, bills,
    element("details", {}, element("summary", {}, "The numbers in full"), exact));
  show();
}

export default { render };
