"""A model, its tokenizer and the state of its training in, one folder out; and back.

A folder holds one subfolder for each of the last two saves. Each is written beside them
and renamed when it is complete, and lists the SHA-256 of its files; so a kill, a full
disk or a damaged file costs the newest save at most. Nothing in a folder is ever
executed: the tensors are safetensors, the rest is JSON. Does not know how a model is
trained.
"""

import json
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load as read_safetensors
from safetensors.torch import save as write_safetensors
from torch import Tensor

from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import Tokenizer

_MODEL, _CONFIG, _TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
_TENSORS, _VALUES = "training.safetensors", "training.json"
_MANIFEST = "manifest.json"
_FILES = {_MODEL, _CONFIG, _TOKENIZER, _TENSORS, _VALUES}
_KEPT = 2
_REPLACED = ".replaced"  # the save before, where both are of the same step
_MOST_UNSAVED = 2**26  # numbers in tables that a model computes rather than loads

T = TypeVar("T")
PRETRAINED = Path(__file__).parent / "pretrained"


class CheckpointError(ValueError):
    """A folder is not a checkpoint, or what it holds is damaged or does not fit."""


@dataclass(frozen=True)
class TrainingState:
    """What a run needs, beside the model, to go on as if it had not stopped."""

    step: int = 0
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)  # anything JSON can hold


def choose_device(name: str = "auto") -> torch.device:
    """Pick CUDA, else Apple's MPS, else the CPU; or the one named, if it is there.

    Only the CPU is promised to repeat a run bit for bit: CUDA and MPS add numbers in an
    order that may change. Raises ValueError where the named device is missing.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    found = [device for device, there in available.items() if there]
    if name == "auto":
        return torch.device(found[0])
    if name not in found:
        raise ValueError(f"this machine has {', '.join(found)}; got device {name!r}")
    return torch.device(name)


def save_checkpoint(
    folder: str | Path,
    model: GPTModel,
    tokenizer: Tokenizer,
    state: TrainingState | None = None,
) -> Path:
    """Save everything under `folder`, and return the subfolder that holds it.

    Keeps the save before this one and removes older ones, and those of later steps,
    which belong to a run that was given up. Raises CheckpointError if it cannot be
    written; what was saved before stays as it was.
    """
    folder, state = Path(folder), state or TrainingState()
    target = folder / f"step-{state.step:08d}"
    staging, replaced = folder / ".partial", folder / _REPLACED
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write_snapshot(staging, model, tokenizer, state)
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            target.rename(replaced)
        staging.rename(target)
        _flush(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise CheckpointError(
            f"could not save to {target}: {error.strerror or error}; "
            "earlier checkpoints are unchanged"
        ) from error
    saves = snapshots(folder)
    newest = saves.index(target)
    for unneeded in saves[:newest] + saves[newest + _KEPT :]:
        shutil.rmtree(unneeded, ignore_errors=True)
    return target


def write_snapshot(
    folder: Path, model: GPTModel, tokenizer: Tokenizer, state: TrainingState
) -> None:
    """Write the files of one save into an empty folder, and their hashes last."""
    # A tied head is the embedding itself: `state_dict` names it twice, one is enough.
    weights = {k: v for k, v in model.state_dict().items() if k != _tied(model.config)}
    (folder / _MODEL).write_bytes(_pack(weights))
    (folder / _CONFIG).write_text(_to_json(asdict(model.config)), encoding="utf-8")
    tokenizer.save(folder / _TOKENIZER)
    (folder / _TENSORS).write_bytes(_pack(state.tensors))
    values = {"step": state.step, **state.values}
    (folder / _VALUES).write_text(_to_json(values), encoding="utf-8")
    hashes = {path.name: _hash(path) for path in sorted(folder.iterdir())}
    (folder / _MANIFEST).write_text(_to_json(hashes), encoding="utf-8")
    for path in folder.iterdir():
        _flush(path)
    _flush(folder)


def snapshots(folder: Path) -> list[Path]:
    """List the saves in a folder, the newest first."""
    saves = sorted(folder.glob("step-" + "[0-9]" * 8), reverse=True)
    return [*saves, *folder.glob(_REPLACED)]


def load_checkpoint(
    folder: str | Path, device: str | torch.device = "cpu"
) -> tuple[GPTModel, Tokenizer]:
    """Load the newest good save of a folder: the model, set to evaluate, and tokenizer.

    A damaged save is passed over with a warning if an earlier one is whole. Raises
    CheckpointError, naming the file and the fault, if none is.
    """
    model, tokenizer, _ = load_training(folder, device)
    return model.eval(), tokenizer


def load_training(
    folder: str | Path, device: str | torch.device = "cpu"
) -> tuple[GPTModel, Tokenizer, TrainingState]:
    """Load the newest good save of a folder, with the state of its training."""
    folder = Path(folder)
    candidates = [folder] if (folder / _MANIFEST).is_file() else snapshots(folder)
    if not candidates:
        raise CheckpointError(
            f"{folder} holds no checkpoint: expected a folder that `llm-core train` "
            "or save_checkpoint has written"
        )
    faults = []
    for candidate in candidates:
        try:
            loaded = _read_snapshot(candidate, device)
        except CheckpointError as error:
            faults.append(str(error))
            continue
        for fault in faults:
            warnings.warn(f"{fault}; loaded {candidate.name} instead", stacklevel=3)
        return loaded
    raise CheckpointError("; ".join(faults))


def load_pretrained(name: str) -> tuple[GPTModel, Tokenizer]:
    """Load a model that ships with the package; ValueError for an unknown name."""
    names = sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir())
    if name not in names:
        raise ValueError(f"pretrained models are {', '.join(names)}; got {name!r}")
    return load_checkpoint(PRETRAINED / name)


def _read_snapshot(
    folder: Path, device: str | torch.device
) -> tuple[GPTModel, Tokenizer, TrainingState]:
    manifest = _read_json(folder / _MANIFEST)
    if manifest.keys() != _FILES:
        raise CheckpointError(f"{folder / _MANIFEST} must list {sorted(_FILES)}")
    for name, expected in manifest.items():
        if _parse(folder / name, _hash) != expected:
            raise CheckpointError(f"{folder / name} was changed or cut short")
    config = _parse(folder / _CONFIG, lambda path: GPTConfig(**_read_json(path)))
    model = _build(config, _parse(folder / _MODEL, _unpack), folder / _MODEL)
    tokenizer = _parse(folder / _TOKENIZER, Tokenizer.load)
    if tokenizer.vocab_size != config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
            f"the model {config.vocab_size}"
        )
    values = _parse(folder / _VALUES, _read_json)
    step = values.pop("step", None)
    if type(step) is not int or step < 0:
        raise CheckpointError(f"{folder / _VALUES}: expected a step, got {step!r:.40}")
    state = TrainingState(step, _parse(folder / _TENSORS, _unpack), values)
    return model.to(device), tokenizer, state


def _build(config: GPTConfig, weights: dict[str, Tensor], path: Path) -> GPTModel:
    """Make the model, once it is clear that the file holds just its tensors."""
    # A wild config must not make us allocate more than the file itself has.
    if config.num_layers > len(weights):
        raise CheckpointError(f"{path} has no {config.num_layers} layers")
    shapes = _parse(path.parent / _CONFIG, lambda _: _expected_shapes(config))
    for name in sorted(shapes.keys() | weights.keys()):
        expected = tuple(shapes[name]) if name in shapes else "no such tensor"
        got = tuple(weights[name].shape) if name in weights else "none"
        if expected != got:
            raise CheckpointError(f"{path}: {name}: expected {expected}, got {got}")
    model = GPTModel(config)
    model.load_state_dict(weights, strict=False)  # the tied head follows its embedding
    return model


def _expected_shapes(config: GPTConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = GPTModel(config)
    if sum(table.numel() for table in model.buffers()) > _MOST_UNSAVED:
        raise ValueError(f"max_seq_len is too large, got {config.max_seq_len}")
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    shapes.pop(_tied(config), None)
    return shapes


def _tied(config: GPTConfig) -> str:
    return "head.weight" if config.tie_embeddings else ""


def _parse(path: Path, read: Callable[[Path], T]) -> T:
    """Read a file, turning whatever may go wrong into an error that names it."""
    try:
        return read(path)
    except CheckpointError:
        raise
    except Exception as error:  # safetensors and JSON raise many kinds
        fault = "is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise CheckpointError(f"{path}: {fault}") from error


def _read_json(path: Path) -> dict[str, Any]:
    value = _parse(path, lambda path: json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {value!r:.40}")
    return value


def _to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def _pack(tensors: Mapping[str, Tensor]) -> bytes:
    return write_safetensors({k: v.cpu().contiguous() for k, v in tensors.items()})


def _unpack(path: Path) -> dict[str, Tensor]:
    return read_safetensors(path.read_bytes())


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
