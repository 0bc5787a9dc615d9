// What comes next in a story? Beside each other: what counts expect, of an order that the
// reader chooses, and the oracle, which knows the program that wrote the story.

const ROWS = 8; // characters with a row of their own; the others share one
const FULL_SHADE = 8; // bits

const bitsOf = (p) => -Math.log2(p);
const inBits = (bits) => `${Math.abs(bits).toFixed(2)} bits`;
const plural = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

function render({ model, el }) {
  const story = model.get("story");
  const alphabet = [...model.get("alphabet")];
  const orders = model.get("orders");
  const weight = model.get("weight");
  const counts = model.get("counts"); // context -> [characters, count, count, …]
  const facts = model.get("facts");
  const padded = "\n".repeat(orders - 1) + story;

  // Counts of all orders up to this one, mixed from the uniform distribution up: each
  // order takes the one below as so many observations of its own as `weight` says.
  function counted(place, order) {
    const end = place + orders - 1;
    let p = new Map(alphabet.map((character) => [character, 1 / alphabet.length]));
    for (let n = 1; n <= order; n++) {
      const found = counts[padded.slice(end - n + 1, end)];
      if (!found) break; // then no longer context was seen either
      const [characters, ...numbers] = found;
      const seen = new Map([...characters].map((character, i) => [character, numbers[i]]));
      const total = numbers.reduce((a, b) => a + b);
      p = new Map(alphabet.map((character) => [character,
        ((seen.get(character) ?? 0) + weight * p.get(character)) / (total + weight)]));
    }
    return p;
  }

  const oracle = model.get("oracle").map(([characters, ...chances]) =>
    new Map([...characters].map((character, i) => [character, chances[i]])));
  const oracleBits = oracle.map((p, place) => bitsOf(p.get(story[place])));
  const bitsByOrder = {};
  const countedBits = (order) => bitsByOrder[order] ??= [...story].map(
    (character, place) => bitsOf(counted(place, order).get(character)));
  const mean = (values) => values.reduce((a, b) => a + b) / values.length;

  const go = (place) => {
    model.set("place", Math.max(0, Math.min(place, story.length - 1)));
    model.save_changes();
  };
  const nextFact = () => {
    const place = model.get("place");
    go((facts.find((fact) => fact.place > place) ?? facts[0]).place);
  };

  const letters = [...story].map((character, i) => element("span", { "data-place": i },
    character === "\n" ? "↵\n" : character));
  const text = element("p", { class: "llm-story" }, ...letters);
  text.addEventListener("click", ({ target }) => {
    if (target.dataset.place) go(Number(target.dataset.place));
  });
  const whole = element("p");
  const back = button("Back", () => go(model.get("place") - 1));
  const next = button("Next", () => go(model.get("place") + 1));
  const status = statusLine();
  const rows = element("tbody");
  const caption = element("caption");
  const bars = element("table", { class: "llm-bars llm-pair-bars" }, caption,
    element("colgroup", {}, ...Array.from({ length: 5 }, () => element("col"))),
    element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, "next"),
      element("th", { scope: "col", colspan: 2 }, "the counts expect"),
      element("th", { scope: "col", colspan: 2 }, "the oracle knows"))),
    rows);
  const twin = element("div", { class: "llm-scroll llm-costs", tabindex: "0", role: "region",
    "aria-label": "The cost of every character" });
  const details = element("details", {},
    control("summary", {}, "The cost of every character as a table"), twin);

  function bar(p, role) {
    const filled = element("div", { class: role });
    filled.style.width = `${100 * p}%`;
    return [element("td", { class: "llm-track" }, filled), element("td", {}, percent(p))];
  }

  function row(name, p, q, came) {
    return element("tr", came ? { class: "llm-came" } : {},
      element("th", { scope: "row" }, name, came ? " came" : ""),
      ...bar(p, "llm-fill llm-fill-counts"), ...bar(q, "llm-fill llm-fill-oracle"));
  }

  function showBars(place, p, q) {
    const came = story[place];
    const rank = (character) => Math.max(p.get(character), q.get(character) ?? 0);
    const ranked = [...alphabet].sort((a, b) => rank(b) - rank(a) || (a < b ? -1 : 1));
    const shown = ranked.slice(0, ROWS);
    if (!shown.includes(came)) shown[ROWS - 1] = came;
    const sum = (chances) => shown.reduce((total, c) => total - (chances.get(c) ?? 0), 1);
    const name = (c) => element("span", { class: "llm-token" }, visible(c));
    rows.replaceChildren(
      ...shown.map((c) => row(name(c), p.get(c), q.get(c) ?? 0, c === came)),
      row(`${alphabet.length - shown.length} others`, Math.max(0, sum(p)), Math.max(0, sum(q))));
    const context = story.slice(Math.max(0, place - model.get("order") + 1), place);
    caption.replaceChildren("What comes next, seen through ",
      plural(model.get("order") - 1, "character"),
      ...(context ? [": “", element("span", { class: "llm-token" }, visible(context)), "”"] : []));
  }

  function showPlace() {
    const place = model.get("place");
    const order = model.get("order");
    const fact = facts.find((each) => place >= each.place && place < each.place + each.length);
    letters.forEach((letter, i) => {
      letter.classList.toggle("llm-here", i === place);
      letter.classList.toggle("llm-seen", i < place && i > place - order);
      letter.classList.toggle("llm-told", Boolean(fact)
        && i >= fact.told && i < fact.told + fact.told_length);
    });
    const p = counted(place, order);
    showBars(place, p, oracle[place]);
    const told = fact
      ? ` The ${fact.name} was told ${plural(place - fact.told, "character")} before.` : "";
    status.textContent = `“${visible(story[place])}” came. It costs `
      + `${inBits(bitsOf(p.get(story[place])))} under the counts, `
      + `${inBits(oracleBits[place])} under the oracle.${told}`;
    back.disabled = place === 0;
    next.disabled = place === story.length - 1;
  }

  function showShade() {
    const bits = countedBits(model.get("order"));
    const shades = { counts: bits, oracle: oracleBits,
      difference: bits.map((each, i) => each - oracleBits[i]) }[model.get("shade")];
    letters.forEach((letter, i) => {
      const share = Math.max(0, Math.min(1, shades[i] / FULL_SHADE));
      letter.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
    });
    whole.textContent = `The whole story costs ${mean(bits).toFixed(3)} bits per character `
      + `under the counts with n = ${model.get("order")}, and ${mean(oracleBits).toFixed(3)} `
      + "under the oracle.";
    if (details.open) showTwin();
  }

  function showTwin() {
    const bits = countedBits(model.get("order"));
    twin.replaceChildren(tableOf(`Cost in bits, with n = ${model.get("order")}`,
      ["place", "character", "counts", "oracle"], [...story].map((character, i) => [
        String(i + 1), visible(character), bits[i].toFixed(2), Math.abs(oracleBits[i]).toFixed(2)])));
  }

  details.addEventListener("toggle", () => { if (details.open) showTwin(); });
  model.on("change:place", showPlace);
  model.on("change:shade", showShade);
  model.on("change:order", () => {
    showShade();
    showPlace();
  });
  el.append(
    text,
    whole,
    slider(model, "order", { label: "n", min: 1, max: orders,
      format: (n) => `${n}: sees ${n - 1}` }),
    slider(model, "place", { label: "Place", min: 0, max: story.length - 1,
      format: (place) => `${place + 1} of ${story.length}` }),
    element("div", { class: "llm-row" }, back, next,
      ...(facts.length ? [button("Next fact", nextFact)] : []),
      choice(model, "shade", { label: "Shaded by the cost", options: [
        ["counts", "under the counts"], ["oracle", "under the oracle"],
        ["difference", "above the oracle"]] })),
    status,
    bars,
    details);
  showShade();
  showPlace();
}

export default { render };
