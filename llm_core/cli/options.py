"""The parser of the command line: which options there are, and which values they take.

Names of presets and corpora are checked by the rooms that know them; here they are only
listed, so that no help has to wait for torch.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from llm_core import __version__
from llm_core.cli.console import UserError
from llm_core.cli.recipe import Recipe

CORPORA = ("stories", "python-docs", "python-code", "shakespeare", "tinystories")
PRESETS = {  # and their contexts
    "tiny": 128,
    "small": 256,
    "medium": 512,
    "large": 1024,
    "gpt2-small": 1024,
    "llama-small": 256,
}
TOKENIZERS = ("bpe", "character")
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda", "mps")

Parse = Callable[[str], Any]


def whole(low: int, high: int) -> Parse:
    """Make a parser of whole numbers from `low` to `high`.

    >>> whole(1, 10)("7")
    7
    """

    def whole_number(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low:,} to {high:,}, got {text!r}"
            )
        return number

    return whole_number


def number(low: float, high: float) -> Parse:
    """Make a parser of numbers from `low` to `high`.

    >>> number(0, 1)("0.5")
    0.5
    """

    def any_number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:  # nan is not
            raise argparse.ArgumentTypeError(
                f"must be a number from {low:g} to {high:g}, got {text!r}"
            )
        return value

    return any_number


def text(argument: str) -> str:
    """Pass text on if it is text, as bytes on a command line need not be.

    >>> text("café")
    'café'
    """
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(
            f"this is not valid UTF-8 from character {error.start + 1} on: {argument!r}"
        ) from error
    return argument


def not_empty(argument: str) -> str:
    """Pass text on if there is some."""
    if not argument:
        raise argparse.ArgumentTypeError("must not be empty")
    return text(argument)


LARGEST, MOST = 2**63 - 1, 2**20
METAVARS = {"whole_number": "N", "any_number": "X", "str": "NAME"}


class Setting(NamedTuple):
    """A choice about generation, for an option and for a command while it runs."""

    parse: Parse
    default: Any
    help: str


SETTINGS = {
    "max-new-tokens": Setting(whole(1, 1_000_000), 512, "stop after so many tokens"),
    "temperature": Setting(
        number(0, 100), 0.8, "below 1 safer, above 1 wilder, 0 always the likeliest"
    ),
    "top-k": Setting(whole(1, 10**6), None, "choose among the k likeliest tokens only"),
    "top-p": Setting(
        number(0, 1), None, "choose among the likeliest that together reach p"
    ),
    "min-p": Setting(
        number(0, 1), None, "choose among those at least p times as likely as the best"
    ),
    "repetition-penalty": Setting(
        number(0.01, 100), 1.0, "above 1 makes tokens less likely that occurred before"
    ),
    "seed": Setting(
        whole(0, LARGEST), None, "the same text every time; another without it"
    ),
}


class Parser(argparse.ArgumentParser):
    """Reports a mistake by UserError, in two lines."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise what went wrong, with the place where help is."""
        raise UserError(f"{message.replace(chr(10), ' ')}\nSee {self.prog} --help.")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the arguments, with a guess at a misspelt option."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            from difflib import get_close_matches

            known = {o for a in _all_actions(self) for o in a.option_strings}
            close = get_close_matches(unknown[0].partition("=")[0], known, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            self.error(f"unknown argument {unknown[0]!r}{guess}")
        return found


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The actions of a parser and of the commands below it."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                found += below._actions
    return found


class Group:
    """Adds options that state their defaults."""

    def __init__(self, parser: Parser, title: str) -> None:
        self._group = parser.add_argument_group(title)

    def add(self, flag: str, parse: Parse, help: str, default: Any = None) -> None:
        """Add an option with one value."""
        if default is not None:
            help += " (default: %(default)s)"
        metavar = METAVARS.get(parse.__name__, "TEXT")
        self._group.add_argument(
            flag, type=parse, help=help, default=default, metavar=metavar
        )

    def choose(
        self, flag: str, choices: Sequence[str], help: str, default: str
    ) -> None:
        """Add an option with one of several values."""
        self._group.add_argument(
            flag,
            choices=choices,
            default=default,
            help=f"{help} (default: %(default)s)",
        )

    def switch(self, flag: str, help: str) -> None:
        """Add an option that is there or not."""
        self._group.add_argument(flag, action="store_true", help=help)


def build_parser() -> Parser:
    """Return the parser of `llm-core`, with all its commands."""
    parser = Parser(
        prog="llm-core",
        description="Train small language models, and see what is inside them.",
        epilog="`llm-core train` alone trains on little stories made on this machine.",
    )
    parser.add_argument(
        "--version", action="version", version=f"llm-core {__version__}"
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, module: str, help: str) -> Parser:
        added: Parser = commands.add_parser(name, help=help, description=help)
        added.set_defaults(command=name, module=module)
        return added

    _train(command("train", "train", "Train a model, from a text to a folder."))
    _prepare(command("prepare", "prepare", "Turn text of any size into ids on disk."))
    _resume(command("resume", "train", "Go on with a run that was stopped."))
    _generate(command("generate", "generate", "Let a model write."))
    _explore(command("explore", "explore", "Look inside a model, part by part."))
    _info(command("info", "info", "Say how large a model is, and what it needs."))
    _evaluate(command("evaluate", "evaluate", "Say how well a model predicts a text."))
    _export(command("export", "export", "Make a page of its own for a model."))
    _speedrun(command("speedrun", "speedrun", "Train a small model in seconds."))
    _course(command("course", "course", "Write the course's notebooks into a folder."))
    return parser


def _train(parser: Parser) -> None:
    parser.usage = "llm-core train [options]"
    default = Recipe()
    _train_text(Group(parser, "what to read"), default)
    _train_model(Group(parser, "what to train"), default)
    _train_steps(Group(parser, "how to train"), default)
    _train_folder(Group(parser, "what to keep"), default)


def _train_text(data: Group, default: Recipe) -> None:
    named = ", ".join(CORPORA)
    data.add(
        "--data",
        str,
        f"{named}; a file, a folder, an address, or what prepare has written",
        default.data,
    )
    data.add("--encoding", str, "encoding of your own files", default.encoding)
    data.add(
        "--num-stories",
        whole(2, 10**8),
        "how many stories to make",
        default.num_stories,
    )
    data.choose("--tokenizer", TOKENIZERS, "how to cut text", default.tokenizer)
    data.add("--vocab-size", whole(1, MOST), "tokens bpe may learn", default.vocab_size)


def _train_model(model: Group, default: Recipe) -> None:
    model.add("--preset", str, f"shape: {', '.join(PRESETS)}", default.preset)
    model.add(
        "--max-seq-len",
        whole(1, MOST),
        "context: how many tokens it reads at once (default: the preset's; "
        f"{default.preset} has {PRESETS[default.preset]})",
        default.max_seq_len,
    )
    for flag, high, help in (
        ("--d-model", 2**16, "width"),
        ("--num-layers", 1000, "blocks"),
        ("--num-heads", 2**16, "attention heads"),
    ):
        preset = getattr(default, flag.lstrip("-").replace("-", "_"))
        model.add(flag, whole(1, high), f"{help}, in place of the preset's", preset)
    model.add("--dropout", number(0, 0.99), "share of numbers to drop", default.dropout)


def _train_steps(run: Group, default: Recipe) -> None:
    run.add("--steps", whole(1, 10**9), "steps to make", default.steps)
    run.add("--batch-size", whole(1, MOST), "texts in a step", default.batch_size)
    run.add("--learning-rate", number(1e-12, 1e6), "at its peak", default.learning_rate)
    run.choose(
        "--optimizer", OPTIMIZERS, "how gradients become steps", default.optimizer
    )
    run.add(
        "--seed",
        whole(0, LARGEST),
        "decides weights, order and samples",
        default.seed,
    )
    run.choose("--device", DEVICES, "where to compute", default.device)
    run.choose(
        "--precision",
        PRECISIONS,
        "bfloat16 is for GPUs that know it",
        default.precision,
    )
    run.switch("--compile", "use torch.compile, which needs a C++ compiler")


def _train_folder(folder: Group, default: Recipe) -> None:
    folder.add("--out", str, "folder of the run (default: runs/<corpus>-<preset>)")
    folder.add(
        "--evaluate-every",
        whole(1, 10**9),
        "steps between two looks at held-out text",
        default.evaluate_every,
    )
    folder.add(
        "--save-every", whole(1, 10**9), "steps between two saves", default.save_every
    )


def _prepare(parser: Parser) -> None:
    parser.usage = "llm-core prepare DATA --out FOLDER [options]"
    parser.description = (
        "Turn text of any size into ids on disk, which train --data reads from there. "
        "A run that was broken off goes on with the same command."
    )
    parser.add_argument("data", metavar="DATA", help="as of train --data")
    group = Group(parser, "options")
    group._group.add_argument(
        "--out", required=True, metavar="FOLDER", help="where the ids go"
    )
    default = Recipe()
    group.add("--encoding", str, "encoding of your own files", default.encoding)
    group.add(
        "--num-stories",
        whole(2, 10**9),
        "how many stories to make",
        default.num_stories,
    )
    group.add(
        "--vocab-size",
        whole(1, MOST),
        "tokens to learn from the first 20 million characters",
        default.vocab_size,
    )
    group.add("--tokenizer-file", str, "a tokenizer.json of a run, in place of that")


def _resume(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a folder that train has written")
    group = Group(parser, "options")
    group.add("--steps", whole(1, 10**9), "train to this step, beyond what was planned")
    group.add(
        "--device",
        str,
        f"where to compute, in place of the run's: {', '.join(DEVICES)}",
    )


def _generate(parser: Parser) -> None:
    parser.usage = "llm-core generate MODEL [options]"
    parser.description = (
        "Let a model write. Without a prompt it shows three demonstrations, and then "
        "continues what you type."
    )
    _model(
        parser,
        "a run's folder, stories or induction, a folder with a GPT-2, or gpt2",
    )
    group = Group(parser, "what to write")
    group.add("--prompt", text, "the beginning of the text, which the model continues")
    group._group.add_argument(
        "--stop",
        type=not_empty,
        action="append",
        default=[],
        metavar="TEXT",
        help="end before this text; may be given several times",
    )
    group = Group(parser, "how")
    for name, setting in SETTINGS.items():
        group.add(f"--{name}", *setting[::2], setting.default)
    group.choose("--device", DEVICES, "where to compute", "cpu")


def _explore(parser: Parser) -> None:
    _model(parser, f"a folder that train has written, or {', '.join(PRESETS)}")
    group = Group(parser, "options")
    group.add("--text", not_empty, "what the model is to read")


def _info(parser: Parser) -> None:
    _model(parser, f"a folder that train has written, or {', '.join(PRESETS)}")
    group = Group(parser, "options")
    group.add("--batch-size", whole(1, MOST), "texts in a step", Recipe().batch_size)


def _evaluate(parser: Parser) -> None:
    parser.usage = "llm-core evaluate MODEL [options]"
    _model(parser, "as of generate")
    group, default = Group(parser, "options"), Recipe()
    named = ", ".join(CORPORA)
    group.add("--data", str, f"{named}; a file, a folder or an address", default.data)
    group.add("--encoding", str, "encoding of your own files", default.encoding)
    group.add("--num-stories", whole(2, 10**8), "how many stories to make", 200)


def _speedrun(parser: Parser) -> None:
    parser.usage = "llm-core speedrun --data NAME [options]"
    parser.description = (
        "Train a small model on the first nine tenths of a text, character by "
        "character, for a loss as low as seconds on a processor allow."
    )
    group, default = Group(parser, "options"), Recipe()
    group._group.add_argument(
        "--data",
        required=True,
        metavar="NAME",
        help="as of train --data; shakespeare is the usual one",
    )
    group.add("--encoding", str, "encoding of your own files", default.encoding)
    group.add("--steps", whole(1, 10**6), "steps to make", 250)
    group.add("--seed", whole(0, LARGEST), "decides weights and order", default.seed)
    group.add("--out", str, "folder of the run", "runs/speedrun")


def _export(parser: Parser) -> None:
    parser.usage = "llm-core export MODEL [options]"
    parser.description = (
        "Write one HTML file in which a model writes: it works from the disk, in any "
        "browser, without a server or a network."
    )
    _model(parser, "a folder that train has written, or one of stories and induction")
    group = Group(parser, "options")
    group._group.add_argument(
        "-o",
        "--output",
        type=not_empty,
        metavar="FILE",
        help="the file to write, or to replace (default: the model's name, .html)",
    )
    group.add("--prompt", text, "how the text begins, until a reader changes it")


def _course(parser: Parser) -> None:
    parser.usage = "llm-core course DIR [options]"
    parser.description = (
        "Write the course's notebooks into a folder, with what they read. What is "
        "there already and differs is yours, and stays."
    )
    parser.add_argument("folder", metavar="DIR", type=not_empty, help="where they go")
    group = Group(parser, "options")
    group.switch("--replace", "put the course's files in the place of changed ones")


def _model(parser: Parser, help: str) -> None:
    parser.add_argument("model", metavar="MODEL", help=help)
