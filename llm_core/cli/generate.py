"""A model, a prompt and settings in, text out, piece by piece as it is written."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from io import TextIOWrapper
from typing import Any

import torch

from llm_core.checkpoint import choose_device
from llm_core.cli.console import complain, is_terminal, on_terminal
from llm_core.cli.models import Loaded, load
from llm_core.cli.options import SETTINGS, text
from llm_core.generation import SamplingConfig, stream_text

DEMONSTRATIONS: list[tuple[str, dict[str, Any], str]] = [
    ("greedy", {"temperature": 0.0}, "always the likeliest token"),
    ("balanced", {"temperature": 0.8, "top_p": 0.95}, "likely tokens, by chance"),
    ("wild", {"temperature": 1.5}, "unlikely tokens get their chance too"),
]

HELP = """\
Type how a text begins, and the model goes on. An empty line begins a text of its own.
  /temperature 0.5   changes a setting; likewise {names}
  /top-k off         switches one off
  /stop TEXT         ends before this text; /stop off
  /settings          shows them all
  /quit              ends, as does the end of input; Ctrl-C stops a text"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be chosen about a text, by an option or while the program runs."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float
    seed: int | None
    stop: tuple[str, ...]

    def sampling(self) -> SamplingConfig:
        """Return the part that the core calls by this name."""
        names = [field.name for field in fields(SamplingConfig)]
        return SamplingConfig(**{name: getattr(self, name) for name in names})

    def __str__(self) -> str:
        stop = ", ".join(map(repr, self.stop)) or None
        values = {name: getattr(self, _field(name)) for name in SETTINGS}
        values["stop"] = stop
        on = [f"{name} {value}" for name, value in values.items() if value is not None]
        off = [name for name, value in values.items() if value is None]
        return ", ".join(on) + (f"; off: {', '.join(off)}" if off else "")


def _field(name: str) -> str:
    return name.replace("-", "_")


def generate(arguments: argparse.Namespace) -> int:
    """Continue one prompt, or show what the model does and then listen."""
    loaded = load(arguments.model, choose_device(arguments.device))
    names = [field.name for field in fields(Settings)]
    values = {name: getattr(arguments, name) for name in names}
    settings = Settings(**{**values, "stop": tuple(values["stop"])})
    if arguments.prompt is not None:
        write(loaded, arguments.prompt, settings)
        return 0
    demonstrate(loaded, settings)
    interact(loaded, settings)
    return 0


def write(loaded: Loaded, prompt: str, settings: Settings) -> None:
    """Print a prompt and what follows it, and end the line."""
    pieces = continuation(loaded, prompt, settings)
    last = next(pieces, "")  # a prompt that cannot be read fails before it is printed
    print(on_terminal(prompt + last), end="", flush=True)
    for piece in pieces:
        print(on_terminal(piece), end="", flush=True)
        last = piece
    if not last.endswith("\n"):
        print(flush=True)


def continuation(loaded: Loaded, prompt: str, settings: Settings) -> Iterator[str]:
    """Yield what the model writes after a prompt."""
    generator = torch.Generator(loaded.model.token_embedding.weight.device)
    if settings.seed is None:
        generator.seed()
    else:
        generator.manual_seed(settings.seed)
    return stream_text(
        loaded.model,
        loaded.tokenizer,
        prompt,
        settings.max_new_tokens,
        stop=settings.stop,
        sampling=settings.sampling(),
        generator=generator,
    )


def demonstrate(loaded: Loaded, settings: Settings) -> None:
    """Write three texts with one beginning: the settings make all the difference."""
    print(f"Three texts that begin with {loaded.prompt!r}.\n")
    for name, changes, meaning in DEMONSTRATIONS:
        how = ", ".join(f"{key.replace('_', '-')} {x:g}" for key, x in changes.items())
        print(f"--- {name} ({how}): {meaning}\n")
        plain = replace(settings, top_k=None, top_p=None, min_p=None)
        write(loaded, loaded.prompt, replace(plain, **changes))
        print()


def interact(loaded: Loaded, settings: Settings) -> None:
    """Continue each line that comes in; a line that begins with / changes a setting."""
    print("--- your turn: type a beginning, or /help\n")
    print(settings, flush=True)
    for line in typed_lines():
        try:
            if line.startswith("/"):
                if line.split()[0] in ("/quit", "/exit", "/q"):
                    return
                settings = obey(line, settings)
            else:
                write(loaded, text(line), settings)
        except KeyboardInterrupt:
            print("\n(stopped)")
        except (ValueError, argparse.ArgumentTypeError) as error:
            complain(str(error))


def typed_lines() -> Iterator[str]:
    """Yield the lines of the input until it ends, asking for them on a terminal."""
    if sys.stdin is None:
        return
    if isinstance(sys.stdin, TextIOWrapper):  # bytes that are not text come as they are
        sys.stdin.reconfigure(errors="surrogateescape")
    if not (sys.stdin.isatty() and is_terminal()):
        for line in sys.stdin:
            yield line.rstrip("\n")
        return
    with suppress(ImportError):  # Windows has none, and needs none
        import readline  # noqa: F401  # lets arrow keys edit the line
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def obey(line: str, settings: Settings) -> Settings:
    """Carry out a line that begins with /, and return the settings it leaves."""
    name, _, value = line[1:].strip().partition(" ")
    value = value.strip()
    if name == "help":
        print(HELP.format(names=", ".join(f"/{name}" for name in list(SETTINGS)[2:])))
    elif name == "settings":
        print(settings)
    elif name == "stop":
        settings = replace(settings, stop=() if value in ("", "off") else (value,))
        print(settings)
    elif name in SETTINGS:
        settings = replace(settings, **{_field(name): parse(name, value)})
        print(settings)
    else:
        raise ValueError(f"there is no /{name}; /help lists what there is")
    return settings


def parse(name: str, value: str) -> Any:
    """Read the value of a setting; raises as its option would."""
    if value == "off":
        return SETTINGS[name].default
    try:
        return SETTINGS[name].parse(value)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{name} {error}") from error
