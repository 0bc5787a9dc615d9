"""An exercise and a learner's answer in; a verdict with a hint out.

A wrong answer is diagnosed by acting out the mistake: each `Misconception` carries a
function that makes it, and the one that gives what the learner's function gives, case
after case, is named. Nothing here knows a chapter, a notebook or a file.
"""

from __future__ import annotations

import copy
import ctypes
import html
import inspect
import linecache
import math
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

TIME_LIMIT = 10.0  # seconds for one call; what the exercises ask takes milliseconds
LONGEST = 300  # characters of a value that a verdict shows

ALTERS_INPUT = (
    "the result is right, but your function alters its input. Work on a copy: whoever "
    "calls it may still need the original."
)
UNKNOWN = "work this input by hand, and compare step by step."
KEEPS_STATE = (
    "called again with its first input, your function answers differently: it keeps "
    "something between calls, perhaps in a default argument or a global variable."
)


@dataclass(frozen=True)
class Verdict:
    """What a check has to say: one sentence, and the evidence."""

    status: Literal["right", "wrong", "unsolved"]
    message: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    exercise: str = ""

    @property
    def headline(self) -> str:
        """Return the exercise and the verdict in words."""
        words = {"right": "✓ right", "wrong": "✗ not yet", "unsolved": "○ open"}
        return f"{self.exercise} {words[self.status]}".strip()

    def __repr__(self) -> str:
        lines = [f"  {name:9} {text}" for name, text in self.evidence.items()]
        return "\n".join([f"{self.headline}: {self.message}", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<dt>{html.escape(name)}</dt><dd><code>{html.escape(text)}</code></dd>"
            for name, text in self.evidence.items()
        )
        return (
            f'<div class="llm-verdict llm-{self.status}"><p><strong>'
            f"{html.escape(self.headline)}</strong>: {_with_code(self.message)}</p>"
            + (f"<dl>{rows}</dl>" if rows else "")
            + "</div>"
        )


def _with_code(message: str) -> str:
    """Write a message as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(message))


class Exercise(Protocol):
    """What `check` needs of an exercise: a title, and a way to judge an answer."""

    @property
    def title(self) -> str:
        """Name the exercise in `progress()`."""

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict; never raise."""


# --- running the learner's function ---------------------------------------------------


@dataclass(frozen=True)
class Returned:
    """The learner's function returned this."""

    value: Any

    @property
    def is_stub(self) -> bool:
        """Return whether this is what an empty function gives."""
        return self.value is None or self.value is ...


@dataclass(frozen=True)
class Raised:
    """The learner's function raised this, at that line of its source."""

    error: BaseException
    line: str = ""

    @property
    def is_stub(self) -> bool:
        """Return whether the function only says that it is not written yet."""
        return isinstance(self.error, NotImplementedError)


class TooSlow(BaseException):
    """Raised inside the learner's function when its time is up."""


def run(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Returned | Raised:
    """Call a function with a time limit; return what came of it, never raise.

    It runs in a thread of its own, the only way to stop an endless loop on every
    system without ending the process.
    """
    outcome: list[Returned | Raised] = []

    def call() -> None:
        try:
            outcome.append(Returned(function(*arguments)))
        except BaseException as error:  # also SystemExit and our own TooSlow
            outcome.append(Raised(error, guilty_line(error, function)))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(TIME_LIMIT)
    if thread.is_alive():
        name, stop = ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TooSlow)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(name, stop)
        thread.join(1.0)
    return outcome[0] if outcome else Raised(TooSlow())


def guilty_line(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the last line of the learner's own code that an error passed through."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if code and f.filename == code.co_filename]
    if not own:
        return ""
    text = linecache.getline(own[-1].filename, own[-1].lineno or 0).strip()
    return f"line {own[-1].lineno}: {text}"


def same(expected: Any, got: Any) -> bool:
    """Return whether two values are equal: numbers nearly, containers by element.

    >>> same([0.1 + 0.2], [0.3]), same([1], (1,)), same({"a": 1}, {"a": True})
    (True, False, False)
    """
    torch = sys.modules.get("torch")
    if torch and isinstance(expected, torch.Tensor):
        return (
            isinstance(got, torch.Tensor)
            and got.shape == expected.shape
            and (got.dtype == torch.bool) == (expected.dtype == torch.bool)
            and torch.allclose(
                got.double(), expected.double(), atol=1e-5, equal_nan=True
            )
        )
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return math.isclose(expected, got, rel_tol=1e-6, abs_tol=1e-9)
    if not isinstance(got, type(expected)):
        return False
    if isinstance(expected, dict):
        keys = expected.keys() == got.keys()
        return keys and all(same(value, got[key]) for key, value in expected.items())
    if isinstance(expected, list | tuple):
        pairs = zip(expected, got, strict=False)
        return len(expected) == len(got) and all(same(a, b) for a, b in pairs)
    return bool(expected == got)


def agree(first: Returned | Raised, second: Returned | Raised) -> bool:
    """Return whether two runs came to the same: equal values, or the same error."""
    if isinstance(first, Returned) and isinstance(second, Returned):
        return same(first.value, second.value)
    if isinstance(first, Raised) and isinstance(second, Raised):
        return type(first.error) is type(second.error)
    return False


def brief(value: Any) -> str:
    """Return a value as a reader can take it in: its repr, cut in the middle.

    Functions go by their names, and numbers have six digits that count.

    >>> brief([len, brief, 2 / 3])
    '[len, brief, 0.666667]'
    """
    text = re.sub(r"<(?:built-in )?function (\w+)[^>]*>", r"\1", repr(value))
    text = re.sub(r"\b\d+\.\d{7,}\b", lambda number: f"{float(number[0]):.6g}", text)
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def written(arguments: tuple[Any, ...]) -> str:
    """Return a call's arguments as they would be typed."""
    return ", ".join(brief(argument) for argument in arguments)


# --- exercises that ask for a function ------------------------------------------------


@dataclass(frozen=True)
class Misconception:
    """A mistake that people make: what to tell them, and a function that makes it."""

    hint: str
    wrong: Callable[..., Any]


@dataclass(frozen=True)
class WriteFunction:
    """An exercise that asks for a function.

    `oracle` gives the right answer for the arguments in each of `cases`; an oracle that
    raises asks for that error. `task` says in a clause what the function should do.
    """

    title: str
    task: str
    oracle: Callable[..., Any]
    cases: Sequence[tuple[Any, ...]]
    misconceptions: Sequence[Misconception] = ()

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a learner's function; never raise."""
        still_open = Verdict("unsolved", f"write a function that {self.task}.")
        if answer is None or answer is ...:
            return still_open
        problem = self.signature_problem(answer)
        if problem:
            return Verdict("wrong", problem)
        expected = [run(self.oracle, copy.deepcopy(case)) for case in self.cases]
        runs: list[Returned | Raised] = []
        changed = []  # the cases whose arguments the learner's function altered
        for case in self.cases:
            given = copy.deepcopy(case)
            runs.append(run(answer, given))
            changed += [] if same(case, given) else [(case, given)]
            if isinstance(runs[-1], Raised) and isinstance(runs[-1].error, TooSlow):
                return trouble(runs[-1], case)
        if all(outcome.is_stub for outcome in runs):
            return still_open
        for i, case in enumerate(self.cases):
            if agree(expected[i], runs[i]):
                continue
            hint = self.diagnose(runs, i)
            if is_accident(runs[i]) and not hint:
                return trouble(runs[i], case)
            hint = hint or type_problem(expected[i], runs[i]) or UNKNOWN
            return compare(hint, case, expected[i], runs[i])
        if changed:
            case, given = changed[0]
            evidence = {"input": written(case), "afterwards": written(given)}
            return Verdict("wrong", ALTERS_INPUT, evidence)
        again = run(answer, copy.deepcopy(self.cases[0]))
        if not agree(again, runs[0]):
            return compare(KEEPS_STATE, self.cases[0], expected[0], again)
        return Verdict("right", f"it {self.task}.")

    def signature_problem(self, answer: Any) -> str:
        """Return what is wrong with the way the answer can be called, or nothing."""
        names = ", ".join(inspect.signature(self.oracle).parameters)
        if not callable(answer):
            kind = type(answer).__name__
            return f"give the function itself, without calling it; this is {kind}."
        try:
            inspect.signature(answer).bind(*self.cases[0])
        except TypeError:
            return f"your function should take ({names})."
        except ValueError:  # a built-in without a signature
            pass
        return ""

    def diagnose(self, runs: Sequence[Returned | Raised], failing: int) -> str:
        """Return the hint whose mistake gives what the learner's function gave.

        A mistake that agrees in every case wins over one that agrees only here.
        """
        here = ""
        for mistake in self.misconceptions:
            acted = [run(mistake.wrong, copy.deepcopy(case)) for case in self.cases]
            if all(map(agree, acted, runs)):
                return mistake.hint
            if agree(acted[failing], runs[failing]):
                here = here or mistake.hint
        return here


@dataclass(frozen=True)
class WriteTraining(WriteFunction):
    """An exercise whose answers may use torch.optim, which is slow to load."""

    def judge(self, answer: Any) -> Verdict:
        """Load it before the clock runs: to be stopped amid an import breaks it."""
        import torch  # here, as the early chapters need none of it

        torch.optim.SGD([torch.zeros(1)])
        return super().judge(answer)


def compare(
    hint: str,
    arguments: tuple[Any, ...],
    expected: Returned | Raised,
    got: Returned | Raised,
) -> Verdict:
    """Return the verdict on a wrong result: the hint, the input, both results."""
    evidence = {
        "input": written(arguments),
        "expected": in_words(expected),
        "got": in_words(got),
    }
    return Verdict("wrong", hint, evidence)


def in_words(outcome: Returned | Raised) -> str:
    """Return what a run came to, as a reader can take it in."""
    if isinstance(outcome, Returned):
        return brief(outcome.value)
    return f"{type(outcome.error).__name__}: {outcome.error}"


def type_problem(expected: Returned | Raised, got: Returned | Raised) -> str:
    """Return a hint if the result has the wrong type, or nothing."""
    if isinstance(expected, Raised):
        return f"this input should raise {type(expected.error).__name__}."
    if isinstance(got, Raised) or isinstance(got.value, type(expected.value)):
        return ""
    asked, came = type(expected.value).__name__, type(got.value).__name__
    return f"the result should be of type {asked}; yours is {came}."


def is_accident(outcome: Returned | Raised) -> bool:
    """Return whether a run stopped with an error, or ended without a return."""
    return isinstance(outcome, Raised) or outcome.value is None


def trouble(outcome: Returned | Raised, case: tuple[Any, ...]) -> Verdict:
    """Return the verdict on a run that stopped with an error or returned nothing."""
    evidence = {"input": written(case)}
    if isinstance(outcome, Raised) and outcome.line:
        evidence["where"] = outcome.line
    return Verdict("wrong", explain(outcome), evidence)


def explain(outcome: Returned | Raised) -> str:
    """Return a kind sentence about a run that came to nothing."""
    if isinstance(outcome, Returned):
        return "for this input your function ends without a return."
    if isinstance(outcome.error, TooSlow):
        return (
            f"your function was still running after {TIME_LIMIT:g} seconds, so it was "
            "stopped. Does its loop come nearer to its end with every turn?"
        )
    sentence = f"your function stopped with {in_words(outcome)}."
    if isinstance(outcome.error, NameError):
        sentence += " Have the cells above this one been run?"
    return sentence


# --- exercises that ask for something else --------------------------------------------


@dataclass(frozen=True)
class Predict:
    """An exercise that asks what code will give, before it is run.

    `truth` computes the answers by name; `hints` maps a name and a wrong answer to what
    led there. The verdict never tells the answer: running the next cell does.
    """

    title: str
    task: str
    truth: Callable[[], dict[str, Any]]
    hints: Mapping[tuple[str, Any], str]

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on a dictionary of predictions; never raise."""
        truth = self.truth()
        if not isinstance(answer, dict):
            return Verdict("unsolved", f"{self.task}.")
        missing = [name for name in truth if answer.get(name, ...) in (None, ...)]
        if missing:
            return Verdict(
                "unsolved", f"{self.task}; still open: {'; '.join(missing)}."
            )
        for name, right in truth.items():
            if not same(right, answer[name]):
                return Verdict(
                    "wrong", self.hint(name, answer[name]), evidence(name, answer)
                )
        return Verdict("right", "every prediction holds.")

    def hint(self, name: str, value: Any) -> str:
        """Return what led to a wrong prediction, as far as it is known."""
        try:
            return self.hints.get((name, value), f"{name} is something else.")
        except TypeError:  # an unhashable answer
            return f"{name} should be a plain value."


def evidence(name: str, answer: dict[str, Any]) -> dict[str, str]:
    """Return the prediction that is wrong."""
    return {name: brief(answer[name])}


@dataclass(frozen=True)
class Find:
    """An exercise that asks for anything with a property: a text, say, that breaks it.

    `problem` returns what is wrong with an answer, or nothing if it will do.
    """

    title: str
    task: str
    problem: Callable[[Any], str]

    def judge(self, answer: Any) -> Verdict:
        """Return the verdict on what the learner found; never raise."""
        if answer is None or answer is ... or answer == "":
            return Verdict("unsolved", f"{self.task}.")
        try:
            hint = self.problem(answer)
        except Exception as error:
            hint = f"this cannot be checked: {type(error).__name__}: {error}."
        if hint:
            return Verdict("wrong", hint, {"got": brief(answer)})
        return Verdict("right", "that will do.", {"got": brief(answer)})
