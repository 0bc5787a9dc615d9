"""Names in, modules out, each loaded on first use; knows only where a name lives.

`from llm_core import BPETokenizer` therefore imports no torch, and `llm-core --help` is
instant (PEP 562).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Every public name of the package, by the module that defines it.
_NAMES = {
    "tokenizer": ["BPETokenizer", "CharacterTokenizer", "END_OF_TEXT", "Tokenizer"],
    "stories": ["Story", "check_story", "sample_stories", "sample_story"],
    "corpus": ["Corpus", "load_corpus"],
    "data": ["TokenStream", "encode_corpus", "evaluation_batches", "sample_batch"],
    "attention": [
        "KeyValueCache",
        "MultiHeadAttention",
        "attention_weights",
        "causal_attention",
    ],
    "model": [
        "PRESETS",
        "FeedForward",
        "GPTConfig",
        "GPTModel",
        "TransformerBlock",
        "estimate_model_size",
        "next_token_loss",
    ],
    "optim": ["Muon", "parameter_groups"],
    "trainer": ["StepReport", "TrainConfig", "Trainer"],
    "checkpoint": [
        "CheckpointError",
        "choose_device",
        "load_checkpoint",
        "load_pretrained",
        "save_checkpoint",
    ],
    "generation": ["generate", "generate_text", "stream_text"],
    "interop": ["from_pretrained", "load_gpt2", "save_gpt2"],
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    """Import the module that defines `name`, once, and hand the name over."""
    if name not in _HOME:
        raise AttributeError(f"module 'llm_core' has no attribute {name!r}")
    value = getattr(import_module(f"llm_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the lazy names too, so that completion works."""
    return sorted({*globals(), *_HOME})
