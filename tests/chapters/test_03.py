"""Chapter 03: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F

from llm_core.course import checks
from llm_core.course.checks import chapter_03
from llm_core.course.checks.judge import Predict, WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands

ROOT = NOTEBOOKS.parent


# --- 03.2: softmax --------------------------------------------------------------------


def right_softmax(logits):
    shifted = logits - logits.max(dim=1, keepdim=True)[0]
    return shifted.exp() / shifted.exp().sum(dim=1)[:, None]


def right_softmax_by_rows(logits):
    rows = []
    for row in logits:
        terms = (row - max(row)).exp()
        rows.append(terms / sum(terms))
    return torch.stack(rows)


def softmax_columns(logits):
    e = torch.exp(logits - logits.max(0).values)
    return e / e.sum(0)


def softmax_columns_unshifted(logits):
    e = torch.exp(logits)
    return e / e.sum(dim=0, keepdim=True)


def softmax_everything(logits):
    e = torch.exp(logits - torch.max(logits))
    return e / torch.sum(e)


def softmax_everything_unshifted(logits):
    e = torch.exp(logits)
    return e / torch.sum(e)


def softmax_unshifted(logits):
    return torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)


def softmax_batch_maximum(logits):
    e = torch.exp(logits - torch.max(logits))
    return e / e.sum(-1, keepdim=True)


def softmax_column_maximum(logits):
    e = torch.exp(logits - logits.amax(0))
    return e / e.sum(-1, keepdim=True)


def softmax_minimum(logits):
    e = torch.exp(logits - logits.amin(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


def softmax_flat_sums(logits):
    e = torch.exp(logits - logits.amax(-1, keepdim=True))
    return e / e.sum(dim=-1)


def softmax_flat_maxima(logits):
    e = torch.exp(logits - logits.amax(dim=-1))
    return e / e.sum(-1, keepdim=True)


def softmax_rescued_late(logits):
    e = torch.exp(logits)
    e = e / e.amax(-1, keepdim=True)
    return e / e.sum(-1, keepdim=True)


def softmax_clipped(logits):
    e = torch.exp(torch.clip(logits, -80, 80))
    return e / e.sum(-1, keepdim=True)


def softmax_of_nothing(logits):
    return logits / logits.sum(dim=-1, keepdim=True)


def softmax_logarithms(logits):
    return logits - torch.logsumexp(logits, -1, keepdim=True)


def softmax_sigmoid(logits):
    return 1 / (1 + torch.exp(-logits))


def softmax_undivided(logits):
    return torch.exp(logits - logits.amax(-1, keepdim=True))


def softmax_powers_of_two(logits):
    e = 2 ** (logits - logits.amax(-1, keepdim=True))
    return e / e.sum(-1, keepdim=True)


# --- 03.3: cross-entropy --------------------------------------------------------------


def right_cross_entropy(logits, targets):
    rows = logits - logits.amax(1, keepdim=True)
    normalizers = rows.exp().sum(1).log()
    return (normalizers - rows.gather(1, targets[:, None])[:, 0]).mean()


def right_cross_entropy_by_onehot(logits, targets):
    truth = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return -(logits.log_softmax(1) * truth).sum() / len(targets)


def picked(table, targets):
    return table[range(len(targets)), targets]


def loss_of_logarithm(logits, targets):
    return -picked(torch.softmax(logits, 1), targets).log().mean()


def loss_guarded(logits, targets):
    return -(picked(torch.softmax(logits, 1), targets) + 1e-9).log().mean()


def loss_clamped(logits, targets):
    return -(picked(torch.softmax(logits, 1), targets).clamp(min=1e-12)).log().mean()


def loss_overflowing(logits, targets):
    return (logits.exp().sum(1).log() - picked(logits, targets)).mean()


def loss_summed(logits, targets):
    return -picked(logits.log_softmax(1), targets).sum()


def loss_each(logits, targets):
    return -picked(logits.log_softmax(1), targets)


def loss_by_all_logits(logits, targets):
    return -picked(logits.log_softmax(1), targets).sum() / (
        logits.shape[0] * logits.shape[1]
    )


def loss_in_bits(logits, targets):
    return -picked(logits.log_softmax(1), targets).mean() / math.log(2)


def loss_all_columns(logits, targets):
    return -torch.log_softmax(logits, 1)[:, targets].mean()


def loss_down_the_columns(logits, targets):
    return -picked(torch.log_softmax(logits, 0), targets).mean()


def loss_negative(logits, targets):
    return picked(logits.log_softmax(1), targets).mean()


def loss_at_best(logits, targets):
    return -logits.log_softmax(1).amax(1).mean()


def loss_of_everything(logits, targets):
    return -logits.log_softmax(1).mean()


def loss_of_raw_scores(logits, targets):
    return -picked(logits, targets).mean()


def loss_as_error(logits, targets):
    return 1 - picked(logits.softmax(1), targets).mean()


def loss_log_of_mean(logits, targets):
    return -picked(logits.softmax(1), targets).mean().log()


# --- 03.4: the gradient ---------------------------------------------------------------


def right_gradient(logits, targets):
    z = logits.clone().requires_grad_()
    F.cross_entropy(z, targets).backward()
    return z.grad


def truth_of(logits, targets):
    return F.one_hot(targets, logits.shape[1])


def slopes_undivided(logits, targets):
    return logits.softmax(1) - truth_of(logits, targets)


def slopes_by_vocabulary(logits, targets):
    return slopes_undivided(logits, targets) / logits.numel()


def slopes_averaged(logits, targets):
    return slopes_undivided(logits, targets).mean(0)


def slopes_uphill(logits, targets):
    return (truth_of(logits, targets) - logits.softmax(1)) / len(logits)


def slopes_uphill_undivided(logits, targets):
    return truth_of(logits, targets) - logits.softmax(1)


def slopes_without_truth(logits, targets):
    return logits.softmax(1) / len(logits)


def slopes_only_predictions(logits, targets):
    return logits.softmax(1)


def slopes_in_every_row(logits, targets):
    p = logits.softmax(1)
    p[:, targets] -= 1
    return p / len(logits)


def slopes_in_probabilities(logits, targets):
    p = logits.softmax(1).requires_grad_()
    (-picked(p, targets).log().mean()).backward()
    return p.grad


def slopes_of_the_right_only(logits, targets):
    return slopes_undivided(logits, targets) * truth_of(logits, targets) / len(logits)


def slopes_of_scores(logits, targets):
    return (logits - truth_of(logits, targets)) / len(logits)


def slopes_down_the_columns(logits, targets):
    return (logits.softmax(0) - truth_of(logits, targets)) / len(logits)


def slopes_overflowing(logits, targets):
    return (softmax_unshifted(logits) - truth_of(logits, targets)) / len(logits)


def slopes_of_squares(logits, targets):
    z = logits.clone().requires_grad_()
    squares = (z.softmax(1) - truth_of(z, targets)) ** 2
    squares.sum(1).mean().backward()
    return z.grad


# --- 03.5: the loop -------------------------------------------------------------------


def loop(*order, wrong_targets=False, more=0, **options):
    """A loop that does what it is told, in that order, with PyTorch's own parts."""

    def train(inputs, targets, vocab_size, rate, steps):
        table = torch.zeros(vocab_size, vocab_size, requires_grad=True)
        optimizer = torch.optim.SGD([table], lr=rate, **options)
        for _ in range(max(0, steps + more)):
            loss = F.cross_entropy(table[inputs], inputs if wrong_targets else targets)
            for act in order:
                (loss.backward if act == "backward" else getattr(optimizer, act))()
        return table.detach()

    return train


# --- 03.6: noise ----------------------------------------------------------------------


def right_noise(gradients, batch_size):
    N = len(gradients)
    total = sum((g - gradients.mean(0)).square().sum() for g in gradients)
    return total / (N * batch_size)


# --- 03.7: momentum -------------------------------------------------------------------


def descent(new_velocity, move=lambda place, old, new, rate: place - rate * new):
    def descend(slope, start, rate, momentum, steps):
        place, velocity = start, 0.0
        places = [place]
        for _ in range(steps):
            old = velocity
            velocity = new_velocity(old, slope(place), momentum)
            place = move(place, old, velocity, rate)
            places.append(place)
        return places

    return descend


right_descend = descent(lambda v, g, m: m * v + g)


def descend_plain(slope, start, rate, momentum, steps):
    places = [start]
    for _ in range(steps):
        velocity = 0
        velocity = momentum * velocity + slope(places[-1])
        places.append(places[-1] - rate * velocity)
    return places


def descend_ahead(slope, start, rate, momentum, steps):
    places, v = [start], 0.0
    for _ in range(steps):
        v = momentum * v + slope(places[-1] - rate * momentum * v)
        places.append(places[-1] - rate * v)
    return places


def descend_rate_twice(slope, start, rate, momentum, steps):
    places, v = [start], 0.0
    for _ in range(steps):
        v = momentum * v + rate * slope(places[-1])
        places.append(places[-1] - rate * v)
    return places


def descend_without_start(slope, start, rate, momentum, steps):
    return right_descend(slope, start, rate, momentum, steps)[1:]


# --- 03.8: autograd -------------------------------------------------------------------


def right_slopes(expression, values):
    """By dual numbers: forward, one name at a time."""

    def dual(part, name):
        if isinstance(part, str):
            return values[part], float(part == name)
        (a, da), (b, db) = dual(part[1], name), dual(part[2], name)
        return (a + b, da + db) if part[0] == "+" else (a * b, da * b + a * db)

    return {name: dual(expression, name)[1] for name in values}


def walker(to_parts, multiply=True, add=True, all_names=True):
    def slopes(expression, values):
        found = {name: 0.0 for name in values} if all_names else {}

        def value(part):
            if isinstance(part, str):
                return values[part]
            a, b = value(part[1]), value(part[2])
            return a + b if part[0] == "+" else a * b

        def back(part, slope):
            if isinstance(part, str):
                found[part] = (found.get(part, 0.0) if add else 0.0) + slope
                return
            for side, factor in zip(
                part[1:], to_parts(part[0], value(part[1]), value(part[2])), strict=True
            ):
                back(side, slope * factor if multiply else factor)

        back(expression, 1.0)
        return found

    return slopes


def by_the_rules(sign, a, b):
    return (1.0, 1.0) if sign == "+" else (b, a)


def own_factor(sign, a, b):
    return (1.0, 1.0) if sign == "+" else (a, b)


def values_in_sums(sign, a, b):
    return (b, a)


def ones(sign, a, b):
    return (1.0, 1.0)


def slopes_added_up(expression, values):
    found = dict.fromkeys(values, 0.0)

    def value(part):
        if isinstance(part, str):
            return values[part]
        a, b = value(part[1]), value(part[2])
        return a + b if part[0] == "+" else a * b

    def back(part, slope):
        if isinstance(part, str):
            found[part] += slope
            return
        factors = by_the_rules(part[0], value(part[1]), value(part[2]))
        back(part[1], slope + factors[0])
        back(part[2], slope + factors[1])

    back(expression, 1.0)
    return found


FACTS = {
    "first loss in bits": 6,
    "slope of e": 0.5,
    "slope of a": -0.75,
    "sum of all slopes": 0,
}
NOISY = [
    ("single", lambda g, b: ((g - g.mean(0)) ** 2).sum(1).mean(), "single example"),
    ("root", lambda g, b: ((g - g.mean(0)) ** 2).sum(1).mean() / b**0.5, "the root of"),
    ("distance", lambda g, b: right_noise(g, b) ** 0.5, "its square was asked"),
    ("sample", lambda g, b: g.var(0).sum() / b, "divide by N."),
    ("component mean", lambda g, b: g.var(0, correction=0).mean() / b, "their sum."),
    ("length", lambda g, b: (g * g).sum(1).mean() / b, "how long the"),
    ("components", lambda g, b: g.var(0, correction=0) / b, "noise of each component"),
    ("sum", lambda g, b: ((g - g.mean(0)) ** 2).sum() / b, "add the examples up"),
    (
        "other mean",
        lambda g, b: ((g - g.mean(1, keepdim=True)) ** 2).sum(1).mean() / b,
        "the first axis",
    ),
]
WRONG = {
    "03.1": {
        "characters": (FACTS | {"first loss in bits": 64}, "number of characters"),
        "nats": (FACTS | {"first loss in bits": math.log(64)}, "in nats; bits"),
        "no loss": (FACTS | {"first loss in bits": 0}, "no knowledge at all"),
        "sign of e": (FACTS | {"slope of e": -0.5}, "its logit should fall"),
        "no slope of e": (FACTS | {"slope of e": 0}, "its slope is what it holds"),
        "probability": (FACTS | {"slope of a": 0.25}, "still to be subtracted"),
        "sign of a": (FACTS | {"slope of a": 0.75}, "makes the loss smaller"),
        "minus p": (FACTS | {"slope of a": -0.25}, "what came is 1"),
        "minus one": (FACTS | {"slope of a": -1}, "was not 0"),
        "sum": (FACTS | {"sum of all slopes": 1}, "so does the truth"),
        "negative sum": (FACTS | {"sum of all slopes": -1}, "so do the prob"),
    },
    "03.2": {
        "columns": (softmax_columns, "your columns add up to 1. Each row"),
        "plain columns": (softmax_columns_unshifted, "and large logits overflow. Sum"),
        "all": (softmax_everything, "all your numbers together add up to 1. Each"),
        "plain all": (softmax_everything_unshifted, "Sum each row by itself"),
        "overflow": (softmax_unshifted, "inf / inf is nan"),
        "batch maximum": (softmax_batch_maximum, "greatest logit of the whole batch"),
        "column maximum": (softmax_column_maximum, "greatest logit of each column"),
        "minimum": (softmax_minimum, "smallest logit"),
        "flat sums": (softmax_flat_sums, "row sums lie along the columns"),
        "flat maxima": (softmax_flat_maxima, "row maxima lie along the columns"),
        "late": (softmax_rescued_late, "when it is inf already"),
        "clipped": (softmax_clipped, "you cut large logits off"),
        "no exponential": (softmax_of_nothing, "divide the logits themselves"),
        "logarithms": (softmax_logarithms, "logarithms of the probabilities"),
        "sigmoid": (softmax_sigmoid, "which is the sigmoid"),
        "undivided": (softmax_undivided, "you forgot to divide"),
        "base 2": (softmax_powers_of_two, "powers of 2"),
        "list": (lambda logits: right_softmax(logits).tolist(), "type Tensor"),
    },
    "03.3": {
        "underflow": (loss_of_logarithm, "and the loss is inf"),
        "guarded": (loss_guarded, "small number added to"),
        "clamped": (loss_clamped, "is replaced by a small number"),
        "overflow": (loss_overflowing, "exp of a large logit overflows"),
        "sum": (loss_summed, "you add the surprises up"),
        "each": (loss_each, "surprise of each example: the loss"),
        "all logits": (loss_by_all_logits, "divide by the number of logits"),
        "characters": (
            lambda z, t: loss_summed(z, t) / z.shape[1],
            "you divide by V",
        ),
        "bits": (loss_in_bits, "the loss in bits"),
        "all columns": (loss_all_columns, "columns of all targets from every row"),
        "columns": (loss_down_the_columns, "goes down the columns"),
        "sign": (loss_negative, "the sign is the other way"),
        "best": (loss_at_best, "what the model likes best"),
        "everything": (loss_of_everything, "you average over all characters"),
        "raw": (loss_of_raw_scores, "sum of the exponentials out"),
        "error": (loss_as_error, "1 - p is no surprise"),
        "mean first": (loss_log_of_mean, "and then the logarithm"),
        "number": (lambda z, t: F.cross_entropy(z, t).item(), "type Tensor"),
    },
    "03.4": {
        "undivided": (slopes_undivided, "only its share of the slope"),
        "all logits": (slopes_by_vocabulary, "divide by the number of logits"),
        "characters": (
            lambda z, t: slopes_undivided(z, t) / z.shape[1],
            "you divide by V",
        ),
        "averaged": (slopes_averaged, "you take the mean over the batch"),
        "uphill": (slopes_uphill, "this is the direction to go"),
        "uphill undivided": (slopes_uphill_undivided, "counts only by its share"),
        "no truth": (slopes_without_truth, "is still to be subtracted."),
        "predictions": (slopes_only_predictions, "and the result divided by B"),
        "every row": (slopes_in_every_row, "in every row at every target"),
        "probabilities": (slopes_in_probabilities, "in the probabilities, -1 / p"),
        "right only": (slopes_of_the_right_only, "only the right answer's logit"),
        "scores": (slopes_of_scores, "truth from the logits"),
        "columns": (slopes_down_the_columns, "goes down the columns"),
        "overflow": (slopes_overflowing, "exp of a large logit overflows"),
        "squares": (slopes_of_squares, "slope of a squared error"),
    },
    "03.5": {
        "no zero_grad": (loop("backward", "step"), "with what is already there"),
        "no step": (loop("zero_grad", "backward"), "the table never moves"),
        "step first": (loop("step", "zero_grad", "backward"), "before backward, so"),
        "uphill": (
            loop("zero_grad", "backward", "step", maximize=True),
            "you go uphill",
        ),
        "unmoved": (
            loop("zero_grad", "backward", "step", wrong_targets=True),
            "repeat each character",
        ),
        "too few": (loop("zero_grad", "backward", "step", more=-1), "one step too few"),
        "too many": (loop("zero_grad", "backward", "step", more=1), "too many"),
    },
    "03.6": {name: (answer, hint) for name, answer, hint in NOISY},
    "03.7": {
        "plain": (descend_plain, "forgotten at each step"),
        "no fading": (descent(lambda v, g, m: v + g), "never fades"),
        "average": (descent(lambda v, g, m: m * v + (1 - m) * g), "1 - momentum"),
        "faded slope": (descent(lambda v, g, m: m * (v + g)), "fade the new slope"),
        "swapped": (descent(lambda v, g, m: v + m * g), "changed places"),
        "old velocity": (
            descent(
                lambda v, g, m: m * v + g, lambda place, old, new, r: place - r * old
            ),
            "you move with the old velocity",
        ),
        "ahead": (descend_ahead, "Nesterov"),
        "uphill": (
            descent(
                lambda v, g, m: m * v + g, lambda place, old, new, r: place + r * new
            ),
            "you go uphill",
        ),
        "rate twice": (descend_rate_twice, "the rate comes in twice"),
        "no start": (descend_without_start, "begin with the start"),
        "last": (lambda s, x, r, m, n: right_descend(s, x, r, m, n)[-1], "type list"),
    },
    "03.8": {
        "overwrite": (walker(by_the_rules, add=False), "add them up"),
        "own factor": (walker(own_factor), "the *other* factor"),
        "sums as products": (walker(values_in_sums), "in a sum, both"),
        "products as sums": (walker(ones), "a product is no sum"),
        "no chain": (walker(by_the_rules, multiply=False), "comes from above"),
        "added chain": (slopes_added_up, "only different paths are added"),
        "absent": (walker(by_the_rules, all_names=False), "has the slope 0"),
    },
}
RIGHT = {
    "03.1": FACTS,
    "03.2": right_softmax,
    "03.3": right_cross_entropy,
    "03.4": right_gradient,
    "03.5": loop("zero_grad", "backward", "step"),
    "03.6": right_noise,
    "03.7": right_descend,
    "03.8": right_slopes,
}


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("03.2", right_softmax_by_rows),
        ("03.2", torch.nn.Softmax(dim=-1)),
        ("03.3", right_cross_entropy_by_onehot),
        ("03.5", loop("backward", "step", "zero_grad")),
        ("03.8", walker(by_the_rules)),
    ],
)
def test_another_right_answer_is_right_too(number, answer):
    assert checks.verdict_on(number, answer).status == "right"


def test_a_loop_that_wipes_its_slopes_out_too_early_never_moves():
    verdict = checks.verdict_on("03.5", loop("backward", "zero_grad", "step"))
    assert "wipes them out" in verdict.message


def test_the_noise_of_many_drawn_batches_is_what_the_oracle_says():
    gradients = torch.tensor([[0.5, -0.5, 1.0], [0.1, 0.2, -0.3], [2.0, 0.0, 1.0]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(3, (100_000, 4), generator=generator)
    distances = gradients[drawn].mean(1) - gradients.mean(0)
    noise = distances.square().sum(-1).mean()
    oracle = chapter_03.noise(gradients, 4).item()
    assert noise.item() == pytest.approx(oracle, rel=0.02)


def test_chapter_03_has_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("03").values()]
    assert kinds.count(WriteFunction) >= 4
    assert Predict in kinds


# --- bands ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chapter():
    """The cells of the chapter itself, as its band program runs them."""
    path = ROOT / "benchmarks" / "bands_chapter_03.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_03", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "leaves"),
    [
        (
            "        optimizer.zero_grad()\n => ",
            {"halfway", "learned", "above_counted"},
        ),
        ("100.0 => 1000.0", {"halfway", "above_counted"}),
        ("100.0 => 10.0", {"above_counted"}),
        (
            "train(table, inputs, targets => train(table, inputs, inputs",
            {"halfway", "learned", "above_counted"},
        ),
        ("ids[:-1], ids[1:] => ids[:-1], ids[:-1]", {"counted", "learned"}),
    ],
)
def test_a_planted_fault_leaves_chapter_03s_bands(chapter, fault, leaves):
    bands, _ = read_bands(find_expected(NOTEBOOKS), "03")
    names = chapter.run_cells(chapter.TABLE, fault=fault)
    outside = {
        name
        for name, value in chapter.RESULTS.items()
        if name != "word_bits" and not bands[name].holds(eval(value, names))
    }
    assert leaves <= outside


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        "        optimizer.zero_grad()\n => ",
        "[20.0 * => [200.0 *",
        "ids[:-1], ids[1:], falling => ids[:-1], ids[:-1], falling",
    ],
)
def test_a_planted_fault_leaves_the_words_band(chapter, fault):
    bands, _ = read_bands(find_expected(NOTEBOOKS), "03")
    cells = ("imports", "stories", "train", *chapter.WORDS)
    names = chapter.run_cells(cells, fault=fault)
    assert not bands["word_bits"].holds(names["word_bits"])
