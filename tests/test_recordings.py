"""A recorded run is as its recipe makes it, and nobody has touched it since."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from llm_core.course import recordings
from llm_core.course.recordings import (
    Experiment,
    Recording,
    differences,
    find_experiments,
    fingerprint,
    plain,
    record,
    recorded,
    recording,
)

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "recordings"
FOUND = {path.stem: recordings.load(path) for path in sorted(FOLDER.glob("*.json"))}


# --- the recordings of the chapters ---------------------------------------------------


def test_every_recipe_has_its_recording_and_every_recording_its_recipe():
    assert set(FOUND) == set(find_experiments())


@pytest.mark.parametrize("name", FOUND)
def test_a_recording_is_as_it_was_made_and_its_recipe_is_the_same(name):
    assert FOUND[name].content["name"] == name
    assert FOUND[name].faults(find_experiments()[name]) == []
    assert (FOLDER / f"{name}.json").stat().st_size < 200_000


def one_point(name):
    slow = FOUND[name].run_again(find_experiments()[name])["seconds"] > 15
    return pytest.param(name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name", [one_point(name) for name in FOUND])
def test_one_run_made_again_gives_what_was_recorded(name):
    experiment = find_experiments()[name]
    run = FOUND[name].run_again(experiment)
    again = plain(experiment.function(**run["parameters"]))
    assert differences(run["results"], again, experiment.tolerance) == []


# --- the mechanism, with a recipe of our own ------------------------------------------

STEPS = 3


def halve(x):
    return x / 2


def descent(rate, seed):
    """Walk down a square."""
    x = 1.0 + seed
    path = [x := x - rate * 2 * halve(2 * x) for _ in range(STEPS)]
    return {"end": path[-1], "path": path, "said": "done", "failed": None}


POINTS = [{"rate": rate, "seed": 0} for rate in (0.1, 0.2)]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A chapter's folder with one recording in it, and the reader in that folder."""
    experiment = Experiment(descent, POINTS, tolerance=0.01)
    monkeypatch.setitem(recordings.EXPERIMENTS, "descent", experiment)
    (tmp_path / "expected.toml").touch()
    monkeypatch.chdir(tmp_path)
    return record(experiment, tmp_path / "recordings", tmp_path / "drafts")


def test_a_recording_says_how_where_and_when_it_was_made(made, capsys):
    rows = recording("descent")
    assert [row["rate"] for row in rows] == [0.1, 0.2]
    assert rows[0]["path"] == pytest.approx([0.8, 0.64, 0.512])
    said = capsys.readouterr().out
    assert "2 runs of `descent`" in said
    assert "make recordings ARGS=descent" in said
    content = json.loads(made.read_text(encoding="utf-8"))
    assert {"on", "machine", "python", "torch", "seconds"} <= content["made"].keys()
    assert content["runs"][1]["parameters"] == {"rate": 0.2, "seed": 0}
    page = Recording(content)._repr_html_()
    assert f"Recorded on {content['made']['on']}, not computed here" in page
    assert "<code>descent</code>" in page


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"end": 0.512', '"end": 0.412'),
        ('"rate": 0.1', '"rate": 0.3'),
        ('"on": "20', '"on": "19'),
        ('"hash": "', '"hash": "0'),
    ],
)
def test_an_edit_by_hand_is_found(made, old, new):
    text = made.read_text(encoding="utf-8")
    assert old in text
    made.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match="edited by hand: make recordings ARGS=desc"):
        recording("descent")


def test_other_points_ask_for_other_runs(made, monkeypatch):
    other = Experiment(descent, POINTS[:1], tolerance=0.01)
    monkeypatch.setitem(recordings.EXPERIMENTS, "descent", other)
    with pytest.raises(ValueError, match="the points of descent changed since"):
        recording("descent")


@pytest.mark.parametrize(
    ("old", "new"),
    [("STEPS = 3", "STEPS = 4"), ("return x / 2", "return x / 3"), ("1.0 +", "2.0 +")],
)
def test_a_recipe_that_changed_asks_for_other_runs(made, monkeypatch, old, new):
    source = Path(__file__).read_text(encoding="utf-8")
    changed = source.replace(old, new, 1)
    monkeypatch.setattr(recordings.inspect, "getsource", lambda module: changed)
    with pytest.raises(ValueError, match="the code of descent changed since"):
        recording("descent")


def test_words_and_layout_are_no_change():
    source = "N = 2\ndef f(x):\n    return g(x) + N\ndef g(x): return x\ndef h(): pass"
    same = (
        "@recorded(points=[])\ndef f(x):\n    'Add.'\n    return (g(x)\n        + N)\n"
        "# two\nN = 2\ndef g(x):\n    # itself\n    return x\ndef h(): return 3\n"
    )
    assert fingerprint(source, "f") == fingerprint(same, "f")
    assert fingerprint(source, "f") != fingerprint(
        source.replace("N = 2", "N = 3"), "f"
    )


def test_a_fingerprint_is_the_same_in_every_version_of_python():
    source = "def f(x, *, y=None):\n    return [f'{z!r:>3} a' for z in (0, True, b'')]"
    assert fingerprint(source, "f").startswith("3973ad34d4eb64cd")


def test_a_break_costs_one_run_at_most(tmp_path):
    calls = []

    class Power(Exception):
        pass

    def failing(rate, seed):
        calls.append(rate)
        if len(calls) == 2:
            raise Power
        return descent(rate, seed)

    failing.__name__ = "descent"
    experiment = Experiment(failing, POINTS, tolerance=0.01)
    folder, drafts = tmp_path / "recordings", tmp_path / "drafts"
    with pytest.raises(Power):
        record(experiment, folder, drafts)
    assert not folder.exists()
    path = record(experiment, folder, drafts)
    assert calls == [0.1, 0.2, 0.2]
    assert len(recordings.load(path).rows) == 2
    assert not list(drafts.iterdir())


@pytest.mark.parametrize(
    ("now", "far"),
    [
        ({"a": 1.04, "b": [0.0, 10.0], "c": "x", "d": None}, []),
        ({"a": 1.0, "b": [0.4, 9.6], "c": "y", "d": None}, []),
        ({"a": 1.06, "b": [0.0, 10.0], "c": "x", "d": None}, ["a"]),
        ({"a": 1.0, "b": [0.6, 10.0], "c": "x", "d": None}, ["b"]),
        ({"a": 1.0, "b": [0.0], "c": "x", "d": None}, ["b"]),
        ({"a": None, "b": [0.0, 10.0], "c": 3, "d": 1.0}, ["a", "c", "d"]),
        ({"a": 1.0}, [""]),
    ],
)
def test_results_are_compared_within_the_tolerance(now, far):
    was = {"a": 1.0, "b": [0.0, 10.0], "c": "x", "d": None}
    found = differences(was, now, 0.05)
    assert [each.partition(":")[0] for each in found] == far


def test_tensors_become_short_numbers():
    assert plain(torch.tensor([1.0, 1 / 3])) == [1.0, 0.333333]
    assert plain({"n": torch.tensor(3)}) == {"n": 3}


def test_the_quickest_run_is_made_again_unless_the_recipe_says_which():
    runs = [
        {"parameters": point, "seconds": seconds}
        for point, seconds in zip(POINTS, (2.0, 1.0), strict=True)
    ]
    recording = Recording({"runs": runs})
    for again, expected in ((None, runs[1]), (POINTS[0], runs[0])):
        experiment = Experiment(descent, POINTS, 0.1, again)
        assert recording.run_again(experiment) == expected


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: recorded(points=[{"rate": 1}], tolerance=0.1), "seed"),
        (lambda: recorded(points=[], tolerance=0.1), "one or more points"),
        (lambda: recorded(points=POINTS * 2, tolerance=0.1), "all differ"),
        (
            lambda: recorded(points=POINTS, tolerance=0.1, again={"seed": 1}),
            "one of the points to make again",
        ),
        (lambda: plain(float("nan")), "finite number"),
        (lambda: plain({"a": object()}), "finite number"),
    ],
)
def test_a_mistake_is_told(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_name_that_is_taken_is_refused(monkeypatch):
    taken = Experiment(torch.save, POINTS, tolerance=0.1)
    monkeypatch.setitem(recordings.EXPERIMENTS, "descent", taken)
    with pytest.raises(ValueError, match="has descent too"):
        recorded(points=POINTS, tolerance=0.1)(descent)


def test_the_command_knows_every_recipe():
    command = [sys.executable, "-m", "llm_core.course.recordings", "no-such-run"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 2
    assert "there is no recipe no-such-run" in done.stderr
    for name in find_experiments():
        assert name in done.stderr
