"""Chapter 07, The training loop: what its exercises ask for, and how they go wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from math import cos, exp, log, pi, sqrt
from operator import itemgetter

import torch
from torch import Tensor, nn

from llm_core.course.checks.judge import (
    Misconception,
    Predict,
    WriteFunction,
    WriteTraining,
)

# --- 07.1: bits per character ---------------------------------------------------------


def bits_per_character(loss: float, num_tokens: int, num_characters: int) -> float:
    """Turn a mean loss in nats per token into bits per character."""
    return loss / log(2) * num_tokens / num_characters


BITS = WriteFunction(
    "Bits per character",
    "turns nats per token into bits per character",
    bits_per_character,
    cases=[
        (2 * log(2), 100, 400),
        (log(2), 10, 10),
        (1.5, 1000, 4250),
        (7.625, 46_000, 200_000),
        (0.0, 3, 7),
    ],
    misconceptions=[
        Misconception(
            "these are nats per character: one bit is ln 2 nats, so divide by log(2).",
            lambda loss, tokens, characters: loss * tokens / characters,
        ),
        Misconception(
            "you multiply by ln 2. A bit is the smaller unit, so there are more bits "
            "than nats: divide by log(2).",
            lambda loss, tokens, characters: loss * log(2) * tokens / characters,
        ),
        Misconception(
            "tokens and characters stand the wrong way round. A token holds several "
            "characters, which share its bits: the result is smaller than the loss.",
            lambda loss, tokens, characters: loss / log(2) * characters / tokens,
        ),
        Misconception(
            "these are bits per token. The loss is a mean over tokens: times "
            "num_tokens it is the whole cost, which all characters share.",
            lambda loss, tokens, characters: loss / log(2),
        ),
        Misconception(
            "the loss is a mean already, over tokens: first multiply by num_tokens to "
            "have the whole cost.",
            lambda loss, tokens, characters: loss / log(2) / characters,
        ),
        Misconception(
            "these are the bits of the whole text. Share them out among its "
            "characters.",
            lambda loss, tokens, characters: loss / log(2) * tokens,
        ),
        Misconception(
            "you have made a perplexity of it, in which equal steps of loss are no "
            "equal steps any more. Only change the unit: no exponential is needed.",
            lambda loss, tokens, characters: exp(loss * tokens / characters),
        ),
        Misconception(
            "you take a power of 2. Only change the unit: no exponential is needed.",
            lambda loss, tokens, characters: 2 ** (loss * tokens / characters),
        ),
    ],
)

# --- 07.2: one step of AdamW ----------------------------------------------------------

Step = tuple[float, float, float]


def adamw(
    weight: float,
    gradient: float,
    momentum: float,
    variance: float,
    step: int,
    rate: float,
    beta1: float,
    beta2: float,
    decay: float,
    eps: float,
) -> Step:
    """Return weight, momentum and variance after one step of AdamW."""
    momentum = beta1 * momentum + (1 - beta1) * gradient
    variance = beta2 * variance + (1 - beta2) * gradient**2
    corrected = momentum / (1 - beta1**step)
    size = (variance / (1 - beta2**step)) ** 0.5 + eps
    return weight * (1 - rate * decay) - rate * corrected / size, momentum, variance


def faulty(fault: str) -> Callable[..., Step]:
    """Return AdamW with one mistake."""

    def act(
        weight: float,
        gradient: float,
        momentum: float,
        variance: float,
        step: int,
        rate: float,
        beta1: float,
        beta2: float,
        decay: float,
        eps: float,
    ) -> Step:
        if fault == "betas swapped":
            beta1, beta2 = beta2, beta1
        if fault in ("step + 1", "step - 1"):
            step = step + 1 if fault == "step + 1" else step - 1
        if fault == "coupled":
            gradient = gradient + decay * weight
        if "turned round" in fault:
            beta1, beta2 = 1 - beta1, 1 - beta2
        fresh1, fresh2 = (1 - beta1, 1 - beta2) if fault != "sum" else (1.0, 1.0)
        square = abs(gradient) if fault == "no square" else gradient**2
        old = momentum
        momentum = beta1 * momentum + fresh1 * gradient
        variance = beta2 * variance + fresh2 * square
        seen1, seen2 = 1 - beta1**step, 1 - beta2**step
        if fault == "turned round":
            seen1, seen2 = 1 - (1 - beta1) ** step, 1 - (1 - beta2) ** step
        if fault == "uncorrected":
            seen1 = seen2 = 1.0
        if fault == "times":
            seen1, seen2 = 1 - beta1 * step, 1 - beta2 * step
        corrected, v = momentum / seen1, variance / seen2
        size = v**0.5 + eps
        if fault == "eps inside":
            size = (v + eps) ** 0.5
        if fault == "eps first":
            size = (variance**0.5 + eps) / seen2**0.5
        if fault == "no eps":
            size = v**0.5
        if fault == "no root":
            size = v + eps
        if fault == "only momentum corrected":
            size = variance**0.5 + eps
        if fault == "only variance corrected":
            corrected = momentum
        if fault in ("gradient", "stale"):
            corrected = gradient if fault == "gradient" else old / seen1
        kept = {
            "coupled": 1.0,
            "no decay": 1.0,
            "decay alone": 1 - decay,
            "grows": 1 + rate * decay,
        }.get(fault, 1 - rate * decay)
        sign = -1 if fault == "uphill" else 1
        new = kept * weight - sign * rate * corrected / size
        if fault == "decay last":
            new = kept * (weight - rate * corrected / size)
        if fault == "returns corrected":
            return new, corrected, v
        return new, momentum, variance

    return act


ADAMW = WriteTraining(
    "One step of AdamW",
    "makes one step of AdamW",
    adamw,
    # A large eps shows where it stands; a large decay, how it acts.
    cases=[
        (2.0, 0.5, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 0.0, 1e-8),
        (2.0, 0.5, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 0.5, 1e-8),
        (-1.5, -0.25, 0.125, 0.0625, 2, 0.125, 0.75, 0.5, 0.25, 0.3),
        (3.0, 4.0, -0.5, 2.0, 7, 0.01, 0.9, 0.999, 0.1, 1e-8),
        (1.0, 0.0, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 0.1, 1e-8),
    ],
    misconceptions=[
        Misconception(
            "the bias correction is missing: both means began at zero and are too "
            "small at first. Divide them by 1 - beta ** step.",
            faulty("uncorrected"),
        ),
        Misconception(
            "you correct the momentum, but not the variance, which began at zero too.",
            faulty("only momentum corrected"),
        ),
        Misconception(
            "you correct the variance, but not the momentum, which began at zero too.",
            faulty("only variance corrected"),
        ),
        Misconception(
            "you add the decay to the gradient, as Adam before AdamW did. It is then "
            "divided by the root of the variance with everything else. Shrink the "
            "weight itself: times 1 - rate * decay.",
            faulty("coupled"),
        ),
        Misconception(
            "eps stands inside the root. It is added to the root, after it is taken.",
            faulty("eps inside"),
        ),
        Misconception(
            "you add eps before the bias correction. Correct the variance, take the "
            "root, then add eps.",
            faulty("eps first"),
        ),
        Misconception(
            "where gradients have been zero so far, you divide by zero: add eps to the "
            "root.",
            faulty("no eps"),
        ),
        Misconception(
            "you count the steps one too far. The first step is step 1: its correction "
            "divides by 1 - beta.",
            faulty("step + 1"),
        ),
        Misconception(
            "you count the steps from 0, and divide by 1 - beta ** 0 = 0 at the first. "
            "The first step is step 1.",
            faulty("step - 1"),
        ),
        Misconception(
            "you correct with beta * step. With the same gradient at each step, what "
            "is still missing shrinks by beta each time: a power, beta ** step.",
            faulty("times"),
        ),
        Misconception(
            "the weight shrinks by the decay alone. It is a rate's share of it: times "
            "1 - rate * decay.",
            faulty("decay alone"),
        ),
        Misconception(
            "the weight does not decay: the W in AdamW is missing.",
            faulty("no decay"),
        ),
        Misconception(
            "your decay makes the weight grow: times 1 - rate * decay.",
            faulty("grows"),
        ),
        Misconception(
            "you let the step decay as well. The old weight shrinks, then the step is "
            "taken.",
            faulty("decay last"),
        ),
        Misconception(
            "you step along the gradient alone. Step along its running mean, the "
            "momentum.",
            faulty("gradient"),
        ),
        Misconception(
            "you step along the momentum as it was. First let it take in the new "
            "gradient, then step.",
            faulty("stale"),
        ),
        Misconception(
            "you divide by the variance itself. It is a mean of squares: its root is "
            "the size of a gradient.",
            faulty("no root"),
        ),
        Misconception(
            "the variance is the running mean of the gradient's square.",
            faulty("no square"),
        ),
        Misconception(
            "you add up gradients without the factors 1 - beta: a running mean gives "
            "them to what is new.",
            faulty("sum"),
        ),
        Misconception(
            "beta is the share that stays, 1 - beta that of the new gradient; yours "
            "stand the other way round.",
            faulty("turned round"),
        ),
        Misconception(
            "beta is the share that stays, 1 - beta that of the new gradient; yours "
            "stand the other way round, in the corrections too.",
            faulty("turned round everywhere"),
        ),
        Misconception(
            "beta1 belongs to the momentum, beta2 to the variance.",
            faulty("betas swapped"),
        ),
        Misconception(
            "you step with the gradient, uphill. Go against it.",
            faulty("uphill"),
        ),
        Misconception(
            "you return the corrected means. The next step goes on from the running "
            "means themselves; corrected, they would be corrected twice.",
            faulty("returns corrected"),
        ),
        Misconception(
            "return the three in the order weight, momentum, variance.",
            lambda *arguments: itemgetter(0, 2, 1)(adamw(*arguments)),
        ),
    ],
)

# --- 07.3: a schedule in three parts --------------------------------------------------


def schedule(
    step: int, steps: int, warmup_steps: int, decay_steps: int, final: float
) -> float:
    """Up, level, and down in a straight line to `final` at the last step."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    left = min(decay_steps, steps - 1 - step)
    return final + (1 - final) * left / decay_steps


Shape = Callable[[int, int, int, int, float], float]


def ending(end: Callable[[float, float], float], late: int = 0) -> Shape:
    """Return the mistake of another way down: from (share of it left, final)."""

    def act(step: int, steps: int, warmup: int, decay: int, final: float) -> float:
        if step < warmup:
            return (step + 1) / warmup
        left = steps - 1 - step + late
        return 1.0 if left >= decay else end(left / decay, final)

    return act


def beginning(begin: Callable[[int, int], float]) -> Shape:
    """Return the mistake of another way up: from (step, warmup_steps)."""

    def act(step: int, steps: int, warmup: int, decay: int, final: float) -> float:
        if step < warmup:
            return begin(step, warmup)
        return schedule(step, steps, warmup, decay, final)

    return act


def at_once(step: int, steps: int, warmup: int, decay: int, final: float) -> float:
    """Make the mistake of descending from the end of the warm-up on."""
    if step < warmup:
        return (step + 1) / warmup
    return final + (1 - final) * (steps - 1 - step) / max(1, steps - 1 - warmup)


def too_short(step: int, steps: int, warmup: int, decay: int, final: float) -> float:
    """Make the mistake of being still at 1 in the first of the last steps."""
    if step < warmup:
        return (step + 1) / warmup
    left = min(1.0, (steps - 1 - step) / max(1, decay - 1))
    return final + (1 - final) * left


SCHEDULE = WriteFunction(
    "A schedule in three parts",
    "climbs, stays level and comes down to the final share",
    schedule,
    cases=[
        *[(step, 5, 1, 2, 0.0) for step in range(5)],
        *[(step, 20, 4, 5, 0.1) for step in range(20)],
        *[(step, 6, 0, 3, 0.5) for step in range(6)],
        *[(step, 4, 2, 1, 0.25) for step in range(4)],
    ],
    misconceptions=[
        Misconception(
            "your warm-up begins at 0, so that the first batch is read for nothing: "
            "step 0 has the share 1 / warmup_steps.",
            beginning(lambda step, warmup: step / warmup),
        ),
        Misconception(
            "your warm-up takes one step too many: its last step, warmup_steps - 1, "
            "has the share 1.",
            beginning(lambda step, warmup: (step + 1) / (warmup + 1)),
        ),
        Misconception(
            "the warm-up is missing.",
            beginning(lambda step, warmup: 1.0),
        ),
        Misconception(
            "you climb, but never stop climbing: from warmup_steps on the share is 1.",
            lambda step, steps, warmup, decay, final: (
                (step + 1) / max(1, warmup)
                if steps - 1 - step >= decay
                else schedule(step, steps, warmup, decay, final)
            ),
        ),
        Misconception(
            "you come down one step too late, and never arrive. Steps count from 0, "
            "so the last one is steps - 1.",
            ending(lambda left, final: final + (1 - final) * left, late=1),
        ),
        Misconception(
            "you come down to 0. The last step should have the share `final`.",
            ending(lambda left, final: left),
        ),
        Misconception(
            "you come down towards 0 and stop where you meet `final`. The line should "
            "arrive there at the last step only.",
            ending(lambda left, final: max(final, left)),
        ),
        Misconception(
            "you add `final` on top: the way down then begins above 1. What comes down "
            "is the part above `final`, 1 - final.",
            ending(lambda left, final: final + left),
        ),
        Misconception(
            "you fall to `final` at once. Come down in a straight line.",
            ending(lambda left, final: final),
        ),
        Misconception(
            "you come down along a cosine. Here a straight line is asked for.",
            ending(lambda left, final: final + (1 - final) * (1 - cos(pi * left)) / 2),
        ),
        Misconception(
            "you come down from the end of the warm-up on. Stay at 1 until the last "
            "decay_steps.",
            at_once,
        ),
        Misconception(
            "you come down in decay_steps - 1 steps: the first of the last decay_steps "
            "is already below 1.",
            too_short,
        ),
        Misconception(
            "you never come down: the last decay_steps lead to `final`.",
            lambda step, steps, warmup, decay, final: (
                (step + 1) / warmup if step < warmup else 1.0
            ),
        ),
    ],
)

# --- 07.4: mend the clipping ----------------------------------------------------------

Gradients = list[list[float]]


def length_of(gradients: Gradients) -> float:
    """Return the length of all gradients as one list."""
    return sqrt(sum(n * n for n in chain(*gradients)))


def scaled(gradients: Gradients, factor: float) -> Gradients:
    """Return the gradients, every number times a factor."""
    return [[factor * number for number in gradient] for gradient in gradients]


def clip(gradients: Gradients, limit: float) -> Gradients:
    """Shrink all gradients together, if their common length is above the limit."""
    length = length_of(gradients)
    return scaled(gradients, limit / length if length > limit else 1.0)


def one_by_one(gradients: Gradients, limit: float) -> Gradients:
    """Make the mistake of shrinking each gradient by its own length."""
    return [clip([gradient], limit)[0] for gradient in gradients]


CLIP = WriteFunction(
    "Mend the clipping",
    "shrinks all gradients together to a length of at most the limit",
    clip,
    cases=[
        ([[3.0, 4.0], [12.0]], 6.5),
        ([[3.0, 4.0], [12.0]], 1.0),
        ([[3.0, -4.0]], 10.0),
        ([[-6.0], [0.0, 8.0], [0.0]], 5.0),
        ([[1.0, 2.0], [2.0, 4.0]], 5.0),
        ([[0.0, 0.0], [0.0]], 1.0),
    ],
    misconceptions=[
        Misconception(
            "both faults are still there: each gradient has a length of its own, and "
            "short ones are stretched.",
            lambda gradients, limit: [
                scaled([gradient], limit / length_of([gradient]))[0]
                for gradient in gradients
            ],
        ),
        Misconception(
            "you shrink each gradient by its own length. That changes the direction "
            "in which the model moves: take one length over all of them.",
            one_by_one,
        ),
        Misconception(
            "you stretch gradients that are short. Small gradients mean that little is "
            "left to learn: a factor above 1 must not happen.",
            lambda gradients, limit: scaled(gradients, limit / length_of(gradients)),
        ),
        Misconception(
            "where all gradients are zero, there is no length to divide by, and "
            "nothing to shrink: look whether the length is above the limit first.",
            lambda gradients, limit: scaled(
                gradients, min(1.0, limit / length_of(gradients))
            ),
        ),
        Misconception(
            "you cut off single numbers. That changes the direction: shrink all of "
            "them by the same factor.",
            lambda gradients, limit: [
                [max(-limit, min(limit, n)) for n in gradient] for gradient in gradients
            ],
        ),
        Misconception(
            "the length is the root of the sum of squares; you left out the root.",
            lambda gradients, limit: scaled(
                gradients, min(1.0, limit / max(limit, length_of(gradients) ** 2))
            ),
        ),
        Misconception(
            "you add up the lengths of the gradients. Add up the squares of all "
            "numbers, and take one root.",
            lambda gradients, limit: scaled(
                gradients, limit / max(limit, sum(length_of([g]) for g in gradients))
            ),
        ),
        Misconception(
            "you take the largest number for the length. It is the root of the sum of "
            "all squares.",
            lambda gradients, limit: scaled(
                gradients,
                limit
                / max(limit, *(abs(n) for gradient in gradients for n in gradient)),
            ),
        ),
        Misconception(
            "you shrink to the length 1, whatever the limit is.",
            lambda gradients, limit: scaled(
                gradients,
                1 / length_of(gradients) if length_of(gradients) > limit else 1.0,
            ),
        ),
    ],
)

# --- 07.5: accumulate unequal pieces --------------------------------------------------


def combine(gradients: Gradients, factors: list[float]) -> list[float]:
    """Return the sum of the gradients, each times its factor."""
    columns = zip(*gradients, strict=True)
    return [
        sum(f * n for f, n in zip(factors, column, strict=True)) for column in columns
    ]


def accumulate(gradients: Gradients, num_targets: list[int]) -> list[float]:
    """Return the gradient of the mean loss over all targets."""
    total = sum(num_targets)
    return combine(gradients, [count / total for count in num_targets])


ACCUMULATE = WriteTraining(
    "Accumulate unequal pieces",
    "gives the gradient of the mean over all targets",
    accumulate,
    cases=[
        ([[1.0, 4.0], [3.0, 0.0]], [10, 30]),
        ([[2.0], [4.0], [9.0]], [1, 2, 5]),
        ([[0.5, -0.5, 1.0]], [7]),
        ([[8.0, 1.0], [5.0, 6.0]], [0, 3]),
        ([[1.0], [2.0], [4.0], [6.0]], [2, 2, 2, 2]),
    ],
    misconceptions=[
        Misconception(
            "you take the mean of the pieces, so that a target in a small piece "
            "counts more than one in a large piece. Weigh each piece by its targets.",
            lambda gradients, counts: combine(
                gradients, [1 / len(counts)] * len(counts)
            ),
        ),
        Misconception(
            "you add the gradients up, as backward() does by itself. A mean is "
            "asked for.",
            lambda gradients, counts: combine(gradients, [1.0] * len(counts)),
        ),
        Misconception(
            "this is the gradient of the sum over all targets: divide by how many "
            "there are in all.",
            lambda gradients, counts: combine(gradients, [float(n) for n in counts]),
        ),
        Misconception(
            "you weigh each piece by its targets, and then divide by the number of "
            "pieces. Divide by the number of all targets.",
            lambda gradients, counts: combine(
                gradients, [n / len(counts) for n in counts]
            ),
        ),
        Misconception(
            "each gradient belongs to a mean already, and you divide by the number of "
            "its targets once more: multiply by it.",
            lambda gradients, counts: combine(gradients, [1 / n for n in counts]),
        ),
        Misconception(
            "you divide the plain sum by the number of all targets. Each piece is a "
            "mean: weigh it by its own targets first.",
            lambda gradients, counts: combine(
                gradients, [1 / sum(counts)] * len(counts)
            ),
        ),
        Misconception(
            "only the last piece is left: add the pieces up.",
            lambda gradients, counts: gradients[-1],
        ),
    ],
)

# --- 07.6: mend the loop --------------------------------------------------------------

Batch = tuple[Tensor, Tensor]


class ModelMaker:
    """Makes the same network at every call; dropout draws the same numbers after it."""

    def __call__(self) -> nn.Module:
        """Return the network, and set the seed."""
        torch.manual_seed(0)
        layers = nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 1)
        return nn.Sequential(*layers).double()

    def __repr__(self) -> str:
        return "make_model"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelMaker)

    def __hash__(self) -> int:
        return 0


def made_up(count: int) -> list[Batch]:
    """Return batches of a simple task: the sum of two numbers."""
    generator = torch.Generator().manual_seed(1)
    shape = (count, 3, 2)
    inputs = torch.randn(shape, generator=generator, dtype=torch.float64)
    inputs = inputs.round(decimals=1)
    return [(rows, rows.sum(dim=1, keepdim=True)) for rows in inputs]


def loop(
    make_model: ModelMaker, batches: list[Batch], held_out: Batch, rate: float
) -> list[float]:
    """Train with dropout, measure without, with gradients of one batch each."""
    return train_with("")(make_model, batches, held_out, rate)


def train_with(fault: str) -> Callable[..., list[float]]:
    """Return the loop with one mistake, or two."""

    def act(
        make_model: ModelMaker, batches: list[Batch], held_out: Batch, rate: float
    ) -> list[float]:
        model, measured = make_model(), []
        for inputs, targets in batches:
            if "never trains" not in fault:
                model.train("always rests" not in fault)
            if "adds up" not in fault:
                model.zero_grad()
            torch.autograd.backward((model(inputs) - targets).square().mean())
            if "too late" in fault:
                model.zero_grad(set_to_none="none left" in fault)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(rate * parameter.grad)  # type: ignore[operator]
            model.train("drops" in fault)
            loss = (model(held_out[0]) - held_out[1]).square().mean()
            measured.append(loss.item())
        return measured

    return act


*TRAINING, HELD_OUT = made_up(5)
LOOP = WriteTraining(
    "Mend the loop",
    "trains with dropout, measures without, and lets each batch speak for itself",
    loop,
    cases=[
        (ModelMaker(), TRAINING, HELD_OUT, 0.1),
        (ModelMaker(), TRAINING[:1], HELD_OUT, 0.5),
    ],
    misconceptions=[
        Misconception(
            "both faults are still there: gradients of one batch are left over for "
            "the next, and dropout is on while you measure.",
            train_with("adds up, drops"),
        ),
        Misconception(
            "backward() adds to the gradients of all batches before: call "
            "model.zero_grad() in each turn.",
            train_with("adds up"),
        ),
        Misconception(
            "dropout is still on while you measure, so that chance moves the result: "
            "call model.eval() first.",
            train_with("drops"),
        ),
        Misconception(
            "after the first look the model stays in eval(): it must train with "
            "dropout, so call model.train() in each turn, before the forward pass.",
            train_with("never trains"),
        ),
        Misconception(
            "the model is in eval() all the time: it must train with dropout, so call "
            "model.train() in each turn, before the forward pass.",
            train_with("always rests"),
        ),
        Misconception(
            "the model hardly trains with dropout, and the gradients add up: "
            "zero_grad() and train() belong into each turn.",
            train_with("never trains, adds up"),
        ),
        Misconception(
            "you set the gradients to zero before they are used, and no weight moves. "
            "Clear them before backward(), or after the weights have moved.",
            train_with("too late"),
        ),
        Misconception(
            "you clear the gradients right after backward(), and none is left to move "
            "the weights. Clear them before backward(), or after the weights have "
            "moved.",
            train_with("too late, none left"),
        ),
    ],
)

# --- 07.7: predict the perplexity -----------------------------------------------------

PERPLEXITY = Predict(
    "Predict the perplexity",
    "predict the perplexity of each model",
    lambda: {
        "knows nothing": 2048,
        "three bits": 8,
        "half and half": 4,
    },
    {
        ("knows nothing", 11): "11 is its loss in bits; perplexity is 2 to that.",
        ("knows nothing", 1): "1 is the perplexity of a model that is always sure.",
        ("knows nothing", 1024): "on average half of the tokens come before the right "
        "one, but perplexity counts between how many it hesitates.",
        ("three bits", 3): "3 is its loss in bits; perplexity is 2 to that.",
        ("three bits", 9): "you squared the bits; each bit doubles the choice.",
        ("three bits", 6): "each bit doubles the choice; bits do not add choices.",
        ("half and half", 8.5): "8.5 is the mean of 1 and 16. Perplexity averages the "
        "loss first: surprise is what adds up.",
        ("half and half", 2): "2 is its loss in bits; perplexity is 2 to that.",
        ("half and half", 8): "8 is half of 16. Average the bits, 0 and 4, and then "
        "take the power.",
        ("half and half", 16): "16 is its perplexity on the hard half alone.",
        ("half and half", 17): "average the surprises; do not add the choices.",
    },
)

EXERCISES = {
    "07.1": BITS,
    "07.2": ADAMW,
    "07.3": SCHEDULE,
    "07.4": CLIP,
    "07.5": ACCUMULATE,
    "07.6": LOOP,
    "07.7": PERPLEXITY,
}
