"""Chapter 06, GPT: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction
from llm_core.model import GPTConfig

Lesson = tuple[list[int], list[int]]

# --- 06.1: inputs and targets ---------------------------------------------------------


def cut_lesson(ids: list[int], start: int, length: int) -> Lesson:
    """Return `length` ids from `start` on, and the ids that follow each of them."""
    return ids[start : start + length], ids[start + 1 : start + length + 1]


def shifted(by: int) -> Callable[[list[int], int, int], Lesson]:
    """Return the mistake of targets that are so many steps ahead of the inputs."""

    def cut(ids: list[int], start: int, length: int) -> Lesson:
        answers = [ids[(start + i + by) % len(ids)] for i in range(length)]
        return ids[start : start + length], answers

    return cut


def rolled(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of sending the first input round to the end of the targets."""
    row = ids[start : start + length]
    return row, row[1:] + row[:1]


def rolled_back(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of sending the last input round to the front."""
    row = ids[start : start + length]
    return row, row[-1:] + row[:-1]


def one_short(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of cutting both out of `length` ids."""
    row = ids[start : start + length]
    return row[:-1], row[1:]


def uneven(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of targets that end where the inputs end."""
    return ids[start : start + length], ids[start + 1 : start + length]


def uneven_inputs(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of inputs that end where the targets end."""
    end = start + length + 1
    return ids[start:end], ids[start + 1 : end]


def swapped(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of returning the targets first."""
    inputs, targets = cut_lesson(ids, start, length)
    return targets, inputs


def both_ahead(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of dropping the first id of both."""
    row = ids[start + 1 : start + length + 1]
    return row, row


def to_an_end(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of taking the length for the place where a lesson ends."""
    return ids[start:length], ids[start + 1 : length + 1]


def from_the_beginning(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of forgetting where to begin."""
    return cut_lesson(ids, 0, length)


def last_only(ids: list[int], start: int, length: int) -> tuple[list[int], int]:
    """Make the mistake of a single target, after the last input."""
    return ids[start : start + length], ids[start + length]


def repeated(ids: list[int], start: int, length: int) -> Lesson:
    """Make the mistake of filling the end of the targets with the last input."""
    row = ids[start : start + length]
    return row, row[1:] + row[-1:]


LESSON = WriteFunction(
    "Cut a lesson",
    "returns inputs, and targets that are one step ahead",
    cut_lesson,
    cases=[
        ([7, 8, 9, 5, 6], 1, 3),
        ([7, 8, 9, 5, 6, 4, 3, 2], 0, 4),
        ([3, 1, 4, 1, 5, 9, 2, 6], 3, 4),
        ([3, 1, 4, 1, 5, 9, 2, 6], 2, 1),
        ([5, 5, 5, 2], 0, 3),
    ],
    misconceptions=[
        Misconception(
            "your targets are your inputs. A model learns to repeat what it reads "
            "then; the target of each position is the id that comes after it.",
            shifted(0),
        ),
        Misconception(
            "your targets are one step behind: each position should say what came "
            "before it. Turn the shift round.",
            shifted(-1),
        ),
        Misconception(
            "your targets are two steps ahead: the next id is never learned.",
            shifted(2),
        ),
        Misconception(
            "you send the first input round to the end of the targets. The last target "
            "is the next id of the list, which is not among the inputs.",
            rolled,
        ),
        Misconception(
            "you send the last input round to the front: the targets are behind, and "
            "the first one comes from the end.",
            rolled_back,
        ),
        Misconception(
            "your lesson is one id too short. Inputs and targets need length + 1 ids "
            "together.",
            one_short,
        ),
        Misconception(
            "your targets are one too few: the last input has no answer. They end one "
            "id later than the inputs.",
            uneven,
        ),
        Misconception(
            "your inputs are one too many: they end with the last target.",
            uneven_inputs,
        ),
        Misconception(
            "you return the targets first, and then the inputs: the model would learn "
            "to say what came before.",
            swapped,
        ),
        Misconception(
            "both your lists begin one id late: only the targets should.", both_ahead
        ),
        Misconception(
            "you end the slice at length. It should end length ids after start.",
            to_an_end,
        ),
        Misconception(
            "you begin with the first id of the list. Begin at start.",
            from_the_beginning,
        ),
        Misconception(
            "you give one target for the whole row. Every position has one.", last_only
        ),
        Misconception(
            "you fill the end of the targets with the last input again. The list goes "
            "on: take the id that follows.",
            repeated,
        ),
    ],
)

# --- 06.2: what a first loss tells ----------------------------------------------------

FAULTS = {
    "A": "wild weights",
    "B": "no shift",
    "C": "wrong vocab_size",
    "D": "sound",
}
WORDS = ("sound", "wild weights", "no shift", "wrong vocab_size")
ABOUT = {
    "A": "A lies far above ln 512 = 6.24, and even above ln 50,257 = 10.82, which a "
    "model of that vocabulary would have.",
    "B": "B lies below ln 512 = 6.24. A model that knows nothing cannot be better than "
    "a fair guess, unless the answer stands in what it reads.",
    "C": "e to the power of C's loss is about 50,000. Which number of the config is "
    "about as large?",
    "D": "ln 512 = 6.24, and D is as near to it as chance allows.",
}
READ_LOSS = Predict(
    "Read the first loss",
    "say for each program what its first loss tells",
    lambda: dict(FAULTS),
    {(name, word): hint for name, hint in ABOUT.items() for word in WORDS},
)

# --- 06.3: count ----------------------------------------------------------------------

RULES = (
    "attention_bias",
    "feed_forward_bias",
    "bias_option",
    "norm_shift",
    "norms",
    "final_norm",
    "tied",
    "untied",
    "positions",
    "d_ff",
    "hidden_bias",
)


def counted(config: GPTConfig, *, without: Sequence[str] = ()) -> int:
    """Count a GPT's parameters; without one of RULES it is a mistake."""
    V, C, L = config.vocab_size, config.d_model, config.num_layers
    rule = {name: name not in without for name in RULES}
    bias = int(config.bias or not rule["bias_option"])
    hidden = config.feed_forward_dim if rule["d_ff"] else 4 * C
    attention = 4 * C * C + 4 * C * bias * rule["attention_bias"]
    feed_forward = 2 * C * hidden
    inner = hidden if rule["hidden_bias"] else C
    feed_forward += (inner + C) * bias * rule["feed_forward_bias"]
    norm = (C + C * bias * rule["norm_shift"]) * rule["norms"]
    tables = V * C
    if (not config.tie_embeddings and rule["untied"]) or not rule["tied"]:
        tables += V * C
    if rule["positions"]:
        tables += config.max_seq_len * C
    blocks = L * (attention + feed_forward + 2 * norm)
    return blocks + tables + norm * rule["final_norm"]


def count_parameters(config: GPTConfig) -> int:
    """Count a GPT's parameters."""
    return counted(config)


def in_order(config: GPTConfig) -> int:
    """Make the mistake of counting only what stays for large models."""
    return 12 * config.num_layers * config.d_model**2 + config.vocab_size * (
        config.d_model
    )


def of_the_chapter(config: GPTConfig) -> int:
    """Make the mistake of the chapter's formula, whatever the options."""
    V, C, L = config.vocab_size, config.d_model, config.num_layers
    return L * (12 * C * C + 13 * C) + V * C + config.max_seq_len * C + 2 * C


def one_block(config: GPTConfig) -> int:
    """Make the mistake of counting a single block."""
    blocks = counted(config) - counted(config, without=("norms",))
    norm = blocks // (2 * config.num_layers + 1)
    C, hidden, bias = config.d_model, config.feed_forward_dim, int(config.bias)
    block = 4 * (C + bias) * C + (C + bias) * hidden + (hidden + bias) * C + 2 * norm
    return counted(config) - (config.num_layers - 1) * block


def per_head(config: GPTConfig) -> int:
    """Make the mistake of giving every head matrices of the full width."""
    C, bias = config.d_model, int(config.bias)
    more = 3 * (config.num_heads - 1) * (C + bias) * C
    return counted(config) + config.num_layers * more


SHAPE: dict[str, Any] = {
    "vocab_size": 100,
    "d_model": 8,
    "num_heads": 2,
    "num_layers": 3,
    "max_seq_len": 20,
}
CONFIGS = [
    GPTConfig(**SHAPE),
    GPTConfig(**SHAPE, bias=False),
    GPTConfig(**SHAPE, tie_embeddings=False),
    GPTConfig(**SHAPE, d_ff=24),
    GPTConfig(**SHAPE, d_ff=40, bias=False, tie_embeddings=False),
    GPTConfig(**SHAPE | {"num_heads": 8, "num_layers": 1, "max_seq_len": 7}, d_ff=5),
]
COUNT_HINTS = {
    ("attention_bias", "feed_forward_bias", "norm_shift"): "you count no biases at "
    "all. Matrices add one for each number that comes out of them, and norms shift.",
    ("attention_bias", "feed_forward_bias", "norms"): "you count matrices and tables "
    "only; biases and norms are parameters, too.",
    ("attention_bias", "feed_forward_bias"): "you leave out the biases of the "
    "matrices: one for each number that comes out.",
    ("attention_bias",): "you leave out the biases of attention: four times C.",
    ("feed_forward_bias",): "you leave out the biases of the feed-forward: one for "
    "each of its hidden numbers, and C for what comes out.",
    ("hidden_bias",): "the first matrix of the feed-forward has as many biases as it "
    "has outputs, config.feed_forward_dim, not C.",
    ("bias_option", "norm_shift"): "you count biases of matrices even where "
    "config.bias is False, and no shifts of norms where it is True.",
    ("bias_option",): "where config.bias is False there are none: not in the "
    "matrices, and no shifts in the norms.",
    ("norm_shift",): "a norm has C factors and, with bias, C shifts.",
    ("norms",): "you leave out the norms: two in each block, and one at the end.",
    ("final_norm",): "you leave out the final norm, after the last block.",
    ("tied", "positions"): "you count a tied table twice, and the positions not at "
    "all: they are a table of T rows.",
    ("tied",): "you count a table for the head, although it is tied to the embedding: "
    "one table at both ends is counted once.",
    ("untied",): "where config.tie_embeddings is False, the head has a table of its "
    "own.",
    ("positions", "final_norm"): "you leave out the positions, T rows of C numbers, "
    "and the final norm.",
    ("positions",): "you leave out the positions: a table of T rows, C numbers each.",
    ("d_ff",): "the feed-forward is not always 4C wide: use config.feed_forward_dim.",
}
COUNT = WriteFunction(
    "Count them all",
    "counts the parameters of a GPT from its config",
    count_parameters,
    cases=[(config,) for config in CONFIGS],
    misconceptions=[
        Misconception(
            "this is 12 L C² + V C, a good estimate for large models. Here every "
            "parameter counts: biases, norms, positions, and the options.",
            in_order,
        ),
        Misconception(
            "this is the formula of the chapter, whatever the options say. Look at "
            "config.bias, config.tie_embeddings and config.feed_forward_dim.",
            of_the_chapter,
        ),
        Misconception("you count one block; there are num_layers of them.", one_block),
        Misconception(
            "you give each head matrices of the full width. Heads share the C "
            "channels, and their number changes no count.",
            per_head,
        ),
        *(
            Misconception(hint, partial(counted, without=without))
            for without, hint in COUNT_HINTS.items()
        ),
    ],
)

# --- 06.4: what costs what ------------------------------------------------------------

FACTORS = {
    "num_layers doubled: weights in the blocks": 2,
    "d_model doubled: weights in the blocks": 4,
    "num_heads doubled: weights in the blocks": 1,
    "max_seq_len doubled: weights in the blocks": 1,
    "max_seq_len doubled: work of one row's attention": 4,
    "batch size doubled: memory of the optimizer": 1,
    "batch size doubled: memory of the activations": 2,
}
LAYERS, WIDTH, HEADS, LENGTH, ROW, OPTIMIZER, ACTIVATIONS = FACTORS
FACTOR_HINTS = {
    LAYERS: "blocks are alike, and stand one after the other.",
    WIDTH: "a matrix of a block has C rows and C columns, or a multiple: both grow.",
    HEADS: "more heads on the same C channels are narrower heads.",
    LENGTH: "the same weights are used at every position. Only the table of positions "
    "grows, and it is not in a block.",
    ROW: "each position reads every position, and there are twice as many of both.",
    OPTIMIZER: "it keeps two numbers for each parameter. How many parameters has a row "
    "of the batch?",
    ACTIVATIONS: "every row leaves behind what the backward pass needs of it.",
}
BILL = Predict(
    "Predict the bill",
    "predict by what factor each quantity grows",
    lambda: dict(FACTORS),
    {
        (name, value): hint
        for (name, hint), value in product(FACTOR_HINTS.items(), (0, 1, 2, 3, 4, 8, 16))
    },
)

# --- 06.5: mend the model -------------------------------------------------------------

Blocks = list[Callable[[Tensor], Tensor]]
Norm = Callable[[Tensor], Tensor]


def first_block(x: Tensor) -> Tensor:
    """Return x and what a made-up block adds to it: a mean over the past, bent."""
    counts = torch.arange(1, x.shape[1] + 1)[:, None]
    return x + torch.tanh(x.cumsum(dim=1) / counts).flip(-1)


def second_block(x: Tensor) -> Tensor:
    """Return x and what another block adds to it."""
    return x + 0.5 * F.relu(x - 0.1)


def unit(x: Tensor) -> Tensor:
    """Bring each position's vector to mean 0 and variance 1."""
    return F.layer_norm(x, x.shape[-1:])


def assembled(
    ids: Tensor,
    embedding: Tensor,
    positions: Tensor,
    blocks: Blocks,
    norm: Norm,
    head: Tensor,
    *,
    places: str = "each",
    adding: str = "once",
    normed: str = "last",
) -> Tensor:
    """Put a GPT together, rightly or with a mistake in any of three places."""
    T = ids.shape[1]
    added = {
        "each": lambda: positions[:T],
        "none": lambda: torch.zeros_like(positions[0]),
        "last": lambda: positions[T - 1],
        "row": lambda: positions[: ids.shape[0], None],
        "ids": lambda: positions[ids % len(positions)],
        "late": lambda: torch.zeros_like(positions[0]),
    }
    x = embedding[ids] + added[places]()
    for block in blocks:
        out = block(x)
        if adding == "once":
            x = out
        elif adding == "twice":
            x = x + out
        if normed == "each":
            x = norm(x)
    if places == "late":
        x = x + positions[:T]
    return (norm(x) if normed == "last" else x) @ head.T


def put_together(
    ids: Tensor,
    embedding: Tensor,
    positions: Tensor,
    blocks: Blocks,
    norm: Norm,
    head: Tensor,
) -> Tensor:
    """Put a GPT together."""
    return assembled(ids, embedding, positions, blocks, norm, head)


PLACES = {
    "each": "",
    "last": "every token of a row gets the same place, that of the last one",
    "none": "where a token stands is never added",
    "row": "places are counted by row, not by position",
    "ids": "places are looked up by id: a table of positions has a row for each "
    "position",
    "late": "places are added after the blocks, whose work is done by then",
}
ADDING = {
    "once": "",
    "twice": "a block returns what it read and what it adds: to add its result to x "
    "counts x twice",
    "lost": "what the blocks return is thrown away",
}
NORMED = {
    "last": "",
    "none": "the stream goes into the head without the final norm",
    "each": "the norm stands inside the loop: it belongs after the last block, once",
}


def remaining(places: str, adding: str, normed: str) -> str:
    """Return the faults that are left, in a sentence."""
    faults = [f for f in (PLACES[places], ADDING[adding], NORMED[normed]) if f]
    left = {1: "one fault is left", 2: "two faults are left"}
    return f"{left.get(len(faults), 'the faults are still there')}: " + (
        "; ".join(faults) + "."
    )


def model_case(ids: list[list[int]], seed: int) -> tuple[Any, ...]:
    """Return the arguments of a small model."""
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randint(-3, 4, (9, 3), generator=generator).float()
    positions = torch.randint(-2, 3, (6, 3), generator=generator).float()
    blocks = [first_block, second_block]
    return torch.tensor(ids), embedding, positions, blocks, unit, embedding


MEND = WriteFunction(
    "Mend the model",
    "turns ids into scores, as naive_gpt does",
    put_together,
    cases=[
        model_case([[3, 1, 4, 1]], 0),
        model_case([[2, 7, 1], [8, 2, 8]], 1),
        model_case([[5], [0], [5]], 2),
        model_case([[6, 6, 6, 6, 6, 6]], 3),
    ],
    misconceptions=[
        Misconception(
            remaining(places, adding, normed),
            partial(assembled, places=places, adding=adding, normed=normed),
        )
        for places, adding, normed in product(PLACES, ADDING, NORMED)
        if (places, adding, normed) != ("each", "once", "last")
    ]
    + [
        Misconception(
            "this is what softmax makes of the scores. Asked for are the scores "
            "themselves, not yet the probabilities.",
            lambda *parts: put_together(*parts).softmax(dim=-1),
        ),
        Misconception(
            "these are the scores of the last position; they are wanted at every "
            "position.",
            lambda *parts: put_together(*parts)[:, -1],
        ),
        Misconception(
            "go through the blocks in their order, from the first to the last.",
            lambda ids, embedding, positions, blocks, *ends: put_together(
                ids, embedding, positions, blocks[::-1], *ends
            ),
        ),
        Misconception(
            "only the first block has its say; go through all of them.",
            lambda ids, embedding, positions, blocks, *ends: put_together(
                ids, embedding, positions, blocks[:1], *ends
            ),
        ),
    ],
)

# --- 06.6: the work of a step ---------------------------------------------------------


def worked(
    config: GPTConfig,
    batch_size: int,
    *,
    per_number: int = 2,
    passes: int = 3,
    products: int = 2,
    head: int = 1,
    tables: int = 0,
    tokens: str = "all",
    reads: str = "T",
    d_ff: bool = True,
) -> int:
    """Count the FLOPs of a training step; the options make mistakes."""
    V, C, L = config.vocab_size, config.d_model, config.num_layers
    T = config.max_seq_len
    hidden = config.feed_forward_dim if d_ff else 4 * C
    matrices = L * (4 * C * C + 2 * C * hidden) + head * V * C
    matrices += tables * (V + T) * C
    keys = {"T": T, "1": 1, "0": 0, "T²": T * T}[reads]
    forward = per_number * (matrices + products * L * keys * C)
    counts = {"all": batch_size * T, "row": T, "rows": batch_size, "one": 1}
    return passes * forward * counts[tokens]


def step_flops(config: GPTConfig, batch_size: int) -> int:
    """Count the FLOPs of a training step."""
    return worked(config, batch_size)


def six_n(config: GPTConfig, batch_size: int) -> int:
    """Make the mistake of 6 N with every parameter, and no attention."""
    return 6 * counted(config) * batch_size * config.max_seq_len


WORK = WriteFunction(
    "The work of a step",
    "counts the FLOPs of a training step",
    step_flops,
    cases=[
        (GPTConfig(**SHAPE), 1),
        (GPTConfig(**SHAPE), 5),
        (GPTConfig(**SHAPE, d_ff=20), 2),
        (GPTConfig(**SHAPE | {"num_layers": 1, "max_seq_len": 50, "d_model": 12}), 3),
    ],
    misconceptions=[
        Misconception(
            "this is the forward pass alone; the backward pass costs twice as much "
            "again.",
            partial(worked, passes=1),
        ),
        Misconception(
            "you count the backward pass as one forward pass. It needs two products "
            "for each one: for the weights' gradient, and for what came in.",
            partial(worked, passes=2),
        ),
        Misconception(
            "you count a multiplication and its addition as one. They are two FLOPs.",
            partial(worked, per_number=1),
        ),
        Misconception(
            "you leave out the head: it compares each position with V rows.",
            partial(worked, head=0),
        ),
        Misconception(
            "you count the head twice. Looking up a row of the embedding multiplies "
            "nothing.",
            partial(worked, head=2),
        ),
        Misconception(
            "you count the tables as if they multiplied. Looking up a row is free; "
            "only the head multiplies.",
            partial(worked, tables=1),
        ),
        Misconception(
            "you leave out the attention itself: queries with keys, weights with "
            "values.",
            partial(worked, reads="0"),
        ),
        Misconception(
            "attention has two products, queries with keys and weights with values. "
            "You count one.",
            partial(worked, products=1),
        ),
        Misconception(
            "in attention, a token meets T keys and T values, not one.",
            partial(worked, reads="1"),
        ),
        Misconception(
            "you count T² keys for every one of T tokens. T² is for a whole row.",
            partial(worked, reads="T²"),
        ),
        Misconception(
            "this is for one token. A step has batch_size rows of T tokens.",
            partial(worked, tokens="one"),
        ),
        Misconception(
            "this is for one row. A step has batch_size of them.",
            partial(worked, tokens="row"),
        ),
        Misconception(
            "this is for one token of each row. Rows are full: T tokens.",
            partial(worked, tokens="rows"),
        ),
        Misconception(
            "the feed-forward is not always 4C wide: use config.feed_forward_dim.",
            partial(worked, d_ff=False),
        ),
        Misconception(
            "this is 6 N with every parameter. Biases, norms and look-ups are not "
            "matrix products, and attention is missing.",
            six_n,
        ),
    ],
)

EXERCISES = {
    "06.1": LESSON,
    "06.2": READ_LOSS,
    "06.3": COUNT,
    "06.4": BILL,
    "06.5": MEND,
    "06.6": WORK,
}
