"""Checks accept what is right, name what is wrong, and never raise."""

import json
import sys
import threading
import time
import types
from itertools import pairwise

import pytest

from llm_core.course import checks
from llm_core.course.checks import chapter_02, judge
from llm_core.course.checks.judge import Find, Misconception, Predict, WriteFunction

DOUBLE = WriteFunction(
    "Double",
    "doubles each number",
    lambda numbers: [2 * n for n in numbers],
    cases=[([1, 2],), ([3],), ([],)],
    misconceptions=[
        Misconception("you square.", lambda numbers: [n * n for n in numbers]),
        Misconception("you repeat the list.", lambda numbers: 2 * numbers),
    ],
)


def message(exercise, answer):
    verdict = exercise.judge(answer)
    return f"{verdict.status}: {verdict.message}"


# --- the judge ------------------------------------------------------------------------


def test_a_right_answer_is_right():
    assert DOUBLE.judge(lambda numbers: [n + n for n in numbers]).status == "right"


def stub_none(numbers):
    """Not written yet."""


def stub_ellipsis(numbers):
    return ...


def stub_raises(numbers):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [stub_none, stub_ellipsis, stub_raises, None, ...])
def test_a_stub_is_told_what_to_write(stub):
    assert (
        message(DOUBLE, stub) == "unsolved: write a function that doubles each number."
    )


def test_a_mistake_is_named_with_the_input_and_both_results():
    verdict = DOUBLE.judge(lambda numbers: [n**2 for n in numbers])
    assert (verdict.status, verdict.message) == ("wrong", "you square.")
    assert verdict.evidence == {
        "input": "[1, 2]",
        "expected": "[2, 4]",
        "got": "[1, 4]",
    }


def test_the_mistake_that_fits_every_case_wins():
    verdict = DOUBLE.judge(lambda numbers: numbers + numbers)
    assert verdict.message == "you repeat the list."


def test_an_error_is_shown_with_its_line_in_the_learners_code():
    def mine(numbers):
        total = 0
        return total / 0

    verdict = DOUBLE.judge(mine)
    assert "ZeroDivisionError: division by zero" in verdict.message
    assert "return total / 0" in verdict.evidence["where"]


def test_a_missing_name_hints_at_the_cells_above():
    def mine(numbers):
        return undefined_here  # noqa: F821

    assert "Have the cells above this one been run?" in message(DOUBLE, mine)


def test_a_function_that_alters_its_input_is_told():
    def mine(numbers):
        for i in range(len(numbers)):
            numbers[i] *= 2
        return numbers

    verdict = DOUBLE.judge(mine)
    assert "alters its input" in verdict.message
    assert verdict.evidence == {"input": "[1, 2]", "afterwards": "[2, 4]"}


def test_a_function_that_remembers_is_told():
    def mine(numbers, seen=[]):  # noqa: B006
        seen.append(numbers)
        return [2 * n for n in numbers] if len(seen) <= 3 else []

    assert "keeps something between calls" in message(DOUBLE, mine)


def test_an_endless_loop_is_stopped(monkeypatch):
    monkeypatch.setattr(judge, "TIME_LIMIT", 0.2)
    threads = threading.active_count()

    def mine(numbers):
        while True:
            numbers = list(numbers)

    assert "still running after 0.2 seconds" in message(DOUBLE, mine)
    assert threading.active_count() == threads


def test_a_branch_without_a_return_is_told():
    def mine(numbers):
        if numbers:
            return [2 * n for n in numbers]

    verdict = DOUBLE.judge(mine)
    assert "ends without a return" in verdict.message
    assert verdict.evidence["input"] == "[]"


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ([2, 4], "give the function itself, without calling it; this is list"),
        ("double", "give the function itself, without calling it; this is str"),
        (lambda: [], "should take (numbers)"),
        (lambda a, b: [], "should take (numbers)"),
        (lambda numbers: tuple(2 * n for n in numbers), "type list; yours is tuple"),
        (lambda numbers: (2 * n for n in numbers), "type list; yours is generator"),
        (lambda numbers: [1] + [2 * n for n in numbers], "work this input by hand"),
        (lambda numbers: sys.exit(3), "SystemExit"),
    ],
)
def test_other_answers_get_a_hint_of_their_own(answer, hint):
    assert hint in message(DOUBLE, answer)


def test_an_exercise_may_ask_for_an_error():
    def root(x):
        if x < 0:
            raise ValueError(f"x must not be negative, got {x}")
        return x**0.5

    exercise = WriteFunction("Root", "takes roots", root, [(4.0,), (-1.0,)])
    assert exercise.judge(root).status == "right"
    assert "should raise ValueError" in message(exercise, lambda x: abs(x) ** 0.5)
    assert "KeyError" in message(exercise, lambda x: {4.0: 2.0}[x])


def test_long_values_are_cut_in_the_middle():
    text = judge.brief("x" * 5000)
    assert len(text) < 400
    assert " … " in text


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0.3, 0.1 + 0.2, True),
        ([1, [2.0]], [1, [2]], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("a", b"a", False),
        (None, 0, False),
    ],
)
def test_equality_is_what_a_reader_would_call_equal(expected, got, equal):
    assert judge.same(expected, got) is equal


def test_tensors_are_equal_by_shape_and_nearly_by_value():
    torch = pytest.importorskip("torch")
    ones = torch.ones(2, 3)
    assert judge.same(ones, ones + 1e-7)
    assert not judge.same(ones, torch.ones(3, 2))
    assert not judge.same(ones, ones.tolist())


PREDICT = Predict("p", "predict", lambda: {"a": 1, "b": 2}, {("a", 3): "three is b."})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"a": 1, "b": 2}, "right"),
        ({"a": None, "b": ...}, "unsolved: predict; still open: a, b."),
        ({}, "unsolved: predict; still open: a, b."),
        (None, "unsolved"),
        ([1, 2], "unsolved"),
        ({"a": 3, "b": 2}, "wrong: three is b."),
        ({"a": 4, "b": 2}, "wrong: a is something else."),
        ({"a": [1], "b": 2}, "wrong: a should be a plain value."),
    ],
)
def test_a_prediction_is_judged_without_telling_the_answer(answer, said):
    assert message(PREDICT, answer).startswith(said)
    assert "expected" not in PREDICT.judge(answer).evidence


def test_a_check_of_anything_else_may_even_fail_inside():
    exercise = Find("f", "find a text", lambda text: "" if text[0] == "x" else "no x.")
    assert message(exercise, ...) == "unsolved: find a text."
    assert message(exercise, "abc") == "wrong: no x."
    assert "TypeError" in message(exercise, 5)
    assert exercise.judge("xyz").status == "right"


def test_a_verdict_is_plain_text_and_safe_html():
    verdict = DOUBLE.judge(lambda numbers: ["<b>" for n in numbers])
    assert repr(verdict).splitlines()[0].startswith("✗ not yet: ")
    assert "expected  [2, 4]" in repr(verdict)
    assert "&lt;b&gt;" in verdict._repr_html_()
    assert "<b>" not in verdict._repr_html_()


# --- check and progress ---------------------------------------------------------------


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_CORE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LLM_CORE_STRICT", raising=False)
    displayed = []
    monkeypatch.setattr(checks, "display", displayed.append)
    return displayed


def my_decode(pieces):
    return b"".join(pieces).decode("utf-8", errors="replace")


def solution_decode(pieces):
    return my_decode(pieces)


def solution_that_fails(pieces):
    return "".join(piece.decode("utf-8", errors="replace") for piece in pieces)


def test_what_is_solved_is_noted_in_the_readers_home(shown, tmp_path):
    assert checks.solved() == set()
    checks.check("02.2", my_decode)
    assert checks.solved() == {"02.2"}
    assert "02.2 ✓ right" in repr(shown[0])
    assert json.loads((tmp_path / "home" / "progress.json").read_text("utf-8"))
    assert "1 of " in repr(checks.progress())
    assert "✓ 02.2 Mend the decoder" in repr(checks.progress())
    assert "✓ 02.2 Mend the decoder" in checks.progress()._repr_html_()


def test_nothing_is_noted_for_a_wrong_answer_or_a_solution(shown):
    my_alias = solution_decode
    checks.check("02.2", solution_that_fails)
    checks.check("02.2", solution_decode)
    checks.check("02.2", my_alias)
    assert [verdict.status for verdict in shown] == ["wrong", "right", "right"]
    assert repr(shown[1]).startswith("02.2 solution ✓ right: ")
    assert checks.solved() == set()


def test_a_solution_that_is_no_function_is_known_by_its_name(shown):
    answer = chapter_02.bytes_in_texts()
    module = types.ModuleType("notebook")
    module.__dict__.update(check=checks.check, answer=answer)
    exec("solution_bytes = dict(answer)\ncheck('02.1', solution_bytes)", vars(module))
    assert checks.solved() == set()
    exec("my_bytes = dict(answer)\ncheck('02.1', my_bytes)", vars(module))
    assert checks.solved() == {"02.1"}


def test_a_solution_that_fails_its_check_fails_the_build(shown, monkeypatch):
    monkeypatch.setenv("LLM_CORE_STRICT", "1")
    checks.check("02.2", my_decode)
    checks.check("02.2", stub_none)
    with pytest.raises(AssertionError, match="fails its own check"):
        checks.check("02.2", solution_that_fails)


def test_an_unknown_exercise_is_told(shown):
    checks.check("02.99", my_decode)
    checks.check("99.1", my_decode)
    assert "no exercise '02.99'; this chapter has 02.1" in repr(shown[0])
    assert "no exercise '99.1'" in repr(shown[1])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"solved": 3}', '{"solved": [3]}'])
def test_a_damaged_note_counts_as_none(shown, content):
    path = checks.progress_file()
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    assert checks.solved() == set()
    checks.check("02.2", my_decode)
    assert checks.solved() == {"02.2"}


def test_a_home_that_cannot_be_written_stops_nothing(shown, tmp_path):
    (tmp_path / "home").write_text("a file, not a folder", encoding="utf-8")
    checks.check("02.2", my_decode)
    assert shown[0].status == "right"


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_without_the_variable_the_note_is_where_the_system_keeps_data(
    monkeypatch, platform
):
    monkeypatch.delenv("LLM_CORE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    assert checks.progress_file().parts[-2:] == ("llm-core", "progress.json")


# --- chapter 02 -----------------------------------------------------------------------


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
    "02.2": my_decode,
    "02.3": right_encode,
    "02.4": trainer(),
    "02.5": ("He saw th", "e cat"),
}
PLANTED = [
    pytest.param(number, answer, hint, id=f"{number} {name}")
    for number, answers in WRONG.items()
    for name, (answer, hint) in answers.items()
]


@pytest.mark.parametrize("number", RIGHT)
def test_an_independent_solution_passes(number):
    assert checks.verdict_on(number, RIGHT[number]).status == "right"


@pytest.mark.parametrize(("number", "answer", "hint"), PLANTED)
def test_a_planted_wrong_answer_gets_its_hint(number, answer, hint):
    verdict = checks.verdict_on(number, answer)
    assert verdict.status == "wrong"
    assert hint in verdict.message


@pytest.mark.parametrize("number", WRONG)
def test_each_planted_wrong_answer_gets_a_hint_of_its_own(number):
    hints = [
        checks.verdict_on(number, answer).message
        for answer, _ in WRONG[number].values()
    ]
    assert len(hints) >= 3
    assert len(set(hints)) == len(hints)


def test_every_exercise_has_planted_wrong_answers():
    numbers = [n for chapter in checks.chapters() for n in checks.exercises(chapter)]
    assert list(WRONG) == list(RIGHT) == numbers


@pytest.mark.parametrize("number", RIGHT)
def test_an_open_exercise_is_told_so(number):
    def my_stub(*arguments):
        """Not written yet."""

    is_function = isinstance(checks.exercises("02")[number], WriteFunction)
    assert (
        checks.verdict_on(number, my_stub if is_function else None).status == "unsolved"
    )


@pytest.mark.parametrize("number", RIGHT)
def test_a_check_takes_less_than_a_second(number):
    checks.verdict_on(number, RIGHT[number])  # warms what the check keeps
    start = time.process_time()
    checks.verdict_on(number, RIGHT[number])
    assert time.process_time() - start < 1
