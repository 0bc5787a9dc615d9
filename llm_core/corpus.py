"""A name, file, folder or address flows in; documents of text flow out.

Knows nothing of tokens. The network is touched only by the two corpora that are
downloaded and by addresses of the reader's own, and only when asked by name.
"""

import hashlib
import math
import os
import re
import sys
import sysconfig
import tokenize
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all (None: not known)."""

CORPORA = {
    "stories": "short stories made on this machine, with their exact cost in bits",
    "python-docs": "the language reference that ships inside every Python",
    "python-code": "the source of this Python's standard library, about 11 MB",
    "shakespeare": "Tiny Shakespeare, scenes from the plays; a download of 1 MB",
    "tinystories": "TinyStories, simple tales for children; a download of 23 MB",
}

# What stands between documents in a file that holds several, as is usual in the field.
DOCUMENT_SEPARATOR = "<|endoftext|>"

TEXT_SUFFIXES = frozenset({
    ".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc", ".html",
    ".py", ".js", ".ts", ".c", ".h", ".cpp", ".hpp", ".cs", ".java", ".kt", ".go",
    ".rs", ".rb", ".pl", ".php", ".lua", ".swift", ".hs", ".jl", ".r", ".sh", ".sql",
})  # fmt: skip


class CorpusError(ValueError):
    """A corpus that cannot be had; the message says why, and what to do."""


# ---------------------------------------------------------------- the corpus


class Floor(NamedTuple):
    """The loss that no model can be expected to pass, in bits per character."""

    rate: float
    standard_error: float


@dataclass(frozen=True, repr=False)
class Corpus:
    """Documents in a fixed order, none of them empty.

    bits holds the exact cost of each document in bits, where the source of the
    text is known (the stories), and is None elsewhere.

    Raises CorpusError without documents, for an empty document, or unless there
    are as many bits as documents.

    >>> corpus = Corpus("toy", ("Hello. ", "Bye."), bits=(6.0, 5.0))
    >>> corpus
    <Corpus 'toy': 2 documents, 11 characters>
    >>> corpus.text
    'Hello. Bye.'
    >>> corpus.floor.rate
    1.0
    """

    name: str
    documents: tuple[str, ...]
    bits: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.documents or not all(self.documents):
            raise CorpusError(f"{self.name} has no text, or a document without text")
        if self.bits is not None and len(self.bits) != len(self.documents):
            raise CorpusError(
                f"expected bits for {len(self.documents)} documents, "
                f"got {len(self.bits)}"
            )

    def __repr__(self) -> str:
        number = len(self.documents)
        return (
            f"<Corpus {self.name!r}: {number:,} document{'s' * (number != 1)}, "
            f"{self.num_characters:,} characters>"
        )

    @property
    def text(self) -> str:
        """All documents, one directly after the other."""
        return "".join(self.documents)

    @property
    def num_characters(self) -> int:
        """The length of the text."""
        return sum(map(len, self.documents))

    @property
    def floor(self) -> Floor | None:
        """The bits per character of these documents; None where bits are unknown."""
        if self.bits is None:
            return None
        return bits_per_character(self.bits, [len(text) for text in self.documents])

    def split(self, validation_fraction: float) -> tuple["Corpus", "Corpus"]:
        """Hold out a part of the text: (for training, for validation).

        Whole documents are held out, evenly spread over the corpus in the order of
        their lengths (equal lengths: in the order of the corpus), so that short and
        long ones come to both sides. Nothing is drawn: the same corpus is always
        split in the same way. Where the fraction is less than one document, as it
        is for a single book, each document is cut instead, and gives its end; but
        a document whose bits are known is never cut.

        Raises CorpusError unless 0 < validation_fraction <= 0.5, and where the
        corpus is too small to leave text on both sides.

        >>> training, validation = Corpus("toy", tuple("abcdefghij")).split(0.2)
        >>> training.text, validation.text
        ('abdefgij', 'ch')
        >>> training, validation = Corpus("toy", ("abcdefghij",)).split(0.2)
        >>> training.text, validation.text
        ('abcdefgh', 'ij')
        """
        if not 0 < validation_fraction <= 0.5:
            raise CorpusError(
                "validation_fraction must be above 0 and at most 0.5, "
                f"got {validation_fraction}"
            )
        if self.bits is None and validation_fraction * len(self.documents) < 1:
            return self._cut(validation_fraction)
        if len(self.documents) == 1:
            raise CorpusError(f"{self.name} is one document: nothing can be held out")
        numbers = range(len(self.documents))
        by_length = sorted(numbers, key=lambda i: len(self.documents[i]))
        spread = evenly_spread(len(self.documents), validation_fraction)
        held_out = {by_length[i] for i in spread}
        return (
            self._select([i for i in numbers if i not in held_out]),
            self._select(sorted(held_out)),
        )

    def _select(self, chosen: list[int]) -> "Corpus":
        """The chosen documents with their bits."""
        bits = None if self.bits is None else tuple(self.bits[i] for i in chosen)
        return Corpus(self.name, tuple(self.documents[i] for i in chosen), bits)

    def _cut(self, fraction: float) -> tuple["Corpus", "Corpus"]:
        """Each document's beginning, and each document's end."""
        cuts = [int(len(text) * (1 - fraction)) for text in self.documents]
        pairs = list(zip(self.documents, cuts, strict=True))
        beginnings = tuple(text[:cut] for text, cut in pairs if cut > 0)
        if not beginnings:
            raise CorpusError(
                f"{self.name} has {self.num_characters} characters: too few to hold "
                f"out a fraction of {fraction}"
            )
        return (
            Corpus(self.name, beginnings),
            Corpus(self.name, tuple(text[cut:] for text, cut in pairs)),
        )


def bits_per_character(bits: Iterable[float], lengths: Iterable[int]) -> Floor:
    """The total bits over the total characters, with the error of that ratio.

    Documents are taken for independent draws. The rate is a ratio of two sums that
    vary together, so its standard error is that of the residuals bits - rate x
    length (the delta method); of a single document it is infinite.

    >>> bits_per_character([10, 30], [20, 40])
    Floor(rate=0.666..., standard_error=0.111...)
    """
    pairs = list(zip(bits, lengths, strict=True))
    number, characters = len(pairs), sum(length for _, length in pairs)
    rate = math.fsum(cost for cost, _ in pairs) / characters
    if number == 1:
        return Floor(rate, math.inf)
    squares = math.fsum((cost - rate * length) ** 2 for cost, length in pairs)
    return Floor(rate, math.sqrt(squares * number / (number - 1)) / characters)


def evenly_spread(number: int, fraction: float) -> list[int]:
    """Positions 0..number - 1, a fraction of them (at least one), evenly spread.

    >>> evenly_spread(10, 0.2)
    [2, 7]
    """
    chosen = max(1, round(fraction * number))
    return [(2 * i + 1) * number // (2 * chosen) for i in range(chosen)]


def load_corpus(
    source: str | os.PathLike[str],
    *,
    num_stories: int = 20_000,
    seed: int = 0,
    encoding: str = "utf-8",
    progress: Progress | None = None,
) -> Corpus:
    """Load a corpus by its name in CORPORA, a path, or an http(s) address.

    A name wins over a file of the same name: write ./stories, or pass a Path, for
    the file. num_stories and seed shape the stories. encoding is that of the
    reader's own files; a byte order mark is dropped, and line ends become "\\n". A
    folder gives each of its text files (TEXT_SUFFIXES, subfolders too, nothing
    hidden), sorted by path. A text that holds DOCUMENT_SEPARATOR is split there.
    Where one source gives several documents, each ends in a line break.

    Downloads go through progress(done, total) into cache_folder(), and are made
    once. Those by name are checked against their SHA-256 and go on after a break;
    of an address of one's own the hash is not known, so it begins anew, and a
    copy is renewed by deleting it.

    Raises CorpusError, a ValueError, with the reason.

    >>> load_corpus("stories", num_stories=3)
    <Corpus 'stories': 3 documents, ... characters>
    """
    name = os.fspath(source)
    if isinstance(source, str):
        if name in DOWNLOADS:
            path = download(f"{name}.txt", DOWNLOADS[name], progress)
            return Corpus(name, read_documents(path))
        if name in CORPORA:
            return _make_corpus(name, num_stories, seed)
        if "://" in name:
            return _load_address(name, encoding, progress)
    path = Path(os.path.expanduser(name))
    if not name or not os.path.exists(path):  # Path("") is the current folder
        raise CorpusError(_not_found(name))
    if path.is_dir():
        return Corpus(_label(path.resolve().name), _read_folder(path, encoding))
    return Corpus(_label(path.stem), read_documents(path, encoding))


def stream_corpus(
    source: str | os.PathLike[str],
    *,
    num_stories: int = 20_000,
    encoding: str = "utf-8",
    progress: Progress | None = None,
) -> Iterator[str]:
    """Yield the text of a corpus in pieces, DOCUMENT_SEPARATOR before each document.

    It is the text of `load_corpus`, in the memory of one document, or of a piece where
    a file is one document. Raises CorpusError as that does, as the text comes.
    """
    name = os.fspath(source)
    path = Path(os.path.expanduser(name))
    if name == "stories" and isinstance(source, str):
        from llm_core.stories import sample_texts

        for text, _ in sample_texts(num_stories):
            yield from (DOCUMENT_SEPARATOR, text)
    elif (name in CORPORA or "://" in name) and isinstance(source, str):
        loaded = load_corpus(name, encoding=encoding, progress=progress)
        for text in loaded.documents:
            yield from (DOCUMENT_SEPARATOR, text)
    elif name and path.is_dir():
        for file in _walk(path, TEXT_SUFFIXES):
            yield from _stream_file(file, encoding, end_line=True)
    elif name and path.exists():
        yield from _stream_file(path, encoding)
    else:
        raise CorpusError(_not_found(name))


def _not_found(name: str) -> str:
    """The message for a name that is neither a corpus nor a path."""
    shown = name if len(name) <= 60 else name[:60] + "…"
    close = get_close_matches(name, CORPORA, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return (
        f"found no corpus, file or folder named {shown!r}.{hint}\n"
        f"Corpora: {', '.join(CORPORA)}; or a file, a folder, an http(s) address."
    )


def _label(name: str) -> str:
    """A name that may be part of a folder's name on every system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "text"


# ------------------------------------------------------- made on this machine


def _make_corpus(name: str, num_stories: int, seed: int) -> Corpus:
    """One of the corpora that need neither a file nor a network."""
    if name == "python-docs":
        return Corpus(name, tuple(_python_topics()))
    if name == "python-code":
        return Corpus(name, tuple(_python_sources(sysconfig.get_path("stdlib"))))
    if num_stories < 1:
        raise CorpusError(f"num_stories must be at least 1, got {num_stories}")
    from llm_core.stories import sample_texts  # a grammar that other texts never need

    documents, bits = zip(*sample_texts(num_stories, seed=seed), strict=True)
    return Corpus(name, documents, bits)


def _python_topics() -> Iterator[str]:
    """Each topic of the language reference, sorted by name."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise CorpusError(
            "this Python comes without pydoc_data, which holds its reference; "
            "try the stories"
        ) from error
    return (_end_line(topics[name]) for name in sorted(topics))


NOT_THE_LIBRARY = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data"}
)


def _python_sources(folder: str) -> Iterator[str]:
    """Each module below a folder, sorted by path, without packages and tests.

    A file is read in the encoding it declares (PEP 263). Tables of topics, empty
    files and files that cannot be read are left out.
    """
    paths = _walk(Path(folder), {".py"}, skipped=NOT_THE_LIBRARY)
    if not paths:
        raise CorpusError(
            f"this Python keeps no source of its standard library in {folder}; "
            "try python-docs, or a folder of your own code"
        )
    for path in paths:
        try:
            with tokenize.open(path) as file:
                text = file.read()
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        if text.strip():
            yield _end_line(text)


# --------------------------------------------------------- files and folders


def read_documents(path: Path, encoding: str = "utf-8") -> tuple[str, ...]:
    """The documents of one file, split at DOCUMENT_SEPARATOR where it has any.

    Raises CorpusError where the file cannot be read or decoded, or holds no text.
    """
    documents = split_documents(_read_text(path, encoding))
    if not documents:
        raise CorpusError(f"{path} holds no text")
    return documents


def split_documents(text: str) -> tuple[str, ...]:
    """Split a text at DOCUMENT_SEPARATOR; a text without one is one document.

    >>> split_documents("One.\\n<|endoftext|>\\nTwo.")
    ('One.\\n', 'Two.\\n')
    """
    if DOCUMENT_SEPARATOR not in text:
        return (text,) if text.strip() else ()
    pieces = text.split(DOCUMENT_SEPARATOR)
    return tuple(_end_line(piece.lstrip("\n")) for piece in pieces if piece.strip())


def _end_line(text: str) -> str:
    """The text with a line break at its end, so that the next begins a line."""
    return text if text.endswith("\n") else text + "\n"


def _read_folder(folder: Path, encoding: str) -> tuple[str, ...]:
    """The documents of every text file below a folder; blank files are skipped."""
    documents: list[str] = []
    for path in _walk(folder, TEXT_SUFFIXES):
        documents += map(_end_line, split_documents(_read_text(path, encoding)))
    if not documents:
        raise CorpusError(
            f"found no text in {folder}: a folder's files count if they end in "
            f".txt, .md, .py or another suffix of text, and are not hidden"
        )
    return tuple(documents)


def _walk(
    folder: Path, suffixes: Set[str], skipped: Set[str] = frozenset()
) -> list[Path]:
    """Every file below a folder with one of the suffixes, in one order everywhere.

    Folders named in skipped, and whatever is hidden, are passed by.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if name[0] != "." and name not in skipped
        ]
        for path in (Path(parent, name) for name in files if name[0] != "."):
            if path.suffix.lower() in suffixes and path.is_file():
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _read_text(path: Path, encoding: str) -> str:
    """A file's text, without byte order mark, its line ends written as "\\n"."""
    with _reading(path, encoding):
        data = path.read_bytes()
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            said = _not_decodable(path, data, encoding, error.start)
            raise CorpusError(said) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _stream_file(path: Path, encoding: str, end_line: bool = False) -> Iterator[str]:
    """Yield what `read_documents` reads, in pieces, and nothing of a blank file."""
    separated = any(
        DOCUMENT_SEPARATOR in piece for piece in _overlapping(path, encoding)
    )
    if separated:
        held = ""
        for piece in chain(_read_pieces(path, encoding), [DOCUMENT_SEPARATOR]):
            *documents, held = (held + piece).split(DOCUMENT_SEPARATOR)
            for document in documents:
                if document.strip():
                    yield from (DOCUMENT_SEPARATOR, _end_line(document.lstrip("\n")))
        return
    held, last = "", ""  # blank text is held until something follows it
    for piece in _read_pieces(path, encoding):
        held += piece
        if last or held.strip():
            yield from (held,) if last else (DOCUMENT_SEPARATOR, held)
            held, last = "", piece[-1]
    if end_line and last not in ("", "\n"):
        yield "\n"


def _overlapping(path: Path, encoding: str) -> Iterator[str]:
    """Yield the pieces of a file, each with the end of the one before it."""
    before = ""
    for piece in _read_pieces(path, encoding):
        yield before + piece
        before = piece[1 - len(DOCUMENT_SEPARATOR) :]


def _read_pieces(path: Path, encoding: str) -> Iterator[str]:
    """Yield a file's text as `_read_text` has it, 2**16 characters at a time."""
    try:
        with _reading(path, encoding), path.open(encoding=encoding) as file:
            piece = file.read(2**16).removeprefix("\ufeff")
            while piece:
                yield piece
                piece = file.read(2**16)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not {encoding}: {error.reason}.\n"
            "Name the encoding of the file, perhaps --encoding cp1252."
        ) from error


@contextmanager
def _reading(path: Path, encoding: str) -> Iterator[None]:
    """Say as a CorpusError that a file or its encoding's name is no good."""
    try:
        yield
    except LookupError as error:
        raise CorpusError(
            f"no text encoding is called {encoding!r}; try utf-8, utf-16 or cp1252"
        ) from error
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror or error}") from error


def _not_decodable(path: Path, data: bytes, encoding: str, offset: int) -> str:
    """The message for bytes that are not text in the encoding that was named."""
    guess = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"
    if guess == encoding:
        guess = "latin-1"
    return (
        f"{path} is not {encoding}: byte 0x{data[offset]:02x} at offset {offset:,}.\n"
        f"Name the encoding of the file, perhaps --encoding {guess} "
        f'(in Python encoding="{guess}").'
    )


# ----------------------------------------------------------------- downloads


class Download(NamedTuple):
    """Where a file is, and its SHA-256 where that is known."""

    url: str
    sha256: str | None


DOWNLOADS = {
    "shakespeare": Download(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/"
        "data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "tinystories": Download(
        "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/"
        "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/TinyStoriesV2-GPT4-valid.txt",
        "6874bae9a4c1a4e7edcf0e53b86c17817e9cf881fc75ff2368da457b80c0585d",
    ),
}


def cache_folder() -> Path:
    """Where downloads are kept.

    LLM_CORE_CACHE names the folder; without it, it is the folder for caches that
    the system gives each user.
    """
    if chosen := os.environ.get("LLM_CORE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        variable, usual = "LOCALAPPDATA", Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        variable, usual = "", Path.home() / "Library" / "Caches"
    else:
        variable, usual = "XDG_CACHE_HOME", Path.home() / ".cache"
    return Path(os.environ.get(variable) or usual) / "llm-core"


def _load_address(url: str, encoding: str, progress: Progress | None) -> Corpus:
    """The documents at an http(s) address."""
    if not url.startswith(("http://", "https://")):
        raise CorpusError(f"an address begins with http:// or https://, got {url!r}")
    hashed = hashlib.sha256(url.encode("utf-8")).hexdigest()
    name = f"address-{hashed[:32]}.txt"
    path = download(name, Download(url, None), progress)
    parts = urlsplit(url)
    label = _label(PurePosixPath(unquote(parts.path)).stem or parts.netloc)
    return Corpus(label, read_documents(path, encoding))


def download(name: str, file: Download, progress: Progress | None = None) -> Path:
    """The path of a file in the cache, fetched where it is not there yet.

    What has come so far is kept as <name>.part, and takes its place when whole.

    Raises CorpusError where the file cannot be had, or is not the one expected.
    """
    path = cache_folder() / name
    if path.is_file() and _is_expected(path, file):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CorpusError(
            f"cannot keep downloads in {path.parent}: {error.strerror}.\n"
            "The environment variable LLM_CORE_CACHE names another folder."
        ) from error
    part = path.with_name(path.name + ".part")
    try:
        _fetch_expected(file, part, progress)
        os.replace(part, path)
    except CorpusError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise CorpusError(_not_downloaded(file.url, error)) from error
    return path


def _fetch_expected(file: Download, part: Path, progress: Progress | None) -> None:
    """Fetch a file whole, going on with what is there if its hash will tell.

    Raises CorpusError, and leaves nothing, where the hash is wrong.
    """
    if file.sha256 is None:
        part.unlink(missing_ok=True)
    resumed = part.exists()
    _fetch(file.url, part, progress)
    if resumed and not _is_expected(part, file):  # it went on with another file
        part.unlink()
        _fetch(file.url, part, progress)
    if not _is_expected(part, file):
        part.unlink()
        raise CorpusError(
            f"{file.url} is not the file that was expected (its SHA-256 differs), so "
            "it was deleted.\nTry again; a proxy or a log-in page may have answered."
        )


def _not_downloaded(url: str, error: Exception) -> str:
    """The message for a download that failed."""
    reason: object = error
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answered {error.code} {error.reason}"
        error.close()
    elif isinstance(error, urllib.error.URLError):
        reason = error.reason
    return (
        f"could not download {url}: {reason}\n"
        "The corpora stories, python-docs and python-code need no network; nor do the "
        "models stories and induction."
    )


def _is_expected(path: Path, file: Download) -> bool:
    """Whether a file has the SHA-256 it should have, where that is known."""
    if file.sha256 is None:
        return True
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() == file.sha256


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Append to a file what it still lacks; a server without ranges sends it all."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "llm-core"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if not have or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()  # nothing is lacking; the hash tells whether it is right
        return
    with response:
        begin = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        _save(response, part, begin, progress)


def _save(
    response: HTTPResponse, part: Path, begin: int, progress: Progress | None
) -> None:
    """Write what a server sends into a file, from its byte `begin` on.

    Raises ConnectionError where less comes than was announced; what came stays.
    """
    done, length = begin, response.headers.get("Content-Length")
    total = None if length is None else begin + int(length)
    with part.open("ab" if begin else "wb") as file:
        while block := response.read(1 << 16):
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(
            f"the connection broke after {done:,} of {total:,} bytes; try again"
        )
