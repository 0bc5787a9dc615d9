"""Streams and batches: what is drawn, what is covered, and what depends on what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from samples import toy_streams

from llm_core import (
    END_OF_TEXT,
    BPETokenizer,
    CharacterTokenizer,
    Corpus,
    TokenStream,
    encode_corpus,
    evaluation_batches,
    sample_batch,
)


def stream_of(*lengths):
    """Documents of these lengths, whose ids are their places: 0, 1, 2, …"""
    starts = np.cumsum([0, *lengths[:-1]])
    return TokenStream(np.arange(sum(lengths) + 1), starts, num_characters=99)


# ---------------------------------------------------------------- streams


def test_each_document_is_preceded_by_end_of_text_and_the_last_one_followed():
    documents = ("abba", "c", "ab")
    tokenizer = CharacterTokenizer(special_tokens=[END_OF_TEXT])
    tokenizer.train(documents)
    stream = encode_corpus(Corpus("toy", documents), tokenizer)
    assert tokenizer.decode(stream.ids.tolist()) == END_OF_TEXT + (
        f"abba{END_OF_TEXT}c{END_OF_TEXT}ab{END_OF_TEXT}"
    )
    end = tokenizer.special_tokens[END_OF_TEXT]
    assert (stream.ids[stream.starts] == end).all()
    assert stream.starts.tolist() == [0, 5, 7]
    assert stream.num_characters == 7
    assert stream.characters_per_token == pytest.approx(7 / 10)


def test_without_the_special_token_documents_follow_each_other_directly():
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    stream = encode_corpus(Corpus("toy", ("abba", "c", "ab")), tokenizer)
    assert tokenizer.decode(stream.ids.tolist()) == "abbacab"
    assert stream.starts.tolist() == [0, 4, 5]


def test_a_stream_knows_the_floor_of_its_corpus():
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    corpus = Corpus("toy", ("abba", "c"), bits=(4.0, 1.0))
    assert encode_corpus(corpus, tokenizer).floor == corpus.floor
    assert encode_corpus(Corpus("toy", ("abba",)), tokenizer).floor is None


@pytest.mark.parametrize(
    ("size", "dtype"), [(256, np.uint16), (2**16, np.uint16), (2**16 + 1, np.uint32)]
)
def test_ids_take_two_bytes_wherever_two_are_enough(size, dtype, monkeypatch):
    tokenizer = BPETokenizer(256)
    tokenizer.train("ab")
    monkeypatch.setattr(BPETokenizer, "vocab_size", property(lambda self: size))
    assert encode_corpus(Corpus("toy", ("ab",)), tokenizer).ids.dtype == dtype


@pytest.mark.parametrize(
    ("ids", "starts", "message"),
    [
        ([1], [0], "one document and two ids at least, got 1 and 1"),
        ([1, 2, 3], [], "one document and two ids at least, got 0 and 3"),
        ([1, 2, 3], [1], "start at 0"),
        ([1, 2, 3], [0, 2, 1], "ascend"),
        ([1, 2, 3], [0, 1, 1], "ascend"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(ids, starts, message):
    with pytest.raises(ValueError, match=message):
        TokenStream(np.array(ids), np.array(starts, dtype=np.int64), 3)


# ---------------------------------------------------------------- training


def test_targets_are_the_inputs_moved_on_by_one():
    inputs, targets, _ = sample_batch(stream_of(30, 5, 20), 64, 8, seed=0, step=0)
    assert inputs.shape == targets.shape == (64, 8)
    assert inputs.dtype == targets.dtype == torch.int64
    assert torch.equal(targets, (inputs + 1) % 56)  # the stream is a ring
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_weights_go_with_their_targets():
    stream = stream_of(30, 5, 20)
    alike = sample_batch(stream, 16, 8, seed=0, step=0)
    assert (alike[2] == 1).all()
    weighted = replace(stream, weights=stream.ids / 10)
    inputs, targets, weights = sample_batch(weighted, 16, 8, seed=0, step=0)
    assert torch.equal(inputs, alike[0])
    torch.testing.assert_close(weights, targets / 10)
    with pytest.raises(ValueError, match="each of the 56 ids needs one weight"):
        replace(stream, weights=np.ones(57))


def test_a_batch_is_a_function_of_seed_and_step_alone():
    stream = stream_of(30, 5, 20)
    first = sample_batch(stream, 16, 8, seed=3, step=5)
    np.random.default_rng().random()
    np.random.seed(0)
    torch.manual_seed(0)
    again = sample_batch(stream, 16, 8, seed=3, step=5)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_every_seed_and_every_step_gives_other_rows():
    stream = stream_of(10_000)
    rows = {
        tuple(row)
        for seed in range(4)
        for step in range(4)
        for row in sample_batch(stream, 4, 8, seed, step)[0].tolist()
    }
    assert len(rows) > 60  # of 64; a few may meet by chance


def test_a_row_begins_with_its_document_or_has_a_whole_row_of_it_behind():
    stream, length = stream_of(30, 5, 20), 8
    seen = set()
    for step in range(200):
        inputs, *_ = sample_batch(stream, 8, length, seed=0, step=step)
        for start in inputs[:, 0].tolist():
            document = max(s for s in stream.starts.tolist() if s <= start)
            end = start + length - 1  # the position that was drawn, in a long document
            ends = [*stream.starts[1:].tolist(), 56]
            assert (
                start == document or end < ends[stream.starts.tolist().index(document)]
            )
            seen.add(start)
    # Long documents are read everywhere, short ones from their beginning.
    assert seen == {*range(23), 30, *range(35, 49)}


def test_rows_are_drawn_by_positions_drawn_evenly():
    """A document's share of the rows is its share of the ids."""
    stream = stream_of(4, 12, 4)  # and the id after the last document, which is its own
    inputs, *_ = sample_batch(stream, 42_000, 12, seed=0, step=0)
    shares = [(inputs[:, 0] == start).float().mean().item() for start in (0, 4, 16)]
    assert shares == pytest.approx([4 / 21, 12 / 21, 5 / 21], abs=0.01)


def test_ids_on_disk_give_the_same_batches_as_ids_in_memory(tmp_path):
    in_memory, *_ = toy_streams()
    in_memory.ids.tofile(tmp_path / "ids.bin")
    ids = np.memmap(tmp_path / "ids.bin", dtype=in_memory.ids.dtype, mode="r")
    on_disk = TokenStream(ids, in_memory.starts, in_memory.num_characters)
    for draw in (
        lambda stream: [sample_batch(stream, 4, 8, 0, 0)],
        lambda stream: list(evaluation_batches(stream, 4, 8)),
    ):
        pairs = zip(draw(in_memory), draw(on_disk), strict=True)
        for one, other in pairs:
            assert all(map(torch.equal, one, other))


def test_a_stream_shorter_than_a_row_goes_round():
    inputs, *_ = sample_batch(stream_of(2), 4, 8, seed=0, step=0)
    assert inputs.tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]] * 4


# ---------------------------------------------------------------- evaluation


def batches_of(lengths, batch_size, length):
    stream = stream_of(*lengths)
    return stream, list(evaluation_batches(stream, batch_size, length))


LENGTHS = [(3, 5, 1), (8,), (20, 2, 8, 9), (1, 1, 1, 1, 1), (16, 16)]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_each_id_after_the_first_is_a_target_exactly_once(lengths, batch_size):
    stream, batches = batches_of(lengths, batch_size, length=8)
    counted = [
        id for _, targets, weights in batches for id in targets[weights == 1].tolist()
    ]
    assert counted == stream.ids[1:].tolist()


@pytest.mark.parametrize("lengths", LENGTHS)
def test_each_document_begins_a_row(lengths):
    stream, batches = batches_of(lengths, 3, length=8)
    beginnings = [id for inputs, *_ in batches for id in inputs[:, 0].tolist()]
    assert set(stream.starts.tolist()) <= set(beginnings)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_inputs_come_just_before_their_targets_and_padding_weighs_nothing(lengths):
    _, batches = batches_of(lengths, 3, length=8)
    for inputs, targets, weights in batches:
        assert inputs.shape == targets.shape == weights.shape
        assert set(weights.unique().tolist()) <= {0.0, 1.0}
        counted = weights == 1
        assert torch.equal(inputs[counted] + 1, targets[counted])
        assert (inputs[~counted] == 0).all()
        assert (weights[:, 1:] <= weights[:, :-1]).all()  # padding is at the end
        assert (
            counted.sum(1).max() == weights.shape[1] <= 8
        )  # and no longer than needed


def test_a_long_document_goes_on_in_rows_of_its_own():
    _, [(inputs, _, weights)] = batches_of([20, 2], 100, length=8)
    assert inputs[:, 0].tolist() == [0, 8, 16, 20]
    assert weights.sum(1).tolist() == [8, 8, 4, 2]
