"""Other people's files in, our models and tokenizers out, and back.

Reads and writes GPT-2 as Hugging Face keeps it, `tokenizer.json`, and the ranks of
tiktoken. Knows nothing of training or sampling, and runs no code from a file.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from llm_core.checkpoint import CheckpointError
from llm_core.corpus import Download, Progress, cache_folder, download
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import END_OF_TEXT, GPT2_PATTERN, BPETokenizer, Tokenizer

_T = TypeVar("_T")

# GPT-2 small, as its makers published it (Radford et al., 2019).
_GPT2_URL = (
    "https://huggingface.co/openai-community/gpt2/resolve/"
    "607a30d783dfa663caf39e06633721c8d4cfcd7e/"
)
_GPT2_FILES = {
    "config.json": "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
    "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "model.safetensors": (
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
    ),
}

# ------------------------------------------------------------------ weights

# Parts of our names, and of GPT-2's.
_GPT2_NAMES = {
    "token_embedding.": "wte.",
    "positions": "wpe.weight",
    "final_norm.": "ln_f.",
    "blocks.": "h.",
    "attention_norm.": "ln_1.",
    ".attention.output.": ".attn.c_proj.",
    ".attention.": ".attn.",
    "feed_forward_norm.": "ln_2.",
    "feed_forward.up.": "mlp.c_fc.",
    "feed_forward.down.": "mlp.c_proj.",
    "head.": "lm_head.",
}
_TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
_BUFFERS = (".attn.bias", ".attn.masked_bias")  # masks, which are no weights


def to_gpt2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model under GPT-2's names, and in its shapes.

    GPT-2 keeps query, key and value as one matrix, and the matrices of its blocks as
    (inputs, outputs), which is the transpose of torch's.
    """
    theirs: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for our, their in _GPT2_NAMES.items():
            name = name.replace(our, their)
        theirs[name] = tensor
    for name in [name for name in theirs if ".attn.query." in name]:
        names = [name.replace("query", part) for part in ("query", "key", "value")]
        fused = torch.cat([theirs.pop(part) for part in names])  # (3C, C) or (3C,)
        theirs[name.replace("query", "c_attn")] = fused
    return {
        name: tensor.T if name.endswith(_TRANSPOSED) else tensor
        for name, tensor in theirs.items()
    }


def from_gpt2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights under our names and in our shapes; undoes `to_gpt2`."""
    ours: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith(_TRANSPOSED):
            tensor = tensor.T
        for our, their in _GPT2_NAMES.items():
            name = name.replace(their, our)
        if ".c_attn." in name:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            ours |= {name.replace("c_attn", part): piece for part, piece in parts}
        else:
            ours[name] = tensor
    return ours


def load_gpt2(folder: str | Path) -> tuple[GPTModel, Tokenizer]:
    """Load a GPT-2 and its tokenizer from a folder in Hugging Face's layout.

    The folder holds `config.json`, `model.safetensors`, and either `tokenizer.json` or
    `vocab.json` and `merges.txt`. Raises CheckpointError with the file and the fault.
    """
    folder = Path(folder)
    config = _read(folder / "config.json", lambda path: _parse_config(_json(path)))
    model = _read(folder / "model.safetensors", lambda path: _fill(config, path))
    if (folder / "tokenizer.json").is_file():
        tokenizer = read_tokenizer_json(folder / "tokenizer.json")
    else:
        tokenizer = read_vocabulary(folder / "vocab.json", folder / "merges.txt")
    if tokenizer.vocab_size != config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, "
            f"the model {config.vocab_size}"
        )
    return model, tokenizer


def save_gpt2(folder: str | Path, model: GPTModel, tokenizer: BPETokenizer) -> None:
    """Write a model and its tokenizer so that `transformers` loads them as a GPT-2.

    Raises ValueError if the model has parts that GPT-2 has not, if the tokenizer is not
    the model's, or if the folder is there and not empty.
    """
    folder, config = Path(folder), model.config
    values = _write_config(config, tokenizer)
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, "
            f"the model {config.vocab_size}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} must be new or empty: nothing is overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    weights = to_gpt2(_untied(model))
    tensors = {f"transformer.{name}": weights[name] for name in weights}
    if not config.tie_embeddings:
        tensors["lm_head.weight"] = tensors.pop("transformer.lm_head.weight")
    tensors = {name: tensors[name].cpu().contiguous() for name in tensors}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer_json(tokenizer, folder / "tokenizer.json")
    text = json.dumps(values, indent=2) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")


def from_pretrained(
    name: str, progress: Progress | None = None
) -> tuple[GPTModel, Tokenizer]:
    """Load "gpt2", the smallest GPT-2 (Radford et al., 2019): 124 million parameters.

    Its files, 550 MB, are downloaded on first use and checked against their SHA-256.
    `progress` is called with the bytes there are of a file, and its size. Raises
    ValueError for another name, and CorpusError where a file cannot be had.
    """
    if name != "gpt2":
        raise ValueError(f'the name that can be downloaded is "gpt2", got {name!r}')
    for file, sha256 in _GPT2_FILES.items():
        download(f"gpt2/{file}", Download(_GPT2_URL + file, sha256), progress)
    return load_gpt2(cache_folder() / "gpt2")


def _fill(config: GPTConfig, path: Path) -> GPTModel:
    """Make a model with a file's weights, if the file has just those."""
    found = {
        name.removeprefix("transformer."): tensor
        for name, tensor in load_file(path).items()
        if not name.endswith(_BUFFERS)
    }
    if config.tie_embeddings:
        found.pop("lm_head.weight", None)
    if config.num_layers > len(found):  # or a wild config would allocate without end
        raise ValueError(f"it has no {config.num_layers} layers")
    with torch.device("meta"):
        expected = to_gpt2(_untied(GPTModel(config)))
    for name in sorted(expected.keys() | found.keys()):
        wanted = tuple(expected[name].shape) if name in expected else "no such tensor"
        got = tuple(found[name].shape) if name in found else "none"
        if wanted != got:
            raise ValueError(f"{name}: expected {wanted}, got {got}")
    model = GPTModel(config)
    model.load_state_dict(from_gpt2(found), strict=False)  # a tied head follows
    return model


def _untied(model: GPTModel) -> dict[str, Tensor]:
    """Return each weight once: a tied head is the embedding's."""
    weights = model.state_dict()
    if model.config.tie_embeddings:
        del weights["head.weight"]
    return weights


def _parse_config(values: Mapping[str, Any]) -> GPTConfig:
    """Read GPT-2's config.json; what it leaves out has GPT-2's usual value."""
    fixed = {
        "model_type": ("gpt2",),
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (1e-5,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
    }
    for name, choices in fixed.items():
        if values.get(name, choices[0]) not in choices:
            raise ValueError(f"{name} must be {choices[0]!r}, got {values[name]!r}")
    return GPTConfig(
        vocab_size=values["vocab_size"],
        d_model=values["n_embd"],
        num_heads=values["n_head"],
        num_layers=values["n_layer"],
        max_seq_len=values["n_positions"],
        d_ff=values.get("n_inner"),
        dropout=values.get("resid_pdrop", 0.1),
        tie_embeddings=values.get("tie_word_embeddings", True),
    )


def _write_config(config: GPTConfig, tokenizer: BPETokenizer) -> dict[str, Any]:
    values = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_head": config.num_heads,
        "n_layer": config.num_layers,
        "n_positions": config.max_seq_len,
        "n_inner": config.d_ff,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "tie_word_embeddings": config.tie_embeddings,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": tokenizer.special_tokens.get(END_OF_TEXT),
        "eos_token_id": tokenizer.special_tokens.get(END_OF_TEXT),
    }
    read = asdict(_parse_config(values))
    if config.key_value_heads == config.num_heads:
        read["num_kv_heads"] = config.num_kv_heads
    for name, value in asdict(config).items():
        if value != read[name]:
            raise ValueError(f"GPT-2 has no {name}={value!r}, and cannot be given it")
    return values


# --------------------------------------------------------------- tokenizers

# GPT-2 writes each byte as a character that can be seen: itself where it is one, and
# the others, in order, as those from U+0100 on.
_SEEN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_UNSEEN = [byte for byte in range(256) if byte not in _SEEN]
_CHARACTERS = {byte: chr(byte) for byte in _SEEN} | {
    byte: chr(256 + number) for number, byte in enumerate(_UNSEEN)
}
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


def read_tokenizer_json(path: str | Path) -> BPETokenizer:
    """Read the `tokenizer.json` of a byte-level BPE, which gives the same ids here.

    Raises CheckpointError with the path and the fault if the file is anything else.
    """
    return _read(Path(path), lambda path: _parse_tokenizer(_json(path)))


def write_tokenizer_json(tokenizer: BPETokenizer, path: str | Path) -> None:
    """Write a `tokenizer.json`, with which `tokenizers` gives the same ids.

    A pattern of your own is written as it is, and means there what that library's
    engine for regular expressions makes of it.
    """
    vocabulary, merges = _as_characters(tokenizer)
    added = [
        {
            "id": id,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token, id in tokenizer.special_tokens.items()
    ]
    content = {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(tokenizer.pattern),
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    Path(path).write_text(text, encoding="utf-8")


def read_vocabulary(vocabulary: str | Path, merges: str | Path) -> BPETokenizer:
    """Read GPT-2's own two files, `vocab.json` and `merges.txt`.

    What is in the vocabulary and no merge makes is a special token. Raises
    CheckpointError with the path and the fault.
    """
    ids = _read(Path(vocabulary), _json)
    lines = _read(Path(merges), lambda path: path.read_text(encoding="utf-8"))
    pairs = [line.split(" ") for line in lines.splitlines() if line]
    pairs = [pair for pair in pairs if pair[0] != "#version:"]
    made = {*_BYTES, *("".join(pair) for pair in pairs)}
    special_tokens = {token: id for token, id in ids.items() if token not in made}
    return _read(Path(merges), lambda _: _from_characters(ids, pairs, special_tokens))


def read_tiktoken(
    path: str | Path,
    special_tokens: Mapping[str, int],
    pattern: str = GPT2_PATTERN,
) -> BPETokenizer:
    """Read a file of tiktoken's ranks: a token in base64 and its id, line by line.

    Raises CheckpointError with the path and the fault.
    """

    def parse(path: Path) -> BPETokenizer:
        lines = path.read_text(encoding="ascii").split("\n")
        pairs = [line.split() for line in lines if line]
        ranks = {b64decode(token, validate=True): int(id) for token, id in pairs}
        return BPETokenizer.from_ranks(ranks, special_tokens, pattern)

    return _read(Path(path), parse)


def write_tiktoken(tokenizer: BPETokenizer, path: str | Path) -> None:
    """Write a file of tiktoken's ranks. Special tokens and pattern are not part of it.

    `tiktoken.load.load_tiktoken_bpe` reads it; `tiktoken.Encoding` takes the rest.
    """
    lines = [
        f"{b64encode(token).decode()} {id}\n" for token, id in ranks(tokenizer).items()
    ]
    Path(path).write_text("".join(lines), encoding="ascii")


def ranks(tokenizer: BPETokenizer) -> dict[bytes, int]:
    """Return the ids by bytes, without special tokens, in the order of the ids."""
    if not isinstance(tokenizer, BPETokenizer):
        raise ValueError(f"expected a BPETokenizer, got a {type(tokenizer).__name__}")
    special_ids = set(tokenizer.special_tokens.values())
    ordinary = (id for id in range(tokenizer.vocab_size) if id not in special_ids)
    return {tokenizer.token_bytes(id): id for id in ordinary}


_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}


def _pre_tokenizer(pattern: str) -> dict[str, Any]:
    """Say in `tokenizers`' words how text is cut before it is merged."""
    if pattern == GPT2_PATTERN:
        return _BYTE_LEVEL
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    whole = {**_BYTE_LEVEL, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, whole]}


def _pattern(pre_tokenizer: Any) -> str:
    """Find the pattern behind a pre-tokenizer; ValueError for one we do not have."""
    settings = ("type", "add_prefix_space", "use_regex")
    match pre_tokenizer:
        case {
            "type": "Sequence",
            "pretokenizers": [{"pattern": {"Regex": str(own)}}, _],
        }:
            expected = _pre_tokenizer(own)
            if json.dumps(pre_tokenizer, sort_keys=True) == json.dumps(
                expected, sort_keys=True
            ):
                return own
        case dict() if all(
            pre_tokenizer.get(name, _BYTE_LEVEL[name]) == _BYTE_LEVEL[name]
            for name in settings
        ):
            return GPT2_PATTERN
    raise ValueError(
        "pre_tokenizer must be ByteLevel without add_prefix_space, or a Split by a "
        f"Regex before it, got {json.dumps(pre_tokenizer):.200}"
    )


def _parse_tokenizer(content: Mapping[str, Any]) -> BPETokenizer:
    model = content["model"]
    expected = {"type": "BPE", "byte_fallback": False, "ignore_merges": False}
    for name, value in expected.items():
        if model.get(name, value) != value:
            raise ValueError(f"{name} must be {value!r}, got {model[name]!r}")
    if content.get("normalizer") is not None:
        raise ValueError(f"normalizer must be null, got {content['normalizer']!r:.80}")
    special = {token["content"]: token["id"] for token in content["added_tokens"]}
    pairs = [
        pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]
    ]
    pattern = _pattern(content["pre_tokenizer"])
    return _from_characters(model["vocab"], pairs, special, pattern)


def _as_characters(
    tokenizer: BPETokenizer,
) -> tuple[dict[str, int], list[list[str]]]:
    """Write the ids by token, and the merges in order, in GPT-2's characters."""

    def written(id: int) -> str:
        return "".join(_CHARACTERS[byte] for byte in tokenizer.token_bytes(id))

    vocabulary = {written(id): id for id in ranks(tokenizer).values()}
    in_order = sorted(tokenizer.merges, key=tokenizer.merges.__getitem__)
    merges = [[written(left), written(right)] for left, right in in_order]
    return vocabulary, merges


def _from_characters(
    vocabulary: Mapping[str, int],
    merges: Iterable[list[str]],
    special_tokens: Mapping[str, int],
    pattern: str = GPT2_PATTERN,
) -> BPETokenizer:
    """Make a tokenizer of what is written in GPT-2's characters.

    Raises ValueError if the merges are not in the order of the ids, which is how ours
    merges, or are others than the vocabulary tells.
    """
    found: dict[bytes, int] = {}
    for token, id in vocabulary.items():
        if token in special_tokens:
            continue
        if not set(token) <= _BYTES.keys():
            raise ValueError(f"the token {token!r} is not written in byte characters")
        found[bytes(_BYTES[character] for character in token)] = id
    tokenizer = BPETokenizer.from_ranks(found, special_tokens, pattern)
    for ours, theirs in zip(_as_characters(tokenizer)[1], merges, strict=True):
        if ours != theirs:
            raise ValueError(f"the ids expect the merge {ours} where {theirs} stands")
    return tokenizer


# -------------------------------------------------------------------- files


def _read(path: Path, parse: Callable[[Path], _T]) -> _T:
    """Read a file, turning whatever may go wrong into an error that names it."""
    try:
        return parse(path)
    except CheckpointError:
        raise
    except Exception as error:  # safetensors and JSON raise many kinds
        fault = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        if isinstance(error, FileNotFoundError):
            fault = "is missing"
        raise CheckpointError(f"{path}: {fault}") from error


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {value!r:.40}")
    return value
