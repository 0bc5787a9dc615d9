"""Chapter 04, Attention: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.course.checks.judge import Find, Misconception, Predict, WriteFunction


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Return numbers of about 1 that are the same on every machine, short to read."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-20, 21, shape, generator=generator) / 10


# --- 04.1: weigh the keys -------------------------------------------------------------


def weigh(q: Tensor, k: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(D)): (T, D), (S, D) -> (T, S)."""
    return (q @ k.T / sqrt(q.shape[1])).softmax(dim=1)


def scaled_by(scale: Callable[[Tensor, Tensor], float]) -> Callable[..., Tensor]:
    """Return the mistake of scaling the scores by something else."""
    return lambda q, k: (q @ k.T / scale(q, k)).softmax(dim=1)


def unit(x: Tensor) -> Tensor:
    """Return the rows with length 1."""
    return F.normalize(x, dim=1)


def causal_by_habit(q: Tensor, k: Tensor) -> Tensor:
    """Make the mistake of masking where nobody asked for it."""
    scores = q @ k.T / sqrt(q.shape[1])
    return scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -inf).softmax(1)


def by_hand(q: Tensor, k: Tensor) -> Tensor:
    """Make the mistake of exponentials that overflow."""
    powers = (q @ k.T / sqrt(q.shape[1])).exp()
    return powers / powers.sum(dim=1, keepdim=True)


WEIGH = WriteFunction(
    "Weigh the keys",
    "turns queries (T, D) and keys (S, D) into weights (T, S)",
    weigh,
    cases=[
        (draw(2, 4), draw(3, 4, seed=1)),
        (draw(3, 9, seed=2), draw(3, 9, seed=3)),
        (draw(1, 16, seed=4), draw(5, 16, seed=5)),
        (draw(4, 2, seed=6), draw(2, 2, seed=7)),
        (draw(2, 1, seed=8), draw(3, 1, seed=9)),
        (40.0 * torch.eye(2, 4), 40.0 * torch.eye(2, 4)),
    ],
    misconceptions=[
        Misconception(
            "your softmax runs over the queries: its columns sum to 1. Each query "
            "spreads its own attention, so each row must sum to 1: dim=-1.",
            lambda q, k: (q @ k.T / sqrt(q.shape[1])).softmax(dim=0),
        ),
        Misconception(
            "your softmax runs over the whole table, so that all the weights together "
            "sum to 1. Each row must: every query has attention of its own.",
            lambda q, k: (
                weigh(q, k) * 0
                + (q @ k.T / sqrt(q.shape[1])).flatten().softmax(0).view(len(q), len(k))
            ),
        ),
        Misconception(
            "the scale is missing: divide the scores by the square root of D.",
            scaled_by(lambda q, k: 1.0),
        ),
        Misconception(
            "you divide by D, or q and k by the root of D each. The standard "
            "deviation of a dot product grows with the square root of D.",
            scaled_by(lambda q, k: q.shape[1]),
        ),
        Misconception(
            "you multiply by the square root of D. The scores are too large already: "
            "divide.",
            scaled_by(lambda q, k: 1 / sqrt(q.shape[1])),
        ),
        Misconception(
            "you take the root of the number of keys. What makes scores large is the "
            "number of channels that a dot product adds up: D.",
            scaled_by(lambda q, k: sqrt(len(k))),
        ),
        Misconception(
            "you take the root of the number of queries. What makes scores large is "
            "the number of channels that a dot product adds up: D.",
            scaled_by(lambda q, k: sqrt(len(q))),
        ),
        Misconception(
            "you divide after the softmax, so that the rows no longer sum to 1. The "
            "scale belongs to the scores.",
            lambda q, k: (q @ k.T).softmax(dim=1) / sqrt(q.shape[1]),
        ),
        Misconception(
            "these are the scores. A softmax makes weights of them, positive and with "
            "the sum 1 in each row.",
            lambda q, k: q @ k.T / sqrt(q.shape[1]),
        ),
        Misconception(
            "these are bare dot products. Divide by the root of D, then take the "
            "softmax of each row.",
            lambda q, k: q @ k.T,
        ),
        Misconception(
            "these are logarithms of the weights: softmax, not log_softmax.",
            lambda q, k: (q @ k.T / sqrt(q.shape[1])).log_softmax(dim=1),
        ),
        Misconception(
            "queries and keys have changed places: row t should be what query t reads, "
            "so the queries come first, q @ k.T.",
            lambda q, k: (k @ q.T / sqrt(q.shape[1])).softmax(dim=1),
        ),
        Misconception(
            "you divide the scores by their sum, without exponentials. Negative scores "
            "then make negative weights.",
            lambda q, k: (q @ k.T) / (q @ k.T).sum(dim=1, keepdim=True),
        ),
        Misconception(
            "you compare directions only. In attention the length counts too: a longer "
            "query asks more sharply, a longer key answers louder.",
            lambda q, k: (unit(q) @ unit(k).T).softmax(dim=1),
        ),
        Misconception(
            "you mask the future, which this exercise does not ask for: here every "
            "query may read every key.",
            causal_by_habit,
        ),
        Misconception(
            "the exponential of a large score overflows, and infinity divided by "
            "infinity is no number. torch's softmax subtracts the largest score first.",
            by_hand,
        ),
    ],
)

# --- 04.2: mend the mask --------------------------------------------------------------


def allowed(scores: Tensor, diagonal: int = 0) -> Tensor:
    """Return where a row may look, with the edge moved by `diagonal`."""
    return torch.ones_like(scores).tril(diagonal) > 0


def mask(scores: Tensor) -> Tensor:
    """Turn scores into weights that leave the future out."""
    return scores.masked_fill(~allowed(scores), -inf).softmax(dim=1)


def filled(number: float) -> Callable[[Tensor], Tensor]:
    """Return the mistake of writing a number that is not small enough."""
    return lambda scores: scores.masked_fill(~allowed(scores), number).softmax(dim=1)


def over(keep: Callable[[Tensor], Tensor], axis: int = 1) -> Callable[[Tensor], Tensor]:
    """Return the mistake of keeping other places, or of another axis."""
    return lambda scores: scores.masked_fill(~keep(scores), -inf).softmax(dim=axis)


def divided_again(scores: Tensor) -> Tensor:
    """Make the mistake of masking weights, and of mending their sum."""
    weights = scores.softmax(dim=1) * allowed(scores)
    return weights / weights.sum(dim=1, keepdim=True)


LARGE = torch.tensor([[1.0, 300.0, 2.0], [0.0, 1.0, 300.0], [2.0, 1.0, 0.0]])
MASK = WriteFunction(
    "Mend the mask",
    "turns scores (T, T) into weights with which no row reads the future",
    mask,
    cases=[
        (draw(3, 3),),
        (draw(5, 5, seed=1),),
        (torch.zeros(4, 4),),
        (torch.ones(1, 1),),
        (LARGE,),
        (draw(3, 3, seed=2).round() - 100_000.0,),
    ],
    misconceptions=[
        Misconception(
            "both faults are still there. Rows are readers and columns what is read: "
            "which triangle is the past? And do the rows sum to 1?",
            lambda scores: scores.softmax(dim=1) * allowed(scores.T).T,
        ),
        Misconception(
            "you hide the past and leave the future open: row t may read columns 0 to "
            "t, the lower triangle.",
            over(lambda scores: allowed(scores).T),
        ),
        Misconception(
            "only the future is left open: row t may read columns 0 to t, and `tril` "
            "or `triu` says which places it keeps.",
            over(lambda scores: ~allowed(scores)),
        ),
        Misconception(
            "the triangle is right, but you mask after the softmax: a row no longer "
            "sums to 1, because the future has taken its share.",
            lambda scores: scores.softmax(dim=1) * allowed(scores),
        ),
        Misconception(
            "you mask after the softmax and divide again. On paper that is the same, "
            "but when a later score is far above the rest, nothing is left to divide.",
            divided_again,
        ),
        Misconception(
            "a score of 0 is not nothing: e to the 0 is 1, and the future gets its "
            "share. What vanishes in a softmax is minus infinity.",
            filled(0.0),
        ),
        Misconception(
            "off by one: your rows may not read themselves, and row 0 has nothing left "
            "to read at all, which ends in nan. Keep the diagonal.",
            over(lambda scores: allowed(scores, -1)),
        ),
        Misconception(
            "off by one: your rows read one place into the future, which is the token "
            "they will have to predict.",
            over(lambda scores: allowed(scores, 1)),
        ),
        Misconception(
            "the mask is right, but the softmax runs down the columns: dim=-1.",
            over(allowed, axis=0),
        ),
        Misconception(
            "the number that you write for the future is not small enough for every "
            "score. Minus infinity always is.",
            filled(-100.0),
        ),
        Misconception(
            "the number that you write for the future is too close to the scores, and "
            "a little weight leaks. Minus infinity leaves nothing.",
            filled(-10.0),
        ),
        Misconception(
            "0 times minus infinity is nan, not 0. Do not multiply by infinity: "
            "`masked_fill` writes it where the mask says so.",
            lambda scores: (scores + (~allowed(scores)) * -inf).softmax(dim=1),
        ),
        Misconception(
            "these are scores; the softmax is missing.",
            lambda scores: scores.masked_fill(~allowed(scores), -inf),
        ),
    ],
)

# --- 04.3: split and merge ------------------------------------------------------------


def split(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, C) -> (B, H, T, D)."""
    B, T, C = x.shape
    return x.view(B, T, num_heads, C // num_heads).transpose(1, 2)


def split_by_view(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of a shape that lies."""
    B, T, C = x.shape
    return x.view(B, num_heads, T, C // num_heads)


def split_apart(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of dealing the channels out like cards."""
    B, T, C = x.shape
    return x.view(B, T, C // num_heads, num_heads).permute(0, 3, 1, 2)


def merge(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, C)."""
    return x.transpose(1, 2).flatten(2)


def merge_by_reshape(x: Tensor) -> Tensor:
    """Make the mistake of a shape that lies."""
    B, H, T, D = x.shape
    return x.reshape(B, T, H * D)


def merge_apart(x: Tensor) -> Tensor:
    """Make the mistake of collecting the channels like cards."""
    return x.permute(0, 2, 3, 1).flatten(2)


def mixer(
    take_apart: Callable[[Tensor, int], Tensor] = split,
    put_together: Callable[[Tensor], Tensor] = merge,
    change: Callable[[Tensor], Tensor] = lambda weights: weights,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the whole way through the heads, with these parts."""

    def mix(x: Tensor, weights: Tensor) -> Tensor:
        return put_together(change(weights) @ take_apart(x, weights.shape[1]))

    return mix


def mix(x: Tensor, weights: Tensor) -> Tensor:
    """Let each head mix its own slice of the channels by its own weights."""
    return mixer()(x, weights)


def without_transpose(x: Tensor, weights: Tensor) -> Tensor:
    """Make the mistake of leaving the heads behind the positions."""
    B, T, C = x.shape
    heads = x.view(B, T, weights.shape[1], C // weights.shape[1])
    return (weights @ heads).reshape(B, T, C)


def maps(B: int, H: int, T: int, seed: int) -> Tensor:
    """Return causal attention weights (B, H, T, T)."""
    scores = draw(B, H, T, T, seed=seed)
    ahead = torch.ones(T, T).triu(1) > 0
    return scores.masked_fill(ahead, -inf).softmax(dim=-1)


def mixing_case(B: int, H: int, T: int, D: int) -> tuple[Tensor, Tensor]:
    """Return x (B, T, H * D) and weights (B, H, T, T)."""
    return torch.arange(float(B * T * H * D)).view(B, T, H * D), maps(B, H, T, seed=T)


MIX = WriteFunction(
    "Split and merge",
    "lets each head mix its own slice of the channels, and puts the slices together",
    mix,
    cases=[
        mixing_case(1, 2, 2, 2),
        mixing_case(1, 2, 3, 2),
        mixing_case(2, 3, 3, 2),
        mixing_case(1, 3, 4, 1),
        mixing_case(2, 1, 3, 4),
        mixing_case(1, 4, 2, 3),
    ],
    misconceptions=[
        Misconception(
            "your split is a view alone. Its shape is right, but each of its rows "
            "holds channels of another token: view as (B, T, H, D), then transpose.",
            mixer(take_apart=split_by_view),
        ),
        Misconception(
            "your split is right; your merge is a reshape alone, and puts channels of "
            "several tokens into one row: transpose back first.",
            mixer(put_together=merge_by_reshape),
        ),
        Misconception(
            "split and merge are both reshapes alone. They undo each other, so there "
            "and back looks right, but in between no row belongs to one token.",
            mixer(split_by_view, merge_by_reshape),
        ),
        Misconception(
            "you deal the channels out like cards: head h gets channels h, h + H, … "
            "It should get one slice of neighbours: view as (B, T, H, D), not D, H.",
            mixer(split_apart, merge_apart),
        ),
        Misconception(
            "your split deals the channels out like cards, and your merge puts slices "
            "together: view as (B, T, H, D), not (B, T, D, H).",
            mixer(take_apart=split_apart),
        ),
        Misconception(
            "your merge collects channels like cards, one from each head in turn. A "
            "head's channels stay together: (B, T, H, D) before the last two join.",
            mixer(put_together=merge_apart),
        ),
        Misconception(
            "the heads stand behind the positions, (B, T, H, D), so that the weights "
            "mix heads and not positions: transpose after the view.",
            without_transpose,
        ),
        Misconception(
            "your weights are transposed: row t says what position t reads.",
            mixer(change=lambda weights: weights.transpose(-2, -1)),
        ),
        Misconception(
            "all your heads mix by the same weights: each has its own.",
            mixer(change=lambda weights: weights[:, :1].expand_as(weights)),
        ),
        Misconception(
            "your heads mix by the mean of all weights: each has its own.",
            mixer(
                change=lambda weights: weights.mean(1, keepdim=True).expand_as(weights)
            ),
        ),
        Misconception(
            "the heads' results are put side by side, not added up: D channels from "
            "each of H heads make C again.",
            mixer(put_together=lambda x: x.sum(dim=1)),
        ),
        Misconception(
            "the heads are still apart: after mixing, merge them to (B, T, C).",
            mixer(put_together=lambda x: x),
        ),
        Misconception(
            "nothing is mixed yet: multiply each head's weights by its values.",
            lambda x, weights: x,
        ),
    ],
)

# --- 04.4: what it costs --------------------------------------------------------------


def cost(T: int, C: int, H: int) -> dict[str, int]:
    """Return what one attention costs, as the chapter counts it."""
    return {
        "parameters": 4 * C * C,
        "projections": 8 * T * C * C,
        "scores": 2 * T * T * C,
        "maps": 4 * H * T * T,
    }


def growth() -> dict[str, Any]:
    """Return by what factor each grows, with twice the text or twice the heads."""
    before, text, heads = cost(512, 128, 4), cost(1024, 128, 4), cost(512, 128, 8)
    factors = {name: text[name] // before[name] for name in before}
    twice = ("scores", "maps")
    return factors | {
        f"{name}, twice the heads": heads[name] // before[name] for name in twice
    }


COST = Predict(
    "Predict the cost",
    "predict the factor by which each grows",
    growth,
    {
        ("parameters", 2): "the matrices are used at every position, and belong to "
        "none: what happens to their size?",
        ("parameters", 4): "the map grows like that, but it is computed, not learned.",
        ("projections", 1): "the matrices stay the same, and are used more often.",
        ("projections", 4): "each position is projected once, whoever else is there.",
        ("scores", 2): "twice as many queries, and each of them meets how many keys?",
        ("scores", 8): "there are two factors of two, queries and keys; the number of "
        "channels stays.",
        ("maps", 2): "twice as many rows, and how long is each?",
        ("maps", 8): "there are two factors of two, rows and columns.",
        ("scores, twice the heads", 2): "twice as many maps, but how many channels "
        "does each dot product add up now?",
        ("scores, twice the heads", 4): "the number of positions has not changed.",
        ("maps, twice the heads", 1): "each head has a map of its own.",
        ("maps, twice the heads", 4): "the number of positions has not changed.",
    },
)

# --- 04.5: a sliding window -----------------------------------------------------------


def window_mask(T: int, window: int) -> Tensor:
    """Return (T, T) of bool: position t reads itself and the window - 1 before it."""
    back = torch.arange(T)[:, None] - torch.arange(T)
    return (back >= 0) & (back < window)


def where(
    keep: Callable[[Tensor, int], Tensor],
) -> Callable[[int, int], Tensor]:
    """Return the mistake of keeping other distances: `keep` gets t - s."""
    return lambda T, window: keep(torch.arange(T)[:, None] - torch.arange(T), window)


def in_blocks(T: int, window: int) -> Tensor:
    """Make the mistake of cutting the text into blocks."""
    t, s = torch.arange(T)[:, None], torch.arange(T)
    return (t >= s) & (t // window == s // window)


WINDOW = WriteFunction(
    "A sliding window",
    "says where a position may look that sees only the newest `window` positions",
    window_mask,
    cases=[(5, 2), (6, 3), (4, 1), (3, 3), (3, 10), (1, 1)],
    misconceptions=[
        Misconception(
            "off by one: the position itself is one of the `window`, so the farthest "
            "it sees is window - 1 back.",
            where(lambda back, window: (back >= 0) & (back <= window)),
        ),
        Misconception(
            "your window ends before the position itself: it belongs to what it sees.",
            where(lambda back, window: (back > 0) & (back <= window)),
        ),
        Misconception(
            "you see too little by one: window positions, counting itself.",
            where(lambda back, window: (back >= 0) & (back < window - 1)),
        ),
        Misconception(
            "your window looks ahead as well: no position sees the future.",
            where(lambda back, window: back.abs() < window),
        ),
        Misconception(
            "your window looks ahead only: rows are readers, columns what is read.",
            where(lambda back, window: (back <= 0) & (-back < window)),
        ),
        Misconception(
            "this is the plain causal mask: the far past should be hidden too.",
            where(lambda back, window: back >= 0),
        ),
        Misconception(
            "you cut the text into blocks, and at the start of a block the past is "
            "gone. The window should slide along with its reader.",
            in_blocks,
        ),
        Misconception(
            "this is True where a position may not look. In this course True means "
            "that it may.",
            lambda T, window: ~window_mask(T, window),
        ),
        Misconception(
            "the places are right, but these are numbers: give a tensor of bool, so "
            "that `~mask` means what it says.",
            lambda T, window: window_mask(T, window).float(),
        ),
    ],
)

# --- 04.6: find a query ---------------------------------------------------------------

# The four keys of the chapter.
KEYS = {
    "green": (2.0, 0.0),
    "umbrella": (0.0, 2.0),
    "gone": (-1.0, -1.0),
    "the": (1.0, 0.0),
}
SHARE = 0.45  # that each of the first two must get


def read_by(query: tuple[float, float]) -> dict[str, float]:
    """Return the weight of each key, without a scale and without a mask."""
    scores = torch.tensor(list(KEYS.values())).double() @ torch.tensor(query).double()
    return dict(zip(KEYS, scores.softmax(0).tolist(), strict=True))


def query_problem(query: Any) -> str:
    """Return what is wrong with the query that should read two tokens, or nothing."""
    try:
        if isinstance(query, str):
            raise TypeError
        x, y = (float(number) for number in query)
    except (TypeError, ValueError):
        return '"shared" should be a query: two numbers, such as (1, 0).'
    if not (abs(x) < inf and abs(y) < inf):
        return "the query's numbers should be finite."
    weights = read_by((x, y))
    green, umbrella = weights["green"], weights["umbrella"]
    if min(green, umbrella) >= SHARE:
        return ""
    shares = f"it gives green {green:.1%} and umbrella {umbrella:.1%}"
    if abs(green - umbrella) > 0.01:
        more = "green" if green > umbrella else "umbrella"
        return f"{shares}: it asks more for {more} than for the other."
    if max(weights, key=weights.__getitem__) in ("green", "umbrella"):
        return f"{shares}: the direction is right. How do you ask more sharply?"
    return f"{shares}: it asks for something else."


def lookup_problem(answer: Any) -> str:
    """Return what is wrong with an answer to 04.6, or nothing."""
    if not isinstance(answer, Mapping) or set(answer) != {"shared", "never"}:
        return 'give a dictionary, {"shared": (x, y), "never": "…"}.'
    if answer["shared"] is None or answer["never"] is None:
        return "one of the two answers is still open."
    problem = query_problem(answer["shared"])
    if problem:
        return problem
    examples = {"green": (1, 0), "umbrella": (0, 1), "gone": (-1, -1)}
    if not isinstance(answer["never"], str) or answer["never"] not in KEYS:
        return f'"never" should be one of {", ".join(KEYS)}.'
    if answer["never"] in examples:
        query = examples[answer["never"]]
        return f"the query {query} reads {answer['never']} most."
    return ""


LOOKUP = Find(
    "Ask the right question",
    'give {"shared": (x, y), "never": "…"}',
    lookup_problem,
)

# --- 04.7: a permutation test ---------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A function from (T, C) to (T, C) that shows its name."""

    name: str
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the layer makes of x."""
        return self.function(x)

    def __repr__(self) -> str:
        return self.name


def attended(x: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Return attention with x as queries, keys and values."""
    scores = x @ x.T / sqrt(x.shape[1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -inf)
    return scores.softmax(dim=1) @ x


def ahead(x: Tensor) -> Tensor:
    """Return where the future is."""
    return torch.ones(len(x), len(x)).triu(1) > 0


def ahead_of_two(x: Tensor) -> Tensor:
    """Return where the future is, but let the first two see each other."""
    hidden = ahead(x)
    hidden[0, 1] = False
    return hidden


def with_positions(x: Tensor) -> Tensor:
    """Return attention to what is where."""
    return attended(x + torch.outer(torch.arange(len(x)) / 4, torch.eye(x.shape[1])[0]))


LAYERS = [
    Layer("attention without a mask", attended),
    Layer("causal attention", lambda x: attended(x, ahead(x))),
    Layer("attention with positions", with_positions),
    Layer("the mean, everywhere", lambda x: x.mean(dim=0).expand_as(x)),
    Layer("the same, backwards", lambda x: x.flip(0)),
    Layer("a mask that spares two", lambda x: attended(x, ahead_of_two(x))),
    Layer("each token alone", lambda x: 2 * x),
    Layer("the sum of neighbours", lambda x: x.roll(1, 0) + x.roll(-1, 0)),
    Layer("sorted", lambda x: x.sort(dim=0).values),
]


def is_order_blind(layer: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Return whether shuffled inputs give the same outputs, shuffled alike."""
    generator = torch.Generator().manual_seed(1)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(4)]
    return all(torch.allclose(layer(x[p]), layer(x)[p], atol=1e-5) for p in orders)


ORDER = torch.tensor([5, 0, 3, 7, 1, 6, 2, 4])  # of eight; not its own inverse


def comparing(
    shuffle: Callable[[Tensor], Tensor],
    back: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[Callable[[Tensor], Tensor], Tensor], bool]:
    """Return a test with this shuffle of the inputs, and this one of the outputs."""
    after = back or shuffle
    return lambda layer, x: torch.allclose(
        layer(shuffle(x)), after(layer(x)), atol=1e-5
    )


def first_two_swapped(x: Tensor) -> Tensor:
    """Return x with its first two rows exchanged."""
    return torch.cat([x[1:2], x[:1], x[2:]])


BLIND = WriteFunction(
    "Is it blind to order?",
    "says whether shuffled inputs give the same outputs, shuffled alike",
    is_order_blind,
    cases=[(layer, draw(8, 4, seed=3)) for layer in LAYERS],
    misconceptions=[
        Misconception(
            "you compare the outputs row by row, but the rows have moved: shuffle the "
            "plain outputs in the same order before you compare.",
            comparing(lambda x: x[ORDER], lambda y: y),
        ),
        Misconception(
            "you shuffle the outputs by the inverse order: what belongs beside "
            "layer(x[order]) is layer(x)[order].",
            comparing(lambda x: x[ORDER], lambda y: y[ORDER.argsort()]),
        ),
        Misconception(
            "you compare sums, and a sum is the same in any order. Compare row by row.",
            lambda layer, x: torch.allclose(
                layer(x[ORDER]).sum(0), layer(x).sum(0), atol=1e-4
            ),
        ),
        Misconception(
            "you compare the outputs in sorted order, so that any row may stand for "
            "any other. Each must be the output of its own token.",
            lambda layer, x: torch.allclose(
                layer(x[ORDER]).sort(dim=0).values,
                layer(x).sort(dim=0).values,
                atol=1e-5,
            ),
        ),
        Misconception(
            "you ask for equal bits. Sums in another order are rounded another way: "
            "torch.allclose.",
            lambda layer, x: torch.equal(layer(x[ORDER]), layer(x)[ORDER]),
        ),
        Misconception(
            "you only turn the order around, and some layers survive that and no other "
            "shuffle: torch.randperm.",
            comparing(lambda x: x.flip(0)),
        ),
        Misconception(
            "you only shift the rows round in a circle, and some layers survive that "
            "and no other shuffle: torch.randperm.",
            comparing(lambda x: x.roll(1, 0)),
        ),
        Misconception(
            "you only exchange the first two rows; the order of the others might "
            "matter: torch.randperm.",
            comparing(first_two_swapped),
        ),
        Misconception(
            "you shuffle the channels. The order in question is that of the rows, the "
            "tokens.",
            comparing(lambda x: x[:, [2, 0, 3, 1]]),
        ),
        Misconception(
            "you answer True whatever the layer does.",
            lambda layer, x: True,
        ),
        Misconception(
            "you answer False whatever the layer does.",
            lambda layer, x: False,
        ),
    ],
)

EXERCISES = {
    "04.1": WEIGH,
    "04.2": MASK,
    "04.3": MIX,
    "04.4": COST,
    "04.5": WINDOW,
    "04.6": LOOKUP,
    "04.7": BLIND,
}
