"""Text in, a terminal or a pipe written to; knows nothing of models.

Errors become one or two lines, progress a line that is rewritten in place, and Ctrl-C a
request.
"""

import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import FrameType
from typing import Any

LONGEST_LINE = 500  # of an error; what a user typed may be longer


class UserError(ValueError):
    """A mistake that its message explains: what was expected, what came, what to do."""


def prepare_streams() -> None:
    """Make every character printable somehow, whatever encoding the terminal has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def complain(message: str) -> None:
    """Write a message of at most two lines, each of bounded length, to stderr."""
    lines = [shorten(visible(line)) for line in message.splitlines() if line.strip()]
    if sys.stderr is not None:
        with suppress(OSError):
            print("llm-core: " + "\n".join(lines[:2]), file=sys.stderr)


def shorten(line: str) -> str:
    """Leave the middle out of a long line; both ends say what matters."""
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} … {line[-half:]}"


def visible(text: str) -> str:
    r"""Escape control characters, which could do anything to a terminal.

    >>> visible("a\x1b[2J\tb")
    'a\\x1b[2J\tb'
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text
    )


def on_terminal(text: str) -> str:
    """What a model wrote, as it is into a pipe, but harmless on a terminal."""
    return visible(text) if is_terminal() else text


def is_terminal() -> bool:
    """Whether somebody watches what is printed."""
    return sys.stdout is not None and sys.stdout.isatty()


def describe(error: Exception) -> tuple[str, bool]:
    """Put an error in words, and say whether it is the user's to mend."""
    kind = f"{type(error).__module__}.{type(error).__name__}"
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return (
            "there is not enough memory.\n"
            "Try a smaller --batch-size, --max-seq-len or --preset.",
            True,
        )
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}", True
    if isinstance(error, ValueError):
        return str(error), True
    if kind.startswith(("torch._dynamo", "torch._inductor")):
        return (
            "torch.compile does not work here; leave --compile out.\n"
            "LLM_CORE_DEBUG=1 in the environment shows why.",
            True,
        )
    return (
        f"internal error, {kind}: {str(error).replace(chr(10), ' ')}\n"
        "This is a bug: please report it, with what LLM_CORE_DEBUG=1 shows.",
        False,
    )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text
        for sign in ("out of memory", "not enough memory", "can't allocate")
    )


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show a warning as a line of ours, once, without the code it comes from."""
    shown = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            complain(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


class StatusLine:
    """Lines that stay and, on a terminal, one below them that is rewritten."""

    def __init__(self) -> None:
        self._length = 0

    @property
    def is_live(self) -> bool:
        """Whether there is a line that is rewritten."""
        return is_terminal()

    def show(self, text: str) -> None:
        """Rewrite the last line; does nothing where it cannot be rewritten."""
        if self.is_live:
            width = shutil.get_terminal_size().columns - 1
            text = text[:width]
            print("\r" + text.ljust(self._length), end="", flush=True)
            self._length = len(text)

    def print(self, text: str = "") -> None:
        """Write lines that stay, above the one that does not."""
        self.clear()
        print(text, flush=True)

    def clear(self) -> None:
        """Take the line that is rewritten away."""
        if self._length:
            print("\r" + " " * self._length, end="\r", flush=True)
            self._length = 0


class Interruption:
    """Turns the first Ctrl-C (or a request to end) into `requested`.

    A second one raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            # What is ignored from outside, as by nohup, stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                with suppress(ValueError):  # only the main thread may listen
                    self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # A handler may come in the middle of a print, so it must not print itself.
        with suppress(OSError):
            os.write(2, b"\nFinishing this step; once more stops at once.\n")


def table(rows: Iterable[Sequence[object]], indent: str = "  ") -> str:
    """Line columns up: numbers at the right, the rest at the left.

    >>> print(table([("ids", 7), ("logits", 1024)]))
      ids         7
      logits  1,024
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(text) for text, _ in column) for column in zip(*cells, strict=True)
    ]
    lines = []
    for row in cells:
        aligned = [
            text.rjust(width) if is_number else text.ljust(width)
            for (text, is_number), width in zip(row, widths, strict=True)
        ]
        lines.append((indent + "  ".join(aligned)).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> tuple[str, bool]:
    if isinstance(value, int):
        return f"{value:,}", True
    return str(value), False


def in_bytes(number: float) -> str:
    """Write a number of bytes with three digits that matter.

    >>> in_bytes(999), in_bytes(3_480_000), in_bytes(2e12)
    ('999 B', '3.48 MB', '2,000 GB')
    """
    for unit in ("B", "kB", "MB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} GB" if number < 999.5 else f"{number:,.0f} GB"


def in_time(seconds: float) -> str:
    """Write a time as minutes and seconds, with hours where there are some.

    >>> in_time(61), in_time(7322)
    ('1:01', '2:02:02')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def quoted(path: object) -> str:
    """Write a path as one would type it."""
    text = str(path)
    return f'"{text}"' if " " in text else text
