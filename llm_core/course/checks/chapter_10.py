"""Chapter 10, Sampling: what its exercises ask for, and how they go wrong."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, log2
from typing import Any

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction

Numbers = list[float]
Table = dict[str, dict[str, float]]


def normalized(numbers: Numbers) -> Numbers:
    """Divide by the sum."""
    return [number / sum(numbers) for number in numbers]


# --- 10.1: softmax at a temperature ---------------------------------------------------


def softmax(logits: Numbers, temperature: float) -> Numbers:
    """Return probabilities; at 0, all of it for the largest, the first of equals."""
    if temperature == 0:
        return one_hot(len(logits), logits.index(max(logits)))
    top = max(logits)
    return normalized([exp((z - top) / temperature) for z in logits])


def one_hot(size: int, place: int) -> Numbers:
    """Return zeros with a single 1."""
    return [1.0 if i == place else 0.0 for i in range(size)]


def faulty_softmax(
    scale: Callable[[float, float], float] = lambda z, t: z / t,
    shift: bool = True,
    finish: Callable[[Numbers, float], Numbers] = lambda p, t: normalized(p),
    cold: Callable[[Numbers], Numbers] = lambda logits: softmax(logits, 0),
) -> Callable[[Numbers, float], Numbers]:
    """Return softmax with another scale, without the shift, or with another limit."""

    def act(logits: Numbers, temperature: float) -> Numbers:
        if temperature == 0:
            return cold(logits)
        top = max(logits) if shift else 0.0
        scaled = [scale(z - top, temperature) for z in logits]
        return finish([exp(z) for z in scaled], temperature)

    return act


def divide_by_zero(logits: Numbers) -> Numbers:
    """Act as if 0 were a temperature like any other."""
    return [z / 0.0 for z in logits]


SOFTMAX_MISTAKES: list[tuple[str, dict[str, Any]]] = [
    (
        "you multiply by the temperature, or take probabilities to the power T: a high "
        "one should flatten. Divide the logits by it.",
        {"scale": lambda z, t: z * t},
    ),
    (
        "the temperature is not used: divide the logits by it.",
        {"scale": lambda z, t: z},
    ),
    (
        "you divide the probabilities by T and normalize again: a common factor falls "
        "out, and nothing has changed. Divide the logits, before exp.",
        {
            "scale": lambda z, t: z,
            "finish": lambda p, t: normalized([x / t for x in p]),
        },
    ),
    (
        "you divide the probabilities by T, so that they no longer add up to 1. "
        "Divide the logits, before exp.",
        {
            "scale": lambda z, t: z,
            "finish": lambda p, t: [x / t for x in normalized(p)],
        },
    ),
    (
        "you treat probabilities as if they were logits, and apply softmax twice. "
        "Divide the logits themselves.",
        {
            "scale": lambda z, t: z,
            "finish": lambda p, t: softmax(normalized(p), t),
        },
    ),
    (
        "these are not probabilities yet: divide by their sum.",
        {"finish": lambda p, t: p},
    ),
]
COLD_MISTAKES: list[tuple[str, Callable[[Numbers], Numbers]]] = [
    (
        "at temperature 0 you divide by zero. What is left in the limit? Treat it as "
        "a case of its own.",
        divide_by_zero,
    ),
    (
        "of equal logits the first should win at temperature 0; yours gives it to "
        "the last.",
        lambda logits: one_hot(
            len(logits), len(logits) - 1 - logits[::-1].index(max(logits))
        ),
    ),
    (
        "at temperature 0 equal logits share in your answer. That is the true limit; "
        "but the exercise asks for a definite choice, the first of them.",
        lambda logits: normalized([float(z == max(logits)) for z in logits]),
    ),
    (
        "at temperature 0 the *largest* logit wins, not the smallest.",
        lambda logits: one_hot(len(logits), logits.index(min(logits))),
    ),
    (
        "at temperature 0 all becomes equal in your answer: that is the limit of a "
        "high temperature.",
        lambda logits: [1 / len(logits)] * len(logits),
    ),
    (
        "at temperature 0 you fall back to temperature 1.",
        lambda logits: softmax(logits, 1),
    ),
]

SOFTMAX = WriteFunction(
    "Softmax at a temperature",
    "turns logits into probabilities at any temperature from 0 on",
    softmax,
    cases=[
        ([2.0, 1.0, 0.0], 1.0),
        ([2.0, 1.0, 0.0], 0.5),
        ([2.0, -1.0, 0.5, 0.0], 3.0),
        ([5.0], 0.7),
        ([1.0, 3.0, 3.0, 2.0], 2.0),
        ([1.0, 3.0, 3.0, 2.0], 0.0),
        ([-4.0, -2.0], 0.0),
        ([1000.0, 999.0, 900.0], 1.0),
        ([-1000.0, -1001.0], 0.5),
    ],
    misconceptions=[
        *(
            Misconception(hint, faulty_softmax(**fault))
            for hint, fault in SOFTMAX_MISTAKES
        ),
        *(
            Misconception(hint, faulty_softmax(cold=cold))
            for hint, cold in COLD_MISTAKES
        ),
        Misconception(
            "exp of a large logit is too large for a computer, and of a very negative "
            "one it is 0. Subtract the largest logit first: it changes no quotient.",
            faulty_softmax(shift=False),
        ),
        *(
            Misconception(
                hint + " (Very large logits are a second trouble: subtract the "
                "largest one first.)",
                faulty_softmax(shift=False, cold=cold),
            )
            for hint, cold in COLD_MISTAKES
        ),
    ],
)

# --- 10.2: top-p ----------------------------------------------------------------------


def top_p(probabilities: Numbers, p: float) -> Numbers:
    """Keep the likeliest until they hold p; divide by what they hold; 0 elsewhere."""
    return nucleus()(probabilities, p)


def nucleus(fault: str = "") -> Callable[[Numbers, float], Numbers]:
    """Return top-p, with a mistake if one is named."""

    def act(probabilities: Numbers, p: float) -> Numbers:
        size = len(probabilities)
        order = sorted(range(size), key=lambda i: -probabilities[i])
        if fault == "ascending":
            order.reverse()
        if fault == "last of equals":
            order = sorted(range(size), key=lambda i: (-probabilities[i], -i))
        kept: list[int] = []
        held = 0.0
        for i in order:
            full = held >= p and bool(kept)
            if fault in ("before", "before, none"):
                full = held + probabilities[i] > p and (bool(kept) or "none" in fault)
            if fault == "reaching":
                full = held > p and bool(kept)
            if fault == "none":
                full = held >= p
            if full:
                break
            kept.append(i)
            held += probabilities[i]
        if fault == "one more" and len(kept) < size:
            kept.append(order[len(kept)])
            held += probabilities[kept[-1]]
        return arranged(fault, probabilities, order, kept, p)

    return act


def arranged(
    fault: str, probabilities: Numbers, order: list[int], kept: list[int], p: float
) -> Numbers:
    """Put what is kept back to its places, or make a mistake of it."""
    share = sum(probabilities[i] for i in kept)
    if fault == "no division":
        share = 1.0
    if fault == "divided by p":
        share = p
    result = [x / share if i in kept else 0.0 for i, x in enumerate(probabilities)]
    if fault == "sorted":
        return [result[i] for i in order]
    if fault == "unsorted twice":
        return [result[order[i]] for i in order]
    if fault == "only kept":
        return [result[i] for i in kept]
    return result


def each_at_least(probabilities: Numbers, p: float) -> Numbers:
    """Compare every single probability with p."""
    return normalized([x if x >= p else 0.0 for x in probabilities])


def relative(probabilities: Numbers, p: float) -> Numbers:
    """Do what min-p does."""
    top = max(probabilities)
    return normalized([x if x >= p * top else 0.0 for x in probabilities])


def in_given_order(probabilities: Numbers, p: float) -> Numbers:
    """Add up in the order of the ids."""
    held, kept = 0.0, []
    for x in probabilities:
        kept.append(x if held < p or not held else 0.0)
        held += x
    return normalized(kept)


TOP_P = WriteFunction(
    "Top-p",
    "keeps the likeliest until they hold the share p",
    top_p,
    cases=[
        ([0.125, 0.5, 0.125, 0.25], 0.7),
        ([0.0625, 0.25, 0.125, 0.5, 0.0625], 0.8),
        ([0.125, 0.5, 0.125, 0.25], 0.75),
        ([0.25, 0.25, 0.25, 0.25], 0.5),
        ([0.1, 0.2, 0.7], 0.0),
        ([0.1, 0.2, 0.7], 0.3),
        ([0.125, 0.5, 0.125, 0.25], 1.0),
        ([1.0], 0.5),
        ([0.0, 1.0, 0.0], 1.0),
    ],
    misconceptions=[
        Misconception(
            "you stop before the token that crosses p, so that what is left holds "
            "less than p. That token stays: count what came *before* each one.",
            nucleus("before"),
        ),
        Misconception(
            "you stop before the token that crosses p, and where the first crosses it "
            "nothing is left. Count what came *before* each one.",
            nucleus("before, none"),
        ),
        Misconception(
            "where the sum is exactly p the share is held, and you take one more.",
            nucleus("reaching"),
        ),
        Misconception(
            "with p = 0 nothing is left in your answer: the first always stays.",
            nucleus("none"),
        ),
        Misconception("you keep one too many.", nucleus("one more")),
        Misconception(
            "you begin with the least probable: sort from large to small.",
            nucleus("ascending"),
        ),
        Misconception(
            "you add up in the order of the ids. The likeliest come first.",
            in_given_order,
        ),
        Misconception(
            "of equal probabilities the first should stay; yours keeps the last.",
            nucleus("last of equals"),
        ),
        Misconception(
            "what is left does not add up to 1: divide by its sum.",
            nucleus("no division"),
        ),
        Misconception(
            "you divide by p. What is left holds p or more: divide by its own sum.",
            nucleus("divided by p"),
        ),
        Misconception(
            "the right ones are left, but in sorted order: every probability must go "
            "back to the place of its id.",
            nucleus("sorted"),
        ),
        Misconception(
            "you undo the sorting by applying it again. Where order[i] says which id "
            "stands at rank i, write rank i *to* place order[i].",
            nucleus("unsorted twice"),
        ),
        Misconception(
            "return a number for every id, 0 for those that are cut.",
            nucleus("only kept"),
        ),
        Misconception(
            "you compare every single probability with p. It is their sum, from the "
            "likeliest down, that must reach p.",
            each_at_least,
        ),
        Misconception(
            "this is min-p: you compare with the likeliest. Top-p adds up.",
            relative,
        ),
    ],
)

# --- 10.3: mend the penalty -----------------------------------------------------------


def penalize(logits: Numbers, ids: list[int], penalty: float) -> Numbers:
    """Lower the logit of every id that has occurred, once."""
    seen = set(ids)
    return [
        (z / penalty if z > 0 else z * penalty) if i in seen else z
        for i, z in enumerate(logits)
    ]


def faulty_penalty(
    change: Callable[[float, float], float] = lambda z, r: z / r if z > 0 else z * r,
    times: Callable[[list[int], int], int] = lambda ids, i: int(i in ids),
) -> Callable[[Numbers, list[int], float], Numbers]:
    """Return a penalty that lowers in another way, or another number of times."""

    def act(logits: Numbers, ids: list[int], penalty: float) -> Numbers:
        result = list(logits)
        for i in range(len(logits)):
            for _ in range(times(ids, i)):
                result[i] = change(result[i], penalty)
        return result

    return act


PENALTY = WriteFunction(
    "Mend the repetition penalty",
    "makes every id that occurred less likely, and each of them once",
    penalize,
    cases=[
        ([4.0, 2.0, 1.0], [0], 2.0),
        ([4.0, -2.0, 1.0], [1], 2.0),
        ([4.0, 2.0, 1.0], [0, 2, 0, 0], 2.0),
        ([-4.0, 2.0, 0.0, 3.0], [2, 0, 0, 3], 1.5),
        ([1.0, -1.0], [], 3.0),
        ([1.0, -1.0], [0, 1], 1.0),
    ],
    misconceptions=[
        Misconception(
            "it still does what it did when you got it. The case below shows one of "
            "its faults: is this id less likely than before?",
            faulty_penalty(lambda z, r: z / r, lambda ids, i: ids.count(i)),
        ),
        Misconception(
            "a negative logit divided by 2 is *larger* than before: -2 becomes -1. "
            "Multiply where it is negative.",
            faulty_penalty(lambda z, r: z / r),
        ),
        Misconception(
            "an id that occurs twice is still punished twice: every id that occurred "
            "is lowered once.",
            faulty_penalty(times=lambda ids, i: ids.count(i)),
        ),
        Misconception(
            "you multiply all: positive logits become larger. Divide those.",
            faulty_penalty(lambda z, r: z * r),
        ),
        Misconception(
            "you divide and multiply the wrong way round, so that what occurred "
            "becomes *more* likely.",
            faulty_penalty(lambda z, r: z * r if z > 0 else z / r),
        ),
        Misconception(
            "you subtract. That is another penalty, and a sounder one; here positive "
            "logits are divided and negative ones multiplied.",
            faulty_penalty(lambda z, r: z - r),
        ),
        Misconception(
            "you subtract the logarithm of the penalty. That is another penalty, and "
            "a sounder one; here positive logits are divided, negative ones "
            "multiplied.",
            faulty_penalty(lambda z, r: z - log(r)),
        ),
        Misconception(
            "you punish the ids that have *not* occurred.",
            faulty_penalty(times=lambda ids, i: int(i not in ids)),
        ),
        Misconception(
            "you lower every id, whether it occurred or not.",
            faulty_penalty(times=lambda ids, i: 1),
        ),
        Misconception(
            "only ids that occur more than once are punished; once is enough.",
            faulty_penalty(times=lambda ids, i: int(ids.count(i) > 1)),
        ),
        Misconception(
            "only the last id is punished: all that have occurred should be.",
            faulty_penalty(times=lambda ids, i: int(ids[-1:] == [i])),
        ),
    ],
)

# --- 10.4: what survives (predict) ----------------------------------------------------

SURVIVORS = Predict(
    "Who survives?",
    "predict how many of the eight tokens can still be drawn",
    lambda: {
        "ties at top_k = 3": 3,
        "top_k = 50": 8,
        "top_p = 1": 8,
        "top_p = 0": 1,
        "min_p = 1": 2,
        "temperature = 0": 1,
        "min_p = 0.5, masked": 1,
    },
    {
        (
            "ties at top_k = 3",
            4,
        ): "two tokens tie for the third place, but k is a count: "
        "exactly three stay, of equals the lowest id.",
        ("ties at top_k = 3", 2): "k counts tokens, not different probabilities.",
        ("top_k = 50", 50): "there are only eight.",
        ("top_k = 50", 0): "k above V is no mistake: there is nothing to cut.",
        ("top_p = 1", 7): "nothing may be lost at p = 1, not even through rounding.",
        ("top_p = 1", 1): "at p = 1 *all* probability is to be held.",
        ("top_p = 0", 0): "then nothing could be drawn: the likeliest always stays.",
        ("top_p = 0", 8): "at p = 0 no share needs to be held.",
        ("top_p = 0", 2): "two tie for the first place, but the first of them "
        "suffices.",
        ("min_p = 1", 1): "who is as probable as the likeliest? Two tie for it.",
        ("min_p = 1", 8): "at min_p = 1 a token must be as probable as the likeliest.",
        ("min_p = 1", 0): "the likeliest is as probable as itself.",
        ("temperature = 0", 2): "in the limit two would share; the package makes a "
        "definite choice, the lowest id.",
        ("temperature = 0", 0): "0 is the limit in which only the largest is left.",
        (
            "min_p = 0.5, masked",
            0,
        ): "the one that is left is the likeliest, however small its logit was.",
        ("min_p = 0.5, masked", 8): "a logit of minus infinity has probability 0.",
        ("min_p = 0.5, masked", 7): "seven are masked, one is left.",
    },
)

# --- 10.5: entropy (predict) ----------------------------------------------------------

ENTROPY = Predict(
    "Predict the entropy",
    "predict each entropy in bits",
    lambda: {
        "equal, T = 1": 3,
        "equal, T = 10": 3,
        "equal, T = 0": 0,
        "hot": 3,
        "top_k = 4": 2,
        "half and half": 2,
    },
    {
        ("equal, T = 1", 8): "8 is the perplexity; the entropy is its logarithm.",
        ("equal, T = 1", 1): "a fair coin has 1 bit; this is a choice among eight.",
        ("equal, T = 10", 30): "temperature divides logits, not entropy.",
        ("equal, T = 10", 0.3): "temperature divides logits, not entropy.",
        ("equal, T = 0", 3): "at T = 0 the core takes the first of equals, always.",
        ("hot", 8): "8 is how many there are; what is their logarithm?",
        ("hot", 0): "as T grows, all become equally likely.",
        ("top_k = 4", 1.5): "half of the tokens is one bit less.",
        ("top_k = 4", 4): "4 tokens are left; what is their logarithm?",
        ("half and half", 2.5): "average the surprises, each with its probability: "
        "one of 1 bit, four of 3 bits.",
        ("half and half", 3): "only four of the five cost 3 bits; half of the time "
        "it is 1.",
        ("half and half", log2(5)): "the five are not equally likely.",
        ("half and half", 1): "the other half must be told apart, too.",
    },
)

# --- 10.6: greedy without loops -------------------------------------------------------


def loop_free(table: Table, start: list[str], length: int, n: int) -> list[str]:
    """Write the likeliest word that completes no row of n words a second time."""
    return faulty_loop_free()(table, start, length, n)


def faulty_loop_free(fault: str = "") -> Callable[..., list[str]]:
    """Return greedy decoding that avoids repeats, with a mistake if one is named."""

    def act(table: Table, start: list[str], length: int, n: int) -> list[str]:
        words = list(start)
        size = {"shorter": n - 1, "longer": n + 1}.get(fault, n)
        while len(words) < length + (len(start) if fault == "more" else 0):
            seen = {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
            if fault == "last":
                seen = {tuple(words[-size:])}
            if fault == "without start":
                seen = {
                    tuple(words[i : i + size])
                    for i in range(len(start), len(words) - size + 1)
                }
            options = table.get(words[-1], {})
            ranked = sorted(options, key=lambda word: -options[word])
            tail = tuple(words[len(words) - size + 1 :])
            free = [
                word
                for word in ranked
                if fault == "greedy" or (*tail, word) not in seen
            ]
            if fault == "words":
                free = [word for word in ranked if word not in words]
            if fault == "unlikely":
                free.reverse()
            if not free and not (fault == "gives in" and ranked):
                break
            words.append(free[0] if free else ranked[0])
        return words[len(start) :] if fault == "new only" else words

    return act


WALK: Table = {
    "the": {"cat": 0.6, "dog": 0.3, "end": 0.1},
    "cat": {"saw": 0.7, "and": 0.3},
    "saw": {"the": 0.9, "a": 0.1},
    "dog": {"saw": 0.5, "and": 0.4, "ran": 0.1},
    "and": {"the": 0.8, "a": 0.2},
    "a": {"cat": 0.5, "dog": 0.4, "mouse": 0.1},
}
LOOP_FREE = WriteFunction(
    "Greedy without loops",
    "writes the likeliest word that repeats no row of n words",
    loop_free,
    cases=[
        (WALK, ["the"], 12, 2),
        (WALK, ["the"], 9, 3),
        (WALK, ["saw", "the", "cat", "saw"], 9, 2),
        (WALK, ["the"], 40, 2),
        (WALK, ["a"], 2, 3),
        (WALK, ["end"], 5, 2),
    ],
    misconceptions=[
        Misconception(
            "this is greedy itself, and it loops.", faulty_loop_free("greedy")
        ),
        Misconception(
            "you forbid every word that has occurred. Only a row of n words must not "
            "come twice.",
            faulty_loop_free("words"),
        ),
        Misconception(
            "you look at rows of n - 1 words. With the new word they are n.",
            faulty_loop_free("shorter"),
        ),
        Misconception(
            "you look at rows of n + 1 words: one too many.",
            faulty_loop_free("longer"),
        ),
        Misconception(
            "you compare with the last row only. None of the rows so far may return.",
            faulty_loop_free("last"),
        ),
        Misconception(
            "the words of the start count, too: their rows must not return either.",
            faulty_loop_free("without start"),
        ),
        Misconception(
            "where every word is forbidden you take one anyway: stop there.",
            faulty_loop_free("gives in"),
        ),
        Misconception(
            "of the free words you take the least likely.", faulty_loop_free("unlikely")
        ),
        Misconception(
            "return the whole text, with its start.", faulty_loop_free("new only")
        ),
        Misconception(
            "`length` counts all words, those of the start included.",
            faulty_loop_free("more"),
        ),
    ],
)

# --- 10.7: beam search ----------------------------------------------------------------


def beam(table: Table, start: str, steps: int, width: int) -> list[str]:
    """Return the likeliest path that a search with so many beams finds."""
    return faulty_beam()(table, start, steps, width)


def faulty_beam(fault: str = "") -> Callable[..., list[str]]:
    """Return beam search, with a mistake if one is named."""

    def act(table: Table, start: str, steps: int, width: int) -> list[str]:
        beams = [(1.0, [start])]
        for _ in range(steps):
            longer = []
            for p, path in beams:
                options = table.get(path[-1], {})
                each = [
                    (
                        q if fault == "last" else p + q if fault == "sum" else p * q,
                        [*path, word],
                    )
                    for word, q in options.items()
                ]
                each.sort(key=lambda pair: -pair[0])
                longer += each[: 1 if fault == "one each" else len(each)]
            longer.sort(key=lambda pair: pair[0] * (1 if fault == "worst" else -1))
            limit = 1 if fault == "greedy" else len(longer)
            beams = longer[: width if fault not in ("greedy", "all") else limit]
        best = beams[0][1]
        return best[1:] if fault == "new only" else best

    return act


FORK: Table = {
    "start": {"the": 0.5, "a": 0.3, "one": 0.2},
    "the": {"old": 0.4, "red": 0.35, "cat": 0.25},
    "a": {"king": 0.75, "toad": 0.25},
    "one": {"day": 1.0},
    "old": {"cat": 0.55, "king": 0.45},
    "red": {"hat": 0.6, "cat": 0.4},
    "cat": {"ran": 1.0},
    "king": {"sang": 0.5, "wept": 0.3, "sat": 0.2},
    "toad": {"sang": 1.0},
    "day": {"came": 0.9, "went": 0.1},
}
TRADE: Table = {
    "start": {"x": 0.8, "y": 0.2},
    "x": {"p": 0.3, "q": 0.28, "r": 0.22, "s": 0.2},
    "y": {"z": 1.0},
}
BEAM = WriteFunction(
    "Beam search",
    "keeps the likeliest beginnings, `width` of them, and returns the best in the end",
    beam,
    cases=[
        (FORK, "start", 2, 2),
        (TRADE, "start", 2, 2),
        (FORK, "start", 3, 1),
        (FORK, "start", 3, 2),
        (FORK, "start", 3, 3),
        (FORK, "start", 3, 30),
        (FORK, "the", 1, 2),
        (FORK, "start", 0, 2),
    ],
    misconceptions=[
        Misconception(
            "this is greedy: only one beginning survives each step. Keep `width`.",
            faulty_beam("greedy"),
        ),
        Misconception(
            "you rank by the last word's probability alone. Rank by the product along "
            "the path.",
            faulty_beam("last"),
        ),
        Misconception(
            "you add the probabilities along a path: they multiply.", faulty_beam("sum")
        ),
        Misconception(
            "you keep every beginning, which finds the very best but soon fills any "
            "memory. Keep `width` of them, whatever that costs.",
            faulty_beam("all"),
        ),
        Misconception(
            "each beginning is continued by its likeliest word alone, so that beams "
            "never compete: let every one have all its successors, then keep `width`.",
            faulty_beam("one each"),
        ),
        Misconception("you keep the least likely paths.", faulty_beam("worst")),
        Misconception("return the path with its start.", faulty_beam("new only")),
    ],
)

EXERCISES = {
    "10.1": SOFTMAX,
    "10.2": TOP_P,
    "10.3": PENALTY,
    "10.4": SURVIVORS,
    "10.5": ENTROPY,
    "10.6": LOOP_FREE,
    "10.7": BEAM,
}
