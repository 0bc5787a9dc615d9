"""Text to ids and back: round trips, independent oracles, streams, files, mistakes."""

import copy
import functools
import gc
import json
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from unittest import mock

import pytest
import tiktoken
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_core import tokenizer as module
from llm_core.tokenizer import (
    END_OF_TEXT,
    GPT2_PATTERN,
    BPETokenizer,
    CharacterTokenizer,
    Tokenizer,
    best_pair,
    count_pairs,
    count_words,
    find_merges,
    merge_pair,
    merge_word,
    split_special,
    split_words,
    train_merges,
)

settings.register_profile("patient", deadline=None)  # a busy machine is no fault
settings.load_profile("patient")

MIXED = (
    "We'll see: the cat's hat, the CATS' hats; it'd've been 1,234.50 €!\n\n"
    "  def f(x):\n\t\treturn x**2   # tabs\r\n\r\n"
    "Größe, naïve, Ångström. Ελληνικά και άλλα. Привет, мир! שלום עולם. مرحبا بالعالم "
    "नमस्ते दुनिया। 今天天气很好，我们去公园。日本語のテキスト、한국어 문장. ไทย "
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 e\u0301 é \u200b\ufeff\x00\x1f �  "
)
ENGLISH = (
    "low low low low low lower lower widest widest widest newest newest newest newest "
    "the cat sat on the mat and the other cat sat there too, aaaa aaa aa a\n"
) * 3
ANYWHERE = r"[\s\S]+"  # no pre-tokenization: the whole text is one word
WORDS_OR_NOT = r"\w+|\W"


def trained(vocab_size=400, special_tokens=(), pattern=GPT2_PATTERN, text=MIXED * 2):
    tokenizer = BPETokenizer(vocab_size, special_tokens, pattern)
    tokenizer.train(text + ENGLISH)
    return tokenizer


BPE = trained()
SPECIAL = trained(special_tokens=["<a>", "<a><b>", ">x", END_OF_TEXT])
ENDED = trained(special_tokens=[END_OF_TEXT])
# Texts that provoke: contractions, runs of white space, beginnings of special tokens.
tricky = st.text(st.sampled_from("aab xl'  \n.,1<>é漢👍")) | st.lists(
    st.sampled_from(["<a>", "<b>", "<a", "><b>", END_OF_TEXT, "<|end", "'ll", "x", " "])
).map("".join)
texts = st.text() | tricky


def ranks_of(tokenizer):
    special_ids = set(tokenizer.special_tokens.values())
    ids = set(range(tokenizer.vocab_size)) - special_ids
    return {tokenizer.token_bytes(id): id for id in ids}


@functools.cache
def once(make, tokenizer):
    return make(tokenizer)


def as_tiktoken(tokenizer):
    return tiktoken.Encoding(
        "test",
        pat_str=tokenizer.pattern,
        mergeable_ranks=ranks_of(tokenizer),
        special_tokens=tokenizer.special_tokens,
    )


def cut(text, places):
    """Cut text at the given places, wherever they fall."""
    edges = sorted({min(place, len(text)) for place in [0, *places]})
    return [text[a:b] for a, b in pairwise([*edges, len(text)])]


# --- Round trips ---


@given(texts)
@example(MIXED)
def test_bpe_decodes_what_it_encoded(text):
    assert BPE.decode(BPE.encode(text)) == text
    assert SPECIAL.decode(SPECIAL.encode(text)) == text


@given(texts.filter(bool))
@example(MIXED)
def test_characters_decode_to_what_they_encoded(text):
    tokenizer = CharacterTokenizer()
    tokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text)
    assert tokenizer.vocab_size == len(set(text))


@given(st.text(), st.sampled_from([ANYWHERE, WORDS_OR_NOT, r"(?s:.)", r"(?s:.{1,3})"]))
def test_bpe_round_trip_holds_for_other_patterns(text, pattern):
    tokenizer = BPETokenizer(300, pattern=pattern)
    tokenizer.train(ENGLISH)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_bytes_of_tokens_join_to_the_text():
    joined = b"".join(map(BPE.token_bytes, BPE.encode(MIXED)))
    assert joined == MIXED.encode()


def test_incomplete_characters_decode_to_the_replacement_character():
    euro = list("€".encode())
    assert BPE.decode(euro) == "€"
    assert BPE.decode(euro[:2]) == "�"
    assert BPE.decode([65, *euro[1:], 66]) == "A��B"


def test_special_tokens_decode_to_themselves():
    assert SPECIAL.decode([SPECIAL.special_tokens[END_OF_TEXT]]) == END_OF_TEXT


# --- Oracles ---


@given(texts)
@example(MIXED)
def test_bpe_equals_tiktoken(text):
    oracle = once(as_tiktoken, BPE)
    assert BPE.encode(text) == oracle.encode_ordinary(text)


@given(st.text() | st.text(st.sampled_from("ab <>|endoftx")))
@example(f"{END_OF_TEXT}a {END_OF_TEXT}{END_OF_TEXT}")
def test_special_tokens_equal_tiktokens(text):
    oracle = once(as_tiktoken, ENDED)
    assert ENDED.encode(text) == oracle.encode(text, allowed_special="all")


def visible_bytes():
    """The printable characters that stand for bytes in GPT-2's files."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return dict(zip(plain + others, map(chr, [*plain, *range(256, 324)]), strict=True))


def shuffled(first_id=0):
    """Make a vocabulary like GPT-2's, in which a byte's id is another number."""
    tokens = [*visible_bytes()]
    tokens = [bytes([byte]) for byte in tokens] + [*ranks_of(BPE)][256:]
    return {token: id for id, token in enumerate(tokens, start=first_id)}


SHUFFLED = BPETokenizer.from_ranks(shuffled(first_id=1), {END_OF_TEXT: 0})


@given(texts)
@example(MIXED)
def test_bpe_equals_tiktoken_when_bytes_have_other_ids(text):
    oracle = once(as_tiktoken, SHUFFLED)
    assert SHUFFLED.encode(text) == oracle.encode(text, allowed_special="all")
    assert SHUFFLED.decode(SHUFFLED.encode(text)) == text


def test_a_special_token_may_have_any_id():
    assert SHUFFLED.encode(f"!{END_OF_TEXT}") == [1, 0]
    assert SHUFFLED.vocab_size == BPE.vocab_size + 1


def as_hugging_face(tokenizer):
    sign = visible_bytes()
    show = {
        id: "".join(sign[byte] for byte in token)
        for token, id in ranks_of(tokenizer).items()
    }
    model = tokenizers.models.BPE(
        vocab={token: id for id, token in show.items()},
        merges=[(show[left], show[right]) for left, right in tokenizer.merges],
    )
    oracle = tokenizers.Tokenizer(model)
    oracle.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return oracle


@given(texts)
@example(MIXED)
def test_bpe_equals_hugging_faces_tokenizers(text):
    oracle = once(as_hugging_face, BPE)
    assert BPE.encode(text) == oracle.encode(text).ids


def naive_train(word_counts, num_merges):
    """Count all pairs anew for each merge; choose by the tie rule as it is stated."""
    tokens = [bytes([byte]) for byte in range(256)]
    words = {word: [bytes([byte]) for byte in word] for word in word_counts}
    merges = []
    while len(merges) < num_merges:
        counts = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                counts[pair] += word_counts[word]
        if not counts:
            break
        most = max(counts.values())
        left, right = max(pair for pair in counts if counts[pair] == most)
        for word, parts in words.items():
            merged = []
            while parts:
                joins = parts[:2] == [left, right]
                merged.append(left + right if joins else parts[0])
                parts = parts[2 if joins else 1 :]
            words[word] = merged
        merges.append((tokens.index(left), tokens.index(right)))
        tokens.append(left + right)
    return merges


word_counts_of = st.dictionaries(
    st.text(st.sampled_from("abc")).map(str.encode) | st.binary(max_size=6),
    st.integers(1, 5),
)


@given(word_counts_of, st.integers(0, 30))
@example({b"aaaaaaa": 1, b"aaab": 3, b"baaa": 3, b"aa": 2}, 30)
def test_training_equals_rescanning(word_counts, num_merges):
    merges = list(train_merges(word_counts, num_merges))
    assert merges == naive_train(word_counts, num_merges)


def test_training_equals_rescanning_on_mixed_languages():
    word_counts = count_words([MIXED, ENGLISH], GPT2_PATTERN)
    assert list(train_merges(word_counts, 10_000)) == naive_train(word_counts, 10_000)


@given(word_counts_of)
def test_each_merge_is_the_best_pair_of_all(word_counts):
    words = {word: list(word) for word in word_counts}
    tokens = [bytes([byte]) for byte in range(256)]
    for new_id, pair in enumerate(train_merges(word_counts, 20), start=256):
        counts = count_pairs(
            (words[word], count) for word, count in word_counts.items()
        )
        assert pair == best_pair(counts, tokens)
        words = {word: merge_pair(ids, pair, new_id) for word, ids in words.items()}
        tokens.append(tokens[pair[0]] + tokens[pair[1]])


def test_equal_counts_go_to_the_greatest_pair_left_token_first():
    assert list(train_merges({b"ab": 2, b"ba": 2, b"bb": 1}, 1)) == [(98, 97)]
    tokens = [b"a", b"bc", b"ab", b"b"]
    assert best_pair({(0, 1): 1, (2, 3): 1}, tokens) == (2, 3)  # "ab" is after "a"


@given(word_counts_of)
def test_merges_are_found_again_from_the_vocabulary(word_counts):
    tokens = [bytes([byte]) for byte in range(256)]
    merges = list(train_merges(word_counts, 50))
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    assert len(set(tokens)) == len(tokens)
    ranks = {token: id for id, token in enumerate(tokens)}
    assert list(find_merges(ranks).items()) == [
        (pair, id) for id, pair in enumerate(merges, start=256)
    ]


def naive_merge_word(ids, merges):
    """Apply each merge in turn, from the first learned to the last."""
    for pair, new_id in merges.items():
        ids = merge_pair(ids, pair, new_id)
    return list(ids)


@given(st.text(st.sampled_from("aelowrst ")) | st.text())
@example("a" * 1000)
def test_encoding_a_word_equals_replaying_the_training(text):
    ids = list(text.encode())
    assert merge_word(ids, BPE.merges) == naive_merge_word(ids, BPE.merges)


@given(st.text(st.sampled_from("aelowrst ")) | st.text())
@example(ENGLISH)
def test_encoding_a_text_equals_replaying_the_training_in_each_word(text):
    words = [list(word.encode()) for word in split_words(text, GPT2_PATTERN)]
    replayed = [naive_merge_word(word, BPE.merges) for word in words]
    assert BPE.encode(text) == list(chain.from_iterable(replayed))


def test_a_long_word_needs_a_number_of_steps_in_proportion():
    word = list(b"thelowcat" * 1000)
    pop = mock.Mock(wraps=module.heappop)
    with mock.patch.object(module, "heappop", pop):
        merge_word(word, BPE.merges)
    assert pop.call_count < 3 * len(word)


def test_training_visits_only_words_with_the_pair():
    word_counts = count_words([MIXED, ENGLISH], GPT2_PATTERN)
    merge = mock.Mock(wraps=module.merge_pair)
    with mock.patch.object(module, "merge_pair", merge):
        num_merges = len(list(train_merges(word_counts, 10_000)))
    wasted = [call for call in merge.mock_calls if not has_pair(*call.args[:2])]
    assert len(merge.mock_calls) < num_merges * len(word_counts) / 10
    assert len(wasted) < len(merge.mock_calls) / 2


def has_pair(ids, pair):
    return pair in pairwise(ids)


# --- Words and patterns ---


@given(texts)
@example(MIXED)
def test_the_pattern_cuts_text_as_gpt2_does(text):
    as_published = (
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    )
    assert split_words(text, GPT2_PATTERN) == split_words(text, as_published)


def test_words_are_counted_over_texts_but_not_across_them():
    assert count_words(["ab", "c", "ab"], GPT2_PATTERN) == {b"ab": 2, b"c": 1}


def test_no_token_crosses_the_border_of_words_texts_or_special_tokens():
    tokenizer = BPETokenizer(1000, ["<s>"])
    tokenizer.train(["xy zz"] * 9 + ["q<s>r"] * 9 + ["q", "r"] * 9)
    tokens = set(ranks_of(tokenizer))
    assert {b"xy", b" zz"} <= tokens
    assert not tokens & {b"xy ", b"y ", b"zzq", b"qr", b"<s", b"s>", b"<s>"}


def test_without_words_a_token_may_be_as_long_as_the_text():
    tokenizer = BPETokenizer(1000, pattern=ANYWHERE)
    tokenizer.train("to be or not to be, " * 4)
    assert max(map(len, ranks_of(tokenizer))) > 20


@pytest.mark.parametrize(
    ("pattern", "text", "fault"),
    [
        (r"\w+|\s+", "one, two", r"leaves out ',' at position 3"),
        (r"\w*", "a b", r"leaves out ' ' at position 1"),
        (r"(?r)(?s:.)", "abc", r"leaves out 'a' at position 0"),
        (r"a\Kb|.", "cab", r"leaves out 'a' at position 1"),
    ],
)
def test_a_pattern_that_would_lose_text_is_refused_when_it_does(pattern, text, fault):
    with pytest.raises(ValueError, match=fault):
        split_words(text, pattern)
    with pytest.raises(ValueError, match=fault):
        BPETokenizer(300, pattern=pattern).train(text)


def test_a_pattern_may_have_2000_characters():
    assert BPETokenizer(300, pattern="a" * 2000).pattern == "a" * 2000


def test_a_pattern_that_takes_forever_is_stopped():
    def impatient(*args, timeout, **options):
        assert timeout >= 10
        return find_all(*args, timeout=0.01, **options)

    find_all = module.regex.findall
    with (
        mock.patch.object(module.regex, "findall", impatient),
        pytest.raises(ValueError, match="40 characters: look for a repeat inside"),
    ):
        split_words("a" * 39 + "!", r"(?:a|aa)+$|[\s\S]")


# --- Special tokens ---


def test_the_longest_special_token_wins():
    ids = SPECIAL.special_tokens
    assert SPECIAL.encode("<a><b>") == [ids["<a><b>"]]
    assert SPECIAL.encode("<a><a><b><a>") == [ids["<a>"], ids["<a><b>"], ids["<a>"]]


def test_overlapping_special_tokens_are_taken_from_the_left():
    assert split_special("<a>x>x", SPECIAL.special_tokens) == ["<a>", "x", ">x"]


def test_special_tokens_have_the_last_ids():
    assert SPECIAL.special_tokens == {"<a>": 396, "<a><b>": 397, ">x": 398} | {
        END_OF_TEXT: 399
    }
    characters = CharacterTokenizer([END_OF_TEXT])
    characters.train(f"ab{END_OF_TEXT}ba")
    assert characters.special_tokens == {END_OF_TEXT: 2}
    assert characters.encode(f"b{END_OF_TEXT}a") == [1, 2, 0]


def test_special_tokens_may_hold_signs_with_a_meaning_in_patterns():
    tokenizer = BPETokenizer(300, ["[.*]", "(?", "\\"])
    tokenizer.train("a text")
    assert tokenizer.encode("[.*](?\\")[:3] == list(tokenizer.special_tokens.values())


# --- Streams ---


STREAMED = {
    "bpe": BPE,
    "special": SPECIAL,
    "no words": trained(special_tokens=["<a>", "a<"], pattern=ANYWHERE),
    "other words": trained(pattern=WORDS_OR_NOT),
}


@pytest.mark.parametrize("name", [*STREAMED, "characters"])
@given(text=texts, places=st.lists(st.integers(0, 60)), piece=st.integers(1, 20))
@example(text="we'l" + "l see   \n\n x", places=[4, 8, 10], piece=1)
@example(text="x<|endoftext|>y <a><b>", places=[5, 8, 18], piece=1)
@example(text="aab", places=[], piece=1)  # half a token, twice
def test_a_stream_has_the_ids_of_the_whole(name, text, places, piece):
    if name == "characters":
        tokenizer = CharacterTokenizer(["<a>", "<a><b>", "b<a", "ab"])
        tokenizer.train(text + "-")
    else:
        tokenizer = STREAMED[name]
    whole = tokenizer.encode(text)
    with mock.patch.object(module, "_PIECE", piece):
        assert list(tokenizer.encode_iterable(cut(text, places))) == whole
        assert list(tokenizer.encode_iterable(text)) == whole
        assert tokenizer.encode(text) == whole


def test_lines_have_the_ids_of_the_whole():
    text = MIXED * 20
    lines = text.splitlines(keepends=True)
    assert list(BPE.encode_iterable(lines)) == BPE.encode(text)


@pytest.mark.parametrize("tokenizer", [BPE, SPECIAL])
@pytest.mark.parametrize("text", ["word ", f"word{END_OF_TEXT} "])
def test_a_stream_is_read_no_further_than_needed(tokenizer, text):
    taken = []
    with mock.patch.object(module, "_PIECE", 256):
        next(tokenizer.encode_iterable(taken.append(n) or text for n in range(300)))
    assert len(taken) < 100


def peak_of(job):
    tracemalloc.start()
    try:
        job()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["bpe", "characters"])
def test_memory_of_a_stream_does_not_grow_with_its_length(name):
    tokenizer = BPETokenizer(300) if name == "bpe" else CharacterTokenizer()
    tokenizer.train(ENGLISH)

    def consume(repeats):
        return lambda: sum(1 for _ in tokenizer.encode_iterable([ENGLISH] * repeats))

    consume(100)()
    short, long = peak_of(consume(100)), peak_of(consume(1000))
    assert long < 1.2 * short + 10_000
    assert long < len(ENGLISH) * 1000


def test_memory_of_training_does_not_grow_with_the_number_of_texts():
    def train(repeats):
        texts = (ENGLISH for _ in range(repeats))
        return lambda: BPETokenizer(300).train(texts)

    train(10)()
    assert peak_of(train(1000)) < 1.2 * peak_of(train(100)) + 10_000


def test_memory_of_training_is_small_beside_one_long_text():
    text = ENGLISH * 1000
    assert peak_of(lambda: BPETokenizer(300).train(text)) < len(text)


def test_the_memory_of_words_is_bounded():
    tokenizer = trained()
    text = " ".join(f"w{number}" for number in range(100)) + "long" * 100
    with mock.patch.object(module, "_CACHED_WORDS", 8):
        assert tokenizer.encode(text) == BPE.encode(text)
    assert len(tokenizer._word_ids) <= 8
    assert max(map(len, tokenizer._word_ids)) <= 64


def test_words_that_return_are_merged_once_even_if_there_are_many():
    words = [f" {number}" for number in range(40_000)]
    tokenizer = trained()
    merged = []

    def merge(ids, merges):
        merged.append(ids)
        return ids

    with mock.patch.object(module, "merge_word", merge):
        tokenizer.encode("".join(words * 2))
    assert len(merged) == len(words)


# --- Training ---


def test_vocab_size_is_the_real_one():
    tokenizer = BPETokenizer(5000, [END_OF_TEXT])
    assert tokenizer.vocab_size == 257
    tokenizer.train("aaaa")
    assert tokenizer.vocab_size == 256 + 2 + 1
    assert tokenizer.special_tokens == {END_OF_TEXT: 258}
    assert trained(300).vocab_size == 300
    assert CharacterTokenizer().vocab_size == 0


def test_training_again_starts_anew():
    tokenizer = BPETokenizer(260, [END_OF_TEXT])
    tokenizer.train("xyxyxy")
    tokenizer.train(ENGLISH)
    other = BPETokenizer(260, [END_OF_TEXT])
    other.train([ENGLISH])
    assert tokenizer.merges == other.merges
    assert tokenizer.encode(ENGLISH) == other.encode(ENGLISH)


@pytest.mark.parametrize("kind", [lambda *a: BPETokenizer(300, *a), CharacterTokenizer])
@pytest.mark.parametrize("texts", ["", [], ["", ""], iter([]), "<s><s>"])
def test_training_on_nothing_is_refused_and_changes_nothing(kind, texts):
    tokenizer = kind(["<s>"])
    tokenizer.train("abc<s>")
    before = tokenizer.encode("abc<s>"), tokenizer.vocab_size
    with pytest.raises(ValueError, match="training needs text, got none"):
        tokenizer.train(texts)
    assert (tokenizer.encode("abc<s>"), tokenizer.vocab_size) == before


@pytest.mark.parametrize("enabled", [True, False])
def test_training_leaves_the_garbage_collector_as_it_was(enabled):
    try:
        (gc.enable if enabled else gc.disable)()
        trained(300)
        assert gc.isenabled() is enabled
        with (
            mock.patch.object(module, "merge_pair", side_effect=KeyboardInterrupt),
            pytest.raises(KeyboardInterrupt),
        ):
            trained(300)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_a_vocabulary_of_bytes_alone_is_possible():
    tokenizer = BPETokenizer(256)
    tokenizer.train("é")
    assert tokenizer.encode("é") == list("é".encode())


@pytest.mark.parametrize("kind", [lambda: BPETokenizer(300), CharacterTokenizer])
def test_a_progress_bar_is_shown_only_when_asked_for(kind, capfd):
    kind().train([ENGLISH, MIXED])
    assert capfd.readouterr() == ("", "")
    kind().train([ENGLISH, MIXED], verbose=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err


# --- Mistakes ---


UNTRAINED = BPETokenizer(300)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: BPETokenizer(255), "at least 256 .* got 255"),
        (lambda: BPETokenizer(256, ["<s>"]), r"at least 257 .*1 special.* got 256"),
        (lambda: BPETokenizer(1e3), r"whole number .* got 1000\.0"),
        (lambda: BPETokenizer("300"), "whole number .* got '300'"),
        (lambda: BPETokenizer(300, "<s>"), "must be a list, got '<s>'"),
        (lambda: BPETokenizer(300, {"<s>"}), "must be a list, got {'<s>'}"),
        (lambda: BPETokenizer(300, [""]), "at least one character"),
        (lambda: BPETokenizer(300, [7]), "must be a str, got int 7"),
        (lambda: BPETokenizer(300, ["<\ud800"]), r"lone surrogate, .* at position 1:"),
        (lambda: BPETokenizer(300, ["<s>", "<s>"]), "must differ"),
        (lambda: CharacterTokenizer("abc"), "must be a list, got 'abc'"),
        (lambda: BPETokenizer(300, pattern="("), "not a regular expression"),
        (lambda: BPETokenizer(300, pattern="(" * 1999), "not a regular expression"),
        (lambda: BPETokenizer(300, pattern="a" * 2001), "2001 characters, more than"),
        (lambda: BPETokenizer(300, pattern="(a)|."), r"write \(\?:…\)"),
        (lambda: BPETokenizer(300, pattern=b"."), "must be a str, got b'.'"),
        (lambda: UNTRAINED.encode("a"), "not trained"),
        (lambda: UNTRAINED.encode_iterable(["a"]), "not trained"),
        (lambda: UNTRAINED.decode([1]), "not trained"),
        (lambda: UNTRAINED.token_bytes(1), "not trained"),
        (lambda: UNTRAINED.save("x.json"), "not trained"),
        (lambda: CharacterTokenizer().encode("a"), "not trained"),
        (lambda: UNTRAINED.train(5), "expected a text or a list of texts, got 5"),
        (lambda: UNTRAINED.train(b"abc"), "must be a str, got int 97"),
        (lambda: UNTRAINED.train(["a", None]), "must be a str, got NoneType"),
        (lambda: BPE.encode(None), "must be a str, got NoneType"),
        (lambda: BPE.encode(["a"]), "must be a str, got list"),
        (lambda: BPE.encode_iterable(5), "expected a text or a list of texts"),
        (lambda: BPE.encode("abc\ud83d"), r"lone surrogate, '\\ud83d', at position 3"),
        (lambda: [*BPE.encode_iterable(["ab", "c\udc00"])], "at position 3"),
        (lambda: BPE.decode([65, 400]), r"in 0\.\.399, got 400 at position 1"),
        (lambda: BPE.decode([-1]), r"in 0\.\.399, got -1 at position 0"),
        (lambda: BPE.decode([1.0]), r"whole number, got 1\.0 at position 0"),
        (lambda: BPE.decode("ab"), "whole number, got 'a' at position 0"),
        (lambda: BPE.decode(7), r"must be a list, such as \[7\]"),
        (lambda: BPE.token_bytes(-1), r"in 0\.\.399, got -1"),
    ],
)
def test_a_mistake_is_answered_with_what_is_wrong_and_where(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()


@pytest.mark.parametrize("special_tokens", [[], ["<s>"]])
def test_an_unknown_character_is_named_with_its_position(special_tokens):
    tokenizer = CharacterTokenizer(special_tokens)
    tokenizer.train("abc<s> ")
    text = "abc <s>" * 10_000 + "aéa"
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 70001 .*BPE"):
        tokenizer.encode(text)
    with pytest.raises(ValueError, match="position 70001"):
        list(tokenizer.encode_iterable(cut(text, [5, 6, 69_999])))


@pytest.mark.parametrize(
    ("ranks", "special_tokens", "message"),
    [
        ({}, {}, "each of the 256 bytes"),
        ({bytes([byte]): byte for byte in range(255)}, {}, "256 bytes .* 255 is not"),
        (ranks_of(BPE) | {b"qqq": 400}, {}, r"two earlier tokens must make b'qqq'"),
        (ranks_of(BPE) | {b"": 400}, {}, r"two earlier tokens must make b''"),
        (ranks_of(BPE), {"<s>": 399}, r"must be 0\.\.400, each once; b'<s>' has 399"),
        (ranks_of(BPE), {"<s>": 401}, r"must be 0\.\.400, each once; b'<s>' has 401"),
        (ranks_of(BPE), {"<s>": -1}, "b'<s>' has -1"),
        (ranks_of(BPE), {"<s>": True}, "b'<s>' has True"),
        (ranks_of(BPE), {"<s>": "400"}, "b'<s>' has '400'"),
        (ranks_of(BPE) | {"qq": 400}, {}, "must be bytes, got 'qq'"),
    ],
)
def test_ranks_that_are_no_vocabulary_are_refused(ranks, special_tokens, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_ranks(ranks, special_tokens)


# --- Files ---


def characters():
    tokenizer = CharacterTokenizer([END_OF_TEXT, "é"])
    tokenizer.train(MIXED)
    return tokenizer


SAVED = [BPE, SPECIAL, SHUFFLED, STREAMED["other words"], characters()]


@pytest.mark.parametrize("tokenizer", SAVED)
def test_a_loaded_tokenizer_is_the_saved_one(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert type(loaded) is type(tokenizer)
    assert type(loaded).load(str(path)).vocab_size == tokenizer.vocab_size
    assert loaded.special_tokens == tokenizer.special_tokens
    assert loaded.encode(MIXED) == tokenizer.encode(MIXED)
    tokens = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    assert [loaded.token_bytes(id) for id in range(loaded.vocab_size)] == tokens
    if isinstance(tokenizer, BPETokenizer):
        assert list(loaded.merges.items()) == list(tokenizer.merges.items())
        assert loaded.pattern == tokenizer.pattern
    again = tmp_path / "again.json"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_copy_encodes_alike(copied):
    for tokenizer in SAVED:
        assert copied(tokenizer).encode(MIXED) == tokenizer.encode(MIXED)


def test_a_file_can_be_read_by_people(tmp_path):
    path = tmp_path / "tokenizer.json"
    SPECIAL.save(path)
    assert path.read_bytes().isascii()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "BPETokenizer"
    assert content["special_tokens"] == SPECIAL.special_tokens
    assert " the" in content["tokens"]


def test_a_failed_save_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "tokenizer.json"
    BPE.save(path)
    before = path.read_bytes()
    with (
        mock.patch.object(module.os, "fsync", side_effect=OSError("disk full")),
        pytest.raises(OSError, match="disk full"),
    ):
        SPECIAL.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.json"):
        Tokenizer.load(tmp_path / "no.json")


def write(path, content, sign=True):
    """Write content, with a fingerprint as if it had been saved so."""
    content.pop("sha256", None)
    if sign:
        content["sha256"] = module._fingerprint(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": "other"}, 'no "format"'),
        ({"version": 2}, "expected version 1, got 2"),
        ({"type": "Tokenizer"}, "expected a Tokenizer, got 'Tokenizer'"),
        ({"type": ["BPETokenizer"]}, "expected a Tokenizer, got"),
        ({"pattern": "(a"}, "not a regular expression"),
        ({"pattern": "(" * 1999}, "not a regular expression"),
        ({"pattern": "(a)|."}, "write"),
        ({"pattern": None}, "must be a str, got None"),
        ({"tokens": "abc"}, 'expected a list "tokens"'),
        ({"tokens": None}, 'expected a list "tokens"'),
        ({"tokens": [1, 2]}, '"tokens" must be strings'),
        ({"tokens": ["\ud800"]}, "surrogates not allowed"),
        ({"tokens": ["a", "b"]}, "must be"),
        ({"tokens": []}, "must be"),
        ({"special_tokens": []}, "an object"),
        ({"special_tokens": {"<s>": 5000}}, "each once"),
        ({"special_tokens": {"<s>": [1]}}, "each once"),
        ({"special_tokens": {"<s>": True}}, "each once"),
        ({"special_tokens": {"": 400}}, "at least one character"),
    ],
)
def test_a_forged_file_is_refused_with_its_name_and_fault(changes, fault, tmp_path):
    path = tmp_path / "forged.json"
    write(path, json.loads(file_of(BPE)) | changes)
    with pytest.raises(ValueError, match=rf"(?s)forged\.json: .*{fault}"):
        Tokenizer.load(path)


def test_a_character_file_with_longer_tokens_is_refused(tmp_path):
    path = tmp_path / "forged.json"
    write(path, json.loads(file_of(characters())) | {"tokens": ["ab"]})
    with pytest.raises(ValueError, match=r"one character, got b'ab'"):
        Tokenizer.load(path)


def test_a_tampered_file_is_refused(tmp_path):
    path = tmp_path / "tampered.json"
    good = file_of(BPE)
    path.write_bytes(good.replace(b'" the"', b'" thE"'))
    with pytest.raises(ValueError, match=r"tampered\.json: .* changed after"):
        Tokenizer.load(path)
    write(path, json.loads(good), sign=False)
    with pytest.raises(ValueError, match="changed after"):
        Tokenizer.load(path)


def test_a_file_of_another_class_is_refused(tmp_path):
    path = tmp_path / "characters.json"
    characters().save(path)
    with pytest.raises(ValueError, match="expected a BPETokenizer, got 'CharacterTok"):
        BPETokenizer.load(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b"[]", b"9" * 10_000, b"{}"],
)
def test_what_is_no_tokenizer_is_refused(data, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"cannot load a tokenizer from .*wrong\.json"):
        Tokenizer.load(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


@given(data=st.data())
def test_a_mutated_file_is_refused_or_the_same(folder, data):
    """Bytes replaced, removed and added anywhere in the file."""
    tokenizer = data.draw(st.sampled_from(SAVED))
    path = folder / "mutated.json"
    mutated = bytearray(once(file_of, tokenizer))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated)))
        end = at + data.draw(st.sampled_from([0, 1, 1, 1, 10, len(mutated)]))
        mutated[at:end] = data.draw(st.binary(max_size=3))
    path.write_bytes(mutated)
    loaded = load_or_refuse(path)
    assert loaded is None or loaded.encode(MIXED) == tokenizer.encode(MIXED)


def file_of(tokenizer):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        tokenizer.save(path)
        return path.read_bytes()


def load_or_refuse(path):
    try:
        return Tokenizer.load(path)
    except ValueError as error:
        if path.name not in str(error):
            raise
        return None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(data=st.data())
def test_a_forged_value_is_refused_or_makes_a_whole_tokenizer(folder, data):
    """Any JSON value in any place, with the right fingerprint."""
    content = json.loads(once(file_of, data.draw(st.sampled_from(SAVED))))
    name = data.draw(st.sampled_from([key for key in content if key != "sha256"]))
    value = data.draw(json_values)
    inner = content[name]
    if inner and isinstance(inner, list | dict) and data.draw(st.booleans()):
        keys = range(len(inner)) if isinstance(inner, list) else sorted(inner)
        inner[data.draw(st.sampled_from(keys))] = value
    else:
        content[name] = value
    path = folder / "forged.json"
    write(path, content)
    loaded = load_or_refuse(path)
    assert loaded is None or loaded.decode(range(loaded.vocab_size)) is not None


# --- The module ---


def test_importing_it_imports_no_torch():
    code = (
        "import sys, llm_core.tokenizer, llm_core; llm_core.BPETokenizer(300)\n"
        "assert not {'torch', 'numpy', 'tqdm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
