"""Each program of benchmarks/ runs, at sizes at which its numbers mean nothing."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
TEXT = "".join(
    f"{n} birds sing to the {n * n}th tree; it's {n % 7}.\n" for n in range(500)
)


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_a_ratio_is_theirs_by_ours_in_each_round(load):
    compared = load("side_by_side").Comparison((1.0, 2.0, 1.0), (2.0, 2.0, 3.0))
    assert compared.quartiles == (1.5, 2.0, 2.5)
    assert str(compared) == "2.00 × (1.50 to 2.50)"


def test_the_sides_take_turns_and_the_first_calls_do_not_count(load):
    calls = []
    compared = load("side_by_side").interleaved(
        lambda: calls.append("ours"), lambda: calls.append("theirs"), rounds=2
    )
    assert calls == ["ours", "theirs"] * 2 + ["theirs", "ours"]
    assert len(compared.ours) == len(compared.theirs) == 2


def test_a_row_says_by_how_much_it_is_missed(load):
    module = load("side_by_side")
    words = {"target": "t", "claim": "c", "measured": "m", "limit": "Why."}
    short, over = module.at_least(2.0, 1.5, **words), module.at_most(2.0, 3.0, **words)
    assert (short.met, short.limit) == (False, "25% short. Why.")
    assert (over.met, over.limit) == (False, "50% over. Why.")
    assert module.at_least(2.0, 2.0, **words) == module.Row(met=True, **words)
    assert module.at_most(2.0, 2.0, **words) == module.Row(met=True, **words)


def test_an_exponent_is_that_of_the_larger_sizes(load):
    growth = load("growth")
    assert growth.exponent([1, 2, 4, 8], [3, 1, 16, 64]) == pytest.approx(2)
    assert growth.exponent([1, 4], [1, 2]) == pytest.approx(0.5)


def test_zipfian_text_is_as_long_as_asked_and_keeps_finding_words(load):
    growth = load("growth")
    short, long = ("".join(growth.zipfian(size)) for size in (10_000, 1_000_000))
    assert (len(short), len(long)) == (10_000, 1_000_000)
    assert long.startswith(short)
    found = len(set(long.split())) / len(set(short.split()))
    assert 20 < found < 60  # 100 to the power 1 / 1.3 is 35


def test_flops_of_a_step_are_six_a_weight_and_twelve_a_score(load):
    trainer = load("training").new_trainer(TEXT)
    weights = 4 * 12 * 128**2 + trainer.model.config.vocab_size * 128
    scores = 4 * 2 * 64 * 128
    assert load("training").step_flops(trainer.model) == 6 * 12 * 64 * (
        weights + scores
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is not known")
def test_all_programs_run_and_their_table_is_written(tmp_path):
    text, out = tmp_path / "text.txt", tmp_path / "RESULTS.md"
    text.write_text(TEXT, encoding="utf-8")
    command = [sys.executable, FOLDER / "run_all.py", "--quick", "--data", text]
    subprocess.run([*map(str, command), "--out", str(out)], check=True)
    head, *lines = out.read_text(encoding="utf-8").splitlines()
    assert head == "# Side by side"
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    assert {len(row) for row in cells} == {5}
    targets, _, _, verdicts, limits = zip(*cells[2:], strict=True)
    assert {target[0] for target in targets} >= set("234567")
    assert set(verdicts) <= {"met", "missed", "–"}
    assert all(limits)
