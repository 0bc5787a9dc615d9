"""Training of gpt2-small on a GPU, beside what the card's products of matrices reach.

By `TrainConfig(precision="bfloat16", compile=True)`, which is `llm-core train
--precision bfloat16 --compile`. Without a GPU the same runs at toy size, and nothing
is claimed.
"""

from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from side_by_side import Row, at_least, main, matmul_peak, seconds

from llm_core.data import TokenStream
from llm_core.model import PRESETS, GPTConfig, GPTModel
from llm_core.trainer import TrainConfig, Trainer

_LEAST = 0.45
# GPT-2's vocabulary, filled up to a multiple of 64, which products like.
FULL = replace(PRESETS["gpt2-small"], vocab_size=50_304)
TOY = replace(PRESETS["tiny"], vocab_size=512)


def step_flops(config: GPTConfig, parameters: int, batch_size: int) -> int:
    """Count what the products of a step take: 6 FLOP for each weight and score."""
    T, C = config.max_seq_len, config.d_model
    return 6 * batch_size * T * (parameters - T * C + 2 * config.num_layers * T * C)


def pace(
    config: GPTConfig, batch_size: int, device: str, steps: int, compiled: bool = True
) -> tuple[float, float]:
    """Return the ids and the FLOP a second of training, after the compilation."""
    random = np.random.default_rng(0)
    ids = random.integers(config.vocab_size, size=10**6).astype(np.uint16)
    stream = TokenStream(ids, np.array([0]), num_characters=len(ids))
    model = GPTModel(config).to(device)
    settings = TrainConfig(
        steps=10**9,
        batch_size=batch_size,
        precision="bfloat16",
        compile=compiled,
        evaluate_every=10**9,
    )
    reports = Trainer(model, stream, stream, settings).run()
    list(islice(reports, 3))  # compiles; a step ends with its loss, and so waits for it
    taken = seconds(lambda: list(islice(reports, steps))) / steps
    parameters = sum(p.numel() for p in model.parameters())
    flops = step_flops(config, parameters, batch_size)
    return batch_size * config.max_seq_len / taken, flops / taken


def rows(text: str, quick: bool = False) -> list[Row]:
    """Measure on the GPU, or see on the CPU that it runs. The text is of no account."""
    row = {
        "target": "7. GPU, gpt2-small in bfloat16, `--compile`",
        "claim": f"≥ {_LEAST:.0%} of the card's measured matmul rate",
    }
    if not torch.cuda.is_available():
        ids, _ = pace(TOY, 2, "cpu", steps=2, compiled=not quick)
        said = f"not measured: no GPU (at toy size on the CPU, {ids:,.0f} ids/s)"
        return [Row(**row, measured=said, met=None, limit="–")]
    ids, rate = pace(FULL, 32, "cuda", steps=5 if quick else 30)
    peak = matmul_peak("cuda", torch.bfloat16, 8192)
    said = f"{rate / peak:.0%} of {peak / 1e12:.0f} TFLOP/s, {ids:,.0f} ids/s"
    return [
        at_least(
            _LEAST,
            rate / peak,
            **row,
            measured=f"{said}, on {torch.cuda.get_device_name()}",
            limit="AdamW, the batch and clipping run outside the compiled part",
        )
    ]


if __name__ == "__main__":
    main(__doc__, rows)
