"""Executes the notebooks whose answers may have changed, and builds the book.

    python book/build.py            only what changed
    python book/build.py --clean    everything, from nothing

Jupyter Book remembers executed notebooks by their text alone, and pages by their
sources' dates. A page also shows what the package computes and how the book's own
extensions write it. So a fingerprint of each is kept beside the build: when the package
changed, every notebook runs again; when the extensions changed, every page is written
again. A build that failed leaves nothing that a later one could take for a good page.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "_build"
FINGERPRINTS = BUILD / "fingerprints.json"
BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
BOOK += ["build", ".", "-W", "-n", "--keep-going"]  # warnings are errors; show them all
# Jupyter Book's own is no whole page.
FRONT_DOOR = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>My Own LLM</title>
<meta http-equiv="refresh" content="0; url=book/intro.html"></head>
<body><p><a href="book/intro.html">My Own LLM</a></p></body></html>
"""

KERNEL = """
# It would warn that nobody encrypts what it says to its own machine.
get_config().IPKernelApp.log_level = "ERROR"
# What a cell prints is sent when the cell is done: on a busy machine, a line that comes
# in two pieces would be two lines on the page.
from ipykernel.iostream import OutStream
OutStream.flush_interval = 3600
"""


def main(arguments):
    if arguments not in ([], ["--clean"]):
        sys.exit(f"usage: python book/build.py [--clean]; got {' '.join(arguments)}")
    if arguments:
        shutil.rmtree(BUILD, ignore_errors=True)
    now = fingerprints()
    forget_what_changed(now)
    if subprocess.run(BOOK, cwd=ROOT, env=os.environ | surroundings()).returncode:
        forget_pages()
        sys.exit("The book was not built: see the warnings above.")
    (BUILD / "html" / "index.html").write_text(FRONT_DOOR, encoding="utf-8")
    FINGERPRINTS.write_text(json.dumps(now), encoding="utf-8")


def surroundings():
    """Return the environment in which notebooks run: the same for everyone."""
    profile = BUILD / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL, encoding="utf-8")
    return {
        "LLM_CORE_STRICT": "1",  # a result outside its band fails
        "LLM_CORE_HOME": str(BUILD / "home"),  # not this reader's progress
        "IPYTHONDIR": str(profile.parent),  # nor this reader's start-up files
    }


def forget_what_changed(now):
    """Remove the executed notebooks, or the pages, that no longer hold."""
    before = {}
    if FINGERPRINTS.exists():
        before = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    if now["runs"] != before.get("runs"):
        shutil.rmtree(BUILD / ".jupyter_cache", ignore_errors=True)
    if now != before:
        forget_pages()


def forget_pages():
    """Remove the pages, and what Sphinx would otherwise make them from again."""
    for name in (".doctrees", "html", "jupyter_execute"):
        shutil.rmtree(BUILD / name, ignore_errors=True)
    FINGERPRINTS.unlink(missing_ok=True)


def fingerprints():
    """Return what executed notebooks, and what pages, depend on beside their text."""
    beside = [ROOT / "notebooks" / name for name in ("expected.toml", "recordings")]
    code = fingerprint(ROOT / "llm_core", *beside)
    makers = [ROOT / "book" / name for name in ("_ext", "_static", "_templates")]
    return {
        "runs": f"{code} python {sys.version_info[:2]} torch {version('torch')}",
        "pages": fingerprint(*makers),
    }


def fingerprint(*places):
    """Return a hash of the names and contents of files and folders."""
    digest = hashlib.sha256()
    for place in places:
        for path in sorted([place, *place.rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
