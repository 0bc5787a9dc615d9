"""What is built is whole: nothing of the package stays behind, nothing else comes."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import llm_core
from llm_core.course.files import course_files

ROOT = Path(__file__).resolve().parents[1]
LEFT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
BUILD = "from setuptools.build_meta import *; build_sdist('{0}'); build_wheel('{0}')"
NAME = f"my_own_llm-{llm_core.__version__}"


def package_files():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "llm_core").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_folder_of_the_package_is_in_the_list_of_packages():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = tomllib.loads(text)["tool"]["setuptools"]["packages"]
    folders = {Path(name).parent.as_posix() for name in package_files()}
    mapped = {"llm_core/course/notebooks", "llm_core/course/notebooks/recordings"}
    assert {name.replace(".", "/") for name in listed} == folders | mapped


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, built from a copy, which building would clutter."""
    source = tmp_path_factory.mktemp("source")
    for name in ("llm_core", "notebooks"):
        shutil.copytree(ROOT / name, source / name, ignore=LEFT)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(out.as_posix())],
        cwd=source,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_wheel_holds_the_package_and_the_notebooks(built):
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
        inside = "llm_core/course/notebooks/"
        notebooks = {inside + name: text for name, text in course_files().items()}
        assert found == package_files() | set(notebooks)
        assert {name: wheel.read(name) for name in notebooks} == notebooks
        metadata = wheel.read(f"{NAME}.dist-info/METADATA").decode("utf-8")
        commands = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode("utf-8")
        assert f"{NAME}.dist-info/licenses/LICENSE" in wheel.namelist()
    assert "llm_core/py.typed" in found
    assert re.search(r"^License-Expression: MIT$", metadata, re.MULTILINE)
    assert "llm-core = llm_core.cli:main" in commands


def test_a_wheel_can_be_built_from_the_source_distribution_alone(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    needed = {f"notebooks/{name}" for name in course_files()} | package_files()
    assert found >= needed | {"pyproject.toml", "README.md", "LICENSE"}
