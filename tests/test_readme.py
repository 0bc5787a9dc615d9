"""README's examples: every one is run as it stands, or held against what it stands for.

`make`, `git` and `conda` would set the machine up again; that their targets and files
exist is checked here and in test_repository.py. The commands of `llm-core` and the
Python are run for real.
"""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from programs import run

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXPECTED = ROOT / "notebooks" / "expected.toml"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SETS_UP = {"git", "cd", "make", "conda", "jupyter"}
ELSEWHERE = {"torchrun"}  # tests/test_distributed.py runs it


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


def commands(text):
    """The lines of a block, each as a list of words."""
    return [shlex.split(line) for line in text.splitlines() if line]


COMMAND_LINES = [text for text in blocks("sh") if "llm-core" in text]


def test_every_example_is_of_a_kind_that_is_checked():
    assert {name for name, _ in BLOCKS} <= {"sh", "powershell", "python"}
    for text in blocks("sh"):
        programs = {words[0] for words in commands(text)}
        assert programs <= SETS_UP | ELSEWHERE or programs == {"llm-core"}
    assert COMMAND_LINES
    assert blocks("python")


@pytest.mark.slow
@pytest.mark.parametrize("text", COMMAND_LINES)
def test_the_commands_run_one_after_the_other(text, tmp_path):
    for _, *arguments in commands(text):
        done = run([sys.executable, "-m", "llm_core", *arguments], tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`llm-core ([^`]+)`", README)))
)
def test_a_command_in_a_sentence_has_the_options_it_names(command, tmp_path):
    name, *options = shlex.split(command)
    done = run([sys.executable, "-m", "llm_core", name, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [word for word in options if word not in done.stdout] == []


@pytest.mark.parametrize("text", blocks("python"))
def test_the_python_runs(text, tmp_path):
    program = tmp_path / "example.py"
    program.write_text(text, encoding="utf-8")
    done = run([sys.executable, "-W", "error", str(program)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_lines_for_windows_do_what_make_does():
    create, install, lab, book, tests = (
        line.removeprefix(".venv\\Scripts\\python ").replace("\\", "/")
        for line in blocks("powershell")[0].splitlines()
    )
    assert create == "py -3 -m venv .venv"
    assert install == '-m pip install -c constraints.txt -e ".[course,book,dev]"'
    assert "CONSTRAINTS ?= constraints.txt" in MAKEFILE
    assert "--editable '.[course,book,dev]'" in MAKEFILE
    assert f"$(BIN)/python {lab} " in MAKEFILE
    assert f"$(BIN)/python {book}\n" in MAKEFILE
    assert tests == "-m pytest"


def test_the_time_that_the_chapters_take_is_the_one_they_state():
    chapters = tomllib.loads(EXPECTED.read_text(encoding="utf-8")).values()
    seconds = [chapter["seconds"] for chapter in chapters]
    [together] = re.findall(r"about\s([\d.]+) minutes together", README)
    [longest] = re.findall(r"none of them longer than (\d+) seconds", README)
    assert "the thirteen chapters" in README
    assert len(seconds) == 13
    assert float(together) == pytest.approx(sum(seconds) / 60, abs=0.5)
    assert int(longest) == max(seconds)


def test_every_link_and_file_that_is_named_exists():
    links = re.findall(r"(?:\]\(|src=\")([^)\"]+)", README)
    assert "book/playground.webp" in links
    folders = re.findall(r"`([a-z_]+(?:/[a-z_]+)*/)`", README)
    assert len(folders) >= 4
    for place in [*links, *folders]:
        assert place.startswith("https://") or (ROOT / place).exists(), place
