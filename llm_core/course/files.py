"""Where the notebooks are, and what lies beside them; knows nothing of what they say.

In a checkout they lie beside the package, in `notebooks/`. A wheel has the same files
inside it, which pyproject.toml maps there, so that they have one source.
"""

from pathlib import Path

_INSIDE = Path(__file__).parent / "notebooks"
NOTEBOOKS = _INSIDE if _INSIDE.is_dir() else Path(__file__).parents[2] / "notebooks"


def course_files(folder: Path = NOTEBOOKS) -> dict[str, bytes]:
    """Return what a reader needs: path below the folder, with `/` -> content.

    These are the notebooks, the bands of their results, and the recorded runs.

    >>> sorted(course_files())[0], "expected.toml" in course_files()
    ('00_setup.ipynb', True)
    """
    paths = [
        *folder.glob("[0-9][0-9]_*.ipynb"),
        *folder.glob("expected.toml"),
        *folder.glob("recordings/*.json"),
    ]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)
    }
