"""A learner's answer in, a verdict on the screen out, and a note of what is solved.

`check("02.1", my_function)` looks the exercise up in `chapter_02.py` beside this file.
What is solved is kept in the reader's home, in `progress_file()`, and sent nowhere.
Answers named `solution_…` are checked like any other and never counted.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import os
import pkgutil
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from IPython.display import display

from llm_core.course.checks.judge import Exercise, Verdict


def exercises(chapter: str) -> Mapping[str, Exercise]:
    """Return a chapter's exercises by number; none if the chapter has no checks.

    >>> list(exercises("02"))[:2]
    ['02.1', '02.2']
    """
    if chapter not in chapters():
        return {}
    module = import_module(f"{__name__}.chapter_{chapter}")
    found: Mapping[str, Exercise] = module.EXERCISES
    return found


def chapters() -> list[str]:
    """Return the numbers of the chapters that have checks."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name[8:] for name in names if name.startswith("chapter_"))


def verdict_on(number: str, answer: Any) -> Verdict:
    """Return the verdict on an answer to an exercise; never raise."""
    known = exercises(number.partition(".")[0])
    if number not in known:
        hint = f"there is no exercise {number!r}; this chapter has {', '.join(known)}."
        return Verdict("wrong", hint)
    return dataclasses.replace(known[number].judge(answer), exercise=number)


def check(number: str, answer: Any) -> None:
    """Show what is right or wrong with an answer, and note what is solved."""
    verdict = verdict_on(number, answer)
    is_solution = is_called_solution(answer, sys._getframe(1).f_globals)
    if is_solution:
        verdict = dataclasses.replace(verdict, exercise=f"{number} solution")
    display(verdict)  # type: ignore[no-untyped-call]
    if verdict.status == "right" and not is_solution:
        remember_solved(number)
    if verdict.status != "right" and is_solution and os.environ.get("LLM_CORE_STRICT"):
        raise AssertionError(f"the solution fails its own check: {verdict!r}")


def is_called_solution(answer: Any, namespace: Mapping[str, Any]) -> bool:
    """Return whether an answer is a solution of the book, by the name it bears."""
    if hasattr(answer, "__name__"):
        return str(answer.__name__).startswith("solution_")
    names = [name for name, value in list(namespace.items()) if value is answer]
    return any(name.startswith("solution_") for name in names) and not any(
        name.startswith("my_") for name in names
    )


# --- what is solved -------------------------------------------------------------------


def progress_file() -> Path:
    """Return where progress is kept: in LLM_CORE_HOME, or where the system keeps data.

    Nothing is created here.
    """
    if chosen := os.environ.get("LLM_CORE_HOME"):
        return Path(chosen) / "progress.json"
    if sys.platform == "win32":
        variable, usual = "LOCALAPPDATA", Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        variable, usual = "", Path.home() / "Library" / "Application Support"
    else:
        variable, usual = "XDG_DATA_HOME", Path.home() / ".local" / "share"
    return Path(os.environ.get(variable) or usual) / "llm-core" / "progress.json"


def solved() -> set[str]:
    """Return the numbers of the solved exercises; none if there is no readable note."""
    try:
        content = json.loads(progress_file().read_text(encoding="utf-8"))
        return {number for number in content["solved"] if isinstance(number, str)}
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def remember_solved(number: str) -> None:
    """Add an exercise to the solved ones; where nothing can be written, do nothing."""
    numbers = solved()
    if number in numbers:
        return
    text = json.dumps({"solved": sorted(numbers | {number})}, indent=1)
    path = progress_file()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return


@dataclasses.dataclass(frozen=True)
class Progress:
    """Which exercises are solved: their number and title, and whether they are."""

    rows: tuple[tuple[str, str, bool], ...]

    @property
    def lines(self) -> list[str]:
        """Return a line for each chapter, and for each exercise of one half done."""
        lines = []
        for chapter, group in itertools.groupby(self.rows, key=lambda row: row[0][:2]):
            rows = list(group)
            done = sum(is_solved for _, _, is_solved in rows)
            mark = "✓" if done == len(rows) else "○"
            lines.append(f"{mark} {chapter}: {done} of {len(rows)}")
            if 0 < done < len(rows):
                lines += [
                    f"    {'✓' if is_solved else '○'} {number} {title}"
                    for number, title, is_solved in rows
                ]
        return lines

    @property
    def summary(self) -> str:
        """Return the count in a sentence."""
        done = sum(is_solved for _, _, is_solved in self.rows)
        return (
            f"{done} of {len(self.rows)} exercises solved; kept on this machine only."
        )

    def __repr__(self) -> str:
        return "\n".join([*self.lines, self.summary])

    def _repr_html_(self) -> str:
        items = "".join(
            f'<li style="white-space:pre">{html.escape(line)}</li>'
            for line in self.lines
        )
        style = "list-style:none;padding-left:0"
        return f'<ul style="{style}">{items}</ul><p>{html.escape(self.summary)}</p>'


def progress() -> Progress:
    """Return what is solved and what is open, for display."""
    done = solved()
    rows = tuple(
        (number, exercise.title, number in done)
        for chapter in chapters()
        for number, exercise in exercises(chapter).items()
    )
    return Progress(rows)
