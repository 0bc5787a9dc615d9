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
from functools import partial
from pathlib import Path
from random import Random
from string import ascii_letters
from time import process_time
from typing import Any, NamedTuple

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
from llm_core.course.page_model import quantized
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
from llm_core.stories import Story, sample_stories
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
CLOCK = "cpu_seconds.txt"  # beside a run: what it has taken so far


class Phase(NamedTuple):
    """A training, and what it reads."""

    lessons: str  # in words, for the card
    read: Callable[[Tokenizer], TokenStream]
    config: TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All it takes to make one model again."""

    purpose: str
    corpus: Callable[[int, int], Corpus]  # how many documents, of which seed
    tokenizer: Tokenizer
    tokenizer_documents: int  # as many as it takes to count words well
    shape: Mapping[str, Any]  # of GPTConfig, without vocab_size
    phases: tuple[Phase, ...]  # each goes on with the weights of the one before
    measure: Callable[[GPTModel, Tokenizer], Numbers]
    limits: str


def stories(count: int, seed: int) -> Corpus:
    """Return stories of a seed: 0 to train on, 1 to look on, 2 for the card."""
    return load_corpus("stories", num_stories=count, seed=seed)


def all_stories(tokenizer: Tokenizer) -> TokenStream:
    """Return the stories to learn from, each token counting once."""
    return encode_corpus(stories(NUM_STORIES, 0), tokenizer)


def kinds_asked_for(story: Story) -> int:
    """Return of how many kinds the facts are that a story asks for."""
    return len({fact.name for fact in story.facts if fact.needs})


def asks_for_much(story: Story) -> bool:
    """Tell whether a story asks for ten kinds of fact, the most there are in one.

    Some kinds are asked for in one story of four only, and would be learned last.
    """
    return kinds_asked_for(story) >= 10


def asks_after(story: Story, name: str, words: str) -> bool:
    """Tell whether a story asks for a fact of this name right after these words."""
    return any(
        story.text[: need.position].endswith(words)
        for fact in story.facts
        for need in fact.needs
        if fact.name == name
    )


def says_wrong_place(story: Story) -> bool:
    """Tell whether another place is said between the place and where it is asked for.

    The helper tells the place, then the hero guesses another one. A model that has
    learned easier stories says the wrong place half of the time.
    """
    return any(
        value in story.text[fact.set_at + len(fact.value) : need.position]
        for fact in story.facts
        for need in fact.needs
        for value in need.alternatives
        if fact.name == "place"
    )


def sets_traps(story: Story) -> bool:
    """Tell whether a story says a wrong place, and lets somebody else say the colour.

    The one who is blamed speaks of "your red kite", and a model that has learned easier
    stories always says the same colour.
    """
    return says_wrong_place(story) and asks_after(story, "colour", " your ")


def asks_in_rare_words(story: Story) -> bool:
    """Tell whether a story asks for the helper, or the colour, as few stories do.

    The one who is blamed says nothing ("The owl coughed"), or has the thing ("had the
    red kite"). A model that tells all other facts right still gets most of these wrong.
    """
    return asks_after(story, "helper", ". The ") or asks_after(
        story, "colour", " had the "
    )


def facts_first(
    tokenizer: Tokenizer, chosen: Callable[[Story], bool], weight: float
) -> TokenStream:
    """Return the chosen ones among the stories, and weigh facts.

    One token in ten tells a fact that was set long before. Among the nine others its
    lesson drowns for thousands of steps; so it counts `weight` times. Where a story may
    go on in other ways, a weight makes facts too likely: a training without it sets
    that right.
    """
    lessons = [story for story in sample_stories(NUM_STORIES, seed=0) if chosen(story)]
    texts = tuple(story.text for story in lessons)
    stream = encode_corpus(Corpus("stories", texts, None), tokenizer)
    weights = np.ones(len(stream.ids), dtype=np.float32)
    for start, story in zip(stream.starts, lessons, strict=True):
        needed = needed_tokens(tokenizer, story)
        weights[start + 1 : start + 1 + len(needed)][needed] = weight
    return replace(stream, weights=weights)


def all_repeats(tokenizer: Tokenizer) -> TokenStream:
    """Return the random documents to learn from."""
    return encode_corpus(repeats(50_000, 0), tokenizer)


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
    rounded = quantized(model)  # as pages have it
    return {
        "bits_per_character": evaluate(model, stream).bits_per_character,
        "floor": stream.floor.rate,
        "floor_standard_error": stream.floor.standard_error,
        "characters_per_token": stream.characters_per_token,
        "recall": [asdict(row) for row in recall],
        "sampled": NUM_SAMPLES,
        "consistent_at_temperature": consistent_shares(model, tokenizer),
        "in_8_bits": {
            "bits_per_character": evaluate(rounded, stream).bits_per_character,
            "consistent_at_temperature": consistent_shares(rounded, tokenizer),
        },
    }


def consistent_shares(model: GPTModel, tokenizer: Tokenizer) -> Numbers:
    """Return which share of a model's samples is consistent, by temperature."""
    shares = {}
    for temperature in (0.5, 0.8, 1.0):
        generator = torch.Generator().manual_seed(0)
        sampling = SamplingConfig(temperature=temperature)
        texts = sample_documents(model, tokenizer, NUM_SAMPLES, sampling, generator)
        shares[str(temperature)] = share_consistent(texts)
    return shares


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
        phases=(
            Phase(
                "those of 100,000 stories that ask for ten kinds of fact; a token that "
                "tells one counts 30 times",
                partial(facts_first, chosen=asks_for_much, weight=30.0),
                replace(_MUON, steps=2500, final_fraction=1.0),
            ),
            Phase(
                "these, and those that say a wrong place and in which somebody else "
                "says the colour; a token that tells a fact counts 30 times",
                partial(
                    facts_first,
                    chosen=lambda story: asks_for_much(story) or sets_traps(story),
                    weight=30.0,
                ),
                replace(_MUON, steps=1500, seed=2, final_fraction=1.0),
            ),
            Phase(
                "the 100,000 stories of seed 0",
                all_stories,
                replace(_MUON, steps=5500, seed=1, schedule="cosine"),
            ),
            Phase(
                "what was still told wrongly: stories in which the one who is blamed "
                "says nothing or has the thing, and those that say a wrong place and "
                "ask for nine kinds of fact; a token that tells a fact counts 30 times",
                partial(
                    facts_first,
                    chosen=lambda story: (
                        asks_in_rare_words(story)
                        or (says_wrong_place(story) and kinds_asked_for(story) >= 9)
                    ),
                    weight=30.0,
                ),
                replace(_MUON, steps=1000, seed=3, final_fraction=1.0),
            ),
            Phase(
                "the 100,000 stories of seed 0 once more",
                all_stories,
                replace(_MUON, steps=2250, seed=4, schedule="cosine"),
            ),
        ),
        measure=measure_stories,
        limits=(
            "It tells the stories of this course and nothing else: it has seen about a "
            "thousand words of English, and knows no world outside them."
        ),
    ),
    "induction": Recipe(
        purpose=(
            "Two layers of attention and nothing else, trained on the task by which "
            "induction heads are known (Olsson et al., 2022). It reads random letters, "
            "and continues a stretch that it has seen."
        ),
        corpus=repeats,
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
        phases=(
            Phase(
                "50,000 documents of random letters, seed 0",
                all_repeats,
                replace(_MUON, steps=4000, batch_size=32, schedule="cosine"),
            ),
        ),
        measure=measure_repeats,
        limits=(
            "It has two layers of attention and nothing else, and reads English "
            "letters without meaning. It can look back and copy; that is all."
        ),
    ),
}


def train(name: str, folder: Path) -> float:
    """Train by a recipe, or take its runs in `folder` up again, and save them there.

    Returns the seconds of processor time that it all took.
    """
    recipe, seconds = RECIPES[name], 0.0
    tokenizer = recipe.tokenizer
    tokenizer.train(recipe.corpus(recipe.tokenizer_documents, 0).documents)
    validation = encode_corpus(recipe.corpus(200, 1), tokenizer)
    torch.manual_seed(0)
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **recipe.shape))
    for number, phase in enumerate(recipe.phases, 1):
        place = folder / f"phase-{number}"
        model = run(model, phase, validation, tokenizer, place)
        seconds += float((place / CLOCK).read_text(encoding="utf-8"))
    return seconds


def run(
    model: GPTModel,
    phase: Phase,
    validation: TokenStream,
    tokenizer: Tokenizer,
    folder: Path,
) -> GPTModel:
    """Run a phase to its end from where `folder` has it, and return its model."""
    clock, started = folder / CLOCK, process_time()
    before = float(clock.read_text(encoding="utf-8")) if clock.exists() else 0.0
    stream = phase.read(tokenizer)
    if snapshots(folder):
        trainer = Trainer.resume(folder, stream, validation)
    else:
        trainer = Trainer(model, stream, validation, phase.config)
    with tqdm(total=phase.config.steps, initial=trainer.step, unit="step") as bar:
        for report in trainer.run():
            bar.update()
            if report.evaluation is not None:
                bits = report.evaluation.bits_per_character
                bar.write(f"step {report.step}: {bits:.4f} bits per character")
                trainer.save(folder, tokenizer)
                spent = before + process_time() - started
                clock.write_text(f"{spent:.0f}\n", encoding="utf-8")
    return trainer.model


def ship(name: str, folder: Path, seconds: float) -> None:
    """Write the model of a run into the package, in half precision, and its card."""
    recipe, target = RECIPES[name], PRETRAINED / name
    model, tokenizer = load_checkpoint(folder / f"phase-{len(recipe.phases)}")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    write_snapshot(target, model.half(), tokenizer, TrainingState())
    card = {
        "name": name,
        "purpose": recipe.purpose,
        "parameters": sum(p.numel() for p in model.parameters()),
        "config": asdict(model.config),
        "phases": [
            {"lessons": phase.lessons, **asdict(phase.config)}
            for phase in recipe.phases
        ],
        "cpu_seconds": round(seconds),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
        "limits": recipe.limits,
        "measured": recipe.measure(*load_checkpoint(target)),
    }
    write_card(target, card)


def measure_again(name: str) -> None:
    """Measure a model that ships as it is, and write its card anew."""
    target = PRETRAINED / name
    card = json.loads((target / "card.json").read_text(encoding="utf-8"))
    measured = RECIPES[name].measure(*load_checkpoint(target))
    write_card(target, {**card, "measured": measured})


def write_card(target: Path, card: Numbers) -> None:
    """Write a card for programs, and from that one to read."""
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
