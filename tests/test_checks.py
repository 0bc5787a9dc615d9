"""Checks accept what is right, name what is wrong, and never raise."""

import json
import sys
import threading
import types

import pytest

from llm_core.course import checks
from llm_core.course.checks import chapter_02, judge
from llm_core.course.checks.judge import (
    Find,
    Misconception,
    Predict,
    Verdict,
    WriteFunction,
)

DOUBLE = WriteFunction(
    "Double",
    "doubles each number",
    lambda numbers: [2 * n for n in numbers],
    cases=[([1, 2],), ([3],), ([],)],
    misconceptions=[
        Misconception("you square.", lambda numbers: [n * n for n in numbers]),
        Misconception("you repeat the list.", lambda numbers: 2 * numbers),
    ],
)


def message(exercise, answer):
    verdict = exercise.judge(answer)
    return f"{verdict.status}: {verdict.message}"


# --- the judge ------------------------------------------------------------------------


def test_a_right_answer_is_right():
    assert DOUBLE.judge(lambda numbers: [n + n for n in numbers]).status == "right"


def stub_none(numbers):
    """Not written yet."""


def stub_ellipsis(numbers):
    return ...


def stub_raises(numbers):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [stub_none, stub_ellipsis, stub_raises, None, ...])
def test_a_stub_is_told_what_to_write(stub):
    assert (
        message(DOUBLE, stub) == "unsolved: write a function that doubles each number."
    )


def test_a_mistake_is_named_with_the_input_and_both_results():
    verdict = DOUBLE.judge(lambda numbers: [n**2 for n in numbers])
    assert (verdict.status, verdict.message) == ("wrong", "you square.")
    assert verdict.evidence == {
        "input": "[1, 2]",
        "expected": "[2, 4]",
        "got": "[1, 4]",
    }


def test_the_mistake_that_fits_every_case_wins():
    verdict = DOUBLE.judge(lambda numbers: numbers + numbers)
    assert verdict.message == "you repeat the list."


def test_an_error_is_shown_with_its_line_in_the_learners_code():
    def mine(numbers):
        total = 0
        return total / 0

    verdict = DOUBLE.judge(mine)
    assert "ZeroDivisionError: division by zero" in verdict.message
    assert "return total / 0" in verdict.evidence["where"]


def test_a_missing_name_hints_at_the_cells_above():
    def mine(numbers):
        return undefined_here  # noqa: F821

    assert "Have the cells above this one been run?" in message(DOUBLE, mine)


def test_a_function_that_alters_its_input_is_told():
    def mine(numbers):
        for i in range(len(numbers)):
            numbers[i] *= 2
        return numbers

    verdict = DOUBLE.judge(mine)
    assert "alters its input" in verdict.message
    assert verdict.evidence == {"input": "[1, 2]", "afterwards": "[2, 4]"}


def test_a_function_that_remembers_is_told():
    def mine(numbers, seen=[]):  # noqa: B006
        seen.append(numbers)
        return [2 * n for n in numbers] if len(seen) <= 3 else []

    assert "keeps something between calls" in message(DOUBLE, mine)


def test_an_endless_loop_is_stopped(monkeypatch):
    monkeypatch.setattr(judge, "TIME_LIMIT", 0.2)
    threads = threading.active_count()

    def mine(numbers):
        while True:
            numbers = list(numbers)

    assert "still running after 0.2 seconds" in message(DOUBLE, mine)
    assert threading.active_count() == threads


def test_a_branch_without_a_return_is_told():
    def mine(numbers):
        if numbers:
            return [2 * n for n in numbers]

    verdict = DOUBLE.judge(mine)
    assert "ends without a return" in verdict.message
    assert verdict.evidence["input"] == "[]"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ([2, 4], "give the function itself, without calling it; this is list"),
        ("double", "give the function itself, without calling it; this is str"),
        (lambda: [], "should take (numbers)"),
        (lambda a, b: [], "should take (numbers)"),
        (lambda numbers: tuple(2 * n for n in numbers), "type list; yours is tuple"),
        (lambda numbers: (2 * n for n in numbers), "type list; yours is generator"),
        (lambda numbers: [1] + [2 * n for n in numbers], "work this input by hand"),
        (lambda numbers: sys.exit(3), "SystemExit"),
    ],
)
def test_other_answers_get_a_hint_of_their_own(answer, hint):
    assert hint in message(DOUBLE, answer)


def test_an_exercise_may_ask_for_an_error():
    def root(x):
        if x < 0:
            raise ValueError(f"x must not be negative, got {x}")
        return x**0.5

    exercise = WriteFunction("Root", "takes roots", root, [(4.0,), (-1.0,)])
    assert exercise.judge(root).status == "right"
    assert "should raise ValueError" in message(exercise, lambda x: abs(x) ** 0.5)
    assert "KeyError" in message(exercise, lambda x: {4.0: 2.0}[x])


def test_long_values_are_cut_in_the_middle():
    text = judge.brief("x" * 5000)
    assert len(text) < 400
    assert " … " in text


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0.3, 0.1 + 0.2, True),
        ([1, [2.0]], [1, [2]], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("a", b"a", False),
        (None, 0, False),
    ],
)
def test_equality_is_what_a_reader_would_call_equal(expected, got, equal):
    assert judge.same(expected, got) is equal


def test_tensors_are_equal_by_shape_and_nearly_by_value():
    torch = pytest.importorskip("torch")
    ones = torch.ones(2, 3)
    assert judge.same(ones, ones + 1e-7)
    assert not judge.same(ones, torch.ones(3, 2))
    assert not judge.same(ones, ones.tolist())


PREDICT = Predict("p", "predict", lambda: {"a": 1, "b": 2}, {("a", 3): "three is b."})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"a": 1, "b": 2}, "right"),
        ({"a": None, "b": ...}, "unsolved: predict; still open: a; b."),
        ({}, "unsolved: predict; still open: a; b."),
        (None, "unsolved"),
        ([1, 2], "unsolved"),
        ({"a": 3, "b": 2}, "wrong: three is b."),
        ({"a": 4, "b": 2}, "wrong: a is something else."),
        ({"a": [1], "b": 2}, "wrong: a should be a plain value."),
    ],
)
def test_a_prediction_is_judged_without_telling_the_answer(answer, said):
    assert message(PREDICT, answer).startswith(said)
    assert "expected" not in PREDICT.judge(answer).evidence


def test_a_check_of_anything_else_may_even_fail_inside():
    exercise = Find("f", "find a text", lambda text: "" if text[0] == "x" else "no x.")
    assert message(exercise, ...) == "unsolved: find a text."
    assert message(exercise, "abc") == "wrong: no x."
    assert "TypeError" in message(exercise, 5)
    assert exercise.judge("xyz").status == "right"


def test_a_verdict_is_plain_text_and_safe_html():
    verdict = DOUBLE.judge(lambda numbers: ["<b>" for n in numbers])
    assert repr(verdict).splitlines()[0].startswith("✗ not yet: ")
    assert "expected  [2, 4]" in repr(verdict)
    assert "&lt;b&gt;" in verdict._repr_html_()
    assert "<b>" not in verdict._repr_html_()


def test_a_verdict_shows_names_as_code():
    verdict = Verdict("wrong", "keep `width` of them: `a < b`.")
    assert "keep `width` of them" in repr(verdict)
    page = verdict._repr_html_()
    assert "keep <code>width</code> of them: <code>a &lt; b</code>." in page


# --- check and progress ---------------------------------------------------------------


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_CORE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLM_CORE_STRICT", raising=False)
    displayed = []
    monkeypatch.setattr(checks, "display", displayed.append)
    return displayed


def my_decode(pieces):
    return b"".join(pieces).decode("utf-8", errors="replace")


def solution_decode(pieces):
    return my_decode(pieces)


def solution_that_fails(pieces):
    return "".join(piece.decode("utf-8", errors="replace") for piece in pieces)


def test_what_is_solved_is_noted_in_the_readers_home(shown, tmp_path):
    assert checks.solved() == set()
    checks.check("02.2", my_decode)
    assert checks.solved() == {"02.2"}
    assert "02.2 ✓ right" in repr(shown[0])
    assert json.loads((tmp_path / "home" / "progress.json").read_text("utf-8"))
    assert "1 of " in repr(checks.progress())
    assert "✓ 02.2 Mend the decoder" in repr(checks.progress())
    assert "✓ 02.2 Mend the decoder" in checks.progress()._repr_html_()
    assert "○ 02.1" in repr(checks.progress())  # of a chapter that was begun
    assert "03.1" not in repr(checks.progress())
    assert "○ 03: 0 of " in repr(checks.progress())


def test_a_chapter_that_is_done_is_one_line(shown):
    numbers = list(checks.exercises("02"))
    for number in numbers:
        checks.remember_solved(number)
    assert f"✓ 02: {len(numbers)} of {len(numbers)}" in repr(checks.progress())
    assert "02.1" not in repr(checks.progress())


def test_nothing_is_noted_for_a_wrong_answer_or_a_solution(shown):
    my_alias = solution_decode
    checks.check("02.2", solution_that_fails)
    checks.check("02.2", solution_decode)
    checks.check("02.2", my_alias)
    assert [verdict.status for verdict in shown] == ["wrong", "right", "right"]
    assert repr(shown[1]).startswith("02.2 solution ✓ right: ")
    assert checks.solved() == set()


def test_a_solution_that_is_no_function_is_known_by_its_name(shown):
    answer = chapter_02.bytes_in_texts()
    module = types.ModuleType("notebook")
    module.__dict__.update(check=checks.check, answer=answer)
    exec("solution_bytes = dict(answer)\ncheck('02.1', solution_bytes)", vars(module))
    assert checks.solved() == set()
    exec("my_bytes = dict(answer)\ncheck('02.1', my_bytes)", vars(module))
    assert checks.solved() == {"02.1"}


def test_a_solution_that_fails_its_check_fails_the_build(shown, monkeypatch):
    monkeypatch.setenv("LLM_CORE_STRICT", "1")
    checks.check("02.2", my_decode)
    checks.check("02.2", stub_none)
    with pytest.raises(AssertionError, match="fails its own check"):
        checks.check("02.2", solution_that_fails)


def test_an_unknown_exercise_is_told(shown):
    checks.check("02.99", my_decode)
    checks.check("99.1", my_decode)
    assert "no exercise '02.99'; this chapter has 02.1" in repr(shown[0])
    assert "no exercise '99.1'" in repr(shown[1])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"solved": 3}', '{"solved": [3]}'])
def test_a_damaged_note_counts_as_none(shown, content):
    path = checks.progress_file()
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert checks.solved() == set()
    checks.check("02.2", my_decode)
    assert checks.solved() == {"02.2"}


def test_a_home_that_cannot_be_written_stops_nothing(shown, tmp_path):
    (tmp_path / "home").write_text("a file, not a folder", encoding="utf-8")
    checks.check("02.2", my_decode)
    assert shown[0].status == "right"


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_without_the_variable_the_note_is_where_the_system_keeps_data(
    monkeypatch, platform
):
    monkeypatch.delenv("LLM_CORE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert checks.progress_file().parts[-2:] == ("llm-core", "progress.json")
