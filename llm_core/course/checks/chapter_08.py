"""Chapter 08, Training dynamics: what its exercises ask for, and how they go wrong.

The first exercise is a ward of ten sick trainings. A wrong diagnosis gets the finding
that speaks against it, never the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from llm_core.course.checks.judge import Misconception, Predict, Verdict, WriteFunction
from llm_core.course.experiments.chapter_08 import PATIENTS

# --- 08.1: the ward -------------------------------------------------------------------

# What each fault makes of a run; the tests hold the recording to it.
SIGNS: Mapping[str, frozenset[str]] = {
    "no mask": frozenset({"below", "future"}),
    "targets not shifted": frozenset({"below", "repeats"}),
    "untrained positions": frozenset({"late"}),
    "leaked validation": frozenset({"below", "recites"}),
    "collapsed tokenizer": frozenset({"below", "recites", "at once"}),
    "no zero_grad": frozenset({"long"}),
    "rate too high": frozenset({"wild"}),
    "no residual": frozenset({"stuck"}),
    "wrong softmax axis": frozenset({"future"}),
    "frozen embeddings": frozenset({"long", "untouched"}),
}

# Said where a diagnosis would make a sign, and the patient does not show it.
ABSENT = {
    "below": "would sooner or later take the loss below the floor. {patient}'s stays "
    "above it",
    "future": "would let what comes later change what is predicted before it. "
    "{patient} passes the test of the future",
    "repeats": "would teach the model to say again what it has just read. Read "
    "{patient}'s sample: it goes on to other words",
    "late": "would show in the loss by position: good at the first places, bad at the "
    "later ones. {patient}'s later places are as good as its first",
    "recites": "would give whole sentences, word for word from a story that was read. "
    "{patient}'s sample is no story",
    "at once": "would show before the first step. Look at where {patient}'s curve "
    "begins: an untrained model guesses there, as it should",
    "long": "would keep nearly every gradient longer than 1. Look at {patient}'s",
    "wild": "would throw the model about: some losses would be above that of the very "
    "first step. {patient}'s never are",
    "stuck": "would leave the model where it knows how frequent a token is, and little "
    "else. {patient}'s loss goes well below that",
    "untouched": "would leave numbers without a gradient. In {patient} every tensor "
    "had one",
}

# Said where the patient shows a sign that the diagnosis does not make.
UNEXPLAINED = {
    "below": "makes a model worse, and no model gets honestly below the floor. "
    "{patient}'s loss is below it",
    "future": "would not let what comes later change what is predicted before it. In "
    "{patient} it does",
    "repeats": "would not make a model stammer. Read {patient}'s sample",
    "late": "would hurt all places in a row alike. Look at {patient}'s loss by "
    "position",
    "recites": "would not put whole sentences into a model's mouth. Read {patient}'s "
    "sample",
    "at once": "takes some training to show. {patient}'s loss is where it is before "
    "the first step, and nothing can have been learned by then",
    "long": "would not keep nearly every gradient longer than 1. Look at {patient}'s",
    "wild": "would not throw the loss above where it began. Look at the first steps of "
    "{patient}'s curve",
    "stuck": "would slow the model down, but not hold it where it knows the frequent "
    "tokens and nothing else. {patient} stays there",
    "untouched": "would still give every tensor of the model a gradient. In {patient} "
    "one never had any",
}
# One diagnosis needs other words: with it, too, something of the answer comes through.
OTHER_WORDS = {
    (
        "wrong softmax axis",
        "below",
    ): "lets a little of the future through, but no whole "
    "answers. {patient}'s loss lies far below the floor",
}
# Where more than one finding speaks against a diagnosis, the plainest comes first.
PLAINEST = (
    "below",
    "at once",
    "repeats",
    "recites",
    "future",
    "untouched",
    "wild",
    "long",
    "late",
    "stuck",
)


def against(diagnosis: str, fault: str) -> str:
    """Return the plainest finding that a diagnosis does not fit, as a sentence part."""
    made, seen = SIGNS[diagnosis], SIGNS[fault]
    for sign in PLAINEST:
        if sign in seen - made:
            return OTHER_WORDS.get((diagnosis, sign), UNEXPLAINED[sign])
        if sign in made - seen:
            return ABSENT[sign]
    raise ValueError(f"nothing tells {diagnosis} from {fault}")


def tidy(diagnosis: Any) -> str:
    """Return a diagnosis as the list has it, whatever its case and its spaces."""
    return " ".join(str(diagnosis).lower().split())


@dataclass(frozen=True)
class Ward:
    """An exercise that asks what is wrong with each of some recorded runs."""

    title: str
    patients: Mapping[str, str]

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a dictionary from letters to diagnoses; never raise."""
        task = "write a diagnosis beside each letter"
        if not isinstance(answer, dict):
            return Verdict("unsolved", f"{task}.")
        given = {
            letter: tidy(answer[letter])
            for letter in self.patients
            if answer.get(letter) not in (None, ..., "")
        }
        if not given:
            return Verdict("unsolved", f"{task}.")
        wrong = {
            letter: said
            for letter, said in given.items()
            if said != self.patients[letter]
        }
        for letter, said in wrong.items():
            return Verdict("wrong", self.hint(letter, said, len(wrong)))
        if missing := [letter for letter in self.patients if letter not in given]:
            left = f"right so far; still open: {', '.join(missing)}"
            return Verdict("unsolved", f"{left}.")
        return Verdict("right", "every patient is diagnosed. Now read on.")

    def hint(self, letter: str, said: str, count: int) -> str:
        """Say what speaks against the first wrong diagnosis, and how many are wrong."""
        if said not in SIGNS:
            names = ", ".join(sorted(SIGNS))
            return f"{letter}: {said!r} is not on the list, which has {names}."
        sentence = against(said, self.patients[letter]).format(patient=letter)
        more = f" ({count - 1} more to reconsider.)" if count > 1 else ""
        return f"{letter}: {said!r} {sentence}.{more}"


WARD = Ward("Diagnose the ward", PATIENTS)

# --- 08.2: the alarm ------------------------------------------------------------------


def is_leak(
    loss: float, num_tokens: int, num_characters: int, floor: float, error: float
) -> bool:
    """Say whether a loss in nats per token lies too far below a floor in bits."""
    return loss / log(2) * num_tokens / num_characters < floor - 3 * error


ALARM = WriteFunction(
    "The alarm",
    "says whether a loss lies more than three standard errors below the floor",
    is_leak,
    cases=[
        (1.0, 1000, 4000, 0.3, 0.01),  # 0.361: above
        (0.5, 1000, 4000, 0.3, 0.01),  # 0.180: far below
        (0.79, 1000, 4000, 0.3, 0.01),  # 0.285: below, within three errors
        (0.72, 1000, 4000, 0.3, 0.01),  # 0.260: more than three below
        (1.2, 1000, 4000, 0.3, 0.01),
        (0.28, 500, 500, 0.3, 0.004),  # 0.404: 0.28 nats are more bits than 0.3
        (0.2, 3000, 3000, 0.3, 0.02),  # 0.2885: within three errors
        (0.05, 200, 900, 0.0, 0.01),
        (2.0, 100, 2500, 0.3, 0.005),  # 0.115: the loss per token is no floor's unit
        (0.05, 1000, 4000, 0.3, 0.01),
    ],
    misconceptions=[
        Misconception(
            "you compare nats per token with bits per character. Bring the loss to the "
            "floor's unit first.",
            lambda loss, tokens, characters, floor, error: loss < floor - 3 * error,
        ),
        Misconception(
            "these are nats per character; the floor is in bits: divide by log(2).",
            lambda loss, tokens, characters, floor, error: (
                loss * tokens / characters < floor - 3 * error
            ),
        ),
        Misconception(
            "these are bits per token; the floor is per character.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) < floor - 3 * error
            ),
        ),
        Misconception(
            "tokens and characters stand the wrong way round: a token's bits are "
            "shared by its characters.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) * characters / tokens < floor - 3 * error
            ),
        ),
        Misconception(
            "you sound the alarm at once below the floor. A sound model can lie below "
            "it by the luck of these stories: allow three standard errors.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) * tokens / characters < floor
            ),
        ),
        Misconception(
            "you allow one standard error. One sound run in six would sound the alarm; "
            "allow three.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) * tokens / characters < floor - error
            ),
        ),
        Misconception(
            "you sound the alarm above the floor, where every honest model is.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) * tokens / characters > floor + 3 * error
            ),
        ),
        Misconception(
            "far away from the floor is not wrong by itself: only below it.",
            lambda loss, tokens, characters, floor, error: (
                abs(loss / log(2) * tokens / characters - floor) > 3 * error
            ),
        ),
        Misconception(
            "you add the errors to the floor. An alarm that is sure of itself begins "
            "three errors below it.",
            lambda loss, tokens, characters, floor, error: (
                loss / log(2) * tokens / characters < floor + 3 * error
            ),
        ),
        Misconception(
            "your answer is the wrong way round: True means a leak.",
            lambda *arguments: not is_leak(*arguments),
        ),
    ],
)

# --- 08.3: find the leak --------------------------------------------------------------


def plain(text: str) -> str:
    """Return the words of a text in small letters, one space between two."""
    return " ".join(text.lower().split())


def clean(training: list[str], validation: list[str]) -> list[str]:
    """Keep the documents that training does not have, each of them once, in order."""
    seen = {plain(text) for text in training}
    kept = []
    for text in validation:
        if plain(text) not in seen:
            kept.append(text)
            seen.add(plain(text))
    return kept


Cleaner = Callable[[list[str], list[str]], list[str]]


def cleaning(
    key: Callable[[str], str], *, twice: bool = True, returns_key: bool = False
) -> Cleaner:
    """Return the mistake of another notion of being the same."""

    def act(training: list[str], validation: list[str]) -> list[str]:
        seen = {key(text) for text in training}
        kept = []
        for text in validation:
            if key(text) not in seen:
                kept.append(key(text) if returns_key else text)
                if twice:
                    seen.add(key(text))
        return kept

    return act


def within(training: list[str], validation: list[str]) -> list[str]:
    """Make the mistake of looking for a document inside the others."""
    pile = plain(" ".join(training))
    kept: list[str] = []
    for text in validation:
        if plain(text) not in pile and plain(text) not in map(plain, kept):
            kept.append(text)
    return kept


def first_only(training: list[str], validation: list[str]) -> list[str]:
    """Make the mistake of leaving every document that occurs twice out."""
    seen = [plain(text) for text in training + validation]
    return [text for text in validation if seen.count(plain(text)) == 1]


DEDUPE = WriteFunction(
    "Find the leak",
    "returns the validation documents that training does not have, each once",
    clean,
    cases=[
        (["A cat.", "A dog."], ["A cow.", "A cat.", "A hen."]),
        (["A cat."], ["a  CAT.\n", "A cow."]),
        (["A cat."], ["a cat.\n", "A cow."]),
        (["A cat."], ["A cow.", "A cow.", "A hen."]),
        (["A cat."], ["Some hen.", "A cow.", "some hen.", "A  cow.", "An ant."]),
        (["A black cat sat."], ["black cat", "A cat sat."]),
        ([], ["A cow."]),
        (["A cat."], []),
        (["A cat."], ["A cat!", "A cats.", "Ac at."]),
    ],
    misconceptions=[
        Misconception(
            "a story that differs only in spaces, line ends or capital letters is the "
            "same story, and still leaks.",
            cleaning(lambda text: text),
        ),
        Misconception(
            "only equal to the letter counts as the same for you, and what occurs "
            "twice in the validation text itself stays twice.",
            cleaning(lambda text: text, twice=False),
        ),
        Misconception(
            "what occurs twice in the validation text stays twice: it would be "
            "counted twice.",
            cleaning(plain, twice=False),
        ),
        Misconception(
            "capital letters still tell two stories apart.",
            cleaning(lambda text: " ".join(text.split())),
        ),
        Misconception(
            "spaces and line ends still tell two stories apart.",
            cleaning(lambda text: text.lower()),
        ),
        Misconception(
            "spaces at the ends are gone, but not those between the words.",
            cleaning(lambda text: text.lower().strip()),
        ),
        Misconception(
            "you take all spaces away, and words that differ become the same.",
            cleaning(lambda text: "".join(text.lower().split())),
        ),
        Misconception(
            "a document is not a leak because its words occur within another: compare "
            "whole documents.",
            within,
        ),
        Misconception(
            "you return the documents as you compare them. Return them as they came.",
            cleaning(plain, returns_key=True),
        ),
        Misconception(
            "of a story that occurs twice in the validation text, keep the first.",
            first_only,
        ),
        Misconception(
            "you return the leaks themselves. Return what is left without them.",
            lambda training, validation: [
                text for text in validation if plain(text) in set(map(plain, training))
            ],
        ),
        Misconception(
            "you clean the training text. That would do too, but here the validation "
            "text is asked for.",
            lambda training, validation: clean(validation, training),
        ),
        Misconception(
            "keep the documents in the order in which they came.",
            lambda training, validation: sorted(clean(training, validation)),
        ),
    ],
)

# --- 08.4: pick the rate --------------------------------------------------------------

Sweep = dict[float, list[float | None]]


def pick_rate(sweep: Sweep) -> float:
    """Return the rate with the lowest mean loss, of those at which no run diverged."""
    means = {
        rate: sum(losses) / len(losses)  # type: ignore[arg-type]
        for rate, losses in sweep.items()
        if None not in losses
    }
    return min(sorted(means), key=lambda rate: means[rate])


def picking(
    score: Callable[[Sequence[float | None]], float | None], *, high: bool = False
) -> Callable[[Sweep], float]:
    """Return the mistake of another score; None leaves a rate out."""

    def act(sweep: Sweep) -> float:
        scores = {rate: score(losses) for rate, losses in sweep.items()}
        known = {rate: value for rate, value in scores.items() if value is not None}
        return min(sorted(known, reverse=high), key=lambda rate: known[rate])

    return act


def mean_of_finished(losses: Sequence[float | None]) -> float | None:
    """Make the mistake of forgetting the runs that diverged."""
    done = [loss for loss in losses if loss is not None]
    return sum(done) / len(done) if done else None


def mean_of_sound(losses: Sequence[float | None]) -> float | None:
    """Return the mean, where no run diverged."""
    return None if None in losses else mean_of_finished(losses)


PICK = WriteFunction(
    "Pick the rate",
    "picks the learning rate out of a sweep",
    pick_rate,
    cases=[
        ({0.001: [2.0, 2.2], 0.01: [1.5, 1.7], 0.1: [2.5, 2.4]},),
        ({0.001: [2.0, 2.2], 0.01: [1.6, 1.7], 0.03: [1.2, None]},),
        ({0.004: [1.5, 1.5], 0.008: [1.2, 2.2], 0.002: [1.9, 1.9]},),
        ({0.02: [1.5, 1.5], 0.01: [1.25, 1.75], 0.04: [None, None]},),
        ({0.3: [1.0, 2.0, 3.0], 0.1: [2.25, 1.5, 2.5], 0.2: [None, 1.0, 1.0]},),
        ({0.001: [1.5], 0.002: [1.0], 0.004: [0.5], 0.008: [None]},),
        ({0.01: [2.0, 1.0], 0.02: [1.6, 1.6], 0.005: [2.5, 2.5]},),
    ],
    misconceptions=[
        Misconception(
            "you forget the runs that diverged: at that rate the next run may be lost "
            "as well. Leave such a rate out.",
            picking(mean_of_finished),
        ),
        Misconception(
            "you take the best single run. It may have been lucky: average over the "
            "seeds.",
            picking(
                lambda losses: (
                    None
                    if None in losses
                    else min(loss for loss in losses if loss is not None)
                )
            ),
        ),
        Misconception(
            "you take the best single run, even at a rate where another run diverged.",
            picking(
                lambda losses: min(
                    (loss for loss in losses if loss is not None), default=None
                )
            ),
        ),
        Misconception(
            "you compare the worst runs. Compare the means.",
            picking(
                lambda losses: (
                    None
                    if None in losses
                    else max(loss for loss in losses if loss is not None)
                )
            ),
        ),
        Misconception(
            "where two rates are equally good, take the smaller: it is further from "
            "the cliff.",
            picking(mean_of_sound, high=True),
        ),
        Misconception(
            "you look at the first seed only.",
            picking(lambda losses: None if None in losses else losses[0]),
        ),
        Misconception(
            "you return the loss. Return the rate that has it.",
            lambda sweep: min(
                mean
                for losses in sweep.values()
                if (mean := mean_of_sound(losses)) is not None
            ),
        ),
        Misconception(
            "this is the largest rate at which nothing diverged: the edge of the "
            "cliff, and not the bottom of the valley.",
            lambda sweep: max(
                rate for rate, losses in sweep.items() if None not in losses
            ),
        ),
        Misconception(
            "this is the worst rate of those that did not diverge.",
            picking(
                lambda losses: (
                    None if None in losses else -(mean_of_sound(losses) or 0.0)
                )
            ),
        ),
    ],
)

# --- 08.5: stop in time (stretch) -----------------------------------------------------


def stop_early(losses: list[float], patience: int) -> int:
    """Return which look to keep: the best before `patience` looks brought no better."""
    best = 0
    for look, loss in enumerate(losses):
        if loss < losses[best]:
            best = look
        elif look - best >= patience:
            break
    return best


def stopping(better: Callable[[float, float], bool], extra: int = 0) -> Any:
    """Return the mistake of another notion of better, or of another patience."""

    def act(losses: list[float], patience: int) -> int:
        best = 0
        for look, loss in enumerate(losses):
            if look and better(loss, losses[best]):
                best = look
            elif look - best >= patience + extra:
                break
        return best

    return act


def last_look(losses: list[float], patience: int) -> int:
    """Make the mistake of keeping the look at which one stops."""
    best = 0
    for look, loss in enumerate(losses):
        if loss < losses[best]:
            best = look
        elif look - best >= patience:
            return look
    return len(losses) - 1


def in_a_row(losses: list[float], patience: int) -> int:
    """Make the mistake of counting looks that were worse than the one before."""
    best, worse = 0, 0
    for look in range(1, len(losses)):
        worse = worse + 1 if losses[look] >= losses[look - 1] else 0
        if losses[look] < losses[best]:
            best = look
        if worse >= patience:
            break
    return best


STOP = WriteFunction(
    "Stop in time",
    "returns the look whose weights should be kept",
    stop_early,
    cases=[
        ([3.0, 2.0, 1.5, 1.6, 1.7, 1.8], 2),
        ([3.0, 2.0, 2.1, 2.2, 1.0], 2),
        ([3.0, 2.0, 2.1, 1.9, 2.0, 1.95, 1.0], 2),
        ([3.0, 2.0, 2.0, 2.0, 1.5], 2),
        ([3.0, 2.0, 1.0], 3),
        ([2.0, 3.0, 1.0], 1),
        ([1.0], 1),
        ([3.0, 2.0, 2.1, 2.2, 1.9, 2.5], 3),
        ([3.0, 2.0, 2.5, 2.4, 2.6, 1.0], 3),
        ([5.0, 4.0, 4.5, 4.4, 4.3, 3.0], 3),
        ([3.0, 2.0, 2.1, 2.2, 2.3, 2.4, 1.0], 2),
        ([3.0, 2.0, 2.1, 1.9, 2.0, 2.0], 3),
    ],
    misconceptions=[
        Misconception(
            "you look at all losses to the end. After `patience` looks without a new "
            "best the run is over, and what would have come later is not known.",
            lambda losses, patience: losses.index(min(losses)),
        ),
        Misconception(
            "this is where one stops. The weights to keep are those of the best look "
            "before.",
            last_look,
        ),
        Misconception(
            "equal is not better: only a lower loss starts the count anew.",
            stopping(lambda loss, best: loss <= best),
        ),
        Misconception(
            "you stop one look too late: after `patience` looks without a new best.",
            stopping(lambda loss, best: loss < best, 1),
        ),
        Misconception(
            "you stop one look too early: `patience` looks without a new best are "
            "allowed to pass.",
            stopping(lambda loss, best: loss < best, -1),
        ),
        Misconception(
            "you compare each look with the one before. Compare it with the best.",
            in_a_row,
        ),
        Misconception(
            "you stop at the first look that is no better, whatever the patience.",
            lambda losses, patience: stop_early(losses, 1),
        ),
        Misconception(
            "you return the loss. Return the number of the look that had it.",
            lambda losses, patience: losses[stop_early(losses, patience)],
        ),
        Misconception(
            "looks count from 0.",
            lambda losses, patience: stop_early(losses, patience) + 1,
        ),
    ],
)

# --- 08.6: predict (stretch) ----------------------------------------------------------

PREDICT = Predict(
    "Predict the step",
    "predict the three numbers",
    lambda: {"in one step": 0.25, "the cliff": 0.5, "noise": 4},
    {
        ("in one step", 0.5): "at 0.5 the step is twice too long: it lands on the "
        "other side, as far from the bottom as before.",
        ("in one step", 1): "at 1 the step is four times too long: the slope at w is "
        "4 w, not w.",
        ("in one step", 4): "4 is the curvature; a steep valley needs a small rate.",
        ("in one step", 0.125): "at 0.125 the step leads half of the way.",
        ("the cliff", 0.25): "at 0.25 one step leads to the bottom, which is no cliff. "
        "How much longer may a step be before it lands higher than it began?",
        ("the cliff", 1): "at 1, w becomes -3 w: the run is long lost.",
        ("the cliff", 2): "2 divided by what?",
        ("noise", 16): "the mean of 16 rows is less noisy, but not 16 times: chance "
        "adds up like the root of the number.",
        ("noise", 0.25): "this is what is left of it. By which factor is it smaller?",
        ("noise", 2): "2 is the factor for 4 times as many rows.",
    },
)

EXERCISES = {
    "08.1": WARD,
    "08.2": ALARM,
    "08.3": DEDUPE,
    "08.4": PICK,
    "08.5": STOP,
    "08.6": PREDICT,
}
