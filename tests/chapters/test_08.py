"""Chapter 08: right and wrong answers to its exercises, and what leaves its bands."""

import importlib.util
import math
from difflib import SequenceMatcher
from itertools import accumulate

import pytest

from llm_core.corpus import load_corpus
from llm_core.course import checks, recordings
from llm_core.course.checks import chapter_08
from llm_core.course.experiments.chapter_08 import CONFIG, PATIENTS, ordinary_texts
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands


def right_alarm(loss, num_tokens, num_characters, floor, error):
    per_character = loss * num_tokens * math.log2(math.e) / num_characters
    return (floor - per_character) / error > 3


def right_clean(training, validation):
    same = {}
    for text in validation:
        same.setdefault(" ".join(text.casefold().split()), text)
    known = {" ".join(text.casefold().split()) for text in training}
    return [text for words, text in same.items() if words not in known]


def right_rate(sweep):
    sure = sorted(rate for rate, losses in sweep.items() if all(losses))
    means = [math.fsum(sweep[rate]) / len(sweep[rate]) for rate in sure]
    return sure[means.index(min(means))]


def right_stop(losses, patience):
    lowest = list(accumulate(losses, min))
    for look in range(patience, len(losses)):
        if lowest[look] == lowest[look - patience]:
            return losses.index(lowest[look])
    return losses.index(min(losses))


def alarm(
    bits=lambda loss, t, c: loss * t / c / math.log(2), limit=lambda f, e: f - 3 * e
):
    return lambda loss, t, c, floor, error: bits(loss, t, c) < limit(floor, error)


def clean(key, *, twice=False, given=lambda text, key: text):
    def act(training, validation):
        seen = [key(text) for text in training]
        kept = []
        for text in validation:
            if key(text) in seen:
                continue
            kept.append(given(text, key))
            if not twice:
                seen.append(key(text))
        return kept

    return act


def words(text):
    return " ".join(text.lower().split())


def inside(training, validation):
    pile, kept = words(" ".join(training)), {}
    for text in validation:
        if words(text) not in pile:
            kept.setdefault(words(text), text)
    return list(kept.values())


def by_score(score, last=min):
    def act(sweep):
        scores = {rate: score(losses) for rate, losses in sweep.items()}
        scores = {rate: value for rate, value in scores.items() if value is not None}
        lowest = min(scores.values())
        return last(rate for rate, value in scores.items() if value == lowest)

    return act


def mean(losses):
    return None if None in losses else sum(losses) / len(losses)


def finished(losses):
    done = [loss for loss in losses if loss is not None]
    return sum(done) / len(done) if done else None


def best_finished(losses):
    return min((loss for loss in losses if loss is not None), default=None)


def best_safe(losses):
    return None if None in losses else min(losses)


def worst_safe(losses):
    return None if None in losses else max(losses)


def stop(
    better=lambda new, old: new < old, late=0, answer=lambda best, look, losses: best
):
    def act(losses, patience):
        best = 0
        for look in range(1, len(losses)):
            if better(losses[look], losses[best]):
                best = look
            if look - best >= patience + late:
                return answer(best, look, losses)
        return answer(best, len(losses) - 1, losses)

    return act


def ward(**changed):
    """Every patient as it is, but for those that are given."""
    return {**PATIENTS, **changed}


WRONG = {
    "08.1": {
        # the plainest finding is another one each time
        "leak": (ward(A="leaked validation"), "A: 'leaked validation' would sooner"),
        "mask": (ward(C="no mask"), "whole sentences into a model's mouth"),
        "future": (ward(A="wrong softmax axis"), "passes the test of the future"),
        "axis": (ward(J="wrong softmax axis"), "lets a little of the future"),
        "recites": (ward(J="leaked validation"), "whole sentences"),
        "early": (ward(C="collapsed tokenizer"), "would show before the first step"),
        "stammers": (ward(E="no mask"), "would not make a model stammer"),
        "honest": (ward(H="frozen embeddings"), "no model gets honestly below"),
        "touched": (ward(D="frozen embeddings"), "leave numbers without a gradient"),
        "frozen": (ward(I="no residual"), "still give every tensor"),
        "calm": (ward(D="rate too high"), "would throw the model about"),
        "wild": (ward(A="no residual"), "would not throw the loss above"),
        "short": (ward(B="no zero_grad"), "would not let what comes later"),
        "places": (ward(G="untrained positions"), "would not keep nearly"),
        "late": (ward(F="no zero_grad"), "would keep nearly every gradient"),
        "unknown": (ward(B="bad luck"), "'bad luck' is not on the list"),
        "two": (ward(A="no residual", D="rate too high"), "(1 more to reconsider.)"),
    },
    "08.2": {
        "nats": (alarm(bits=lambda loss, t, c: loss), "nats per token with bits"),
        "nats per character": (
            alarm(bits=lambda loss, t, c: loss * t / c),
            "nats per character",
        ),
        "per token": (alarm(bits=lambda loss, t, c: loss / math.log(2)), "per token"),
        "upside down": (
            alarm(bits=lambda loss, t, c: loss / math.log(2) * c / t),
            "wrong way round",
        ),
        "at once": (alarm(limit=lambda f, e: f), "at once below the floor"),
        "one error": (alarm(limit=lambda f, e: f - e), "one standard error"),
        "plus": (alarm(limit=lambda f, e: f + 3 * e), "add the errors"),
        "above": (
            lambda loss, t, c, f, e: loss * t / c / math.log(2) > f + 3 * e,
            "above the floor, where",
        ),
        "both sides": (
            lambda loss, t, c, f, e: abs(loss * t / c / math.log(2) - f) > 3 * e,
            "only below it",
        ),
        "not": (lambda *arguments: not right_alarm(*arguments), "True means a leak"),
    },
    "08.3": {
        "letter": (clean(lambda text: text), "only in spaces, line ends or capital"),
        "twice": (clean(words, twice=True), "counted twice"),
        "letter, twice": (clean(lambda text: text, twice=True), "equal to the letter"),
        "capitals": (clean(lambda text: " ".join(text.split())), "capital letters"),
        "spaces": (clean(str.lower), "line ends still tell"),
        "ends": (clean(lambda text: text.strip().lower()), "at the ends are gone"),
        "no spaces": (clean(lambda t: "".join(t.lower().split())), "all spaces away"),
        "inside": (inside, "whole documents"),
        "keys": (clean(words, given=lambda text, key: key(text)), "as they came"),
        "leaks": (
            lambda training, validation: [
                text for text in validation if words(text) in map(words, training)
            ],
            "the leaks themselves",
        ),
        "training": (lambda t, v: right_clean(v, t), "clean the training text"),
        "sorted": (lambda t, v: sorted(right_clean(t, v)), "in which they came"),
        "neither": (
            lambda training, validation: [
                text
                for text in validation
                if list(map(words, training + validation)).count(words(text)) == 1
            ],
            "keep the first",
        ),
    },
    "08.4": {
        "forgets": (by_score(finished), "forget the runs that diverged"),
        "lucky": (by_score(best_safe), "best single run. It may"),
        "lucky, lost": (by_score(best_finished), "even at a rate where"),
        "worst": (by_score(worst_safe), "compare the worst"),
        "larger": (by_score(mean, last=max), "take the smaller"),
        "first seed": (
            by_score(lambda losses: None if None in losses else losses[0]),
            "first seed only",
        ),
        "loss": (
            lambda sweep: min(mean(v) for v in sweep.values() if None not in v),
            "return the loss",
        ),
        "edge": (
            lambda sweep: max(rate for rate, v in sweep.items() if None not in v),
            "edge of the",
        ),
        "crash": (lambda sweep: min(sweep, key=lambda rate: sum(sweep[rate])), "TypeE"),
    },
    "08.5": {
        "to the end": (lambda v, patience: v.index(min(v)), "all losses to the end"),
        "where it stops": (stop(answer=lambda best, look, v: look), "best look before"),
        "equal": (stop(better=lambda new, old: new <= old), "equal is not better"),
        "late": (stop(late=1), "one look too late"),
        "early": (stop(late=-1), "one look too early"),
        "impatient": (lambda v, patience: right_stop(v, 1), "whatever the patience"),
        "loss": (stop(answer=lambda best, look, v: v[best]), "return the loss"),
        "from 1": (stop(answer=lambda best, look, v: best + 1), "count from 0"),
    },
    "08.6": {
        "side": (
            {"in one step": 0.5, "the cliff": 0.5, "noise": 4},
            "on the other side",
        ),
        "no cliff": (
            {"in one step": 0.25, "the cliff": 0.25, "noise": 4},
            "which is no cliff",
        ),
        "no root": (
            {"in one step": 0.25, "the cliff": 0.5, "noise": 16},
            "root of the number",
        ),
        "slope": ({"in one step": 1, "the cliff": 0.5, "noise": 4}, "4 w, not w"),
        "left": (
            {"in one step": 0.25, "the cliff": 0.5, "noise": 0.25},
            "what is left",
        ),
    },
}
RIGHT = {
    "08.1": {letter: f" {name.upper()} " for letter, name in PATIENTS.items()},
    "08.2": right_alarm,
    "08.3": right_clean,
    "08.4": right_rate,
    "08.5": right_stop,
    "08.6": {"in one step": 1 / 4, "the cliff": 2 / 4, "noise": 4.0},
}


# --- the ward -------------------------------------------------------------------------


def signs(row, sound, floor):
    """What is to be seen in a recorded run, in the words of the checks."""
    first, *_, end = row["validation"]
    places, usual = row["by_position"], sound["by_position"]
    far = math.fsum(places[32:]) / max(1, len(places[32:]))
    near = math.fsum(places[:16]) / len(places[:16])
    far -= math.fsum(usual[32:]) / 32 - math.fsum(usual[:16]) / 16
    found = {
        "below": end < floor.rate - 3 * floor.standard_error,
        "at once": first < floor.rate,
        "future": row["future"] > 0,
        "untouched": row["untouched"] > 0,
        "repeats": len(set(row["sample"].split()[4:])) == 1,
        "recites": copied(row["sample"]) > 100,
        "wild": max(row["training"]) > row["training"][0] + 0.5,
        "long": sum(g >= 1 for g in row["gradient"]) > 0.8 * len(row["gradient"]),
        "late": far > near + 0.5,
        "stuck": end > 2.5 and max(row["training"]) < row["training"][0] + 0.5,
    }
    return {name for name, is_seen in found.items() if is_seen}


def copied(sample):
    """The length of the longest piece of a sample that stands in one of its stories."""
    stories = load_corpus("stories", num_stories=4, seed=0).documents
    matchers = [
        SequenceMatcher(None, sample, story, autojunk=False) for story in stories
    ]
    return max(matcher.find_longest_match().size for matcher in matchers)


@pytest.fixture(scope="module")
def recorded_ward():
    path = NOTEBOOKS / "recordings" / "patient.json"
    return {row["name"]: row for row in recordings.load(path).rows}


def test_the_wards_signs_are_those_of_the_recording(recorded_ward):
    floor = ordinary_texts(0).held_out.floor
    sound = recorded_ward["sound"]
    assert signs(sound, sound, floor) == set()
    for name, fault in PATIENTS.items():
        assert signs(recorded_ward[name], sound, floor) == chapter_08.SIGNS[fault], name


def test_each_wrong_diagnosis_meets_a_finding_and_never_the_answer():
    for letter, fault in PATIENTS.items():
        for said in set(PATIENTS.values()) - {fault}:
            verdict = checks.verdict_on("08.1", ward(**{letter: said}))
            assert verdict.status == "wrong"
            assert verdict.message.startswith(f"{letter}: '{said}' ")
            assert fault not in verdict.message


def test_the_ward_can_be_diagnosed_bed_by_bed():
    verdict = checks.verdict_on("08.1", {"A": PATIENTS["A"], "B": None})
    assert verdict.status == "unsolved"
    assert "right so far" in verdict.message
    assert "B, C, D" in verdict.message
    assert checks.verdict_on("08.1", {"B": PATIENTS["A"]}).status == "wrong"


def test_an_untrained_model_of_the_ward_begins_at_ln_v(recorded_ward):
    for row in recorded_ward.values():
        assert 6.5 < row["first_loss"] < 7.1


# --- the bands ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench():
    path = NOTEBOOKS.parent / "benchmarks" / "bands_chapter_08.py"
    spec = importlib.util.spec_from_file_location("bands_chapter_08", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("wild", ["first_loss_above_ln_v"]),
        ("rate too high", ["bits_per_character_at_the_end"]),
        ("no residual", ["bits_per_character_at_the_end", "agreement_of_8_rows"]),
        ("targets not shifted", ["bits_per_character_at_the_end"]),
        ("no zero_grad", ["bits_per_character_at_the_end"]),
        ("healed", ["live_patient_at_the_end"]),
    ],
)
def test_a_planted_fault_leaves_chapter_08s_bands(bench, fault, names):
    bands, _ = read_bands(find_expected(NOTEBOOKS), "08")
    result = bench.measure(0, fault, live=fault == "healed")
    assert not any(bands[name].holds(result[name]) for name in names)


def test_chapter_08_says_150_steps_as_its_recipe_does():
    assert CONFIG.steps == 150
    bands, _ = read_bands(find_expected(NOTEBOOKS), "08")
    assert "150 steps" in bands["bits_per_character_at_the_end"].text


def test_chapter_08_asks_in_three_ways():
    assert len({type(e) for e in checks.exercises("08").values()}) == 3
