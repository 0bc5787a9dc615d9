"""A model and ids in, the ids or the text that follow out; knows nothing of training.

Logits pass through filters, each a function of its own, and one id is drawn from what
is left. Shapes: B batch, T time, V = vocab_size.
"""

from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_core.model import GPTModel, evaluation_mode
from llm_core.tokenizer import END_OF_TEXT, Tokenizer

_OUT = float("-inf")


def scale_by_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Divide the logits: below 1 sharpens the distribution, above 1 flattens it.

    (B, V) -> (B, V). At 0, the limit, only the largest logit of each row is left, and
    of equal ones the lowest id. Raises ValueError unless 0 <= temperature < infinity.

    >>> scale_by_temperature(torch.tensor([[1.0, 3.0, 3.0]]), 0.0)
    tensor([[-inf, 3., -inf]])
    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be 0 or more, got {temperature}")
    # Dividing by less than this overflows; what is left then is the largest logit
    # anyway.
    if temperature < 1e-6:
        return keep_top_k(logits, 1)
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Set all but the k largest logits of each row to -inf.

    (B, V) -> (B, V). Exactly min(k, V) survive: of equal logits, those with the lowest
    ids. Raises ValueError unless k >= 1.

    >>> keep_top_k(torch.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[-inf, 3., 2.]])
    """
    if type(k) is not int or k < 1:
        raise ValueError(f"top_k must be an integer from 1 on, got {k!r}")
    order = logits.argsort(dim=-1, descending=True, stable=True)  # (B, V)
    return logits.scatter(-1, order[:, k:], _OUT)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the most probable ids until their probabilities add up to p.

    (B, V) -> (B, V), others at -inf (Holtzman et al., 2020). At least one survives; of
    equal logits, the lowest ids come first. Raises ValueError unless 0 <= p <= 1.

    >>> keep_top_p(torch.tensor([[0.5, 0.3, 0.2]]).log(), 0.6).exp()
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"top_p must be in 0..1, got {p}")
    if p == 1:  # rounding must not drop the tail
        return logits
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # mass ahead of each id
    before[:, 0] = -1.0  # the first always stays
    return logits.scatter(-1, order, ordered.masked_fill(before >= p, _OUT))


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the ids at least p times as probable as the most probable one.

    (B, V) -> (B, V), others at -inf (Nguyen et al., 2024). Raises ValueError unless
    0 <= p <= 1.

    >>> keep_min_p(torch.tensor([[0.5, 0.4, 0.1]]).log(), 0.5).exp()
    tensor([[0.5000, 0.4000, 0.0000]])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"min_p must be in 0..1, got {p}")
    relative = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return logits.masked_fill(relative < p, _OUT)


def penalize_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make the ids already in a row less likely: (B, V), (B, T) -> (B, V).

    Their logits are divided by `penalty` where positive and multiplied by it where
    negative (Keskar et al., 2019). Raises ValueError unless penalty > 0.

    >>> penalize_repetition(torch.tensor([[4.0, 4.0]]), torch.tensor([[1]]), 2.0)
    tensor([[4., 2.]])
    """
    if not 0 < penalty < float("inf"):
        raise ValueError(f"repetition_penalty must be positive, got {penalty}")
    seen = logits.gather(-1, ids)  # (B, T)
    lowered = torch.where(seen > 0, seen / penalty, seen * penalty)
    return logits.scatter(-1, ids, lowered)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Which filters to apply. One that is None, or a penalty of 1, changes nothing."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        self.filter(torch.zeros(1, 1), torch.zeros(1, 1, dtype=torch.int64))

    def filter(self, logits: Tensor, ids: Tensor) -> Tensor:
        """(B, V), (B, T) -> (B, V): penalty, temperature, top-k, top-p, min-p."""
        if self.repetition_penalty != 1:
            logits = penalize_repetition(logits, ids, self.repetition_penalty)
        logits = scale_by_temperature(logits, self.temperature)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = keep_top_p(logits, self.top_p)
        if self.min_p is not None:
            logits = keep_min_p(logits, self.min_p)
        return logits


@dataclass(frozen=True)
class Sampled:
    """A new id for each row, (B,), and the log-probability the model gave it, (B,)."""

    ids: Tensor
    log_probabilities: Tensor


def sample(
    model: GPTModel,
    ids: Tensor,
    max_new_tokens: int,
    sampling: SamplingConfig,
    generator: torch.Generator | None = None,
) -> Iterator[Sampled]:
    """Yield the ids that follow the rows of `ids`, (B, T), one step at a time.

    When the model's max_seq_len is full, the newest half is kept and read again from
    position 0. Rows have one length: prompts of different lengths need a call each.
    Raises ValueError for ids that are empty, ragged or out of range.
    """
    _check_prompt(model, ids, max_new_tokens)
    cache = model.new_cache(len(ids))
    unread, limit = ids, model.config.max_seq_len
    for _ in range(max_new_tokens):
        if cache.length + unread.shape[1] > limit:
            cache.clear()
            unread = ids[:, -max(1, limit // 2) :]
        # A tenth faster than no_grad, and what leaves the loop is not made in here.
        with torch.inference_mode(), evaluation_mode(model):
            logits = model(unread, cache)[:, -1]  # (B, V)
        probabilities = sampling.filter(logits, ids).softmax(dim=-1)
        unread = torch.multinomial(probabilities, 1, generator=generator)  # (B, 1)
        ids = torch.cat([ids, unread], dim=1)
        log_probabilities = logits.log_softmax(dim=-1).gather(-1, unread)
        yield Sampled(unread[:, 0], log_probabilities[:, 0])


def _check_prompt(model: GPTModel, ids: Tensor, max_new_tokens: int) -> None:
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.dtype != torch.int64:
        got = type(ids).__name__
        if isinstance(ids, Tensor):
            got = f"{ids.dtype} of shape {tuple(ids.shape)}"
        raise ValueError(
            f"ids must be an int64 tensor of shape (batch, time), got {got}; "
            "prompts of different lengths need a call each"
        )
    if not ids.numel():
        raise ValueError(
            "ids must hold at least one id a row: there is nothing to follow"
        )
    vocab_size = model.config.vocab_size
    if int(ids.min()) < 0 or int(ids.max()) >= vocab_size:
        raise ValueError(
            f"ids must be in 0..{vocab_size - 1}, "
            f"got {int(ids.min())}..{int(ids.max())}"
        )
    if type(max_new_tokens) is not int or max_new_tokens < 0:
        raise ValueError(
            f"max_new_tokens must be an integer from 0 on, got {max_new_tokens!r}"
        )


def generate(
    model: GPTModel,
    ids: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue each row: (B, T) -> (B, T + max_new_tokens). See `sample`."""
    sampling = SamplingConfig(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    steps = sample(model, ids, max_new_tokens, sampling, generator)
    return torch.cat([ids, *(step.ids[:, None] for step in steps)], dim=1)


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Encode text as a document's beginning, after an end-of-text id if there is one.

    Raises ValueError where that leaves nothing.
    """
    start = tokenizer.special_tokens.get(END_OF_TEXT)
    ids = tokenizer.encode(prompt)
    if start is not None:
        ids = [start, *ids]
    if not ids:
        raise ValueError(f"an empty prompt needs a tokenizer with {END_OF_TEXT!r}")
    return ids


def stream_text(
    model: GPTModel,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int = 256,
    *,
    stop: Sequence[str] = (),
    sampling: SamplingConfig | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[str]:
    """Yield the text that follows the prompt, piece by piece, as it is drawn.

    It ends at the end-of-text id, before the first of the `stop` strings, or after
    max_new_tokens. A piece is held back while it may still become a stop string, or a
    character of which some bytes are missing.
    """
    if isinstance(stop, str) or "" in stop:
        raise ValueError(f"stop must be a list of texts with characters, got {stop!r}")
    device = model.token_embedding.weight.device
    ids = torch.tensor([encode_prompt(tokenizer, prompt)], device=device)
    end = tokenizer.special_tokens.get(END_OF_TEXT)
    utf8 = getincrementaldecoder("utf-8")("replace")
    text = ""
    for step in sample(
        model, ids, max_new_tokens, sampling or SamplingConfig(), generator
    ):
        new_id = int(step.ids)
        if new_id == end:
            break
        text += utf8.decode(tokenizer.token_bytes(new_id))
        found = [text.index(string) for string in stop if string in text]
        safe = min(found, default=len(text) - _length_held_back(text, stop))
        if safe:
            yield text[:safe]
        if found:
            return
        text = text[safe:]
    if rest := text + utf8.decode(b"", final=True):
        yield rest


def _length_held_back(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of the text may be the start of a stop string."""
    lengths = [
        length
        for string in stop
        for length in range(1, len(string))
        if text.endswith(string[:length])
    ]
    return max(lengths, default=0)


def generate_text(
    model: GPTModel,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int = 256,
    *,
    stop: Sequence[str] = (),
    sampling: SamplingConfig | None = None,
    generator: torch.Generator | None = None,
) -> str:
    """Return the text that follows the prompt. See `stream_text`."""
    pieces = stream_text(
        model,
        tokenizer,
        prompt,
        max_new_tokens,
        stop=stop,
        sampling=sampling,
        generator=generator,
    )
    return "".join(pieces)
