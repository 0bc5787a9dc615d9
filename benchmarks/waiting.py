"""What a learner waits for: imports, help, the first step, the book's first page.

Each program is started anew, as from a terminal, after a first start that brings its
files into the system's memory, and our modules into bytecode.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from side_by_side import ROOT, Row, at_most, main, seconds

import llm_core

PAGE = ROOT / "_build" / "html" / "book" / "intro.html"
# A reader's Python keeps the bytecode of what it has imported.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
EVERY_NAME = f"from llm_core import {', '.join(llm_core.__all__)}"


def python(*arguments: str) -> str:
    """Start Python, wait for its end, and return what it printed."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command,
        check=True,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ).stdout


def importing(what: str, code: str, rounds: int) -> Row:
    """Time an import of ours after torch's, both in one new process."""
    clock = "from time import perf_counter as now; started = now()"
    program = f"{clock}; import torch; middle = now(); {code}; end = now()"
    program += "; print(middle - started, end - middle)"
    python("-c", program)
    times = [python("-c", program).split() for _ in range(rounds)]
    theirs, ours = (median(map(float, column)) for column in zip(*times, strict=True))
    return at_most(
        0.05,
        ours,
        target=f"5. Import, {what}",
        claim="adds ≤ 50 ms to torch's own import",
        measured=f"{1e3 * ours:.0f} ms to {1e3 * theirs:,.0f} ms",
        limit="safetensors, regex and the parts of torch that `import torch` leaves "
        "out; a module is imported when a name of it is used",
    )


def usual(work: Callable[[], object], rounds: int) -> float:
    """Return the median of the times, after a first call."""
    work()
    return median(seconds(work) for _ in range(rounds))


def helping(rounds: int) -> Row:
    """Time `llm-core --help`."""
    taken = usual(partial(python, "-m", "llm_core", "--help"), rounds)
    return at_most(
        0.3,
        taken,
        target="5. Help",
        claim="`llm-core --help` in ≤ 0.3 s",
        measured=f"{taken:.2f} s",
        limit="The start of Python itself",
    )


def first_step(*options: str) -> float:
    """Return the seconds from Enter to the line that reports the first step."""
    command = [sys.executable, "-m", "llm_core", "train", "--steps", "10", *options]
    with TemporaryDirectory() as folder:
        started = perf_counter()
        with subprocess.Popen(
            [*command, "--out", str(Path(folder, "run"))],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("step "):
                    break
            else:
                raise AssertionError("the program ended before its first step")
            taken = perf_counter() - started
            process.kill()
    return taken


def training(text: str, rounds: int) -> list[Row]:
    """Time the first step, of the command's defaults and with the text at hand."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        path.write_text(text, encoding="utf-8", newline="")
        options = {"--data FILE": ("--data", str(path)), "by default": ()}
        found = {
            name: [first_step(*given) for _ in range(1 + rounds)][1:]
            for name, given in options.items()
        }
    floor = usual(partial(python, "-c", "import torch"), rounds)
    return [
        at_most(
            3.0,
            median(taken),
            target=f"5. First step, {name}",
            claim="`llm-core train`: ≤ 3 s after Enter",
            measured=f"{median(taken):.1f} s; {floor:.1f} s are the import of torch",
            limit="torch; making or reading the text, learning its tokens and "
            "encoding it",
        )
        for name, taken in found.items()
    ]


def page() -> Row:
    """Open the book's first page as `playground.py` does: weight, seconds to ready."""
    row = {"target": "5. Page", "claim": "the playground answers in ≤ 1 s, unzipped"}
    if not PAGE.exists():
        return Row(**row, measured="not measured: no book", met=None, limit="make book")
    import playground

    try:
        found = playground.measure(rounds=3)
    except Exception as error:  # no browser, or one that does not start
        why = type(error).__name__
        return Row(**row, measured=f"not measured: {why}", met=None, limit="a browser")
    return at_most(
        1.0,
        median(found.written),
        **row,
        measured=f"{median(found.written):.2f} s; {found.total / 1e6:.2f} MB, "
        f"{found.zipped / 1e6:.2f} MB gzipped",
        limit="The weight of the model's script",
    )


def rows(text: str, quick: bool = False) -> list[Row]:
    """Measure all of it."""
    rounds = 1 if quick else 5
    return [
        importing("`import llm_core`", "import llm_core", rounds),
        importing("every name", EVERY_NAME, rounds),
        helping(rounds),
        *training(text, 1 if quick else 3),
        *([] if quick else [page()]),
    ]


if __name__ == "__main__":
    main(__doc__, rows)
