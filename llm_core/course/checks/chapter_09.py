"""Checks for chapter 09: the work of a training, and laws of scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction

# --- 09.1: the bill of a run ----------------------------------------------------------


def billed(
    num_parameters: int,
    num_layers: int,
    d_model: int,
    length: int,
    num_tokens: int,
    *,
    dense: int = 6,
    attention: int = 12,
    keys: Callable[[int], float] = lambda length: (length + 1) / 2,
    layers: Callable[[int], int] = lambda layers: layers,
) -> float:
    """Count the FLOPs of a run; the options make mistakes."""
    read = attention * layers(num_layers) * keys(length) * d_model
    return (dense * num_parameters + read) * num_tokens


def run_flops(
    num_parameters: int, num_layers: int, d_model: int, length: int, num_tokens: int
) -> float:
    """Count the FLOPs of a run whose attention skips what the mask hides."""
    return billed(num_parameters, num_layers, d_model, length, num_tokens)


BILL = WriteFunction(
    "The bill of a run",
    "counts the FLOPs of a training that skips what the mask hides",
    run_flops,
    cases=[
        (22_528, 2, 16, 288, 90_000),
        (1000, 3, 8, 1, 10),
        (124_000_000, 12, 768, 1024, 10_000_000),
        (500, 1, 10, 7, 3),
    ],
    misconceptions=[
        Misconception(
            "this is 6 N D alone; the attention itself is missing: queries with keys, "
            "weights with values.",
            partial(billed, attention=0),
        ),
        Misconception(
            "you count all T keys for every token. The first token of a row reads one "
            "key, the last one T; take the mean.",
            partial(billed, keys=lambda length: length),
        ),
        Misconception(
            "the mean of 1, 2, …, T is (T + 1) / 2, not T / 2: a token reads itself, "
            "too.",
            partial(billed, keys=lambda length: length / 2),
        ),
        Misconception(
            "this is the forward pass; the backward pass costs twice as much again.",
            partial(billed, dense=2, attention=4),
        ),
        Misconception(
            "you take the attention forward only. It is trained through as well: three "
            "times 4 L C for each key.",
            partial(billed, attention=4),
        ),
        Misconception(
            "attention has two products, queries with keys and weights with values; "
            "you count one.",
            partial(billed, attention=6),
        ),
        Misconception(
            "every block has its attention, and you count one block.",
            partial(billed, layers=lambda layers: 1),
        ),
        Misconception(
            "a multiplication and its addition are two FLOPs; you count them as one.",
            partial(billed, dense=3, attention=6),
        ),
        Misconception(
            "you count the backward pass as one forward pass; it has two products for "
            "each one.",
            partial(billed, dense=4, attention=8),
        ),
        Misconception(
            "this is for one token. Multiply by the number of tokens.",
            lambda n, layers, width, length, tokens: billed(
                n, layers, width, length, 1
            ),
        ),
        Misconception(
            "you multiply 6 N by the tokens, and the attention not.",
            lambda n, layers, width, length, tokens: (
                6 * n * tokens + billed(0, layers, width, length, 1)
            ),
        ),
    ],
)

# --- 09.2: fit the law ----------------------------------------------------------------


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return the level at 0 and the slope of the best straight line."""
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    slope = above / sum((a - mean_x) ** 2 for a in x)
    return mean_y - slope * mean_x, slope


def fit_law(
    sizes: Sequence[float], losses: Sequence[float], floor: float
) -> tuple[float, float]:
    """Return a and alpha of floor + a N^-alpha, by least squares in logarithms."""
    gaps = [math.log(loss - floor) for loss in losses]
    level, slope = line([math.log(size) for size in sizes], gaps)
    return math.exp(level), -slope


def fit_otherwise(
    sizes: Sequence[float],
    losses: Sequence[float],
    floor: float,
    *,
    gap: Callable[[float, float], float] = lambda loss, floor: loss - floor,
    log_x: Callable[[float], float] = math.log,
    log_y: Callable[[float], float] = math.log,
    result: Callable[[float, float], Any] = lambda level, slope: (
        math.exp(level),
        -slope,
    ),
) -> Any:
    """Fit with a mistake."""
    gaps = [log_y(gap(loss, floor)) for loss in losses]
    return result(*line([log_x(size) for size in sizes], gaps))


def ends_only(
    sizes: Sequence[float], losses: Sequence[float], floor: float
) -> tuple[float, float]:
    """Draw the line through the first and the last point."""
    return fit_law([sizes[0], sizes[-1]], [losses[0], losses[-1]], floor)


def fit_swapped(
    sizes: Sequence[float], losses: Sequence[float], floor: float
) -> tuple[float, float]:
    """Make the mistake of fitting the size to the gap."""
    gaps = [math.log(loss - floor) for loss in losses]
    level, slope = line(gaps, [math.log(size) for size in sizes])
    return math.exp(level), -slope


def law_case(
    a: float, alpha: float, floor: float, wobble: Sequence[float]
) -> tuple[list[float], list[float], float]:
    """Return sizes and losses near a law."""
    sizes = [10_000.0 * 2**i for i in range(len(wobble))]
    pairs = zip(sizes, wobble, strict=True)
    losses = [floor + a * size**-alpha * (1 + w) for size, w in pairs]
    return sizes, losses, floor


FIT = WriteFunction(
    "Fit the law",
    "finds a and alpha of floor + a · N^-alpha",
    fit_law,
    cases=[
        law_case(300.0, 0.5, 0.3, (0.0, 0.0, 0.0, 0.0)),
        law_case(40.0, 0.3, 0.3, (0.02, -0.01, 0.015, -0.02)),
        law_case(900.0, 0.65, 0.8, (-0.03, 0.04, 0.0, 0.01, -0.02)),
        law_case(12.0, 0.25, 0.0, (0.05, -0.02, 0.01)),
    ],
    misconceptions=[
        Misconception(
            "you take the logarithm of the loss itself. The floor comes off first: "
            "what falls along the law is the gap above it.",
            partial(fit_otherwise, gap=lambda loss, floor: loss),
        ),
        Misconception(
            "this exponent is negative. The slope is -alpha; asked for is alpha.",
            partial(
                fit_otherwise, result=lambda level, slope: (math.exp(level), slope)
            ),
        ),
        Misconception(
            "this is ln a, where the line meets the axis. Take it back with exp.",
            partial(fit_otherwise, result=lambda level, slope: (level, -slope)),
        ),
        Misconception(
            "both mistakes at once: ln a for a, and the slope's sign.",
            partial(fit_otherwise, result=lambda level, slope: (level, slope)),
        ),
        Misconception(
            "the logarithms have base 10, but you take the level back with exp: use 10 "
            "to its power, or natural logarithms.",
            partial(fit_otherwise, log_x=math.log10, log_y=math.log10),
        ),
        Misconception(
            "the logarithms have base 2, but you take the level back with exp: use 2 "
            "to its power, or natural logarithms.",
            partial(fit_otherwise, log_x=math.log2, log_y=math.log2),
        ),
        Misconception(
            "the two logarithms have different bases, so that the slope is not alpha.",
            partial(fit_otherwise, log_x=math.log10),
        ),
        Misconception(
            "you fit a straight line to the gaps themselves. A power is straight when "
            "both axes are logarithms.",
            partial(
                fit_otherwise,
                log_x=float,
                log_y=float,
                result=lambda level, slope: (level, -slope),
            ),
        ),
        Misconception(
            "the size is not in logarithms: a line over N itself is an exponential, "
            "not a power.",
            partial(fit_otherwise, log_x=float),
        ),
        Misconception(
            "you add the floor to the losses. It comes off.",
            partial(fit_otherwise, gap=lambda loss, floor: loss + floor),
        ),
        Misconception(
            "you subtract the floor after the logarithm; it has to come off before.",
            lambda sizes, losses, floor: fit_otherwise(
                sizes,
                losses,
                floor,
                gap=lambda loss, floor: loss,
                log_y=lambda loss: math.log(loss) - floor,
            ),
        ),
        Misconception(
            "your line goes through the first and the last point. Let all of them have "
            "their say: least squares.",
            ends_only,
        ),
        Misconception(
            "return a first, then alpha.",
            partial(
                fit_otherwise, result=lambda level, slope: (-slope, math.exp(level))
            ),
        ),
        Misconception(
            "axes swapped: the size is x, the gap is y.",
            fit_swapped,
        ),
    ],
)


# --- 09.3: mend the forecast ----------------------------------------------------------


def forecast(
    sizes: Sequence[float], losses: Sequence[float], floor: float, size: float
) -> float:
    """Predict the loss of another size."""
    a, alpha = fit_law(sizes, losses, floor)
    return float(floor + a * size**-alpha)


def forecast_otherwise(
    sizes: Sequence[float],
    losses: Sequence[float],
    floor: float,
    size: float,
    *,
    returned: bool = True,
    sign: int = -1,
    subtracted: bool = True,
) -> float:
    """Predict with a mistake."""
    a, alpha = fit_law(sizes, losses, floor if subtracted else 0.0)
    gap = a * size ** (sign * alpha)
    return float(gap + (floor if returned else 0.0))


CASES = [
    (*law_case(300.0, 0.5, 0.3, (0.0, 0.0, 0.0, 0.0)), 200_000.0),
    (*law_case(40.0, 0.3, 0.25, (0.02, -0.01, 0.015, -0.02)), 1e6),
    (*law_case(900.0, 0.65, 0.8, (-0.03, 0.04, 0.0, 0.01)), 5000.0),
]
MEND = WriteFunction(
    "Mend the forecast",
    "predicts the loss of another size",
    forecast,
    cases=CASES,
    misconceptions=[
        Misconception(
            "both faults are still there. Try a size that was among those fitted: the "
            "forecast should come out near its loss.",
            partial(forecast_otherwise, returned=False, sign=1),
        ),
        Misconception(
            "one fault is left: what you return is the gap. The floor that came off "
            "has to be put back.",
            partial(forecast_otherwise, returned=False),
        ),
        Misconception(
            "one fault is left: this loss grows with the size. The slope is negative "
            "already; a power of -alpha falls.",
            partial(forecast_otherwise, sign=1),
        ),
        Misconception(
            "you no longer take the floor off before the fit. The line is straight "
            "only above the floor.",
            partial(forecast_otherwise, subtracted=False, returned=False),
        ),
        Misconception(
            "you add a floor that was not taken off before.",
            partial(forecast_otherwise, subtracted=False),
        ),
    ],
)

# --- 09.4: the best use of a budget ---------------------------------------------------


def split(flops: float, ratio: float) -> tuple[float, float]:
    """Return the parameters and tokens that a budget is best spent on."""
    parameters = math.sqrt(flops / (6 * ratio))
    return parameters, ratio * parameters


SPLIT = WriteFunction(
    "Spend a budget",
    "shares a budget out between parameters and tokens",
    split,
    cases=[(1.2e20, 20.0), (6e12, 5.0), (5.76e23, 20.0), (5.4e9, 1.0)],
    misconceptions=[
        Misconception(
            "the 6 is missing: each token costs six FLOPs for each parameter.",
            lambda flops, ratio: split(6 * flops, ratio),
        ),
        Misconception(
            "this is without the root: N stands in 6 N D twice, since D is ratio times "
            "N.",
            lambda flops, ratio: (flops / 6 / ratio, flops / 6),
        ),
        Misconception(
            "you share the budget equally, N = D. There are `ratio` tokens for each "
            "parameter.",
            lambda flops, ratio: (math.sqrt(flops / 6), math.sqrt(flops / 6)),
        ),
        Misconception(
            "N is right; D is `ratio` times N.",
            lambda flops, ratio: (split(flops, ratio)[0], math.sqrt(flops / 6)),
        ),
        Misconception(
            "these cost `ratio` times the budget: N is smaller by the root of the "
            "ratio, and so that N · D is right, D larger by it.",
            lambda flops, ratio: (
                math.sqrt(flops / 6),
                ratio * math.sqrt(flops / 6),
            ),
        ),
        Misconception(
            "this model has more parameters than its text has tokens: either the ratio "
            "is upside down, or the two are returned in the wrong order.",
            lambda flops, ratio: split(flops, ratio)[::-1],
        ),
    ],
)

# --- 09.5: predict, then run ----------------------------------------------------------


def truths() -> dict[str, Any]:
    """Compute what the exercise asks."""
    return {
        "parameters": 100**0.5,
        "gap": 16**-0.5,
        "share of attention": 2048 / (2048 + 6 * 2048),
    }


PREDICT = Predict(
    "Three predictions",
    "write down three numbers before you run the next cell",
    truths,
    {
        ("parameters", 100): "100 would leave nothing for more tokens: D grows as N "
        "does, and the budget is their product.",
        ("parameters", 50): "half of 100 each for N and D would multiply to 2,500; the "
        "budget is a product.",
        ("parameters", 5): "ask which number, multiplied by itself, is 100.",
        ("gap", 0.5): "0.5 is the exponent. What is 16 to the power of -0.5?",
        ("gap", 4): "the gap becomes smaller, not larger.",
        ("gap", 1 / 16): "this would be an exponent of 1.",
        ("gap", 1 / 8): "this is 16 times one half; it is a power.",
        ("share of attention", 1 / 6): "1/6 is attention against 6 N. Its share is of "
        "both together.",
        ("share of attention", 0.5): "T = C does not make them equal: per parameter, "
        "attention costs T/C and the matrices 6.",
        ("share of attention", 1): "per parameter, attention costs T/C and the "
        "matrices 6.",
    },
)

# --- 09.6: the bottom of the valley ---------------------------------------------------


def optimum(
    flops: float, a: float, alpha: float, b: float, beta: float
) -> tuple[float, float]:
    """Return where A N^-alpha + B D^-beta is least, along 6 N D = flops."""
    balance = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    parameters = balance * (flops / 6) ** (beta / (alpha + beta))
    return parameters, flops / 6 / parameters


def optimum_otherwise(
    flops: float,
    a: float,
    alpha: float,
    b: float,
    beta: float,
    *,
    six: float = 6,
    balance: Callable[[float, float, float, float], float] | None = None,
    power: Callable[[float, float], float] | None = None,
) -> tuple[float, float]:
    """Find another place."""
    quotient = alpha * a / (beta * b)
    if balance is not None:
        quotient = balance(a, alpha, b, beta)
    share = beta / (alpha + beta) if power is None else power(alpha, beta)
    parameters = quotient ** (1 / (alpha + beta)) * (flops / six) ** share
    return parameters, flops / six / parameters


OPTIMUM = WriteFunction(
    "The bottom of the valley",
    "finds the parameters and tokens of the lowest loss for a budget",
    optimum,
    cases=[
        (5.76e23, 406.4, 0.34, 410.7, 0.28),
        (6e12, 50.0, 0.5, 50.0, 0.5),
        (1e18, 482.01, 0.3478, 2085.43, 0.3658),
    ],
    misconceptions=[
        Misconception(
            "you leave out the 6: the tokens that a budget buys are C / 6 N.",
            partial(optimum_otherwise, six=1),
        ),
        Misconception(
            "here both terms are equal. Their sum is least where their slopes cancel, "
            "and the slope of A N^-alpha is -alpha A N^(-alpha - 1).",
            partial(optimum_otherwise, balance=lambda a, alpha, b, beta: a / b),
        ),
        Misconception(
            "the balance is upside down: a larger A asks for a larger model.",
            partial(
                optimum_otherwise,
                balance=lambda a, alpha, b, beta: beta * b / (alpha * a),
            ),
        ),
        Misconception(
            "the model grows with the power beta / (alpha + beta) of the budget: the "
            "slower the data's term falls, the more tokens are needed.",
            partial(
                optimum_otherwise, power=lambda alpha, beta: alpha / (alpha + beta)
            ),
        ),
        Misconception(
            "you let N and D grow alike, by the root of the budget; that holds only "
            "where alpha and beta are equal.",
            partial(optimum_otherwise, power=lambda alpha, beta: 0.5),
        ),
        Misconception(
            "return the parameters first, then the tokens.",
            lambda flops, a, alpha, b, beta: optimum(flops, a, alpha, b, beta)[::-1],
        ),
    ],
)

EXERCISES = {
    "09.1": BILL,
    "09.2": FIT,
    "09.3": MEND,
    "09.4": SPLIT,
    "09.5": PREDICT,
    "09.6": OPTIMUM,
}
