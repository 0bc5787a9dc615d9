"""Chapter 00, Setup and tensors: what its exercises ask, and how answers go wrong."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from llm_core.course.checks.judge import (
    Misconception,
    Predict,
    Verdict,
    WriteFunction,
    brief,
    same,
)

# --- 00.1: are you ready? -------------------------------------------------------------


@dataclass(frozen=True)
class SelfTest(Predict):
    """Questions on what the course takes for granted: all are judged at once.

    `topics` says for each question what to read up on if the answer is wrong.
    """

    topics: Mapping[str, str] = field(default_factory=dict)

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a dictionary of answers; never raise."""
        first = super().judge(answer)
        if first.status == "right":
            return Verdict("right", "you have what the course asks for.")
        if first.status == "unsolved":
            return first
        missed = [n for n, right in self.truth().items() if not same(right, answer[n])]
        hints = [f"{name}: {self.hint(name, answer[name])}" for name in missed]
        evidence = {name: brief(answer[name]) for name in missed}
        return Verdict("wrong", " ".join(hints), evidence)

    def hint(self, name: str, value: Any) -> str:
        """Return what led to a wrong answer, if it is known, and what to read."""
        known = self.hints.get((name, repr(value)), "")
        return f"{known} {self.topics[name]}".strip()


def readiness() -> dict[str, Any]:
    """Return the answers to the self-test."""

    def further(x: int, step: int = 2) -> int:
        return x + step

    counts: dict[str, int] = {}
    for letter in "banana":
        counts[letter] = counts.get(letter, 0) + 1
    return {
        "comprehension": [len(w) for w in ["the", "cat", "slept"] if w != "cat"],
        "dictionary": counts["a"],
        "function": further(further(1), step=10),
        "logarithm": math.log2(1 / 8),
        "exponential": math.log(math.exp(2) * math.exp(3)),
        "probability": 1 / 2 * 1 / 2 * 1 / 4,
    }


READY = SelfTest(
    "Are you ready?",
    "answer the six questions",
    readiness,
    {
        ("comprehension", "[3, 3, 5]"): "The condition at the end leaves words out.",
        ("comprehension", "['the', 'slept']"): "The part before `for` is what is kept.",
        ("comprehension", "(3, 5)"): "Square brackets make a list.",
        ("comprehension", "8"): "The brackets make a list, not a sum.",
        (
            "comprehension",
            "[3]",
        ): "The condition says which words stay, and it says !=.",
        ("dictionary", "1"): "The letter comes more than once, and each time adds 1.",
        ("dictionary", "2"): "That is the count of n.",
        ("dictionary", "6"): "That is the sum of all the counts.",
        ("function", "11"): "The inner call runs first, and adds its default step.",
        ("function", "5"): "The outer call names a step of its own.",
        ("function", "21"): "The named step belongs to the outer call alone.",
        ("logarithm", "3"): "That is the logarithm of 8; mind the fraction.",
        ("logarithm", "0.125"): "That is the number itself, not its logarithm.",
        ("logarithm", "-2.0794415416798357"): "That is the natural logarithm.",
        ("exponential", "6"): "Exponents add up when powers are multiplied.",
        (
            "exponential",
            "148.4131591025766",
        ): "The logarithm comes last and undoes exp.",
        ("probability", "1.25"): "A probability cannot be larger than 1.",
        ("probability", "0.25"): "Three letters are drawn, so three chances count.",
        ("probability", "0.125"): "Only the first two letters have the chance 1/2.",
        ("probability", "0.1875"): "That is for any order; here the order is given.",
    },
    topics={
        "comprehension": "Read up on list comprehensions, in the Python tutorial under "
        "“Data Structures”.",
        "dictionary": "Read up on dictionaries, in the same chapter of the tutorial, "
        "and on their method get.",
        "function": "Read up on default and keyword arguments, in the Python tutorial "
        "under “More on Defining Functions”.",
        "logarithm": "Read up on logarithms: log2(8) asks to which power 2 must be "
        "raised to give 8. Below 1 they are negative.",
        "exponential": "Read up on the laws of exponents, and on log and exp, which "
        "undo each other.",
        "probability": "Read up on independent events: the chance that all of them "
        "happen is a product.",
    },
)

# --- 00.2: predict the shapes ---------------------------------------------------------

Shape = tuple[int, ...]
NO_SHAPE = "error"


def shape_of(compute: Callable[[], Tensor]) -> Shape | str:
    """Return a result's shape, or that there is none."""
    try:
        return tuple(compute().shape)
    except RuntimeError:
        return NO_SHAPE


def shapes() -> dict[str, Any]:
    """Return what each line of the exercise gives."""
    x = torch.zeros(2, 5, 8)  # (B, T, C)
    W = torch.zeros(8, 3)  # (C, V)
    a, b = torch.zeros(4), torch.zeros(4, 1)
    lines: dict[str, Callable[[], Tensor]] = {
        "x[:, -1]": lambda: x[:, -1],
        "x[0, 1:]": lambda: x[0, 1:],
        "x.mean(dim=1)": lambda: x.mean(dim=1),
        "x - x.mean(dim=1)": lambda: x - x.mean(dim=1),
        "x - x.mean(dim=1, keepdim=True)": lambda: x - x.mean(dim=1, keepdim=True),
        "x @ W": lambda: x @ W,
        "x @ x.transpose(1, 2)": lambda: x @ x.transpose(1, 2),
        "a - b": lambda: a - b,
    }
    return {line: shape_of(compute) for line, compute in lines.items()}


@dataclass(frozen=True)
class PredictShapes(Predict):
    """Shapes to predict; a list will do for a tuple."""

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a dictionary of shapes; never raise."""
        if isinstance(answer, dict):
            answer = {
                name: tuple(shape) if isinstance(shape, list) else shape
                for name, shape in answer.items()
            }
        return super().judge(answer)

    def hint(self, name: str, value: Any) -> str:
        """Return what led to a wrong shape, as far as it is known."""
        sizes = value if isinstance(value, tuple) else [value]
        if value != NO_SHAPE and not all(isinstance(size, int) for size in sizes):
            return f'{name}: write a shape as a tuple, such as (2, 5), or "error".'
        if isinstance(value, int):
            return f"{name}: that is one number; a shape is a tuple, such as (2, 5)."
        known = self.hints.get((name, value), "")
        if known:
            return f"{name}: {known}"
        if value == NO_SHAPE:
            return f"{name}: this one works; line the shapes up at their right ends."
        return f"{name}: go through its axes one by one; which stay, which go?"


SHAPES = PredictShapes(
    "Predict the shapes",
    'predict the shape that each line gives, or "error"',
    shapes,
    {
        ("x[:, -1]", (2, 5)): "the second index is for T, not for C.",
        ("x[:, -1]", (2, 1, 8)): "a number as an index takes its axis away; the slice "
        "-1: would keep it.",
        ("x[:, -1]", (5, 8)): "the colon keeps all of the first axis.",
        ("x[0, 1:]", (1, 4, 8)): "a number as an index takes its axis away.",
        ("x[0, 1:]", (5, 8)): "1: leaves out the first of five positions.",
        ("x[0, 1:]", (2, 4, 8)): "the 0 chooses one story of the batch.",
        ("x.mean(dim=1)", (2, 5)): "dim counts from 0: dim=1 is T, and C stays.",
        ("x.mean(dim=1)", (5, 8)): "dim counts from 0: dim=1 is T, not B.",
        (
            "x.mean(dim=1)",
            (2, 1, 8),
        ): "that would be keepdim=True; without it, the axis goes.",
        (
            "x - x.mean(dim=1)",
            (2, 5, 8),
        ): "the mean has the shape (2, 8). Line up its 2: "
        "it comes to stand under T, not under B.",
        (
            "x - x.mean(dim=1)",
            (2, 8),
        ): "a difference is never smaller than what goes in.",
        ("x - x.mean(dim=1, keepdim=True)", (2, 1, 8)): "the 1 is stretched to 5.",
        (
            "x - x.mean(dim=1, keepdim=True)",
            NO_SHAPE,
        ): "keepdim leaves a 1 where T was, and a 1 is stretched.",
        ("x @ W", NO_SHAPE): "the last axis of x and the first of W agree: both are C.",
        ("x @ W", (2, 5, 8, 3)): "the two sizes that meet, 8 and 8, are summed away.",
        ("x @ W", (5, 3)): "the batch axis stays: each story has its own product.",
        ("x @ x.transpose(1, 2)", (2, 8, 8)): "(T, C) times (C, T): which of them meet "
        "in the middle?",
        (
            "x @ x.transpose(1, 2)",
            (2, 5, 8),
        ): "(T, C) times (C, T) leaves the outer two.",
        ("x @ x.transpose(1, 2)", (5, 5)): "the batch axis stays.",
        (
            "x @ x.transpose(1, 2)",
            NO_SHAPE,
        ): "axes are counted from 0: this swaps T and C, and then they fit.",
        ("a - b", (4,)): "that would be so if both were (4,). Line them up: the single "
        "axis of a stands under the last one of b, its 1.",
        ("a - b", (4, 1)): "line them up at the right: 4 above 1, and nothing above 4. "
        "Both axes are stretched.",
        (
            "a - b",
            NO_SHAPE,
        ): "that would be kind. Line them up at the right: 4 above 1, "
        "and nothing above 4. The rules allow it.",
    },
)

# --- 00.3: standardize ----------------------------------------------------------------

EPSILON = 1e-5


def standardize(x: Tensor) -> Tensor:
    """Give the C numbers at each position the mean 0 and the variance 1."""
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred**2).mean(dim=-1, keepdim=True)
    return centred / (variance + EPSILON).sqrt()


def over(*dims: int, keepdim: bool = True) -> Callable[[Tensor], Tensor]:
    """Return the mistake of taking the mean and the variance over other axes."""

    def wrong(x: Tensor) -> Tensor:
        centred = x - x.mean(dims, keepdim=keepdim)
        variance = (centred**2).mean(dims, keepdim=keepdim)
        return centred / (variance + EPSILON).sqrt()

    return wrong


NOT_KEPT = (
    "without keepdim=True the mean or the variance, (B, T), is lined up with the last "
    "axes of x, which are T and C: each number meets another position's."
)


def unkept(keeps_mean: bool, correction: int) -> Callable[[Tensor], Tensor]:
    """Return the mistake of losing the axis, of the mean as well or not."""

    def wrong(x: Tensor) -> Tensor:
        mean = x.mean(dim=-1, keepdim=keeps_mean)
        return (x - mean) / (x.var(dim=-1, correction=correction) + EPSILON).sqrt()

    return wrong


def divided(
    by: Callable[[Tensor], Tensor],
) -> Callable[[Tensor], Tensor]:
    """Return the mistake of dividing the centred numbers by something else."""

    def wrong(x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        return centred / by(centred)

    return wrong


def variance(centred: Tensor) -> Tensor:
    """Return the mean square over the last axis, kept."""
    return (centred**2).mean(dim=-1, keepdim=True)


def varied(*shape: int) -> Tensor:
    """Return numbers without a pattern, always the same."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    return torch.randint(-9, 10, shape, generator=generator).float()


STANDARDIZE = WriteFunction(
    "Standardize each position",
    "gives the numbers at each position the mean 0 and the variance 1",
    standardize,
    cases=[
        (varied(3, 3, 3),),  # a cube: every mistake about axes goes through
        (varied(2, 3, 4),),
        (0.01 * varied(2, 2, 6),),
        (torch.full((1, 2, 3), 7.0),),
        (varied(2, 5, 8).transpose(1, 2),),
    ],
    misconceptions=[
        Misconception(NOT_KEPT, over(-1, keepdim=False)),
        *(
            Misconception(NOT_KEPT, unkept(keeps_mean, correction))
            for keeps_mean in (False, True)
            for correction in (0, 1)
        ),
        Misconception(
            "you average over T, dim=1: the positions of a story are mixed. The C "
            "numbers of one position are the last axis, dim=-1.",
            over(1),
        ),
        Misconception(
            "you average over B, dim=0: the stories are mixed. The C numbers of one "
            "position are the last axis, dim=-1.",
            over(0),
        ),
        Misconception(
            "you average over everything, so that all positions share one mean. Name "
            "the axis: dim=-1.",
            over(0, 1, 2),
        ),
        Misconception(
            "you average over T and C together: the positions of a story are mixed.",
            over(1, 2),
        ),
        Misconception(
            "x.var and x.std divide by C - 1 unless told otherwise; the variance asked "
            "for is the mean of the squares: correction=0.",
            divided(lambda c: (variance(c) * c.shape[-1] / (c.shape[-1] - 1)).sqrt()),
        ),
        Misconception(
            "x.var and x.std divide by C - 1 unless told otherwise; the variance asked "
            "for is the mean of the squares: correction=0.",
            divided(
                lambda c: (
                    variance(c) * c.shape[-1] / (c.shape[-1] - 1) + EPSILON
                ).sqrt()
            ),
        ),
        Misconception(
            "you divide by the variance. Its root brings the variance to 1.",
            divided(lambda c: variance(c) + EPSILON),
        ),
        Misconception(
            "you divide by the variance, and leave out the 1e-5. Divide by the root of "
            "the two together.",
            divided(variance),
        ),
        Misconception(
            "where the numbers of a position are all equal, the variance is 0, and "
            "0 / 0 is no number (nan): add 1e-5 before the root.",
            divided(lambda c: variance(c).sqrt()),
        ),
        Misconception(
            "you add 1e-5 after the root. Add it to the variance, before.",
            divided(lambda c: variance(c).sqrt() + EPSILON),
        ),
        Misconception(
            "you take the mean of the sizes |x - mean|, not of the squares.",
            divided(lambda c: c.abs().mean(dim=-1, keepdim=True) + EPSILON),
        ),
        Misconception(
            "you divide by the root of the sum of squares: that gives the length 1. "
            "The variance is their mean.",
            divided(lambda c: ((c**2).sum(-1, keepdim=True) + EPSILON).sqrt()),
        ),
        Misconception(
            "you bring the mean to 0 and leave the variance: divide by its root.",
            lambda x: x - x.mean(dim=-1, keepdim=True),
        ),
        Misconception(
            "you divide by the root of the mean square of x itself; take the mean away "
            "first.",
            lambda x: x / (variance(x) + EPSILON).sqrt(),
        ),
    ],
)

# --- 00.4: split into heads -----------------------------------------------------------


def split_into_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, H * D) -> (B, H, T, D): each head gets its own slice of the channels."""
    B, T, C = x.shape
    return x.view(B, T, num_heads, C // num_heads).transpose(1, 2)


def reshaped(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of asking for the shape, and nothing else."""
    B, T, C = x.shape
    return x.reshape(B, num_heads, T, C // num_heads)


def interleaved(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of dealing the channels out like cards."""
    B, T, C = x.shape
    return x.reshape(B, T, C // num_heads, num_heads).permute(0, 3, 1, 2)


def flipped(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of exchanging time and channels before the cut."""
    B, T, C = x.shape
    return x.transpose(1, 2).reshape(B, num_heads, T, C // num_heads)


def not_moved(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of leaving the heads behind time."""
    B, T, C = x.shape
    return x.reshape(B, T, num_heads, C // num_heads)


def heads_first(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of putting the heads before the batch."""
    return split_into_heads(x, num_heads).transpose(0, 1)


def swapped_inside(x: Tensor, num_heads: int) -> Tensor:
    """Make the mistake of exchanging time and channels inside a head."""
    return split_into_heads(x, num_heads).transpose(2, 3)


def numbered(*shape: int) -> Tensor:
    """Return a tensor that holds 0, 1, 2, … in reading order."""
    return torch.arange(math.prod(shape)).view(shape)


SPLIT = WriteFunction(
    "Split into heads",
    "splits (B, T, C) into heads, (B, H, T, D)",
    split_into_heads,
    cases=[
        (numbered(1, 3, 4), 2),
        (numbered(2, 3, 6), 3),
        (numbered(2, 2, 4), 2),
        (numbered(1, 4, 6), 1),
        (numbered(1, 2, 3), 3),
    ],
    misconceptions=[
        Misconception(
            "the shape is right and the numbers are not: view cuts the storage into "
            "new pieces and moves nothing. The channels of a head are neighbours in C: "
            "cut that axis first, and no other.",
            reshaped,
        ),
        Misconception(
            "you deal the channels out to the heads in turn. Each head should get D "
            "neighbours: cut C into (H, D), not into (D, H).",
            interleaved,
        ),
        Misconception(
            "you exchange T and C before you cut, so a head's row holds one channel of "
            "several positions. Cut C first; exchange T and H afterwards.",
            flipped,
        ),
        Misconception(
            "you cut C into heads, but they still stand behind time: exchange the axes "
            "1 and 2.",
            not_moved,
        ),
        Misconception(
            "the heads come before the batch: the batch axis stays first.", heads_first
        ),
        Misconception(
            "inside a head you exchanged T and D: each row should be one position.",
            swapped_inside,
        ),
        Misconception(
            "you took num_heads for the size of a head. That size is D = C / H.",
            lambda x, num_heads: x.unflatten(-1, (-1, num_heads)).transpose(1, 2),
        ),
        Misconception(
            "each head has C numbers of every position. D is C divided by the number "
            "of heads.",
            lambda x, num_heads: x[:, None].expand(-1, num_heads, -1, -1),
        ),
    ],
)

# --- 00.5: mend the loss --------------------------------------------------------------


def mean_squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """(B, 1), (B,) -> the mean of the squared differences, story by story."""
    return ((predictions[:, 0] - targets) ** 2).mean()


def column(*values: float) -> Tensor:
    """Return numbers as a column, (B, 1)."""
    return torch.tensor(values)[:, None]


LOSS = WriteFunction(
    "Mend the loss",
    "returns the mean squared difference, each prediction against its own target",
    mean_squared_error,
    cases=[
        (column(1.0, 2.0, 3.0), torch.tensor([1.0, 2.0, 3.0])),
        (column(1.0, 2.0, 4.0, 8.0), torch.tensor([2.0, 2.0, 2.0, 2.0])),
        (column(5.0, -1.0), torch.tensor([1.0, 7.0])),
        (column(3.0), torch.tensor([1.0])),
    ],
    misconceptions=[
        Misconception(
            "(B, 1) minus (B,) is (B, B): every prediction is set against every "
            "target. Give both the same shape before you subtract.",
            lambda p, t: ((p - t) ** 2).mean(),
        ),
        Misconception(
            "the pairs are still all against all; now you also add them up.",
            lambda p, t: ((p - t) ** 2).sum(),
        ),
        Misconception(
            "the pairs are still all against all; dividing by B does not mend that.",
            lambda p, t: ((p - t) ** 2).sum() / len(t),
        ),
        Misconception(
            "you add up where the mean is asked for: a larger batch would have a "
            "larger loss.",
            lambda p, t: ((p[:, 0] - t) ** 2).sum(),
        ),
        Misconception(
            "you forgot to square: differences above and below cancel.",
            lambda p, t: (p[:, 0] - t).mean(),
        ),
        Misconception(
            "you take the size of the differences, not their square.",
            lambda p, t: (p[:, 0] - t).abs().mean(),
        ),
        Misconception(
            "you compare the means: predictions that are wrong above and below would "
            "look right. Square each difference, then average.",
            lambda p, t: (p.mean() - t.mean()) ** 2,
        ),
        Misconception(
            "you return a number for each story; the last step, the mean, is missing.",
            lambda p, t: (p[:, 0] - t) ** 2,
        ),
        Misconception(
            "you take the root at the end; the mean of the squares is asked for.",
            lambda p, t: ((p[:, 0] - t) ** 2).mean().sqrt(),
        ),
    ],
)

# --- 00.6: find the place -------------------------------------------------------------

Index = Sequence[int]


def find_place(index: Index, shape: Index) -> int:
    """Return where in storage an index leads, if the tensor lies there in order."""
    place = 0
    for i, size in zip(index, shape, strict=True):
        place = place * size + i
    return place


def by_strides(strides: Callable[[list[int]], list[int]]) -> Callable[..., int]:
    """Return the mistake of computing the strides from a shape in another way."""

    def wrong(index: Index, shape: Index) -> int:
        steps = strides(list(shape))
        return sum(i * step for i, step in zip(index, steps, strict=True))

    return wrong


PLACE = WriteFunction(
    "Find the place",
    "finds an element's place in storage from its index and the shape",
    find_place,
    cases=[
        ((1, 2, 3), (2, 3, 4)),
        ((0, 0), (5, 5)),
        ((2, 1), (3, 2)),
        ((0, 2, 1), (2, 3, 4)),
        ((1, 0, 1, 2), (2, 2, 3, 5)),
        ((4,), (9,)),
    ],
    misconceptions=[
        Misconception(
            "your first index moves fastest. In PyTorch the last one does: its stride "
            "is 1.",
            by_strides(lambda s: [math.prod(s[:axis]) for axis in range(len(s))]),
        ),
        Misconception(
            "you multiply each index by the size of its own axis. A step along an axis "
            "skips everything *behind* it: multiply the sizes of the later axes.",
            by_strides(lambda s: s),
        ),
        Misconception(
            "you multiply by the size of the next axis alone. A step skips all the "
            "later axes: multiply all of their sizes.",
            by_strides(lambda s: [*s[1:], 1]),
        ),
        Misconception(
            "your product of sizes includes the axis itself: every stride is too "
            "large by one axis.",
            by_strides(lambda s: [math.prod(s[axis:]) for axis in range(len(s))]),
        ),
        Misconception(
            "you count from 1. Places count from 0, as indices do.",
            lambda index, shape: find_place(index, shape) + 1,
        ),
        Misconception(
            "you add the indices up, as if every stride were 1.",
            lambda index, shape: sum(index),
        ),
        Misconception(
            "you add the sizes of the later axes; a step skips their product.",
            by_strides(
                lambda s: [sum(s[a + 1 :]) for a in range(len(s) - 1)] + [1][: len(s)]
            ),
        ),
    ],
)

# --- 00.7: windows without a copy -----------------------------------------------------

COPIED = (
    "the numbers are right, but they are copies: a text of a million ids would be kept "
    "many times over. Lay a second set of strides over the same storage."
)


@dataclass(frozen=True)
class WriteView(WriteFunction):
    """A function whose result must lie in the storage of its first argument."""

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a learner's function; never raise."""
        verdict = super().judge(answer)
        if verdict.status != "right":
            return verdict
        arguments = copy.deepcopy(self.cases[0])
        result = answer(*arguments)
        places = [t.untyped_storage().data_ptr() for t in (arguments[0], result)]
        return verdict if places[0] == places[1] else Verdict("wrong", COPIED)


def windows(ids: Tensor, size: int) -> Tensor:
    """(N,) -> (N - size + 1, size): every stretch of so many neighbours."""
    return ids.unfold(0, size, 1)


def strided(
    rows: Callable[[int, int], int], step: Callable[[int, int], int] = lambda s, n: s
) -> Callable[[Tensor, int], Tensor]:
    """Return the mistake of another number of rows, or another step between them."""

    def wrong(ids: Tensor, size: int) -> Tensor:
        stride = ids.stride(0)
        shape = (rows(len(ids), size), size)
        return ids.as_strided(shape, (step(stride, size), stride))

    return wrong


WINDOWS = WriteView(
    "Windows without a copy",
    "lays a window over the ids at every place, without copying any",
    windows,
    cases=[
        (numbered(12)[:6], 3),
        (numbered(10), 4),
        (numbered(6), 6),
        (numbered(5), 1),
        (numbered(12)[3:], 2),
        (numbered(12)[::2], 3),
    ],
    misconceptions=[
        Misconception(
            "your windows follow each other without overlap. The next one should begin "
            "one id later, not one window later.",
            strided(lambda n, size: n // size, lambda stride, size: stride * size),
        ),
        Misconception(
            "one window is missing: the last one ends at the last id. There are "
            "N - size + 1.",
            strided(lambda n, size: n - size),
        ),
        Misconception(
            "you lay a window over every id, and the last ones reach beyond the end. "
            "There are N - size + 1.",
            strided(lambda n, size: n),
        ),
        Misconception(
            "your windows stand in the columns: a row should be a window. Exchange the "
            "two axes.",
            lambda ids, size: ids.unfold(0, size, 1).T,
        ),
        Misconception(
            "all of your rows are the first window: the stride between rows is not 0.",
            strided(lambda n, size: n - size + 1, lambda stride, size: 0),
        ),
        Misconception(
            "the ids may themselves be a view, every second one of a longer text, say: "
            "use ids.stride(0) in place of 1.",
            lambda ids, size: ids.as_strided((len(ids) - size + 1, size), (1, 1)),
        ),
        Misconception(
            "the ids may themselves begin in the middle of a storage. Leave "
            "storage_offset out, and it stays where it is.",
            lambda ids, size: ids.as_strided(
                (len(ids) - size + 1, size), (ids.stride(0), ids.stride(0)), 0
            ),
        ),
        Misconception(
            "the ids may be a part of a longer text: neither does their storage begin "
            "at place 0, nor need it have the stride 1.",
            lambda ids, size: ids.as_strided((len(ids) - size + 1, size), (1, 1), 0),
        ),
    ],
)

EXERCISES = {
    "00.1": READY,
    "00.2": SHAPES,
    "00.3": STANDARDIZE,
    "00.4": SPLIT,
    "00.5": LOSS,
    "00.6": PLACE,
    "00.7": WINDOWS,
}
