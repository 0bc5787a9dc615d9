"""A run that saves after every step and goes on from what it finds; made to be killed.

It stands in a module of its own because another process has to be able to import it.
"""

import torch
from samples import small_config, toy_streams

from llm_core import GPTModel, TrainConfig, Trainer
from llm_core.checkpoint import snapshots


def new_trainer(steps):
    training, validation, tokenizer = toy_streams()
    torch.manual_seed(0)
    model = GPTModel(small_config(vocab_size=tokenizer.vocab_size, dropout=0.1))
    config = TrainConfig(
        steps=steps,
        batch_size=2,
        warmup_steps=2,
        optimizer="muon",
        evaluate_every=10**9,
    )
    return Trainer(model, training, validation, config)


def run(folder, steps, saved):
    """Begin or resume, and send the number of each step once it is saved."""
    training, validation, tokenizer = toy_streams()
    if snapshots(folder):
        trainer = Trainer.resume(folder, training, validation)
    else:
        trainer = new_trainer(steps)
    saved.send(None)  # it is about to begin
    for report in trainer.run():
        trainer.save(folder, tokenizer)
        saved.send(report.step)
