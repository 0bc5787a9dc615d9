"""Arguments in, an exit code out: 0 done, 2 a mistake to mend, 130 stopped by Ctrl-C.

Each command is a module beside this one, imported when it runs; so `--help` is instant.
What a user did wrong is told in one or two lines. Only a bug is an internal error, with
exit code 1, and LLM_CORE_DEBUG=1 shows where any error came from.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from llm_core.cli.console import (
    complain,
    describe,
    is_terminal,
    plain_warnings,
    prepare_streams,
)
from llm_core.cli.options import build_parser

DONE, BUG, MISTAKE, STOPPED, PIPE_CLOSED = 0, 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code."""
    prepare_streams()
    try:
        with plain_warnings():
            code = _run(argv)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # as in `llm-core info small | head -1`
        _leave_pipe()
        return PIPE_CLOSED
    except KeyboardInterrupt as stop:
        if is_terminal():
            print()  # it shows ^C somewhere in a line
        complain(str(stop) or "stopped")
        return STOPPED
    except Exception as error:
        if os.environ.get("LLM_CORE_DEBUG"):
            raise
        message, is_mistake = describe(error)
        complain(message)
        return MISTAKE if is_mistake else BUG


def _run(argv: Sequence[str] | None) -> int:
    """Hand the arguments to the command that they name."""
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as done:  # --help and --version have said what they had to
        return int(done.code or DONE)
    if arguments.command is None:
        parser.print_help()
        return DONE
    module = import_module(f"llm_core.cli.{arguments.module}")
    code: int = getattr(module, arguments.command)(arguments)
    return code


def _leave_pipe() -> None:
    """Let what is left to write go nowhere, or Python complains of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
