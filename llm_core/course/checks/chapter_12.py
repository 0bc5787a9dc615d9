"""Chapter 12's exercises: what a right answer gives, and what wrong ones mean.

Read this after you have tried them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction

EPSILON = 1e-5


def draw(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    """Draw numbers that are the same each time."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- 12.1: the logit lens -------------------------------------------------------------


def lens(
    x: Tensor,
    weight: Tensor,
    table: Tensor,
    norm: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the chances of the next id at each position: (T, C) -> (T, V)."""
    normed = rms(x, weight) if norm is None else norm(x, weight)
    return (normed @ table.T).softmax(dim=-1)


def rms(x: Tensor, weight: Tensor) -> Tensor:
    """Divide each row by its root mean square."""
    return x / (x.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt() * weight


def through(
    norm: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the mistake of another norm."""
    return lambda x, weight, table: lens(x, weight, table, norm)


def scores(x: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Make the mistake of stopping before the softmax."""
    return rms(x, weight) @ table.T


LENS = WriteFunction(
    "The logit lens by hand",
    "reads what the stream would say, if the model ended there",
    lens,
    cases=[
        (draw(4, 6, seed=1), 1 + 0.3 * draw(6, seed=2), draw(9, 6, seed=3)),
        (
            draw(2, 5, seed=4, scale=3.0),
            0.5 + draw(5, seed=5).abs(),
            draw(7, 5, seed=6),
        ),
        (draw(1, 4, seed=7) + 2, torch.ones(4), draw(3, 4, seed=8)),
    ],
    misconceptions=[
        Misconception(
            "the final norm is missing. The head was trained on normed vectors: "
            "without the norm its scores have another size.",
            through(lambda x, weight: x),
        ),
        Misconception(
            "you multiply by the norm's weight, but do not divide by the root mean "
            "square.",
            through(lambda x, weight: x * weight),
        ),
        Misconception(
            "the norm's weight is missing: after the division, each channel has a "
            "scale of its own.",
            through(lambda x, weight: rms(x, torch.ones_like(weight))),
        ),
        Misconception(
            "you norm along the positions. Each position is normed alone, over its "
            "channels: dim=-1.",
            through(
                lambda x, w: x / (x.square().mean(0, keepdim=True) + EPSILON).sqrt() * w
            ),
        ),
        Misconception(
            "you norm the whole stream at once: each position has a size of its own.",
            through(lambda x, w: x / (x.square().mean() + EPSILON).sqrt() * w),
        ),
        Misconception(
            "you divide by the length, the root of the sum of squares. RMS is the "
            "root of their mean.",
            through(
                lambda x, w: x / (x.square().sum(-1, keepdim=True) + EPSILON).sqrt() * w
            ),
        ),
        Misconception(
            "you divide by the mean square: its root is missing.",
            through(lambda x, w: x / (x.square().mean(-1, keepdim=True) + EPSILON) * w),
        ),
        Misconception(
            "you subtract the mean first, as a layer norm does. This model's norm is "
            "RMS, which does not.",
            through(lambda x, w: rms(x - x.mean(-1, keepdim=True), w)),
        ),
        Misconception(
            "these are scores, not yet chances: a softmax is missing.", scores
        ),
        Misconception(
            "your softmax runs along the positions: the chances at each position, a "
            "row, sum to 1.",
            lambda x, weight, table: scores(x, weight, table).softmax(dim=0),
        ),
        Misconception(
            "you return the likeliest ids. Return the chances of all of them, (T, V).",
            lambda x, weight, table: scores(x, weight, table).argmax(dim=-1),
        ),
        Misconception(
            "you look at the last position only: one row for each position, (T, V).",
            lambda x, weight, table: lens(x, weight, table)[-1],
        ),
    ],
)

# --- 12.2: one head less --------------------------------------------------------------


def saying(
    mixed: Tensor, weight: Tensor, channels: slice, instead: Tensor | float
) -> Tensor:
    """Return what an attention adds when some channels say something else."""
    silent = mixed.clone()
    silent[:, channels] = instead[channels] if isinstance(instead, Tensor) else instead
    return silent @ weight.T


def own(mixed: Tensor, head: int, num_heads: int) -> slice:
    """Return the channels of a head."""
    D = mixed.shape[1] // num_heads
    return slice(head * D, (head + 1) * D)


def without_head(
    mixed: Tensor, weight: Tensor, head: int, num_heads: int, usual: Tensor
) -> Tensor:
    """Return what an attention adds to the stream when one head says its usual."""
    return saying(mixed, weight, own(mixed, head, num_heads), usual)


def silencing(
    choose: Callable[[int, int, int], slice],
) -> Callable[[Tensor, Tensor, int, int, Tensor], Tensor]:
    """Return the mistake of silencing other channels: `choose` gets head, H and C."""

    def wrong(
        mixed: Tensor, weight: Tensor, head: int, num_heads: int, usual: Tensor
    ) -> Tensor:
        return saying(mixed, weight, choose(head, num_heads, mixed.shape[1]), usual)

    return wrong


def silenced_late(
    mixed: Tensor, weight: Tensor, head: int, num_heads: int, usual: Tensor
) -> Tensor:
    """Make the mistake of silencing channels of the result."""
    out = mixed @ weight.T
    channels = own(mixed, head, num_heads)
    out[:, channels] = usual[channels]
    return out


def only_head(
    mixed: Tensor, weight: Tensor, head: int, num_heads: int, usual: Tensor
) -> Tensor:
    """Make the mistake of keeping the head and silencing the others."""
    channels = own(mixed, head, num_heads)
    kept = usual.repeat(len(mixed), 1)
    kept[:, channels] = mixed[:, channels]
    return kept @ weight.T


def by_view(
    mixed: Tensor, weight: Tensor, head: int, num_heads: int, usual: Tensor
) -> Tensor:
    """Make the mistake of a view that mixes heads with positions."""
    T, C = mixed.shape
    silent = mixed.reshape(num_heads, T, C // num_heads).clone()
    silent[head] = usual[own(mixed, head, num_heads)]
    return silent.reshape(T, C) @ weight.T


ABLATE = WriteFunction(
    "Switch a head off",
    "returns what the attention adds when this head says its usual",
    without_head,
    cases=[
        (draw(3, 8, seed=11), draw(8, 8, seed=12), 1, 4, draw(8, seed=17)),
        (draw(3, 8, seed=11), draw(8, 8, seed=12), 0, 4, draw(8, seed=17)),
        (draw(5, 12, seed=13), draw(12, 12, seed=14), 2, 3, draw(12, seed=18)),
        (draw(2, 6, seed=15), draw(6, 6, seed=16), 1, 2, draw(6, seed=19)),
    ],
    misconceptions=[
        Misconception(
            "the head is put to zero, where it should say its usual. Zero is nothing "
            "that the layers behind have ever seen.",
            lambda mixed, weight, head, num_heads, usual: saying(
                mixed, weight, own(mixed, head, num_heads), 0.0
            ),
        ),
        Misconception(
            "the usual is the mean over the positions of this text. It still tells "
            "what the head says about this one: take `usual`.",
            lambda mixed, weight, head, num_heads, usual: saying(
                mixed, weight, own(mixed, head, num_heads), mixed.mean(dim=0)
            ),
        ),
        Misconception(
            "you silence channels after the output projection. There the heads are "
            "mixed already: every head writes to every channel.",
            silenced_late,
        ),
        Misconception(
            "you silence every H-th channel. A head's channels lie side by side: "
            "h * D to (h + 1) * D.",
            silencing(lambda head, H, C: slice(head, None, H)),
        ),
        Misconception(
            "your slice begins at h * H. A head has D = C / H channels, so head h "
            "begins at h * D.",
            silencing(lambda head, H, C: slice(head * H, (head + 1) * H)),
        ),
        Misconception(
            "you silence a single channel: a head has D = C / H of them.",
            silencing(lambda head, H, C: slice(head, head + 1)),
        ),
        Misconception(
            "you silence the head before this one: heads count from 0.",
            silencing(
                lambda head, H, C: slice(
                    (head - 1) % H * (C // H), (head - 1) % H * (C // H) + C // H
                )
            ),
        ),
        Misconception(
            "you silence all heads from this one on: its slice also ends.",
            silencing(lambda head, H, C: slice(head * (C // H), None)),
        ),
        Misconception(
            "you keep this head and silence all others: it should be the other way "
            "round.",
            only_head,
        ),
        Misconception(
            "the projection is transposed: a linear layer computes mixed @ weight.T.",
            lambda mixed, weight, head, num_heads, usual: without_head(
                mixed, weight.T, head, num_heads, usual
            ),
        ),
        Misconception(
            "a view of (H, T, D) is not a split into heads: positions and channels get "
            "mixed. Split the channels, (T, H, D), and only then transpose.",
            by_view,
        ),
        Misconception(
            "the head is silent, but nothing is projected yet: multiply by weight.T.",
            lambda mixed, weight, head, num_heads, usual: without_head(
                mixed, torch.eye(mixed.shape[1]), head, num_heads, usual
            ),
        ),
        Misconception(
            "nothing is silent: this is what the attention always adds.",
            lambda mixed, weight, head, num_heads, usual: mixed @ weight.T,
        ),
    ],
)

# --- 12.3: does it look after the prefix? ---------------------------------------------


def shares(
    weights: Tensor, ids: Tensor, read: Callable[[int, int, list[int]], bool]
) -> list[float]:
    """Return, for each token that stood before, the weight on the places it `read`s."""
    letters = ids.tolist()
    found = []
    for t, letter in enumerate(letters):
        if letter in letters[:t]:
            places = [s for s in range(t + 1) if read(t, s, letters)]
            found.append(sum(weights[t, s].item() for s in places))
    return found


def is_next(t: int, s: int, ids: list[int]) -> bool:
    """Whether place s comes right after an earlier place with the token of t."""
    return s > 0 and s - 1 < t and ids[s - 1] == ids[t]


def prefix_score(weights: Tensor, ids: Tensor) -> float:
    """Return how much repeated tokens read what came after them, on average."""
    found = shares(weights, ids, is_next)
    return sum(found) / len(found)


def scoring(
    read: Callable[[int, int, list[int]], bool],
) -> Callable[[Tensor, Tensor], float]:
    """Return the mistake of adding up the weight on other places."""

    def wrong(weights: Tensor, ids: Tensor) -> float:
        found = shares(weights, ids, read)
        return sum(found) / len(found)

    return wrong


def is_last(t: int, s: int, ids: list[int]) -> bool:
    """Whether place s comes after the latest earlier place with that token."""
    return is_next(t, s, ids) and ids[t] not in ids[s:t]


def is_first(t: int, s: int, ids: list[int]) -> bool:
    """Whether place s comes after the first place with that token."""
    return is_next(t, s, ids) and ids[t] not in ids[: s - 1]


LETTERS = torch.tensor([3, 1, 4, 2, 3, 1, 5, 3, 1])
OTHERS = torch.tensor([0, 2, 1, 0, 2, 4, 1, 0])


def attention(size: int, seed: int) -> Tensor:
    """Draw a causal map (T, T)."""
    future = torch.ones(size, size).triu(1).bool()
    drawn = draw(size, size, seed=seed, scale=1.5).masked_fill(future, float("-inf"))
    return drawn.softmax(dim=-1)


PREFIX = WriteFunction(
    "The prefix-matching score",
    "says how much repeated tokens read what came after them",
    prefix_score,
    cases=[
        (attention(9, 21), LETTERS),
        (attention(8, 22), OTHERS),
        (attention(4, 23), torch.tensor([7, 5, 6, 7])),
    ],
    misconceptions=[
        Misconception(
            "off by one: you add up what is read of the earlier token itself. An "
            "induction head reads the place after it.",
            scoring(lambda t, s, ids: s < t and ids[s] == ids[t]),
        ),
        Misconception(
            "you count the token itself as one of its earlier places: it stands at s "
            "and at t = s.",
            scoring(lambda t, s, ids: ids[s] == ids[t]),
        ),
        Misconception(
            "off by one, the other way: you add up what is read of the place before "
            "the earlier token.",
            scoring(lambda t, s, ids: s + 1 < t and ids[s + 1] == ids[t]),
        ),
        Misconception(
            "you follow the latest earlier place only: a token may have stood in "
            "several.",
            scoring(is_last),
        ),
        Misconception(
            "you follow the first earlier place only: a token may have stood in "
            "several.",
            scoring(is_first),
        ),
        Misconception(
            "you divide by the number of all positions. Only those count whose token "
            "stood before.",
            lambda weights, ids: sum(shares(weights, ids, is_next)) / len(ids),
        ),
        Misconception(
            "you add up over the positions: take the mean of those that count.",
            lambda weights, ids: sum(shares(weights, ids, is_next)),
        ),
        Misconception(
            "rows and columns are exchanged: weights[t] is what position t reads.",
            lambda weights, ids: prefix_score(weights.T, ids),
        ),
        Misconception(
            "you average over pairs of places. First add up what one reader gives to "
            "all of its places, then take the mean over readers.",
            lambda weights, ids: (
                sum(shares(weights, ids, is_next))
                / sum(
                    is_next(t, s, ids.tolist())
                    for t in range(len(ids))
                    for s in range(t + 1)
                )
            ),
        ),
        Misconception(
            "you take the largest weight of each reader: its places are to be added "
            "up.",
            lambda weights, ids: largest(weights, ids),
        ),
    ],
)


def largest(weights: Tensor, ids: Tensor) -> float:
    """Make the mistake of taking the best place of each reader only."""
    letters = ids.tolist()
    found = []
    for t, letter in enumerate(letters):
        if letter in letters[:t]:
            places = [s for s in range(t + 1) if is_next(t, s, letters)]
            found.append(max(weights[t, s].item() for s in places))
    return sum(found) / len(found)


# --- 12.4: where must a patch work? ---------------------------------------------------

PATCHED = Predict(
    "Where must a patch work?",
    "predict for each patch whether the answer follows it (True or False)",
    lambda: {
        "all places before told, after 2 blocks": False,
        "all places but told, before the first block": False,
        "told and all places after it, after 2 blocks": True,
        "all places but the reader, after the last block": False,
        "all places, after the last block": True,
    },
    {
        ("all places before told, after 2 blocks", True): "what does the causal mask "
        "let a place know of what comes after it? So does its vector differ between "
        "the two texts?",
        ("all places but told, before the first block", True): "before the first "
        "block the stream holds nothing but embeddings. At which places do the two "
        "texts have different ones?",
        ("told and all places after it, after 2 blocks", False): "what is left in the "
        "stream, at any place, that differs from the clean text?",
        ("all places but the reader, after the last block", True): "which vector do "
        "the final norm and the head look at, when all blocks have run?",
        ("all places, after the last block", False): "the reader's own vector is "
        "exchanged, too. What do the norm and the head look at?",
    },
)

# --- 12.5: a control for a probe ------------------------------------------------------


def control(labels: Tensor, stories: Tensor, order: Tensor) -> Tensor:
    """Give every activation of story i the label of story order[i]."""
    of_story = torch.zeros_like(order)
    of_story[stories] = labels
    return of_story[order][stories]


def backwards(labels: Tensor, stories: Tensor, order: Tensor) -> Tensor:
    """Make the mistake of following the order from its other end."""
    return control(labels, stories, order.argsort())


CONTROL = WriteFunction(
    "A control for a probe",
    "deals the labels out to other stories, a whole story at a time",
    control,
    cases=[
        (
            torch.tensor([5, 5, 7, 2, 2, 2, 9, 9]),
            torch.tensor([0, 0, 1, 2, 2, 2, 3, 3]),
            torch.tensor([1, 2, 3, 0]),
        ),
        (
            torch.tensor([4, 1, 4, 6, 1, 6, 4]),
            torch.tensor([2, 0, 2, 1, 0, 1, 2]),
            torch.tensor([2, 0, 1]),
        ),
        (torch.tensor([3, 3, 8]), torch.tensor([1, 1, 0]), torch.tensor([0, 1])),
    ],
    misconceptions=[
        Misconception(
            "these are the true labels: a control has to know nothing.",
            lambda labels, stories, order: labels.clone(),
        ),
        Misconception(
            "you follow the order backwards: story i gets the label of story order[i].",
            backwards,
        ),
        Misconception(
            "you use the order on activations, not on stories: order[i] is a story, "
            "and all activations of a story get one label.",
            lambda labels, stories, order: labels[order[stories]],
        ),
        Misconception(
            "you give the number of the story and not its label.",
            lambda labels, stories, order: order[stories],
        ),
        Misconception(
            "you turn the list of labels around. Then a story can get several labels, "
            "and no probe could learn it even by heart.",
            lambda labels, stories, order: labels.flip(0),
        ),
        Misconception(
            "you give one label to each story, which is a good beginning: now give "
            "each activation that of its story.",
            lambda labels, stories, order: torch.zeros_like(order).scatter(
                0, stories, labels
            )[order],
        ),
    ],
)

EXERCISES = {
    "12.1": LENS,
    "12.2": ABLATE,
    "12.3": PREFIX,
    "12.4": PATCHED,
    "12.5": CONTROL,
}
