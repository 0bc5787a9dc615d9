"""A GPT and its training loop as people write them in plain PyTorch: the peer to beat.

    python benchmarks/baseline.py FILE

prints the seconds of training and the loss on the file's last tenth, in windows of 64.
It knows nothing of llm_core. The recipe is the known one for a processor on Tiny
Shakespeare, character by character (Karpathy, nanoGPT, 2022): 4 layers, 4 heads, 128
channels, rows of 64, batches of 12, 2,000 steps of AdamW with a cosine.
"""

import argparse
import json
from math import cos, pi
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, STEPS = 4, 4, 128, 64, 12, 2000
PEAK, LAST, WARMUP, BETAS, DECAY, CLIP = 1e-3, 1e-4, 100, (0.9, 0.99), 0.1, 1.0


class Block(nn.Module):
    """Attention, with queries, keys and values from one matrix, and feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm_2 = nn.LayerNorm(WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, HEADS, C // HEADS).transpose(1, 2)
            for part in self.qkv(self.norm_1(x)).split(C, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Tied head, learned positions, GPT-2's initialization."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                writes = name.endswith(("out.weight", "down.weight"))
                shrink = (2 * LAYERS) ** -0.5 if writes else 1.0
                nn.init.normal_(parameter, 0.0, 0.02 * shrink)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def learning_rate(step: int) -> float:
    """Warm-up, then a cosine."""
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return LAST + (PEAK - LAST) * (1 + cos(pi * (step - WARMUP) / (STEPS - WARMUP))) / 2


def make_optimizer(model: GPT) -> torch.optim.Optimizer:
    """AdamW, with decay for the matrices."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=PEAK, betas=BETAS)


def make_step(
    model: GPT, optimizer: torch.optim.Optimizer, ids: Tensor, step: int
) -> None:
    """Draw rows, and take one step."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step)
    starts = torch.randint(len(ids) - CONTEXT, (BATCH,))
    inputs = torch.stack([ids[i : i + CONTEXT] for i in starts])
    targets = torch.stack([ids[i + 1 : i + 1 + CONTEXT] for i in starts])
    loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def evaluate(model: GPT, ids: Tensor) -> float:
    """Mean loss in nats over the ids after the first, in windows side by side."""
    end = (len(ids) - 1) // CONTEXT * CONTEXT  # what is left is a window for itself
    inputs, targets = ids[:-1], ids[1:]
    windows = [
        *zip(
            inputs[:end].view(-1, CONTEXT).split(100),
            targets[:end].view(-1, CONTEXT).split(100),
            strict=True,
        )
    ]
    if end < len(inputs):
        windows.append((inputs[None, end:], targets[None, end:]))
    total = 0.0
    for rows, followers in windows:
        logits = model(rows).flatten(0, 1)
        total += F.cross_entropy(logits, followers.flatten(), reduction="sum").item()
    return total / len(targets)


def train(ids: Tensor, vocab_size: int, seed: int, steps: int) -> tuple[GPT, float]:
    """Train on a row of ids; return the model and the seconds that it took."""
    torch.manual_seed(seed)
    started = perf_counter()
    model = GPT(vocab_size)
    optimizer = make_optimizer(model)
    for step in range(steps):
        make_step(model, optimizer, ids, step)
    return model, perf_counter() - started


def main() -> None:
    """Train on nine tenths of a file, and print seconds and loss as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    text = arguments.file.read_text(encoding="utf-8")
    number = {character: i for i, character in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[character] for character in text])
    end = len(ids) * 9 // 10
    training = ids[:end], len(number), arguments.seed, arguments.steps
    model, seconds = train(*training)
    print(json.dumps({"seconds": seconds, "loss": evaluate(model, ids[end:])}))


if __name__ == "__main__":
    main()
