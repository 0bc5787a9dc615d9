"""A model and its tokenizer in, the model at work in a reader's page out."""

from __future__ import annotations

import base64
import json
from functools import cache
from hashlib import sha256
from typing import Any

import torch
import traitlets

from llm_core.checkpoint import PRETRAINED, load_pretrained
from llm_core.course.page_model import Packed, pack, quantized
from llm_core.course.widgets.base import Widget, table, visible
from llm_core.generation import encode_prompt
from llm_core.model import GPTModel
from llm_core.stories import GRAMMAR
from llm_core.tokenizer import Tokenizer


class Playground(Widget):
    """Let a model write; see at each place what else it could have written, and choose.

    The model runs where the reader is, with weights of 8 bits. `prompt` is how the text
    begins, and `text` what there is of it when the model rests. Raises ValueError for a
    prompt that the tokenizer cannot read, and for what `pack` cannot send.
    """

    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    grammar = traitlets.Unicode(GRAMMAR).tag(sync=True)
    prompt = traitlets.Unicode().tag(sync=True)
    temperature = traitlets.Float(1.0).tag(sync=True)
    top_k = traitlets.Int().tag(sync=True)
    top_p = traitlets.Float(1.0).tag(sync=True)
    min_p = traitlets.Float(0.0).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    place = traitlets.Int(0).tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)

    def __init__(self, model: GPTModel, tokenizer: Tokenizer, prompt: str = "") -> None:
        self._expected = _expected(model, tokenizer, prompt)
        packed = pack(model, tokenizer)
        super().__init__(
            header=packed.header,
            weights=packed.weights,
            prompt=prompt,
            text=prompt,
            top_k=tokenizer.vocab_size,
        )

    def state(self) -> dict[str, Any]:
        """Return what the script reads in a page: of a model that ships, the name."""
        state = super().state()
        del state["header"], state["weights"]
        state |= for_page(Packed(self.header, self.weights))
        if "shared" in state:
            del state["grammar"]  # it comes with the model
        return state

    def fallback(self) -> str:
        """Return a table of the likeliest tokens after the prompt."""
        rows = [(visible(token), f"{100 * p:.1f} %") for token, p in self._expected]
        return table(["token", "chance"], rows, f"Next after “{visible(self.prompt)}”")


def _expected(
    model: GPTModel, tokenizer: Tokenizer, prompt: str
) -> list[tuple[str, float]]:
    """Return the likeliest tokens after a prompt, and their chances in the page."""
    if tokenizer.vocab_size != model.config.vocab_size:
        raise ValueError(
            f"expected a tokenizer of {model.config.vocab_size} tokens, as the model "
            f"has, got one of {tokenizer.vocab_size}"
        )
    limit = model.config.max_seq_len
    ids = encode_prompt(tokenizer, prompt)
    ids = ids[-max(1, limit // 2) :] if len(ids) > limit else ids
    with torch.no_grad():
        logits = quantized(model).cpu().eval()(torch.tensor([ids]))[0, -1]
    found = logits.softmax(dim=-1).topk(min(8, len(logits)))
    return [
        (tokenizer.decode([int(id)]), float(p))
        for p, id in zip(found.values, found.indices, strict=True)
    ]


def for_page(packed: Packed) -> dict[str, Any]:
    """Return what a page finds a model by: the name of one that ships, or all of it."""
    shared = shipped().get(_digest(packed))
    if shared is not None:
        return {"shared": shared}
    return {"header": packed.header, "weights": _to_text(packed.weights)}


@cache
def shipped() -> dict[str, str]:
    """Return the scripts in which pages share models that ship: digest -> name."""
    return {_digest(packed): name for name, packed in _packed().items()}


@cache
def shared_scripts() -> dict[str, str]:
    """Return those scripts: name -> text. A page loads one when it needs the model."""
    return {
        name: f'globalThis.llmShared["{name}"] = '
        + json.dumps(
            {
                "header": packed.header,
                "weights": _to_text(packed.weights),
                "grammar": GRAMMAR,
            },
            separators=(",", ":"),
        )
        + ";\n"
        for name, packed in _packed().items()
    }


@cache
def _packed() -> dict[str, Packed]:
    names = sorted(path.name for path in PRETRAINED.iterdir() if path.is_dir())
    return {f"model_{name}": pack(*load_pretrained(name)) for name in names}


def _digest(packed: Packed) -> str:
    header = json.dumps(packed.header, sort_keys=True).encode()
    return sha256(header + packed.weights).hexdigest()


def _to_text(weights: bytes) -> str:
    return base64.b64encode(weights).decode()
