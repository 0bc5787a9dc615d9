"""The page's commands and Python are run as they stand; its cells run with the book.

A training of more than some hundred steps is too long for that: of it, and of commands
in sentences, the options are parsed.
"""

import re
import shlex
import sys
from pathlib import Path

import pytest
from programs import run

from llm_core import load_corpus
from llm_core.cli.options import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "book" / "make-it-yours.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SENTENCES = re.findall(r"`llm-core ([^`]+)`", " ".join(PAGE.split()))
LONGEST = 200  # steps


def arguments(line):
    program, *rest = shlex.split(line)
    assert program == "llm-core"
    return rest


def is_short(rest):
    return getattr(build_parser().parse_args(rest), "steps", None) in range(LONGEST + 1)


def test_the_page_has_what_is_checked_here():
    languages = set(re.findall(r"^```(\S+)", PAGE, re.MULTILINE))
    assert languages == {"bash", "python", "{code-cell}"}
    assert len(BLOCKS) > 5


@pytest.mark.slow
def test_everything_runs_from_top_to_bottom(tmp_path):
    (tmp_path / "my_text").mkdir()
    for i, document in enumerate(load_corpus("python-docs").documents[:20]):
        path = tmp_path / "my_text" / f"{i}.txt"
        path.write_text(document, encoding="utf-8")
    for language, text in BLOCKS:
        if language == "python":
            must_run([sys.executable, "-W", "error", "-c", text], tmp_path)
            continue
        for rest in map(arguments, text.splitlines()):
            if rest[0] != "train" or is_short(rest):
                must_run([sys.executable, "-m", "llm_core", *rest], tmp_path)
    assert (tmp_path / "mine.html").exists()
    assert (tmp_path / "my-gpt2" / "config.json").exists()


def must_run(command, folder):
    done = run(command, folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_command_in_a_sentence_has_options_that_exist(sentence):
    if sentence != "train":
        build_parser().parse_args(shlex.split(sentence))
