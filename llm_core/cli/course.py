"""The course's notebooks in, a folder in which a reader works out."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from llm_core.cli.console import UserError, quoted
from llm_core.course.files import course_files

SHOWN = 3  # names in a line; more are counted


def course(arguments: argparse.Namespace) -> int:
    """Write the notebooks out; what a reader has changed stays, unless told."""
    folder, files = Path(arguments.folder), course_files()
    if not files:
        raise UserError(
            "this installation has no notebooks.\n"
            "Install the package again: pip install --force-reinstall my-own-llm"
        )
    found = {name: content_of(folder / name) for name in files}
    absent = [name for name in files if found[name] is None]
    changed = [name for name in files if found[name] not in (None, files[name])]
    for name in absent + changed * arguments.replace:
        write(folder / name, files[name])
    print(f"{quoted(folder)}: {told(absent, 'written') or 'nothing was missing'}")
    if changed and arguments.replace:
        print(f"Put back as the course has them: {told(changed)}.")
    elif changed:
        print(f"Kept as yours, since they differ from the course's: {told(changed)}.")
        print("With --replace, the course's take their place, and yours are lost.")
    if find_spec("jupyterlab") is None:
        print("JupyterLab is missing: pip install 'my-own-llm[course]'")
    print(f"Now: cd {quoted(folder)}, then jupyter lab")
    return 0


def content_of(path: Path) -> bytes | None:
    """Return what a file holds, or None where there is none."""
    return path.read_bytes() if path.exists() else None


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def told(names: list[str], done: str = "") -> str:
    """Put files in words: how many there are, and which, while these are few.

    >>> told(["00_setup.ipynb", "expected.toml"])
    '2 files (00_setup.ipynb, expected.toml)'
    >>> told(list("abcd"), "written"), told([])
    ('4 files written', '')
    """
    if not names:
        return ""
    count = f"{len(names)} file{'s' * (len(names) > 1)} {done}".rstrip()
    return f"{count} ({', '.join(names)})" if len(names) <= SHOWN else count
