"""A step of the plain loop in baseline.py beside ours: same shape, batch and recipe.

Both make float32 steps of AdamW with clipping. Ours also draws its rows so that a
stopped run goes on bit for bit, checks that the loss is finite, and reports each step.
One difference is left: GPT-2's GELU, ours, is an approximation by tanh.
"""

from itertools import islice

import baseline
import torch
from side_by_side import Row, at_least, interleaved, main, matmul_peak

from llm_core.corpus import Corpus
from llm_core.data import encode_corpus
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import CharacterTokenizer
from llm_core.trainer import TrainConfig, Trainer

_LEAST = 1.3


def new_trainer(text: str, compiled: bool = False) -> Trainer:
    """Give our trainer the baseline's recipe."""
    tokenizer = CharacterTokenizer()
    tokenizer.train(text)
    stream = encode_corpus(Corpus("text", (text,), None), tokenizer)
    model = GPTModel(
        GPTConfig(
            vocab_size=tokenizer.vocab_size,
            d_model=baseline.WIDTH,
            num_heads=baseline.HEADS,
            num_layers=baseline.LAYERS,
            max_seq_len=baseline.CONTEXT,
            bias=False,
        )
    )
    config = TrainConfig(
        steps=10**9,  # whoever calls stops it
        batch_size=baseline.BATCH,
        learning_rate=baseline.PEAK,
        warmup_steps=baseline.WARMUP,
        final_fraction=baseline.LAST / baseline.PEAK,
        weight_decay=baseline.DECAY,
        betas=baseline.BETAS,
        clip_norm=baseline.CLIP,
        evaluate_every=10**9,
        compile=compiled,
    )
    return Trainer(model, stream, stream, config)


def step_flops(model: GPTModel) -> int:
    """Count what the products of a step take: two FLOP forwards, four backwards."""
    config = model.config
    T, C = config.max_seq_len, config.d_model
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    weights -= model.positions.numel()  # added, not multiplied
    scores = 2 * config.num_layers * T * C  # q k^T, and the weights times v
    return 6 * baseline.BATCH * T * (weights + scores)


def rows(text: str, quick: bool = False) -> list[Row]:
    """Compare steps, as they are by default and with `compile=True`."""
    steps, rounds = (2, 2) if quick else (40, 5)
    found = []
    for compiled in (False,) if quick else (False, True):
        trainer = new_trainer(text, compiled)
        reports = trainer.run()
        ids = torch.from_numpy(trainer.train_stream.ids.astype("int64"))
        vocab_size = trainer.model.config.vocab_size
        result = interleaved(
            lambda reports=reports: list(islice(reports, steps)),
            lambda ids=ids, size=vocab_size: baseline.train(ids, size, 0, steps),
            rounds,
        )
        rate = step_flops(trainer.model) * steps / min(result.ours)
        found.append(
            at_least(
                _LEAST,
                result.ratio,
                target="2. Training, " + ("`--compile`" if compiled else "by default"),
                claim=f"≥ {_LEAST} × a plain PyTorch loop",
                measured=f"{result}; {rate / matmul_peak():.0%} of the matmul peak",
                limit="Products of matrices take most of the step on both sides; of "
                "ours, GELU by tanh takes twice the time of theirs",
            )
        )
    return found


if __name__ == "__main__":
    main(__doc__, rows)
