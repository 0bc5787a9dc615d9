"""Chapter 03, Learning by gradient: what its exercises ask for, and how they go wrong.

Shapes: B examples in a batch, V characters in the vocabulary, N examples in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.course.checks.judge import (
    Misconception,
    Predict,
    WriteFunction,
    WriteTraining,
)

# --- 03.1: what the gradient will be --------------------------------------------------


def gradient_facts() -> dict[str, Any]:
    """Return what 03.1 asks for, by computing it."""
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25])).requires_grad_()
    loss = F.cross_entropy(logits, torch.tensor(1))
    (slopes,) = torch.autograd.grad(loss, logits)
    first_loss = F.cross_entropy(torch.zeros(64), torch.tensor(0)).item() / math.log(2)
    return {
        "first loss in bits": round(first_loss, 6),
        "slope of e": round(slopes[0].item(), 6),
        "slope of a": round(slopes[1].item(), 6),
        "sum of all slopes": round(slopes.sum().item(), 6),
    }


PREDICT = Predict(
    "Predict the gradient",
    "write down the four numbers before you run anything",
    gradient_facts,
    {
        ("first loss in bits", 64): "64 is the number of characters; the loss is the "
        "surprise at one of 64 equally likely ones.",
        **{
            ("first loss in bits", nats): "that is ln 64, in nats; bits were asked."
            for nats in (math.log(64), 4.1589, 4.159, 4.16, 4.2)
        },
        ("first loss in bits", 0): "equal logits are no knowledge at all, and the "
        "surprise at a guess among 64 is not 0.",
        ("first loss in bits", 1): "1 bit is a guess between two characters; here are "
        "64 of them.",
        ("slope of e", -0.5): "the sign is the other way: e got a probability and did "
        "not come, so its logit should fall, and the loss rises with it.",
        ("slope of e", 0): "e did not come, but it holds probability that belongs to "
        "a: its slope is what it holds.",
        ("slope of e", 1): "a slope of 1 would mean that the model was sure of e.",
        ("slope of a", 0.25): "0.25 is the probability of a; the truth, 1, is still to "
        "be subtracted.",
        ("slope of a", 0.75): "the sign is the other way: a came, and a greater logit "
        "for it makes the loss smaller.",
        ("slope of a", -0.25): "the slope is prediction minus truth, and the truth "
        "about what came is 1.",
        ("slope of a", -1): "prediction minus truth: the prediction for a was not 0.",
        ("sum of all slopes", 1): "the probabilities add up to 1, and so does the "
        "truth that is subtracted.",
        ("sum of all slopes", -1): "the truth adds up to 1, and so do the "
        "probabilities it is subtracted from.",
    },
)

# --- 03.2: softmax --------------------------------------------------------------------


def softmax(logits: Tensor) -> Tensor:
    """Return each row's probabilities: (B, V) -> (B, V)."""
    return logits.softmax(dim=-1)


def exponentials(logits: Tensor, largest: Any, dim: int | None = -1) -> Tensor:
    """Return exponentials over their sum along one axis, or over all of it (None)."""
    terms = torch.exp(logits - largest)
    return terms / (terms.sum() if dim is None else terms.sum(dim, keepdim=True))


def greatest(logits: Tensor, dim: int = -1) -> Tensor:
    """Return the greatest logit along an axis, which stays."""
    return logits.max(dim, keepdim=True).values


def without_keepdim(logits: Tensor) -> Tensor:
    """Make the mistake of dividing by row sums that lie along the columns."""
    terms = torch.exp(logits - greatest(logits))
    return terms / terms.sum(-1)


def max_without_keepdim(logits: Tensor) -> Tensor:
    """Make the mistake of subtracting row maxima that lie along the columns."""
    return exponentials(logits, logits.max(-1).values)


def late_rescue(logits: Tensor) -> Tensor:
    """Make the mistake of dividing by the greatest term after the exponential."""
    terms = torch.exp(logits)
    terms = terms / terms.max(-1, keepdim=True).values
    return terms / terms.sum(-1, keepdim=True)


def minimum_shift(logits: Tensor) -> Tensor:
    """Make the mistake of subtracting the smallest logit."""
    return exponentials(logits, logits.min(-1, keepdim=True).values)


def clipped(logits: Tensor, most: float = 80.0) -> Tensor:
    """Make the mistake of cutting large logits off."""
    return exponentials(logits.clamp(-most, most), 0.0)


SOFTMAX = WriteFunction(
    "Softmax that does not overflow",
    "turns each row of logits into probabilities, however large they are",
    softmax,
    cases=[
        (torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]]),),
        (torch.tensor([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]),),
        (torch.tensor([[1.0, 0.0, 2.0], [0.5, -2.0, 1.0], [3.0, 1.0, 0.0]]),),
        (torch.tensor([[1000.0, 1001.0, 999.0]]),),
        (torch.tensor([[-1000.0, -1001.0], [-1000.0, -1000.0]]),),
        (torch.tensor([[900.0, 901.0], [-900.0, -901.0]]),),
        (torch.tensor([[95.0, 90.0, -95.0], [0.0, -300.0, 300.0]]),),
        (torch.tensor([[7.0], [-7.0]]),),
        (torch.tensor([[0.0, float("-inf"), 1.0]]),),
    ],
    misconceptions=[
        Misconception(
            "your columns add up to 1. Each row is a distribution of its own: sum "
            "along the last axis, dim=-1.",
            lambda z: exponentials(z, greatest(z, 0), 0),
        ),
        Misconception(
            "your columns add up to 1, and large logits overflow. Sum along the last "
            "axis, dim=-1, and subtract each row's greatest logit first.",
            lambda z: exponentials(z, 0.0, 0),
        ),
        Misconception(
            "all your numbers together add up to 1. Each row should: sum along the "
            "last axis only.",
            lambda z: exponentials(z, z.max(), None),
        ),
        Misconception(
            "all your numbers together add up to 1, and large logits overflow. Sum "
            "each row by itself, and subtract its greatest logit first.",
            lambda z: exponentials(z, 0.0, None),
        ),
        Misconception(
            "exp(1000) is too large for a number and becomes inf, and inf / inf is "
            "nan. Subtract the greatest logit of each row first: nothing else changes.",
            lambda z: exponentials(z, 0.0),
        ),
        Misconception(
            "you subtract the greatest logit of the whole batch. A row far below it "
            "becomes 0 / 0: each row needs its own.",
            lambda z: exponentials(z, z.max()),
        ),
        Misconception(
            "you subtract the greatest logit of each column. The row decides what may "
            "be subtracted: another number for each of its logits changes the result.",
            lambda z: exponentials(z, greatest(z, 0)),
        ),
        Misconception(
            "you subtract the smallest logit, which makes the largest even larger: "
            "subtract the greatest.",
            minimum_shift,
        ),
        Misconception(
            "the row sums lie along the columns when you divide. Keep the axis: "
            "sum(dim=-1, keepdim=True).",
            without_keepdim,
        ),
        Misconception(
            "the row maxima lie along the columns when you subtract. Keep the axis: "
            "max(dim=-1, keepdim=True).values, or amax.",
            max_without_keepdim,
        ),
        Misconception(
            "you divide by the greatest term after the exponential, when it is inf "
            "already. Subtract before: exp(z - c) is exp(z) / exp(c).",
            late_rescue,
        ),
        Misconception(
            "you cut large logits off. Then two of them that differ become equal: "
            "subtract the greatest instead, which changes nothing.",
            clipped,
        ),
        Misconception(
            "you divide the logits themselves. Without the exponential, scores below "
            "0 become negative probabilities.",
            lambda z: z / z.sum(-1, keepdim=True),
        ),
        Misconception(
            "these are the logarithms of the probabilities: take exp of the result.",
            lambda z: z.log_softmax(-1),
        ),
        Misconception(
            "you treat every logit by itself, which is the sigmoid. The scores of a "
            "row compete: their exponentials are divided by a common sum.",
            torch.sigmoid,
        ),
        Misconception(
            "you forgot to divide: exponentials alone do not add up to 1.",
            lambda z: torch.exp(z - greatest(z)),
        ),
        Misconception(
            "you take powers of 2. Softmax takes powers of e: torch.exp.",
            lambda z: exponentials(z * math.log(2), greatest(z * math.log(2))),
        ),
    ],
)

# --- 03.3: cross-entropy --------------------------------------------------------------


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean surprise at the targets, in nats: (B, V), (B,) -> ()."""
    return F.cross_entropy(logits, targets)


def surprises(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the surprise at each target: (B, V), (B,) -> (B,)."""
    return F.cross_entropy(logits, targets, reduction="none")


def from_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of taking the logarithm of a probability that became 0."""
    p = logits.softmax(-1)
    return -torch.log(p[torch.arange(len(targets)), targets]).mean()


def from_guarded_probabilities(
    logits: Tensor, targets: Tensor, guard: float = 1e-9
) -> Tensor:
    """Make the mistake of hiding a probability of 0 behind a small number."""
    p = logits.softmax(-1)
    return -torch.log(p[torch.arange(len(targets)), targets] + guard).mean()


def from_plain_exponentials(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of summing exponentials that overflow."""
    sums = torch.exp(logits).sum(-1).log()
    return (sums - logits[torch.arange(len(targets)), targets]).mean()


def all_columns(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of picking the targets' columns from every row."""
    return -logits.log_softmax(-1)[:, targets].mean()


def wrong_axis(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of a softmax along the batch."""
    return -logits.log_softmax(0)[torch.arange(len(targets)), targets].mean()


def at_the_best(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of measuring the surprise at the model's favourite."""
    return -logits.log_softmax(-1).max(-1).values.mean()


def over_all(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of averaging over all V logits."""
    return -logits.log_softmax(-1).mean()


def raw_scores(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of leaving the normalization out."""
    return -logits[torch.arange(len(targets)), targets].mean()


def chance_of_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of taking 1 - p for the surprise."""
    return (1 - logits.softmax(-1)[torch.arange(len(targets)), targets]).mean()


def log_of_mean(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of taking the mean before the logarithm."""
    p = logits.softmax(-1)[torch.arange(len(targets)), targets]
    return -torch.log(p.mean())


CROSS_ENTROPY = WriteFunction(
    "Cross-entropy from logits",
    "returns the mean surprise at the right answers of a batch, in nats",
    cross_entropy,
    cases=[
        (torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]]), torch.tensor([0, 2])),
        (torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]]), torch.tensor([1, 1, 0])),
        (torch.tensor([[1.0, 2.0, 0.0, -1.0]]), torch.tensor([3])),
        (torch.tensor([[0.0, 200.0], [1.0, 0.0]]), torch.tensor([0, 0])),
        (torch.tensor([[0.0, 20.0, 10.0]]), torch.tensor([0])),
        (
            torch.tensor([[1000.0, 1001.0], [-1000.0, -999.0]], dtype=torch.float64),
            torch.tensor([1, 0]),
        ),
        (torch.tensor([[0.0, 500.0], [-500.0, 0.5]]), torch.tensor([1, 1])),
    ],
    misconceptions=[
        Misconception(
            "you take the logarithm of a probability that has become 0, and the loss "
            "is inf. Stay with the logits: the surprise is logsumexp(z) - z[target].",
            from_probabilities,
        ),
        Misconception(
            "a small number added to the probability hides that it has become 0: a "
            "surprise of 200 nats is cut short, and the gradient is lost. Stay with "
            "the logits: logsumexp(z) - z[target].",
            from_guarded_probabilities,
        ),
        Misconception(
            "a probability that has become 0 is replaced by a small number: a surprise "
            "of 200 nats is cut short, and the gradient is lost. Stay with the logits.",
            lambda z, t: from_guarded_probabilities(z, t, 1e-12),
        ),
        Misconception(
            "exp of a large logit overflows. Subtract the row's greatest logit first, "
            "or use torch.logsumexp, which does.",
            from_plain_exponentials,
        ),
        Misconception(
            "you add the surprises up. The loss is their mean, so that it does not "
            "depend on how large the batch is.",
            lambda z, t: surprises(z, t).sum(),
        ),
        Misconception(
            "you return the surprise of each example: the loss is their mean.",
            surprises,
        ),
        Misconception(
            "you divide by the number of logits. The mean is over the examples: divide "
            "by B.",
            lambda z, t: surprises(z, t).sum() / z.numel(),
        ),
        Misconception(
            "you divide by V, the number of characters. The mean is over the examples: "
            "divide by B.",
            lambda z, t: surprises(z, t).sum() / z.shape[-1],
        ),
        Misconception(
            "that is the loss in bits. Nats were asked: the natural logarithm.",
            lambda z, t: cross_entropy(z, t) / math.log(2),
        ),
        Misconception(
            "logits[:, targets] picks the columns of all targets from every row. Each "
            "row has one target: logits[torch.arange(B), targets], or gather.",
            all_columns,
        ),
        Misconception(
            "your softmax goes down the columns. The characters compete within a row: "
            "dim=-1.",
            wrong_axis,
        ),
        Misconception(
            "the sign is the other way: a probability below 1 has a logarithm below 0, "
            "and the surprise is its negative.",
            lambda z, t: -cross_entropy(z, t),
        ),
        Misconception(
            "you measure the surprise at what the model likes best. The loss is the "
            "surprise at what came.",
            at_the_best,
        ),
        Misconception(
            "you average over all characters. Only the one that came counts.",
            over_all,
        ),
        Misconception(
            "you leave the sum of the exponentials out: the surprise is logsumexp(z) - "
            "z[target].",
            raw_scores,
        ),
        Misconception(
            "1 - p is no surprise: at p near 0 it stops at 1. Take -ln p.",
            chance_of_error,
        ),
        Misconception(
            "you take the mean of the probabilities, and then the logarithm. First the "
            "surprise of each example, then the mean.",
            log_of_mean,
        ),
    ],
)

# --- 03.4: the gradient ---------------------------------------------------------------


def onehot(logits: Tensor, targets: Tensor) -> Tensor:
    """Return 1 at each row's target and 0 elsewhere."""
    return F.one_hot(targets, logits.shape[-1]).to(logits)


def gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the slope of the loss in each logit: (B, V), (B,) -> (B, V)."""
    return (logits.softmax(-1) - onehot(logits, targets)) / len(targets)


def everywhere(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of subtracting 1 in every row at every target."""
    p = logits.softmax(-1)
    p[:, targets] -= 1
    return p / len(targets)


def through_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of stopping at the probabilities: d(-ln p)/dp."""
    return -onehot(logits, targets) / logits.softmax(-1) / len(targets)


def own_slope_only(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of leaving out that each logit moves all probabilities."""
    p, truth = logits.softmax(-1), onehot(logits, targets)
    return -truth * (1 - p) / len(targets)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Make the mistake of taking the slope of a squared error of probabilities."""
    z = logits.clone().requires_grad_()
    loss = ((z.softmax(-1) - onehot(z, targets)) ** 2).sum(-1).mean()
    return torch.autograd.grad(loss, z)[0]


GRADIENT = WriteFunction(
    "The gradient of the loss",
    "returns the slope of the mean loss in every logit",
    gradient,
    cases=[
        (torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]]), torch.tensor([0, 2])),
        (torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]]), torch.tensor([1, 1, 0])),
        (torch.tensor([[1.0, 2.0, 0.0, -1.0]]), torch.tensor([3])),
        (torch.tensor([[0.5, 0.0], [0.5, 0.0]]), torch.tensor([1, 0])),
        (torch.tensor([[0.0, 3.0], [1000.0, 1001.0]]), torch.tensor([0, 0])),
    ],
    misconceptions=[
        Misconception(
            "the loss is a mean over the batch, so each row has only its share of the "
            "slope: divide by B.",
            lambda z, t: gradient(z, t) * len(t),
        ),
        Misconception(
            "you divide by the number of logits. The mean is over the examples: divide "
            "by B.",
            lambda z, t: gradient(z, t) / z.shape[-1],
        ),
        Misconception(
            "you divide by V, the number of characters. The mean is over the examples: "
            "divide by B.",
            lambda z, t: gradient(z, t) * len(t) / z.shape[-1],
        ),
        Misconception(
            "you take the mean over the batch. Each row has slopes of its own; the "
            "result has the shape of the logits.",
            lambda z, t: gradient(z, t).sum(0),
        ),
        Misconception(
            "the sign is the other way: this is the direction to go, truth minus "
            "prediction. The slope is prediction minus truth.",
            lambda z, t: -gradient(z, t),
        ),
        Misconception(
            "the sign is the other way, and each row counts only by its share: "
            "prediction minus truth, divided by B.",
            lambda z, t: -gradient(z, t) * len(t),
        ),
        Misconception(
            "these are the predictions; the truth, 1 at each target, is still to be "
            "subtracted.",
            lambda z, t: z.softmax(-1) / len(t),
        ),
        Misconception(
            "these are the predictions; the truth, 1 at each target, is still to be "
            "subtracted, and the result divided by B.",
            lambda z, t: z.softmax(-1),
        ),
        Misconception(
            "p[:, targets] -= 1 subtracts in every row at every target. Each row has "
            "one target: p[torch.arange(B), targets] -= 1.",
            everywhere,
        ),
        Misconception(
            "this is the slope in the probabilities, -1 / p. The chain rule goes on: "
            "each logit moves all probabilities of its row.",
            through_probabilities,
        ),
        Misconception(
            "you move only the right answer's logit. The others hold probability that "
            "belongs to it: their slope is what they hold.",
            own_slope_only,
        ),
        Misconception(
            "you subtract the truth from the logits. Softmax comes first: prediction "
            "means probability.",
            lambda z, t: (z - onehot(z, t)) / len(t),
        ),
        Misconception(
            "your softmax goes down the columns: dim=-1.",
            lambda z, t: (z.softmax(0) - onehot(z, t)) / len(t),
        ),
        Misconception(
            "exp of a large logit overflows: use a softmax that subtracts the row's "
            "greatest logit first.",
            lambda z, t: (exponentials(z, 0.0) - onehot(z, t)) / len(t),
        ),
        Misconception(
            "this is the slope of a squared error. The loss here is the surprise, and "
            "its slope is simpler: prediction minus truth.",
            squared_error,
        ),
    ],
)

# --- 03.5: mend the loop --------------------------------------------------------------


def learner(
    *,
    forget: bool = True,
    step_first: bool = False,
    sign: float = -1.0,
    turns: Callable[[int], int] = lambda steps: steps,
) -> Callable[[Tensor, Tensor, int, float, int], Tensor]:
    """Return a training loop, right as it stands, wrong with any argument."""

    def learn(
        inputs: Tensor, targets: Tensor, vocab_size: int, rate: float, steps: int
    ) -> Tensor:
        table = torch.zeros(vocab_size, vocab_size)
        kept = torch.zeros_like(table)
        for _ in range(turns(steps)):
            slopes = torch.zeros_like(table)
            rows = gradient(table[inputs], targets)
            slopes.index_add_(0, inputs, rows)
            if step_first:
                table = table + sign * rate * kept
            if forget:
                kept = torch.zeros_like(table)
            kept = kept + slopes
            if not step_first:
                table = table + sign * rate * kept
        return table

    return learn


def untrained(
    inputs: Tensor, targets: Tensor, vocab_size: int, rate: float, steps: int
) -> Tensor:
    """Make the mistake of never taking a step."""
    return torch.zeros(vocab_size, vocab_size)


def unmoved(
    inputs: Tensor, targets: Tensor, vocab_size: int, rate: float, steps: int
) -> Tensor:
    """Make the mistake of training on the inputs themselves."""
    return learner()(inputs, inputs, vocab_size, rate, steps)


TEXT = torch.tensor([0, 1, 2, 1, 0, 1, 1, 2, 0, 1, 2, 2])


MEND = WriteTraining(
    "Mend the loop",
    "trains a table of logits, from zeros, by full steps of gradient descent",
    learner(),
    cases=[
        (TEXT[:-1], TEXT[1:], 3, 1.0, 4),
        (TEXT[:-1], TEXT[1:], 3, 0.5, 30),
        (torch.tensor([0, 0, 0, 1]), torch.tensor([1, 1, 0, 0]), 2, 2.0, 10),
        (torch.tensor([0, 1]), torch.tensor([1, 0]), 2, 1.0, 1),
        (torch.tensor([0, 1]), torch.tensor([1, 0]), 2, 1.0, 0),
    ],
    misconceptions=[
        Misconception(
            "the first step is right, and from the second on the table moves too far. "
            "Print table.grad before and after backward: what does backward do with "
            "what is already there?",
            learner(forget=False),
        ),
        Misconception(
            "the table never moves. Is there a backward to find the slopes, a step "
            "after it to use them, and nothing between the two that wipes them out?",
            untrained,
        ),
        Misconception(
            "step comes before backward, so each turn uses the slopes of the turn "
            "before: backward first.",
            learner(step_first=True),
        ),
        Misconception(
            "you go uphill: the table should move against the slope.",
            learner(sign=1.0),
        ),
        Misconception(
            "the targets are the inputs: the table learns to repeat each character. "
            "Use the targets as they are given.",
            unmoved,
        ),
        Misconception(
            "you take one step too few.",
            learner(turns=lambda steps: max(steps - 1, 0)),
        ),
        Misconception(
            "you take one step too many.",
            learner(turns=lambda steps: steps + 1),
        ),
    ],
)

# --- 03.6: the noise of a minibatch ---------------------------------------------------


def noise(gradients: Tensor, batch_size: int) -> Tensor:
    """Return the mean squared distance of a batch's gradient from the whole one's."""
    spread = (gradients - gradients.mean(0)) ** 2
    return spread.sum(-1).mean() / batch_size


NOISE = WriteFunction(
    "The noise of a minibatch",
    "returns how far a minibatch's gradient lies from the whole one, squared, on "
    "average",
    noise,
    cases=[
        (torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]), 1),
        (torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]), 4),
        (torch.tensor([[0.5, -0.5, 1.0], [0.1, 0.2, -0.3], [2.0, 0.0, 1.0]]), 2),
        (torch.tensor([[3.0, 1.0], [3.0, 1.0]]), 8),
        (torch.tensor([[0.0], [6.0], [3.0]]), 9),
    ],
    misconceptions=[
        Misconception(
            "that is the noise of a single example. The mean of B of them has a B-th "
            "of it.",
            lambda g, b: noise(g, 1),
        ),
        Misconception(
            "the *distance* falls with the root of the batch size, its square with the "
            "batch size itself.",
            lambda g, b: noise(g, 1) / math.sqrt(b),
        ),
        Misconception(
            "that is the distance; its square was asked for.",
            lambda g, b: noise(g, b).sqrt(),
        ),
        Misconception(
            "you divide by N - 1, which estimates the spread of a larger world from a "
            "sample. Here the N examples are all there is: divide by N.",
            lambda g, b: noise(g, b) * len(g) / (len(g) - 1),
        ),
        Misconception(
            "you average over the components of the gradient. A squared distance is "
            "their sum.",
            lambda g, b: noise(g, b) / g.shape[-1],
        ),
        Misconception(
            "you do not subtract the gradient of the whole: this is how long the "
            "gradients are, not how far they lie from it.",
            lambda g, b: (g**2).sum(-1).mean() / b,
        ),
        Misconception(
            "you return the noise of each component: the squared distance is their "
            "sum.",
            lambda g, b: ((g - g.mean(0)) ** 2).mean(0) / b,
        ),
        Misconception(
            "you add the examples up. On average means: divide by their number.",
            lambda g, b: noise(g, b) * len(g),
        ),
        Misconception(
            "you take each example's mean over its components. The whole gradient is "
            "the mean over the examples, the first axis.",
            lambda g, b: ((g - g.mean(-1, keepdim=True)) ** 2).sum(-1).mean() / b,
        ),
    ],
)

# --- 03.7: momentum -------------------------------------------------------------------

Slope = Callable[[float], float]
Descend = Callable[[Slope, float, float, float, int], list[float]]


def descender(
    *,
    keep: Callable[[float, float, float], float] = lambda v, g, m: m * v + g,
    reset: bool = False,
    move_first: bool = False,
    look_ahead: bool = False,
    sign: float = -1.0,
    from_start: bool = True,
) -> Descend:
    """Return descent with momentum, right as it stands, wrong with any argument."""

    def descend(
        slope: Slope, start: float, rate: float, momentum: float, steps: int
    ) -> list[float]:
        place, velocity = start, 0.0
        places = [start] if from_start else []
        for _ in range(steps):
            if reset:
                velocity = 0.0
            at = place - rate * momentum * velocity if look_ahead else place
            before = velocity
            velocity = keep(velocity, slope(at), momentum)
            place += sign * rate * (before if move_first else velocity)
            places.append(place)
        return places

    return descend


def bowl(x: float) -> float:
    """Return the slope of the parabola x² / 2."""
    return x


def valley(x: float) -> float:
    """Return the slope of a lopsided valley whose lowest point is 1."""
    return 4 * (x - 1) if x > 1 else x - 1


def slope_for_rate(v: float, g: float, m: float) -> float:
    """Mix as an average does, so that the slope counts only in part."""
    return m * v + (1 - m) * g


def descend_twice(
    slope: Slope, start: float, rate: float, momentum: float, steps: int
) -> list[float]:
    """Make the mistake of multiplying the velocity by the rate twice over."""
    place, velocity, places = start, 0.0, [start]
    for _ in range(steps):
        velocity = momentum * velocity + rate * slope(place)
        place -= rate * velocity
        places.append(place)
    return places


MOMENTUM = WriteFunction(
    "Momentum",
    "descends with a velocity that remembers earlier slopes, and returns every place",
    descender(),
    cases=[
        (bowl, 4.0, 0.5, 0.0, 3),
        (bowl, 4.0, 0.1, 0.9, 6),
        (valley, 3.0, 0.2, 0.5, 8),
        (valley, -2.0, 0.3, 0.8, 5),
        (bowl, 1.0, 0.1, 0.5, 0),
    ],
    misconceptions=[
        Misconception(
            "the velocity is forgotten at each step, so this is plain descent. Keep it "
            "from one step to the next.",
            descender(reset=True),
        ),
        Misconception(
            "the velocity never fades: multiply the old one by momentum before you add "
            "the slope.",
            descender(keep=lambda v, g, m: v + g),
        ),
        Misconception(
            "you weight the new slope by 1 - momentum, as an average does. Here it "
            "counts in full.",
            descender(keep=slope_for_rate),
        ),
        Misconception(
            "you fade the new slope too: multiply only the old velocity by momentum.",
            descender(keep=lambda v, g, m: m * (v + g)),
        ),
        Misconception(
            "momentum and slope have changed places: the old velocity is what is "
            "multiplied by momentum.",
            descender(keep=lambda v, g, m: v + m * g),
        ),
        Misconception(
            "you move with the old velocity. Renew it with the slope first, then move.",
            descender(move_first=True),
        ),
        Misconception(
            "you take the slope where the velocity is about to lead, which is "
            "Nesterov's variant. Take it where you stand.",
            descender(look_ahead=True),
        ),
        Misconception(
            "you go uphill: move against the velocity.",
            descender(sign=1.0),
        ),
        Misconception(
            "the rate comes in twice: once in the velocity and once in the move.",
            descend_twice,
        ),
        Misconception(
            "the list should begin with the start.",
            descender(from_start=False),
        ),
    ],
)

# --- 03.8: autograd -------------------------------------------------------------------

Expression = Any  # a name, or ("+" or "*", left, right)


def value_of(expression: Expression, values: dict[str, float]) -> float:
    """Return what an expression comes to."""
    if isinstance(expression, str):
        return values[expression]
    sign, left, right = expression
    a, b = value_of(left, values), value_of(right, values)
    return a + b if sign == "+" else a * b


Factors = Callable[[float, float], tuple[float, float]]


def differentiator(
    *,
    of_sum: Factors = lambda a, b: (1.0, 1.0),
    of_product: Factors = lambda a, b: (b, a),
    chain: Callable[[float, float], float] = lambda slope, factor: slope * factor,
    overwrite: bool = False,
) -> Callable[[Expression, dict[str, float]], dict[str, float]]:
    """Return a differentiator, right as it stands, wrong with any argument."""

    def differentiate(
        expression: Expression, values: dict[str, float]
    ) -> dict[str, float]:
        slopes = dict.fromkeys(values, 0.0)

        def go_back(part: Expression, slope: float) -> None:
            if isinstance(part, str):
                slopes[part] = slope + (0.0 if overwrite else slopes[part])
                return
            sign, left, right = part
            factors = of_sum if sign == "+" else of_product
            to_left, to_right = factors(value_of(left, values), value_of(right, values))
            go_back(left, chain(slope, to_left))
            go_back(right, chain(slope, to_right))

        go_back(expression, 1.0)
        return slopes

    return differentiate


def no_slope_for_absent(
    expression: Expression, values: dict[str, float]
) -> dict[str, float]:
    """Make the mistake of leaving out what the expression does not use."""
    names = repr(expression)
    slopes = differentiator()(expression, values)
    return {name: slope for name, slope in slopes.items() if repr(name) in names}


AUTOGRAD = WriteFunction(
    "Differentiate",
    "returns the slope of an expression in each of its names",
    differentiator(),
    cases=[
        (("*", "x", "y"), {"x": 3.0, "y": 5.0}),
        (("+", "x", "y"), {"x": 3.0, "y": 5.0}),
        (("+", ("*", "w", "x"), "b"), {"w": 2.0, "x": 3.0, "b": -1.0}),
        (("*", "x", "x"), {"x": 7.0}),
        (("*", ("+", "x", "y"), ("+", "x", "x")), {"x": 2.0, "y": 3.0}),
        (("*", "x", ("*", "y", ("+", "x", "z"))), {"x": 2.0, "y": -1.0, "z": 4.0}),
        ("x", {"x": 1.5}),
        (("*", "x", "x"), {"x": 2.0, "unused": 9.0}),
    ],
    misconceptions=[
        Misconception(
            "a name that stands in several places gets a slope from each of them: add "
            "them up, do not overwrite.",
            differentiator(overwrite=True),
        ),
        Misconception(
            "in a product, the slope of a factor is the *other* factor.",
            differentiator(of_product=lambda a, b: (a, b)),
        ),
        Misconception(
            "in a sum, both parts have the slope 1, whatever their values.",
            differentiator(of_sum=lambda a, b: (b, a)),
        ),
        Misconception(
            "a product is no sum: its factors have each other as slopes.",
            differentiator(of_product=lambda a, b: (1.0, 1.0)),
        ),
        Misconception(
            "the slope that comes from above is forgotten on the way down. The chain "
            "rule multiplies: slope from above times slope here.",
            differentiator(chain=lambda slope, factor: factor),
        ),
        Misconception(
            "along one path the slopes are multiplied; only different paths are added.",
            differentiator(chain=lambda slope, factor: slope + factor),
        ),
        Misconception(
            "a name that the expression does not use has the slope 0, and belongs into "
            "the result.",
            no_slope_for_absent,
        ),
    ],
)

EXERCISES = {
    "03.1": PREDICT,
    "03.2": SOFTMAX,
    "03.3": CROSS_ENTROPY,
    "03.4": GRADIENT,
    "03.5": MEND,
    "03.6": NOISE,
    "03.7": MOMENTUM,
    "03.8": AUTOGRAD,
}
