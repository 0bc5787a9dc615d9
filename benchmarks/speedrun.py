"""The speedrun: seconds until 1.898 nats on Tiny Shakespeare, beside a known recipe's.

Each seed trains the baseline (baseline.py) and then `llm-core speedrun`, each in a
process of its own, and lets `llm-core evaluate` measure again what was saved. Beside it
stand models that only count, and how long our transformer needs to pass the best of
them.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from side_by_side import Comparison, Row, at_least, main

from llm_core.cli.speedrun import HELD_OUT

BASELINE = Path(__file__).with_name("baseline.py")
AIM, LOSS, SEEDS = 8.0, 1.898, 5  # times as fast, down to this many nats
LONGEST_COUNTS = 6
STEPS = (3000, 6000)  # to pass the counts; after 2,500 it had not


class Outcome(NamedTuple):
    """What one run of training took and reached."""

    seconds: float
    loss: float  # nats per character of the last tenth


def rows(text: str, quick: bool) -> list[Row]:
    """Race the baseline, and then the models that count."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        path.write_text(text, encoding="utf-8", newline="")
        few = ("--steps", 20) if quick else ()
        raced = race(path, 1 if quick else SEEDS, *few)
        return [raced, passing(path, text, (40,) if quick else STEPS)]


def race(path: Path, seeds: int, *options: object) -> Row:
    """Train both with each seed, and compare the times if the loss is reached."""
    pairs = []
    for seed in range(seeds):
        chosen = ("--seed", seed, *options)
        pairs.append((ours(path, *chosen), theirs(path, *chosen)))
        print(f"seed {seed}: ours {pairs[-1][0]}, theirs {pairs[-1][1]}", flush=True)
    our_runs, their_runs = zip(*pairs, strict=True)
    times = Comparison(
        tuple(run.seconds for run in our_runs), tuple(run.seconds for run in their_runs)
    )
    worst = max(run.loss for run in our_runs)
    return at_least(
        AIM,
        times.ratio if worst <= LOSS else 0.0,
        target="speedrun",
        claim=f"{LOSS} nats in at most 1/{AIM:.0f} of the baseline's training time",
        measured=f"{times}; {median(times.ours):.1f} s against "
        f"{median(times.theirs):.1f} s; losses up to {worst:.4f} against "
        f"{max(run.loss for run in their_runs):.4f}, {seeds} seeds",
        limit="the number of steps, each of which is mostly small products of matrices",
    )


def passing(path: Path, text: str, tries: tuple[int, ...]) -> Row:
    """Find how long our recipe has to train to predict better than any counts."""
    number = {character: id for id, character in enumerate(sorted(set(text)))}
    ids = np.array([number[character] for character in text])
    end = len(ids) * 9 // 10
    found = [
        counted(ids[:end], ids[end:], len(number), n) for n in range(LONGEST_COUNTS)
    ]
    best = min(found)
    said = (
        f"counts of 3 characters: {found[3]:.3f} nats; "
        f"of {found.index(best)}, the best: {best:.3f}"
    )
    for steps in tries:
        run = ours(path, "--steps", steps)
        print(f"{steps} steps: {run}", flush=True)
        if run.loss < best:
            said += f"; passed in {run.seconds:.0f} s ({steps} steps, {run.loss:.3f})"
            break
    else:
        said += f"; not passed in {tries[-1]} steps"
    return Row("counting", "none: for comparison", said, None, "–")


def ours(path: Path, *options: object) -> Outcome:
    """Train by our recipe; the loss is that of the model that was saved."""
    with TemporaryDirectory() as folder:
        run = Path(folder, "run")
        train = ("-m", "llm_core", "speedrun", "--data", path, "--out", run)
        said = python(*train, *options)
        measure = ("-m", "llm_core", "evaluate", run, "--data", run / HELD_OUT)
        measured = python(*measure)
    return Outcome(
        float(re.findall(r" steps in ([\d.]+) s", said)[0]),
        float(re.findall(r"loss +([\d.]+) nats", measured)[0]),
    )


def theirs(path: Path, *options: object) -> Outcome:
    """Train the baseline."""
    return Outcome(**json.loads(python(BASELINE, path, *options)))


def python(*arguments: object) -> str:
    """Run Python, and return what it prints."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


# ------------------------------------------------------------ models that count


def counted(training: np.ndarray, held_out: np.ndarray, V: int, longest: int) -> float:
    """Nats per id after the first, by counts of contexts of up to `longest` ids.

    Each length leans on the one shorter by as many counts as it has seen different
    followers (Witten and Bell, 1991).
    """
    chances = np.full(len(held_out), 1 / V)
    for length in range(longest + 1):
        known, which, counts = np.unique(
            contexts(training, V, length), return_inverse=True, return_counts=True
        )
        pairs, pair_counts = np.unique(
            which * V + training[length:], return_counts=True
        )
        followers = np.bincount(pairs // V)  # different ones, of each known context
        asked = contexts(held_out, V, length)
        place = np.searchsorted(known, asked).clip(max=len(known) - 1)
        pair = place * V + held_out[length:]
        found = np.searchsorted(pairs, pair).clip(max=len(pairs) - 1)
        seen = np.where(pairs[found] == pair, pair_counts[found], 0)
        shorter = chances[length:]
        leaning = (seen + followers[place] * shorter) / (counts + followers)[place]
        chances[length:] = np.where(known[place] == asked, leaning, shorter)
    return float(-np.log(chances[1:]).mean())


def contexts(ids: np.ndarray, V: int, length: int) -> np.ndarray:
    """Number what stands before each id from `length` on."""
    found = np.zeros(len(ids) - length, dtype=np.int64)
    for at in range(length):
        found = found * V + ids[at : len(ids) - length + at]
    return found


if __name__ == "__main__":
    main(__doc__, rows)
