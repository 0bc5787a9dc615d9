"""Our generation beside the loop without a cache, and beside transformers.

All write the same 256 ids, always the likeliest next one, with the same weights, which
transformers reads from the folder that `save_gpt2` writes. Transformers has its own
defaults, but for the choice of the likeliest and for the id that would end the text.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from side_by_side import (
    Row,
    at_least,
    at_most,
    interleaved,
    main,
    memory_bandwidth,
)
from torch import Tensor

from llm_core.generation import SamplingConfig, generate, sample
from llm_core.interop import save_gpt2
from llm_core.model import PRESETS, GPTModel
from llm_core.tokenizer import BPETokenizer

GREEDY = 0.0


@torch.no_grad()
def without_cache(model: GPTModel, ids: Tensor, count: int) -> Tensor:
    """Read all ids again for each new one."""
    for _ in range(count):
        ids = torch.cat([ids, model(ids)[:, -1:].argmax(dim=-1)], dim=1)
    return ids


def seconds_each(model: GPTModel, ids: Tensor, count: int) -> list[float]:
    """Time each of our new ids for itself."""
    steps = sample(model, ids, count, SamplingConfig(temperature=GREEDY))
    times = [perf_counter()]
    times += [perf_counter() for _ in steps]
    return [after - before for before, after in pairwise(times)]


def untrained(preset: str, vocab_size: int, length: int) -> GPTModel:
    """Make a model of a preset's shape; what its weights are does not matter here."""
    shape = replace(PRESETS[preset], vocab_size=vocab_size, max_seq_len=length)
    torch.manual_seed(0)
    return GPTModel(shape).eval()


def beside_no_cache(model: GPTModel, prompt: Tensor, count: int, rounds: int) -> Row:
    """Compare with reading all ids again for each new one."""

    def ours() -> Tensor:
        return generate(model, prompt, count, temperature=GREEDY)

    def plain() -> Tensor:
        return without_cache(model, prompt, count)

    if not torch.equal(ours(), plain()):
        raise AssertionError("the two wrote different ids")
    found = interleaved(ours, plain, rounds)
    return at_least(
        5.0,
        found.ratio,
        target=f"3. Generation with the cache, d_model {model.config.d_model}",
        claim=f"≥ 5 × the loop without one, for {count} ids",
        measured=str(found),
        limit="Starting the operations of a step costs more than their arithmetic",
    )


def rows(text: str, quick: bool = False) -> list[Row]:
    """Compare on the course's `small` shape from 16 ids, and once on `large`."""
    from transformers import GPT2LMHeadModel

    count, rounds = (16, 2) if quick else (256, 7)
    tokenizer = BPETokenizer(300 if quick else 1024)
    tokenizer.train(text)
    model, wider = (
        untrained(preset, tokenizer.vocab_size, 16 + count)
        for preset in ("small", "large")
    )
    with TemporaryDirectory() as folder:
        save_gpt2(Path(folder, "gpt2"), model, tokenizer)
        peer = GPT2LMHeadModel.from_pretrained(Path(folder, "gpt2")).eval()
    peer.generation_config.eos_token_id = peer.generation_config.pad_token_id = None
    prompt = torch.tensor([tokenizer.encode(text[:1000])[:16]])

    def ours() -> Tensor:
        return generate(model, prompt, count, temperature=GREEDY)

    def theirs() -> Tensor:
        return peer.generate(prompt, max_new_tokens=count, do_sample=False)

    if not torch.equal(ours(), theirs()):
        raise AssertionError("the two wrote different ids")
    library = interleaved(ours, theirs, rounds)
    times = [seconds_each(model, prompt, count) for _ in range(rounds)]
    part = count // 4  # the first id, which reads the prompt, is left out
    growth = median(median(t[-part:]) / median(t[1 : 1 + part]) for t in times)
    each = min(library.ours) / count
    size = 4 * sum(p.numel() for p in model.parameters())
    return [
        beside_no_cache(model, prompt, count, max(2, rounds // 2)),
        beside_no_cache(wider, prompt, count, 2),
        at_most(
            1.1,
            growth,
            target="3. Cost of an id",
            claim="flat: the last quarter at most 1.1 × the first",
            measured=f"{growth:.2f} ×; {1e6 * each:,.0f} µs each, "
            f"{1e6 * size / memory_bandwidth():,.0f} µs to read all weights",
            limit="Each id reads the keys and values of all before it",
        ),
        at_least(
            2.0,
            library.ratio,
            target="3. Generation, beside transformers",
            claim="≥ 2 × its `generate`, with the same weights",
            measured=str(library),
            limit="Both start about as many operations of torch for an id",
        ),
    ]


if __name__ == "__main__":
    main(__doc__, rows)
