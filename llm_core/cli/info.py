"""The name of a shape or a run in, its size and its needs of memory out."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm_core.cli.console import in_bytes, table
from llm_core.cli.models import Loaded, load
from llm_core.cli.recipe import LOG
from llm_core.model import PRESETS, GPTConfig, estimate_model_size


def info(arguments: argparse.Namespace) -> int:
    """Say how large a model is; of a run, also how far it has come."""
    name = arguments.model
    if name in PRESETS:
        print(f"{name}: a preset, here with GPT-2's vocabulary\n")
        config = PRESETS[name]
    else:
        loaded = load(name)
        config = loaded.model.config
        print(f"{name}: {origin(loaded)}\n")
        print_progress(Path(name), loaded)
    print_shape(config)
    print_memory(config, arguments.batch_size)
    return 0


def origin(loaded: Loaded) -> str:
    """Say where a model comes from."""
    if loaded.run is None:
        return "a trained model"
    return f"a run on {loaded.run.corpus}, of preset {loaded.run.recipe.preset}"


def print_progress(folder: Path, loaded: Loaded) -> None:
    """Print what is known about a run's training."""
    if loaded.run is None:
        return
    recipe = loaded.run.recipe
    rows = [
        ("steps made", f"{loaded.step:,}"),
        ("data", recipe.data),
        ("tokenizer", recipe.tokenizer),
        ("seed", str(recipe.seed)),
        ("optimizer", f"{recipe.optimizer}, learning rate {recipe.learning_rate:g}"),
    ]
    last = last_measurement(folder / LOG, loaded.step)
    if last is not None:
        rows += [
            ("measured at step", f"{last['step']:,}"),
            ("loss, held out", f"{last['validation_loss']:.4f} nats per token"),
            ("", f"{last['validation_bits_per_character']:.4f} bits per character"),
        ]
    made_with = ", ".join(f"{name} {v}" for name, v in loaded.run.versions.items())
    print(f"training\n{table([*rows, ('made with', made_with)])}\n")


def last_measurement(log: Path, step: int | None) -> dict[str, Any] | None:
    """Return the last good entry of a log up to a step, if there is any."""
    found = None
    try:
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            losses = (entry["validation_loss"], entry["validation_bits_per_character"])
            if entry["step"] <= (step or 0) and all(type(x) is float for x in losses):
                found = entry
    except (OSError, ValueError, LookupError, TypeError):
        return found  # a log may be missing, or cut short by what stopped the run
    return found


def print_shape(config: GPTConfig) -> None:
    """Print the configuration, and the parameters counted."""
    size = estimate_model_size(config)
    rows = [
        (name, value) for name, value in asdict(config).items() if value is not None
    ]
    print(f"shape\n{table([(name, str(value)) for name, value in rows])}\n")
    print(f"parameters\n  {size.parameters:,}\n")


def print_memory(config: GPTConfig, batch_size: int) -> None:
    """Print what training takes, and what generating does."""
    size = estimate_model_size(config, batch_size=batch_size)
    one = estimate_model_size(config)
    rows = [
        ("weights", in_bytes(size.weights)),
        ("gradients", in_bytes(size.gradients)),
        ("optimizer (AdamW)", in_bytes(size.optimizer)),
        ("activations", in_bytes(size.activations)),
        ("together", in_bytes(size.training)),
    ]
    rows = [(name, f"{value:>8}") for name, value in rows]
    print(f"memory for training, float32, {batch_size} texts of {config.max_seq_len}")
    print(f"{table(rows)}\n")
    rows = [("weights", in_bytes(one.weights)), ("cache", in_bytes(one.cache))]
    rows = [(name, f"{value:>8}") for name, value in rows]
    print(f"memory for generating one text\n{table(rows)}")
