"""A run or a model that ships with the package in, a page that runs it out."""

import argparse
from pathlib import Path

from llm_core.cli.console import UserError, in_bytes, quoted
from llm_core.cli.models import load


def export(arguments: argparse.Namespace) -> int:
    """Write a model into one HTML file that works from the disk."""
    try:
        from llm_core.course.export import to_page
    except ModuleNotFoundError as error:
        raise UserError(
            f"export needs the packages of the course, and {error.name} is missing.\n"
            "Install them with: pip install 'my-own-llm[course]'"
        ) from error
    loaded = load(arguments.model)
    name = Path(arguments.model).resolve().name
    prompt = loaded.prompt if arguments.prompt is None else arguments.prompt
    page = to_page(loaded.model, loaded.tokenizer, prompt, f"My own LLM: {name}")
    path = Path(arguments.output or f"{name}.html")
    path.write_text(page, encoding="utf-8")
    print(f"{quoted(path)}: {in_bytes(path.stat().st_size)}, to be opened in a browser")
    return 0
