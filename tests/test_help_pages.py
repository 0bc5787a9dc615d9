"""The help pages say what is so: the hours and exercises of chapters, and messages."""

import math
import re
import shlex
from pathlib import Path

import pytest

from llm_core.cli.options import build_parser
from llm_core.course import checks
from llm_core.course.quote import read_chapters
from llm_core.course.results import find_expected, read_bands

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = {f"{chapter.number:02}": chapter for chapter in read_chapters()}
LABELS = {
    re.search(r"\((chapter-\w+)\)=", chapter.prose)[1]: number
    for number, chapter in CHAPTERS.items()
}
HOURS = {"an hour and a half": 1.5, "an hour": 1, "two hours": 2}


def page(name):
    return (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")


def opening(chapter, beginning):
    """The paragraph of a chapter that begins so, in one line."""
    found = re.search(rf"^\*\*{beginning}.*?(?=\n\n|\Z)", chapter.prose, re.M | re.S)
    return " ".join(found[0].split())


# --- instructors.md -------------------------------------------------------------------

INSTRUCTORS = page("instructors")
ROWS = {
    row[:2]: [cell.strip() for cell in row.split("|")]
    for row in re.findall(r"^\| (\d\d [A-Z].*) \|$", INSTRUCTORS, re.MULTILINE)
}


def exercises_in(cell):
    """The exercises of "04.1 to 04.4", or of "04.5, 04.6", one by one."""
    numbers = []
    for part in cell.split(", "):
        first, _, last = part.partition(" to ")
        chapter, start = first.split(".")
        end = (last or first).split(".")[1]
        numbers += [f"{chapter}.{k}" for k in range(int(start), int(end) + 1)]
    return numbers


def stated_hours(chapter):
    said = opening(chapter, "How long it takes").lower().split("takes.** ")[1]
    reading, exercises = said.partition(".")[0].split(", and ")
    exercises = exercises.removesuffix(" for the exercises")
    first = HOURS[reading.removeprefix("about ")]
    return [first, first if exercises == "as long again" else HOURS[exercises]]


def in_words(hours):
    return f"{hours:g}".replace(".5", "½")


def test_instructors_find_every_chapter():
    assert list(ROWS) == list(CHAPTERS)
    for number, chapter in CHAPTERS.items():
        title = re.search(r"^# (.*)", chapter.prose, re.MULTILINE)[1]
        assert ROWS[number][0] == f"{number} {title}"


@pytest.mark.parametrize("number", CHAPTERS)
def test_what_instructors_are_told_of_a_chapter_is_what_it_says(number):
    chapter = CHAPTERS[number]
    _, builds_on, hours, core, stretch = ROWS[number]
    needs = re.findall(r"chapter-\w+", opening(chapter, "What you need"))
    assert builds_on == ", ".join(sorted({LABELS[label] for label in needs}))
    assert hours == ", ".join(map(in_words, stated_hours(chapter)))
    marked = re.findall(r"^### ([\d.]+) .*\(stretch\)$", chapter.prose, re.MULTILINE)
    assert exercises_in(stretch) == marked
    assert exercises_in(core) + marked == list(checks.exercises(number))


def test_the_hours_are_added_up():
    both = [stated_hours(chapter) for chapter in CHAPTERS.values()]
    reading, exercises = (in_words(sum(hours)) for hours in zip(*both, strict=True))
    assert f"{reading} hours with the book and {exercises} with the ex" in INSTRUCTORS


def test_every_exercise_that_is_named_exists():
    for number in set(re.findall(r"\b\d\d\.\d\b", INSTRUCTORS)):
        assert number in checks.exercises(number[:2])


# --- the commands in sentences, of all help pages -------------------------------------


@pytest.mark.parametrize("name", ["instructors", "trouble", "accessibility"])
def test_a_command_in_a_sentence_has_options_that_exist(name):
    for command in re.findall(r"`llm-core ([^`]+)`", " ".join(page(name).split())):
        build_parser().parse_args(shlex.split(command))


# --- trouble.md: a message that it quotes is one that somebody can meet ---------------

MESSAGES = {
    "the course needs 3.11 or later": "Makefile",
    "○ open": "llm_core/course/checks/judge.py",
    "training would need about": "llm_core/cli/train.py",
    "there is not enough memory": "llm_core/cli/console.py",
    "LLM_CORE_DEBUG": "llm_core/cli/console.py",
    '"outside"': "llm_core/course/results.py",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_quoted_is_one_of_ours(message):
    said = (ROOT / MESSAGES[message]).read_text(encoding="utf-8")
    assert message in said
    assert message in " ".join(page("trouble").split())


def test_the_first_losses_that_are_typed_are_logarithms():
    text = " ".join(page("trouble").split())
    said = re.findall(r"(\d+\.\d\d) for (?:GPT-2's )?([\d,]+)", text)
    assert len(said) == 5
    for loss, size in said:
        assert f"{math.log(int(size.replace(',', ''))):.2f}" == loss


def test_the_marks_of_a_loss_come_in_falling_order():
    found = re.findall(r'"(\d\d)",\s+"(\w+)",?\s*\)', page("trouble"))
    assert len(found) > 5
    bands = [read_bands(find_expected(ROOT), n)[0][name] for n, name in found]
    middles = [(band.low + band.high) / 2 for band in bands]
    assert middles == sorted(middles, reverse=True)
