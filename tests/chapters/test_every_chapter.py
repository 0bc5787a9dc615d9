"""Every chapter's checks accept what is right, and name what is wrong.

`test_NN.py` beside this file has a chapter's answers: RIGHT, a correct one for each
exercise, written independently of the book's solution; and WRONG, at least three
planted mistakes for each, with words that its hint must contain.
"""

import time
from importlib import import_module

import pytest

from llm_core.course import checks
from llm_core.course.checks.judge import WriteFunction

ANSWERS = [import_module(f"chapters.test_{number}") for number in checks.chapters()]
RIGHT = {number: answer for a in ANSWERS for number, answer in a.RIGHT.items()}
WRONG = {number: planted for a in ANSWERS for number, planted in a.WRONG.items()}
PLANTED = [
    pytest.param(number, answer, hint, id=f"{number} {name}")
    for number, answers in WRONG.items()
    for name, (answer, hint) in answers.items()
]


@pytest.mark.parametrize("number", RIGHT)
def test_an_independent_solution_passes(number):
    assert checks.verdict_on(number, RIGHT[number]).status == "right"


@pytest.mark.parametrize(("number", "answer", "hint"), PLANTED)
def test_a_planted_wrong_answer_gets_its_hint(number, answer, hint):
    verdict = checks.verdict_on(number, answer)
    assert verdict.status == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("number", WRONG)
def test_each_planted_wrong_answer_gets_a_hint_of_its_own(number):
    hints = [
        checks.verdict_on(number, answer).message
        for answer, _ in WRONG[number].values()
    ]
    assert len(hints) >= 3
    assert len(set(hints)) == len(hints)


def test_every_exercise_has_planted_wrong_answers():
    numbers = [n for chapter in checks.chapters() for n in checks.exercises(chapter)]
    assert list(WRONG) == list(RIGHT) == numbers


@pytest.mark.parametrize("number", RIGHT)
def test_an_open_exercise_is_told_so(number):
    def my_stub(*arguments):
        """Not written yet."""

    is_function = isinstance(checks.exercises(number[:2])[number], WriteFunction)
    assert (
        checks.verdict_on(number, my_stub if is_function else None).status == "unsolved"
    )


@pytest.mark.parametrize("number", RIGHT)
def test_a_check_takes_less_than_a_second(number):
    checks.verdict_on(number, RIGHT[number])  # warms what the check keeps
    start = time.process_time()
    checks.verdict_on(number, RIGHT[number])
    assert time.process_time() - start < 1
