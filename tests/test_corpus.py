"""Corpora: what comes in as documents, what is held out, what a download survives."""

import hashlib
import math
import random
import socket
import statistics
import sys
import sysconfig
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llm_core import corpus as room
from llm_core.corpus import (
    CORPORA,
    DOWNLOADS,
    Corpus,
    CorpusError,
    Download,
    Floor,
    bits_per_character,
    cache_folder,
    load_corpus,
    stream_corpus,
)

TALE = "".join(f"Line {i} of a tale that is told twice.\n" for i in range(9000))
PINNED = dict(DOWNLOADS)
DATA = TALE.encode("utf-8")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own, and no way to the world outside."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("LLM_CORE_CACHE", str(folder))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in DOWNLOADS:
        nowhere = Download("http://127.0.0.1:9/", "no hash")
        monkeypatch.setitem(room.DOWNLOADS, name, nowhere)
    return folder


# --------------------------------------------------------------- the corpus


def test_a_corpus_says_what_it_is_without_showing_its_text():
    assert repr(Corpus("x", ("abc",))) == "<Corpus 'x': 1 document, 3 characters>"
    assert "1,000 documents" in repr(Corpus("x", ("ab",) * 1000))


def test_text_is_the_documents_one_after_the_other():
    corpus = Corpus("x", ("a\n", "bc"))
    assert corpus.text == "a\nbc"
    assert corpus.num_characters == 4
    assert corpus.floor is None


@pytest.mark.parametrize("documents", [(), ("",), ("a", "")])
def test_a_corpus_without_text_is_refused(documents):
    with pytest.raises(CorpusError, match="no text"):
        Corpus("x", documents)


def test_bits_must_belong_to_the_documents():
    with pytest.raises(CorpusError, match="bits for 2 documents, got 1"):
        Corpus("x", ("a", "b"), (1.0,))


def test_the_floor_is_total_bits_over_total_characters():
    corpus = Corpus("x", ("abcd", "abcdefgh"), (4.0, 2.0))
    assert isinstance(corpus.floor, Floor)
    assert corpus.floor.rate == 0.5
    assert Corpus("x", ("abcd",), (4.0,)).floor == (1.0, math.inf)


def test_the_standard_error_agrees_with_the_scatter_of_many_corpora():
    chance = random.Random(1)

    def sample():
        lengths = [chance.randint(50, 400) for _ in range(100)]
        return bits_per_character(
            [0.3 * n + 20 + chance.gauss(0, 5) for n in lengths], lengths
        )

    floors = [sample() for _ in range(1000)]
    scatter = statistics.stdev(floor.rate for floor in floors)
    claimed = statistics.fmean(floor.standard_error for floor in floors)
    assert claimed == pytest.approx(scatter, rel=0.08)


def test_a_rate_that_never_varies_has_no_error():
    assert bits_per_character([1, 2, 4], [2, 4, 8]) == (0.5, 0.0)


# ------------------------------------------------------------ holding out


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("number", [2, 3, 7, 100, 1001])
def test_a_split_loses_nothing_and_repeats_nothing(number, fraction):
    documents = tuple(f"{i}." for i in range(number))
    whole = Corpus("x", documents, tuple(map(float, range(number))))
    training, validation = whole.split(fraction)
    assert sorted(training.bits + validation.bits) == list(whole.bits)
    assert len(validation.documents) == max(1, round(fraction * number))
    for part in (training, validation):
        assert part.name == "x"
        assert part.documents == tuple(f"{i:.0f}." for i in part.bits)
        assert list(part.bits) == sorted(part.bits)


def test_documents_held_out_are_spread_over_the_corpus():
    documents = tuple(f"{i:02}" for i in range(100))
    _, validation = Corpus("x", documents).split(0.05)
    assert validation.documents == ("10", "30", "50", "70", "90")


def test_both_sides_have_short_and_long_documents():
    lengths = [2 ** (7 * i % 20) for i in range(200)]
    corpus = Corpus("x", tuple("x" * length for length in lengths))
    training, validation = corpus.split(0.1)
    assert validation.num_characters / corpus.num_characters == pytest.approx(0.1)
    assert set(map(len, validation.documents)) == set(map(len, training.documents))


def test_the_floor_of_a_part_is_that_of_its_own_documents():
    corpus = Corpus("x", ("ab",) * 4, (1.0, 2.0, 3.0, 4.0))
    training, validation = corpus.split(0.25)
    assert validation.bits == (3.0,)
    assert training.floor.rate == pytest.approx(7 / 6)


def test_one_book_is_cut_near_its_end():
    training, validation = Corpus("x", (TALE,)).split(0.1)
    assert training.text + validation.text == TALE
    assert training.num_characters == int(0.9 * len(TALE))


def test_a_few_books_each_give_their_end():
    training, validation = Corpus("x", ("a" * 90 + "b" * 10, "c" * 10, "d")).split(0.1)
    assert training.documents == ("a" * 90, "c" * 9)
    assert validation.documents == ("b" * 10, "c", "d")


def test_a_document_whose_bits_are_known_is_never_cut():
    training, validation = Corpus("x", ("abc", "def"), (1.0, 2.0)).split(0.1)
    assert (training.documents, validation.documents) == (("abc",), ("def",))
    with pytest.raises(CorpusError, match="one document"):
        Corpus("x", ("abc",), (1.0,)).split(0.1)


@pytest.mark.parametrize("fraction", [0, -0.1, 0.51, 1, 10, math.nan])
def test_a_fraction_that_leaves_too_little_is_refused(fraction):
    with pytest.raises(CorpusError, match=r"at most 0\.5, got"):
        Corpus("x", (TALE,)).split(fraction)


def test_one_character_cannot_be_split():
    with pytest.raises(CorpusError, match="too few"):
        Corpus("x", ("a",)).split(0.5)


# ------------------------------------------------- made on this machine


def test_stories_come_with_their_bits():
    corpus = load_corpus("stories", num_stories=5, seed=3)
    assert len(corpus.documents) == len(corpus.bits) == 5
    assert 0 < corpus.floor.rate < 8
    assert corpus == load_corpus("stories", num_stories=5, seed=3)
    assert corpus != load_corpus("stories", num_stories=5, seed=4)


def test_no_stories_are_no_corpus():
    with pytest.raises(CorpusError, match="at least 1, got 0"):
        load_corpus("stories", num_stories=0)


def test_the_reference_of_python_is_prose():
    corpus = load_corpus("python-docs")
    assert len(corpus.documents) > 50
    assert corpus.num_characters > 300_000
    assert "iterable" in corpus.text
    assert all(text.endswith("\n") for text in corpus.documents)
    assert corpus == load_corpus("python-docs")


def test_a_python_without_its_reference_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(CorpusError, match="without pydoc_data"):
        load_corpus("python-docs")


def test_the_standard_library_is_code_without_packages_and_tests():
    corpus = load_corpus("python-code")
    assert 8e6 < corpus.num_characters < 20e6
    assert "class OrderedDict(dict):" in corpus.text
    assert "def pytest_addoption" not in corpus.text
    assert "class TestCase_" not in corpus.text


def test_source_is_read_in_the_encoding_it_declares(tmp_path, monkeypatch):
    library = tmp_path / "lib"
    for folder in ("site-packages", "test", "json/tests", "json"):
        (library / folder).mkdir(parents=True, exist_ok=True)
        (library / folder / "x.py").write_text(f"{folder!r}", encoding="utf-8")
    (library / "a.py").write_bytes(b"# coding: latin-1\r\n'\xe9'\r\n")
    (library / "bad.py").write_bytes(b"'\xe9'\n")
    (library / "unknown.py").write_bytes(b"# coding: klingon\n")
    (library / "empty.py").write_bytes(b"\n")
    (library / "notes.txt").write_bytes(b"no code\n")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    assert load_corpus("python-code").documents == (
        "# coding: latin-1\n'é'\n",
        "'json'\n",
    )


@pytest.mark.parametrize("folder", ["", "python311.zip"])
def test_a_python_without_its_source_says_so(tmp_path, monkeypatch, folder):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / folder))
    with pytest.raises(CorpusError, match="keeps no source"):
        load_corpus("python-code")


# ------------------------------------------------------- files and folders


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


def test_a_file_is_one_document_exactly_as_written(tmp_path):
    text = "  Grüße 🙂\n\nno line end here: "
    corpus = load_corpus(write(tmp_path / "My book, vol. 1.txt", text))
    assert corpus.documents == (text,)
    assert corpus.bits is None
    assert corpus.name == "My-book-vol.-1"


def test_line_ends_and_byte_order_marks_do_not_depend_on_the_system(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree\n\r\n")
    assert load_corpus(str(path)).text == "one\ntwo\nthree\n\n"


def test_a_text_is_split_where_a_document_ends(tmp_path):
    path = write(tmp_path / "a.txt", "One.\n<|endoftext|>\nTwo.\n\n<|endoftext|>\n ")
    assert load_corpus(path).documents == ("One.\n", "Two.\n\n")


@pytest.mark.parametrize("data", [b"", b" \n\t\n", b"\xef\xbb\xbf", b"<|endoftext|>\n"])
def test_a_file_without_text_is_refused(tmp_path, data):
    with pytest.raises(CorpusError, match=r"empty\.txt holds no text"):
        load_corpus(write(tmp_path / "empty.txt", data))


@pytest.mark.parametrize(
    ("encoding", "data", "offset", "guess"),
    [
        ("utf-8", b"caf\xe9 au lait", "0xe9 at offset 3", "cp1252"),
        ("utf-8", b"\xef\xbb\xbfcaf\xe9 ", "0xe9 at offset 6", "cp1252"),
        ("utf-8", "hé".encode("utf-16"), "0xff at offset 0", "utf-16"),
        ("cp1252", b"ab\x81", "0x81 at offset 2", "latin-1"),
        ("utf-16", b"\xff\xfea", "0x61 at offset 2", "latin-1"),
    ],
)
def test_a_wrong_encoding_names_the_byte_and_what_to_try(
    tmp_path, encoding, data, offset, guess
):
    path = write(tmp_path / "a.txt", data)
    with pytest.raises(ValueError, match=f"a.txt is not .*{offset}") as caught:
        load_corpus(path, encoding=encoding)
    assert f"--encoding {guess} " in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16"])
def test_another_encoding_is_read_when_named(tmp_path, encoding):
    path = write(tmp_path / "a.txt", "café\r\n".encode(encoding))
    assert load_corpus(path, encoding=encoding).text == "café\n"


@pytest.mark.parametrize("encoding", ["klingon", "hex"])
def test_an_unknown_encoding_is_named(tmp_path, encoding):
    with pytest.raises(CorpusError, match=f"called '{encoding}'"):
        load_corpus(write(tmp_path / "a.txt", "x"), encoding=encoding)


def test_a_folder_gives_its_text_files_sorted_by_path(tmp_path):
    books = tmp_path / "books"
    write(books / "b.txt", "second")
    write(books / "a" / "z.MD", "first\n")
    write(books / "c.py", "third\n<|endoftext|>fourth\n")
    write(books / "blank.txt", "\n")
    write(books / "picture.png", b"\x89PNG")
    write(books / ".hidden.txt", "no")
    write(books / ".git" / "a.txt", "no")
    corpus = load_corpus(books)
    assert corpus.documents == ("first\n", "second\n", "third\n", "fourth\n")
    assert corpus.name == "books"


def test_a_folder_is_named_even_where_it_is_written_as_a_dot(tmp_path, monkeypatch):
    write(tmp_path / "verse" / "a.txt", "x")
    monkeypatch.chdir(tmp_path / "verse")
    assert load_corpus(".").name == "verse"


def test_a_hidden_folder_can_be_asked_for_by_name(tmp_path):
    write(tmp_path / ".notes" / "a.txt", "x")
    assert load_corpus(tmp_path / ".notes").text == "x\n"


def test_a_folder_without_text_says_what_counts(tmp_path):
    write(tmp_path / "books" / "picture.png", b"\x89PNG")
    with pytest.raises(CorpusError, match=r"no text in .*books: .*\.txt"):
        load_corpus(tmp_path / "books")


def test_a_wrong_file_in_a_folder_is_named(tmp_path):
    write(tmp_path / "books" / "a.txt", "fine")
    write(tmp_path / "books" / "b.txt", b"\xff")
    with pytest.raises(CorpusError, match=r"b\.txt is not utf-8"):
        load_corpus(tmp_path / "books")


def test_a_file_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "a.txt", "x")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CorpusError, match=r"cannot read .*a\.txt: Permission denied"):
        load_corpus(path)


def test_a_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    write(tmp_path / "a.txt", "at home")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_corpus("~/a.txt").text == "at home"


def test_a_name_wins_over_a_path(tmp_path, monkeypatch):
    write(tmp_path / "stories", "a file")
    monkeypatch.chdir(tmp_path)
    assert load_corpus("stories", num_stories=1).bits is not None
    assert load_corpus("./stories").text == "a file"
    assert load_corpus(Path("stories")).text == "a file"


def test_an_unknown_name_lists_the_names_and_the_closest():
    with pytest.raises(CorpusError) as caught:
        load_corpus("shakespear")
    assert "Did you mean 'shakespeare'?" in str(caught.value)
    assert all(name in str(caught.value) for name in CORPORA)


@pytest.mark.parametrize("source", ["", "a\0b", "To be, or not to be: " * 500])
def test_what_is_no_name_at_all_is_refused_briefly(source):
    with pytest.raises(CorpusError, match="found no corpus") as caught:
        load_corpus(source)
    assert len(str(caught.value)) < 300


# ---------------------------------------------------------------- downloads


class Server(ThreadingHTTPServer):
    """Serves files, may lack ranges, break off, or hide lengths; keeps the asked."""

    files: dict[str, bytes]
    ranges = True
    break_after: int | None = None
    tells_length = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = {}, []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        data = server.files.get(self.path)
        if data is None:
            return self.send_error(404)
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if start and start >= len(data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if server.tells_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return self.wfile.write(data[start:][: server.break_after])


@pytest.fixture
def server():
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def tale(server, monkeypatch):
    """The server, which has the file that `shakespeare` stands for here."""
    server.files["/tale"] = DATA
    known = Download(server.url("/tale"), hashlib.sha256(DATA).hexdigest())
    monkeypatch.setitem(room.DOWNLOADS, "shakespeare", known)
    return server


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_made_once(tale, cache):
    corpus = load_corpus("shakespeare")
    assert corpus == Corpus("shakespeare", (TALE,))
    assert load_corpus("shakespeare") == corpus
    assert tale.asked == [None]
    assert files_in(cache) == ["shakespeare.txt"]


def test_progress_ends_at_the_total(tale):
    reports = []
    load_corpus("shakespeare", progress=lambda *report: reports.append(report))
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert {total for _, total in reports} == {len(DATA)}
    assert reports[-1] == (len(DATA), len(DATA))


def test_a_broken_download_goes_on_where_it_broke(tale, cache):
    tale.break_after = 100_000
    with pytest.raises(CorpusError, match=r"broke after 100,000 of 358,\d+ bytes"):
        load_corpus("shakespeare")
    assert files_in(cache) == ["shakespeare.txt.part"]
    tale.break_after, reports = None, []
    corpus = load_corpus("shakespeare", progress=lambda *at: reports.append(at))
    assert corpus.text == TALE
    assert tale.asked == [None, "bytes=100000-"]
    assert reports[0][0] > 100_000
    assert reports[-1] == (len(DATA), len(DATA))
    assert files_in(cache) == ["shakespeare.txt"]


def test_a_server_without_ranges_sends_the_whole_again(tale, cache):
    tale.ranges = False
    write(cache / "shakespeare.txt.part", DATA[:5000])
    assert load_corpus("shakespeare").text == TALE
    assert tale.asked == ["bytes=5000-"]


@pytest.mark.parametrize(
    "stale", [b"of another file", DATA + b"too long", b"x" * len(DATA)]
)
def test_a_stale_part_is_thrown_away(tale, cache, stale):
    write(cache / "shakespeare.txt.part", stale)
    assert load_corpus("shakespeare").text == TALE
    assert tale.asked == [f"bytes={len(stale)}-", None]


def test_a_part_that_is_already_whole_is_kept(tale, cache):
    write(cache / "shakespeare.txt.part", DATA)
    assert load_corpus("shakespeare").text == TALE
    assert tale.asked == [f"bytes={len(DATA)}-"]


def test_an_empty_part_is_begun_anew(tale, cache):
    write(cache / "shakespeare.txt.part", b"")
    assert load_corpus("shakespeare").text == TALE
    assert tale.asked == [None]


def test_a_damaged_copy_is_fetched_again(tale, cache):
    write(cache / "shakespeare.txt", DATA[:-1])
    assert load_corpus("shakespeare").text == TALE


def test_a_file_that_is_not_the_expected_one_is_deleted(tale, cache):
    tale.files["/tale"] = b"<html>Please log in.</html>"
    with pytest.raises(CorpusError, match=r"(?s)SHA-256 differs.*deleted.*log-in"):
        load_corpus("shakespeare")
    assert files_in(cache) == []


def test_a_download_that_fails_leaves_the_copy_alone(tale, cache):
    write(cache / "shakespeare.txt", "an older text")
    tale.files.clear()
    with pytest.raises(CorpusError):
        load_corpus("shakespeare")
    assert (cache / "shakespeare.txt").read_bytes() == b"an older text"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_without_a_network_the_error_says_what_needs_none(monkeypatch):
    url = f"http://127.0.0.1:{free_port()}/tale"
    monkeypatch.setitem(room.DOWNLOADS, "shakespeare", Download(url, "x"))
    with pytest.raises(CorpusError) as caught:
        load_corpus("shakespeare")
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"could not download {url}: ")
    assert "refused" in first
    assert "stories, python-docs and python-code need no network" in second


def test_a_missing_page_says_what_the_server_answered(server):
    with pytest.raises(CorpusError, match="answered 404 Not Found"):
        load_corpus(server.url("/nothing"))


def test_a_cache_that_cannot_be_made_says_how_to_choose_another(tale, cache):
    write(cache, "a file where the folder should be")
    with pytest.raises(CorpusError, match=r"(?s)cannot keep.*: .*LLM_CORE_CACHE"):
        load_corpus("shakespeare")


@pytest.mark.parametrize("error", [TimeoutError("timed out"), OSError("no space")])
def test_any_trouble_on_the_way_is_one_kind_of_error(tale, monkeypatch, error):
    def fail(request, timeout):
        raise error

    monkeypatch.setattr(room.urllib.request, "urlopen", fail)
    with pytest.raises(CorpusError, match=f"could not download .*: {error}"):
        load_corpus("shakespeare")


def test_an_address_is_a_corpus_and_is_fetched_once(server, cache):
    server.files["/books/My%20tale.txt"] = "Grüße\r\n".encode()
    corpus = load_corpus(server.url("/books/My%20tale.txt"))
    assert corpus == Corpus("My-tale", ("Grüße\n",))
    server.files.clear()
    assert load_corpus(server.url("/books/My%20tale.txt")) == corpus
    assert len(server.asked) == 1


def test_two_addresses_do_not_share_a_copy(server):
    server.files |= {"/a?x=1": b"one", "/a?x=2": b"two"}
    texts = [load_corpus(server.url(f"/a?x={i}")).text for i in (1, 2)]
    assert texts == ["one", "two"]


def test_an_address_without_a_path_is_named_after_its_host(server):
    server.files["/"] = b"one"
    assert load_corpus(server.url("/")).name == f"127.0.0.1-{server.server_port}"


def test_an_address_is_never_pieced_together_from_two_files(server, cache):
    server.files["/a"], server.break_after = b"an old version", 5
    with pytest.raises(CorpusError, match="broke after 5 of 14 bytes"):
        load_corpus(server.url("/a"))
    server.files["/a"], server.break_after = b"a new version", None
    assert load_corpus(server.url("/a")).text == "a new version"
    assert server.asked == [None, None]


def test_an_address_may_not_tell_its_length(server):
    server.files["/a"], server.tells_length, reports = b"text", False, []
    load_corpus(server.url("/a"), progress=lambda *report: reports.append(report))
    assert reports == [(4, None)]


def test_an_address_may_have_another_encoding(server):
    server.files["/a"] = b"caf\xe9"
    with pytest.raises(CorpusError, match="0xe9 at offset 3"):
        load_corpus(server.url("/a"))
    assert load_corpus(server.url("/a"), encoding="latin-1").text == "café"


@pytest.mark.parametrize("url", ["ftp://host/a.txt", "file:///etc/hosts", "s3://b/k"])
def test_only_http_and_https_are_followed(url):
    with pytest.raises(CorpusError, match=r"begins with http:// or https://, got"):
        load_corpus(url)


@pytest.mark.parametrize("url", ["http://[", "http://a b/c", "http://", "https:///x"])
def test_an_impossible_address_is_a_clear_error(url):
    with pytest.raises(CorpusError, match="could not download"):
        load_corpus(url)


def test_every_download_has_an_address_and_a_hash():
    assert set(PINNED) < set(CORPORA)
    for file in PINNED.values():
        assert file.url.startswith("https://")
        assert len(bytes.fromhex(file.sha256)) == 32


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", ".cache/llm-core"),
        ("darwin", "", "Library/Caches/llm-core"),
        ("win32", "LOCALAPPDATA", "AppData/Local/llm-core"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(
    tmp_path, monkeypatch, platform, variable, expected
):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("LLM_CORE_CACHE")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == tmp_path / expected
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        assert cache_folder() == tmp_path / "elsewhere" / "llm-core"
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


# --- Text of any size ---


def streamed(source, **options):
    """The documents of a stream, and the longest piece that came."""
    pieces = list(stream_corpus(source, **options))
    documents = "".join(pieces).split("<|endoftext|>")
    assert documents[0] == ""
    return tuple(documents[1:])


TEXTS = {
    "plain": "one\r\ntwo\rthree",
    "marked": "\ufeff<|endoftext|>One.\n<|endoftext|>\n\nTwo.<|endoftext|> \n",
    "blank first": "\n" * 70_000 + "text",
    "long": "a line of text\n" * 20_000,
    "mark across pieces": "x" * (2**16 - 4) + "<|endoftext|>" + "y" * 2**16 + "\n",
    "many": "".join(f"<|endoftext|>\n{'z' * n}" for n in range(1, 900)),
    "blank after": "text\n" + "\n" * 140_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_streamed_file_is_the_loaded_one(text, tmp_path):
    path = write(tmp_path / "a.txt", text)
    assert streamed(path) == load_corpus(path).documents


def test_a_streamed_folder_is_the_loaded_one(tmp_path):
    for number, text in enumerate([*TEXTS.values(), " \n"]):
        write(tmp_path / "books" / f"{number}.txt", text)
    assert streamed(tmp_path / "books") == load_corpus(tmp_path / "books").documents


@pytest.mark.parametrize("name", ["stories", "python-docs"])
def test_a_streamed_corpus_is_the_loaded_one(name):
    loaded = load_corpus(name, num_stories=20)
    assert streamed(name, num_stories=20) == loaded.documents


@pytest.mark.parametrize(
    ("source", "fault"),
    [("storeis", "Did you mean 'stories'"), ("", "found no corpus")],
)
def test_a_stream_of_nothing_known_is_refused(source, fault):
    with pytest.raises(CorpusError, match=fault):
        list(stream_corpus(source))


def test_a_stream_that_is_no_text_is_refused(tmp_path):
    path = write(tmp_path / "a.txt", b"caf\xe9 au lait")
    with pytest.raises(CorpusError, match=r"a\.txt is not utf-8"):
        list(stream_corpus(path))
    with pytest.raises(CorpusError, match="no text encoding is called"):
        list(stream_corpus(path, encoding="utf-99"))


def test_a_long_file_is_streamed_in_small_memory(tmp_path):
    path = write(tmp_path / "a.txt", "a line of text\n" * 400_000)
    tracemalloc.start()
    longest = max(len(piece) for piece in stream_corpus(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest <= 2**17
    assert peak < 2**21
