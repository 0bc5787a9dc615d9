"""Chapter 01: right and wrong answers to its exercises, and what leaves its bands."""

import ast
import math
import random
import zlib
from collections import Counter, defaultdict
from itertools import pairwise, product

import numpy as np
import pytest

from llm_core.corpus import load_corpus
from llm_core.course import checks
from llm_core.course.checks import chapter_01
from llm_core.course.checks.judge import WriteFunction
from llm_core.course.quote import NOTEBOOKS, Chapter
from llm_core.course.results import find_expected, read_bands
from llm_core.stories import sample_stories

WEIGHT = 10


def right_count(text, n):
    followers = {}
    for place in range(n - 1, len(text)):
        context = text[place - (n - 1) : place]
        followers.setdefault(context, Counter())[text[place]] += 1
    return followers


def count_from_place_zero(text, n):
    followers = defaultdict(Counter)
    for place in range(len(text)):
        followers[text[max(place - (n - 1), 0) : place]][text[place]] += 1
    return {context: dict(options) for context, options in followers.items()}


def count_carelessly(text, n):
    followers = defaultdict(Counter)
    for place, character in enumerate(text):
        followers[text[place - n + 1 : place]][character] += 1
    return {context: dict(options) for context, options in followers.items()}


def count_with_breaks(text, n):
    return right_count("\n" * (n - 1) + text, n)


def count_one_too_long(text, n):
    return right_count(text, n + 1)


def count_one_too_short(text, n):
    return right_count(text, max(1, n - 1))


def count_all_but_the_last(text, n):
    return right_count(text[:-1], n)


def count_pieces(text, n):
    followers = {}
    for start in range(0, len(text) - n + 1, n):
        piece = text[start : start + n]
        followers.setdefault(piece[:-1], Counter())[piece[-1]] += 1
    return followers


def count_in_a_ring(text, n):
    return right_count(text + text[: n - 1], n)


def count_backwards(text, n):
    turned = right_count(text[::-1], n)
    return {context[::-1]: options for context, options in turned.items()}


def count_presence(text, n):
    return {c: dict.fromkeys(options, 1) for c, options in right_count(text, n).items()}


def count_lists(text, n):
    found = {}
    for place in range(n - 1, len(text)):
        found.setdefault(text[place - n + 1 : place], []).append(text[place])
    return {context: sorted(options) for context, options in found.items()}


def count_grams(text, n):
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def count_chances(text, n):
    return {
        context: {c: k / options.total() for c, k in options.items()}
        for context, options in right_count(text, n).items()
    }


def right_smoothed(counts, alphabet, k):
    raised = Counter(counts)
    for character in alphabet:
        raised[character] += k
    return {c: value / raised.total() for c, value in raised.items()}


def smoother(above=lambda counts, c, k: counts.get(c, 0) + k, below=None, seen=False):
    def smooth(counts, alphabet, k):
        total = below(counts, alphabet, k)
        characters = counts if seen else alphabet
        return {c: above(counts, c, k) / total for c in characters}

    return smooth


def all_of(counts, alphabet, k):
    return sum(counts.values()) + k * len(alphabet)


def smooth_seen_only(counts, alphabet, k):
    raised = {c: counts[c] + k if c in counts else 0 for c in alphabet}
    return {c: raised[c] / sum(raised.values()) for c in alphabet}


def smooth_unseen_only(counts, alphabet, k):
    raised = {c: counts.get(c, k) for c in alphabet}
    return {c: raised[c] / sum(raised.values()) for c in alphabet}


def no_smoothing(counts, alphabet, k):
    return {c: counts.get(c, 0) / sum(counts.values()) for c in alphabet}


def right_bits(text, model):
    product_ = 1.0
    for before, character in zip(["", *text], text, strict=False):
        product_ *= model.get(before, {}).get(character, 0)
    return math.inf if product_ == 0 else -math.log2(product_) / len(text)


def listed(text, model):
    befores = ["", *text[:-1]]
    return [model.get(b, {}).get(c, 0.0) for b, c in zip(befores, text, strict=True)]


def costs(text, model, log=math.log2):
    return [-log(p) if p else math.inf for p in listed(text, model)]


def bits_by_keys(text, model):
    total, before = 0.0, ""
    for character in text:
        total -= math.log2(model[before][character])
        before = character
    return total / len(text)


def bits_from_pairs(text, model):
    pairs = [model.get(a, {}).get(b, 0) for a, b in pairwise(text)]
    return sum(-math.log2(p) if p else math.inf for p in pairs) / len(pairs)


def bits_of_the_seen(text, model):
    seen = [p for p in listed(text, model) if p > 0]
    return -sum(map(math.log2, seen)) / len(seen)


def bits_under_the_next(text, model):
    found = [
        model.get(after, {}).get(c, 0.0)
        for c, after in zip(text, [*text[1:], ""], strict=True)
    ]
    return sum(-math.log2(p) if p else math.inf for p in found) / len(text)


def bits_without_context(text, model):
    found = [model[""].get(c, 0.0) for c in text]
    return sum(-math.log2(p) if p else math.inf for p in found) / len(text)


def right_mixed(counts, context, character, weight, size):
    shorter = (
        right_mixed(counts, context[1:], character, weight, size)
        if context
        else 1 / size
    )
    options = counts.get(context) or {}
    above = options.get(character, 0) + weight * shorter
    return above / (sum(options.values()) + weight)


def mix_heads(counts, context, character, weight, size):
    shorter = (
        mix_heads(counts, context[:-1], character, weight, size)
        if context
        else 1 / size
    )
    options = counts.get(context, {})
    above = options.get(character, 0) + weight * shorter
    return above / (sum(options.values()) + weight)


def mixer(
    bottom=lambda size: 1 / size,
    ends=lambda context: [context[i:] for i in range(len(context), -1, -1)],
    above=lambda count, weight, p: count + weight * p,
    below=lambda total, weight: total + weight,
    get=lambda counts, key: counts.get(key, {}),
):
    def mix(counts, context, character, weight, size):
        p = bottom(size)
        for end in ends(context):
            options = get(counts, end)
            total = below(sum(options.values()), weight)
            if total:
                p = above(options.get(character, 0), weight, p) / total
        return p

    return mix


def mix_nothing(counts, context, character, weight, size):
    while context and context not in counts:
        context = context[1:]
    return counts[context].get(character, 0) / sum(counts[context].values())


def grammar(**changed):
    right = {
        "toad": 2 + 1 + math.log2(4 / 3),
        "second sentence": -math.log2(0.75),
        "entropy": 3.5 - 0.75 * math.log2(3) + 1,
        "forgetful": 1.5,
    }
    return right | changed


def temperatures(**changed):
    right = {"T = 1": 2 / 3, "T = 1/2": 8 / 9, "T = 2": 1 / 2, "smoothed": 25 / 33}
    names = {"one": "T = 1", "half": "T = 1/2", "two": "T = 2"}
    return right | {names.get(name, name): p for name, p in changed.items()}


WRONG = {
    "01.1": {
        "too long": (count_one_too_long, "contexts have n characters"),
        "too short": (count_one_too_short, "have n - 2 characters"),
        "breaks": (count_with_breaks, "imagine line breaks"),
        "from zero": (count_from_place_zero, "contexts that are too short"),
        "negative": (count_carelessly, "negative number"),
        "without last": (count_all_but_the_last, "miss the last row"),
        "pieces": (count_pieces, "do not overlap"),
        "ring": (count_in_a_ring, "when the text is over"),
        "backwards": (count_backwards, "came *before*"),
        "presence": (count_presence, "not how often"),
        "lists": (count_lists, "you list what followed"),
        "grams": (count_grams, "count whole rows"),
        "chances": (count_chances, "divide already"),
    },
    "01.2": {
        "k once": (
            smoother(below=lambda counts, a, k: sum(counts.values()) + k),
            "k times their number",
        ),
        "old total": (
            smoother(below=lambda counts, a, k: sum(counts.values())),
            "the old total",
        ),
        "seen size": (
            smoother(below=lambda counts, a, k: sum(counts.values()) + k * len(counts)),
            "were *seen* here",
        ),
        "plain size": (
            smoother(below=lambda counts, a, k: sum(counts.values()) + len(a)),
            "but k above it",
        ),
        "seen returned": (
            smoother(below=all_of, seen=True),
            "go through the alphabet",
        ),
        "unseen only": (smooth_unseen_only, "only to characters that were not seen"),
        "seen only": (smooth_seen_only, "the others stay at 0"),
        "always one": (
            lambda counts, alphabet, k: right_smoothed(counts, alphabet, 1),
            "whatever k is",
        ),
        "counts": (
            smoother(below=lambda counts, alphabet, k: 1),
            "Divide them by their sum",
        ),
        "raw": (no_smoothing, "you did not smooth"),
        "list": (
            lambda counts, alphabet, k: [*right_smoothed(counts, alphabet, k).values()],
            "type dict; yours is list",
        ),
    },
    "01.3": {
        "nats": (
            lambda text, model: sum(costs(text, model, math.log)) / len(text),
            "natural logarithm",
        ),
        "base ten": (
            lambda text, model: sum(costs(text, model, math.log10)) / len(text),
            "base 10",
        ),
        "mean p": (
            lambda text, model: -math.log2(sum(listed(text, model)) / len(text)),
            "averaged the probabilities",
        ),
        "sum": (lambda text, model: sum(costs(text, model)), "the whole text"),
        "one less": (
            lambda text, model: sum(costs(text, model)) / (len(text) - 1),
            "one less than the number",
        ),
        "first missing": (
            lambda text, model: sum(costs(text, model)[1:]) / len(text),
            "the first character is missing",
        ),
        "pairs": (bits_from_pairs, "average over pairs"),
        "no context": (bits_without_context, "you forgot the context"),
        "the next": (bits_under_the_next, "comes *after* it"),
        "sign": (lambda text, model: -right_bits(text, model), "the sign is wrong"),
        "perplexity": (lambda text, model: 2 ** right_bits(text, model), "perplexity"),
        "weighed": (
            lambda text, model: (
                -sum(p * math.log2(p) for p in listed(text, model) if p) / len(text)
            ),
            "weigh each cost",
        ),
        "skipping": (bits_of_the_seen, "leave out what"),
        "zero": (
            lambda text, model: -sum(map(math.log2, listed(text, model))) / len(text),
            "has no logarithm",
        ),
        "keys": (bits_by_keys, "does not list"),
        "number": (lambda text, model: "1.0", "type float"),
    },
    "01.4": {
        "rest": (temperatures(one=4 / 5), "below it stand all 24"),
        "odds": (temperatures(one=2), "the odds"),
        "rounded": (temperatures(one=0.67), "not a rounded number"),
        "root": (temperatures(half=0.5), "power T, a root"),
        "not divided": (temperatures(half=4 / 9), "the square of 2/3"),
        "multiplied": (temperatures(half=1 / 3), "does not multiply"),
        "square": (temperatures(two=8 / 9), "power T, a square"),
        "root not divided": (temperatures(two=math.sqrt(2 / 3)), "the root of 2/3"),
        "unsmoothed": (temperatures(smoothed=8 / 9), "without smoothing"),
        "unbent": (temperatures(smoothed=5 / 9), "still at T = 1"),
        "other order": (temperatures(smoothed=13 / 15), "bent first"),
        "unknown": (temperatures(smoothed=0.1), "smoothed is something else"),
    },
    "01.5": {
        "heads": (mix_heads, "drop the character at the front"),
        "zero": (mixer(bottom=lambda size: 0.0), "you begin with 0"),
        "no empty": (
            mixer(ends=lambda c: [c[i:] for i in range(len(c) - 1, -1, -1)]),
            "leave out the empty context",
        ),
        "backing off": (mix_nothing, "called backing off"),
        "uniform only": (mixer(ends=lambda c: [c]), "nothing in between"),
        "upside down": (
            mixer(ends=lambda c: [c[i:] for i in range(len(c) + 1)]),
            "has the last word",
        ),
        "no weight above": (
            mixer(above=lambda count, weight, p: count + p),
            "counts as `weight` observations",
        ),
        "no weight below": (
            mixer(below=lambda total, weight: total),
            "below the line the weight is missing",
        ),
        "keys": (
            mixer(get=lambda counts, key: counts[key]),
            "was never seen is no key",
        ),
    },
    "01.6": {
        "twice": (grammar(toad=5 + math.log2(4 / 3)), "paid for the toad twice"),
        "no end": (grammar(toad=3), "the end is not free"),
        "sang": (grammar(toad=5.0), "you took 1/4"),
        "nats": (grammar(toad=math.log(4 * 2 * 4 / 3)), "these are nats"),
        "hero again": (
            grammar(**{"second sentence": 2 + math.log2(4 / 3)}),
            "known by now",
        ),
        "free": (grammar(**{"second sentence": 0}), "whether it weeps"),
        "hero twice": (grammar(entropy=grammar()["entropy"] + 1.5), "the hero twice"),
        "uniform": (grammar(entropy=math.log2(12)), "equally likely; they are not"),
        "one text": (grammar(entropy=3 + math.log2(4 / 3)), "the cost of one text"),
        "nothing more": (grammar(forgetful=0), "draws the hero anew"),
        "the toad": (grammar(forgetful=2), "if the hero is a toad"),
        "thirds": (grammar(forgetful=math.log2(3)), "average the three costs"),
        "in all": (grammar(forgetful=grammar()["entropy"] + 1.5), "more* than"),
    },
    "01.7": {
        "nats": (lambda x, t, c: math.log(x) * t / c, "these are nats"),
        "base ten": (lambda x, t, c: math.log10(x) * t / c, "base 10"),
        "turned": (lambda x, t, c: math.log2(x) / t * c, "shared by the characters"),
        "per token": (lambda x, t, c: math.log2(x), "bits per *token*"),
        "inside": (lambda x, t, c: math.log2(x * t / c), "divide the perplexity"),
        "perplexity": (lambda x, t, c: math.pow(x, t / c), "perplexity per character"),
        "no log": (lambda x, t, c: x / (c / t), "the logarithm is missing"),
        "power": (lambda x, t, c: 2**x * t / c, "goes the wrong way"),
        "no tokens": (lambda x, t, c: math.log2(x) / c, "how many tokens"),
    },
}
RIGHT = {
    "01.1": right_count,
    "01.2": right_smoothed,
    "01.3": right_bits,
    "01.4": temperatures(),
    "01.5": right_mixed,
    "01.6": grammar(),
    "01.7": lambda x, t, c: t * math.log(x, 2) / c,
}


# --- the chapter's own functions ------------------------------------------------------


def chapter_with(old="", new=""):
    """What the notebook imports and defines; with a fault planted in its code."""
    first, *cells = Chapter(NOTEBOOKS / "01_counting.ipynb").cells
    code = "\n\n".join(cell.source for cell in cells if cell.is_python)
    assert old in code
    tree = ast.parse(code.replace(old, new) if old else code)
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    namespace = {}
    exec(first.source, namespace)
    exec(compile(ast.Module(made, []), "chapter 01", "exec"), namespace)
    namespace["alphabet"] = sorted(set(STORIES.text))
    return namespace


STORIES = load_corpus("stories", num_stories=250)  # the chapter's smaller corpus
FRESH = load_corpus("stories", num_stories=100, seed=1)
CHAPTER = chapter_with()
BANDS, _ = read_bands(find_expected(NOTEBOOKS), "01")


@pytest.fixture(scope="module")
def few():
    return CHAPTER["count_all"](STORIES.documents, 12)


def test_the_bands_hold_what_the_chapter_computes(few):
    bits = CHAPTER["measure"](few, FRESH.documents, WEIGHT)
    assert BANDS["bits_12_few"].holds(bits[11])
    assert BANDS["bits_1"].holds(bits[0])
    assert not BANDS["bits_1"].holds(bits[1])
    assert not BANDS["bits_12"].holds(bits[11])  # 250 stories for 2,000
    assert not BANDS["bits_6"].holds(bits[5])
    on_training_text = CHAPTER["measure"](few, STORIES.documents[:50], WEIGHT)
    assert not BANDS["bits_12_few"].holds(on_training_text[11])
    other_weight = CHAPTER["measure"](few, FRESH.documents, 1)
    assert not BANDS["bits_12_few"].holds(other_weight[11])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("padded[end - n + 1 : end], nothing", "padded[end - n : end - 1], nothing"),
        ("-np.log2(np.concatenate(rows))", "-np.log(np.concatenate(rows))"),
        ("np.log2(np.concatenate(rows)).mean", "np.log2(np.concatenate(rows)).max"),
        ("weight * row[-1]", "weight * row[0]"),
        ("(options.total() + weight)", "(options.total() + 1)"),
    ],
    ids=["context", "nats", "mean", "uniform", "weight"],
)
def test_a_fault_in_the_chapters_measuring_leaves_its_band(few, old, new):
    bits = chapter_with(old, new)["measure"](few, FRESH.documents[:30], WEIGHT)
    assert not BANDS["bits_12_few"].holds(bits[11])


def test_a_fault_in_the_chapters_counting_leaves_its_band():
    faulty = chapter_with("[gram[-1]] = count", "[gram[-1]] = 1")
    tables = faulty["count_all"](STORIES.documents, 12)
    bits = faulty["measure"](tables, FRESH.documents[:30], WEIGHT)
    assert not BANDS["bits_12_few"].holds(bits[11])


def test_a_fault_leaves_the_bands_of_floor_packer_and_facts(few):
    assert BANDS["floor"].holds(FRESH.floor.rate)
    assert not BANDS["floor"].holds(FRESH.floor.rate * math.log(2))  # nats
    data = FRESH.text.encode("utf-8")
    packed = 8 * len(zlib.compress(data, level=9)) / len(data)
    assert BANDS["packed"].holds(packed)
    assert not BANDS["packed"].holds(packed / 8)  # bytes
    assert not BANDS["packed"].holds(8 * len(zlib.compress(data[:9_000])) / 9_000)
    costs = []
    for story in sample_stories(20, seed=1):
        p = CHAPTER["chances"](few, story.text, WEIGHT)[:, 9]
        costs += CHAPTER["fact_costs"](story, -np.log2(p))
    assert not BANDS["fact_bits"].holds(np.mean([cost for _, _, cost in costs]))


def test_the_chapters_chances_add_up_to_one(few):
    for beginning in ("", "Once upon a ti", "Xylo", "\n\n\n"):
        chances = [
            CHAPTER["chances"](few, beginning + c, WEIGHT)[-1]
            for c in CHAPTER["alphabet"]
        ]
        assert np.allclose(np.sum(chances, axis=0), 1)


def test_chapter_01s_oracles_agree_with_the_chapter(few):
    rng = random.Random(0)
    text = STORIES.documents[0]
    for n in (1, 2, 4):
        assert chapter_01.count("\n" * (n - 1) + text, n) == CHAPTER["naive_count"](
            text, n
        )
    counts = {
        context: options for n in (1, 2, 3) for context, options in few[n].items()
    }
    size = len(CHAPTER["alphabet"])
    smooth = CHAPTER["chances"](few, text, WEIGHT)
    for place in rng.choices(range(2, len(text)), k=50):
        mixed = chapter_01.mixed(
            counts, text[place - 2 : place], text[place], WEIGHT, size
        )
        assert mixed == pytest.approx(smooth[place, 2])


def test_the_small_grammars_entropy_is_the_mean_cost_of_its_texts():
    truth = chapter_01.grammar_bits()
    texts = product(chapter_01.HERO.values(), (0.5, 0.5), chapter_01.END.values())
    chances = [math.prod(text) for text in texts]
    assert sum(chances) == pytest.approx(1)
    mean = -sum(p * math.log2(p) for p in chances)
    assert truth["entropy"] == pytest.approx(mean)


def test_chapter_01_has_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("01").values()]
    assert kinds.count(WriteFunction) >= 4
