"""A text of any size in, a folder of ids out, from which `train` reads."""

import argparse
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from llm_core.cli.console import StatusLine, UserError, in_bytes, quoted
from llm_core.corpus import stream_corpus
from llm_core.shards import Shard, load_shards
from llm_core.shards import prepare as write_shards
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer, Tokenizer

SAMPLE = 20_000_000  # characters, from which a tokenizer is trained


def prepare(arguments: argparse.Namespace) -> int:
    """Write the ids of a text into a folder, or go on with that."""
    folder, line = Path(arguments.out), StatusLine()

    def progress(done: int, total: int | None) -> None:
        of = "" if total is None else f" of {in_bytes(total)}"
        line.show(f"downloading {arguments.data}: {in_bytes(done)}{of}")

    def text() -> Iterator[str]:
        return stream_corpus(
            arguments.data,
            num_stories=arguments.num_stories,
            encoding=arguments.encoding,
            progress=progress,
        )

    again = f"Go on with the same command, into {quoted(folder)}."
    num_ids = num_characters = 0

    def report(shard: Shard) -> None:
        nonlocal num_ids, num_characters
        num_ids += shard.num_ids
        num_characters += shard.num_characters
        line.show(f"{num_characters:,} characters, {num_ids:,} ids")

    try:
        tokenizer = choose_tokenizer(arguments, folder, text(), line)
        write_shards(text(), tokenizer, folder, report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; whole shards were kept.\n{again}") from None
    stream, _ = load_shards(folder)
    line.print(
        f"{len(stream.ids):,} ids in {folder}, "
        f"{stream.characters_per_token:.2f} characters each"
    )
    print(f"Now: llm-core train --data {quoted(folder)}")
    return 0


def choose_tokenizer(
    arguments: argparse.Namespace, folder: Path, text: Iterator[str], line: StatusLine
) -> Tokenizer:
    """Load the tokenizer that was named, or that of work begun before; or train one."""
    begun = folder / "tokenizer.json"
    if begun.is_file():
        return Tokenizer.load(begun)
    first = next(text, None)
    if first is None:
        raise UserError(f"{arguments.data} holds no text")
    if arguments.tokenizer_file:
        return Tokenizer.load(arguments.tokenizer_file)
    line.show("training the tokenizer …")
    tokenizer = BPETokenizer(arguments.vocab_size, [END_OF_TEXT])
    tokenizer.train("".join(up_to(SAMPLE, chain([first], text))))
    return tokenizer


def up_to(size: int, pieces: Iterable[str]) -> Iterator[str]:
    """Yield pieces until there are as many characters."""
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return
