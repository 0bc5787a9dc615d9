// Text in, ids, logits and text out: the tokenizer, the model and the sampler of
// llm_core once more, in plain JavaScript, so that a page can run them without a server.
// A test holds each step to its Python twin. A vector is a Float32Array; a matrix is
// one too, row after row.

// --- tokenizer: llm_core.tokenizer ------------------------------------------------------

// White space is what Unicode calls so; JavaScript's own \s has one sign more.
const WORDS = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

// A token is a string with one character for each of its bytes.
function bytesOf(token) {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = token.charCodeAt(i);
  return bytes;
}

// A token's name where it stands alone: what cannot be seen is written in numbers.
function nameOf(token) {
  const bytes = bytesOf(token);
  const inHex = (numbers) => [...numbers].map((n) => n.toString(16).padStart(2, "0")).join(" ");
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `⟨${inHex(bytes)}⟩`; // a part of a character
  }
  if (/^[ \n]*$/.test(text) || !/^[\p{C}\p{Z}\p{M}]*$/u.test(text)) return visible(text);
  return `⟨U+${inHex([...text].map((character) => character.codePointAt(0)))}⟩`;
}

class PageTokenizer {
  constructor({ kind, tokens, merges, special }) {
    this.tokens = tokens;
    this.special = special; // text -> id
    this.isBpe = kind === "bpe";
    this.ids = new Map(tokens.map((token, id) => [token, id]));
    this.merges = new Map(merges.map(([left, right, id]) => [left * tokens.length + right, id]));
    this.words = new Map(); // the ids of words that were seen
  }

  encode(text) {
    const escaped = Object.keys(this.special).sort((a, b) => b.length - a.length)
      .map((token) => token.replace(/[^\w]/g, "\\$&"));
    const parts = escaped.length ? text.split(new RegExp(`(${escaped.join("|")})`)) : [text];
    return parts.flatMap((part) => Object.hasOwn(this.special, part) ? [this.special[part]]
      : this.isBpe ? (part.match(WORDS) ?? []).flatMap((word) => this.encodeWord(word))
        : [...part].map((character) => this.encodeCharacter(character)));
  }

  encodeCharacter(character) {
    const id = this.ids.get(String.fromCharCode(...new TextEncoder().encode(character)));
    if (id === undefined) throw new Error(`the model has never seen the character “${character}”`);
    return id;
  }

  // Merge pairs of neighbours, always the one with the lowest new id, then leftmost.
  encodeWord(word) {
    if (this.words.has(word)) return this.words.get(word);
    const ids = [...new TextEncoder().encode(word)].map(
      (byte) => this.ids.get(String.fromCharCode(byte)));
    for (;;) {
      let best = Infinity;
      let at = -1;
      for (let i = 0; i + 1 < ids.length; i++) {
        const id = this.merges.get(ids[i] * this.tokens.length + ids[i + 1]) ?? Infinity;
        if (id < best) [best, at] = [id, i];
      }
      if (at < 0) break;
      ids.splice(at, 2, best);
    }
    this.words.set(word, ids);
    return ids;
  }

  decode(ids) {
    const bytes = bytesOf(ids.map((id) => this.tokens[id]).join(""));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }
}

// --- model: llm_core.attention and llm_core.model -----------------------------------------

// matrix (rows, columns) times vector (columns,), into `out` (rows,). Four rows at once:
// a number of the vector is fetched once for all four, and four sums grow side by side.
// The matrix may begin anywhere in a larger array.
function multiply(matrix, vector, out, bias, start = 0) {
  const columns = vector.length;
  const rows = out.length;
  let row = 0;
  for (; row + 3 < rows; row += 4) {
    const first = start + row * columns;
    const second = first + columns, third = second + columns, fourth = third + columns;
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < columns; i++) {
      const x = vector[i];
      a += matrix[first + i] * x;
      b += matrix[second + i] * x;
      c += matrix[third + i] * x;
      d += matrix[fourth + i] * x;
    }
    out[row] = a;
    out[row + 1] = b;
    out[row + 2] = c;
    out[row + 3] = d;
  }
  for (; row < rows; row++) {
    const first = start + row * columns;
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += matrix[first + i] * vector[i];
    out[row] = sum;
  }
  if (bias) add(out, bias);
  return out;
}

function add(x, y) {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

// Normalize a stretch of a vector: LayerNorm, or RMSNorm where `centre` is false.
function normalize(x, start, size, { centre, epsilon, weight, bias }, out) {
  let mean = 0;
  if (centre) for (let i = 0; i < size; i++) mean += x[start + i] / size;
  let variance = 0;
  for (let i = 0; i < size; i++) variance += (x[start + i] - mean) ** 2 / size;
  const scale = 1 / Math.sqrt(variance + epsilon);
  for (let i = 0; i < size; i++) {
    out[start + i] = (x[start + i] - mean) * scale * weight[i] + (bias ? bias[i] : 0);
  }
  return out;
}

// The rows of a matrix, each taken as often as its weight says, summed into `out`.
function mix(matrix, weights, out, start) {
  const columns = out.length;
  for (let row = 0; row < weights.length; row++) {
    const weight = weights[row];
    const first = start + row * columns;
    for (let i = 0; i < columns; i++) out[i] += weight * matrix[first + i];
  }
}

// Turn the pairs of channels (i, i + D / 2) of each head by the angles of a position.
function rotate(heads, headDim, position) {
  const half = headDim / 2;
  for (let start = 0; start < heads.length; start += headDim) {
    for (let i = 0; i < half; i++) {
      const angle = position * 10000 ** (-i / half);
      const cos = Math.cos(angle), sin = Math.sin(angle);
      const first = heads[start + i], second = heads[start + half + i];
      heads[start + i] = first * cos - second * sin;
      heads[start + half + i] = second * cos + first * sin;
    }
  }
}

const ACTIVATIONS = {
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  relu2: (x) => Math.max(0, x) ** 2,
  swiglu: (x) => x / (1 + Math.exp(-x)),
};

function softmax(scores) {
  const top = largest(scores);
  const p = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp(scores[i] - top);
  for (let i = 0; i < p.length; i++) p[i] /= sum;
  return p;
}

function largest(scores) {
  let top = -Infinity;
  for (let i = 0; i < scores.length; i++) if (scores[i] > top) top = scores[i];
  return top;
}

class PageModel {
  // `config` has the names of GPTConfig; `tensors` those of the PyTorch model's weights.
  constructor(config, tensors) {
    Object.assign(this, config);
    this.tensors = tensors;
    this.headDim = this.d_model / this.num_heads;
    this.readers = this.num_heads / this.num_kv_heads; // query heads for each key head
  }

  // Keys and values that were read: those of a head lie together, one row a position.
  // Who wants to see whom each head reads gives it a function, `watch`.
  newCache() {
    const size = this.max_seq_len * this.num_kv_heads * this.headDim;
    const layers = Array.from({ length: this.num_layers },
      () => ({ keys: new Float32Array(size), values: new Float32Array(size) }));
    return { length: 0, layers };
  }

  // Read one more id: returns what the stream of this position holds after the blocks.
  read(id, cache) {
    const { tensors, d_model: size } = this;
    const at = cache.length;
    if (at >= this.max_seq_len) throw new Error(`the model reads ${this.max_seq_len} positions`);
    const x = tensors["token_embedding.weight"].slice(id * size, (id + 1) * size);
    if (tensors.positions) for (let i = 0; i < size; i++) x[i] += tensors.positions[at * size + i];
    for (let layer = 0; layer < this.num_layers; layer++) {
      const name = `blocks.${layer}.`;
      add(x, this.attend(this.norm(x, `${name}attention_norm`), name + "attention.", cache, layer));
      if (this.feed_forward === "none") continue;
      add(x, this.feedForward(this.norm(x, `${name}feed_forward_norm`), name + "feed_forward."));
    }
    cache.length += 1;
    return x;
  }

  // Score every possible next id.
  score(x) {
    const weight = this.tensors["head.weight"] ?? this.tensors["token_embedding.weight"];
    return multiply(weight, this.norm(x, "final_norm"), new Float32Array(this.vocab_size));
  }

  norm(x, name) {
    const settings = { centre: this.norm_kind === "layer", epsilon: 1e-5,
      weight: this.tensors[`${name}.weight`], bias: this.tensors[`${name}.bias`] };
    return normalize(x, 0, x.length, settings, new Float32Array(x.length));
  }

  linear(x, name) {
    const weight = this.tensors[`${name}.weight`];
    return multiply(weight, x, new Float32Array(weight.length / x.length), this.tensors[`${name}.bias`]);
  }

  // The query or key heads of one position, normed and turned as the model wants.
  heads(x, name, part, position) {
    const heads = this.linear(x, name + part);
    const weight = this.tensors[`${name}${part}_norm.weight`];
    const settings = { centre: false, epsilon: 2 ** -23, weight }; // torch's for float32
    for (let start = 0; weight && start < heads.length; start += this.headDim) {
      normalize(heads, start, this.headDim, settings, heads);
    }
    if (this.positions === "rotary") rotate(heads, this.headDim, position);
    return heads;
  }

  attend(x, name, cache, layer) {
    const { headDim: D, max_seq_len: limit } = this;
    const { keys, values } = cache.layers[layer];
    const at = cache.length;
    const newKeys = this.heads(x, name, "key", at);
    const newValues = this.linear(x, `${name}value`);
    for (let head = 0; head < this.num_kv_heads; head++) {
      const own = [head * D, (head + 1) * D];
      keys.set(newKeys.subarray(...own), (head * limit + at) * D);
      values.set(newValues.subarray(...own), (head * limit + at) * D);
    }
    const queries = this.heads(x, name, "query", at);
    for (let i = 0; i < queries.length; i++) queries[i] /= Math.sqrt(D);
    const mixed = new Float32Array(queries.length);
    for (let head = 0; head < this.num_heads; head++) {
      const start = Math.floor(head / this.readers) * limit * D; // where its keys begin
      const query = queries.subarray(head * D, (head + 1) * D);
      const weights = softmax(multiply(keys, query, new Float32Array(at + 1), null, start));
      cache.watch?.(layer, head, weights);
      mix(values, weights, mixed.subarray(head * D, (head + 1) * D), start);
    }
    return this.linear(mixed, `${name}output`);
  }

  feedForward(x, name) {
    const bend = ACTIVATIONS[this.feed_forward];
    const up = this.linear(x, `${name}up`);
    if (this.feed_forward !== "swiglu") return this.linear(up.map(bend), `${name}down`);
    const gate = this.linear(x, `${name}gate`);
    return this.linear(up.map((value, i) => bend(gate[i]) * value), `${name}down`);
  }
}

// --- sampling: llm_core.generation --------------------------------------------------------

const OUT = -Infinity;

// Apply the filters in their order to a copy of the logits. A setting that is null, or a
// penalty of 1, changes nothing; equal logits rank by their id.
function filterLogits(logits, ids, { temperature, top_k, top_p, min_p, repetition_penalty }) {
  const z = Float64Array.from(logits);
  for (const id of new Set(ids)) {
    z[id] = logits[id] > 0 ? logits[id] / repetition_penalty : logits[id] * repetition_penalty;
  }
  if (temperature < 1e-6) keepLargest(z, 1);
  else for (let id = 0; id < z.length; id++) z[id] /= temperature;
  if (top_k !== null) keepLargest(z, top_k);
  if (top_p !== null && top_p < 1) keepLargest(z, nucleusSize(z, top_p));
  if (min_p !== null) {
    const top = largest(z);
    for (let id = 0; id < z.length; id++) if (Math.exp(z[id] - top) < min_p) z[id] = OUT;
  }
  return z;
}

// Take all but so many of the largest out.
function keepLargest(z, count) {
  if (count >= z.length) return;
  const bound = z.slice().sort()[z.length - count];
  let room = count; // for those that are as large as the bound
  for (let id = 0; id < z.length; id++) if (z[id] > bound) room -= 1;
  for (let id = 0; id < z.length; id++) {
    if (z[id] < bound || (z[id] === bound && --room < 0)) z[id] = OUT;
  }
}

// How many of the likeliest it takes to hold a share of all chances; one at least.
function nucleusSize(z, share) {
  const rising = softmax(z).sort();
  let mass = 0;
  let size = 0;
  do mass += rising[rising.length - ++size]; while (mass < share && size < rising.length);
  return size;
}

// Draw an id, with a number of 0 to 1 for chance.
function drawId(probabilities, chance) {
  let rest = chance;
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] === 0) continue;
    last = id;
    rest -= probabilities[id];
    if (rest < 0) break;
  }
  return last;
}

// Chance from a seed: the same numbers on every machine (mulberry32). One may begin with
// any of them: `skipped` says how many to leave out.
function randomFrom(seed, skipped = 0) {
  let state = (seed + Math.imul(skipped, 0x6d2b79f5)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// A text that grows by one id at a time, or is taken back to any place, with the model's
// scores at every place that it read. When all positions are taken, the newest half is
// read again from position 0, as llm_core.generation.sample does.
class Writer {
  constructor(model, ids) {
    this.model = model;
    this.half = Math.max(1, Math.floor(model.max_seq_len / 2));
    this.cache = model.newCache();
    this.begin([]);
    this.rewrite(ids);
  }

  // Take ids that are not to be read as the beginning.
  begin(ids) {
    this.ids = [...ids];
    this.start = ids.length; // the place that is read at position 0
    this.starts = new Array(ids.length); // what `start` was at each place
    this.streams = new Array(ids.length); // what the stream held after each id
    this.cache.length = 0;
  }

  push(id) {
    const { model, cache } = this;
    const place = this.ids.push(id) - 1;
    if (cache.length === model.max_seq_len) this.readAgain(place + 1 - this.half, place);
    this.starts.push(this.start);
    this.streams.push(model.read(id, cache));
  }

  readAgain(start, end) {
    this.start = start;
    this.cache.length = 0;
    for (let place = start; place < end; place++) this.model.read(this.ids[place], this.cache);
  }

  // Keep the first ids only.
  cut(length) {
    const start = length ? this.starts[length - 1] : 0;
    for (const list of [this.ids, this.starts, this.streams]) list.length = length;
    if (start !== this.start) this.readAgain(start, length);
    this.cache.length = length - start;
  }

  // Take another text. What it has in common with this one is not read again.
  rewrite(ids) {
    const tooLong = ids.length > this.model.max_seq_len;
    let common = 0;
    while (common < ids.length && ids[common] === this.ids[common]) common++;
    if (tooLong) this.begin(ids.slice(0, -this.half));
    else if (common && this.starts[common - 1] === 0) this.cut(common);
    else this.begin([]);
    for (const id of ids.slice(this.ids.length)) this.push(id);
  }

  // The model's scores for what stands, or will stand, at a place.
  logitsAt(place) {
    const stream = this.streams[place - 1];
    return stream ? this.model.score(stream) : null;
  }

  get logits() { return this.logitsAt(this.ids.length); }
}

// --- a packed model: llm_core.course.page_model ---------------------------------------------

// Weights come as one block of bytes. A matrix is a scale for each row, then its rows in
// whole numbers of 8 bits; everything else is in floats.
function unpack(layout, buffer) {
  const tensors = {};
  let at = 0;
  for (const { name, shape } of layout) {
    const [rows, columns] = shape;
    if (shape.length === 1) {
      tensors[name] = new Float32Array(buffer, at, rows);
      at += 4 * rows;
      continue;
    }
    const scales = new Float32Array(buffer, at, rows);
    const whole = new Int8Array(buffer, at + 4 * rows, rows * columns);
    at += 4 * rows + 4 * Math.ceil((rows * columns) / 4);
    const tensor = tensors[name] = new Float32Array(rows * columns);
    for (let row = 0, i = 0; row < rows; row++) {
      for (const end = i + columns; i < end; i++) tensor[i] = whole[i] * scales[row];
    }
  }
  return tensors;
}

// Make the model and the tokenizer of what `pack` wrote; `weights` is base64 or bytes.
function loadPacked({ config, layout, tokenizer }, weights) {
  const bytes = typeof weights === "string" ? bytesOf(atob(weights))
    : new Uint8Array(weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength));
  return {
    model: new PageModel(config, unpack(layout, bytes.buffer)),
    tokenizer: new PageTokenizer(tokenizer),
  };
}
