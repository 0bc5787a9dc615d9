"""Chapter 01, Counting: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean
from typing import Any

from llm_core.course.checks.judge import Misconception, Predict, WriteFunction

Followers = dict[str, dict[str, int]]
Model = dict[str, dict[str, float]]


class Nearly(dict[tuple[str, Any], str]):
    """Hints by name and number, whichever way the number was computed."""

    def __init__(self, hints: dict[str, dict[float, str]]) -> None:
        super().__init__(
            ((name, number), hint)
            for name, numbers in hints.items()
            for number, hint in numbers.items()
        )

    def get(self, key: tuple[str, Any], default: Any = None) -> Any:
        """Return the hint for a number, or the default."""
        name, value = key
        if not isinstance(value, int | float):
            return default
        for (known, number), hint in self.items():
            if name == known and math.isclose(value, number, rel_tol=1e-6):
                return hint
        return default


# --- 01.1: count what follows ---------------------------------------------------------


def count(text: str, n: int) -> Followers:
    """Count which character follows each context of n - 1 characters."""
    return grouped((text[i : i + n - 1], text[i + n - 1]) for i in starts(text, n))


def starts(text: str, n: int) -> range:
    """Return where the rows of n characters start."""
    return range(len(text) - n + 1)


def grouped(pairs: Any) -> Followers:
    """Count the second of each pair under the first."""
    found: Followers = {}
    for context, character in pairs:
        options = found.setdefault(context, {})
        options[character] = options.get(character, 0) + 1
    return found


def count_padded(text: str, n: int) -> Followers:
    """Make the mistake of imagining line breaks before the text."""
    padded = "\n" * (n - 1) + text
    return grouped((padded[i : i + n - 1], c) for i, c in enumerate(text))


def count_short_contexts(text: str, n: int) -> Followers:
    """Make the mistake of beginning before there is a whole context."""
    return grouped((text[max(0, i - n + 1) : i], c) for i, c in enumerate(text))


def count_negative_slices(text: str, n: int) -> Followers:
    """Make the mistake of slices that begin before the text does."""
    return grouped((text[i - n + 1 : i], c) for i, c in enumerate(text))


def count_without_last(text: str, n: int) -> Followers:
    """Make the mistake of stopping one row early."""
    rows = starts(text, n)[:-1]
    return grouped((text[i : i + n - 1], text[i + n - 1]) for i in rows)


def count_in_blocks(text: str, n: int) -> Followers:
    """Make the mistake of cutting the text into pieces that do not overlap."""
    rows = starts(text, n)[::n]
    return grouped((text[i : i + n - 1], text[i + n - 1]) for i in rows)


def count_around(text: str, n: int) -> Followers:
    """Make the mistake of going on at the beginning when the text is over."""
    return count(text + text[: n - 1], n)


def count_before(text: str, n: int) -> Followers:
    """Make the mistake of counting what came before a context."""
    return grouped((text[i + 1 : i + n], text[i]) for i in starts(text, n))


def count_once(text: str, n: int) -> Followers:
    """Make the mistake of noting each follower once."""
    return {
        context: dict.fromkeys(options, 1)
        for context, options in count(text, n).items()
    }


def list_followers(text: str, n: int) -> dict[str, list[str]]:
    """Make the mistake of listing the followers."""
    return {
        context: list(Counter(options).elements())
        for context, options in count(text, n).items()
    }


def count_rows(text: str, n: int) -> dict[str, int]:
    """Make the mistake of counting whole rows."""
    return dict(Counter(text[i : i + n] for i in starts(text, n)))


def count_shares(text: str, n: int) -> Model:
    """Make the mistake of dividing already."""
    return {
        context: {c: number / sum(options.values()) for c, number in options.items()}
        for context, options in count(text, n).items()
    }


COUNT = WriteFunction(
    "Count what follows",
    "counts, for each context of n - 1 characters, what follows it",
    count,
    cases=[
        ("banana", 2),
        ("banana bandana", 3),
        ("banana", 1),
        ("aaaa", 2),
        ("abcabd", 4),
        ("ab", 3),
        ("", 2),
    ],
    misconceptions=[
        Misconception(
            "your contexts have n characters. A row of n characters is the context "
            "*and* what follows: order n, context n - 1.",
            lambda text, n: count(text, n + 1),
        ),
        Misconception(
            "your contexts have n - 2 characters. Order n, context n - 1.",
            lambda text, n: count(text, n - 1) if n > 1 else count(text, n),
        ),
        Misconception(
            "you imagine line breaks before the text, as the chapter does. Here, start "
            "with the first character that has a whole context before it.",
            count_padded,
        ),
        Misconception(
            "at the beginning you count contexts that are too short. Start with the "
            "first character that has n - 1 characters before it.",
            count_short_contexts,
        ),
        Misconception(
            "at the beginning your slice starts at a negative number, which Python "
            "counts from the end of the text: start where a whole context stands.",
            count_negative_slices,
        ),
        Misconception(
            "you miss the last row of n characters. A text of N characters has "
            "N - n + 1 of them; range(N - n) stops one early.",
            count_without_last,
        ),
        Misconception(
            "your rows do not overlap. Every character is guessed from those before "
            "it, so move on by one character, not by n.",
            count_in_blocks,
        ),
        Misconception(
            "you go on at the beginning when the text is over. Nothing follows the "
            "last characters.",
            count_around,
        ),
        Misconception(
            "you count what came *before* each context. The context is the first n - 1 "
            "characters of a row, and the last one follows it.",
            count_before,
        ),
        Misconception(
            "you note that a character followed, but not how often: add 1 every time.",
            count_once,
        ),
        Misconception(
            "you list what followed. Count it: a dictionary from character to number.",
            list_followers,
        ),
        Misconception(
            "you count whole rows. Sort them by context: a dictionary for each, from "
            "the character that followed to its number.",
            count_rows,
        ),
        Misconception(
            "you divide already. Return the counts; probabilities come later.",
            count_shares,
        ),
    ],
)

# --- 01.2: smooth the counts ----------------------------------------------------------


def smoothed(counts: dict[str, int], alphabet: str, k: float) -> dict[str, float]:
    """Return the probability of each character, seen k times more than it was."""
    total = sum(counts.values()) + k * len(alphabet)
    return {c: (counts.get(c, 0) + k) / total for c in alphabet}


def divided_by(
    total: Callable[[dict[str, int], str, float], float],
) -> Callable[[dict[str, int], str, float], dict[str, float]]:
    """Return the mistake of dividing by something else."""

    def smooth(counts: dict[str, int], alphabet: str, k: float) -> dict[str, float]:
        below = total(counts, alphabet, k)
        return {c: (counts.get(c, 0) + k) / below for c in alphabet}

    return smooth


def smoothed_if_seen(
    counts: dict[str, int], alphabet: str, k: float
) -> dict[str, float]:
    """Make the mistake of returning only what was seen."""
    every = smoothed(counts, alphabet, k)
    return {c: every[c] for c in counts}


def smoothed_unseen(
    counts: dict[str, int], alphabet: str, k: float
) -> dict[str, float]:
    """Make the mistake of adding k only where nothing was counted."""
    raised = {c: counts.get(c, 0) or k for c in alphabet}
    return {c: number / sum(raised.values()) for c, number in raised.items()}


def smoothed_seen(counts: dict[str, int], alphabet: str, k: float) -> dict[str, float]:
    """Make the mistake of adding k only where something was counted."""
    raised = {c: counts[c] + k if c in counts else 0 for c in alphabet}
    return {c: number / sum(raised.values()) for c, number in raised.items()}


SMOOTH = WriteFunction(
    "Smooth the counts",
    "gives every character of the alphabet its smoothed probability",
    smoothed,
    cases=[
        ({"n": 4, " ": 1}, "abdn ", 1),
        ({"a": 2}, "ab", 0.5),
        ({"a": 3, "b": 1}, "abc", 2),
        ({}, "abcd", 2),
        ({"x": 7}, "xyz", 0),
    ],
    misconceptions=[
        Misconception(
            "you add k once below the line. Above it, k was added for every character "
            "of the alphabet: below, it is k times their number.",
            divided_by(lambda counts, alphabet, k: sum(counts.values()) + k),
        ),
        Misconception(
            "you divide by the old total. The counts have grown, by k for each "
            "character, so the probabilities add up to more than 1.",
            divided_by(lambda counts, alphabet, k: sum(counts.values())),
        ),
        Misconception(
            "you take V to be the number of characters that were *seen* here. It is "
            "the size of the whole alphabet.",
            divided_by(
                lambda counts, alphabet, k: sum(counts.values()) + k * len(counts)
            ),
        ),
        Misconception(
            "you add the size of the alphabet below the line, but k above it: for any "
            "k, it is k times the size.",
            divided_by(
                lambda counts, alphabet, k: sum(counts.values()) + len(alphabet)
            ),
        ),
        Misconception(
            "you return only the characters that were seen. Those that were not are "
            "what smoothing is for: go through the alphabet.",
            smoothed_if_seen,
        ),
        Misconception(
            "you give k only to characters that were not seen. Every character gets k "
            "more than it was counted.",
            smoothed_unseen,
        ),
        Misconception(
            "you add k only to characters that were seen, and the others stay at 0. "
            "Never say never.",
            smoothed_seen,
        ),
        Misconception(
            "you add 1, whatever k is.",
            lambda counts, alphabet, k: smoothed(counts, alphabet, 1),
        ),
        Misconception(
            "these are the counts, raised by k. Divide them by their sum.",
            lambda counts, alphabet, k: {c: counts.get(c, 0) + k for c in alphabet},
        ),
        Misconception(
            "you did not smooth: a character that was not seen still has 0.",
            lambda counts, alphabet, k: smoothed(counts, alphabet, 0),
        ),
    ],
)

# --- 01.3: bits per character ---------------------------------------------------------


def chances(text: str, model: Model) -> list[float]:
    """Return the probability of each character after the one before it."""
    return [
        model.get(before, {}).get(character, 0.0)
        for before, character in pairwise(["", *text])
    ]


def cost(p: float) -> float:
    """Return the cost of what had this probability, in bits."""
    return -math.log2(p) if p > 0 else math.inf


def bits_per_character(text: str, model: Model) -> float:
    """Return the mean cost of a character, in bits."""
    return fmean(map(cost, chances(text, model)))


def in_base(base: float) -> Callable[[str, Model], float]:
    """Return the mistake of another logarithm."""
    return lambda text, model: bits_per_character(text, model) / math.log2(base)


def total_bits(text: str, model: Model) -> float:
    """Make the mistake of not dividing."""
    return sum(map(cost, chances(text, model)))


def cost_of_the_mean(text: str, model: Model) -> float:
    """Make the mistake of averaging probabilities."""
    return cost(fmean(chances(text, model)))


def weighted(text: str, model: Model) -> float:
    """Make the mistake of weighing each cost with its probability."""
    return fmean(p * cost(p) if p else 0.0 for p in chances(text, model))


def skipping(text: str, model: Model) -> float:
    """Make the mistake of leaving out what had the probability 0."""
    return fmean([cost(p) for p in chances(text, model) if p > 0] or [0.0])


def raising(text: str, model: Model) -> float:
    """Make the mistake of taking the logarithm of 0."""
    return fmean(-math.log2(p) for p in chances(text, model))


def looking_up(text: str, model: Model) -> float:
    """Make the mistake of looking up what the model does not list."""
    return fmean(cost(model[a][b]) for a, b in pairwise(["", *text]))


def without_context(text: str, model: Model) -> float:
    """Make the mistake of forgetting the character before."""
    return fmean(cost(model[""].get(character, 0.0)) for character in text)


def from_the_next(text: str, model: Model) -> float:
    """Make the mistake of looking at the character that comes after."""
    return fmean(
        cost(model.get(after, {}).get(c, 0.0)) for c, after in pairwise([*text, ""])
    )


BITS = WriteFunction(
    "Bits per character",
    "returns the mean cost of a character, in bits",
    bits_per_character,
    cases=[
        (
            "abba",
            AB := {
                "": {"a": 0.5, "b": 0.5},
                "a": {"b": 1.0},
                "b": {"a": 0.75, "b": 0.25},
            },
        ),
        ("ba", AB),
        ("a", AB),
        (
            "bbab",
            {
                "": {"b": 0.125, "a": 0.875},
                "b": {"b": 0.5, "a": 0.5},
                "a": {"b": 0.25, "a": 0.75},
            },
        ),
        ("aab", AB),
        ("abc", AB),
        ("bcab", AB | {"b": {"c": 0.5, "b": 0.5}}),
    ],
    misconceptions=[
        Misconception(
            "you took the natural logarithm: these are nats. Bits have base 2.",
            in_base(math.e),
        ),
        Misconception(
            "you took the logarithm to base 10. Bits have base 2.",
            in_base(10),
        ),
        Misconception(
            "you averaged the probabilities, and then took the logarithm. Average the "
            "costs: a disaster must not be outweighed by many small successes.",
            cost_of_the_mean,
        ),
        Misconception(
            "this is the cost of the whole text. Divide it by the number of "
            "characters.",
            total_bits,
        ),
        Misconception(
            "you divide by one less than the number of characters. The first one is "
            "paid for too, under the empty context.",
            lambda text, model: total_bits(text, model) / (len(text) - 1),
        ),
        Misconception(
            "the first character is missing. It costs something too: its context is "
            'the empty one, "".',
            lambda text, model: sum(map(cost, chances(text, model)[1:])) / len(text),
        ),
        Misconception(
            "you average over pairs of characters, so the first character is never "
            'paid for. Its context is the empty one, "".',
            lambda text, model: (
                sum(map(cost, chances(text, model)[1:])) / (len(text) - 1)
            ),
        ),
        Misconception(
            "you forgot the context: every character is looked up as if it began the "
            "text. Ask what the model expects after the character before.",
            without_context,
        ),
        Misconception(
            "you look up each character under the one that comes *after* it. A model "
            "may only see what came before.",
            from_the_next,
        ),
        Misconception(
            "the sign is wrong: the logarithm of a probability is negative, and a cost "
            "is positive.",
            lambda text, model: -bits_per_character(text, model),
        ),
        Misconception(
            "this is the perplexity, 2 to the power of what was asked for.",
            lambda text, model: 2 ** bits_per_character(text, model),
        ),
        Misconception(
            "you weigh each cost with its probability. That is right for an average "
            "over all that could come; here, take what came, each place once.",
            weighted,
        ),
        Misconception(
            "you leave out what the model held to be impossible. It happened, and it "
            "costs infinitely much: math.inf.",
            skipping,
        ),
        Misconception(
            "a character had the probability 0, which has no logarithm. Its cost is "
            "math.inf.",
            raising,
        ),
        Misconception(
            "the model does not list this context, or this character after it. What it "
            "does not list has probability 0 and costs math.inf: use .get.",
            looking_up,
        ),
        Misconception(
            "the model does not list this character after this context. What it does "
            "not list has probability 0 and costs math.inf.",
            lambda text, model: fmean(
                cost(model.get(a, {})[b]) for a, b in pairwise(["", *text])
            ),
        ),
    ],
)

# --- 01.4: predict the temperature ----------------------------------------------------


def chances_of_a() -> dict[str, Any]:
    """Return the probability of a at each temperature."""
    return {
        "T = 1": 16 / 24,
        "T = 1/2": 256 / (256 + 16 + 16),
        "T = 2": 4 / (4 + 2 + 2),
        "smoothed": 400 / (400 + 64 + 64),
    }


ROUNDED = "nearly: write the fraction or logarithm itself, not a rounded number."
TEMPERATURE = Predict(
    "Predict the temperature",
    "predict the probability of a in each case",
    chances_of_a,
    Nearly(
        {
            "T = 1": {
                16 / 20: "16 is right above the line; below it stand all 24.",
                16 / 8: "that is 16 to 8, the odds; divide by the sum of all three.",
                1 / 3: "temperature 1 changes nothing: a keeps its share.",
                **dict.fromkeys((0.66, 0.67, 0.667), ROUNDED),
            },
            "T = 1/2": {
                1 / 2: "you took the power T, a root. The power is 1/T: a square.",
                2 / 3: "that is the share at T = 1; below 1 the favourite gains.",
                4 / 9: "the square of 2/3 is right, but then all three squares "
                "must be divided by their sum.",
                1 / 3: "a temperature does not multiply, it bends: take the "
                "counts to the power 1/T, and divide by their sum.",
                256 / 272: "256 to 16, and 16 again: below the line stand all "
                "three squares.",
                **dict.fromkeys((0.89, 0.889), ROUNDED),
            },
            "T = 2": {
                8 / 9: "you took the power T, a square. The power is 1/T: a root.",
                2 / 3: "that is the share at T = 1, or one of the three roots is "
                "missing below the line: 4, 2 and 2.",
                1 / 3: "that is the share at an infinite temperature; at 2 the "
                "favourite is still ahead.",
                (2 / 3) ** 0.5: "the root of 2/3 is right, but then all three roots "
                "must be divided by their sum.",
                4 / 3: "probabilities never exceed 1: take the counts to the power "
                "1/T, and divide by their sum.",
            },
            "smoothed": {
                8 / 9: "that is without smoothing; it comes first, and makes the "
                "counts 20, 8 and 8.",
                5 / 9: "that is smoothed, but still at T = 1: now bend it.",
                260 / 300: "you bent first and smoothed then. The counts are "
                "smoothed first.",
                (20**0.5) / (20**0.5 + 2 * 8**0.5): "you took the power T, a "
                "root. The power is 1/T: a square.",
                400 / 464: "below the line stand all three squares.",
                **dict.fromkeys((0.76, 0.758), ROUNDED),
            },
        }
    ),
)

# --- 01.5: mix the orders -------------------------------------------------------------


def mixed(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Return the probability of a character, mixed from all lengths of context."""
    tails = [context[start:] for start in range(len(context), -1, -1)]
    return mixed_over(counts, tails, character, weight, 1 / size)


def mixed_over(
    counts: Followers, contexts: list[str], character: str, weight: float, p: float
) -> float:
    """Mix what the contexts say, one after the other, into p."""
    for context in contexts:
        options = counts.get(context, {})
        total = sum(options.values())
        p = (options.get(character, 0) + weight * p) / (total + weight)
    return p


def tails_of(context: str) -> list[str]:
    """Return the ends of a context, from the shortest."""
    return [context[start:] for start in range(len(context), -1, -1)]


def heads_of(context: str) -> list[str]:
    """Return the beginnings of a context, from the shortest."""
    return [context[:end] for end in range(len(context) + 1)]


def backed_off(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Make the mistake of asking the longest known context alone."""
    for tail in reversed(tails_of(context)):
        if tail in counts:
            options = counts[tail]
            return options.get(character, 0) / sum(options.values())
    return 1 / size


def unweighted(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Make the mistake of leaving the weight out above the line."""
    p = 1 / size
    for tail in tails_of(context):
        options = counts.get(tail, {})
        p = (options.get(character, 0) + p) / (sum(options.values()) + weight)
    return p


def heavy(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Make the mistake of leaving the weight out below the line."""
    p = 1 / size
    for tail in tails_of(context):
        if tail in counts:
            total = sum(counts[tail].values())
            p = (counts[tail].get(character, 0) + weight * p) / total
    return p


def looked_up(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Make the mistake of looking up contexts that were never seen."""
    known = {tail: counts[tail] for tail in tails_of(context)}
    return mixed(known, context, character, weight, size)


def looked_up_characters(
    counts: Followers, context: str, character: str, weight: float, size: int
) -> float:
    """Make the mistake of looking up characters that were never seen."""
    p = 1 / size
    for tail in tails_of(context):
        if tail in counts:
            total = sum(counts[tail].values())
            p = (counts[tail][character] + weight * p) / (total + weight)
    return p


ABBA = {
    "": {"a": 5, "b": 3},
    "a": {"b": 2, "a": 2},
    "b": {"a": 3},
    "ba": {"b": 1},
    "ab": {"a": 2},
}
MIX = WriteFunction(
    "Mix the orders",
    "mixes what all lengths of context expect",
    mixed,
    cases=[
        (ABBA, "ba", "b", 2, 4),
        (ABBA, "ab", "a", 1, 4),
        (ABBA, "a", "a", 3, 2),
        (ABBA, "", "b", 2, 4),
        (ABBA, "bb", "a", 2, 4),
        (ABBA, "xy", "a", 2, 4),
        (ABBA, "ab", "c", 2, 4),
    ],
    misconceptions=[
        Misconception(
            "you shorten the context at its end. What stands nearest matters most: "
            "drop the character at the front.",
            lambda counts, context, character, weight, size: mixed_over(
                counts, heads_of(context), character, weight, 1 / size
            ),
        ),
        Misconception(
            "you begin with 0. At the bottom stands 1/V, which excludes nothing.",
            lambda counts, context, character, weight, size: mixed_over(
                counts, tails_of(context), character, weight, 0.0
            ),
        ),
        Misconception(
            "you leave out the empty context. It is the shortest one, and stands "
            "between 1/V and the single characters.",
            lambda counts, context, character, weight, size: mixed_over(
                counts, tails_of(context)[1:], character, weight, 1 / size
            ),
        ),
        Misconception(
            "you ask only the longest context that was seen. That is called backing "
            "off; here all lengths have their say.",
            backed_off,
        ),
        Misconception(
            "you mix the longest context with 1/V and nothing in between. Each length "
            "is mixed with the one a character shorter.",
            lambda counts, context, character, weight, size: mixed_over(
                counts, [context], character, weight, 1 / size
            ),
        ),
        Misconception(
            "you mix from the longest context to the shortest, so the shortest has the "
            "last word. Begin with 1/V, and end with the whole context.",
            lambda counts, context, character, weight, size: mixed_over(
                counts, tails_of(context)[::-1], character, weight, 1 / size
            ),
        ),
        Misconception(
            "above the line the shorter context's probability stands alone; it counts "
            "as `weight` observations: multiply.",
            unweighted,
        ),
        Misconception(
            "below the line the weight is missing: the observations that you borrow "
            "count there, too.",
            heavy,
        ),
        Misconception(
            "a context that was never seen is no key of `counts`. Its counts are 0, "
            "and then the formula is the shorter context's probability.",
            looked_up,
        ),
        Misconception(
            "a character that never followed is no key under its context: its count "
            "is 0.",
            looked_up_characters,
        ),
    ],
)

# --- 01.6: the floor of a small grammar -----------------------------------------------

HERO = {"king": 0.5, "toad": 0.25, "queen": 0.25}
END = {"wept": 0.75, "sang": 0.25}


def entropy(chances: dict[str, float]) -> float:
    """Return the mean cost of what is drawn with these probabilities."""
    return sum(p * cost(p) for p in chances.values())


def grammar_bits() -> dict[str, Any]:
    """Return what the exercise asks for, in bits."""
    return {
        "toad": cost(0.25) + 1 + cost(0.75),
        "second sentence": cost(0.75),
        "entropy": entropy(HERO) + 1 + entropy(END),
        "forgetful": entropy(HERO),
    }


HERO_BITS, END_BITS, WEPT = entropy(HERO), entropy(END), cost(0.75)
NATS = math.log(2) * (3 + WEPT)
UNIFORM = cost(1 / 12)
TWICE = 2 * HERO_BITS + 1 + END_BITS
MEAN_COST = fmean(cost(p) for p in HERO.values()) + 1 + fmean(map(cost, END.values()))
GRAMMAR = Predict(
    "The floor of a small grammar",
    "work out four numbers of bits",
    grammar_bits,
    Nearly(
        {
            "toad": {
                5 + WEPT: "you paid for the toad twice; in the second sentence "
                "it is known, and free.",
                3: "the toad costs 2 bits, the loss 1, and the end is not free: "
                "weeping has probability 3/4.",
                5: "weeping has probability 3/4; you took 1/4. It costs less.",
                2 + WEPT: "the loss is missing: one of two, equally likely.",
                UNIFORM: "the twelve texts are not equally likely.",
                NATS: "these are nats; take logarithms to base 2.",
                **dict.fromkeys((3.4, 3.41, 3.415, 3.42), ROUNDED),
            },
            "second sentence": {
                2 + WEPT: "the hero is known by now, and free.",
                2: "weeping has probability 3/4, not 1/4.",
                1: "the two ends are not equally likely.",
                0: "the hero is free, but whether it weeps is not known.",
                END_BITS: "that is the average over weeping and "
                "singing; this text has the weeping.",
                **dict.fromkeys((0.4, 0.41, 0.415, 0.42), ROUNDED),
            },
            "entropy": {
                TWICE: "you counted the hero twice; later it is known, and free.",
                UNIFORM: "that would be the entropy if all twelve texts were "
                "equally likely; they are not, and it is less.",
                MEAN_COST: "weigh each cost with its probability; a plain mean "
                "lets rare things count too much.",
                3 + WEPT: "that is the cost of one text; the entropy is the "
                "mean over all of them, each with its probability.",
                HERO_BITS + 1: "the end is missing, weeping or singing.",
                1 + END_BITS: "the hero is missing.",
                HERO_BITS + END_BITS: "the loss is missing.",
                **dict.fromkeys((3.3, 3.31, 3.311), ROUNDED),
            },
            "forgetful": {
                0: "it draws the hero anew, so it gives the right one a "
                "probability below 1, and pays.",
                2: "that is the cost if the hero is a toad; average over all.",
                cost(1 / 3): "the heroes are not equally likely: average the "
                "three costs, each with its probability.",
                TWICE: "that is all it pays; how much is it *more* than the entropy?",
                1: "that would do for a king; average over all three heroes.",
            },
        }
    ),
)

# --- 01.7: per token, per character ---------------------------------------------------


def convert(perplexity: float, tokens: int, characters: int) -> float:
    """Return the bits per character of a model with this perplexity per token."""
    return math.log2(perplexity) * tokens / characters


CONVERT = WriteFunction(
    "Per token, per character",
    "turns perplexity per token into bits per character",
    convert,
    cases=[
        (16, 25, 100),
        (400.0, 250, 1000),
        (60, 7, 7),
        (1, 10, 40),
        (8, 10, 25),
    ],
    misconceptions=[
        Misconception(
            "these are nats: you took the natural logarithm. Bits have base 2.",
            lambda perplexity, tokens, characters: (
                math.log(perplexity) * tokens / characters
            ),
        ),
        Misconception(
            "you took the logarithm to base 10. Bits have base 2.",
            lambda perplexity, tokens, characters: (
                math.log10(perplexity) * tokens / characters
            ),
        ),
        Misconception(
            "you multiply by the characters of a token. All bits together are bits per "
            "token times tokens; they are shared by the characters.",
            lambda perplexity, tokens, characters: (
                math.log2(perplexity) * characters / tokens
            ),
        ),
        Misconception(
            "these are bits per *token*. A token is several characters long, and they "
            "share its cost.",
            lambda perplexity, tokens, characters: math.log2(perplexity),
        ),
        Misconception(
            "you divide the perplexity. It is a power, so take the logarithm first, "
            "and share the bits.",
            lambda perplexity, tokens, characters: math.log2(
                perplexity * tokens / characters
            ),
        ),
        Misconception(
            "this is a perplexity per character; its logarithm to base 2 was asked.",
            lambda perplexity, tokens, characters: perplexity ** (tokens / characters),
        ),
        Misconception(
            "the logarithm is missing: perplexity is 2 to the power of the bits.",
            lambda perplexity, tokens, characters: perplexity * tokens / characters,
        ),
        Misconception(
            "2 to the power of the perplexity goes the wrong way: take the logarithm.",
            lambda perplexity, tokens, characters: 2**perplexity * tokens / characters,
        ),
        Misconception(
            "you divide by the characters, but forgot how many tokens there are: each "
            "of them costs log2(perplexity) bits.",
            lambda perplexity, tokens, characters: math.log2(perplexity) / characters,
        ),
    ],
)

EXERCISES = {
    "01.1": COUNT,
    "01.2": SMOOTH,
    "01.3": BITS,
    "01.4": TEMPERATURE,
    "01.5": MIX,
    "01.6": GRAMMAR,
    "01.7": CONVERT,
}
