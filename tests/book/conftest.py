"""The book's own programs, which are no package: loaded from their files."""

import importlib.util
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture(scope="session")
def program():
    """program("_ext/gates") -> the module in book/_ext/gates.py."""

    def load(name):
        path = BOOK / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"book_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
