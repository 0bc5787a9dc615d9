"""`llm-core course`: the notebooks arrive, and what a reader has written stays."""

import json

import pytest

from llm_core.cli import course as command
from llm_core.cli import main
from llm_core.course.files import NOTEBOOKS, course_files
from llm_core.course.results import find_expected


def below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_folder_holds_what_the_repository_has(tmp_path, capsys):
    folder = tmp_path / "my course"
    assert main(["course", str(folder)]) == 0
    assert below(folder) == course_files()
    for path in NOTEBOOKS.iterdir():
        assert path.is_dir() or path.name in course_files(), path
    said = capsys.readouterr().out
    assert f"{len(course_files())} files written" in said
    assert f'Now: cd "{folder}", then jupyter lab' in said
    assert find_expected(folder) == folder / "expected.toml"


def test_a_second_time_changes_nothing_and_says_so(tmp_path, capsys):
    main(["course", str(tmp_path)])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    assert main(["course", str(tmp_path)]) == 0
    assert "nothing was missing" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_work_stays_unless_it_is_given_up_and_either_is_said(tmp_path, capsys):
    main(["course", str(tmp_path)])
    mine = tmp_path / "04_attention.ipynb"
    mine.write_text("mine", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine too", encoding="utf-8")
    (tmp_path / "expected.toml").unlink()
    capsys.readouterr()

    assert main(["course", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 file written (expected.toml)" in said
    assert "Kept as yours" in said
    assert "1 file (04_attention.ipynb)" in said
    assert mine.read_text(encoding="utf-8") == "mine"

    assert main(["course", str(tmp_path), "--replace"]) == 0
    assert "Put back as the course has them: 1 file (04_" in capsys.readouterr().out
    assert json.loads(mine.read_text(encoding="utf-8"))["nbformat"] == 4
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine too"


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_is_a_mistake_that_is_told(place, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main(["course", str(tmp_path / place)]) == 2
    said = capsys.readouterr().err
    assert "file" in said
    assert len(said.splitlines()) <= 2
    assert (tmp_path / "file").read_text(encoding="utf-8") == "in the way"


def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["course", str(tmp_path)]) == 0
    assert "pip install 'my-own-llm[course]'" in capsys.readouterr().out
    monkeypatch.setattr(command, "course_files", dict)
    assert main(["course", str(tmp_path)]) == 2
    assert "no notebooks" in capsys.readouterr().err


def test_a_notebook_alone_finds_the_bands_of_the_package(tmp_path):
    assert find_expected(tmp_path) == NOTEBOOKS / "expected.toml"
