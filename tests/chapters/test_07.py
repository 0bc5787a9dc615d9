"""Chapter 07: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
import math
import random

import numpy as np
import pytest
import torch

from llm_core.course import checks
from llm_core.course.checks import chapter_07
from llm_core.course.checks.judge import WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands
from llm_core.model import GPTConfig, GPTModel
from llm_core.optim import warmup_stable_decay
from llm_core.trainer import TrainConfig, Trainer


def right_bits(loss, num_tokens, num_characters):
    return math.log2(math.e) * loss / (num_characters / num_tokens)


def right_adamw(w, g, m, v, t, rate, b1, b2, decay, eps):
    m += (1 - b1) * (g - m)
    v = b2 * v + (1 - b2) * g * g
    m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
    return w - rate * (m_hat / (math.sqrt(v_hat) + eps) + decay * w), m, v


def adamw(
    beta1=None,
    gradient=lambda w, g, decay: g,
    count=lambda t: t,
    corrected=(True, True),
    size=lambda v, eps, seen: (v / seen) ** 0.5 + eps,
    kept=lambda rate, decay: 1 - rate * decay,
    along=lambda g, m: m,
    result=lambda w, m, v, *rest: (w, m, v),
    new=lambda beta: 1 - beta,
    square=lambda g: g**2,
):
    def step(w, g, m, v, t, rate, b1, b2, decay, eps):
        if beta1 is not None:
            b1, b2 = beta1(b1, b2)
        t, g = count(t), gradient(w, g, decay)
        m, v = b1 * m + new(b1) * g, b2 * v + new(b2) * square(g)
        seen1 = 1 - b1**t if corrected[0] else 1
        seen2 = 1 - b2**t if corrected[1] else 1
        move = rate * along(g, m / seen1) / size(v, eps, seen2)
        w = kept(rate, decay) * w - move
        return result(w, m, v, m / seen1, v / seen2)

    return step


def decay_last(w, g, m, v, t, rate, b1, b2, decay, eps):
    w, m, v = right_adamw(w, g, m, v, t, rate, b1, b2, 0, eps)
    return w - rate * decay * w, m, v


def stale(w, g, m, v, t, rate, b1, b2, decay, eps):
    shrunk = w * (1 - rate * decay)
    _, new_m, new_v = right_adamw(w, g, m, v, t, rate, b1, b2, decay, eps)
    size = math.sqrt(new_v / (1 - b2**t)) + eps
    return shrunk - rate * m / (1 - b1**t) / size, new_m, new_v


def means_turned_round(w, g, m, v, t, rate, b1, b2, decay, eps):
    m, v = (1 - b1) * m + b1 * g, (1 - b2) * v + b2 * g * g
    move = m / (1 - b1**t) / (math.sqrt(v / (1 - b2**t)) + eps)
    return w * (1 - rate * decay) - rate * move, m, v


def step_up(w, g, m, v, t, rate, b1, b2, decay, eps):
    new, m2, v2 = right_adamw(w, g, m, v, t, rate, b1, b2, 0, eps)
    return w - rate * decay * w + (w - new), m2, v2


def right_schedule(step, steps, warmup_steps, decay_steps, final):
    if step + 1 <= warmup_steps:
        return (1 + step) / warmup_steps
    first = steps - decay_steps  # the first step below 1
    if step < first:
        return 1
    return 1 - (1 - final) * (step - first + 1) / decay_steps


def schedule(up=None, down=None, begin=0):
    def share(step, steps, warmup_steps, decay_steps, final):
        if up is not None and step < warmup_steps:
            return up(step, warmup_steps)
        first = steps - decay_steps + begin
        if down is None or step < first:
            return right_schedule(step, steps, warmup_steps, decay_steps, final)
        done = (step - first + 1) / decay_steps
        return down(done, final)

    return share


def linear(step, steps, warmup_steps, decay_steps, final):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, steps - warmup_steps - 1)
    return 1 + done * (final - 1)


def short_descent(step, steps, warmup_steps, decay_steps, final):
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    points = [steps - decay_steps, steps - 1]
    return (
        float(np.interp(step, points, [1, final]))
        if decay_steps > 1
        else (final if step == steps - 1 else 1.0)
    )


def endless_climb(step, steps, warmup_steps, decay_steps, final):
    if step >= steps - decay_steps:
        return right_schedule(step, steps, warmup_steps, decay_steps, final)
    return (step + 1) / max(warmup_steps, 1)


def norm(numbers):
    return math.hypot(*numbers)


def flat(gradients):
    return [number for gradient in gradients for number in gradient]


def scale(gradients, factor):
    return [[number * factor for number in gradient] for gradient in gradients]


def right_clip(gradients, limit):
    length = norm(flat(gradients))
    if length <= limit:
        return [list(gradient) for gradient in gradients]
    return scale(gradients, limit / length)


def clip_in_place(gradients, limit):
    length = norm(flat(gradients))
    for gradient in gradients:
        for i in range(len(gradient)):
            gradient[i] *= min(1.0, limit / length) if length else 1.0
    return gradients


def unmended_clip(gradients, limit):
    clipped = []
    for gradient in gradients:
        length = sum(number**2 for number in gradient) ** 0.5
        clipped.append([number * limit / length for number in gradient])
    return clipped


def clip_without_root(gradients, limit):
    length = sum(number**2 for number in flat(gradients))
    return scale(gradients, limit / length) if length > limit else gradients


def clip_by_sum(gradients, limit):
    length = sum(map(norm, gradients))
    return scale(gradients, limit / length) if length > limit else gradients


def clip_by_largest(gradients, limit):
    length = max(map(abs, flat(gradients)))
    return scale(gradients, limit / length) if length > limit else gradients


def clip_to_one(gradients, limit):
    length = norm(flat(gradients))
    return scale(gradients, 1 / length) if length > limit else gradients


def clip_numbers(gradients, limit):
    return [np.clip(gradient, -limit, limit).tolist() for gradient in gradients]


def clip_backwards(gradients, limit):
    length = norm(flat(gradients))
    return scale(gradients, length / limit) if length > limit else gradients


def right_accumulate(gradients, num_targets):
    result = [0.0] * len(gradients[0])
    for gradient, count in zip(gradients, num_targets, strict=True):
        for i, number in enumerate(gradient):
            result[i] += number * count
    return [number / sum(num_targets) for number in result]


def mixed(factors):
    def answer(gradients, num_targets):
        array = np.array(gradients) * np.array(factors(num_targets))[:, None]
        return array.sum(axis=0).tolist()

    return answer


def right_loop(make_model, batches, held_out, rate):
    model, measured = make_model(), []
    for inputs, targets in batches:
        model.train()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data.add_(gradient, alpha=-rate)
        model.eval()
        with torch.no_grad():
            loss = torch.nn.functional.mse_loss(model(held_out[0]), held_out[1])
        measured.append(loss.item())
    return measured


def loop(clear="before", train=True, rest=True, to_none=True):
    def answer(make_model, batches, held_out, rate):
        model, measured = make_model(), []
        for inputs, targets in batches:
            if train:
                model.train()
            if clear == "before":
                model.zero_grad()
            ((model(inputs) - targets) ** 2).mean().backward()
            if clear == "after":
                model.zero_grad(set_to_none=to_none)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad
                if rest:
                    model.eval()
                error = model(held_out[0]) - held_out[1]
                measured.append((error**2).mean().item())
        return measured

    return answer


def loop_always_resting(make_model, batches, held_out, rate):
    model, measured = make_model().eval(), []
    for inputs, targets in batches:
        model.zero_grad()
        ((model(inputs) - targets) ** 2).mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= rate * parameter.grad
            measured.append(((model(held_out[0]) - held_out[1]) ** 2).mean().item())
    return measured


LN2 = math.log(2)
WRONG = {
    "07.1": {
        "nats": (lambda x, t, c: x * t / c, "nats per character"),
        "times ln 2": (lambda x, t, c: x * LN2 * t / c, "you multiply by ln 2"),
        "inverted": (lambda x, t, c: x / LN2 / t * c, "wrong way round"),
        "per token": (lambda x, t, c: x / LN2, "bits per token"),
        "no tokens": (lambda x, t, c: x / LN2 / c, "a mean already"),
        "in all": (lambda x, t, c: x * t / LN2, "of the whole text"),
        "perplexity": (lambda x, t, c: math.exp(x * t / c), "made a perplexity"),
        "power": (lambda x, t, c: 2 ** (x * t / c), "a power of 2"),
        "log10": (lambda x, t, c: x / math.log10(2) * t / c, "by hand"),
    },
    "07.2": {
        "uncorrected": (adamw(corrected=(False, False)), "bias correction is missing"),
        "momentum only": (adamw(corrected=(True, False)), "but not the variance"),
        "variance only": (adamw(corrected=(False, True)), "but not the momentum"),
        "coupled": (
            adamw(
                gradient=lambda w, g, decay: g + decay * w,
                kept=lambda rate, decay: 1,
            ),
            "add the decay to the gradient",
        ),
        "eps inside": (
            adamw(size=lambda v, eps, seen: math.sqrt(v / seen + eps)),
            "eps stands inside the root",
        ),
        "eps first": (
            adamw(size=lambda v, eps, seen: (v**0.5 + eps) / seen**0.5),
            "eps before the bias correction",
        ),
        "no eps": (
            adamw(size=lambda v, eps, seen: (v / seen) ** 0.5),
            "divide by zero",
        ),
        "one too far": (adamw(count=lambda t: t + 1), "one too far"),
        "from zero": (adamw(count=lambda t: t - 1), "count the steps from 0"),
        "decay alone": (
            adamw(kept=lambda rate, decay: 1 - decay),
            "by the decay alone",
        ),
        "no decay": (adamw(kept=lambda rate, decay: 1), "does not decay"),
        "grows": (adamw(kept=lambda rate, decay: 1 + rate * decay), "weight grow"),
        "decay last": (decay_last, "let the step decay"),
        "gradient": (adamw(along=lambda g, m: g), "along the gradient alone"),
        "no root": (
            adamw(size=lambda v, eps, seen: v / seen + eps),
            "by the variance itself",
        ),
        "no square": (adamw(square=abs), "the gradient's square"),
        "sums": (adamw(new=lambda beta: 1), "without the factors"),
        "swapped": (adamw(beta1=lambda a, b: (b, a)), "beta1 belongs"),
        "turned round": (
            adamw(beta1=lambda a, b: (1 - a, 1 - b)),
            "in the corrections too",
        ),
        "means turned round": (means_turned_round, "stand the other way round."),
        "stale": (stale, "the momentum as it was"),
        "uphill": (step_up, "uphill"),
        "corrected": (
            adamw(result=lambda w, m, v, mh, vh: (w, mh, vh)),
            "return the corrected means",
        ),
        "order": (
            adamw(result=lambda w, m, v, *rest: (w, v, m)),
            "in the order weight, momentum, variance",
        ),
        "weight only": (
            adamw(result=lambda w, *rest: w),
            "of type tuple; yours is float",
        ),
    },
    "07.3": {
        "from zero": (schedule(up=lambda s, n: s / n), "warm-up begins at 0"),
        "one more": (schedule(up=lambda s, n: (s + 1) / (n + 1)), "one step too many"),
        "no warm-up": (schedule(up=lambda s, n: 1), "warm-up is missing"),
        "endless": (endless_climb, "never stop climbing"),
        "late": (
            schedule(down=lambda done, final: 1 - (1 - final) * done, begin=1),
            "one step too late",
        ),
        "to zero": (schedule(down=lambda done, final: 1 - done), "come down to 0."),
        "clamped": (
            schedule(down=lambda done, final: max(1 - done, final)),
            "stop where you meet",
        ),
        "on top": (
            schedule(down=lambda done, final: final + 1 - done),
            "on top",
        ),
        "cliff": (schedule(down=lambda done, final: final), "at once"),
        "cosine": (
            schedule(
                down=lambda done, final: (
                    final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
                )
            ),
            "along a cosine",
        ),
        "no level": (linear, "from the end of the warm-up on"),
        "short": (short_descent, "decay_steps - 1 steps"),
        "level": (schedule(down=lambda done, final: 1), "never come down"),
    },
    "07.4": {
        "unmended": (unmended_clip, "both faults are still there"),
        "one by one": (
            lambda gradients, limit: [right_clip([g], limit)[0] for g in gradients],
            "by its own length",
        ),
        "stretches": (
            lambda gradients, limit: scale(gradients, limit / norm(flat(gradients))),
            "stretch gradients that are short",
        ),
        "zero": (
            lambda gradients, limit: scale(
                gradients, min(1, limit / norm(flat(gradients)))
            ),
            "no length to divide by",
        ),
        "numbers": (clip_numbers, "cut off single numbers"),
        "no root": (clip_without_root, "left out the root"),
        "sum": (clip_by_sum, "add up the lengths"),
        "largest": (clip_by_largest, "the largest number"),
        "to one": (clip_to_one, "to the length 1"),
        "in place": (clip_in_place, "alters its input"),
        "backwards": (clip_backwards, "by hand"),
    },
    "07.5": {
        "mean": (
            mixed(lambda counts: [1 / len(counts)] * len(counts)),
            "the mean of the pieces",
        ),
        "sum": (mixed(lambda counts: [1] * len(counts)), "add the gradients up"),
        "weighted sum": (mixed(lambda counts: counts), "the sum over all targets"),
        "by pieces": (
            mixed(lambda counts: [n / len(counts) for n in counts]),
            "divide by the number of pieces",
        ),
        "twice": (
            lambda gradients, counts: [
                sum(g[i] / n for g, n in zip(gradients, counts, strict=True))
                for i in range(len(gradients[0]))
            ],
            "once more",
        ),
        "plain sum": (
            mixed(lambda counts: [1 / sum(counts)] * len(counts)),
            "divide the plain sum",
        ),
        "last": (lambda gradients, counts: gradients[-1], "only the last piece"),
        "one number": (
            lambda gradients, counts: sum(map(sum, gradients)) / sum(counts),
            "of type list; yours is float",
        ),
    },
    "07.6": {
        "unmended": (loop(clear="", rest=False), "both faults"),
        "adds up": (loop(clear=""), "adds to the gradients"),
        "drops": (loop(rest=False), "dropout is still on"),
        "never trains": (loop(train=False), "stays in eval()"),
        "rests": (loop_always_resting, "in eval() all the time"),
        "neither": (loop(clear="", train=False), "hardly trains with dropout"),
        "none left": (loop(clear="after"), "none is left"),
        "too late": (loop(clear="after", to_none=False), "no weight moves"),
    },
    "07.7": {
        "bits": (
            {"knows nothing": 11, "three bits": 8, "half and half": 4},
            "11 is its loss in bits",
        ),
        "sure": (
            {"knows nothing": 1, "three bits": 8, "half and half": 4},
            "always sure",
        ),
        "three": (
            {"knows nothing": 2048, "three bits": 3, "half and half": 4},
            "3 is its loss in bits",
        ),
        "nine": (
            {"knows nothing": 2048, "three bits": 9, "half and half": 4},
            "squared the bits",
        ),
        "mean": (
            {"knows nothing": 2048, "three bits": 8, "half and half": 8.5},
            "mean of 1 and 16",
        ),
        "two": (
            {"knows nothing": 2048, "three bits": 8, "half and half": 2},
            "2 is its loss in bits",
        ),
        "eight": (
            {"knows nothing": 2048, "three bits": 8, "half and half": 8},
            "half of 16",
        ),
    },
}
RIGHT = {
    "07.1": right_bits,
    "07.2": right_adamw,
    "07.3": right_schedule,
    "07.4": right_clip,
    "07.5": right_accumulate,
    "07.6": right_loop,
    "07.7": {"knows nothing": 2048.0, "three bits": 8, "half and half": 4},
}


@pytest.fixture(scope="module")
def bench():
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_07.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_07", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chapter_07s_bands_are_of_the_recipe_it_trains(bench):
    [path] = NOTEBOOKS.glob("07_*.ipynb")
    source = path.read_text(encoding="utf-8")
    for number in ("steps=700", "batch_size=4", "learning_rate=4e-3"):
        assert number in source
    assert (bench.CONFIG.steps, bench.CONFIG.batch_size) == (700, 4)
    assert bench.CONFIG.learning_rate == 4e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "name", "steps"),
    [
        ("wild", "first_loss_above_ln_v", 0),
        ("", "bits_per_character_after_100_steps", 100),
        ("rate", "bits_per_character_after_100_steps", 100),
        ("targets", "bits_per_character_after_100_steps", 100),
    ],
)
def test_a_planted_fault_leaves_chapter_07s_bands(bench, fault, name, steps):
    bands, _ = read_bands(find_expected(NOTEBOOKS), "07")
    result = bench.measure(0, fault, looks=(steps,))[name]
    assert bands[name].holds(result) == (not fault)


def test_chapter_07s_adamw_is_torchs():
    generator = random.Random(0)
    weight = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], 0.03, (0.8, 0.9), 1e-4, 0.2)
    ours = (0.7, 0.0, 0.0)
    for step in range(1, 30):
        gradient = generator.gauss(0, 10 ** generator.uniform(-3, 3))
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        w, m, v = ours
        ours = chapter_07.adamw(w, gradient, m, v, step, 0.03, 0.8, 0.9, 0.2, 1e-4)
        assert ours[0] == pytest.approx(weight.item(), rel=1e-12)


def test_chapter_07s_clipping_is_torchs():
    for case, limit in chapter_07.CLIP.cases:
        parameters = [torch.nn.Parameter(torch.zeros(len(g))) for g in case]
        for parameter, gradient in zip(parameters, case, strict=True):
            parameter.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        ours = chapter_07.clip(case, limit)
        for parameter, gradient in zip(parameters, ours, strict=True):
            torch.testing.assert_close(parameter.grad, torch.tensor(gradient))


def test_chapter_07s_schedule_is_the_cores():
    for step, steps, warmup_steps, _, final in chapter_07.SCHEDULE.cases:
        arguments = step, steps, warmup_steps
        core = warmup_stable_decay(*arguments, final)
        assert chapter_07.schedule(*arguments, max(1, steps // 5), final) == core


def test_chapter_07s_bits_are_the_cores(bench):
    stories = bench.load_corpus("stories", num_stories=20)
    tokenizer = bench.BPETokenizer(300, special_tokens=[bench.END_OF_TEXT])
    tokenizer.train(stories.documents)
    stream = bench.encode_corpus(stories, tokenizer)
    model = GPTModel(
        GPTConfig(vocab_size=300, d_model=8, num_heads=1, num_layers=1, max_seq_len=64)
    )
    [report] = Trainer(model, stream, stream, TrainConfig(steps=1)).run()
    tokens, characters = len(stream.ids) - 1, stream.num_characters
    for result in (report, report.evaluation):
        bits = chapter_07.bits_per_character(result.loss, tokens, characters)
        assert bits == pytest.approx(result.bits_per_character)


def test_chapter_07_asks_to_write_and_to_predict():
    exercises = checks.exercises("07").values()
    assert {isinstance(exercise, WriteFunction) for exercise in exercises} == {
        True,
        False,
    }
