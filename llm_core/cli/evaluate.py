"""A model and a text in, how well the one predicts the other out."""

import argparse

from llm_core.cli.console import table
from llm_core.cli.models import load
from llm_core.corpus import load_corpus
from llm_core.data import encode_corpus
from llm_core.trainer import evaluate as measure


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure a model's loss on every token of a text."""
    loaded = load(arguments.model)
    corpus = load_corpus(
        arguments.data, num_stories=arguments.num_stories, encoding=arguments.encoding
    )
    stream = encode_corpus(corpus, loaded.tokenizer)
    found = measure(loaded.model, stream)
    rows = [
        ("text", f"{corpus.name}: {corpus.num_characters:,} characters"),
        ("tokens predicted", f"{len(stream.ids) - 1:,}"),
        ("loss", f"{found.loss:.4f} nats per token"),
        ("", f"{found.bits_per_character:.4f} bits per character"),
    ]
    if stream.floor is not None:
        rows.append(("floor", f"{stream.floor.rate:.4f} bits per character"))
    print(table(rows))
    return 0
