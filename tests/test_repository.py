"""The repository itself: what lies where, and that things said twice are said alike."""

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name

import llm_core

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = {
    *("book", "notebooks", "llm_core", "tests", "benchmarks"),
    *("_config.yml", "_toc.yml", "environment.yml", "README.md"),
    *("pyproject.toml", "constraints.txt", "Makefile", ".ci", ".github"),
    *("LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", ".gitignore", ".gitattributes"),
    *("CITATION.cff", ".devcontainer"),
}
BINARY = {".png", ".webp", ".woff2", ".safetensors"}


@cache
def files():
    """The files that belong to the project, as paths below its root."""
    if not (ROOT / ".git").exists():
        pytest.skip("only a git checkout knows which files belong to the project")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = done.stdout.decode("utf-8").split("\0")
    return [name for name in names if name and (ROOT / name).exists()]


def texts():
    return {
        name: (ROOT / name).read_bytes()
        for name in files()
        if Path(name).suffix not in BINARY
    }


@cache
def project():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]


def requirements(*extras):
    """What pyproject asks for, by normalized name."""
    lines = list(project()["dependencies"])
    for extra in extras:
        lines += project()["optional-dependencies"][extra]
    found = {canonicalize_name(Requirement(line).name): line for line in lines}
    ours = found.pop(project()["name"], None)  # one extra that asks for another
    return found | requirements(*Requirement(ours).extras) if ours else found


# --------------------------------------------------------------------- what lies where


def test_the_top_level_is_the_one_we_drew():
    found = {Path(name).parts[0] for name in files()}
    assert found == TOP_LEVEL


def test_notebooks_are_committed_without_outputs():
    for name in files():
        if name.endswith(".ipynb"):
            cells = json.loads((ROOT / name).read_text(encoding="utf-8"))["cells"]
            for cell in cells:
                assert not cell.get("outputs"), name
                assert cell.get("execution_count") is None, name


def test_every_notebook_is_a_chapter_of_the_book():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"file: (notebooks/\S+)", contents)
    assert listed == sorted(name[:-6] for name in files() if name.endswith(".ipynb"))


def test_every_text_is_utf8_and_ends_with_a_line_end():
    for name, content in texts().items():
        content.decode("utf-8")
        assert b"\r" not in content, name
        assert not content or content.endswith(b"\n"), name


def test_no_file_names_a_place_on_somebodys_machine():
    places = {ROOT, Path.home()}
    own = [re.escape(str(place)) + r"\b" for place in places if place.parts[1:]]
    elsewhere = re.compile("|".join([r"\.\./shared", r"/(home|Users)/[a-z]+/", *own]))
    for name, content in texts().items():
        found = elsewhere.search(content.decode("utf-8"))
        assert not found, f"{name} names {found.group()}"


# ---------------------------------------------------------- said twice, and said alike


def test_constraints_are_bare_versions_within_the_ranges():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pinned = {}
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][a-z0-9.]*", line), line
        name, _, version = line.partition("==")
        pinned[name] = version
    assert list(pinned) == sorted(pinned)
    assert not [name for name in pinned if name.startswith(("nvidia", "triton"))]
    for name, line in requirements("course", "book", "dev").items():
        assert name in pinned, f"{line} is new: make constraints"
        assert Requirement(line).specifier.contains(pinned[name]), line


def test_conda_gets_what_pip_gets():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, *lines, pip = environment["dependencies"]
    assert pip == {"pip": ["-e .[course]"]}
    version = python.removeprefix("python=")
    assert Specifier(project()["requires-python"]).contains(version)
    called = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    conda = {called.get(item.name, item.name): item for item in map(Requirement, lines)}
    asked = {name: Requirement(line) for name, line in requirements("course").items()}
    assert conda.pop("pip").specifier == ""
    assert set(asked) == set(conda)
    for name, item in conda.items():
        assert item.specifier == asked[name].specifier, name


def test_the_core_asks_for_five_packages():
    assert set(requirements()) == {"torch", "numpy", "regex", "safetensors", "tqdm"}


def test_the_set_up_knows_the_oldest_python():
    oldest = project()["requires-python"].removeprefix(">=")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"v < ({oldest.replace('.', ', ')})" in makefile
    assert f"needs {oldest} or later" in makefile
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert f'python: ["{oldest}", ' in workflow


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {}
    for name, content in texts().items():
        if name == "Makefile" or name.startswith("llm_core/course/web"):
            continue
        pattern = r"(?:^|`|run: |step )make ([a-z][a-z-]*)"
        for target in re.findall(pattern, content.decode("utf-8"), re.MULTILINE):
            named[target] = name
    assert {"lab", "book", "test", "test-browser"} <= set(named)
    assert not {target: named[target] for target in set(named) - targets}


def test_the_changelog_knows_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    assert versions[0] in {"Unreleased", llm_core.__version__}


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    citation = yaml.safe_load(text)
    # What the format asks for, and what would be wrong if it were forgotten.
    assert set(citation) >= {"cff-version", "message", "title", "authors"}
    assert citation["version"] == llm_core.__version__
    assert citation["license"] == project()["license"]
    assert all("name" in author for author in citation["authors"])


# -------------------------------------------------------------------- other machines


@cache
def workflow():
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=yaml.BaseLoader)  # in YAML 1.1, "on" would be true


def made(text):
    return re.findall(r"^\s*(?:step )?make ([a-z-]+)", text, re.MULTILINE)


def test_the_workflow_makes_what_our_own_script_makes():
    script = made((ROOT / ".ci/run").read_text(encoding="utf-8"))
    runs = {
        name: [t for step in job["steps"] for t in made(step.get("run", ""))]
        for name, job in workflow()["jobs"].items()
    }
    assert {*runs["test"], *runs["book"]} == set(script)
    assert all(targets[0] == "setup" for targets in runs.values() if targets)
    assert {"book", "test"} <= set(runs["newest-dependencies"])


def test_the_workflow_has_the_form_that_github_reads():
    assert set(workflow()["on"]) >= {"push", "pull_request", "schedule"}
    jobs = workflow()["jobs"]
    for name, job in jobs.items():
        assert "runs-on" in job, name
        assert set(job.get("needs", [])) <= set(jobs)
        for step in job["steps"]:
            assert len({"uses", "run"} & set(step)) == 1, (name, step)
            # GitHub's own actions only, of a version that is named.
            used = step.get("uses", "actions/checkout@v4")
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", used)
    systems = jobs["test"]["strategy"]["matrix"]["os"]
    assert {s.partition("-")[0] for s in systems} == {"ubuntu", "macos", "windows"}


def test_only_the_job_that_publishes_may_write():
    assert workflow()["permissions"] == {"contents": "read"}
    writers = {n for n, job in workflow()["jobs"].items() if "permissions" in job}
    assert writers == {"publish"}
    condition = workflow()["jobs"]["publish"]["if"]
    assert "refs/heads/main" in condition
    assert "github.event_name == 'push'" in condition


def test_a_codespace_is_set_up_by_make():
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(text)
    assert container["postCreateCommand"] == "make setup"
    version = re.match(r"python:([\d.]+)-", container["image"])[1]
    assert Specifier(project()["requires-python"]).contains(version)
    for name in container["customizations"]["codespaces"]["openFiles"]:
        assert (ROOT / name).exists(), name
