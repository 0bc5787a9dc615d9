"""The programs in book/offline, which are no package: loaded from their folder."""

import sys
from importlib import import_module
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

FOLDER = Path(__file__).resolve().parents[1] / "book" / "offline"
sys.path.append(str(FOLDER))
drawings, epub, pages, pdf, source = map(
    import_module, ("drawings", "epub", "pages", "pdf", "source")
)
command = SimpleNamespace(**run_path(str(FOLDER / "__main__.py")))
