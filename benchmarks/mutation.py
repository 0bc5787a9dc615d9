"""Mutants of the package in, the share that its tests notice out, in MUTANTS.md.

    python benchmarks/mutation.py --sample 40 --skip 60 --seed 7
    python benchmarks/mutation.py optim --sample 200

All mutants of a module are shuffled by the seed, and a sample is taken from the top.
Whoever has written tests for its survivors skips it the next time: tests are measured
by mutants that nobody has seen. Each mutant is put into a copy of the package, and
there the tests of its module run until one fails. They run in a fork of this process,
which has imported PyTorch already; so this needs Linux or macOS.

A mutant that no test can notice, because the program does the same, is equivalent.
mutants.toml says of each that was looked at why it survives; --again writes the report
of the last run with what was added there.
"""

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[1]
REASONS = ROOT / "benchmarks" / "mutants.toml"
REPORT = ROOT / "benchmarks" / "MUTANTS.md"
LAST = ROOT / "_build" / "benchmarks" / "mutants.json"  # what the last run found

# The tests that a module has of its own. Other tests would notice more.
TESTS = {
    "tokenizer": ["tests/test_tokenizer.py"],
    "attention": ["tests/test_attention.py", "tests/test_model.py"],
    "model": ["tests/test_model.py"],
    "optim": ["tests/test_optim.py"],
    "generation": ["tests/test_generation.py"],
    "stories": ["tests/test_stories.py"],
}
MEMORY = 8 * 2**30  # bytes; a loop without an end shall not take the machine along
PATIENCE = 3  # times what the tests take when nothing is wrong, and 10 seconds


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended: passed, failed, import, time or died."""

    how: str
    durations: dict[str, float]  # seconds, by test
    seconds: float  # of the processor, in all


# -------------------------------------------------------------------- one run


class _Plugin:
    """Runs the quick tests first, and writes down how long each takes."""

    def __init__(self, durations: dict[str, float]) -> None:
        self.before, self.durations = durations, Counter[str]()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self.before.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.durations[report.nodeid] += report.duration


def preload() -> None:
    """Import what the tests import, other than the package: all forks have it then."""
    import hypothesis
    import tiktoken  # noqa: F401
    import tokenizers  # noqa: F401
    import torch
    from transformers import GPT2LMHeadModel, LlamaForCausalLM  # noqa: F401

    torch.set_num_threads(1)
    # The same examples for every mutant, and none that another mutant has left behind.
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None)
    gc.freeze()  # else each fork, when it ends, looks through all this for garbage


def run_tests(
    copy: Path, tests: list[str], durations: dict[str, float], seconds: int
) -> Outcome:
    """Run tests in a fork of this process until one fails, or its time is over."""
    found = copy / "durations.json"
    found.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        os._exit(_in_the_fork(copy, tests, durations, seconds))
    try:
        _, status, used = os.wait4(child, 0)
    finally:
        with suppress(ProcessLookupError):  # it, and whatever the tests have started
            os.killpg(child, signal.SIGKILL)
    shutil.rmtree(copy / "tmp")
    spent = used.ru_utime + used.ru_stime
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
        return Outcome("time" if late else "died", {}, spent)
    taken = json.loads(found.read_bytes()) if found.exists() else {}
    how = {0: "passed", 1: "failed" if taken else "import"}
    return Outcome(how.get(os.WEXITSTATUS(status), "died"), taken, spent)


def _in_the_fork(
    copy: Path, tests: list[str], durations: dict[str, float], seconds: int
) -> int:
    import resource  # which Windows has not

    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        signal.alarm(10 * seconds)  # for one that waits for ever
        with open(copy / "log", "w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        # What was not changed is compiled once, in the first run, of no mutant.
        sys.dont_write_bytecode = bool(durations)
        os.chdir(copy)
        (copy / "tmp").mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(copy / "tmp")
        os.environ["PYTHONPATH"] = str(copy)
        sys.path.insert(0, str(copy))
        plugin = _Plugin(durations)
        options = (
            "-x -q -p no:cacheprovider --hypothesis-profile=mutants "
            "-W ignore::pytest.PytestAssertRewriteWarning"  # of what is preloaded
        )
        code = pytest.main([*options.split(), *tests], plugins=[plugin])
        found = sys.modules.get("llm_core")
        assert found is None or str(found.__file__).startswith(str(copy))
        (copy / "durations.json").write_bytes(json.dumps(plugin.durations).encode())
        sys.stdout.flush()
        return int(code)
    except BaseException:
        traceback.print_exc()
        return 99


# -------------------------------------------------------------------- a module


def drawn(
    module: str, made: list[Mutant], sample: int, skip: int, seed: int
) -> list[Mutant]:
    """Shuffle the mutants of a module, skip some, and take as many as are asked for."""
    shuffled = random.Random(f"{seed} {module}").sample(made, len(made))
    return sorted(shuffled[skip : skip + sample], key=lambda mutant: mutant.line)


def examine(
    module: str, made: list[Mutant], copy: Path
) -> Iterator[tuple[Mutant, str]]:
    """Run the tests on each mutant, and say how that ended."""
    path = copy / "llm_core" / f"{module}.py"
    right = path.read_bytes()
    tests = [*TESTS[module], f"llm_core/{module}.py"]  # and the examples in docstrings
    first = run_tests(copy, tests, {}, 600)
    if first.how != "passed":
        log = (copy / "log").read_text(encoding="utf-8")
        raise SystemExit(f"the tests of {module} do not pass as it is:\n{log}")
    seconds = 10 + int(PATIENCE * first.seconds)
    for mutant in made:
        compile(mutant.source, path, "exec")  # or it would be killed by our fault
        path.write_bytes(mutant.source)
        yield mutant, run_tests(copy, tests, first.durations, seconds).how
    path.write_bytes(right)


Reasons = dict[str, dict[str, Any]]  # by the name of a mutant


@dataclass(frozen=True)
class Score:
    """What became of the mutants of one module."""

    module: str
    possible: int
    outcomes: list[tuple[Mutant, str]]
    reasons: Reasons

    @property
    def survivors(self) -> list[Mutant]:
        """Those that no test noticed, and that could be noticed."""
        return [m for m, how in self.outcomes if how == "passed" and not self.same(m)]

    @property
    def equivalent(self) -> list[Mutant]:
        """Those that no test can notice."""
        return [m for m, how in self.outcomes if how == "passed" and self.same(m)]

    def same(self, mutant: Mutant) -> bool:
        """Whether a reason says that the program does the same."""
        return bool(self.reasons.get(mutant.name, {}).get("equivalent"))

    def why(self, mutant: Mutant) -> str:
        """What is said of a mutant that survives."""
        return str(self.reasons.get(mutant.name, {}).get("why", "not explained"))

    def killed(self, *how: str) -> int:
        """How many were noticed, in these ways."""
        return sum(ending in how for _, ending in self.outcomes)


def read_reasons(path: Path = REASONS) -> dict[str, Reasons]:
    """By module: why mutants survive."""
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        module: {f"{e['where']}: {e['before']} → {e['after']}": e for e in listed}
        for module, listed in entries.items()
    }


# -------------------------------------------------------------------- the report


def interval(killed: int, tried: int) -> tuple[float, float]:
    """The share that is likely, 95 %, of all mutants: Wilson's interval.

    >>> [round(end, 3) for end in interval(50, 50)]
    [0.929, 1.0]
    """
    z = 1.96
    middle = (killed + z * z / 2) / (tried + z * z)
    half = z / (tried + z * z) * sqrt(killed * (tried - killed) / tried + z * z / 4)
    return middle - half, middle + half


COLUMNS = "module|possible|tried|killed|at import|no end|equivalent|survived|share|95 %"


def report(scores: list[Score], how: str) -> str:
    """Write down all that was counted, and every survivor with what is said of it."""
    columns = COLUMNS.split("|")
    rows = [columns, ["---"] * len(columns)]
    rows += [_row(score.module, [score]) for score in scores]
    rows.append(_row("all", scores))
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    parts = [f"# Mutants\n\n{HEAD}\n{how}\n\n{table}"]
    parts.append("\n## Survived\n")
    parts += [_said(score, mutant) for score in scores for mutant in score.survivors]
    parts.append("\n## Equivalent\n")
    parts += [_said(score, mutant) for score in scores for mutant in score.equivalent]
    return "".join(parts)


def _said(score: Score, mutant: Mutant) -> str:
    where = f"{score.module}.{mutant.where}".rstrip(".")
    change = f"- {mutant.before}\n+ {mutant.after}"
    return f"\n`{where}`: {score.why(mutant)}\n\n```diff\n{change}\n```\n"


HEAD = """\
Written by `benchmarks/mutation.py`; `benchmarks/mutants.toml` has the reasons. A mutant
is a copy of a module with one small fault. *Killed*: a test failed; of these, *at
import*: already when the tests were loaded; *no end*: it took too long, or crashed.
*Equivalent*: nothing that it does differs. The *share* is of those that are not, and
95 % the range in which that of all possible mutants likely lies. In the last row each
module has the same weight.
"""


def _row(name: str, scores: list[Score]) -> list[str]:
    tried = sum(len(score.outcomes) for score in scores)
    survived = sum(len(score.survivors) for score in scores)
    equivalent = sum(len(score.equivalent) for score in scores)
    killed = tried - survived - equivalent
    low, high = interval(killed, killed + survived)
    counts = (
        sum(score.possible for score in scores),
        tried,
        killed,
        sum(score.killed("import") for score in scores),
        sum(score.killed("time", "died") for score in scores),
        equivalent,
        survived,
    )
    share = f"{killed / (killed + survived):.1%}"
    return [name, *map(str, counts), share, f"{low:.0%} to {high:.0%}"]


def score(module: str, source: bytes, endings: dict[str, str]) -> Score:
    """Put together what became of each mutant, by its name, and what is said of it."""
    made = mutants(source)
    outcomes = [
        (mutant, endings[mutant.name]) for mutant in made if mutant.name in endings
    ]
    found = Score(module, len(made), outcomes, read_reasons().get(module, {}))
    for mutant, how in outcomes:
        if how != "passed" and found.same(mutant):
            print(f"said to be equivalent, but noticed: {mutant.name}")
    return found


# -------------------------------------------------------------------- all of it


def try_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run the tests on a sample of each module, and return how each mutant ended."""
    preload()
    started = perf_counter()
    endings: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder).resolve()
        for name in ("llm_core", "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for module in options.modules:
            made = mutants((copy / "llm_core" / f"{module}.py").read_bytes())
            tried = drawn(module, made, options.sample, options.skip, options.seed)
            if not tried:
                raise SystemExit(f"{module} has only {len(made)} mutants")
            endings[module] = {}
            for mutant, how in examine(module, tried, copy):
                endings[module][mutant.name] = how
                if how == "passed":
                    print(f"{module}:{mutant.line} {mutant.name}", flush=True)
            print(f"{module}: tried {len(tried)}", flush=True)
    minutes = (perf_counter() - started) / 60
    how = (
        f"{datetime.now(UTC):%Y-%m-%d}: {options.sample} of each module, after "
        f"{options.skip}, in the order of seed {options.seed}; {minutes:.0f} minutes."
    )
    return {"how": how, "endings": endings}


def main(argv: list[str]) -> None:
    """Try a sample of each module, and write down what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=[*TESTS], metavar="module")
    parser.add_argument("--sample", type=int, default=40, help="mutants of each module")
    parser.add_argument("--skip", type=int, default=0, help="so many, seen before")
    parser.add_argument("--seed", type=int, default=0, help="of the order (usual: 0)")
    parser.add_argument("--out", type=Path, default=REPORT)
    parser.add_argument("--last", type=Path, default=LAST)
    again = "only write the report again, when reasons are new"
    parser.add_argument("--again", action="store_true", help=again)
    options = parser.parse_args(argv)
    if not options.again:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the fork, too
        options.last.parent.mkdir(parents=True, exist_ok=True)
        tried = json.dumps(try_all(options), indent=1)
        options.last.write_text(tried, encoding="utf-8")
    found = json.loads(options.last.read_text(encoding="utf-8"))
    scores = [
        score(module, (ROOT / "llm_core" / f"{module}.py").read_bytes(), endings)
        for module, endings in found["endings"].items()
    ]
    options.out.write_text(report(scores, found["how"]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
