"""A model in; out comes what it is made of, and what it makes of a text."""

import argparse
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_core.attention import attention_weights
from llm_core.cli.console import shorten, table, visible
from llm_core.cli.models import STORY, Loaded, load
from llm_core.generation import encode_prompt
from llm_core.model import PRESETS, GPTModel, TransformerBlock
from llm_core.stories import sample_stories
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer, Tokenizer

# What stands in for a vocabulary where a preset, which has none, is explored.
STORIES, VOCAB_SIZE = 300, 512
SHOWN_TOKENS, SHOWN_NEXT, SHOWN_NEIGHBOURS = 40, 8, 5


@torch.no_grad()
def explore(arguments: argparse.Namespace) -> int:
    """Print four looks at a model: its parts, its tokens, its numbers, its meanings."""
    name = arguments.model
    is_trained = name not in PRESETS
    loaded = load(name) if is_trained else untrained(name)
    model, tokenizer = loaded.model, loaded.tokenizer
    text = arguments.text or loaded.prompt or " "
    ids = encode_prompt(tokenizer, text)
    if not is_trained:
        print(
            f"{name} is a preset. It is shown with random weights, as it is before "
            f"training,\nand with {tokenizer.vocab_size} tokens learned from "
            f"{STORIES} stories.\n"
        )
    print_architecture(model)
    print_tokens(tokenizer, text, ids)
    print_forward(model, tokenizer, ids)
    print_neighbours(model, tokenizer, ids, is_trained)
    return 0


def untrained(preset: str) -> Loaded:
    """Build a preset as training would find it, with a small vocabulary."""
    tokenizer = BPETokenizer(VOCAB_SIZE, [END_OF_TEXT])
    tokenizer.train(story.text for story in sample_stories(STORIES))
    torch.manual_seed(0)
    config = replace(PRESETS[preset], vocab_size=tokenizer.vocab_size)
    return Loaded(GPTModel(config).eval(), tokenizer, 0, None, STORY)


def print_architecture(model: GPTModel) -> None:
    """List the parts of a model that hold numbers, in the order of their names."""
    rows: list[tuple[object, ...]] = [("part", "kind", "shapes", "parameters")]
    for name, part in model.named_modules():
        own = dict(part.named_parameters(recurse=False))
        if name.startswith("blocks.") and not name.startswith("blocks.0."):
            continue
        if own:
            shapes = ", ".join(f"{key} {shape(p)}" for key, p in own.items())
            count = sum(p.numel() for p in own.values())
            rows.append((name or "(the model)", type(part).__name__, shapes, count))
    others = model.blocks[1:]
    if others:
        count = sum(p.numel() for p in others.parameters())
        rows.insert(-2, (f"blocks.1 … {len(others)}", "", "as blocks.0", count))
    if model.config.tie_embeddings:
        rows[-1] = (*rows[-1][:2], "the weight of token_embedding again", 0)
    rows.append(("together", "", "", sum(p.numel() for p in model.parameters())))
    print(f"ARCHITECTURE: the numbers that training changes\n\n{table(rows)}\n")


def print_tokens(tokenizer: Tokenizer, text: str, ids: list[int]) -> None:
    """Show how a text is cut, and each token's id and bytes."""
    print(f"TOKENIZATION: {len(text)} characters become {len(ids)} tokens\n")
    print(f"  {shorten(visible(text).replace(chr(10), ' '))!s}\n")
    rows: list[tuple[object, ...]] = [
        (str(i), shown(tokenizer, id), id, tokenizer.token_bytes(id).hex(" "))
        for i, id in enumerate(ids[:SHOWN_TOKENS])
    ]
    print(table([("position", "token", "id", "bytes"), *rows]))
    if len(ids) > SHOWN_TOKENS:
        print(f"  … and {len(ids) - SHOWN_TOKENS:,} more")
    print()


def print_forward(model: GPTModel, tokenizer: Tokenizer, ids: list[int]) -> None:
    """Take ids through a model step by step, with the shape of what there is then."""
    limit = model.config.max_seq_len
    print("FORWARD PASS: from ids to the next token\n")
    if len(ids) > limit:
        print(f"  (the last {limit} tokens, as many as the model reads at once)\n")
    batch = torch.tensor([ids[-limit:]])
    rows = [("ids", shape(batch), "batch, time")]
    x = model.embed(batch)
    rows.append(("embedded", shape(x), "batch, time, d_model"))
    rotate = model.rotation(0, batch.shape[1])
    for number, block in enumerate(model.blocks):
        assert isinstance(block, TransformerBlock)
        if number == 0:
            q, k, v = block.attention.project(block.attention_norm(x), rotate)
            rows.append(("block 0: queries", shape(q), "batch, heads, time, head_dim"))
            rows.append(("block 0: keys", shape(k), "(fewer heads if grouped)"))
            rows.append(("block 0: values", shape(v), ""))
            weights = attention_weights(q, k)
            rows.append(
                ("block 0: who reads whom", shape(weights), "batch, heads, time, time")
            )
        x = block(x, rotate)
        rows.append((f"after block {number}", shape(x), "batch, time, d_model"))
    logits = model.head(model.final_norm(x))
    rows.append(("logits", shape(logits), "batch, time, vocab_size"))
    print(f"{table(rows)}\n")
    print_next(tokenizer, logits[0, -1].softmax(dim=-1))


def print_next(tokenizer: Tokenizer, probabilities: Tensor) -> None:
    """Show the likeliest next tokens, with bars."""
    best = probabilities.topk(min(SHOWN_NEXT, len(probabilities)))
    rows = [
        (shown(tokenizer, id), f"{p:6.1%}", "#" * round(40 * p))
        for p, id in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    print(f"  What comes next, most likely:\n\n{table(rows)}\n")


def print_neighbours(
    model: GPTModel, tokenizer: Tokenizer, ids: list[int], is_trained: bool
) -> None:
    """Show which tokens have embeddings that point in like directions."""
    print("EMBEDDINGS: tokens whose vectors point in like directions (cosine)\n")
    if not is_trained:
        print("  These are random yet: training gives tokens their neighbours.")
        return
    vectors = F.normalize(model.token_embedding.weight, dim=-1)  # (V, C)
    special = set(tokenizer.special_tokens.values())
    own = sorted(set(ids) - special, key=lambda id: -len(tokenizer.token_bytes(id)))
    rows = []
    for id in own[:6]:
        likeness = vectors @ vectors[id]  # (V,)
        likeness[id] = -2  # below any other
        near = likeness.topk(min(SHOWN_NEIGHBOURS, len(vectors) - 1))
        pairs = zip(near.indices.tolist(), near.values.tolist(), strict=True)
        row = [f"{shown(tokenizer, other)} {cosine:.2f}" for other, cosine in pairs]
        rows.append((shown(tokenizer, id), *row))
    print(table(rows) if rows else "  (no ordinary token to compare)")


def shape(tensor: Tensor) -> str:
    """Write a shape as Python does."""
    return str(tuple(tensor.shape))


def shown(tokenizer: Tokenizer, id: int) -> str:
    """Write a token so that its spaces can be seen, and no byte does harm."""
    text = tokenizer.token_bytes(id).decode("utf-8", "backslashreplace")
    return repr(text).replace("\\\\x", "\\x")
