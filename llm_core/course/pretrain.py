"""A recipe in, a model that ships with the package out, with a card that measures it.

    python -m llm_core.course.pretrain stories

A run is saved as it goes; the same command takes it up where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from string import ascii_letters
from time import process_time
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from llm_core.checkpoint import (
    PRETRAINED,
    TrainingState,
    load_checkpoint,
    snapshots,
    write_snapshot,
)
from llm_core.corpus import Corpus, load_corpus
from llm_core.course.cards import describe
from llm_core.data import TokenStream, encode_corpus
from llm_core.evaluation import (
    needed_tokens,
    next_token_scores,
    recall_by_distance,
    sample_documents,
    share_consistent,
)
from llm_core.generation import SamplingConfig
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import sample_stories
from llm_core.tokenizer import (
    END_OF_TEXT,
    BPETokenizer,
    CharacterTokenizer,
    Tokenizer,
)
from llm_core.trainer import TrainConfig, Trainer, evaluate

Numbers = dict[str, Any]
NUM_STORIES = 100_000
NUM_SAMPLES = 200  # at each temperature


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All it takes to make one model again."""

    purpose: str
    corpus: Callable[[int, int], Corpus]  # how many documents, of which seed
    num_documents: int
    tokenizer: Tokenizer
    tokenizer_documents: int  # as many as it takes to count words well
    shape: Mapping[str, Any]  # of GPTConfig, without vocab_size
    lessons: Callable[[Tokenizer], TokenStream] | None = None
    first_lessons: str = ""  # what these are, for the card
    first: TrainConfig | None = None  # with these lessons
    training: TrainConfig  # with all documents
    measure: Callable[[GPTModel, Tokenizer], Numbers]
    limits: str


def stories(count: int, seed: int) -> Corpus:
    """Return stories of a seed: 0 to train on, 1 to look on, 2 for the card."""
    return load_corpus("stories", num_stories=count, seed=seed)


def full_stories(tokenizer: Tokenizer) -> TokenStream:
    """Return the stories that ask for the most facts, with much weight on these.

    One token in ten tells a fact that was set long before. Among the nine others its
    lesson drowns for thousands of steps; and some kinds of fact are asked for in one
    story of four only. So first come stories that ask for ten kinds, the most there
    are in one, and their facts count thirty times. This makes facts too likely where a
    story may go on in other ways: the rest of the training sets that right.
    """
    chosen = [
        story
        for story in sample_stories(NUM_STORIES, seed=0)
        if len({fact.name for fact in story.facts if fact.needs}) == 10
    ]
    texts = tuple(story.text for story in chosen)
    stream = encode_corpus(Corpus("full stories", texts, None), tokenizer)
    weights = np.ones(len(stream.ids), dtype=np.float32)
    for start, story in zip(stream.starts, chosen, strict=True):
        needed = needed_tokens(tokenizer, story)
        weights[start + 1 : start + 1 + len(needed)][needed] = 30.0
    return replace(stream, weights=weights)


def repeats(count: int, seed: int) -> Corpus:
    """Return documents of random letters in which one stretch comes twice.

    The stretch, its length and both places are drawn anew for each document, so that
    no position tells what comes next: only looking back does (Olsson et al., 2022).
    """
    random = Random(seed)

    def letters(low: int, high: int) -> str:
        return "".join(random.choices(ascii_letters, k=random.randint(low, high)))

    documents = []
    for _ in range(count):
        stretch = letters(10, 30)
        documents.append(letters(0, 15) + stretch + letters(0, 15) + stretch)
    return Corpus("repeats", tuple(documents), None)


def measure_stories(model: GPTModel, tokenizer: Tokenizer) -> Numbers:
    """Measure on 200 stories of a seed of their own, and on samples."""
    stream = encode_corpus(stories(200, 2), tokenizer)
    assert stream.floor is not None
    recall = recall_by_distance(model, tokenizer, sample_stories(200, seed=2))
    consistent = {}
    for temperature in (0.5, 0.8, 1.0):
        generator = torch.Generator().manual_seed(0)
        sampling = SamplingConfig(temperature=temperature)
        texts = sample_documents(model, tokenizer, NUM_SAMPLES, sampling, generator)
        consistent[str(temperature)] = share_consistent(texts)
    return {
        "bits_per_character": evaluate(model, stream).bits_per_character,
        "floor": stream.floor.rate,
        "floor_standard_error": stream.floor.standard_error,
        "characters_per_token": stream.characters_per_token,
        "recall": [asdict(row) for row in recall],
        "sampled": NUM_SAMPLES,
        "consistent_at_temperature": consistent,
    }


def measure_repeats(model: GPTModel, tokenizer: Tokenizer) -> Numbers:
    """Measure how often a stretch is continued rightly when it comes again."""
    corpus = repeats(200, 2)
    right = {"first": 0, "again": 0}
    total = {"first": 0, "again": 0}
    for text in corpus.documents:
        guesses = next_token_scores(model, tokenizer, text).argmax(dim=-1).tolist()
        ids = tokenizer.encode(text)
        for at, (guess, id) in enumerate(zip(guesses, ids, strict=False)):
            # Two letters meet by chance; three say that it is the stretch.
            again = at >= 3 and text[at - 3 : at] in text[: at - 3]
            total["again" if again else "first"] += 1
            right["again" if again else "first"] += guess == id
    stream = encode_corpus(corpus, tokenizer)
    return {
        "bits_per_character": evaluate(model, stream).bits_per_character,
        "right_when_new": right["first"] / total["first"],
        "right_when_repeated": right["again"] / total["again"],
    }


_MUON = TrainConfig(
    batch_size=8,
    optimizer="muon",
    learning_rate=3e-3,
    matrix_learning_rate=0.02,
    schedule="stable-decay",
    warmup_steps=50,
    final_fraction=0.02,
    weight_decay=0.0,
    evaluate_every=250,
)
RECIPES = {
    "stories": Recipe(
        purpose=(
            "Tells the stories of this course. Wherever the book needs a trained "
            "model, it is this one."
        ),
        corpus=stories,
        num_documents=NUM_STORIES,
        tokenizer=BPETokenizer(2048, special_tokens=(END_OF_TEXT,)),
        tokenizer_documents=5_000,
        shape={
            "d_model": 128,
            "num_heads": 4,
            "num_layers": 4,
            "d_ff": 384,
            "max_seq_len": 224,
            "positions": "rotary",
            "norm": "rms",
            "feed_forward": "relu2",
            "qk_norm": True,
            "bias": False,
        },
        lessons=full_stories,
        first_lessons=(
            "only stories that ask for ten kinds of fact, with each token that tells a "
            "fact counting thirty times."
        ),
        first=replace(_MUON, steps=2500, final_fraction=1.0),
        training=replace(_MUON, steps=5000, seed=1, schedule="cosine"),
        measure=measure_stories,
        limits=(
            "It tells the stories of this course and nothing else: it has seen about a "
            "thousand words of English, and knows no world outside them."
        ),
    ),
    "induction": Recipe(
        purpose=(
            "Two layers of attention and nothing else: the smallest model in which "
            "induction heads appear (Olsson et al., 2022). It reads random letters, "
            "and continues a stretch that it has seen."
        ),
        corpus=repeats,
        num_documents=50_000,
        tokenizer=CharacterTokenizer(special_tokens=(END_OF_TEXT,)),
        tokenizer_documents=100,
        shape={
            "d_model": 64,
            "num_heads": 2,
            "num_layers": 2,
            "max_seq_len": 96,
            "positions": "rotary",
            "feed_forward": "none",
        },
        training=replace(_MUON, steps=4000, batch_size=32, schedule="cosine"),
        measure=measure_repeats,
        limits=(
            "It has two layers of attention and nothing else, and reads English "
            "letters without meaning. It can look back and copy; that is all."
        ),
    ),
}


def train(name: str, folder: Path) -> float:
    """Train by a recipe, or take the run in `folder` up again, and save it there.

    Returns the seconds of processor time that this took.
    """
    recipe, started = RECIPES[name], process_time()
    corpus = recipe.corpus(recipe.num_documents, 0)
    tokenizer = recipe.tokenizer
    tokenizer.train(corpus.documents[: recipe.tokenizer_documents])
    stream = encode_corpus(corpus, tokenizer)
    validation = encode_corpus(recipe.corpus(200, 1), tokenizer)
    torch.manual_seed(0)
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **recipe.shape))
    if recipe.first is not None and recipe.lessons is not None:
        lessons, first = (
            recipe.lessons(tokenizer),
            folder.with_name(f"{folder.name}-first"),
        )
        model = run(model, lessons, validation, recipe.first, tokenizer, first)
    run(model, stream, validation, recipe.training, tokenizer, folder)
    return process_time() - started


def run(
    model: GPTModel,
    stream: TokenStream,
    validation: TokenStream,
    config: TrainConfig,
    tokenizer: Tokenizer,
    folder: Path,
) -> GPTModel:
    """Run a training to its end from where `folder` has it, and return its model."""
    if snapshots(folder):
        trainer = Trainer.resume(folder, stream, validation)
    else:
        trainer = Trainer(model, stream, validation, config)
    with tqdm(total=config.steps, initial=trainer.step, unit="step") as bar:
        for report in trainer.run():
            bar.update()
            if report.evaluation is not None:
                bits = report.evaluation.bits_per_character
                bar.write(f"step {report.step}: {bits:.4f} bits per character")
                trainer.save(folder, tokenizer)
    return trainer.model


def ship(name: str, folder: Path, seconds: float) -> None:
    """Write the model of a run into the package, in half precision, and its card."""
    recipe, target = RECIPES[name], PRETRAINED / name
    model, tokenizer = load_checkpoint(folder)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    write_snapshot(target, model.half(), tokenizer, TrainingState())
    card = {
        "name": name,
        "purpose": recipe.purpose,
        "parameters": sum(p.numel() for p in model.parameters()),
        "config": asdict(model.config),
        "data": {
            "corpus": recipe.corpus.__name__,
            "documents": recipe.num_documents,
            "seed": 0,
        },
        "first_training": None if recipe.first is None else asdict(recipe.first),
        "first_lessons": recipe.first_lessons,
        "training": asdict(recipe.training),
        "cpu_seconds": round(seconds),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "limits": recipe.limits,
        "measured": recipe.measure(*load_checkpoint(target)),
    }
    text = json.dumps(card, indent=1) + "\n"
    (target / "card.json").write_text(text, encoding="utf-8")
    (target / "CARD.md").write_text(describe(json.loads(text)), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Train and ship the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*RECIPES, []], metavar="NAME")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args(arguments)
    for name in options.names or RECIPES:
        folder = options.runs / f"pretrained-{name}"
        ship(name, folder, train(name, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
