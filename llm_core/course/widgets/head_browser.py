"""A model and its tokenizer in, every head of it on a reader's own sentence out."""

from __future__ import annotations

from typing import Any

import torch
import traitlets

from llm_core.course.inspect import attention_maps
from llm_core.course.page_model import Packed, pack, quantized
from llm_core.course.widgets.base import Widget, table, visible
from llm_core.course.widgets.playground import for_page
from llm_core.generation import encode_prompt
from llm_core.model import GPTModel
from llm_core.tokenizer import Tokenizer


class HeadBrowser(Widget):
    """Whom each head of a model reads, in any sentence that is typed.

    The model runs where the reader is, with weights of 8 bits. Layers and heads count
    from 0 here, and from 1 in the figure's words; of a long text the first `longest`
    tokens are read. Raises ValueError for a text that the tokenizer cannot read, and
    for what `pack` cannot send.
    """

    header = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    longest = traitlets.Int(96).tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    focus = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        model: GPTModel,
        tokenizer: Tokenizer,
        text: str,
        layer: int = 0,
        head: int = 0,
    ) -> None:
        ids = encode_prompt(tokenizer, text)
        ids = ids[: min(model.config.max_seq_len, self.longest)]
        self._tokens = [tokenizer.decode([id]) for id in ids]
        maps = attention_maps(quantized(model), torch.tensor([ids]))[0]
        self._last = maps[:, :, -1]  # (L, H, T): whom the last token reads
        packed = pack(model, tokenizer)
        super().__init__(
            header=packed.header,
            weights=packed.weights,
            text=text,
            layer=layer,
            head=head,
            focus=len(ids) - 1,
        )

    def state(self) -> dict[str, Any]:
        """Return what the script reads in a page: of a model that ships, the name."""
        state = super().state()
        del state["header"], state["weights"]
        return state | for_page(Packed(self.header, self.weights))

    def fallback(self) -> str:
        """Return a table of what each head reads most at the last token."""
        share, at = self._last.max(dim=-1)  # (L, H) each
        rows = [
            [
                str(layer + 1),
                *(
                    f"{visible(self._tokens[int(i)])} {100 * float(p):.1f} %"
                    for p, i in zip(share[layer], at[layer], strict=True)
                ),
            ]
            for layer in range(len(share))
        ]
        heads = [f"head {head + 1}" for head in range(share.shape[1])]
        caption = f"What each head reads most at “{visible(self._tokens[-1])}”"
        return (
            f'<div class="llm-scroll">{table(["layer", *heads], rows, caption)}</div>'
        )
