"""The name of a run, a folder or a model that is known in, the model out."""

from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import torch

from llm_core.checkpoint import PRETRAINED, load_pretrained, load_training
from llm_core.cli.console import StatusLine, UserError, in_bytes
from llm_core.cli.recipe import FILE, RunInfo
from llm_core.interop import from_pretrained, load_gpt2
from llm_core.model import PRESETS, GPTModel
from llm_core.tokenizer import Tokenizer

STORY = "Once upon a time"


class Loaded(NamedTuple):
    """A model that was found by name."""

    model: GPTModel
    tokenizer: Tokenizer
    step: int | None  # None: a model that others trained, or ships with the package
    run: RunInfo | None  # None: also a checkpoint that `train` did not make
    prompt: str  # how a text for it may begin


def load(name: str, device: str | torch.device = "cpu") -> Loaded:
    """Find a model: one that ships with the package first, then a folder, then GPT-2.

    A folder is that of a run, or holds a GPT-2 in Hugging Face's layout.
    """
    if name in pretrained_names():
        model, tokenizer = load_pretrained(name)
        return Loaded(model.to(device), tokenizer, None, None, STORY)
    folder = Path(name)
    if not folder.exists():
        if name != "gpt2":
            raise UserError(_not_found(name))
        model, tokenizer = download_gpt2()
        return Loaded(model.to(device).eval(), tokenizer, None, None, STORY)
    if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
        model, tokenizer = load_gpt2(folder)
        return Loaded(model.to(device).eval(), tokenizer, None, None, STORY)
    model, tokenizer, state = load_training(folder, device)
    run = RunInfo.read(folder) if (folder / FILE).is_file() else None
    prompt = run.prompt if run else ""
    return Loaded(model.eval(), tokenizer, state.step, run, prompt)


def download_gpt2() -> tuple[GPTModel, Tokenizer]:
    """Load OpenAI's GPT-2, showing the download, the first time, as it comes."""
    line = StatusLine()

    def progress(done: int, total: int | None) -> None:
        of = "" if total is None else f" of {in_bytes(total)}"
        line.show(f"downloading gpt2: {in_bytes(done)}{of}")

    loaded = from_pretrained("gpt2", progress)
    line.clear()
    return loaded


def pretrained_names() -> list[str]:
    """Return the names of the models that ship with the package."""
    return sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir())


def _not_found(name: str) -> str:
    """Say what there is instead, the runs below this folder among it."""
    runs = sorted(path.parent.as_posix() for path in Path().glob(f"runs/*/{FILE}"))
    known = [*runs, *pretrained_names()]
    close = get_close_matches(name, [*known, *PRESETS], n=1)
    if name in PRESETS:
        hint = f"{name} is a preset, a shape without weights: train --preset {name}."
    elif f"runs/{name}" in runs:
        hint = f"Did you mean runs/{name}?"
    elif close:
        hint = f"Did you mean {close[0]}?"
    else:
        hint = f"There is {', '.join(known[:8])}." if known else "Run train first."
    return f"found no run or model named {name!r}.\n{hint}"
