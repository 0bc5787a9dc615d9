"""Chapter 05, The block: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction

EPSILON = 1e-5
FOUR = torch.tensor([[[3.0, 5.0, 5.0, 11.0]]])  # mean 6, variance 9
PAIR = torch.tensor([[[3.0, 5.0, 5.0, 11.0], [5.0, 5.0, 9.0, 9.0]]])
TEXT = torch.tensor(
    [
        [[1.0, 2.0, 4.0, 9.0], [0.0, 8.0, 0.0, 0.0], [3.0, 5.0, 5.0, 11.0]],
        [[5.0, 1.0, 1.0, 1.0], [-2.0, 2.0, -6.0, 6.0], [7.0, 7.0, 9.0, 9.0]],
    ]
)  # (B, T, C) = (2, 3, 4)
GAIN, BIAS = torch.tensor([1.0, 2.0, 0.5, -1.0]), torch.tensor([0.0, 1.0, -1.0, 2.0])
ONES, ZEROS = torch.ones(4), torch.zeros(4)
EQUAL = torch.full((1, 1, 4), 2.0)

# --- 05.1: mend the norm --------------------------------------------------------------


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Norm each position of x, (B, T, C), alone; then a gain and a bias by channel."""
    return F.layer_norm(x, x.shape[-1:], gain, bias, eps=EPSILON)


def normed(
    x: Tensor, dim: tuple[int, ...] = (-1,), correction: int = 0, epsilon: str = "under"
) -> Tensor:
    """Return (x - mean) / root of variance, over axes and with epsilon as told."""
    variance = x.var(dim, correction=correction, keepdim=True)
    root = (variance + (EPSILON if epsilon == "under" else 0.0)).sqrt()
    below = root + (EPSILON if epsilon == "beside" else 0.0)
    return (x - x.mean(dim, keepdim=True)) / below


# What may be wrong, and its hint. Where several things are, the first here is told.
AXES = {
    (0, 1, 2): "you take the mean and the variance over the whole tensor, so that each "
    "position depends on all others. Each is normed alone, over its channels: dim=-1, "
    "with keepdim=True.",
    (1, 2): "you take the mean and the variance over time as well as over channels, so "
    "that a position depends on others, even on later ones: dim=-1 alone.",
    (
        1,
    ): "you norm over time, so that a position depends on others, even on later ones. "
    "Norm over the channels, the last axis: dim=-1.",
    (0,): "you norm over the batch, so that a text depends on those beside it; that is "
    "batch norm. Norm over the channels, the last axis: dim=-1.",
    (-1,): "",
}
CORRECTIONS = {
    1: "your variance is divided by C - 1, PyTorch's habit for samples. Layer norm "
    "describes just these C numbers, and divides by C: correction=0, or the mean of "
    "the squares.",
    0: "",
}
EPSILONS = {
    "beside": "you add epsilon to the root, and it belongs under it, to the variance. "
    "Where a position's numbers are small, the two differ.",
    "nowhere": "there is no epsilon. Where all channels are equal the variance is 0, "
    "and 0 / 0 is not a number: add 0.00001 to the variance.",
    "under": "",
}


def norm_like(
    dim: tuple[int, ...], correction: int, epsilon: str
) -> Callable[..., Tensor]:
    """Return a layer norm with these mistakes."""
    return lambda x, gain, bias: normed(x, dim, correction, epsilon) * gain + bias


MEND = WriteFunction(
    "Mend the norm",
    "norms each position of x over its channels, then applies gain and bias",
    layer_norm,
    cases=[
        (PAIR, ONES, ZEROS),
        (TEXT, ONES, ZEROS),
        (TEXT, GAIN, BIAS),
        (FOUR / 1000, ONES, ZEROS),
        (EQUAL, GAIN, BIAS),
    ],
    misconceptions=[
        *[
            Misconception(AXES[d] or CORRECTIONS[c] or EPSILONS[e], norm_like(d, c, e))
            for d, c, e in product(AXES, CORRECTIONS, EPSILONS)
            if AXES[d] or CORRECTIONS[c] or EPSILONS[e]
        ],
        Misconception(
            "the gain is missing: multiply each channel by its own.",
            lambda x, gain, bias: normed(x) + bias,
        ),
        Misconception(
            "the bias is missing: add to each channel its own.",
            lambda x, gain, bias: normed(x) * gain,
        ),
        Misconception(
            "gain and bias are missing: multiply each channel by its gain, and add its "
            "bias.",
            lambda x, gain, bias: normed(x),
        ),
        Misconception(
            "you add the bias before the gain, which then stretches it, too: the gain "
            "first.",
            lambda x, gain, bias: (normed(x) + bias) * gain,
        ),
        Misconception(
            "you divide by the variance. Its root is what has the size of the numbers.",
            lambda x, gain, bias: (
                (x - x.mean(-1, keepdim=True))
                / (x.var(-1, correction=0, keepdim=True) + EPSILON)
                * gain
                + bias
            ),
        ),
        Misconception(
            "the mean is not subtracted before you divide.",
            lambda x, gain, bias: (
                x / (x.var(-1, correction=0, keepdim=True) + EPSILON).sqrt() * gain
                + bias
            ),
        ),
        Misconception(
            "you divide by the root of the mean square, without subtracting the mean: "
            "that is RMS norm, of exercise 05.5.",
            lambda x, gain, bias: rms_norm(x, gain) + bias,
        ),
    ],
)

# --- 05.2: write the block ------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A function with a name, so that a verdict can say what was put in."""

    name: str
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(x)

    def __repr__(self) -> str:
        return self.name


# Stand-ins that give round numbers; none of them can pass for another.
HALVE = Part("halve", lambda x: x / 2)
SUM_OF_PAST = Part("sum_of_past", lambda x: x.cumsum(dim=1))
MINUS_ONE = Part("minus_one", lambda x: x - 1)
SQUARE = Part("square", lambda x: x**2)
PARTS = (HALVE, SUM_OF_PAST, MINUS_ONE, SQUARE)
STREAM = torch.tensor([[[2.0, 4.0], [6.0, 0.0]]])
Block = Callable[[Tensor, Part, Part, Part, Part], Tensor]


def block(
    x: Tensor,
    attention_norm: Part,
    attention: Part,
    feed_forward_norm: Part,
    feed_forward: Part,
) -> Tensor:
    """Return the stream after a pre-norm block."""
    x = x + attention(attention_norm(x))
    return x + feed_forward(feed_forward_norm(x))


def in_turn(step: Callable[[Tensor, Part, Part], Tensor]) -> Block:
    """Return a block whose two halves both make the same mistake."""
    return lambda x, n, a, m, f: step(step(x, n, a), m, f)


WRITE = WriteFunction(
    "Write the block",
    "returns the residual stream after one pre-norm block",
    block,
    cases=[
        (STREAM, *PARTS),
        (STREAM, MINUS_ONE, SUM_OF_PAST, HALVE, SQUARE),
        (-STREAM, SQUARE, SUM_OF_PAST, HALVE, MINUS_ONE),
    ],
    misconceptions=[
        Misconception(
            "you norm the sum, after the addition: that is post-norm. In a pre-norm "
            "block only what a part reads is normed; nothing stands in the stream.",
            in_turn(lambda x, n, f: n(x + f(x))),
        ),
        Misconception(
            "you norm what a part puts out. The norm stands before the part: the part "
            "reads a normed copy of the stream.",
            in_turn(lambda x, n, f: x + n(f(x))),
        ),
        Misconception(
            "you norm before the part and again after the addition. Once, before the "
            "part, is enough; the stream itself is never normed.",
            in_turn(lambda x, n, f: n(x + f(n(x)))),
        ),
        Misconception(
            "you add a part's output to the normed copy, and not to the stream: what "
            "the stream held is normed away with every part.",
            in_turn(lambda x, n, f: n(x) + f(n(x))),
        ),
        Misconception(
            "both parts replace the stream. Add what each puts out to what was there.",
            in_turn(lambda x, n, f: f(n(x))),
        ),
        Misconception(
            "attention replaces the stream: its residual connection is missing.",
            lambda x, n, a, m, f: a(n(x)) + f(m(a(n(x)))),
        ),
        Misconception(
            "feed-forward replaces the stream: its residual connection is missing.",
            lambda x, n, a, m, f: f(m(x + a(n(x)))),
        ),
        Misconception(
            "feed-forward reads the stream as it was before attention. There are such "
            "parallel parts, but here it reads the stream that attention has added to.",
            lambda x, n, a, m, f: x + a(n(x)) + f(m(x)),
        ),
        Misconception(
            "feed-forward reads the right thing, but is added to the old stream: what "
            "attention brought in is lost. Keep the sum, and add to that.",
            lambda x, n, a, m, f: x + f(m(x + a(n(x)))),
        ),
        Misconception(
            "feed-forward reads only what attention put out, and not the stream.",
            lambda x, n, a, m, f: x + a(n(x)) + f(m(a(n(x)))),
        ),
        Misconception(
            "you use one norm for both parts; each has a norm of its own.",
            lambda x, n, a, m, f: block(x, n, a, n, f),
        ),
        Misconception(
            "the two norms have changed places: each belongs to one part.",
            lambda x, n, a, m, f: block(x, m, a, n, f),
        ),
        Misconception(
            "feed-forward reads the stream without its norm.",
            lambda x, n, a, m, f: x + a(n(x)) + f(x + a(n(x))),
        ),
        Misconception(
            "attention reads the stream without its norm.",
            lambda x, n, a, m, f: x + a(x) + f(m(x + a(x))),
        ),
        Misconception(
            "the norms are missing: each part reads a normed copy of the stream.",
            in_turn(lambda x, n, f: x + f(x)),
        ),
        Misconception(
            "feed-forward comes first in yours. First gather, then think: attention "
            "goes first.",
            lambda x, n, a, m, f: block(x, m, f, n, a),
        ),
    ],
)

# --- 05.3: count a block --------------------------------------------------------------

NO_BIAS = "that leaves out the biases: each matrix adds one to each of its outputs."
COUNT = Predict(
    "Count a block",
    "count the parameters of each kind of part",
    lambda: {"attention": 440, "feed_forward": 850, "norms": 40},
    {
        ("attention", 400): NO_BIAS,
        ("attention", 100): "that is one matrix without its bias; there are four.",
        (
            "attention",
            110,
        ): "that is one matrix; query, key, value and output are four.",
        ("attention", 300): "three matrices, without biases: and the output matrix?",
        ("attention", 330): "query, key and value are three; the output matrix is the "
        "fourth.",
        ("attention", 410): "one bias for all four matrices? Each has its own.",
        (
            "attention",
            220,
        ): "heads do not halve anything: each of two heads has half of "
        "the channels, and together they have all.",
        ("attention", 880): "heads do not multiply the matrices: two heads share one "
        "query matrix, half of its outputs each.",
        ("attention", 660): "heads do not multiply the matrices: two heads share one "
        "query matrix, half of its outputs each.",
        ("feed_forward", 800): NO_BIAS,
        (
            "feed_forward",
            400,
        ): "that is one matrix, without its bias: up to 40 and back "
        "down again are two.",
        (
            "feed_forward",
            440,
        ): "that is the way up, to 40; the way back down is missing.",
        ("feed_forward", 410): "that is the way down, from 40; the way up is missing.",
        ("feed_forward", 820): "a bias has one number for each output: 40 on the way "
        "up, 10 on the way down.",
        ("feed_forward", 880): "a bias has one number for each output: 40 on the way "
        "up, 10 on the way down.",
        (
            "feed_forward",
            840,
        ): "the way down has a bias as well, one for each of its 10 outputs.",
        ("feed_forward", 810): "the way up has a bias as well, one for each of its 40 "
        "outputs.",
        ("feed_forward", 220): "the feed-forward part is four times as wide inside.",
        ("norms", 20): "there are two norms in a block, and each has a gain and a bias "
        "for each channel; you have one half of that.",
        ("norms", 10): "a gain for each channel is a quarter of it: there is a bias, "
        "too, and there are two norms.",
        (
            "norms",
            4,
        ): "gain and bias are not one number each, but one for each channel.",
        ("norms", 2): "a norm has a gain and a bias for each channel.",
        ("norms", 0): "mean and variance are not learned; gain and bias are.",
        (
            "norms",
            60,
        ): "two norms: the final norm belongs to the model, not to a block.",
    },
)

# --- 05.4: drop out -------------------------------------------------------------------


def dropout(x: Tensor, kept: Tensor, p: float, training: bool) -> Tensor:
    """Return x without what is not kept, made up for; x itself outside training."""
    return x * kept / (1 - p) if training else x


COINS = torch.tensor([[True, True, False, True], [False, True, True, True]])
NUMBERS = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-3.0, 6.0, 1.0, 0.0]])
DROP = WriteFunction(
    "Drop out",
    "drops what is not kept in training, makes up for it, and else does nothing",
    dropout,
    cases=[
        (NUMBERS, COINS, 0.25, True),
        (NUMBERS, COINS, 0.25, False),
        (NUMBERS, ~COINS, 0.8, True),
        (NUMBERS, torch.ones_like(COINS), 0.0, True),
        (NUMBERS[0], COINS[1], 0.5, False),
    ],
    misconceptions=[
        Misconception(
            "what is left is not scaled up, so that in training everything is smaller "
            "than in evaluation: divide by 1 - p.",
            lambda x, kept, p, training: x * kept if training else x,
        ),
        Misconception(
            "you divide by p, the share that is gone. What is left is the share 1 - p.",
            lambda x, kept, p, training: x * kept / (p if p else 1) if training else x,
        ),
        Misconception(
            "you divide by p, the share that is gone, and that may be 0. What is left "
            "is the share 1 - p.",
            lambda x, kept, p, training: x * kept / p if training else x,
        ),
        Misconception(
            "you multiply by 1 - p and make what is left smaller still: divide by it.",
            lambda x, kept, p, training: x * kept * (1 - p) if training else x,
        ),
        Misconception(
            "you scale in evaluation and not in training. The first paper did; scaling "
            "up in training, as PyTorch does, leaves evaluation nothing to do.",
            lambda x, kept, p, training: x * kept if training else x * (1 - p),
        ),
        Misconception(
            "in evaluation you drop as well. Then nothing may be dropped: return x.",
            lambda x, kept, p, training: x * kept / (1 - p),
        ),
        Misconception(
            "you still drop in evaluation, if without scaling: then return x whole.",
            lambda x, kept, p, training: x * kept / (1 - p if training else 1),
        ),
        Misconception(
            "in evaluation you still scale. Training has made up for what it dropped; "
            "return x as it is.",
            lambda x, kept, p, training: (x * kept if training else x) / (1 - p),
        ),
        Misconception(
            "you drop in evaluation and leave training alone: it is the other way "
            "round.",
            lambda x, kept, p, training: dropout(x, kept, p, not training),
        ),
        Misconception(
            "nothing is dropped, not even in training.",
            lambda x, kept, p, training: x,
        ),
        Misconception(
            "you drop what should be kept: True means that a number stays.",
            lambda x, kept, p, training: dropout(x, ~kept, p, training),
        ),
        Misconception(
            "you scale what is kept by the share that happened to be kept. Use the "
            "chance, 1 - p: by chance all may be dropped, and then you divide by 0.",
            lambda x, kept, p, training: (
                x * kept / kept.float().mean() if training else x
            ),
        ),
        Misconception(
            "you leave out what is dropped, and the shape changes: put a 0 there.",
            lambda x, kept, p, training: x[kept] / (1 - p) if training else x,
        ),
    ],
)

# --- 05.5: RMS norm -------------------------------------------------------------------


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    """Divide each position of x by the root of its mean square; then a gain."""
    return F.rms_norm(x, x.shape[-1:], gain, eps=EPSILON)


def over_root(mean: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mistake of taking the mean square some other way."""
    return lambda x, gain: x / (mean(x.square()) + EPSILON).sqrt() * gain


RMS = WriteFunction(
    "RMS norm",
    "divides each position by the root of its mean square, then applies the gain",
    rms_norm,
    cases=[
        (FOUR, ONES),
        (TEXT, ONES),
        (TEXT, GAIN),
        (FOUR / 1000, ONES),
        (torch.zeros(1, 1, 4), GAIN),
    ],
    misconceptions=[
        Misconception(
            "you subtract the mean, as layer norm does. RMS norm leaves it alone.",
            lambda x, gain: normed(x) * gain,
        ),
        Misconception(
            "the root is missing: the mean square has the size of squares.",
            lambda x, gain: x / (x.square().mean(-1, keepdim=True) + EPSILON) * gain,
        ),
        Misconception(
            "you take the sum of the squares; their mean gives size 1 to the numbers, "
            "and not to the vector.",
            over_root(lambda squares: squares.sum(-1, keepdim=True)),
        ),
        Misconception(
            "you take the mean square over the whole tensor: each position is normed "
            "alone, over its channels.",
            over_root(lambda squares: squares.mean()),
        ),
        Misconception(
            "you take the mean square over time: a position would depend on others. "
            "Norm over the channels, the last axis.",
            over_root(lambda squares: squares.mean(1, keepdim=True)),
        ),
        Misconception(
            "the gain is missing.",
            lambda x, gain: rms_norm(x, torch.ones_like(gain)),
        ),
        Misconception(
            "you add epsilon to the root, and it belongs under it, to the mean square.",
            lambda x, gain: (
                x / (x.square().mean(-1, keepdim=True).sqrt() + EPSILON) * gain
            ),
        ),
        Misconception(
            "there is no epsilon: where all channels are 0 you divide 0 by 0.",
            lambda x, gain: x / x.square().mean(-1, keepdim=True).sqrt() * gain,
        ),
        Misconception(
            "you divide by the root of the variance, for which the mean is subtracted: "
            "take the mean of the squares as they are.",
            lambda x, gain: (
                x / (x.var(-1, correction=0, keepdim=True) + EPSILON).sqrt() * gain
            ),
        ),
        Misconception(
            "you divide by the mean of the sizes without their signs, not by the root "
            "of the mean square.",
            lambda x, gain: x / (x.abs().mean(-1, keepdim=True) + EPSILON) * gain,
        ),
    ],
)

# --- 05.6: GELU by tanh ---------------------------------------------------------------


def gelu(x: Tensor) -> Tensor:
    """Approximate GELU by tanh."""
    return F.gelu(x, approximate="tanh")


def tanh_of(inner: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the mistake of taking tanh of something else."""
    return lambda x: 0.5 * x * (1 + torch.tanh(inner(x)))


ROOT = math.sqrt(2 / math.pi)
BEND = WriteFunction(
    "GELU by tanh",
    "approximates GELU by tanh",
    gelu,
    cases=[
        (torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0]),),
        (torch.tensor([[-100.0, 100.0], [0.1, -0.1]]),),
    ],
    misconceptions=[
        Misconception(
            "that is GELU itself, by the error function. The approximation differs in "
            "the fourth digit, and a model trained with one should run with it.",
            F.gelu,
        ),
        Misconception(
            "that is the other approximation, by the sigmoid of 1.702 x; here tanh is "
            "asked for.",
            lambda x: x * torch.sigmoid(1.702 * x),
        ),
        Misconception("that is ReLU, with its corner.", F.relu),
        Misconception("that is SiLU, x times its sigmoid.", F.silu),
        Misconception(
            "the cubic term is missing: x + 0.044715 x³.", tanh_of(lambda x: ROOT * x)
        ),
        Misconception(
            "the root of 2 / π in front of the bracket is missing.",
            tanh_of(lambda x: x + 0.044715 * x**3),
        ),
        Misconception(
            "you multiply by 2 / π; it is its root.",
            tanh_of(lambda x: 2 / math.pi * (x + 0.044715 * x**3)),
        ),
        Misconception(
            "the root goes over 2 / π, both of them: yours goes over 2 alone.",
            tanh_of(lambda x: math.sqrt(2) / math.pi * (x + 0.044715 * x**3)),
        ),
        Misconception(
            "you multiply the root with x alone: it belongs to the cube as well.",
            tanh_of(lambda x: ROOT * x + 0.044715 * x**3),
        ),
        Misconception(
            "you square x; it is a cube, so that negative numbers keep their sign.",
            tanh_of(lambda x: ROOT * (x + 0.044715 * x**2)),
        ),
        Misconception(
            "you take the cube of 0.044715 x; only x is cubed.",
            tanh_of(lambda x: ROOT * (x + (0.044715 * x) ** 3)),
        ),
        Misconception(
            "the half is missing: large numbers come out doubled.",
            lambda x: 2 * gelu(x),
        ),
        Misconception(
            "the factor x is missing: this is the share, which x is multiplied by.",
            lambda x: 0.5 * (1 + torch.tanh(ROOT * (x + 0.044715 * x**3))),
        ),
        Misconception(
            "the 1 before tanh is missing: shares must lie between 0 and 1.",
            lambda x: 0.5 * x * torch.tanh(ROOT * (x + 0.044715 * x**3)),
        ),
    ],
)

# --- 05.7: down the stack -------------------------------------------------------------

Slopes = list[float]


def gradients(slopes: Slopes, residual: bool) -> Slopes:
    """Return the gradient at each depth, from the bottom to the 1 at the top."""
    found = [1.0]
    for slope in reversed(slopes):
        found.insert(0, found[0] * (1 + slope if residual else slope))
    return found


def upwards(slopes: Slopes, residual: bool) -> Slopes:
    """Make the mistake of multiplying on the way up."""
    return gradients(slopes[::-1], residual)[::-1]


def added_at_the_end(slopes: Slopes, residual: bool) -> Slopes:
    """Make the mistake of adding the stream's 1 to the product, and not to a factor."""
    *below, top = gradients(slopes, False)
    return [each + 1 if residual else each for each in below] + [top]


def summed(slopes: Slopes, residual: bool) -> Slopes:
    """Make the mistake of adding up what should be multiplied."""
    found = [1.0]
    for slope in reversed(slopes):
        found.insert(0, found[0] + slope)
    return found


def slopes_alone(slopes: Slopes, residual: bool) -> Slopes:
    """Make the mistake of returning each part's own factor."""
    return [1 + slope if residual else slope for slope in slopes] + [1.0]


DOWN = WriteFunction(
    "Down the stack",
    "returns the gradient at each depth of a stack, from the bottom to the top",
    gradients,
    cases=[
        ([0.5, 2.0], False),
        ([0.5, 3.0, -0.25], False),
        ([0.5, 2.0], True),
        ([0.5, 3.0, -0.25, -1.0, 2.0], True),
        ([0.1] * 6, False),
        ([], True),
    ],
    misconceptions=[
        Misconception(
            "yours begins at the top. Turn the list round: the bottom comes first.",
            lambda slopes, residual: gradients(slopes, residual)[::-1],
        ),
        Misconception(
            "you multiply on the way up. A gradient comes from the top: what arrives "
            "at a depth has passed the parts above it, not those below.",
            upwards,
        ),
        Misconception(
            "where parts add, the slope of x + f(x) is 1 + s. Yours is s, as if they "
            "replaced.",
            lambda slopes, residual: gradients(slopes, False),
        ),
        Misconception(
            "you always use 1 + s, but parts that replace have the slope s alone.",
            lambda slopes, residual: gradients(slopes, True),
        ),
        Misconception(
            "it is the other way round: 1 + s where parts add, s where they replace.",
            lambda slopes, residual: gradients(slopes, not residual),
        ),
        Misconception(
            "you add 1 to the product of the slopes. Each part has a stream beside it: "
            "multiply by 1 + s at each.",
            added_at_the_end,
        ),
        Misconception(
            "slopes are multiplied along the way, not added: the chain rule.", summed
        ),
        Misconception(
            "these are the parts' own slopes. What arrives at a depth is the product "
            "of all those above it.",
            slopes_alone,
        ),
        Misconception(
            "the 1 at the top is missing: a stack of n parts has n + 1 depths.",
            lambda slopes, residual: gradients(slopes, residual)[:-1],
        ),
        Misconception(
            "that is the gradient at the bottom only; return the one at every depth.",
            lambda slopes, residual: gradients(slopes, residual)[0],
        ),
    ],
)

EXERCISES: dict[str, Any] = {
    "05.1": MEND,
    "05.2": WRITE,
    "05.3": COUNT,
    "05.4": DROP,
    "05.5": RMS,
    "05.6": BEND,
    "05.7": DOWN,
}
