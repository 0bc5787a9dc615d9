// The beginning of a story in, the exact chances of what comes next out: the grammar of
// llm_core.stories and the way it is told, once more. A test holds both to the same numbers.

// A choice is { rule, items, repeats }; an item is a text or a list of pieces, and a piece
// is a text, a choice, or a slot { fact, choice } where a fact is spoken.
function readGrammar(grammar) {
  const lines = new Map();
  const unrepeated = new Set();
  let alternatives;
  for (const line of grammar.replaceAll("\n        ", " ").split("\n")) {
    if (line.endsWith(":")) {
      const name = line.match(/^\w+/)[0];
      if (line.includes("(no repeats)")) unrepeated.add(name);
      lines.set(name, alternatives = []);
    } else if (line) alternatives.push(...line.trim().split(/ *\| *(?![^[]*\])/));
  }
  const rules = new Map();
  const rule = (name) => {
    const low = name[0].toLowerCase() + name.slice(1);
    if (!rules.has(name)) {
      const written = lines.get(low).map((line) => name === low ? line
        : line.replace(/[a-z]/, (letter) => letter.toUpperCase()));
      rules.set(name, choiceOf(low, written, !unrepeated.has(low)));
    }
    return rules.get(name);
  };
  const choiceOf = (name, written, repeats) => ({ rule: name, repeats,
    items: written.map((line) => line.match(/<\w+>|\{\w+\}|\[[^\]]*\]|[^<{[]+/g).map(piece)) });
  const piece = (part) => {
    const name = part.slice(1, -1);
    if (part[0] === "<") return rule(name);
    if (part[0] === "[") return choiceOf("", name.split("|"), true);
    if (part[0] !== "{") return part.replaceAll("/", "\n");
    const fact = name.toLowerCase();
    return { fact: /^(he|him|his)$/.test(fact) ? "pronoun" : fact, choice: rule(name) };
  };
  return rule("story").items[0];
}

const weightOf = (number) => Math.floor(1000 / (number + 10));

// Tell every story that begins with the text. `next(beyond, ended)` is asked what comes
// after the text, given some characters of it: an answer, nothing while it takes more of
// them, or null where this story shall not count. Returns a Map from answers to chances;
// null where no story goes like this.
function whatComesNext(story, text, next) {
  const chances = new Map();

  // What is still to be told is a list of pieces, each with a link to those that follow.
  const before = (pieces, rest) => pieces.reduceRight((after, piece) => ({ piece, after }), rest);
  const agrees = (said, at) => at >= text.length
    || text.startsWith(said.slice(0, text.length - at), at);

  function tell(rest, known, spoken, at, beyond, p) {
    while (rest) {
      const { piece } = rest;
      rest = rest.after;
      if (typeof piece !== "string") {
        const told = known[piece.fact];
        if (told === undefined) return choose(piece, rest, known, spoken, at, beyond, p);
        rest = before(piece.choice.items[told], rest);
      } else if (!agrees(piece, at)) return;
      else {
        beyond += piece.slice(Math.max(0, text.length - at));
        at += piece.length;
        if (beyond && count(next(beyond, false), p)) return;
      }
    }
    if (at >= text.length) count(next(beyond, true), p);
  }

  function count(answer, p) {
    if (answer !== undefined && answer !== null) chances.set(answer, (chances.get(answer) ?? 0) + p);
    return answer !== undefined;
  }

  function choose(piece, rest, known, spoken, at, beyond, p) {
    const { fact } = piece;
    const { rule: name, items, repeats } = piece.choice ?? piece;
    const used = repeats ? [] : spoken[name] ?? [];
    const left = [...items.keys()].filter((number) => !used.includes(number));
    const total = left.reduce((sum, number) => sum + weightOf(number), 0);
    for (const number of left) {
      const [first] = items[number];
      if (typeof first === "string" && !agrees(first, at)) continue;
      tell(before(items[number], rest),
        fact ? { ...known, [fact]: number } : known,
        repeats ? spoken : { ...spoken, [name]: [...used, number] },
        at, beyond, p * weightOf(number) / total);
    }
  }

  tell(before(story, null), {}, {}, 0, "", 1);
  const total = [...chances.values()].reduce((sum, p) => sum + p, 0);
  if (!total) return null;
  for (const [answer, p] of chances) chances.set(answer, p / total);
  return chances;
}

// The exact chances of the next id after ids that begin a story: a Map, or null.
function oracleIds(story, tokenizer, ids) {
  const end = tokenizer.special["<|endoftext|>"];
  const own = ids.slice(ids.lastIndexOf(end) + 1);
  const text = tokenizer.decode(own);
  if (!tokenizer.isBpe) {
    return whatComesNext(story, text, (beyond, ended) => ended && !beyond ? end ?? null
      : tokenizer.ids.get(beyond[0]) ?? null);
  }
  // The last word may go on: its ids so far are what the word's own ids must begin with.
  const last = (text.match(WORDS) ?? []).at(-1) ?? "";
  let begun = own.length;
  while (begun > 0 && tokenizer.decode(own.slice(begun)) !== last) begun--;
  const started = own.slice(begun);
  return whatComesNext(story, text, (beyond, ended) => {
    const rest = last + beyond;
    let known = started;
    let read = 0;
    for (const [word] of rest.matchAll(WORDS)) {
      read += word.length;
      if (!ended && read === rest.length) return undefined; // the word may be longer
      const wordIds = tokenizer.encodeWord(word);
      if (known.some((id, i) => id !== wordIds[i])) return null;
      if (wordIds.length > known.length) return wordIds[known.length];
      known = [];
    }
    return ended ? end ?? null : undefined;
  });
}
