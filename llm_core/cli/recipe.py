"""The options of `train` in, a file that repeats them out; knows no torch.

The defaults of the course's command line stand here, in one place.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from llm_core import __version__
from llm_core.cli.console import UserError

FILE, LOG = "run.json", "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what a run becomes. Its defaults are those of `train`."""

    data: str = "stories"
    encoding: str = "utf-8"
    num_stories: int = 6_000  # which all steps together read twice
    tokenizer: str = "bpe"
    vocab_size: int = 2048  # of bpe; characters are as many as there are
    preset: str = "small"
    d_model: int | None = None  # None, here and below: the preset's
    num_heads: int | None = None
    num_layers: int | None = None
    max_seq_len: int | None = None
    dropout: float | None = None
    steps: int = 900
    batch_size: int = 8
    learning_rate: float = 3e-3
    optimizer: str = "muon"
    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    evaluate_every: int = 200
    save_every: int = 200

    def __post_init__(self) -> None:
        for field in fields(self):  # it may come from a file that somebody edited
            value = getattr(self, field.name)
            if not isinstance(value, field.type):  # type: ignore[arg-type]
                raise UserError(f"{field.name} cannot be {value!r}")


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What stands in the run.json of a run's folder."""

    recipe: Recipe
    corpus: str  # the name of what was read
    prompt: str  # how a text of this kind may begin
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Write run.json, all of it or nothing."""
        text = json.dumps(asdict(self), indent=1) + "\n"
        partial = folder / f"{FILE}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> "RunInfo":
        """Read a folder's run.json; UserError where it is missing or damaged."""
        path = folder / FILE
        if not path.is_file():
            raise UserError(f"{folder} is not the folder of a run: it has no {FILE}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            info = cls(**{**values, "recipe": Recipe(**values["recipe"])})
            if not isinstance(info.prompt, str) or not isinstance(info.corpus, str):
                raise UserError("corpus and prompt must be text")
            return info
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UserError(f"{path} was changed or cut short: {error}") from error


def versions() -> dict[str, str]:
    """What a run is made with, beside its recipe."""
    import platform  # these two are slow to load, and no help needs them
    from importlib.metadata import version

    return {
        "llm_core": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }
