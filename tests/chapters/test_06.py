"""Chapter 06: right and wrong answers to its exercises, and what leaves its bands."""

import random
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llm_core import (
    END_OF_TEXT,
    PRESETS,
    BPETokenizer,
    GPTConfig,
    GPTModel,
    estimate_model_size,
    load_corpus,
    next_token_loss,
)
from llm_core.course import checks
from llm_core.course.checks import chapter_06
from llm_core.course.checks.judge import Predict, WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands


def right_lesson(ids, start, length):
    pairs = [(ids[i], ids[i + 1]) for i in range(start, start + length)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def on_tensors(shift):
    """A lesson cut with torch.roll, and returned as lists."""

    def cut(ids, start, length):
        row = torch.tensor(ids[start : start + length])
        return row.tolist(), row.roll(shift).tolist()

    return cut


def right_count(config):
    with torch.device("meta"):
        model = GPTModel(config)
    return sum(parameter.numel() for parameter in model.parameters())


def by_hand(tables=1, bias=1, norms=2, final=1, places=1, inner=None, blocks=None):
    """A count for the chapter's form with something wrong, or an option forgotten."""

    def count(config):
        V, C, L = config.vocab_size, config.d_model, blocks or config.num_layers
        hidden = inner(config) if inner else config.feed_forward_dim
        b = bias(config) if callable(bias) else bias
        t = tables(config) if callable(tables) else tables
        norm = C * (1 + b)
        block = 4 * C * (C + b) + (C + b) * hidden + (hidden + b) * C + norms * norm
        return t * V * C + places * config.max_seq_len * C + L * block + final * norm

    return count


def has_bias(config):
    return int(config.bias)


def num_tables(config):
    return 1 if config.tie_embeddings else 2


def weights_only(config):
    with torch.device("meta"):
        model = GPTModel(config)
    return sum(p.numel() for p in model.parameters() if p.ndim == 2)


def right_gpt(ids, embedding, positions, blocks, norm, head):
    places = torch.arange(ids.shape[1]).expand_as(ids)
    x = F.embedding(ids, embedding) + F.embedding(places, positions)
    for block in blocks:
        x = block(x)
    return torch.einsum("btc,vc->btv", norm(x), head)


def without_positions(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids]
    for block in blocks:
        x = block(x)
    return norm(x) @ head.T


def without_norm(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[: ids.shape[1]]
    for block in blocks:
        x = block(x)
    return x @ head.T


def results_lost(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[: ids.shape[1]]
    for block in blocks:
        block(x)
    return norm(x) @ head.T


def added_twice(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[: ids.shape[1]]
    for block in blocks:
        x = x + block(x)
    return norm(x) @ head.T


def one_place(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[ids.shape[1] - 1]
    for block in blocks:
        x = block(x)
    return norm(x) @ head.T


def one_place_unnormed(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[ids.shape[1] - 1]
    for block in blocks:
        x = block(x)
    return x @ head.T


def places_late(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids]
    for block in blocks:
        x = block(x)
    return norm(x + positions[: ids.shape[1]]) @ head.T


def norm_in_the_loop(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[: ids.shape[1]]
    for block in blocks:
        x = norm(block(x))
    return x @ head.T


def norm_twice(ids, embedding, positions, blocks, norm, head):
    x = embedding[ids] + positions[: ids.shape[1]]
    for block in blocks:
        x = norm(block(x))
    return norm(x) @ norm(head).T


def blocks_backwards(ids, embedding, positions, blocks, norm, head):
    return right_gpt(ids, embedding, positions, blocks[::-1], norm, head)


def one_block(ids, embedding, positions, blocks, norm, head):
    return right_gpt(ids, embedding, positions, blocks[:1], norm, head)


def probabilities(ids, embedding, positions, blocks, norm, head):
    return right_gpt(ids, embedding, positions, blocks, norm, head).softmax(-1)


def last_position(ids, embedding, positions, blocks, norm, head):
    return right_gpt(ids, embedding, positions, blocks, norm, head)[:, -1]


def counted_by_pytorch(config, batch_size):
    """What PyTorch's own counter says of a training step."""
    with torch.device("meta"):
        model = GPTModel(config)
        ids = torch.zeros(batch_size, config.max_seq_len, dtype=torch.int64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        next_token_loss(model(ids), ids).backward()
    return counter.get_total_flops()


def right_flops(config, batch_size):
    C, T, L = config.d_model, config.max_seq_len, config.num_layers
    per_row = L * (4 * C * C * T + 2 * C * T * config.feed_forward_dim)
    per_row += L * 2 * T * T * C + T * C * config.vocab_size
    return 6 * batch_size * per_row


def flops(factor=1.0, head=True, attention=True):
    def count(config, batch_size):
        C, T, L = config.d_model, config.max_seq_len, config.num_layers
        tokens = batch_size * T
        total = right_flops(config, batch_size)
        total -= 0 if head else 6 * tokens * C * config.vocab_size
        total -= 0 if attention else 12 * tokens * L * T * C
        return int(factor * total)

    return count


def half_attention(config, batch_size):
    everything = right_flops(config, batch_size)
    return (everything + flops(attention=False)(config, batch_size)) // 2


SOUND = {"A": "wild weights", "B": "no shift", "C": "wrong vocab_size", "D": "sound"}
LAYERS, WIDTH, HEADS, LENGTH, ROW, OPTIMIZER, ACTIVATIONS = (
    "num_layers doubled: weights in the blocks",
    "d_model doubled: weights in the blocks",
    "num_heads doubled: weights in the blocks",
    "max_seq_len doubled: weights in the blocks",
    "max_seq_len doubled: work of one row's attention",
    "batch size doubled: memory of the optimizer",
    "batch size doubled: memory of the activations",
)
FACTORS = dict(
    zip(
        (LAYERS, WIDTH, HEADS, LENGTH, ROW, OPTIMIZER, ACTIVATIONS),
        (2, 4, 1, 1, 4, 1, 2),
        strict=True,
    )
)

WRONG = {
    "06.1": {
        "no shift": (
            lambda ids, start, length: (ids[start : start + length],) * 2,
            "your targets are your inputs",
        ),
        "wrong way": (
            lambda ids, start, length: (
                [ids[i] for i in range(start, start + length)],
                [ids[i - 1] for i in range(start, start + length)],
            ),
            "one step behind",
        ),
        "two steps": (
            lambda ids, start, length: (
                ids[start : start + length],
                [ids[(i + 2) % len(ids)] for i in range(start, start + length)],
            ),
            "two steps ahead",
        ),
        "rolled": (on_tensors(-1), "send the first input round"),
        "rolled back": (on_tensors(1), "send the last input round"),
        "short": (
            lambda ids, start, length: (
                ids[start : start + length - 1],
                ids[start + 1 : start + length],
            ),
            "one id too short",
        ),
        "uneven": (
            lambda ids, start, length: (
                ids[start : start + length],
                ids[start : start + length][1:],
            ),
            "one too few",
        ),
        "long inputs": (
            lambda ids, start, length: (
                ids[start : start + length + 1],
                ids[start : start + length + 1][1:],
            ),
            "one too many",
        ),
        "swapped": (
            lambda ids, start, length: right_lesson(ids, start, length)[::-1],
            "targets first",
        ),
        "late": (
            lambda ids, start, length: (ids[start + 1 : start + 1 + length],) * 2,
            "begin one id late",
        ),
        "end": (
            lambda ids, start, length: (ids[start:length], ids[start + 1 : length + 1]),
            "end the slice at length",
        ),
        "beginning": (
            lambda ids, start, length: (ids[:length], ids[1 : length + 1]),
            "Begin at start",
        ),
        "one target": (
            lambda ids, start, length: (
                ids[start : start + length],
                ids[start + length],
            ),
            "Every position has one",
        ),
        "repeated": (
            lambda ids, start, length: (
                ids[start : start + length],
                [*ids[start + 1 : start + length], ids[start + length - 1]],
            ),
            "last input again",
        ),
        "a list of both": (
            lambda ids, start, length: list(right_lesson(ids, start, length)),
            "type tuple",
        ),
        "pairs": (
            lambda ids, start, length: tuple(
                zip(*right_lesson(ids, start, length), strict=True)
            ),
            "by hand",
        ),
    },
    "06.2": {
        "A": (SOUND | {"A": "no shift"}, "even above ln 50,257"),
        "B": (SOUND | {"B": "sound", "D": "no shift"}, "B lies below"),
        "C": (SOUND | {"C": "wild weights"}, "about 50,000"),
        "D": (SOUND | {"D": "wrong vocab_size"}, "as near to it"),
        "another word": (SOUND | {"A": "broken"}, "A is something else"),
    },
    "06.3": {
        "12LC² + VC": (
            lambda c: c.num_layers * 12 * c.d_model**2 + c.vocab_size * c.d_model,
            "a good estimate for large models",
        ),
        "the chapter's": (
            by_hand(inner=lambda c: 4 * c.d_model),
            "formula of the chapter",
        ),
        "no biases, no norms": (weights_only, "matrices and tables only"),
        "tied twice": (
            by_hand(tables=2, bias=has_bias),
            "counted once",
        ),
        "untied once": (by_hand(bias=has_bias), "a table of its own"),
        "no positions": (
            by_hand(num_tables, bias=has_bias, places=0),
            "leave out the positions: a table",
        ),
        "no final norm": (
            by_hand(num_tables, bias=has_bias, final=0),
            "leave out the final norm",
        ),
        "no norms": (
            by_hand(num_tables, bias=has_bias, norms=0, final=0),
            "leave out the norms",
        ),
        "never a bias": (by_hand(num_tables, bias=0), "no biases at all"),
        "always a bias": (by_hand(num_tables, bias=1), "there are none"),
        "always 4C": (
            by_hand(num_tables, bias=has_bias, inner=lambda c: 4 * c.d_model),
            "not always 4C",
        ),
        "one block": (by_hand(num_tables, bias=has_bias, blocks=1), "one block"),
        "no shift in norms": (
            lambda c: right_count(c) - c.bias * (2 * c.num_layers + 1) * c.d_model,
            "C factors and, with bias, C shifts",
        ),
        "heads": (
            lambda c: (
                right_count(c)
                + c.num_layers
                * 3
                * (c.num_heads - 1)
                * c.d_model
                * (c.d_model + c.bias)
            ),
            "Heads share",
        ),
        "no matrix biases": (
            lambda c: (
                right_count(c)
                - c.bias * c.num_layers * (5 * c.d_model + c.feed_forward_dim)
            ),
            "biases of the matrices",
        ),
        "no attention biases": (
            lambda c: right_count(c) - c.bias * c.num_layers * 4 * c.d_model,
            "biases of attention",
        ),
        "hidden biases C": (
            lambda c: (
                right_count(c)
                - c.bias * c.num_layers * (c.feed_forward_dim - c.d_model)
            ),
            "as many biases as it has outputs",
        ),
    },
    "06.4": {
        "layers": (FACTORS | {LAYERS: 4}, "one after the other"),
        "width": (FACTORS | {WIDTH: 2}, "C rows and C columns"),
        "heads": (FACTORS | {HEADS: 2}, "narrower heads"),
        "length": (FACTORS | {LENGTH: 2}, "not in a block"),
        "row": (FACTORS | {ROW: 2}, "twice as many of both"),
        "optimizer": (FACTORS | {OPTIMIZER: 2}, "How many parameters"),
        "activations": (FACTORS | {ACTIVATIONS: 1}, "every row leaves behind"),
    },
    "06.5": {
        "no positions": (without_positions, "one fault is left: where a token"),
        "no norm": (without_norm, "one fault is left: the stream"),
        "lost": (results_lost, "one fault is left: what the blocks return"),
        "twice": (added_twice, "one fault is left: a block returns"),
        "one place": (one_place, "one fault is left: every token"),
        "two left": (one_place_unnormed, "two faults are left: every token"),
        "late": (places_late, "one fault is left: places are added after"),
        "norm in the loop": (norm_in_the_loop, "one fault is left: the norm stands"),
        "norm twice": (norm_twice, "by hand"),
        "probabilities": (probabilities, "not yet the probabilities"),
        "last position": (last_position, "at every position"),
        "backwards": (blocks_backwards, "in their order"),
        "one block": (one_block, "only the first block"),
    },
    "06.6": {
        "forward": (flops(1 / 3), "forward pass alone"),
        "backward as forward": (flops(2 / 3), "as one forward pass"),
        "multiplications": (flops(1 / 2), "two FLOPs"),
        "no head": (flops(head=False), "leave out the head"),
        "no attention": (flops(attention=False), "leave out the attention itself"),
        "half attention": (half_attention, "You count one"),
        "6N": (
            lambda c, b: 6 * right_count(c) * b * c.max_seq_len,
            "with every parameter",
        ),
        "one token": (
            lambda c, b: right_flops(c, b) // b // c.max_seq_len,
            "for one token.",
        ),
        "one row": (lambda c, b: right_flops(c, 1), "for one row"),
        "one of each row": (
            lambda c, b: right_flops(c, b) // c.max_seq_len,
            "one token of each row",
        ),
        "4C": (
            lambda c, b: right_flops(replace(c, d_ff=None), b),
            "config.feed_forward_dim",
        ),
        "T² keys": (
            lambda c, b: (
                right_flops(c, b)
                + 12
                * b
                * c.num_layers
                * c.d_model
                * c.max_seq_len**2
                * (c.max_seq_len - 1)
            ),
            "T² is for a whole row",
        ),
        "one key": (
            lambda c, b: (
                right_flops(c, b)
                - 12
                * b
                * c.num_layers
                * c.d_model
                * c.max_seq_len
                * (c.max_seq_len - 1)
            ),
            "not one.",
        ),
        "head twice": (
            lambda c, b: (
                right_flops(c, b) + 6 * b * c.max_seq_len * c.d_model * c.vocab_size
            ),
            "count the head twice",
        ),
        "of one layer": (
            lambda c, b: right_flops(replace(c, num_layers=1), b),
            "by hand",
        ),
    },
}
RIGHT = {
    "06.1": right_lesson,
    "06.2": SOUND,
    "06.3": right_count,
    "06.4": FACTORS,
    "06.5": right_gpt,
    "06.6": right_flops,
}


# --- the oracles of the exercises against the core, and against PyTorch ---------------


def random_config(rng):
    heads = rng.randint(1, 4)
    return GPTConfig(
        vocab_size=rng.randint(2, 300),
        d_model=heads * rng.randint(1, 12),
        num_heads=heads,
        num_layers=rng.randint(1, 4),
        max_seq_len=rng.randint(1, 40),
        d_ff=rng.choice([None, rng.randint(1, 60)]),
        bias=rng.random() < 0.5,
        tie_embeddings=rng.random() < 0.5,
    )


def test_chapter_06_counts_parameters_as_the_core_does():
    rng = random.Random(0)
    for _ in range(60):
        config = random_config(rng)
        expected = estimate_model_size(config).parameters
        assert chapter_06.count_parameters(config) == expected


def test_chapter_06_counts_flops_as_pytorch_does():
    rng = random.Random(1)
    for _ in range(8):
        config, batch_size = random_config(rng), rng.randint(1, 5)
        expected = counted_by_pytorch(config, batch_size)
        assert chapter_06.step_flops(config, batch_size) == expected


def test_chapter_06_has_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("06").values()]
    assert kinds.count(WriteFunction) == 4
    assert kinds.count(Predict) == 2


# --- planted faults leave the bands ---------------------------------------------------


@pytest.fixture(scope="module")
def bands():
    return read_bands(find_expected(NOTEBOOKS), "06")[0]


@pytest.fixture(scope="module")
def rows():
    """The chapter's batch."""
    stories = load_corpus("stories", num_stories=500)
    tokenizer = BPETokenizer(512, special_tokens=[END_OF_TEXT])
    tokenizer.train(stories.documents)
    by_first = {}
    for text in stories.documents[:100]:
        ids = tokenizer.encode(END_OF_TEXT + text)[:25]
        by_first.setdefault(ids[1], ids)
    return torch.tensor(list(by_first.values())[:8])


def fresh(**changes):
    torch.manual_seed(0)
    shape = {"vocab_size": 512, "d_model": 64, "num_heads": 4, "num_layers": 2}
    return GPTModel(GPTConfig(max_seq_len=128, **shape | changes))


def scaled(model, factor, chosen=lambda name: True):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and chosen(name):
                parameter.mul_(factor)
    return model


def first_loss(model, inputs, targets):
    with torch.no_grad():
        return next_token_loss(model(inputs), targets).item()


def test_a_planted_fault_leaves_chapter_06s_first_loss(bands, rows):
    inputs, targets = rows[:, :-1], rows[:, 1:]
    holds = bands["first_loss"].holds
    assert holds(first_loss(fresh(), inputs, targets))
    assert not holds(first_loss(fresh(), inputs, inputs))
    assert not holds(first_loss(scaled(fresh(), 10), inputs, targets))
    assert not holds(first_loss(fresh(vocab_size=600), inputs, targets))


def growth(model, inputs):
    with torch.no_grad():
        x = embedded = model.embed(inputs)
        for block in model.blocks:
            x = block(x)
        return (x.std() / embedded.std()).item()


def test_unscaled_writers_leave_chapter_06s_band_of_the_stream(bands, rows):
    def writes(name):
        return name.endswith(("attention.output.weight", "down.weight"))

    holds = bands["stream_growth"].holds
    assert holds(growth(fresh(num_layers=32), rows[:, :-1]))
    unscaled = scaled(fresh(num_layers=32), 8.0, writes)
    assert not holds(growth(unscaled, rows[:, :-1]))


def learn(model, inputs, targets, learning_rate=4e-3):
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    for _ in range(150):
        loss = next_token_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def recited(model, rows):
    ids = rows[:, :2]
    with torch.no_grad():
        while ids.shape[1] < rows.shape[1]:
            ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], dim=1)
    return int((ids[:, 2:] == rows[:, 2:]).sum())


def unmasked(q, k, v, dropout=0.0):
    return F.scaled_dot_product_attention(q, k, v)


def test_planted_faults_leave_chapter_06s_bands_of_one_batch(bands, rows):
    inputs, targets = rows[:, :-1], rows[:, 1:]
    loss_holds = bands["one_batch_loss"].holds
    all_recited = bands["one_batch_recited"].holds
    sound = fresh()
    assert loss_holds(learn(sound, inputs, targets))
    assert all_recited(recited(sound, rows))
    with patch("llm_core.attention.causal_attention", unmasked):
        leaking = fresh()
        assert not loss_holds(learn(leaking, inputs, targets))
        assert not all_recited(recited(leaking, rows))
    unshifted = fresh()
    assert not loss_holds(learn(unshifted, inputs, inputs))
    assert not all_recited(recited(unshifted, rows))
    assert not loss_holds(learn(fresh(), inputs, targets, learning_rate=4e-2))


def test_chapter_06s_exact_counts_are_those_of_the_published_shapes(bands):
    gpt3 = replace(
        PRESETS["gpt2-small"],
        d_model=12_288,
        num_heads=96,
        num_layers=96,
        max_seq_len=2_048,
    )
    small, large = (right_count(shape) for shape in (PRESETS["gpt2-small"], gpt3))
    assert bands["parameters_gpt2_small"].holds(small)
    assert bands["parameters_gpt3"].holds(large)
    untied = replace(PRESETS["gpt2-small"], tie_embeddings=False)
    assert not bands["parameters_gpt2_small"].holds(right_count(untied))
