"""Runs that take longer than a chapter may: recorded once, and held to their recipe.

To add one, write its recipe into `experiments/chapter_NN.py` beside this file: a
function that makes one run, and the points to run it at.

    @recorded(
        points=[{"learning_rate": rate, "seed": 0} for rate in (1e-4, 1e-3, 1e-2)],
        tolerance=0.05,
    )
    def learning_rate_sweep(learning_rate: float, seed: int) -> Results:
        \"\"\"Train for 300 steps; return the final loss and every tenth one.\"\"\"
        ...
        return {"final_loss": losses[-1], "losses": losses[::10]}

`make recordings ARGS=learning_rate_sweep` makes the runs and writes them, with the
recipe, the machine and a hash, to `notebooks/recordings/learning_rate_sweep.json`,
which is committed. A break is no loss: the same command goes on where it was stopped.
In the chapter, one line says what is recorded and gives a row for each point:

    rows = recording("learning_rate_sweep")  # [{"learning_rate": 0.0001, "seed": 0, …}]

`tests/test_recordings.py` makes one run of each recording again and compares every
number within the recipe's tolerance: a share of it, or of the largest in its
list. It fails, as the chapter does, when a file was edited by hand, or when the points
or the code of the recipe changed since: the function and what it uses of its module,
comments and docstrings apart. A change in `llm_core` shows in the run made again.

A result is a number, a text, None, or a list of these; text is not compared. A run that
came to no finite number says None.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import html
import importlib
import inspect
import json
import math
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from IPython.display import display

from llm_core.course import experiments
from llm_core.course.results import find_expected

Results = dict[str, Any]
Recipe = TypeVar("Recipe", bound=Callable[..., Results])


@dataclass(frozen=True)
class Experiment:
    """How to make each run of a recording, and how alike a second one must be."""

    function: Callable[..., Results]
    points: Sequence[Mapping[str, Any]]
    tolerance: float
    again: Mapping[str, Any] | None = None  # the point made again; None: the quickest

    @property
    def name(self) -> str:
        """Return the name of the function and of the file."""
        return self.function.__name__

    def recipe(self) -> dict[str, Any]:
        """Return what the results depend on, as the file holds it."""
        module = sys.modules[self.function.__module__]
        return {
            "function": f"{module.__name__}.{self.name}",
            "code": fingerprint(inspect.getsource(module), self.name),
            "points": [dict(point) for point in self.points],
        }


EXPERIMENTS: dict[str, Experiment] = {}


def recorded(
    *,
    points: Sequence[Mapping[str, Any]],
    tolerance: float,
    again: Mapping[str, Any] | None = None,
) -> Callable[[Recipe], Recipe]:
    """Mark a function as the recipe of the recording that bears its name.

    `again` is the point that tests make again, where the quickest will not do: at a
    rate so high that the loss jumps, no two processors make the same jumps. Raises
    ValueError for a point without a seed, for equal points, for another point to make
    again, or for a name that another module has taken.
    """
    if not all("seed" in point for point in points):
        raise ValueError("expected a seed in every point")
    if not points or any(point in points[:i] for i, point in enumerate(points)):
        raise ValueError("expected one or more points that all differ")
    if again is not None and again not in points:
        raise ValueError(f"expected one of the points to make again, got {again}")

    def register(function: Recipe) -> Recipe:
        known = EXPERIMENTS.get(function.__name__)
        if known and known.function.__module__ != function.__module__:
            raise ValueError(f"{known.function.__module__} has {function.__name__} too")
        experiment = Experiment(function, points, tolerance, again)
        EXPERIMENTS[function.__name__] = experiment
        return function

    return register


def find_experiments() -> dict[str, Experiment]:
    """Return the experiments of all chapters, by name."""
    for module in pkgutil.iter_modules(experiments.__path__):
        importlib.import_module(f"{experiments.__name__}.{module.name}")
    return EXPERIMENTS


# --- a recording: read, shown, held to its recipe -------------------------------------


@dataclass(frozen=True)
class Recording:
    """What a file says: a recipe, its runs, and the circumstances."""

    content: dict[str, Any]

    @property
    def rows(self) -> list[Results]:
        """Return the parameters and results of each run."""
        return [{**r["parameters"], **r["results"]} for r in self.content["runs"]]

    def run_again(self, experiment: Experiment) -> dict[str, Any]:
        """Return the run to make again: the recipe's choice, or the quickest."""
        runs: list[dict[str, Any]] = self.content["runs"]
        if experiment.again is not None:
            chosen = plain(dict(experiment.again))
            runs = [run for run in runs if run["parameters"] == chosen]
        return min(runs, key=lambda run: run["seconds"])

    def faults(self, experiment: Experiment | None) -> list[str]:
        """Return what makes the recording unfit to be shown."""
        name = self.content["name"]
        if hash_of(self.content) != self.content.get("hash"):
            return [f"{name}.json was edited by hand: make recordings ARGS={name}"]
        if experiment is None:
            return [f"{name}.json has no recipe in llm_core/course/experiments"]
        recipe = experiment.recipe()
        return [
            f"the {part} of {name} changed since: make recordings ARGS={name}"
            for part, was in self.content["recipe"].items()
            if plain(recipe[part]) != was
        ]

    def __repr__(self) -> str:
        made, runs = self.content["made"], len(self.content["runs"])
        name = self.content["name"]
        return (
            f"Recorded on {made['on']}, not computed here: {runs} runs of `{name}` "
            f"on {made['machine']}, with PyTorch {made['torch']}. The tests make one "
            f"of them again; `make recordings ARGS={name}` makes them all."
        )

    def _repr_html_(self) -> str:
        text = html.escape(repr(self)).split("`")
        parts = [f"<code>{t}</code>" if i % 2 else t for i, t in enumerate(text)]
        style = "border-left:3px solid var(--llm-floor,#6a6a72);padding-left:.8em"
        return f'<p style="{style}">{"".join(parts)}</p>'


def recording(name: str) -> list[Results]:
    """Show that a chapter's numbers were recorded, and return a row for each run.

    Raises FileNotFoundError if there is no such recording, and ValueError if it was
    edited by hand or its recipe has changed since.
    """
    found = load(folder_near(Path.cwd()) / f"{name}.json")
    if faults := found.faults(find_experiments().get(name)):
        raise ValueError("; ".join(faults))
    display(found)  # type: ignore[no-untyped-call]
    return found.rows


def folder_near(place: Path) -> Path:
    """Return where the recordings of the nearest notebooks are."""
    return find_expected(place).parent / "recordings"


def load(path: Path) -> Recording:
    """Read a recording, whatever is wrong with it."""
    return Recording(json.loads(path.read_text(encoding="utf-8")))


# --- a recording: made ----------------------------------------------------------------


def record(experiment: Experiment, folder: Path, drafts: Path) -> Path:
    """Make every run of an experiment, and write them to a file in the folder.

    Runs that were made before a break are taken from the drafts.
    """
    recipe = plain(experiment.recipe())
    draft = drafts / f"{experiment.name}.json"
    runs: list[dict[str, Any]] = []
    if draft.exists():
        kept = json.loads(draft.read_text(encoding="utf-8"))
        runs = kept["runs"] if kept["recipe"] == recipe else []
    for number, point in enumerate(experiment.points[len(runs) :], len(runs) + 1):
        started = time.perf_counter()
        results = plain(experiment.function(**point))
        if both := results.keys() & point.keys():
            raise ValueError(f"{sorted(both)} are parameters and results at once")
        seconds = round(time.perf_counter() - started, 1)
        runs.append(
            {"parameters": plain(point), "results": results, "seconds": seconds}
        )
        print(f"{experiment.name} {number}/{len(experiment.points)}: {seconds} s")
        write(draft, json.dumps({"recipe": recipe, "runs": runs}))
    content = {"name": experiment.name, "recipe": recipe, "made": circumstances(runs)}
    content |= {"runs": runs}
    path = folder / f"{experiment.name}.json"
    write(path, to_text({**content, "hash": hash_of(content)}))
    draft.unlink()
    return path


def circumstances(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return when, where and with what the runs were made."""
    packages = {name: version(name).partition("+")[0] for name in ("torch", "numpy")}
    cores = os.cpu_count()
    return {
        "on": date.today().isoformat(),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "machine": f"{platform.machine()} with {cores} processor cores",
        "system": platform.system(),
        "python": platform.python_version(),
        **packages,
    }


def plain(value: Any) -> Any:
    """Return a value as JSON has it, its numbers with six digits.

    Raises ValueError for a number that is not finite, and for what JSON has not.

    >>> plain({"loss": 1.23456789, "losses": (2, 3.5)})
    {'loss': 1.23457, 'losses': [2, 3.5]}
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    raise ValueError(
        f"expected a finite number, a text, None, or a list of these; got {value!r}"
    )


def hash_of(content: Mapping[str, Any]) -> str:
    """Return a hash of all that a recording holds, apart from that hash."""
    rest = {name: value for name, value in content.items() if name != "hash"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_text(content: Mapping[str, Any]) -> str:
    """Return a recording as JSON in which each run is one line."""
    lines = []
    for name, value in content.items():
        text = json.dumps(value, ensure_ascii=False)
        if name == "runs":
            each = ",\n  ".join(json.dumps(run, ensure_ascii=False) for run in value)
            text = f"[\n  {each}\n ]"
        lines.append(f' "{name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(path)


def differences(was: Any, now: Any, tolerance: float, name: str = "") -> list[str]:
    """Return where two results are further apart than the tolerance allows.

    >>> differences({"loss": 2.0, "text": "a"}, {"loss": 2.5, "text": "b"}, 0.1)
    ['loss: recorded 2.0, now 2.5']
    """
    if isinstance(was, dict) and isinstance(now, dict) and was.keys() == now.keys():
        pairs = [(was[key], now[key], key) for key in was]
        return [d for a, b, key in pairs for d in differences(a, b, tolerance, key)]
    alike = is_close(was, now, tolerance, 0.0)
    return [] if alike else [f"{name}: recorded {was}, now {now}"]


def is_close(was: Any, now: Any, tolerance: float, room: float) -> bool:
    """Return whether two numbers, or lists of them, are close; texts always are."""
    if is_number(was) and is_number(now):
        return math.isclose(was, now, rel_tol=tolerance, abs_tol=room)
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        numbers = [abs(each) for each in was if is_number(each)]
        room = tolerance * max(numbers, default=0.0)
        both = zip(was, now, strict=True)
        return all(is_close(a, b, tolerance, room) for a, b in both)
    if isinstance(was, str) and isinstance(now, str):
        return True
    return bool(was == now)


def is_number(value: Any) -> bool:
    """Return whether a value is a number that has a size."""
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- what a recipe's code says --------------------------------------------------------


def fingerprint(source: str, name: str) -> str:
    """Return a hash of a function and of what it uses of its module.

    Comments, docstrings and layout do not count, nor does Python's version.

    >>> fingerprint("def f(): return 1  # one", "f") == fingerprint(
    ...     "def f():\\n    'Give one.'\\n    return 1\\ndef g(): pass", "f"
    ... )
    True
    """
    tree = ast.parse(source)
    defined: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            names = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
            stored = [n.id for n in names if isinstance(n.ctx, ast.Store)]
            defined |= dict.fromkeys(stored, statement)
    used, waiting = set(), [name]
    while waiting:
        if (each := waiting.pop()) in used:
            continue
        used.add(each)
        nodes = list(ast.walk(defined[each]))
        waiting += [n.id for n in nodes if isinstance(n, ast.Name) and n.id in defined]
    text = json.dumps([[each, outline(defined[each])] for each in sorted(used)])
    return hashlib.sha256(text.encode()).hexdigest()


def outline(node: Any) -> Any:
    """Return a syntax tree as nested lists, without docstrings and decorators."""
    if isinstance(node, list):
        return [outline(each) for each in node if not is_text(each)]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        [name, outline(value)]
        for name, value in ast.iter_fields(node)
        if value not in (None, []) and name != "decorator_list"
    ]
    return [type(node).__name__, *fields]


def is_text(node: Any) -> bool:
    """Return whether a statement is a text and nothing else."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the recordings named on the command line, or all of them."""
    known = find_experiments()
    parser = argparse.ArgumentParser(
        prog="python -m llm_core.course.recordings",
        description="Make recorded runs anew, by their recipes.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; or all")
    parser.add_argument("--drafts", type=Path, default=Path("runs", "recordings"))
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - known.keys():
        has = ", ".join(sorted(known)) or "none"
        parser.error(
            f"there is no recipe {', '.join(sorted(unknown))}; there are: {has}"
        )
    for name in options.names or sorted(known):
        path = record(known[name], folder_near(Path.cwd()), options.drafts)
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    # Not this very module: recipes register with the one that they import.
    sys.exit(importlib.import_module("llm_core.course.recordings").main())
