"""Text in, ids out, and back, by characters or byte pairs; knows nothing of models.

A tokenizer is a numbered list of tokens. `CharacterTokenizer` has one token for each
character that it was trained on. `BPETokenizer` (byte-pair encoding) starts from the
256 bytes, with which it can write any text, and learns to merge the pairs that occur
most often. It does so inside words: the text is first cut by a pattern, and no token
crosses a cut. Special tokens, such as END_OF_TEXT, mark places in the stream of ids; no
token is learned from them or across them.

The functions come first, in the order of their use: split, count, merge, encode.
"""

import gc
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from operator import index
from pathlib import Path
from typing import Any, Self, TypeVar

import regex

END_OF_TEXT = "<|endoftext|>"

# How GPT-2 cuts text: English contractions; a run of letters, of digits, or of other
# signs, each with the space before it; white space, which leaves its last character to
# the next word.
GPT2_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
# After such characters GPT2_PATTERN ends a word, whatever comes before or later.
_GPT2_CUTS = r"\S(?=\s)|\p{L}(?=\P{L})"
_NOWHERE = r"(?!)"

_PIECE = 2**14  # characters that are encoded at once
_CACHED_WORDS, _CACHED_WORD_LENGTH = 2**16, 64
_LONGEST_PATTERN = 2000  # to compile a very long one can take minutes
_FORMAT, _VERSION = "llm_core tokenizer", 1

_Item = TypeVar("_Item")
# A pair in a heap: -count, the keys of its two tokens, the pair.
QueueEntry = tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, int]]


def split_special(text: str, special_tokens: Iterable[str]) -> list[str]:
    """Cut text before and after each special token.

    Where several begin at the same place, the longest counts.

    >>> split_special("one<end>two", ["<end>"])
    ['one', '<end>', 'two']
    """
    present = [token for token in special_tokens if token in text]
    if not present:
        return [text]
    longest_first = sorted(present, key=len, reverse=True)
    either = "|".join(map(regex.escape, longest_first))
    return [part for part in regex.split(f"({either})", text) if part]


def split_words(text: str, pattern: str) -> list[str]:
    """Cut text into words: what the pattern finds, one after the other.

    Raises ValueError if the pattern leaves out a part of the text, which then could not
    be decoded, or if one other than GPT-2's takes hopelessly long.

    >>> split_words("We'll see: 3 birds!", GPT2_PATTERN)
    ['We', "'ll", ' see', ':', ' 3', ' birds', '!']
    """
    patience = None if pattern == GPT2_PATTERN else 10 + len(text) / 100_000  # seconds
    try:
        # Holding on to the interpreter's lock from match to match saves a fifth.
        words: list[str] = regex.findall(
            pattern, text, concurrent=False, timeout=patience
        )
    except (TimeoutError, MemoryError) as error:
        raise ValueError(
            f"the pattern {pattern!r} takes too much time or memory on {len(text)} "
            "characters: look for a repeat inside a repeat"
        ) from error
    if (kept := "".join(words)) != text:
        at = next(at for at, sign in enumerate(text) if kept[at : at + 1] != sign)
        raise ValueError(
            f"the pattern {pattern!r} must match every character, but leaves out "
            rf"{text[at]!r} at position {at}: add '|[\s\S]' to it"
        )
    return words


def count_words(texts: Iterable[str], pattern: str) -> Counter[bytes]:
    """Count the words of all texts, each word as its UTF-8 bytes.

    >>> count_words(["to be", "not to be"], GPT2_PATTERN)
    Counter({b' be': 2, b'to': 1, b'not': 1, b' to': 1})
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split_words(text, pattern))
    return Counter({word.encode(): count for word, count in counts.items()})


def count_pairs(words: Iterable[tuple[Sequence[int], int]]) -> Counter[tuple[int, int]]:
    """Count neighbouring ids. Each word comes with the number of times it occurs.

    >>> count_pairs([([7, 8, 9], 10), ([7, 8], 1)])
    Counter({(7, 8): 11, (8, 9): 10})
    """
    counts: Counter[tuple[int, int]] = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def best_pair(
    counts: Mapping[tuple[int, int], int], tokens: Sequence[bytes]
) -> tuple[int, int]:
    """Choose the pair to merge next: the most frequent one.

    Of equally frequent pairs it is the one whose bytes come last in alphabetical order;
    the left tokens are compared first, then the right ones. `tokens` are bytes by id.

    >>> best_pair({(0, 1): 5, (1, 0): 5, (1, 1): 2}, [b"a", b"b"])
    (1, 0)
    """
    return max(counts, key=lambda pair: (counts[pair], *(tokens[id] for id in pair)))


def merge_pair(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace each occurrence of a pair, from left to right, by a new id.

    >>> merge_pair([1, 1, 1, 2, 1, 1], (1, 1), 9)
    [9, 1, 2, 9]
    """
    left, right = pair
    merged: list[int] = []
    for id in ids:
        if id == right and merged and merged[-1] == left:
            merged[-1] = new_id
        else:
            merged.append(id)
    return merged


@lru_cache(2**16)
def descending(token: bytes) -> tuple[int, ...]:
    """Make a key that sorts bytes against the alphabet: a heap gives out the least.

    >>> sorted([b"a", b"ab", b"b"], key=descending)
    [b'b', b'ab', b'a']
    """
    return (*(-byte for byte in token), 1)  # 1: "a" comes after all that begins with it


def queue_entry(
    pair: tuple[int, int], count: int, tokens: Sequence[bytes]
) -> QueueEntry:
    """Make a heap entry such that the least is the one that `best_pair` would choose.

    >>> queue_entry((0, 1), 5, [b"a", b"b"])
    (-5, (-97, 1), (-98, 1), (0, 1))
    """
    left, right = pair
    return -count, descending(tokens[left]), descending(tokens[right]), pair


def pop_best_pair(
    queue: list[QueueEntry], counts: Mapping[tuple[int, int], int]
) -> tuple[int, int] | None:
    """Take the pair to merge next from the queue; None if no pair is left.

    A count grows only in the merge that makes one of the pair's tokens; later it can
    only fall. So no entry's count is too low, and entries need not be kept up to date:
    one that comes out with too high a count goes back with the true one.
    """
    while queue:
        negative_count, left, right, pair = heappop(queue)
        if counts[pair] == -negative_count:
            return pair
        if counts[pair] > 0:
            heappush(queue, (-counts[pair], left, right, pair))
    return None


def merge_in_words(
    pair: tuple[int, int],
    new_id: int,
    words: list[list[int]],
    how_often: Sequence[int],
    where: dict[tuple[int, int], set[int]],
    counts: Counter[tuple[int, int]],
) -> Counter[tuple[int, int]]:
    """Merge a pair in the words that have it; keep `where` and `counts` up to date.

    Returns the counts of the pairs that this made. Each stands where another pair was.
    """
    left, right = pair
    made = Counter[tuple[int, int]]()
    for place in where.pop(pair):  # words that have the pair, or had it
        words[place] = merge_pair(words[place], pair, new_id)
        for new_pair in pairwise(words[place]):
            if new_id in new_pair:
                a, b = new_pair
                was = right if a == new_id else a, left if b == new_id else b
                counts[was] -= how_often[place]
                made[new_pair] += how_often[place]
                where[new_pair].add(place)
    del counts[pair]
    counts.update(made)
    return made


def train_merges(
    word_counts: Mapping[bytes, int], num_merges: int
) -> Iterator[tuple[int, int]]:
    """Find the pairs to merge: the first makes id 256, the second 257, and so on.

    Ends early when every word is one token.

    >>> list(train_merges({b"low": 5, b"lower": 2}, num_merges=2))
    [(111, 119), (108, 256)]
    """
    tokens = [bytes([byte]) for byte in range(256)]
    words = [list(word) for word in word_counts]
    how_often = list(word_counts.values())
    counts = count_pairs(word_counts.items())
    where = defaultdict[tuple[int, int], set[int]](set)  # words that have or had it
    for place, word in enumerate(words):
        for pair in pairwise(word):
            where[pair].add(place)
    queue = [queue_entry(pair, counts[pair], tokens) for pair in counts]
    heapify(queue)
    for new_id in range(256, 256 + num_merges):
        best = pop_best_pair(queue, counts)
        if best is None:
            return
        yield best
        tokens.append(tokens[best[0]] + tokens[best[1]])
        made = merge_in_words(best, new_id, words, how_often, where, counts)
        for pair, count in made.items():
            heappush(queue, queue_entry(pair, count, tokens))


def merge_word(ids: Sequence[int], merges: Mapping[tuple[int, int], int]) -> list[int]:
    """Merge pairs of neighbours, always the one with the lowest new id, then leftmost.

    Time grows as n log n with the length of the word. A heap holds the possible merges;
    one whose pair has changed since is passed over. -1 stands where an id was merged
    away, and at the end.

    >>> merge_word(list(b"lowlow"), {(111, 119): 256, (108, 256): 257})
    [257, 257]
    """
    ids = [*ids, -1]
    before = [*range(-1, len(ids) - 1)]  # where the neighbours are; -1 is the end
    after = [*range(1, len(ids)), -1]
    heap = [(merges[p], at) for at, p in enumerate(pairwise(ids)) if p in merges]
    heapify(heap)
    while heap:
        new_id, at = heappop(heap)
        gone = after[at]
        if merges.get((ids[at], ids[gone])) != new_id:
            continue
        ids[at], ids[gone] = new_id, -1
        left, right = before[at], after[gone]
        after[at], before[right] = right, at
        if (ids[left], new_id) in merges:
            heappush(heap, (merges[ids[left], new_id], left))
        if (new_id, ids[right]) in merges:
            heappush(heap, (merges[new_id, ids[right]], at))
    return [id for id in ids if id != -1]


def find_merges(ranks: Mapping[bytes, int]) -> dict[tuple[int, int], int]:
    """Find the merges behind a vocabulary: which two tokens make each longer one.

    `ranks` has the ids by bytes; tokens with lower ids were learned earlier. What these
    make of a token's bytes are its two parts. Raises ValueError if they make more of
    it, or if one of the 256 bytes is missing.

    >>> byte_ranks = {bytes([byte]): byte for byte in range(256)}
    >>> find_merges(byte_ranks | {b"ow": 256, b"low": 257})
    {(111, 119): 256, (108, 256): 257}
    """
    for byte in range(256):
        if bytes([byte]) not in ranks:
            raise ValueError(f"each of the 256 bytes must be a token, {byte} is not")
    merges: dict[tuple[int, int], int] = {}
    for token, id in sorted(ranks.items(), key=lambda item: item[1]):
        parts = merge_word([ranks[bytes([byte])] for byte in token], merges)
        if len(parts) == 2:
            merges[parts[0], parts[1]] = id
        elif len(token) != 1:
            raise ValueError(f"two earlier tokens must make {token!r} (id {id})")
    return merges


class Tokenizer(ABC):
    """What all tokenizers share: special tokens, streams of text, decoding, saving.

    `special_tokens` maps each special token to its id. Wherever one occurs in a text it
    becomes that one id. To have it as ordinary text, use a tokenizer without it.
    """

    _cuts: str  # a pattern for the places at which any text may be cut

    def __init__(
        self, special_tokens: Sequence[str], alphabet: Sequence[bytes]
    ) -> None:
        _check_special_tokens(special_tokens)
        self._set_tokens(*_number(alphabet, special_tokens))
        self._trained = False

    @property
    def vocab_size(self) -> int:
        """The number of ids: always the real one, so training changes it."""
        return len(self._tokens)

    @abstractmethod
    def train(self, texts: str | Iterable[str], verbose: bool = False) -> None:
        """Learn the tokens of a text, or of many; forget what was learned before.

        Texts are read once, one at a time. `verbose` shows a progress bar. Raises
        ValueError, and leaves the tokenizer as it was, if there is nothing to learn
        from.
        """

    @abstractmethod
    def _encode_part(self, text: str, position: int) -> list[int]:
        """Encode text without special tokens; `position` is where it begins."""

    def _settings(self) -> dict[str, str]:
        """Return what a file must hold beside the tokens."""
        return {}

    @classmethod
    @abstractmethod
    def _restore(
        cls, ids: dict[bytes, int], special_tokens: dict[str, int], content: Any
    ) -> Self:
        """Make a tokenizer from what a file holds."""

    def encode(self, text: str) -> list[int]:
        """Turn text into ids; `decode` turns them back into exactly this text.

        Raises ValueError if the tokenizer is not trained, if it is one of characters
        and does not know one, or if text has a lone surrogate, which is half a
        character and cannot be written as UTF-8.
        """
        self._check_trained()
        return list(chain.from_iterable(self._encode_stream([text])))

    def encode_iterable(self, texts: Iterable[str]) -> Iterator[int]:
        """Yield the ids of one long text that comes in pieces, such as a file's lines.

        They are the ids that `encode` gives for the joined pieces, wherever those were
        cut. Text is held back only until its ids can no longer change: for characters
        and with GPT2_PATTERN that is soon, so that memory stays bounded; with another
        pattern it is at the next special token, or else at the end.
        """
        self._check_trained()
        return chain.from_iterable(self._encode_stream(_as_texts(texts)))

    def decode(self, ids: Iterable[int]) -> str:
        """Turn ids into text.

        Bytes that are not UTF-8 become U+FFFD, the replacement character; only ids that
        `encode` did not make can give such bytes. Raises ValueError if an id is not in
        the vocabulary.
        """
        if not isinstance(ids, Iterable):
            raise ValueError(f"ids must be a list, such as [{ids!r}], got {ids!r}")
        parts = []
        for position, id in enumerate(ids):
            try:
                parts.append(self.token_bytes(id))
            except ValueError as error:
                raise ValueError(f"{error} at position {position}") from None
        return b"".join(parts).decode("utf-8", errors="replace")

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of a token; in BPE they may be a part of a character."""
        self._check_trained()
        try:
            number = index(id)
        except TypeError:
            raise ValueError(f"an id must be a whole number, got {id!r}") from None
        if not 0 <= number < self.vocab_size:
            raise ValueError(f"an id must be in 0..{self.vocab_size - 1}, got {number}")
        return self._tokens[number]

    def save(self, path: str | Path) -> None:
        """Write a JSON file for `load`. A file that exists is replaced as a whole."""
        self._check_trained()
        special_ids = set(self.special_tokens.values())
        ordinary = [t for id, t in enumerate(self._tokens) if id not in special_ids]
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "type": type(self).__name__,
            **self._settings(),
            "special_tokens": self.special_tokens,
            "tokens": [token.decode("utf-8", "surrogateescape") for token in ordinary],
        }
        content["sha256"] = _fingerprint(content)
        _write_whole(Path(path), json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read the file that `save` wrote, as the class that was saved.

        Raises ValueError with the path and the fault if the file is anything else, or
        was changed, or if its class is not this one or a subclass.
        """
        try:
            content = json.loads(Path(path).read_bytes().decode())
            ids, special_tokens = _read_tokens(content)
            for kind in (CharacterTokenizer, BPETokenizer):
                if kind.__name__ == content.get("type") and issubclass(kind, cls):
                    return kind._restore(ids, special_tokens, content)
            raise ValueError(f"expected a {cls.__name__}, got {content.get('type')!r}")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"cannot load a tokenizer from {path}: {error}") from error

    def _set_tokens(
        self, ids: Mapping[bytes, int], special_tokens: Mapping[str, int]
    ) -> None:
        self._tokens = _list_by_id(ids, special_tokens)
        self.special_tokens = dict(special_tokens)
        self._trained = True

    def _check_trained(self) -> None:
        if not self._trained:
            raise ValueError("this tokenizer is not trained yet: call train(texts)")

    def _encode_stream(self, texts: Iterable[str]) -> Iterator[list[int]]:
        position = 0
        for piece in self.pieces(texts):
            for part in split_special(piece, self.special_tokens):
                if part in self.special_tokens:
                    yield [self.special_tokens[part]]
                else:
                    yield self._encode_part(part, position)
                position += len(part)

    def _training_parts(
        self, texts: str | Iterable[str], verbose: bool
    ) -> Iterator[str]:
        """Yield what lies between special tokens, text by text."""
        for text in _progress(_as_texts(texts), verbose, "reading texts"):
            for piece in self.pieces([text]):
                for part in split_special(piece, self.special_tokens):
                    if part not in self.special_tokens:
                        yield part

    def pieces(self, texts: Iterable[str]) -> Iterator[str]:
        """Join texts, and cut them anew where the cut does not change the ids.

        So that each piece can be encoded alone, and memory stays bounded.
        """
        held, enough, position = "", _PIECE, 0
        for text in texts:
            _check_text(text, position)
            position += len(text)
            for start in range(0, len(text), _PIECE):
                held += text[start : start + _PIECE]
                if len(held) >= enough:
                    cut = self._last_cut(held)
                    yield held[:cut]
                    held = held[cut:]
                    enough = max(_PIECE, 2 * len(held))  # time grows as n, not n²
        yield held

    def _last_cut(self, text: str) -> int:
        """Find the last place at which text can be cut, however it may go on."""
        cuts = "|".join([*map(regex.escape, self.special_tokens), self._cuts])
        for match in regex.finditer(f"(?r){cuts}", text):  # (?r): from the end
            cut: int = match.end()
            if not any(_may_cross(cut, text, token) for token in self.special_tokens):
                return cut
        return 0


class CharacterTokenizer(Tokenizer):
    """One token for each character of the training text, in the order of code points.

    Special tokens have the ids after those.

    >>> tokenizer = CharacterTokenizer()
    >>> tokenizer.train("banana")
    >>> tokenizer.encode("nab")
    [2, 0, 1]
    """

    _cuts = r"(?s:.)"

    def __init__(self, special_tokens: Sequence[str] = ()) -> None:
        super().__init__(special_tokens, alphabet=[])

    def train(self, texts: str | Iterable[str], verbose: bool = False) -> None:
        """Learn the characters of a text, or of many; forget what was learned before.

        Texts are read once, one at a time. `verbose` shows a progress bar. Raises
        ValueError, and leaves the tokenizer as it was, if there is nothing to learn.
        """
        characters: set[str] = set()
        for part in self._training_parts(texts, verbose):
            characters.update(part)
        if not characters:
            raise ValueError("training needs text, got none")
        tokens = [character.encode() for character in sorted(characters)]
        self._set_tokens(*_number(tokens, self.special_tokens))

    def _set_tokens(
        self, ids: Mapping[bytes, int], special_tokens: Mapping[str, int]
    ) -> None:
        super()._set_tokens(ids, special_tokens)
        self._ids = {token.decode(): id for token, id in ids.items()}

    def _encode_part(self, text: str, position: int) -> list[int]:
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            character = error.args[0]
            place = position + text.index(character)
            raise ValueError(
                f"the character {character!r} (U+{ord(character):04X}) at position "
                f"{place} was not in the training text: train on text that has it, or "
                "use BPETokenizer, which can encode any text"
            ) from None

    @classmethod
    def _restore(
        cls, ids: dict[bytes, int], special_tokens: dict[str, int], content: Any
    ) -> Self:
        for token in ids:
            if len(token.decode()) != 1:
                raise ValueError(f"each token must be one character, got {token!r}")
        tokenizer = cls(list(special_tokens))
        tokenizer._set_tokens(ids, special_tokens)
        return tokenizer


class BPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding: any text has ids, and common words few.

    The bytes have the ids 0 to 255, the merges the next ones in the order in which they
    were learned, and the special tokens the last. The argument `vocab_size` is what
    training aims at; a text with less to merge gives fewer tokens. The property is the
    real number, which before training is that of the bytes and special tokens.

    `merges` maps each merged pair of ids to the new id. Encoding merges, inside each
    word, the pair with the lowest new id first.

    >>> tokenizer = BPETokenizer(258, special_tokens=[END_OF_TEXT])
    >>> tokenizer.train("low lower lowest")
    >>> tokenizer.merges, tokenizer.special_tokens
    ({(111, 119): 256}, {'<|endoftext|>': 257})
    >>> tokenizer.encode("low<|endoftext|>")
    [108, 256, 257]
    """

    def __init__(
        self,
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        pattern: str = GPT2_PATTERN,
    ) -> None:
        _check_pattern(pattern)
        self.pattern = pattern
        self._cuts = _GPT2_CUTS if pattern == GPT2_PATTERN else _NOWHERE
        super().__init__(special_tokens, [bytes([byte]) for byte in range(256)])
        if not isinstance(vocab_size, int) or vocab_size < self.vocab_size:
            raise ValueError(
                f"vocab_size must be a whole number of at least {self.vocab_size} (256 "
                f"bytes, {len(special_tokens)} special tokens), got {vocab_size!r}"
            )
        self._target_size = vocab_size

    @classmethod
    def from_ranks(
        cls,
        ranks: Mapping[bytes, int],
        special_tokens: Mapping[str, int],
        pattern: str = GPT2_PATTERN,
    ) -> Self:
        """Make a trained tokenizer from ids by bytes, as tiktoken keeps them.

        Tokens merge in the order of their ids. Together with those of the special
        tokens, the ids must be 0, 1, 2, …, each once. Raises ValueError otherwise, or
        if `find_merges` finds fault with the ranks.
        """
        for token in ranks:
            if not isinstance(token, bytes):
                raise ValueError(f"tokens must be bytes, got {token!r}")
        size = len(ranks) + len(special_tokens)
        tokenizer = cls(max(size, 256), list(special_tokens), pattern)
        tokenizer._set_tokens(ranks, special_tokens)
        return tokenizer

    def train(self, texts: str | Iterable[str], verbose: bool = False) -> None:
        """Learn merges from a text, or from many; forget what was learned before.

        Texts are read once, one at a time: memory grows with the number of different
        words. Nothing is merged across words, special tokens or texts. `verbose` shows
        a progress bar. Raises ValueError, and leaves the tokenizer as it was, if there
        is nothing to learn from.
        """
        parts = self._training_parts(texts, verbose)
        word_counts = count_words(parts, self.pattern)
        if not word_counts:
            raise ValueError("training needs text, got none")
        num_merges = self._target_size - 256 - len(self.special_tokens)
        merges = train_merges(word_counts, num_merges)
        tokens = [bytes([byte]) for byte in range(256)]
        with _garbage_uncollected():
            for left, right in _progress(merges, verbose, "merging pairs", num_merges):
                tokens.append(tokens[left] + tokens[right])
        self._set_tokens(*_number(tokens, self.special_tokens))

    def _set_tokens(
        self, ids: Mapping[bytes, int], special_tokens: Mapping[str, int]
    ) -> None:
        super()._set_tokens(ids, special_tokens)
        self.merges = find_merges(ids)
        self._ids = dict(ids)
        self._byte_ids = [ids[bytes([byte])] for byte in range(256)]
        self._word_ids = _WordCache(self._encode_word)

    def _encode_part(self, text: str, position: int) -> list[int]:
        words = split_words(text, self.pattern)
        return list(chain.from_iterable(map(self._word_ids.__getitem__, words)))

    def _encode_word(self, word: str) -> list[int]:
        token = word.encode()
        if token in self._ids:  # it is what its own merges make: see `find_merges`
            return [self._ids[token]]
        return merge_word([self._byte_ids[byte] for byte in token], self.merges)

    def _settings(self) -> dict[str, str]:
        return {"pattern": self.pattern}

    @classmethod
    def _restore(
        cls, ids: dict[bytes, int], special_tokens: dict[str, int], content: Any
    ) -> Self:
        return cls.from_ranks(ids, special_tokens, content.get("pattern"))


class _WordCache(dict[str, list[int]]):
    """The ids of words that were seen; an unknown word is encoded when asked for.

    It forgets all when it is full, and does not keep long words, which seldom return.
    """

    def __init__(self, encode_word: Callable[[str], list[int]]) -> None:
        self._encode_word = encode_word

    def __missing__(self, word: str) -> list[int]:
        ids = self._encode_word(word)
        if len(self) >= _CACHED_WORDS:
            self.clear()
        if len(word) <= _CACHED_WORD_LENGTH:
            self[word] = ids
        return ids


def _number(
    tokens: Sequence[bytes], special_tokens: Iterable[str]
) -> tuple[dict[bytes, int], dict[str, int]]:
    """Give the tokens the ids 0, 1, 2, …, and the special tokens those that follow."""
    ids = {token: id for id, token in enumerate(tokens)}
    return ids, {token: id for id, token in enumerate(special_tokens, len(tokens))}


def _list_by_id(
    ids: Mapping[bytes, int], special_tokens: Mapping[str, int]
) -> list[bytes]:
    """List all tokens by id. Raises ValueError unless the ids are 0, 1, 2, …, once."""
    special_ids = {token.encode(): id for token, id in special_tokens.items()}
    size = len(ids) + len(special_ids)
    tokens: dict[int, bytes] = {}
    for token, id in chain(ids.items(), special_ids.items()):
        if type(id) is not int or not 0 <= id < size or id in tokens:
            raise ValueError(
                f"the ids of {size} tokens must be 0..{size - 1}, each once; "
                f"{token!r} has {id!r}"
            )
        tokens[id] = token
    return [tokens[id] for id in range(size)]


def _as_texts(texts: str | Iterable[str]) -> Iterable[str]:
    if not isinstance(texts, Iterable):
        raise ValueError(f"expected a text or a list of texts, got {texts!r:.60}")
    return [texts] if isinstance(texts, str) else texts


def _may_cross(cut: int, text: str, token: str) -> bool:
    """Whether a token, or the beginning of one at text's end, lies across a cut."""
    starts = range(max(0, cut - len(token) + 1), cut)
    return any(token.startswith(text[at : at + len(token)]) for at in starts)


def _check_text(text: str, position: int) -> None:
    """Raise ValueError if text, which begins at `position`, has no UTF-8."""
    if not isinstance(text, str):
        raise ValueError(f"text must be a str, got {type(text).__name__} {text!r:.60}")
    for start in range(0, len(text), _PIECE):  # by pieces, because encoding copies
        try:
            text[start : start + _PIECE].encode()
        except UnicodeEncodeError as error:
            at = start + error.start
            raise ValueError(
                f"the text has a lone surrogate, {text[at]!r}, at position "
                f"{position + at}: it is half a character; remove it, or read the text "
                "again with the right encoding"
            ) from None


def _check_special_tokens(special_tokens: Sequence[str]) -> None:
    if isinstance(special_tokens, str) or not isinstance(special_tokens, Sequence):
        raise ValueError(f"special_tokens must be a list, got {special_tokens!r}")
    for token in special_tokens:
        _check_text(token, 0)
        if not token:
            raise ValueError("a special token must have at least one character")
    if len(set(special_tokens)) < len(special_tokens):
        raise ValueError(f"special_tokens must differ, got {list(special_tokens)}")


def _check_pattern(pattern: str) -> None:
    if not isinstance(pattern, str):
        raise ValueError(f"the pattern must be a str, got {pattern!r:.60}")
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(
            f"the pattern has {len(pattern)} characters, more than {_LONGEST_PATTERN}"
        )
    try:
        num_groups = regex.compile(pattern).groups
    except Exception as error:  # regex fails in many ways, RecursionError among them
        raise ValueError(
            f"the pattern {pattern!r:.60} is not a regular expression: {error}"
        ) from error
    if num_groups:
        raise ValueError(f"the pattern {pattern!r:.60} has (…): write (?:…) instead")


def _progress(
    items: Iterable[_Item], verbose: bool, what: str, total: int | None = None
) -> Iterable[_Item]:
    """Show a progress bar, if asked to, while items are taken."""
    if not verbose:
        return items
    from tqdm import tqdm

    return tqdm(items, desc=what, total=total)


@contextmanager
def _garbage_uncollected() -> Iterator[None]:
    """Spare Python's search for objects that hold each other, where there are none.

    It looks through all that exists each time much is new: half of the time of training
    on many words. What is no longer held by anything goes at once, as always.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _fingerprint(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_tokens(content: Any) -> tuple[dict[bytes, int], dict[str, int]]:
    """Return the ids of a file's tokens and special tokens, if the file is whole."""
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f'it has no "format": "{_FORMAT}"')
    if content.get("version") != _VERSION:
        raise ValueError(f"expected version {_VERSION}, got {content.get('version')!r}")
    if content.pop("sha256", None) != _fingerprint(content):
        raise ValueError("it was changed after it was saved (sha256 differs)")
    tokens, special_tokens = content.get("tokens"), content.get("special_tokens")
    if not isinstance(tokens, list) or not isinstance(special_tokens, dict):
        raise ValueError('expected a list "tokens" and an object "special_tokens"')
    if not all(isinstance(token, str) for token in tokens):
        raise ValueError('"tokens" must be strings')
    size = len(tokens) + len(special_tokens)
    taken = {id for id in special_tokens.values() if isinstance(id, int)}
    free = [id for id in range(size) if id not in taken]
    encoded = [token.encode("utf-8", "surrogateescape") for token in tokens]
    return dict(zip(encoded, free, strict=False)), special_tokens


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that, whatever happens, it is there as a whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
