"""The build does again what may have changed, and keeps the rest."""

import json

import pytest

KEPT = ".jupyter_cache/answers"
WRITTEN = ("html/page.html", ".doctrees/page", "jupyter_execute/page")


@pytest.fixture
def build(program, tmp_path, monkeypatch):
    """book/build.py at work on a project of three files, with a build beside them."""
    build = program("build")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(
        build, "FINGERPRINTS", tmp_path / "_build" / "fingerprints.json"
    )
    for name in (KEPT, *WRITTEN):
        write(tmp_path / "_build" / name)
    write(tmp_path / "llm_core" / "model.py", "x = 1")
    write(tmp_path / "notebooks" / "expected.toml")
    write(tmp_path / "book" / "_ext" / "gates.py")
    build.FINGERPRINTS.write_text(json.dumps(build.fingerprints()), encoding="utf-8")
    return build


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def standing(build):
    return {name for name in (KEPT, *WRITTEN) if (build.BUILD / name).exists()}


def test_nothing_changed_keeps_everything(build):
    build.forget_what_changed(build.fingerprints())
    assert standing(build) == {KEPT, *WRITTEN}


@pytest.mark.parametrize(
    "name",
    [
        "llm_core/model.py",
        "llm_core/course/web/new.js",
        "notebooks/expected.toml",
        "notebooks/recordings/sweep.json",
    ],
)
def test_a_changed_package_runs_the_notebooks_again(build, name):
    write(build.ROOT / name, "x = 2")
    build.forget_what_changed(build.fingerprints())
    assert standing(build) == set()


def test_a_changed_extension_writes_the_pages_again(build):
    write(build.ROOT / "book" / "_ext" / "gates.py", "y = 2")
    build.forget_what_changed(build.fingerprints())
    assert standing(build) == {KEPT}


def test_bytecode_is_no_change(build):
    write(build.ROOT / "llm_core" / "__pycache__" / "model.pyc", "z")
    build.forget_what_changed(build.fingerprints())
    assert standing(build) == {KEPT, *WRITTEN}


def test_a_failed_build_leaves_no_page_and_no_fingerprint(build, monkeypatch):
    monkeypatch.setattr(
        build, "BOOK", [build.sys.executable, "-c", "raise SystemExit(3)"]
    )
    with pytest.raises(SystemExit, match="was not built"):
        build.main([])
    assert standing(build) == {KEPT}
    assert not build.FINGERPRINTS.exists()


def test_an_unknown_argument_is_refused(build):
    with pytest.raises(SystemExit, match=r"^usage: "):
        build.main(["--al"])
