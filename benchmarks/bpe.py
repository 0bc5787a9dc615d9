"""Our byte-pair encoding in Python beside tokenizers and tiktoken, which are in Rust.

All do the same work: the same cuts of the text, the same merges, and the same ids,
which is checked. For training, tokenizers gets the text in pieces, cut where no word
is, so that it can use all cores. For encoding, each library gets one long text, with
caches that are empty (cold) or hold what the text needs (warm). The memory that it
takes to train on 100 MB is measured in growth.py.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import tiktoken
import tokenizers
from side_by_side import Row, at_least, interleaved, main

from llm_core.interop import ranks, write_tokenizer_json
from llm_core.tokenizer import GPT2_PATTERN, BPETokenizer


def trained(text: str, vocab_size: int) -> BPETokenizer:
    """Train ours."""
    tokenizer = BPETokenizer(vocab_size)
    tokenizer.train(text)
    return tokenizer


def train_theirs(pieces: list[str], vocab_size: int) -> tokenizers.Tokenizer:
    """Train that of tokenizers, on bytes and with the cuts of GPT-2, as ours."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = byte_level
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer


def training(text: str, vocab_size: int, rounds: int) -> Row:
    """Compare the time that training takes."""
    pieces = list(BPETokenizer(256).pieces([text]))
    result = interleaved(
        lambda: trained(text, vocab_size),
        lambda: train_theirs(pieces, vocab_size),
        rounds,
    )
    return at_least(
        0.5,
        result.ratio,
        target=f"4. BPE, training to {vocab_size:,}",
        claim="≥ 0.5 × `tokenizers` (Rust, all cores)",
        measured=f"{result}; {min(result.ours):.2f} s",
        limit="A merge costs one step of Python for each place where its pair stands",
    )


# --------------------------------------------------------------------- encoding


def as_tiktoken(tokenizer: BPETokenizer) -> tiktoken.Encoding:
    """Give tiktoken our merges."""
    return tiktoken.Encoding(
        "ours",
        pat_str=GPT2_PATTERN,
        mergeable_ranks=ranks(tokenizer),
        special_tokens=dict(tokenizer.special_tokens),
    )


def read_theirs(path: Path) -> tokenizers.Tokenizer:
    """Give tokenizers our merges."""
    return tokenizers.Tokenizer.from_file(str(path))


def fresh(load: Callable[[Path], object], path: Path, number: int) -> list:
    """Load a tokenizer several times: each copy has a cache that is empty."""
    return [load(path) for _ in range(number)]


def encoding(text: str, vocab_size: int, rounds: int) -> list[Row]:
    """Compare the time that one long text takes, cold and warm."""
    tokenizer = trained(text, vocab_size)
    rust = as_tiktoken(tokenizer)
    with TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours.json"), Path(folder, "theirs.json")
        tokenizer.save(ours)
        write_tokenizer_json(tokenizer, theirs)
        # One for each round and the call before the first, for each of two rivals.
        cold = fresh(BPETokenizer.load, ours, 2 * (rounds + 1))
        library = fresh(read_theirs, theirs, rounds + 2)
    warm = library.pop()
    ids = tokenizer.encode(text)
    if not ids == warm.encode(text).ids == rust.encode_ordinary(text):
        raise AssertionError("the libraries give different ids")
    beside_library = interleaved(
        lambda: cold.pop().encode(text), lambda: library.pop().encode(text), rounds
    )
    beside_tiktoken = interleaved(
        lambda: cold.pop().encode(text), lambda: rust.encode_ordinary(text), rounds
    )
    warm_library = interleaved(
        lambda: tokenizer.encode(text), lambda: warm.encode(text), rounds
    )
    warm_tiktoken = interleaved(
        lambda: tokenizer.encode(text), lambda: rust.encode_ordinary(text), rounds
    )
    rate = len(text) / 1e6 / min(beside_library.ours)
    limit = "Half of our time is the search for words by `regex`"
    return [
        at_least(
            2.0,
            beside_library.ratio,
            target="4. BPE, encoding",
            claim="≥ 2 × `tokenizers`, one long text, cold",
            measured=f"{beside_library}, {rate:.1f} MB/s; warm {warm_library}",
            limit=limit,
        ),
        at_least(
            0.3,
            beside_tiktoken.ratio,
            target="4. BPE, encoding",
            claim="≥ 0.3 × `tiktoken`, cold",
            measured=f"{beside_tiktoken}; warm {warm_tiktoken}",
            limit=limit,
        ),
    ]


def rows(text: str, quick: bool = False) -> list[Row]:
    """Compare training, then encoding."""
    sizes, rounds = ((300,), 2) if quick else ((1024, 4096), 7)
    return [
        *(training(text, vocab_size, rounds) for vocab_size in sizes),
        *encoding(text, sizes[-1], rounds),
    ]


if __name__ == "__main__":
    main(__doc__, rows)
