"""What the notebooks and the book need beside the core: quotes, checks, pictures.

Names are loaded when they are first used, so that one of them never costs the others.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "check": "checks",
    "progress": "checks",
    "recording": "recordings",
    "glue": "results",
    "report_results": "results",
    "show": "quote",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module that defines `name` and hand the name over."""
    if name not in _HOME:
        raise AttributeError(f"module 'llm_core.course' has no attribute {name!r}")
    value = getattr(import_module(f"llm_core.course.{_HOME[name]}"), name)
    globals()[name] = value
    return value
