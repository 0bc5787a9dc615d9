// What it takes to let a model write: memory for its weights and for the keys and values
// of every row, and the speed that the memory's bandwidth allows. A GB is 1e9 bytes.

const OWN_DEVICE = "your own device";
const BIT_COUNTS = [4, 8, 16, 32];
const SLIDERS = {
  weight_bits: { label: "bits of a weight", stops: BIT_COUNTS },
  cache_bits: { label: "bits in the cache", stops: BIT_COUNTS },
  context: { label: "tokens in a row",
    stops: [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072] },
  batch_size: { label: "rows at once",
    stops: [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024] },
  memory: { label: "memory", unit: "GB",
    stops: [4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 192, 256, 320, 640, 1280] },
  bandwidth: { label: "bandwidth", unit: "GB/s",
    stops: [10, 20, 40, 60, 100, 150, 200, 400, 600, 800, 1500, 3000, 6000, 8000, 16000] },
};

// Everything that is shown. Half bytes are rounded up.
function serving({ shape, weight_bits, cache_bits, context, batch_size, memory, bandwidth }) {
  const bytes = (numbers, bits) => Math.ceil((numbers * bits) / 8);
  const weights = bytes(shape.parameters, weight_bits);
  const perToken = 2 * shape.num_layers * shape.kv_heads * shape.head_dim; // keys and values
  const row = bytes(perToken * context, cache_bits);
  const cache = batch_size * row;
  const available = memory * 1e9;
  const read = bytes(shape.read, weight_bits) + cache; // in a step, when all rows are full
  const fit = Math.max(0, Math.floor((available - weights) / row));
  const each = (bandwidth * 1e9) / read;
  return { weights, perToken: bytes(perToken, cache_bits), row, cache, needed: weights + cache,
    available, read, fit, each, all: each * batch_size };
}

// Three digits that count: 0.0123, 1.23, 12.3, 1,230.
function rounded(number) {
  const digits = number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return number < 0.995 ? String(Number(number.toPrecision(3)))
    : Number(number.toFixed(digits)).toLocaleString("en-US", { minimumFractionDigits: digits });
}

const inBytes = (number) => inUnits(number, "B");

function render({ model, el }) {
  const models = model.get("models");
  const devices = model.get("devices");
  const words = (names) => names.map((name) => [name, name]);
  const isDevice = (name) =>
    devices[name][0] === model.get("memory") && devices[name][1] === model.get("bandwidth");

  const named = choice(model, "chosen", { label: "Model", options: words(Object.keys(models)) });
  const placed = choice(model, "device", { label: "Device",
    options: words([...Object.keys(devices), OWN_DEVICE]) });
  placed.querySelector("option:last-child").disabled = true; // what the sliders choose
  const known = {
    context: Object.values(models).map((each) => each.max_seq_len),
    memory: Object.values(devices).map((each) => each[0]),
    bandwidth: Object.values(devices).map((each) => each[1]),
  };
  const sliders = Object.entries(SLIDERS).map(([trait, { label, unit, stops }]) => {
    const values = [...stops, model.get(trait), ...(known[trait] ?? [])];
    return slider(model, trait, { label,
      format: (value) => (unit ? `${exactly(value)} ${unit}` : exactly(value)),
      values: [...new Set(values)].sort((a, b) => a - b) });
  });
  const status = statusLine();
  const bill = element("div", { class: "llm-served" });
  const exact = element("div", { class: "llm-scroll" });

  function barTable({ weights, cache, available }) {
    const entries = { weights, cache, "device holds": available };
    const most = Math.max(...Object.values(entries));
    const rows = Object.entries(entries).map(([name, number]) => {
      const bar = element("div", { class: "llm-cost" });
      bar.style.width = `${(100 * number) / most}%`;
      return [name, bar, inBytes(number)];
    });
    const table = tableOf("Memory", ["part", "share", "amount"], rows);
    table.classList.add("llm-bill");
    return table;
  }

  function show() {
    const shape = models[model.get("chosen")];
    const setting = Object.fromEntries(Object.keys(SLIDERS).map((each) => [each, model.get(each)]));
    const all = serving({ shape, ...setting });
    const fits = all.needed <= all.available;
    const rows = (count) => (count === 1 ? "1 row" : `${exactly(count)} rows`);
    const beyond = setting.context > shape.max_seq_len
      ? ` (${model.get("chosen")} was made for ${exactly(shape.max_seq_len)} tokens.)` : "";
    status.textContent = `Weights and ${rows(setting.batch_size)} of ${exactly(setting.context)} ` +
      `tokens need ${inBytes(all.needed)}; ` + (fits ? `there is room for ${rows(all.fit)}.`
      : all.fit ? `they do not fit, only ${rows(all.fit)} would.`
        : all.weights > all.available ? "not even the weights fit." : "not even one row fits.") +
      (fits ? ` A step reads ${inBytes(all.read)}, so at most ${rounded(all.each)} tokens a second ` +
        `for each row, ${rounded(all.all)} in all.` : "") + beyond;
    bill.replaceChildren(barTable(all));
    const table = [
      ["parameters", shape.parameters],
      ["parameters read in a step", shape.read],
      ["layers", shape.num_layers],
      ["heads of queries", shape.num_heads],
      ["heads of keys and values", shape.kv_heads],
      ["channels of a head", shape.head_dim],
      ["bytes: weights", all.weights],
      ["bytes: cache of a token", all.perToken],
      ["bytes: cache of a row", all.row],
      ["bytes: cache", all.cache],
      ["bytes needed", all.needed],
      ["bytes read in a step", all.read],
      ["rows that fit", all.fit],
    ].map(([name, number]) => [name, exactly(number)]);
    table.push(["tokens a second, each row", fits ? rounded(all.each) : "does not fit"],
      ["tokens a second, all rows", fits ? rounded(all.all) : "does not fit"]);
    exact.replaceChildren(tableOf("Every number in full", ["what", "amount"], table));
  }

  let choosing = false;
  model.on("change:device", () => {
    const device = devices[model.get("device")];
    if (!device || isDevice(model.get("device"))) return;
    choosing = true;
    model.set("memory", device[0]);
    model.set("bandwidth", device[1]);
    choosing = false;
    model.save_changes();
    show();
  });
  for (const trait of ["chosen", ...Object.keys(SLIDERS)]) {
    model.on(`change:${trait}`, () => {
      if (choosing) return;
      if (trait === "memory" || trait === "bandwidth") {
        model.set("device", Object.keys(devices).find(isDevice) ?? OWN_DEVICE);
        model.save_changes();
      }
      show();
    });
  }
  el.append(named, placed, ...sliders, status, bill,
    element("details", {}, element("summary", {}, "The numbers in full"), exact));
  show();
}

export default { render };
