"""A text of any size in, its ids on disk out, and a stream that is read from there.

Memory is that of one shard, however long the text. Knows nothing of training.
"""

import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from llm_core.data import TokenStream
from llm_core.tokenizer import END_OF_TEXT, Tokenizer

SHARD_CHARACTERS = 2**23  # of text behind one shard: some 4 MB of ids, 40 MB to make
MANIFEST, _TOKENIZER = "shards.json", "tokenizer.json"
_FORMAT, _VERSION = "llm_core shards", 1


class ShardError(ValueError):
    """A folder of shards that cannot be used, with the file and the fault."""


class Shard(NamedTuple):
    """What the manifest says of one file of ids."""

    file: str
    num_ids: int
    num_characters: int  # of text, without the marks between documents
    text: str  # the SHA-256 of the text, marks included
    sha256: str  # of the file


class ShardedIds:
    """Arrays, on disk or not, indexed as if they were one behind the other."""

    def __init__(self, parts: Sequence[npt.NDArray[np.integer]]) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, where: Any) -> npt.NDArray[np.integer]:
        """Copy what a slice or an array of positions asks for."""
        if isinstance(where, slice):
            where = np.arange(*where.indices(len(self)))
        where = np.asarray(where)
        part_of = np.searchsorted(self.ends, where, side="right")
        found = np.empty(where.shape, dtype=self.parts[0].dtype)
        for number in np.unique(part_of):
            here = part_of == number
            part = self.parts[number]
            found[here] = part[where[here] - (self.ends[number] - len(part))]
        return found

    def max(self) -> int:
        """Return the greatest id."""
        return max(int(part.max()) for part in self.parts)

    def first(self, count: int) -> "ShardedIds":
        """Return the first ids, still where they are."""
        begins = self.ends - [len(part) for part in self.parts]
        pairs = zip(self.parts, begins, strict=True)
        return ShardedIds([part[: count - at] for part, at in pairs if at < count])


def prepare(
    text: Iterable[str],
    tokenizer: Tokenizer,
    folder: str | Path,
    report: Callable[[Shard], None] | None = None,
    shard_characters: int = SHARD_CHARACTERS,
) -> None:
    """Write the ids of a text that comes in pieces, for `load_shards`.

    In the text, END_OF_TEXT stands before each document; one more is put at the end.
    Each shard is on the disk, whole, before the next is begun. A call that was broken
    off is taken up by another with the same text: what is there is compared with the
    text, and not encoded again. `report` is called with each shard, old or new.

    Raises ShardError if the folder holds the shards of another text or tokenizer, and
    ValueError if the tokenizer has no END_OF_TEXT.
    """
    if END_OF_TEXT not in tokenizer.special_tokens:
        raise ValueError(f"the tokenizer must have {END_OF_TEXT} as a special token")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done = _take_up(folder, tokenizer)
    for number, lines in enumerate(_batches(text, tokenizer, shard_characters)):
        batch = "".join(lines)
        if number < len(done):
            if done[number].text != _hash(batch.encode()):
                raise ShardError(
                    f"{folder / done[number].file} was made from another text: choose "
                    "another folder"
                )
        else:
            done.append(_write_shard(folder, number, batch, tokenizer))
            _write_manifest(folder, done, tokenizer, complete=False)
        if report is not None:
            report(done[number])
    _write_manifest(folder, done, tokenizer, complete=True)


def load_shards(folder: str | Path) -> tuple[TokenStream, Tokenizer]:
    """Return what `prepare` wrote: a stream whose ids stay on disk, and the tokenizer.

    Raises ShardError with the file and the fault if the folder is not whole.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    if not manifest["complete"]:
        raise ShardError(f"{folder} is not finished: prepare it again to go on")
    tokenizer = Tokenizer.load(folder / _TOKENIZER)
    shards = [Shard(*values) for values in manifest["shards"]]
    parts = [_open_shard(folder, shard) for shard in shards]
    boundary = tokenizer.special_tokens[END_OF_TEXT]
    starts, begin = [], 0
    for part in parts:
        starts.append(begin + np.flatnonzero(part == boundary))
        begin += len(part)
    stream = TokenStream(
        ids=ShardedIds(parts),
        starts=np.concatenate(starts)[:-1].astype(np.int64),  # the last one is the end
        num_characters=sum(shard.num_characters for shard in shards),
    )
    return stream, tokenizer


def hold_out(
    stream: TokenStream, tokenizer: Tokenizer, num_ids: int
) -> tuple[TokenStream, TokenStream]:
    """Cut about `num_ids` ids off the end, in memory, to validate on.

    The cut is before a document where one begins among them, or else anywhere.
    """
    size = len(stream.ids)
    if not 2 <= num_ids <= size - 2:
        raise ValueError(f"can hold out 2 to {size - 2:,} ids, got {num_ids:,}")
    document = int(np.searchsorted(stream.starts, size - num_ids))
    at = size - num_ids
    if document < len(stream.starts):
        at = max(2, int(stream.starts[document]))
    ids = np.asarray(stream.ids[at:])
    starts = np.concatenate([[at], stream.starts[stream.starts > at]]) - at
    text = tokenizer.decode(ids)
    num_characters = len(text) - len(END_OF_TEXT) * text.count(END_OF_TEXT)
    validation = TokenStream(ids, starts, num_characters)
    training = TokenStream(
        # The id at the cut stays: it is what comes last in the text before it.
        ids=stream.ids.first(at + 1)
        if isinstance(stream.ids, ShardedIds)
        else stream.ids[: at + 1],
        starts=stream.starts[stream.starts < at],
        num_characters=stream.num_characters - num_characters,
    )
    return training, validation


def _batches(
    text: Iterable[str], tokenizer: Tokenizer, size: int
) -> Iterator[list[str]]:
    """Gather pieces that can be encoded alone, `size` characters of them or more."""
    batch: list[str] = []
    length = 0
    for piece in chain(tokenizer.pieces(text), tokenizer.pieces([END_OF_TEXT])):
        batch.append(piece)
        length += len(piece)
        if length >= size:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch


def _write_shard(folder: Path, number: int, text: str, tokenizer: Tokenizer) -> Shard:
    """Encode a text, and put the ids on the disk under their name, whole or not."""
    ids = array("I", tokenizer.encode(text))
    dtype = "<u2" if tokenizer.vocab_size <= 2**16 else "<u4"
    data = np.array(ids, dtype=dtype).tobytes()
    file = f"{number:05}.ids"
    _write_whole(folder / file, data)
    marks = text.count(END_OF_TEXT)
    return Shard(
        file=file,
        num_ids=len(ids),
        num_characters=len(text) - marks * len(END_OF_TEXT),
        text=_hash(text.encode()),
        sha256=_hash(data),
    )


def _open_shard(folder: Path, shard: Shard) -> npt.NDArray[np.integer]:
    """Map a file of ids into memory, once its size is what the manifest says."""
    path = folder / shard.file
    if Path(shard.file).name != shard.file or not path.is_file():
        raise ShardError(f"{path} is missing")
    width, rest = divmod(path.stat().st_size, shard.num_ids)
    if rest or width not in (2, 4):
        raise ShardError(f"{path} was changed or cut short")
    return np.memmap(path, dtype=f"<u{width}", mode="r")


def _take_up(folder: Path, tokenizer: Tokenizer) -> list[Shard]:
    """Return the shards that are there; begin a folder where there are none."""
    if not (folder / MANIFEST).exists():
        if any(folder.iterdir()):
            raise ShardError(f"{folder} must be new, or one that was begun before")
        tokenizer.save(folder / _TOKENIZER)
        return []
    manifest = _read_manifest(folder)
    if manifest["tokenizer"] != _fingerprint(tokenizer):
        raise ShardError(f"{folder} was begun with another tokenizer")
    shards = [Shard(*values) for values in manifest["shards"]]
    for shard in shards:
        if _file_hash(folder / shard.file) != shard.sha256:
            raise ShardError(f"{folder / shard.file} was changed or cut short")
    return shards


def _write_manifest(
    folder: Path, shards: list[Shard], tokenizer: Tokenizer, complete: bool
) -> None:
    manifest = {
        "format": _FORMAT,
        "version": _VERSION,
        "tokenizer": _fingerprint(tokenizer),
        "complete": complete,
        "shards": shards,
    }
    text = json.dumps(manifest, indent=1) + "\n"
    _write_whole(folder / MANIFEST, text.encode())


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT or manifest["version"] != _VERSION:
            raise ValueError(f"expected version {_VERSION} of {_FORMAT!r}")
        for values in manifest["shards"]:
            file, num_ids, num_characters, *hashes = Shard(*values)
            if not all(isinstance(text, str) for text in (file, *hashes)):
                raise ValueError("names and hashes must be text")
            if type(num_ids) is not int or type(num_characters) is not int:
                raise ValueError("numbers of ids and characters must be whole")
            if num_ids < 1 or num_characters < 0:
                raise ValueError("numbers of ids and characters must be positive")
        return {**manifest, "complete": manifest["complete"] is True}
    except FileNotFoundError:
        raise ShardError(
            f"{folder} holds no prepared text: it has no {MANIFEST}"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ShardError(f"{path} was changed or cut short: {error}") from error


def _fingerprint(tokenizer: Tokenizer) -> str:
    tokens = [tokenizer.token_bytes(id).hex() for id in range(tokenizer.vocab_size)]
    return _hash(json.dumps([type(tokenizer).__name__, tokens]).encode())


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}") from error


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole, or not at all, whatever happens."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
