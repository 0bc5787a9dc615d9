"""Chapter 02: right and wrong answers to its exercises, and what leaves its bands."""

import itertools
import random
from itertools import pairwise

from llm_core.corpus import load_corpus
from llm_core.course import checks
from llm_core.course.checks import chapter_02
from llm_core.course.checks.judge import WriteFunction
from llm_core.course.quote import NOTEBOOKS
from llm_core.course.results import find_expected, read_bands
from llm_core.tokenizer import GPT2_PATTERN, count_words, merge_word, train_merges


def right_decode(tokens):
    return b"".join(tokens).decode("utf-8", errors="replace")


def pieces_of(word):
    return [bytes([byte]) for byte in word]


def join(pieces, pair):
    out = list(pieces)
    i = 0
    while i < len(out) - 1:
        if (out[i], out[i + 1]) == pair:
            out[i : i + 2] = [out[i] + out[i + 1]]
        i += 1
    return out


def right_encode(word, merges):
    pieces = pieces_of(word)
    while True:
        ranks = [merges.index(p) for p in pairwise(pieces) if p in merges]
        if not ranks:
            return pieces
        pieces = join(pieces, merges[min(ranks)])


def encode_longest_token(word, merges):
    tokens = {a + b for a, b in merges} | {bytes([b]) for b in range(256)}
    out, start = [], 0
    while start < len(word):
        end = len(word)
        while word[start:end] not in tokens:
            end -= 1
        out.append(word[start:end])
        start = end
    return out


def encode_leftmost(word, merges):
    pieces = pieces_of(word)
    i = 0
    while i < len(pieces) - 1:
        if (pieces[i], pieces[i + 1]) in merges:
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            i = -1
        i += 1
    return pieces


def encode_newest_first(word, merges):
    pieces = pieces_of(word)
    while True:
        ranks = [merges.index(p) for p in pairwise(pieces) if p in merges]
        if not ranks:
            return pieces
        pieces = join(pieces, merges[max(ranks)])


def encode_each_merge_once(word, merges):
    pieces = pieces_of(word)
    for pair in merges:
        for i in range(len(pieces) - 1):
            if (pieces[i], pieces[i + 1]) == pair:
                pieces = [*pieces[:i], pair[0] + pair[1], *pieces[i + 2 :]]
                break
    return pieces


def encode_one_merge(word, merges):
    pieces = pieces_of(word)
    for pair in merges:
        if pair in list(pairwise(pieces)):
            return join(pieces, pair)
    return pieces


def encode_overlapping(word, merges):
    pieces = pieces_of(word)
    for left, right in merges:
        out = []
        for i, piece in enumerate(pieces):
            found = pieces[i : i + 2] == [left, right]
            out.append(left + right if found else piece)
        pieces = out
    return pieces


def encode_from_the_right(word, merges):
    pieces = pieces_of(word)
    for pair in merges:
        i = len(pieces) - 1
        while i > 0:
            if (pieces[i - 1], pieces[i]) == pair:
                pieces[i - 1 : i + 1] = [pieces[i - 1] + pieces[i]]
                i -= 1
            i -= 1
    return pieces


def encode_by_replacing(word, merges):
    text = b"|".join(pieces_of(word))
    for left, right in merges:
        text = text.replace(left + b"|" + right, left + right)
    return [piece for piece in text.split(b"|") if piece]


def encode_characters(word, merges):
    pieces = [c.encode() for c in word.decode()]
    for pair in merges:
        pieces = join(pieces, pair)
    return pieces


def encode_numbers(word, merges):
    return [byte for byte in word]


def encode_strings(word, merges):
    return [piece.decode("latin-1") for piece in right_encode(word, merges)]


def trainer(count_word=None, best=None, recount=True, stop=True):
    def learn(words, num_merges):
        pieces = {word: pieces_of(word) for word in words}
        merges, pairs = [], None
        for _ in range(num_merges):
            if pairs is None or recount:
                pairs = {}
                for word, times in words.items():
                    for pair in pairwise(pieces[word]):
                        pairs[pair] = pairs.get(pair, 0) + (count_word or times)
            for pair in merges if not recount else []:
                pairs.pop(pair, None)
            if stop and not pairs:
                break
            merges.append((best or right_best)(pairs))
            pieces = {word: join(ps, merges[-1]) for word, ps in pieces.items()}
        return merges

    return learn


def right_best(pairs):
    return max(pairs, key=lambda pair: (pairs[pair], pair))


def first_best(pairs):
    return max(pairs, key=pairs.get)


def least_best(pairs):
    top = max(pairs.values())
    return min(pair for pair in pairs if pairs[pair] == top)


def joined_best(pairs):
    return max(pairs, key=lambda pair: (pairs[pair], b"".join(pair)))


def longest_best(pairs):
    return max(pairs, key=lambda pair: (pairs[pair], len(b"".join(pair)), pair))


def learn_frequent_only(words, num_merges):
    pieces = {word: pieces_of(word) for word in words}
    merges = []
    for _ in range(num_merges):
        pairs = {}
        for word, times in words.items():
            for pair in pairwise(pieces[word]):
                pairs[pair] = pairs.get(pair, 0) + times
        pairs = {pair: n for pair, n in pairs.items() if n > 1}
        if not pairs:
            break
        merges.append(right_best(pairs))
        pieces = {word: join(ps, merges[-1]) for word, ps in pieces.items()}
    return merges


def learn_across_words(words, num_merges):
    text = [
        piece
        for word, n in words.items()
        for _ in range(n)
        for piece in pieces_of(word)
    ]
    merges = []
    for _ in range(num_merges):
        pairs = {}
        for pair in pairwise(text):
            pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        merges.append(right_best(pairs))
        text = join(text, merges[-1])
    return merges


def learn_in_sets(words, num_merges):
    pieces = {word: pieces_of(word) for word in words}
    merges = []
    for _ in range(num_merges):
        pairs = {}
        for word, times in words.items():
            for pair in set(pairwise(pieces[word])):
                pairs[pair] = pairs.get(pair, 0) + times
        if not pairs:
            break
        merges.append(right_best(pairs))
        pieces = {word: join(ps, merges[-1]) for word, ps in pieces.items()}
    return merges


WRONG = {
    "02.1": {
        "characters": ({"Zoë": 3, "日本": 2, "👍🏽": 1}, "ë is not ASCII"),
        "two each": ({"Zoë": 6, "日本": 4, "👍🏽": 4}, "two bytes; ASCII"),
        "cjk by characters": ({"Zoë": 4, "日本": 2, "👍🏽": 8}, "neither of them"),
        "cjk by two": ({"Zoë": 4, "日本": 4, "👍🏽": 8}, "reach only to U+07FF"),
        "one emoji": ({"Zoë": 4, "日本": 6, "👍🏽": 4}, "second code point"),
        "code points": ({"Zoë": 4, "日本": 6, "👍🏽": 2}, "a skin colour; each"),
        "seen": ({"Zoë": 4, "日本": 6, "👍🏽": 1}, "what you see"),
    },
    "02.2": {
        "each": (
            lambda pieces: "".join([p.decode(errors="replace") for p in pieces]),
            "may hold half a character: join",
        ),
        "each, strict": (
            lambda pieces: "".join(map(bytes.decode, pieces)),
            "is an error then",
        ),
        "each, ignore": (
            lambda pieces: "".join(p.decode("utf-8", "ignore") for p in pieces),
            "half characters vanish",
        ),
        "strict": (
            lambda pieces: str(b"".join(pieces), encoding="utf-8"),
            "stops there with it",
        ),
        "ignore": (
            lambda pieces: b"".join(pieces).decode(errors="ignore"),
            "nobody can see",
        ),
        "bytes as characters": (
            lambda pieces: "".join(chr(byte) for piece in pieces for byte in piece),
            "up to four bytes",
        ),
        "bytes": (lambda pieces: b"".join(pieces), "type str; yours is bytes"),
        "repr": (lambda pieces: "".join(str(p) for p in pieces), "by hand"),
    },
    "02.3": {
        "longest": (encode_longest_token, "the longest token that fits"),
        "leftmost": (encode_leftmost, "leftmost pair"),
        "newest": (encode_newest_first, "learned last"),
        "once": (encode_each_merge_once, "merge every place"),
        "one": (encode_one_merge, "stop after one merge"),
        "overlap": (encode_overlapping, "move on by two"),
        "right": (encode_from_the_right, "from left to right"),
        "replace": (encode_by_replacing, "compare whole tokens"),
        "characters": (encode_characters, "start from characters"),
        "numbers": (encode_numbers, "gives numbers"),
        "strings": (encode_strings, "by hand"),
    },
    "02.4": {
        "no counts": (trainer(count_word=1), "each different word once"),
        "first": (trainer(best=first_best), "the one met first"),
        "least": (trainer(best=least_best), "take the smallest"),
        "joined": (trainer(best=joined_best), "compare what they join to"),
        "new tokens first": (trainer(best=longest_best), "by hand"),
        "once": (trainer(recount=False), "from the first count"),
        "sets": (learn_in_sets, "in one word several times"),
        "across": (learn_across_words, "no pair crosses"),
        "frequent": (learn_frequent_only, "leave out pairs that occur only once"),
        "no end": (trainer(stop=False), "there is no best one"),
    },
    "02.5": {
        "space": (("The cat", " sat"), "without white space"),
        "word border": (("The cat", ", fat"), "pre-tokenization cuts there anyway"),
        "one text": ("The cat", "give two texts"),
        "empty": (("", "cat"), "at least one character"),
        "bytes": ((b"a", b"b"), "should be texts"),
        "same tokens": (("x", "q"), "between two tokens"),
    },
}
RIGHT = {
    "02.1": {"Zoë": 4, "日本": 6, "👍🏽": 8},
    "02.2": right_decode,
    "02.3": right_encode,
    "02.4": trainer(),
    "02.5": ("He saw th", "e cat"),
}


def test_a_planted_fault_leaves_chapter_02s_bands():
    bands, _ = read_bands(find_expected(NOTEBOOKS), "02")
    counts = count_words(
        load_corpus("stories", num_stories=2_000).documents, GPT2_PATTERN
    )
    text = load_corpus("stories", num_stories=200, seed=1).text
    words = count_words([text], GPT2_PATTERN)

    def characters_per_token(counts, size, order=1):
        merges = list(train_merges(counts, size - 256))[::order]
        ids = {pair: 256 + i for i, pair in enumerate(merges)}
        tokens = sum(n * len(merge_word(word, ids)) for word, n in words.items())
        return len(text) / tokens

    once = dict.fromkeys(counts, 1)
    band = bands["characters_per_token_512"]
    assert band.holds(characters_per_token(counts, 512))
    assert not band.holds(characters_per_token(once, 512))
    assert not band.holds(characters_per_token(counts, 512, order=-1))
    assert not band.holds(characters_per_token(counts, 512 - 16))


def test_chapter_02s_oracles_agree_with_the_core():
    rng = random.Random(0)
    for _ in range(200):
        letters = [rng.choices(b"abc\xc3\xa9", k=rng.randint(1, 9)) for _ in range(8)]
        words = {bytes(word): rng.randint(1, 5) for word in letters}
        tokens = [bytes([byte]) for byte in range(256)]
        new_ids = {}
        for left, right in train_merges(words, 12):
            new_ids[left, right] = len(tokens)
            tokens.append(tokens[left] + tokens[right])
        merges = [(tokens[a], tokens[b]) for a, b in new_ids]
        assert chapter_02.learn_merges(words, 12) == merges
        for word in itertools.chain(words, [b"abcabc", b"cab\xc3"]):
            core = [tokens[id] for id in merge_word(list(word), new_ids)]
            assert chapter_02.encode_word(word, merges) == core


def test_chapter_02_has_functions_to_write():
    kinds = [type(exercise) for exercise in checks.exercises("02").values()]
    assert kinds.count(WriteFunction) >= 2
    assert len(set(kinds)) == 3  # predict, write or mend, find
