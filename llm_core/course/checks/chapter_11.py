"""Chapter 11, fast inference: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from llm_core.course.checks.judge import (
    Misconception,
    Predict,
    Raised,
    Returned,
    Verdict,
    WriteFunction,
    run,
)
from llm_core.model import GPTConfig

Attended = tuple[Tensor, Tensor, Tensor]
Rounded = tuple[Tensor, Tensor]
Rule = tuple[float, Tensor]

# --- 11.1: attention with a cache -----------------------------------------------------


def join(old: Tensor, new: Tensor, dim: int = 1) -> Tensor:
    """Put new positions behind old ones."""
    return torch.cat([old, new], dim=dim)


def mix(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    ahead: int | None = 1,
    scaled: bool = True,
    dim: int = -1,
) -> Tensor:
    """Attend from the newest positions, each up to `ahead` - 1 places before itself.

    With `ahead` None nothing is hidden.
    """
    scores = q @ k.transpose(-2, -1) / (q.shape[-1] ** 0.5 if scaled else 1)
    if ahead is not None:
        T, S = scores.shape[-2:]
        future = torch.ones(T, S).triu(diagonal=S - T + ahead).bool()
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(dim=dim) @ v


def attend(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
    """Store, then look: each new position sees the past, itself, and no later one."""
    keys, values = join(keys, k), join(values, v)
    return mix(q, keys, values), keys, values


def joined_and(change: dict[str, Any]) -> Callable[..., Attended]:
    """Return the mistake of joining rightly and then mixing in another way."""

    def act(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
        keys, values = join(keys, k), join(values, v)
        return mix(q, keys, values, **change), keys, values

    return act


def forgetful(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> Attended:
    """Make the mistake of reading the new positions alone."""
    return mix(q, k, v), join(keys, k), join(values, v)


def no_cache(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
    """Make the mistake of having no past at all."""
    return mix(q, k, v), k, v


def stored_late(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> Attended:
    """Make the mistake of looking before the new positions are stored."""
    mixed = mix(q, keys, values, ahead=None)
    return mixed, join(keys, k), join(values, v)


def not_handed_on(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> Attended:
    """Make the mistake of returning the cache as it was."""
    return mix(q, join(keys, k), join(values, v)), keys, values


def only_new(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
    """Make the mistake of returning the new keys and values only."""
    return mix(q, join(keys, k), join(values, v)), k, v


def in_front(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
    """Make the mistake of putting the new positions before the old ones."""
    keys, values = join(k, keys), join(v, values)
    return mix(q, keys, values), keys, values


def as_heads(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Attended:
    """Make the mistake of joining along the axis of heads."""
    keys, values = join(keys, k, dim=0), join(values, v, dim=0)
    return mix(q, keys, values), keys, values


def upper_left(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> Attended:
    """Make the mistake of lining up the first query with the first key."""
    keys, values = join(keys, k), join(values, v)
    return mix(q, keys, values, ahead=1 - keys.shape[1] + q.shape[1]), keys, values


def masked_late(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor
) -> Attended:
    """Make the mistake of hiding the future after the softmax."""
    keys, values = join(keys, k), join(values, v)
    scores = q @ keys.transpose(1, 2) / q.shape[-1] ** 0.5
    T, S = scores.shape[1:]
    past = torch.ones(T, S).tril(diagonal=S - T)
    return scores.softmax(dim=-1) * past @ values, keys, values


@dataclass(frozen=True)
class WriteJoin(WriteFunction):
    """An exercise in which shapes that do not fit mean: joined along a wrong axis."""

    def diagnose(self, runs: Sequence[Returned | Raised], failing: int) -> str:
        """Name the axis where the learner's shapes clash."""
        got = runs[failing]
        if isinstance(got, Raised) and isinstance(got.error, RuntimeError):
            return (
                f"two shapes do not fit ({got.line or got.error}). Join both the keys "
                "and the values, along the axis that counts positions: the second of "
                "(H, P, D)."
            )
        return super().diagnose(runs, failing)


def positions(*sizes: int) -> tuple[Tensor, ...]:
    """Return a case: new q, k, v of (H, T, D), and P old keys and values."""
    seed, H, T, P, D = sizes
    generator = torch.Generator().manual_seed(seed)
    new = torch.randn(3, H, T, D, generator=generator).mul(10).round() / 10
    old = torch.randn(2, H, P, D, generator=generator).mul(10).round() / 10
    return (*new, *old)


CACHED = WriteJoin(
    "Attend with a cache",
    "mixes the values of past and new positions, and hands all of them on",
    attend,
    cases=[
        positions(0, 1, 2, 2, 2),
        positions(1, 2, 1, 3, 4),
        positions(2, 2, 3, 0, 4),
        positions(3, 3, 2, 5, 2),
    ],
    misconceptions=[
        Misconception(
            "you attend to the new positions and return them, and the past is lost. "
            "Join the old keys and values with the new ones first.",
            no_cache,
        ),
        Misconception(
            "what you return is right, but you mix the new values only: the queries "
            "should look at the past, too.",
            forgetful,
        ),
        Misconception(
            "you look before you store: a new position does not read itself. Append "
            "its key and value first, and attend then.",
            stored_late,
        ),
        Misconception(
            "the mixed values are right, but you hand on the cache as it was: at the "
            "next step these positions would be forgotten.",
            not_handed_on,
        ),
        Misconception(
            "the mixed values are right, but you hand on the new keys and values only. "
            "The next step needs the whole past.",
            only_new,
        ),
        Misconception(
            "you put the new positions in front of the old ones. The past comes first.",
            in_front,
        ),
        Misconception(
            "you join along the first axis, so that the past becomes more heads. The "
            "axis of positions is the second of (H, P, D).",
            as_heads,
        ),
        Misconception(
            "nothing is hidden: of several new positions, the earlier ones read the "
            "later ones.",
            joined_and({"ahead": None}),
        ),
        Misconception(
            "your mask begins in the upper left corner, as if the first new query "
            "stood at position 0. It stands behind the whole past: count from the last "
            "query and the last key.",
            upper_left,
        ),
        Misconception(
            "your mask is off by one: no position reads itself.",
            joined_and({"ahead": 0}),
        ),
        Misconception(
            "your mask is off by one: each position reads the one after it.",
            joined_and({"ahead": 2}),
        ),
        Misconception(
            "you set weights to zero after the softmax, so that a row does not sum to "
            "1 any more. Hide the scores before it.",
            masked_late,
        ),
        Misconception(
            "the scores are not divided by the root of D.",
            joined_and({"scaled": False}),
        ),
        Misconception(
            "your softmax goes down the columns, over the queries. Each query shares "
            "its attention among the keys: the last axis.",
            joined_and({"dim": -2}),
        ),
    ],
)

# --- 11.2: eight bits for each weight -------------------------------------------------


def in_bytes(whole: Tensor) -> Tensor:
    """Store whole numbers in 8 bits; what does not fit comes round at the other end."""
    return whole.remainder(256).to(torch.uint8).view(torch.int8)


def quantize(matrix: Tensor) -> Rounded:
    """Round a matrix to multiples of a scale for each row."""
    scale = matrix.abs().amax(dim=1) / 127
    scale = torch.where(scale == 0, 1.0, scale)
    return (matrix / scale[:, None]).round().to(torch.int8), scale


def with_scale(scale_of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Rounded]:
    """Return the mistake of another scale, (R,) or (R, 1), or one for all."""

    def act(matrix: Tensor) -> Rounded:
        scale = scale_of(matrix)
        scale = torch.where(scale == 0, 1.0, scale)
        column = scale[:, None] if scale.ndim == 1 else scale
        return in_bytes((matrix / column).round()), scale

    return act


def with_rounding(rounding: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Rounded]:
    """Return the mistake of rounding in another way."""

    def act(matrix: Tensor) -> Rounded:
        scale = quantize(matrix)[1]
        return rounding(matrix / scale[:, None]).to(torch.int8), scale

    return act


def by_columns(matrix: Tensor) -> Rounded:
    """Make the mistake of a scale for each column."""
    whole, scale = quantize(matrix.T)
    return whole.T, scale


def zeros_forgotten(matrix: Tensor) -> Rounded:
    """Make the mistake of dividing a row of zeros by zero."""
    scale = matrix.abs().amax(dim=1) / 127
    return (matrix / scale[:, None]).nan_to_num().round().to(torch.int8), scale


def from_end_to_end(matrix: Tensor) -> Rounded:
    """Make the mistake of stretching a row from its least to its greatest weight."""
    low, high = matrix.amin(dim=1), matrix.amax(dim=1)
    scale = torch.where(high == low, 1.0, (high - low) / 255)
    return ((matrix - low[:, None]) / scale[:, None] - 128).round().to(
        torch.int8
    ), scale


def turned_round(matrix: Tensor) -> Rounded:
    """Make the mistake of giving the factor that was multiplied by."""
    whole, scale = quantize(matrix)
    return whole, 1 / scale


def back_again(matrix: Tensor) -> Rounded:
    """Make the mistake of returning the rounded weights themselves."""
    whole, scale = quantize(matrix)
    return whole * scale[:, None], scale


@dataclass(frozen=True)
class WriteBytes(WriteFunction):
    """An exercise whose first result has to be stored in 8 bits."""

    def judge(self, answer: Any) -> Verdict:
        """Judge the numbers, and then how they are stored."""
        verdict = super().judge(answer)
        if verdict.status != "right":
            return verdict
        outcome = run(answer, (torch.tensor([[1.0, -2.0]]),))
        assert isinstance(outcome, Returned)
        kind = outcome.value[0].dtype
        if kind == torch.int8:
            return verdict
        hint = (
            f"the numbers are right, but stored as {kind}: nothing is saved yet. "
            "Convert them to torch.int8, after they have been rounded."
        )
        return Verdict("wrong", hint)


QUANTIZE = WriteBytes(
    "Eight bits for each weight",
    "rounds each row to whole numbers from −127 to 127, times a scale",
    quantize,
    cases=[
        (torch.tensor([[1.27, -0.5, 0.018], [-2.54, 0.7, 1.0]]),),
        (torch.tensor([[0.3, -0.9], [40.0, 25.0]]),),
        (torch.tensor([[0.0, 0.0, 0.0], [0.5, -1.0, 0.25]]),),
        (torch.tensor([[-3.0, -1.0, -2.0, -0.4]]),),
        (torch.tensor([[1e-6, -3e-6], [7.0, 7.0], [5.0, -5.0]]),),
    ],
    misconceptions=[
        Misconception(
            "you use one scale for the whole matrix: the largest row dictates it, and "
            "small rows lose nearly all they have.",
            with_scale(
                lambda m: (m.abs().max() / 127).repeat(len(m)),
            ),
        ),
        Misconception(
            "you give a single scale for the whole matrix. Each row should have one of "
            "its own, (R,).",
            with_scale(lambda m: m.abs().max() / 127),
        ),
        Misconception(
            "you divide by 128. The largest weight becomes 128 then, which does not "
            "fit into 8 bits and comes out as −128: the largest positive weight turns "
            "into the largest negative one.",
            with_scale(lambda m: m.abs().amax(dim=1) / 128),
        ),
        Misconception(
            "you divide by 127.5, half of 255. The largest weight is rounded up to 128 "
            "then, which does not fit into 8 bits and comes out as −128.",
            with_scale(lambda m: m.abs().amax(dim=1) / 127.5),
        ),
        Misconception(
            "you divide by 255. The scale is for one side of zero: the largest weight, "
            "of either sign, becomes 127.",
            with_scale(lambda m: m.abs().amax(dim=1) / 255),
        ),
        Misconception(
            "your scale follows the largest weight and ignores the sign: in a row "
            "whose largest weight is negative, numbers below −127 appear. Take the "
            "absolute value first.",
            with_scale(lambda m: m.amax(dim=1) / 127),
        ),
        Misconception(
            "your scales have the shape (R, 1). It should be (R,).",
            with_scale(lambda m: m.abs().amax(dim=1, keepdim=True) / 127),
        ),
        Misconception(
            "you cut off what stands behind the point: to convert to int8 does not "
            "round. Every weight moves towards zero then, twice as far as it has to.",
            with_rounding(torch.trunc),
        ),
        Misconception(
            "you always round down, so that all weights move in one direction. Round "
            "to the nearest.",
            with_rounding(torch.floor),
        ),
        Misconception(
            "your scales belong to the columns. A row of the matrix makes one output, "
            "and should have a scale of its own.",
            by_columns,
        ),
        Misconception(
            "a row of zeros has the scale 0, and 0 / 0 is not a number. Any other "
            "scale will do for it; we ask for 1.",
            zeros_forgotten,
        ),
        Misconception(
            "you stretch each row from its least to its greatest weight, and move it. "
            "That is a sound way as well, but needs a second number for each row: here "
            "0 stays 0, and the scale alone gives the weights back.",
            from_end_to_end,
        ),
        Misconception(
            "your scale is turned round: whole numbers times the scale should give the "
            "weights again.",
            turned_round,
        ),
        Misconception(
            "you return the rounded weights. Return the whole numbers.", back_again
        ),
    ],
)

# --- 11.3: keep or redraw -------------------------------------------------------------


def keep_or_redraw(p: Tensor, q: Tensor, guess: int) -> Rule:
    """Keep min(1, p / q) of the guesses; else draw from what p has more than q."""
    return min(1.0, float(p[guess] / q[guess])), left_over(p, q)


def left_over(p: Tensor, q: Tensor) -> Tensor:
    """Return max(0, p - q), divided by its sum."""
    rest = (p - q).clamp(min=0)
    return rest / rest.sum()


def keeping(chance: Callable[[Tensor, Tensor, int], Any]) -> Callable[..., Rule]:
    """Return the mistake of keeping with another probability."""

    def act(p: Tensor, q: Tensor, guess: int) -> Rule:
        return chance(p, q, guess), left_over(p, q)

    return act


def drawing(rest: Callable[[Tensor, Tensor, int], Tensor]) -> Callable[..., Rule]:
    """Return the mistake of drawing from something else."""

    def act(p: Tensor, q: Tensor, guess: int) -> Rule:
        return keep_or_redraw(p, q, guess)[0], rest(p, q, guess)

    return act


def without_the_guess(p: Tensor, q: Tensor, guess: int) -> Tensor:
    """Make the mistake of p with the guess struck out."""
    others = p.clone()
    others[guess] = 0
    return others / others.sum()


P1, Q1 = torch.tensor([0.6, 0.3, 0.1]), torch.tensor([0.2, 0.5, 0.3])
P2, Q2 = torch.tensor([0.1, 0.4, 0.2, 0.3]), torch.tensor([0.4, 0.1, 0.3, 0.2])
P3, Q3 = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.25, 0.5])

RULE = WriteFunction(
    "Keep or redraw",
    "gives the chance to keep the guess, and what to draw from if it is not kept",
    keep_or_redraw,
    cases=[
        (P1, Q1, 1),
        (P1, Q1, 0),
        (P2, Q2, 0),
        (P2, Q2, 3),
        (P3, Q3, 2),
        (P3, Q3, 1),
    ],
    misconceptions=[
        Misconception(
            "you keep a guess only if it is the likeliest. Tokens that p gives less "
            "would then hardly ever be written.",
            keeping(lambda p, q, guess: float(guess == int(p.argmax()))),
        ),
        Misconception(
            "you keep a guess with probability p(x), as if it had been drawn evenly. "
            "It was drawn from q: compare p with q.",
            keeping(lambda p, q, guess: float(p[guess])),
        ),
        Misconception(
            "your ratio is turned round. A guess that q makes too often is the one to "
            "be kept rarely: p / q.",
            keeping(lambda p, q, guess: min(1.0, float(q[guess] / p[guess]))),
        ),
        Misconception(
            "your chance can be larger than 1. What p gives more often than q is "
            "always kept: 1.",
            keeping(lambda p, q, guess: float(p[guess] / q[guess])),
        ),
        Misconception(
            "you keep with probability min(p, q). That is how often x is guessed *and* "
            "kept; the guess has been made already.",
            keeping(lambda p, q, guess: float(torch.minimum(p, q)[guess])),
        ),
        Misconception(
            "the chance is right; give it as a float, with `.item()`.",
            keeping(lambda p, q, guess: torch.clamp(p[guess] / q[guess], max=1)),
        ),
        Misconception(
            "you draw from all of p. What was guessed and kept is a part of p already: "
            "only what q gives too little is missing.",
            drawing(lambda p, q, guess: p),
        ),
        Misconception(
            "what is left over does not sum to 1. Divide it by its sum.",
            drawing(lambda p, q, guess: (p - q).clamp(min=0)),
        ),
        Misconception(
            "your distribution has negative entries: where q gives more than p, "
            "nothing is missing, so take 0.",
            drawing(lambda p, q, guess: p - q),
        ),
        Misconception(
            "you take the difference of p and q without its sign: tokens that q "
            "guesses too often would be drawn yet again. Only what p has *more* "
            "counts.",
            drawing(lambda p, q, guess: (p - q).abs() / (p - q).abs().sum()),
        ),
        Misconception(
            "your difference is turned round: it holds what q has too much. Draw from "
            "what p has more than q.",
            drawing(lambda p, q, guess: left_over(q, p)),
        ),
        Misconception(
            "you strike the guess out of p. Which token was guessed does not matter "
            "for the second draw: take what p has more than q.",
            drawing(without_the_guess),
        ),
        Misconception(
            "a softmax of the difference gives every token a chance. Clamp it at 0, "
            "and divide by the sum.",
            drawing(lambda p, q, guess: (p - q).softmax(dim=-1)),
        ),
        Misconception(
            "you draw again from the draft: what it guesses too rarely stays missing.",
            drawing(lambda p, q, guess: q),
        ),
    ],
)

# --- 11.4: predict the bill -----------------------------------------------------------

CONTEXT = "twice the context: bytes of the cache"
ROWS = "twice the rows: bytes of the cache"
WEIGHTS = "twice the rows: bytes of the weights read in a step"
HEADS = "a quarter of the key/value heads: bytes of the cache"
BITS = "weights in 4 bits, not 16: bytes of the cache"
CACHED_WORK = "twice the position: FLOPs in the matrices for a token, with a cache"
PLAIN_WORK = "twice the position: FLOPs in the matrices for a token, without"

PREDICT = Predict(
    "Predict the bill",
    "write down seven factors",
    lambda: {
        CONTEXT: 2,
        ROWS: 2,
        WEIGHTS: 1,
        HEADS: 0.25,
        BITS: 1,
        CACHED_WORK: 1,
        PLAIN_WORK: 2,
    },
    {
        (CONTEXT, 4): "the cache holds a key for each token, not for each pair of "
        "tokens: it is the map of attention that grows with the square.",
        (CONTEXT, 1): "every token that is kept needs a place of its own.",
        (ROWS, 1): "rows share the weights, not the cache: what one user wrote is of "
        "no use to another.",
        (ROWS, 4): "each row brings one cache of its own.",
        (
            WEIGHTS,
            2,
        ): "that is the whole point of a batch: the weights are fetched once "
        "for all rows.",
        (
            WEIGHTS,
            0.5,
        ): "for each *row* it is a half; in a step, all weights are fetched as before.",
        (HEADS, 1): "the cache holds keys and values, and there are fewer of them now.",
        (HEADS, 4): "fewer heads of keys and values, fewer numbers to keep.",
        (HEADS, 0.5): "keys *and* values are quartered, and so is their sum.",
        (HEADS, 0.0625): "keys and values are quartered each, and they are added, not "
        "multiplied.",
        (BITS, 0.25): "the weights are smaller now. Keys and values are not weights: "
        "they are computed from the text, and stored as they were.",
        (BITS, 4): "smaller weights leave the cache alone.",
        (
            CACHED_WORK,
            2,
        ): "with a cache only the new token passes through the matrices. "
        "Its *attention* grows with the position, but that is not in the matrices.",
        (PLAIN_WORK, 1): "without a cache every token before it passes through the "
        "matrices again.",
        (PLAIN_WORK, 4): "for the whole text it would be four; for one token it is the "
        "number of positions that are read.",
    },
)

# --- 11.5: the bytes of a cache -------------------------------------------------------


def cache_bytes(
    config: GPTConfig,
    tokens: int,
    rows: int,
    bits: int,
    kinds: int = 2,
    layers: bool = True,
    heads: Callable[[GPTConfig], int] = lambda config: config.key_value_heads,
) -> int:
    """Return the bytes of a key and a value for each layer, head, token and row."""
    numbers = kinds * (config.num_layers if layers else 1) * heads(config)
    return numbers * config.head_dim * tokens * rows * bits // 8


def of_the_config(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of counting max_seq_len instead of the tokens that are there."""
    return cache_bytes(config, config.max_seq_len, rows, bits)


def of_one_row(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of forgetting the rows."""
    return cache_bytes(config, tokens, 1, bits)


def in_bits(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of giving bits."""
    return cache_bytes(config, tokens, rows, 8 * bits)


def in_32_bits(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of four bytes for every number."""
    return cache_bytes(config, tokens, rows, 32)


def of_full_heads(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of heads that have all channels."""
    return config.num_heads * cache_bytes(config, tokens, rows, bits)


def of_pairs(config: GPTConfig, tokens: int, rows: int, bits: int) -> int:
    """Make the mistake of counting pairs of tokens."""
    return tokens * cache_bytes(config, tokens, rows, bits)


SMALL = GPTConfig(vocab_size=100, d_model=48, num_heads=6, num_layers=3, max_seq_len=64)

BYTES = WriteFunction(
    "The bytes of a cache",
    "gives the bytes of all keys and values",
    cache_bytes,
    cases=[
        (SMALL, 10, 3, 16),
        (replace(SMALL, num_kv_heads=2), 7, 1, 32),
        (replace(SMALL, num_kv_heads=1, num_layers=5), 20, 4, 8),
        (replace(SMALL, d_model=96), 64, 2, 4),
    ],
    misconceptions=[
        Misconception(
            "you count keys or values. Both are kept.", partial(cache_bytes, kinds=1)
        ),
        Misconception(
            "you count queries as well: they are asked once, and need not be kept.",
            partial(cache_bytes, kinds=3),
        ),
        Misconception(
            "with grouped queries your cache is as large as without. There are "
            "num_kv_heads heads of keys, and each has D = d_model / num_heads "
            "channels.",
            partial(cache_bytes, heads=lambda config: config.num_heads),
        ),
        Misconception(
            "you count a single layer: each has keys and values of its own.",
            partial(cache_bytes, layers=False),
        ),
        Misconception(
            "you count max_seq_len tokens. Count those that are there.", of_the_config
        ),
        Misconception("you count one row. Each has its own cache.", of_one_row),
        Misconception("your result is in bits. A byte has 8.", in_bits),
        Misconception(
            "you count 4 bytes for a number, whatever `bits` is.", in_32_bits
        ),
        Misconception(
            "each of your heads has all d_model channels. They share them: D = d_model "
            "/ num_heads.",
            of_full_heads,
        ),
        Misconception(
            "you count pairs of tokens. Keys and values belong to one token each.",
            of_pairs,
        ),
    ],
)

# --- 11.6: how many readers -----------------------------------------------------------


def most_rows(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Return how many rows fit, and are served in time."""
    return max(0, (min(memory, bandwidth // least) - weights) // row)


def that_fit(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of looking at the memory only."""
    return max(0, (memory - weights) // row)


def in_time(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of looking at the bandwidth only."""
    return max(0, (bandwidth // least - weights) // row)


def weightless(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of forgetting the weights."""
    return min(memory, bandwidth // least) // row


def fetched_free(
    memory: int, bandwidth: int, weights: int, row: int, least: int
) -> int:
    """Make the mistake of weights that need room, but are not fetched."""
    return max(0, min(memory - weights, bandwidth // least) // row)


def stored_free(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of weights that are fetched, but need no room."""
    return max(0, min(memory, bandwidth // least - weights) // row)


def below_zero(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of a negative number of rows."""
    return (min(memory, bandwidth // least) - weights) // row


def rounded_up(memory: int, bandwidth: int, weights: int, row: int, least: int) -> int:
    """Make the mistake of serving a part of a row."""
    return max(0, -((weights - min(memory, bandwidth // least)) // row))


def weights_for_each(
    memory: int, bandwidth: int, weights: int, row: int, least: int
) -> int:
    """Make the mistake of fetching the weights once for each row."""
    return min(
        max(0, (memory - weights) // row), bandwidth // (least * (weights + row))
    )


def least_of_all(
    memory: int, bandwidth: int, weights: int, row: int, least: int
) -> int:
    """Make the mistake of asking for `least` tokens a second from all rows together."""
    fitting = max(0, (memory - weights) // row)
    is_enough = fitting * bandwidth >= least * (weights + fitting * row)
    return fitting if is_enough else 0


READERS = WriteFunction(
    "How many readers?",
    "gives the largest number of rows that fit and are served in time",
    most_rows,
    cases=[
        (100, 1_000, 20, 3, 20),
        (100, 1_000, 20, 7, 5),
        (80, 3_350, 14, 2, 50),
        (80, 3_350, 14, 2, 300),
        (10, 1_000, 14, 2, 10),
        (1_000, 2_000, 30, 11, 7),
        (100, 50, 20, 3, 20),
    ],
    misconceptions=[
        Misconception(
            "you ask only what fits into the memory. All of it has to be fetched in "
            "each step, and that takes time.",
            that_fit,
        ),
        Misconception(
            "you ask only what can be fetched in time. It must also fit.", in_time
        ),
        Misconception(
            "you leave the weights out. They need room, and are fetched in each step.",
            weightless,
        ),
        Misconception(
            "your weights need room, but no time: they are fetched in each step, too.",
            fetched_free,
        ),
        Misconception(
            "your weights take time, but no room: they lie in the same memory.",
            stored_free,
        ),
        Misconception("fewer than no rows cannot be served: give 0.", below_zero),
        Misconception(
            "you round up: the last row would not fit, or all would be too slow.",
            rounded_up,
        ),
        Misconception(
            "you fetch the weights once for each row. All rows share one fetching: "
            "that is what a batch is for.",
            weights_for_each,
        ),
        Misconception(
            "you ask for `least` tokens a second from all rows together. Each row gets "
            "one token in a step.",
            least_of_all,
        ),
    ],
)

EXERCISES = {
    "11.1": CACHED,
    "11.2": QUANTIZE,
    "11.3": RULE,
    "11.4": PREDICT,
    "11.5": BYTES,
    "11.6": READERS,
}
