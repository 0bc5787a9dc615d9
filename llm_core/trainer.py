"""Batches in, better weights out, as a stream of reports; never prints, never plots.

Does not know what text is, where the ids came from, or who reads the reports.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite, log
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from llm_core.checkpoint import (
    CheckpointError,
    TrainingState,
    load_training,
    save_checkpoint,
)
from llm_core.data import TokenStream, evaluation_batches, sample_batch
from llm_core.model import GPTModel, evaluation_mode, next_token_loss
from llm_core.optim import (
    AdamW,
    Muon,
    block_matrices,
    parameter_groups,
    warmup_cosine,
    warmup_stable_decay,
)
from llm_core.tokenizer import Tokenizer

_SCHEDULES = {"cosine": warmup_cosine, "stable-decay": warmup_stable_decay}
# What the optimizers remember of each parameter.
_MOMENTS = {AdamW: ("step", "exp_avg", "exp_avg_sq"), Muon: ("momentum_buffer",)}


class TrainingDivergedError(ValueError):
    """The loss or a gradient is no longer a number; the weights are those before it."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train. Raises ValueError where a value is outside its range."""

    steps: int = 1000
    batch_size: int = 32  # rows of max_seq_len ids, in each accumulation step
    accumulation_steps: int = 1  # batches whose gradients make one step
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3  # of AdamW, at its peak
    matrix_learning_rate: float = 0.02  # of Muon, at its peak
    schedule: Literal["cosine", "stable-decay"] = "cosine"
    warmup_steps: int = 100
    final_fraction: float = 0.1  # of the peak, at the last step
    weight_decay: float = 0.1  # of matrices
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    evaluate_every: int = 200
    seed: int = 0  # of the order of the data
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))  # JSON has lists only
        for name in ("steps", "batch_size", "accumulation_steps", "evaluate_every"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                got = getattr(self, name)
                raise ValueError(f"{name} must be a positive integer, got {got!r}")
        for name in ("learning_rate", "matrix_learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                got = getattr(self, name)
                raise ValueError(f"{name} must be a positive number, got {got!r}")
        for name in ("warmup_steps", "seed"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                got = getattr(self, name)
                raise ValueError(f"{name} must be an integer from 0 on, got {got!r}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must be 0 or more, got {self.weight_decay}")
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(
                f"final_fraction must be in [0, 1], got {self.final_fraction!r}"
            )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {self.betas!r}")
        if type(self.compile) is not bool:
            raise ValueError(f"compile must be True or False, got {self.compile!r}")
        for name, choices in (
            ("optimizer", ("adamw", "muon")),
            ("schedule", tuple(_SCHEDULES)),
            ("precision", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in choices:
                got = getattr(self, name)
                raise ValueError(f"{name} must be one of {choices}, got {got!r}")


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What happened in one step. Losses are in nats per token."""

    step: int  # counted from 1
    loss: float  # of this step's batch, before the update
    bits_per_character: float  # the same, by the training text's characters per token
    learning_rate: float  # of AdamW
    grad_norm: float  # before clipping
    tokens_per_second: float
    evaluation: "Evaluation | None"  # on the validation text, where this step made one


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well a model predicts a stream, read from the start of each document."""

    loss: float
    bits_per_character: float


@torch.no_grad()
def evaluate(model: GPTModel, stream: TokenStream, batch_size: int = 32) -> Evaluation:
    """Measure the loss on every id of a stream, without dropout."""
    device = model.token_embedding.weight.device
    nats, num_targets = 0.0, 0.0
    batches = evaluation_batches(stream, batch_size, model.config.max_seq_len)
    with evaluation_mode(model):
        for inputs, targets, weights in batches:
            logits = model(inputs.to(device))
            mean = next_token_loss(logits, targets.to(device), weights.to(device))
            nats += mean.item() * weights.sum().item()
            num_targets += weights.sum().item()
    return Evaluation(
        loss=nats / num_targets,
        bits_per_character=nats / log(2) / stream.num_characters,
    )


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """Make AdamW, or Muon for the blocks' matrices and AdamW for the rest."""
    matrices = block_matrices(model) if config.optimizer == "muon" else []
    chosen = set(matrices)
    rest = [p for p in model.parameters() if p not in chosen]
    adamw = AdamW(
        parameter_groups(rest, config.weight_decay),
        lr=config.learning_rate,
        betas=config.betas,
        fused=rest[0].device.type != "mps",
    )
    if not matrices:
        return [adamw]
    muon = Muon(
        matrices,
        learning_rate=config.matrix_learning_rate,
        weight_decay=config.weight_decay,
    )
    return [adamw, muon]


class Trainer:
    """A run: a model, its optimizers, and how many steps they have made."""

    def __init__(
        self,
        model: GPTModel,
        train: TokenStream,
        validation: TokenStream,
        config: TrainConfig,
    ) -> None:
        self.model, self.config = model, config
        self.train_stream, self.validation_stream = train, validation
        self.optimizers = build_optimizers(model, config)
        self.step = 0
        self._num_rows = config.batch_size  # of a batch, in all processes together
        self._peaks = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self._forward = torch.compile(model) if config.compile else model
        for stream in (train, validation):
            largest = int(stream.ids.max())
            if largest >= model.config.vocab_size:
                raise ValueError(
                    f"the model has ids up to {model.config.vocab_size - 1}, the data "
                    f"{largest}: make the model with the tokenizer's vocab_size"
                )

    def run(self) -> Iterator[StepReport]:
        """Train to the last step, yielding after each. Stop iterating to pause."""
        while self.step < self.config.steps:
            yield self._advance()

    def train(self, report: Callable[[StepReport], None] | None = None) -> None:
        """Train to the last step, handing each report to `report`."""
        for step_report in self.run():
            if report is not None:
                report(step_report)

    def _advance(self) -> StepReport:
        """Make one step: gradients, clipping, update."""
        config, started = self.config, perf_counter()
        learning_rate = self._set_learning_rate()
        self.model.train()
        loss = self._accumulate_gradients()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        grad_norm = norm.item()
        if not isfinite(loss) or not isfinite(grad_norm):
            raise TrainingDivergedError(
                f"step {self.step + 1}: the loss is {loss}, its gradient {grad_norm}: "
                "resume from the last checkpoint with a smaller learning rate"
            )
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        seconds = perf_counter() - started
        rows = self._num_rows * config.accumulation_steps
        return StepReport(
            step=self.step,
            loss=loss,
            bits_per_character=loss / log(2) / self.train_stream.characters_per_token,
            learning_rate=learning_rate,
            grad_norm=grad_norm,
            tokens_per_second=rows * self.model.config.max_seq_len / seconds,
            evaluation=self._evaluate_if_due(),
        )

    def _set_learning_rate(self) -> float:
        config = self.config
        share = _SCHEDULES[config.schedule](
            self.step, config.steps, config.warmup_steps, config.final_fraction
        )
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = share * peak
        return share * config.learning_rate

    def _accumulate_gradients(self) -> float:
        """Add up the gradients of one step's batches, and return their mean loss."""
        config = self.config
        device = self.model.token_embedding.weight.device
        total = 0.0
        self.model.zero_grad(set_to_none=True)
        for part in range(config.accumulation_steps):
            inputs, targets, weights = self._batch(part)
            with self._autocast(device):
                logits = self._forward(inputs.to(device))
                loss = next_token_loss(logits, targets.to(device), weights.to(device))
            torch.autograd.backward(loss / config.accumulation_steps)
            total += loss.item() / config.accumulation_steps
        return total

    def _batch(self, part: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw one of a step's batches; `distributed` shares them out."""
        config = self.config
        number = self.step * config.accumulation_steps + part
        length = self.model.config.max_seq_len
        return sample_batch(
            self.train_stream, self._num_rows, length, config.seed, number
        )

    def _autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    def _evaluate_if_due(self) -> Evaluation | None:
        last = self.step == self.config.steps
        if not last and self.step % self.config.evaluate_every:
            return None
        return evaluate(self.model, self.validation_stream, self.config.batch_size)

    def save(self, folder: str | Path, tokenizer: Tokenizer) -> Path:
        """Save the run as it stands, between two steps, for `Trainer.resume`."""
        return save_checkpoint(folder, self.model, tokenizer, self._state())

    def _state(self) -> TrainingState:
        tensors = {"random.cpu": torch.get_rng_state()}  # dropout draws from it
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        for optimizer, name, parameter in self._owned_parameters():
            for key, tensor in optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = tensor
        values = {
            "config": asdict(self.config),
            "data": self._fingerprint(),
            "rows": self._num_rows,
        }
        return TrainingState(self.step, tensors, values)

    def _owned_parameters(self) -> Iterator[tuple[Optimizer, str, Tensor]]:
        """Yield each parameter with its name and the optimizer that updates it."""
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    yield optimizer, names[parameter], parameter

    def _fingerprint(self) -> str:
        digest = sha256()
        for stream in (self.train_stream, self.validation_stream):
            for numbers in (stream.ids, stream.starts, stream.weights):
                # In pieces, since the ids may be more than memory holds.
                if numbers is None:
                    continue
                for start in range(0, len(numbers), 2**20):
                    part = numbers[start : start + 2**20]
                    digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        train: TokenStream,
        validation: TokenStream,
        device: str | torch.device = "cpu",
    ) -> "Trainer":
        """Take up a saved run where it stood; on the CPU, bit for bit.

        Raises CheckpointError if the folder's newest good save does not hold a run, or
        if the streams are not those it was trained on.
        """
        model, _, state = load_training(folder, device)
        if "config" not in state.values:
            raise CheckpointError(f"{folder} holds a model, but no run to resume")
        try:
            config = TrainConfig(**state.values["config"])
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: the run's config: {error}") from error
        trainer = cls(model, train, validation, config)
        if state.values.get("data") != trainer._fingerprint():
            raise CheckpointError(
                f"{folder} was trained on other data: pass the streams it began with"
            )
        rows = state.values.get("rows", config.batch_size)
        if rows != trainer._num_rows:
            raise CheckpointError(
                f"{folder}: a batch had {rows} rows, in all processes together, and "
                f"would have {trainer._num_rows}: resume with as many processes"
            )
        try:
            trainer._restore(state)
        except (KeyError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"{folder}: the run's state: {error}") from error
        return trainer

    def _restore(self, state: TrainingState) -> None:
        self.step = state.step
        for optimizer, name, parameter in self._owned_parameters():
            moments = {}
            for key in _MOMENTS[type(optimizer)] if self.step else ():
                tensor = state.tensors[f"{key}/{name}"]
                shape = () if key == "step" else parameter.shape
                moments[key] = tensor.view(shape).to(parameter)
            optimizer.state[parameter] = moments
        torch.set_rng_state(state.tensors["random.cpu"])
        if "random.cuda" in state.tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(state.tensors["random.cuda"])
