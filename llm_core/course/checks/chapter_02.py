"""Chapter 02, Tokenization: what its exercises ask for, and how answers go wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

from llm_core.course.checks.judge import Find, Misconception, Predict, WriteFunction
from llm_core.stories import sample_stories
from llm_core.tokenizer import GPT2_PATTERN, BPETokenizer, split_words

Pieces = list[bytes]
Pair = tuple[bytes, bytes]

# --- 02.1: how many bytes? ------------------------------------------------------------

TEXTS = ("Zoë", "日本", "👍🏽")


def bytes_in_texts() -> dict[str, Any]:
    """Return the number of bytes of each text in UTF-8."""
    return {text: len(text.encode("utf-8")) for text in TEXTS}


COUNT_BYTES = Predict(
    "Predict the bytes",
    "predict how many bytes UTF-8 needs for each text",
    bytes_in_texts,
    {
        ("Zoë", 3): "3 is the number of characters, but ë is not ASCII: it needs two.",
        ("Zoë", 5): "you gave ë three bytes; code points below U+0800 need two.",
        ("Zoë", 6): "you gave each character two bytes; ASCII letters need only one.",
        ("日本", 2): "2 is the number of characters; neither of them is ASCII.",
        ("日本", 4): "two bytes reach only to U+07FF, and these lie further up.",
        ("日本", 8): "four bytes are for code points above U+FFFF; these lie below.",
        ("👍🏽", 1): "1 is what you see; on disk it is more than one code point.",
        ("👍🏽", 2): "2 is the number of code points, a thumb and a skin colour; each "
        "of them needs several bytes.",
        ("👍🏽", 4): "4 is right for a thumb alone; its skin colour is a second code "
        "point.",
        ("👍🏽", 6): "three bytes reach only to U+FFFF; both code points lie above.",
    },
)

# --- 02.2: back to text ---------------------------------------------------------------


def decode(pieces: Pieces) -> str:
    """Join the bytes, then read them as text."""
    return b"".join(pieces).decode("utf-8", errors="replace")


def each(errors: str) -> Callable[[Pieces], str]:
    """Return the mistake of decoding token by token."""
    return lambda pieces: "".join(piece.decode("utf-8", errors) for piece in pieces)


DECODE = WriteFunction(
    "Mend the decoder",
    "turns the bytes of tokens into text, whatever the cuts between them",
    decode,
    cases=[
        ([b"the", b" cat"],),
        ([b"caf", b"\xc3", b"\xa9"],),
        ([b"\xf0\x9f", b"\x91", b"\x8d", b"!"],),
        ([b"Zo\xc3", b"\xab and ", b"\xe6\x97", b"\xa5"],),
        ([],),
        ([b"half \xf0\x9f"],),
        ([b"odd\xff", b"byte"],),
    ],
    misconceptions=[
        Misconception(
            "you decode each token alone, but a token may hold half a character: join "
            "the bytes of all tokens first, then decode once.",
            each("replace"),
        ),
        Misconception(
            "you decode each token alone, and a token that holds half a character is "
            "an error then: join the bytes of all tokens first, then decode once.",
            each("strict"),
        ),
        Misconception(
            "you decode each token alone and drop what is not text: half characters "
            "vanish. Join the bytes of all tokens first, then decode once.",
            each("ignore"),
        ),
        Misconception(
            "a model may stop in the middle of a character, and your decoder stops "
            'there with it: errors="replace" puts a visible mark there instead.',
            lambda pieces: b"".join(pieces).decode("utf-8"),
        ),
        Misconception(
            "you drop bytes that are no text, and nobody can see that anything is "
            'missing: errors="replace" puts a visible mark there instead.',
            lambda pieces: b"".join(pieces).decode("utf-8", errors="ignore"),
        ),
        Misconception(
            "you turn every byte into a character of its own, but in UTF-8 one "
            "character may be up to four bytes.",
            lambda pieces: b"".join(pieces).decode("latin-1"),
        ),
    ],
)

# --- 02.3: encode a word --------------------------------------------------------------


def split(word: bytes) -> Pieces:
    """Return a word as single bytes."""
    return [word[i : i + 1] for i in range(len(word))]


def merge(pieces: Pieces, pair: Pair, most: int = -1, skip: int = 2) -> Pieces:
    """Return the pieces with a pair joined, at most so often; skip 1 is a mistake."""
    merged, i = [], 0
    while i < len(pieces):
        if most and tuple(pieces[i : i + 2]) == pair:
            merged.append(pieces[i] + pieces[i + 1])
            i, most = i + skip, most - 1
        else:
            merged.append(pieces[i])
            i += 1
    return merged


def encode_word(word: bytes, merges: list[Pair]) -> Pieces:
    """Apply the merges to a word in the order in which they were learned."""
    pieces = split(word)
    for pair in merges:
        pieces = merge(pieces, pair)
    return pieces


def longest_first(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of taking the longest token that fits, from the left."""
    known = {left + right for left, right in merges}
    pieces: Pieces = []
    while word:
        fits = [n for n in range(1, len(word) + 1) if n == 1 or word[:n] in known]
        pieces.append(word[: max(fits)])
        word = word[max(fits) :]
    return pieces


def by(
    choose: Callable[[list[tuple[int, int]]], tuple[int, int]],
) -> Callable[..., Any]:
    """Return the mistake of choosing among (rank, place) by another rule."""

    def encode(word: bytes, merges: list[Pair]) -> Pieces:
        pieces = split(word)
        while True:
            pairs = list(pairwise(pieces))
            found = [(merges.index(p), i) for i, p in enumerate(pairs) if p in merges]
            if not found:
                return pieces
            _, i = choose(found)
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]

    return encode


def first_only(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of using each merge once."""
    pieces = split(word)
    for pair in merges:
        pieces = merge(pieces, pair, most=1)
    return pieces


def best_only(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of stopping after the first merge that fits."""
    pieces = split(word)
    for pair in merges:
        if pair in pairwise(pieces):
            return merge(pieces, pair)
    return pieces


def overlapping(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of moving on by one piece after a merge."""
    pieces = split(word)
    for pair in merges:
        pieces = merge(pieces, pair, skip=1)
    return pieces


def from_the_right(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of merging from right to left."""
    pieces = split(word)[::-1]
    for pair in merges:
        i = 0
        while i + 1 < len(pieces):
            if (pieces[i + 1], pieces[i]) == pair:
                pieces[i : i + 2] = [b"".join(pair)]
            i += 1
    return pieces[::-1]


def by_replacing(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of replacing text, in which a pair also ends longer tokens."""
    text = b"\0".join(split(word))
    for left, right in merges:
        text = text.replace(left + b"\0" + right, left + right)
    return text.split(b"\0") if text else []


def from_characters(word: bytes, merges: list[Pair]) -> Pieces:
    """Make the mistake of starting from characters."""
    pieces = [c.encode("utf-8") for c in word.decode("utf-8", errors="replace")]
    for pair in merges:
        pieces = merge(pieces, pair)
    return pieces


def from_numbers(word: bytes, merges: list[Pair]) -> list[Any]:
    """Make the mistake of taking the bytes apart into numbers."""
    return list(word)


HUGS = [(b"u", b"g"), (b"h", b"ug"), (b"h", b"u"), (b"n", b"s"), (b"u", b"n")]
BANANA = [(b"a", b"n"), (b"an", b"an"), (b"n", b"a"), (b"b", b"anan")]
ACCENT = [(b"\xc3", b"\xa9"), (b"f", b"\xc3\xa9"), (b"\xc3", b"\xa8")]
ENCODE = WriteFunction(
    "Encode a word",
    "splits a word into tokens by the merges, in the order they were learned",
    encode_word,
    cases=[
        (b"hug", HUGS),
        (b"huns", HUGS),
        (b"hughug", HUGS),
        (b"abc", [(b"b", b"c"), (b"a", b"b")]),
        (b"ananas", BANANA),
        (b"banana", BANANA),
        (b"aaaaa", [(b"a", b"a"), (b"aa", b"aa")]),
        (b"aaa", [(b"a", b"a")]),
        ("café\u00e0".encode(), ACCENT),
        (b"xyz", HUGS),
        (b"x", HUGS),
        (b"", HUGS),
    ],
    misconceptions=[
        Misconception(
            "you take the longest token that fits, from the left. That is another "
            "algorithm: BPE replays its merges in the order they were learned.",
            longest_first,
        ),
        Misconception(
            "you merge the leftmost pair that can be merged. The order in the list "
            "decides, not the place in the word: an earlier merge goes first.",
            by(lambda found: min(found, key=lambda pair: pair[1])),
        ),
        Misconception(
            "you merge the pair that was learned last. The merge that was learned "
            "first, the most frequent one, goes first.",
            by(lambda found: max(found, key=lambda pair: (pair[0], -pair[1]))),
        ),
        Misconception(
            "you merge a pair once and move on, but it may stand in the word several "
            "times: merge every place.",
            first_only,
        ),
        Misconception(
            "you stop after one merge. Go on until no pair of neighbours is in the "
            "list; merged pieces can merge again.",
            best_only,
        ),
        Misconception(
            "after a merge you move on by one piece, so that the second half of the "
            "pair is used twice: move on by two.",
            overlapping,
        ),
        Misconception(
            "you merge from right to left. Go from left to right: where three a stand "
            "in a row, the first two belong together.",
            from_the_right,
        ),
        Misconception(
            "you replace stretches of text. The pair (u, n) then also fits where hu is "
            "followed by n: compare whole tokens.",
            by_replacing,
        ),
        Misconception(
            "you start from characters. Start from single bytes: é is two of them, and "
            "a merge joins them again.",
            from_characters,
        ),
        Misconception(
            "looping over bytes gives numbers. Slices stay bytes: word[i : i + 1].",
            from_numbers,
        ),
    ],
)

# --- 02.4: learn merges ---------------------------------------------------------------

Words = dict[bytes, int]
BEST = Callable[[Counter[Pair]], Pair]


def greatest(pairs: Counter[Pair]) -> Pair:
    """Return the most frequent pair; of equals, the greatest."""
    return max(pairs, key=lambda pair: (pairs[pair], pair))


def count(pieces: dict[bytes, Pieces], words: Words) -> Counter[Pair]:
    """Return how often each pair stands in the words."""
    pairs: Counter[Pair] = Counter()
    for word, times in words.items():
        for pair in pairwise(pieces[word]):
            pairs[pair] += times
    return pairs


def learner(
    best: BEST = greatest, counter: Callable[..., Counter[Pair]] = count
) -> Callable[[Words, int], list[Pair]]:
    """Return a trainer with this way to count and to choose."""

    def learn(words: Words, num_merges: int) -> list[Pair]:
        pieces = {word: split(word) for word in words}
        merges: list[Pair] = []
        while len(merges) < num_merges and (pairs := counter(pieces, words)):
            merges.append(best(pairs))
            pieces = {w: merge(found, merges[-1]) for w, found in pieces.items()}
        return merges

    return learn


def learn_merges(words: Words, num_merges: int) -> list[Pair]:
    """Learn merges from words and how often each occurs; fewer if pairs run out."""
    return learner()(words, num_merges)


def once_a_word(pieces: dict[bytes, Pieces], words: Words) -> Counter[Pair]:
    """Make the mistake of counting a pair once in each word."""
    return sum(
        (Counter(dict.fromkeys(pairwise(pieces[w]), n)) for w, n in words.items()),
        Counter(),
    )


def in_one_line(pieces: dict[bytes, Pieces], words: Words) -> Counter[Pair]:
    """Make the mistake of pairing the end of a word with the start of the next."""
    line = [piece for word, n in words.items() for piece in pieces[word] * n]
    return Counter(pairwise(line))


def all_at_once(words: Words, num_merges: int) -> list[Pair]:
    """Make the mistake of counting only at the start."""
    pairs = count({word: split(word) for word in words}, words)
    ranked = sorted(pairs, key=lambda pair: (pairs[pair], pair), reverse=True)
    return ranked[:num_merges]


def while_frequent(words: Words, num_merges: int) -> list[Pair]:
    """Make the mistake of leaving out pairs that occur once."""
    pieces = {word: split(word) for word in words}
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pairs = count(pieces, words)
        if max(pairs.values(), default=0) < 2:
            break
        merges.append(greatest(pairs))
        pieces = {word: merge(found, merges[-1]) for word, found in pieces.items()}
    return merges


def without_end(words: Words, num_merges: int) -> list[Pair]:
    """Make the mistake of asking for the best of no pairs."""
    merges = learn_merges(words, num_merges)
    return merges if len(merges) == num_merges else [max([])]


LEARN = WriteFunction(
    "Learn the merges",
    "learns merges from words and their counts",
    learn_merges,
    cases=[
        ({b"hug": 10, b"pug": 5, b"pun": 12, b"bun": 4, b"hugs": 5}, 4),
        ({b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}, 8),
        ({b"ab": 1, b"cd": 3}, 1),
        ({b"ab": 2, b"zb": 2, b"ya": 2}, 3),
        ({b"ab": 3, b"abc": 2, b"az": 2}, 2),
        ({b"ab": 3, b"abc": 2, b"zq": 2}, 2),
        ({b"aaaa": 1, b"ba": 2}, 2),
        ({b"xyxy": 2, b"uv": 3}, 2),
        ({b"hi": 1}, 5),
        ({b"a": 7}, 2),
        ({b"ab": 1}, 0),
    ],
    misconceptions=[
        Misconception(
            "you count each different word once. A pair occurs as often as its word "
            "does: add the word's count.",
            learner(counter=lambda p, words: count(p, dict.fromkeys(words, 1))),
        ),
        Misconception(
            "where two pairs occur equally often, you take the one met first. The rule "
            "is: the greatest pair, so that every machine learns the same merges.",
            learner(best=lambda pairs: max(pairs, key=lambda pair: pairs[pair])),
        ),
        Misconception(
            "where two pairs occur equally often, you take the smallest. The rule is: "
            "the greatest, as Python compares bytes.",
            learner(best=lambda pairs: min(pairs, key=lambda p: (-pairs[p], p))),
        ),
        Misconception(
            "where two pairs occur equally often, you compare what they join to. The "
            "rule compares the left tokens first, and then the right ones.",
            learner(
                best=lambda pairs: max(pairs, key=lambda p: (pairs[p], p[0] + p[1]))
            ),
        ),
        Misconception(
            "you choose all merges from the first count. Count again after each merge: "
            "it changes which pairs there are.",
            all_at_once,
        ),
        Misconception(
            "a pair can stand in one word several times, and each time counts.",
            learner(counter=once_a_word),
        ),
        Misconception(
            "you pair the end of one word with the start of the next. Words are "
            "counted one by one; no pair crosses their border.",
            learner(counter=in_one_line),
        ),
        Misconception(
            "you leave out pairs that occur only once. The task goes on while there is "
            "any pair at all.",
            while_frequent,
        ),
        Misconception(
            "when no pair is left there is no best one: stop, and return the merges "
            "there are.",
            without_end,
        ),
    ],
)

# --- 02.5: where the seam shows -------------------------------------------------------


@cache
def story_tokenizer() -> BPETokenizer:
    """Return a tokenizer like the one that the chapter trains."""
    tokenizer = BPETokenizer(512)
    tokenizer.train(story.text for story in sample_stories(100))
    return tokenizer


def seam_problem(answer: Any) -> str:
    """Return why two texts join without a seam, or nothing if the seam shows."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "give two texts, as in (first, second)."
    first, second = answer
    if not (isinstance(first, str) and isinstance(second, str)):
        return "both parts should be texts."
    if not (first and second):
        return "both parts should hold at least one character."
    if first[-1].isspace() or second[0].isspace():
        return "find two texts that meet without white space."
    encode = story_tokenizer().encode
    joined = encode(first + second)
    if encode(first) + encode(second) != joined:
        return ""
    words = split_words(first + second, GPT2_PATTERN)
    if split_words(first, GPT2_PATTERN)[-1] in words:
        return "no seam here: pre-tokenization cuts there anyway. Cut inside a word."
    return (
        "no seam here: your cut falls between two tokens of the joined text. Look at "
        "its tokens, and cut inside one of them."
    )


SEAM = Find(
    "Show the seam",
    "find two texts whose tokens, one list after the other, are not the tokens of the "
    "two texts joined",
    seam_problem,
)

EXERCISES = {
    "02.1": COUNT_BYTES,
    "02.2": DECODE,
    "02.3": ENCODE,
    "02.4": LEARN,
    "02.5": SEAM,
}
