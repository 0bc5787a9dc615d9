"""The mutants that measure the tests: small faults, one at a time, counted right."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def source(module):
    return (ROOT / "llm_core" / f"{module}.py").read_bytes()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a < b", {"(a <= b)", "(a > b)", "pass"}),
        ("f(a is b)", {"f(a is not b)", "pass"}),
        ("f(a * b)", {"f(a + b)", "f(a // b)", "pass"}),
        ("f(a and b)", {"f(a or b)", "pass"}),
        ("f(not a)", {"f(a)", "pass"}),
        ("f(3)", {"f(4)", "f(2)", "pass"}),
        ("f(0.5)", {"f(1.0)", "f(0.25)", "pass"}),
        ("f(0.0)", {"f(1.0)", "pass"}),
        ("f(True)", {"f(False)", "pass"}),
        ("f(a[b:])", {"f(a[b + 1:])", "f(a[b:-1])", "pass"}),
        ("max(a, b)", {"min(a, b)", "pass"}),
        ("a += b", {"a -= b", "pass"}),
        ("a = a.lower()", {"pass"}),
        ("a.b = c", {"pass"}),
        ("a = b", set()),
        ("x: int = 3", {"x: int = 4", "x: int = 2"}),
        ("if a: b = c", {"if (not a): b = c"}),
        ("a = [b for b in c if b]", {"a = [b for b in c if (not b)]"}),
        (
            "def f(a, b=True): return a",
            {"def f(a, b=False): return a", "def f(a, b=True): return None"},
        ),
        ("raise ValueError(a)", {"pass"}),
        ('"A docstring with 3 < 4."', set()),
        ("def f(a: dict[int | str, 3]) -> list[2 * 3]: import b", set()),
        ('a = f"{1 + 2}"', set()),
    ],
)
def test_a_line_is_wrong_in_each_of_these_ways(load, line, expected):
    made = {mutant.after for mutant in load("mutants").mutants(line.encode())}
    assert made == expected


def test_a_value_is_not_returned_and_a_loop_is_not_left(load):
    text = b"def f(a):\n    for b in a:\n        break\n    return b\n"
    made = [(m.line, m.where, m.after) for m in load("mutants").mutants(text)]
    assert made == [(3, "f", "pass"), (4, "f", "return None")]


@pytest.mark.parametrize("module", ["optim", "attention"])
def test_a_mutant_is_another_program_that_differs_in_one_statement_or_expression(
    load, module
):
    right = source(module)
    made = load("mutants").mutants(right)
    assert len({mutant.source for mutant in made}) == len(made)
    for mutant in made:
        assert ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(right))
        lines = right.decode().splitlines()
        changed = mutant.source.decode().splitlines()
        assert changed[: mutant.line - 1] == lines[: mutant.line - 1]
        assert mutant.before.startswith(" ".join(lines[mutant.line - 1].split()))


def test_positions_are_right_behind_characters_of_several_bytes(load):
    [mutant, *_] = load("mutants").mutants('a = ["ü→", b < c]\n'.encode())
    assert mutant.source.decode() == 'a = ["ü→", (b <= c)]\n'


def test_what_is_skipped_and_what_is_drawn_are_all_mutants_once_each(load):
    drawn, made = load("mutation").drawn, load("mutants").mutants(source("optim"))
    parts = [drawn("optim", made, 60, skip, seed=3) for skip in range(0, 300, 60)]
    together = [mutant.name for part in parts for mutant in part]
    assert sorted(together) == sorted(mutant.name for mutant in made)
    assert parts[0] == drawn("optim", made, 60, 0, seed=3)
    assert parts[0] != drawn("optim", made, 60, 0, seed=4)


def test_the_interval_is_wilsons(load):
    """Its ends are the shares from which what was seen is 1.96 deviations away."""
    for killed, tried in [(50, 60), (60, 60), (1, 9)]:
        for end in load("mutation").interval(killed, tried):
            deviation = (end * (1 - end) / tried) ** 0.5
            assert abs(killed / tried - end) == pytest.approx(1.96 * deviation)


def test_what_is_equivalent_is_counted_for_itself(load):
    mutation, made = load("mutation"), load("mutants").mutants(source("optim"))[:7]
    endings = ["failed", "import", "time", "died", *["passed"] * 3]
    reasons = {made[4].name: {"equivalent": True, "why": "The same."}}
    reasons[made[5].name] = {"why": "Too dear to test."}
    score = mutation.Score("optim", 99, list(zip(made, endings, strict=True)), reasons)
    assert score.equivalent == [made[4]]
    assert score.survivors == [made[5], made[6]]
    text = mutation.report([score], "Today.")
    assert "| optim | 99 | 7 | 4 | 1 | 2 | 1 | 2 | 66.7% |" in text
    assert text.count("Too dear to test.") == text.count("not explained") == 1
    assert text.index("not explained") < text.index("## Equivalent")
    assert text.index("## Equivalent") < text.index("The same.")


def test_every_reason_is_given_for_a_mutant_that_there_is(load):
    for module, reasons in load("mutation").read_reasons().items():
        names = {mutant.name for mutant in load("mutants").mutants(source(module))}
        for name, reason in reasons.items():
            assert name in names, f"{module}.py has changed: look again at {name}"
            assert set(reason) <= {"where", "before", "after", "equivalent", "why"}
            assert reason["why"].endswith(".")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it cannot fork")
def test_a_sample_is_tried_and_written_down(tmp_path):
    out, last = tmp_path / "MUTANTS.md", tmp_path / "last.json"
    program = [sys.executable, str(FOLDER / "mutation.py")]
    program += ["--out", str(out), "--last", str(last)]
    subprocess.run([*program, "optim", "--sample", "2"], check=True)
    text = out.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| optim ")]
    tried, killed, *_, same, survived, _, _ = rows[0].strip("| ").split(" | ")[2:]
    assert int(tried) == 2 == int(killed) + int(same) + int(survived)
    out.unlink()
    subprocess.run([*program, "--again"], check=True)
    assert out.read_text(encoding="utf-8") == text
