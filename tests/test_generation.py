"""Sampling: each filter's edges, the cache against a loop, text piece by piece."""

import random
from math import inf, nan

import pytest
import torch
from samples import KINDS, lively_model, random_ids, small_config
from torch import tensor

from llm_core import (
    END_OF_TEXT,
    BPETokenizer,
    CharacterTokenizer,
    GPTModel,
    generate,
    generate_text,
    stream_text,
)
from llm_core.generation import (
    SamplingConfig,
    encode_prompt,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    sample,
    scale_by_temperature,
)
from llm_core.model import next_token_loss

OUT = -inf
ONE_LEFT = tensor([[OUT, 2.0, OUT, OUT]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def survivors(logits):
    return [row.isfinite().nonzero().flatten().tolist() for row in logits]


def drawn_logits(rows=20, vocab_size=50):
    """Rows with ties and with ids that are masked already."""
    logits = torch.randn(rows, vocab_size, generator=seeded()).mul(2).round(decimals=1)
    return logits.masked_fill(torch.rand(logits.shape, generator=seeded(1)) < 0.2, OUT)


# ---------------------------------------------------------------- temperature


def test_temperature_divides_the_logits():
    logits = tensor([[1.0, OUT, -2.0]])
    assert scale_by_temperature(logits, 0.5).tolist() == [[2.0, OUT, -4.0]]
    assert torch.equal(scale_by_temperature(logits, 1.0), logits)


def test_temperature_zero_leaves_the_largest_and_of_equals_the_lowest_id():
    logits = tensor([[1.0, 3.0, 3.0], [5.0, 5.0, 5.0], [OUT, OUT, -7.0]])
    assert survivors(scale_by_temperature(logits, 0.0)) == [[1], [0], [2]]


@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_tiny_temperature_is_almost_greedy_and_never_overflows(temperature, scale):
    logits = scale * tensor([[1.0, 3.0, 2.0, -1e4]])
    probabilities = scale_by_temperature(logits, temperature).softmax(-1)
    assert probabilities.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_a_huge_temperature_makes_all_ids_alike():
    probabilities = scale_by_temperature(tensor([[1.0, 9.0, OUT]]), 1e30).softmax(-1)
    torch.testing.assert_close(probabilities, tensor([[0.5, 0.5, 0.0]]))


@pytest.mark.parametrize("temperature", [-0.1, inf, nan])
def test_a_temperature_that_cannot_be_is_refused(temperature):
    with pytest.raises(ValueError, match=f"temperature must be .* got {temperature}"):
        scale_by_temperature(ONE_LEFT, temperature)


# ---------------------------------------------------------------- top-k


@pytest.mark.parametrize("k", [1, 2, 7, 49, 50])
def test_top_k_keeps_the_k_largest_and_of_equals_the_lowest_ids(k):
    logits = drawn_logits()
    kept = keep_top_k(logits, k)
    for row, after in zip(logits.tolist(), kept.tolist(), strict=True):
        best = sorted(range(50), key=lambda id: (-row[id], id))[:k]
        assert after == [row[id] if id in best else OUT for id in range(50)]


def test_of_equal_logits_exactly_k_survive():
    assert survivors(keep_top_k(torch.zeros(1, 6), 3)) == [[0, 1, 2]]


@pytest.mark.parametrize("k", [4, 5, 10**9])
def test_a_k_beyond_the_vocabulary_keeps_everything(k):
    logits = tensor([[1.0, 3.0, OUT, 2.0]])
    assert torch.equal(keep_top_k(logits, k), logits)


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None])
def test_a_k_that_cannot_be_is_refused(k):
    with pytest.raises(ValueError, match=r"top_k must be an integer from 1 on, got"):
        keep_top_k(ONE_LEFT, k)


# ---------------------------------------------------------------- top-p


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_top_p_keeps_the_fewest_ids_that_add_up_to_p(p):
    logits = drawn_logits()
    probabilities = logits.double().softmax(-1).tolist()
    for row, kept in zip(probabilities, survivors(keep_top_p(logits, p)), strict=True):
        order, total, expected = sorted(range(50), key=lambda i: (-row[i], i)), 0.0, []
        for id in order:
            if total < p:
                expected.append(id)
            total += row[id]
        assert kept == sorted(expected)


@pytest.mark.parametrize("p", [0.0, 1e-300, 1e-9])
def test_as_p_goes_to_zero_the_most_probable_id_remains(p):
    logits = tensor([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
    assert survivors(keep_top_p(logits, p)) == [[1], [0]]


def test_p_of_one_keeps_everything_however_improbable():
    logits = tensor([[100.0, 0.0, -100.0, OUT]])
    assert torch.equal(keep_top_p(logits, 1.0), logits)


def test_an_id_that_completes_p_exactly_is_the_last():
    logits = tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    assert survivors(keep_top_p(logits, 0.75)) == [[0, 1]]


@pytest.mark.parametrize("p", [-0.1, 1.1, nan])
def test_a_p_that_cannot_be_is_refused(p):
    with pytest.raises(ValueError, match=rf"top_p must be in 0\.\.1, got {p}"):
        keep_top_p(ONE_LEFT, p)
    with pytest.raises(ValueError, match=rf"min_p must be in 0\.\.1, got {p}"):
        keep_min_p(ONE_LEFT, p)


# ---------------------------------------------------------------- min-p


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.9])
def test_min_p_keeps_what_is_at_least_p_times_as_probable_as_the_best(p):
    logits = drawn_logits()
    probabilities = logits.double().softmax(-1).tolist()
    for row, kept in zip(probabilities, survivors(keep_min_p(logits, p)), strict=True):
        assert kept == [id for id in range(50) if row[id] >= p * max(row)]


def test_min_p_of_zero_keeps_everything_and_of_one_the_best_and_its_equals():
    logits = tensor([[3.0, 1.0, 3.0, OUT]])
    assert torch.equal(keep_min_p(logits, 0.0), logits)
    assert survivors(keep_min_p(logits, 1.0)) == [[0, 2]]


# ---------------------------------------------------------------- repetition


def test_a_penalty_divides_positive_and_multiplies_negative_logits_once():
    logits = tensor([[4.0, -4.0, 0.0, OUT, 4.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    ids = tensor([[0, 1, 2, 3, 0, 0], [4, 4, 4, 4, 4, 4]])
    expected = [[2.0, -8.0, 0.0, OUT, 4.0], [1.0, 1.0, 1.0, 1.0, 0.5]]
    assert penalize_repetition(logits, ids, 2.0).tolist() == expected


def test_a_penalty_of_one_changes_nothing():
    logits = drawn_logits()
    ids = torch.arange(50).expand(20, 50)
    assert torch.equal(penalize_repetition(logits, ids, 1.0), logits)


@pytest.mark.parametrize("penalty", [0.0, -1.0, inf, nan])
def test_a_penalty_that_cannot_be_is_refused(penalty):
    with pytest.raises(ValueError, match=f"repetition_penalty .* got {penalty}"):
        penalize_repetition(ONE_LEFT, tensor([[0]]), penalty)


def test_a_heavy_penalty_prevents_repetition():
    model = lively_model(small_config())
    ids = generate(model, tensor([[1]]), 40, temperature=0.0, repetition_penalty=1e6)
    counts = torch.bincount(ids[0], minlength=61)
    assert counts.max() == 1


# ---------------------------------------------------------------- filters together

ALL_FILTERS = SamplingConfig(
    temperature=0.7, top_k=5, top_p=0.8, min_p=0.1, repetition_penalty=1.3
)


def test_filters_are_applied_in_their_order():
    logits, ids = drawn_logits(), torch.arange(20)[:, None]
    expected = penalize_repetition(logits, ids, 1.3)
    expected = keep_top_k(scale_by_temperature(expected, 0.7), 5)
    expected = keep_min_p(keep_top_p(expected, 0.8), 0.1)
    assert torch.equal(ALL_FILTERS.filter(logits, ids), expected)


def test_the_order_of_filters_is_penalty_temperature_top_k_top_p_min_p():
    """On this row, any two neighbours the other way round would keep other ids."""
    row = tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    nothing = tensor([[3]])

    def kept(**settings):
        return survivors(SamplingConfig(**settings).filter(row, nothing))[0]

    # Top-k first: of the two left, the first has 4/7 of the mass.
    assert kept(top_k=2, top_p=0.5) == [0]
    # Temperature before top-p: flat enough, the first three do not reach 0.8.
    assert kept(temperature=100.0, top_p=0.8) == [0, 1, 2, 3]
    # The penalty before temperature 0.
    assert survivors(
        SamplingConfig(temperature=0.0, repetition_penalty=3.0).filter(
            row, tensor([[0]])
        )
    ) == [[1]]


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p", "min_p", "all"])
def test_where_one_id_is_left_every_filter_leaves_it(name):
    settings = {"temperature": 0.0, "top_k": 3, "top_p": 0.01, "min_p": 1.0}
    if name != "all":
        settings = {name: settings[name]}
    filtered = SamplingConfig(**settings).filter(ONE_LEFT, tensor([[1]]))
    assert filtered.softmax(-1).tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_a_configuration_that_filters_nothing_changes_nothing():
    logits = drawn_logits()
    filtered = SamplingConfig().filter(logits, torch.zeros(20, 1, dtype=torch.int64))
    assert torch.equal(filtered, logits)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"top_k": 0}, "top_k must be an integer from 1 on"),
        ({"top_p": 2.0}, r"top_p must be in 0\.\.1"),
        ({"min_p": -1.0}, r"min_p must be in 0\.\.1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused_where_they_are_made(settings, message):
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**settings)
    with pytest.raises(ValueError, match=message):
        generate(lively_model(small_config()), tensor([[1]]), 0, **settings)


# ---------------------------------------------------------------- ids


def greedy_without_cache(model, ids, max_new_tokens):
    """Read everything again for every id; of a full window keep the newest half."""
    limit, window = model.config.max_seq_len, ids
    for _ in range(max_new_tokens):
        if window.shape[1] > limit:
            window = window[:, -max(1, limit // 2) :]
        with torch.no_grad():
            new = model(window)[:, -1].argmax(-1, keepdim=True)
        ids, window = torch.cat([ids, new], 1), torch.cat([window, new], 1)
    return ids


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt_length", [1, 5, 16, 17, 40])
def test_greedy_ids_are_the_same_with_and_without_a_cache(kind, prompt_length):
    config = small_config(**KINDS[kind])
    model, ids = lively_model(config), random_ids(config, 3, prompt_length)
    new = 30  # past max_seq_len, 16, more than once
    expected = greedy_without_cache(model, ids, new)
    assert len({tuple(row) for row in expected[:, -new:].tolist()}) > 1
    assert torch.equal(generate(model, ids, new, temperature=0.0), expected)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_shortest_windows_work(limit):
    config = small_config(max_seq_len=limit)
    model, ids = lively_model(config), random_ids(config, 2, 3)
    expected = greedy_without_cache(model, ids, 8)
    assert torch.equal(generate(model, ids, 8, temperature=0.0), expected)


def test_rows_of_a_batch_are_continued_as_each_alone():
    model = lively_model(small_config())
    ids = random_ids(model.config, 4, 6)
    together = generate(model, ids, 20, temperature=0.0)
    alone = [generate(model, row[None], 20, temperature=0.0) for row in ids]
    assert torch.equal(together, torch.cat(alone))


def test_generated_ids_follow_the_prompt():
    model = lively_model(small_config())
    ids = random_ids(model.config, 2, 5)
    for new in (0, 1, 7):
        continued = generate(model, ids, new, generator=seeded())
        assert continued.shape == (2, 5 + new)
        assert torch.equal(continued[:, :5], ids)
    assert torch.equal(generate(model, ids, 0), ids)


def test_a_seed_gives_the_same_ids_whatever_else_is_drawn():
    model = lively_model(small_config())
    ids = random_ids(model.config, 2, 5)
    first = generate(model, ids, 30, generator=seeded(7))
    torch.manual_seed(3)
    assert torch.equal(generate(model, ids, 30, generator=seeded(7)), first)
    assert not torch.equal(generate(model, ids, 30, generator=seeded(8)), first)
    torch.manual_seed(5)
    by_default = generate(model, ids, 30)
    torch.manual_seed(5)
    assert torch.equal(generate(model, ids, 30), by_default)


@pytest.mark.parametrize(
    "sampling",
    [SamplingConfig(), SamplingConfig(temperature=1.7), ALL_FILTERS],
    ids=["plain", "hot", "all filters"],
)
def test_ids_are_drawn_by_their_probabilities(sampling):
    """Pearson's chi-square, against the value that chance passes once in 10,000."""
    model = lively_model(small_config())
    with torch.no_grad():
        logits = model(tensor([[1, 2, 3]]))[:, -1] / 4
        model.final_norm.weight /= 4  # flat enough that many ids are drawn
        model.final_norm.bias /= 4
    draws = 20_000
    ids = tensor([[1, 2, 3]]).expand(draws, 3)
    expected = draws * sampling.filter(logits, ids[:1]).softmax(-1)[0]
    [step] = sample(model, ids, 1, sampling, seeded())
    counts = torch.bincount(step.ids, minlength=61)
    assert (counts[expected == 0] == 0).all()
    expected, counts = expected[expected > 5], counts[expected > 5]
    assert len(counts) > 2
    statistic = ((counts - expected) ** 2 / expected).sum().item()
    freedom = len(counts) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert statistic < limit  # Wilson and Hilferty's approximation


def test_log_probabilities_are_the_models_own_and_not_the_filtered_ones():
    model = lively_model(small_config())
    ids = random_ids(model.config, 3, 4)
    steps = list(sample(model, ids, 10, ALL_FILTERS, seeded()))
    continued = torch.cat([ids, *(step.ids[:, None] for step in steps)], 1)
    with torch.no_grad():
        expected = model(continued[:, :-1]).log_softmax(-1)
    for i, step in enumerate(steps):
        assert step.ids.shape == step.log_probabilities.shape == (3,)
        position = expected[:, 3 + i].gather(-1, step.ids[:, None])[:, 0]
        torch.testing.assert_close(step.log_probabilities, position)


def test_generation_sees_no_dropout_and_training_goes_on_with_it():
    model = lively_model(small_config(dropout=0.5)).train()
    ids = random_ids(model.config, 2, 5)
    expected = generate(lively_model(small_config()), ids, 20, temperature=0.0)
    assert torch.equal(generate(model, ids, 20, temperature=0.0), expected)
    assert model.training
    step = next(sample(model, ids, 5, SamplingConfig()))
    assert model.training  # also in the middle of generation
    assert not step.log_probabilities.requires_grad


def test_a_model_can_be_trained_on_what_it_wrote():
    model = lively_model(small_config())
    ids = random_ids(model.config, 2, 5)
    *_, step = sample(model, ids, 3, SamplingConfig())
    written = torch.cat([generate(model, ids, 3), step.ids[:, None]], dim=1)
    logits = model(written[:, :-1])
    (next_token_loss(logits, written[:, 1:]) * step.log_probabilities.sum()).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [[1, 2], [3]],
            r"int64 tensor of shape \(batch, time\), got list; .* a call each",
        ),
        ([1, 2], "got list"),
        (tensor([1, 2]), r"got torch.int64 of shape \(2,\)"),
        (tensor([[1.0]]), "got torch.float32 of shape"),
        (tensor([[1]], dtype=torch.int32), "got torch.int32 of shape"),
        (torch.zeros(1, 0, dtype=torch.int64), "at least one id a row"),
        (torch.zeros(0, 1, dtype=torch.int64), "at least one id a row"),
        (tensor([[60, 61]]), r"ids must be in 0\.\.60, got 60\.\.61"),
        (tensor([[-1, 3]]), r"ids must be in 0\.\.60, got -1\.\.3"),
    ],
)
def test_ids_that_cannot_be_continued_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        generate(lively_model(small_config()), ids, 5)


@pytest.mark.parametrize("number", [-1, 2.5, None])
def test_a_number_of_tokens_that_cannot_be_is_refused(number):
    with pytest.raises(ValueError, match=f"max_new_tokens must be .* got {number}"):
        generate(lively_model(small_config()), tensor([[1]]), number)


# ---------------------------------------------------------------- text


def byte_tokenizer(special_tokens=(END_OF_TEXT,)):
    tokenizer = BPETokenizer(256 + len(special_tokens), special_tokens=special_tokens)
    tokenizer.train("x")
    return tokenizer


def model_that_says(tokenizer, ids, prompt=""):
    """A model that, after `prompt`, is all but certain to say exactly these ids.

    Its stream has one channel for each position; the head reads from it what is next.
    """
    start = len(encode_prompt(tokenizer, prompt)) - 1
    length = start + len(ids) + 1
    length += length % 2
    config = small_config(
        vocab_size=tokenizer.vocab_size,
        d_model=length,
        num_heads=1,
        num_layers=1,
        max_seq_len=length,
        tie_embeddings=False,
    )
    model = GPTModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.final_norm.weight.fill_(1.0)
        model.positions.copy_(torch.eye(length))
        for i, id in enumerate(ids):
            model.head.weight[id, start + i] = 100.0
    return model


def pieces_said(ids, prompt="", stop=(), tokenizer=None, max_new_tokens=None):
    tokenizer = tokenizer or byte_tokenizer()
    model = model_that_says(tokenizer, ids, prompt)
    new = len(ids) if max_new_tokens is None else max_new_tokens
    return list(stream_text(model, tokenizer, prompt, new, stop=stop))


def test_text_is_what_the_ids_decode_to():
    assert "".join(pieces_said(b"Hello, world", prompt="Say: ")) == "Hello, world"


def test_text_comes_piece_by_piece():
    assert pieces_said(b"abc") == ["a", "b", "c"]


def test_a_character_is_held_back_until_its_last_byte():
    assert pieces_said("aé🐈b".encode()) == ["a", "é", "🐈", "b"]


def test_a_character_that_is_never_completed_is_replaced():
    assert pieces_said("🐈".encode()[:3]) == ["\ufffd"]
    assert "".join(pieces_said(b"a\xf0\x9fb\x80")) == "a\ufffdb\ufffd"


def test_streamed_text_equals_the_text_of_all_ids_at_once():
    tokenizer = BPETokenizer(300, special_tokens=[END_OF_TEXT])
    tokenizer.train("naïve 🐈 日本語 the cat and the hat " * 3)
    model = GPTModel(small_config(vocab_size=tokenizer.vocab_size))
    end = tokenizer.special_tokens[END_OF_TEXT]
    model.token_embedding.weight.data[end] -= 1.0  # does not end at once
    for seed in range(6):
        ids = tensor([encode_prompt(tokenizer, "the ")])
        new = generate(model, ids, 40, generator=seeded(seed))[
            0, ids.shape[1] :
        ].tolist()
        if end in new:
            new = new[: new.index(end)]
        text = generate_text(model, tokenizer, "the ", 40, generator=seeded(seed))
        assert text == tokenizer.decode(new)


def test_the_end_of_text_ends_it_and_is_not_shown():
    tokenizer = byte_tokenizer()
    end = tokenizer.special_tokens[END_OF_TEXT]
    assert pieces_said([*b"ab", end, *b"cd"]) == ["a", "b"]
    assert pieces_said([end, *b"cd"]) == []
    assert pieces_said([*b"a\xf0\x9f", end, *b"cd"]) == ["a", "\ufffd"]


def test_without_an_end_of_text_only_the_number_of_tokens_ends_it():
    tokenizer = byte_tokenizer(special_tokens=[])
    assert "".join(pieces_said(b"abcd", "x", tokenizer=tokenizer)) == "abcd"


def test_no_new_tokens_are_no_text():
    assert pieces_said(b"abc", max_new_tokens=0) == []


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (["\n"], "one"),
        (["two"], "one\n"),
        (["e\nt"], "on"),  # across tokens
        (["three", "two", "wo"], "one\n"),  # the first that is met
        (["wo", "two\nthree"], "one\nt"),  # the longer one is not waited for
        (["absent"], "one\ntwo\nthree"),
        (["three"], "one\ntwo\n"),
        (["one"], ""),
        (["three!"], "one\ntwo\nthree"),  # begun and never completed
        ([], "one\ntwo\nthree"),
    ],
)
def test_text_ends_before_the_first_stop_string(stop, text):
    pieces = pieces_said(b"one\ntwo\nthree", stop=stop)
    assert "".join(pieces) == text
    assert "" not in pieces


def test_a_stop_string_inside_one_token_is_found():
    tokenizer = BPETokenizer(300, special_tokens=[END_OF_TEXT])
    tokenizer.train("stopgap stopgap stopgap")
    ids = tokenizer.encode("a stopgap")
    assert len(ids) < 4
    assert "".join(pieces_said(ids, stop=["pg"], tokenizer=tokenizer)) == "a sto"


def test_what_may_become_a_stop_string_is_held_back():
    assert pieces_said(b"abac", stop=["abc"]) == ["ab", "ac"]
    assert pieces_said(b"aab", stop=["ab"]) == ["a"]


def test_streaming_with_stops_shows_what_cutting_the_whole_text_would():
    choose = random.Random(0)
    tokenizer = byte_tokenizer()
    for _ in range(40):
        text = "".join(choose.choices("ab🐈", k=10))
        stop = ["".join(choose.choices("ab🐈", k=choose.randrange(1, 4))) for _ in "12"]
        cut = min([text.index(string) for string in stop if string in text] + [99])
        # A stop that is complete earlier ends the text, though another began before.
        ends = [text.index(s) + len(s) for s in stop if s in text]
        first = [s for s in stop if s in text and text.index(s) + len(s) == min(ends)]
        if first:
            cut = min(text.index(s) for s in first)
        said = "".join(pieces_said(text.encode(), stop=stop, tokenizer=tokenizer))
        assert said == text[:cut], (text, stop)


@pytest.mark.parametrize("stop", ["END", "", [""], ["a", ""]])
def test_stops_that_are_no_list_of_texts_are_refused(stop):
    with pytest.raises(ValueError, match="stop must be a list of texts"):
        pieces_said(b"abc", stop=stop)


def test_an_empty_prompt_begins_a_document():
    tokenizer = byte_tokenizer()
    assert encode_prompt(tokenizer, "") == [tokenizer.special_tokens[END_OF_TEXT]]
    assert "".join(pieces_said(b"abc", prompt="")) == "abc"


def test_a_prompt_begins_a_document_where_the_tokenizer_has_documents():
    tokenizer = byte_tokenizer()
    end = tokenizer.special_tokens[END_OF_TEXT]
    assert encode_prompt(tokenizer, "ab") == [end, *b"ab"]
    assert encode_prompt(byte_tokenizer([]), "ab") == [*b"ab"]


def test_an_empty_prompt_without_an_end_of_text_is_refused():
    tokenizer = byte_tokenizer(special_tokens=[])
    with pytest.raises(ValueError, match="an empty prompt needs a tokenizer with"):
        encode_prompt(tokenizer, "")


def test_text_has_the_settings_and_the_seed_it_is_given():
    tokenizer = CharacterTokenizer(special_tokens=[END_OF_TEXT])
    tokenizer.train("abcdefgh ")
    model = lively_model(small_config(vocab_size=tokenizer.vocab_size))

    def text(seed, sampling=None):
        return generate_text(
            model, tokenizer, "abc", 30, sampling=sampling, generator=seeded(seed)
        )

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(8)}) > 1
    greedy = SamplingConfig(temperature=0.0)
    assert len({text(seed, greedy) for seed in range(4)}) == 1


def test_settings_are_given_by_their_names():
    with pytest.raises(TypeError):
        SamplingConfig(0.5)


def test_settings_that_are_not_given_change_nothing():
    model = lively_model(small_config())
    ids = random_ids(model.config, 2, 3)
    steps = sample(model, ids, 20, SamplingConfig(), seeded(1))
    expected = torch.cat([ids, *(step.ids[:, None] for step in steps)], dim=1)
    assert torch.equal(generate(model, ids, 20, generator=seeded(1)), expected)


def test_without_a_number_or_an_end_there_are_256_tokens():
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    model = lively_model(small_config(vocab_size=tokenizer.vocab_size))
    assert len(generate_text(model, tokenizer, "a")) == 256
    assert len("".join(stream_text(model, tokenizer, "a"))) == 256


def test_the_log_probability_of_a_sure_thing_is_zero():
    model = model_that_says(byte_tokenizer(), b"ab")
    steps = list(sample(model, tensor([[256]]), 2, SamplingConfig()))
    assert [step.log_probabilities.item() for step in steps] == [0.0, 0.0]
