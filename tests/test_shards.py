"""Shards hold the ids of the whole, survive breaks, and cost the memory of one."""

import hashlib
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_core import END_OF_TEXT, BPETokenizer, CharacterTokenizer, load_corpus
from llm_core import shards as module
from llm_core.data import encode_corpus, evaluation_batches, sample_batch
from llm_core.shards import ShardedIds, ShardError, hold_out, load_shards, prepare
from llm_core.tokenizer import Tokenizer

CORPUS = load_corpus("stories", num_stories=60)
BPE = BPETokenizer(400, [END_OF_TEXT])
BPE.train(CORPUS.documents)
CHARACTERS = CharacterTokenizer([END_OF_TEXT])
CHARACTERS.train(CORPUS.documents)


def marked(documents=CORPUS.documents):
    for document in documents:
        yield END_OF_TEXT
        yield document


def prepared(folder, tokenizer=BPE, text=None, **settings):
    prepare(marked() if text is None else text, tokenizer, folder, **settings)
    return folder


@pytest.fixture
def folder(tmp_path):
    return prepared(tmp_path / "shards", shard_characters=5_000)


@pytest.mark.parametrize("tokenizer", [BPE, CHARACTERS], ids=["bpe", "characters"])
@pytest.mark.parametrize("shard_characters", [1, 5_000, 10**9])
def test_shards_hold_the_stream_that_memory_would(
    tokenizer, shard_characters, tmp_path
):
    folder = prepared(tmp_path, tokenizer, shard_characters=shard_characters)
    stream, again = load_shards(folder)
    expected = encode_corpus(CORPUS, tokenizer)
    assert np.array_equal(stream.ids[:], expected.ids)
    assert np.array_equal(stream.starts, expected.starts)
    assert stream.num_characters == expected.num_characters
    assert again.encode(CORPUS.text) == tokenizer.encode(CORPUS.text)


def test_batches_are_those_of_memory(folder):
    stream, _ = load_shards(folder)
    expected = encode_corpus(CORPUS, BPE)
    for step in range(50):
        ours = sample_batch(stream, 4, 96, seed=1, step=step)
        theirs = sample_batch(expected, 4, 96, seed=1, step=step)
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    pairs = zip(
        evaluation_batches(stream, 4, 64),
        evaluation_batches(expected, 4, 64),
        strict=True,
    )
    for ours, theirs in pairs:
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1), st.data())
def test_sharded_ids_are_indexed_like_one_array(lengths, data):
    whole = np.arange(sum(lengths))
    ids = ShardedIds(np.split(whole, np.cumsum(lengths)[:-1]))
    where = data.draw(st.slices(len(whole)) | st.lists(st.integers(0, len(whole) - 1)))
    if isinstance(where, list):
        where = np.array(where, dtype=int)
    assert np.array_equal(ids[where], whole[where])
    count = data.draw(st.integers(1, len(whole)))
    assert np.array_equal(ids.first(count)[:], whole[:count])
    assert len(ids) == len(whole)
    assert ids.max() == whole.max()


def test_one_long_document_goes_through_several_shards(tmp_path):
    text = "one long text, " * 2_000
    prepare([END_OF_TEXT + text], BPE, tmp_path, shard_characters=4_000)
    stream, _ = load_shards(tmp_path)
    assert len(list(tmp_path.glob("*.ids"))) > 1
    assert BPE.decode(stream.ids[:]) == END_OF_TEXT + text + END_OF_TEXT
    assert stream.starts.tolist() == [0]
    assert stream.num_characters == len(text)


# --- Breaks ---


class Cut(Exception):
    """The power is gone."""


def test_a_break_anywhere_costs_one_shard_at_most(tmp_path, monkeypatch):
    whole = prepared(tmp_path / "whole", shard_characters=5_000)
    files = sorted(path.name for path in whole.glob("*.ids"))
    encoded = []
    encode = Tokenizer.encode

    def counted(tokenizer, text):
        encoded.append(text)
        return encode(tokenizer, text)

    monkeypatch.setattr(Tokenizer, "encode", counted)
    broken = tmp_path / "broken"
    for attempt in range(len(files)):
        encoded.clear()

        def stop(shard, attempt=attempt):
            if shard.file == files[attempt]:
                raise Cut

        with pytest.raises(Cut):
            prepared(broken, shard_characters=5_000, report=stop)
        assert len(encoded) == 1  # the others were there
    prepared(broken, shard_characters=5_000)
    for path in whole.iterdir():
        assert path.read_bytes() == (broken / path.name).read_bytes(), path.name


@pytest.mark.slow
def test_a_killed_process_leaves_whole_shards(tmp_path):
    program = (
        "import sys\nfrom test_shards import *\n"
        "prepare(marked(CORPUS.documents * 400), BPE, sys.argv[1], "
        "lambda shard: print(shard.file, flush=True), shard_characters=40_000)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, encoding="utf-8", cwd=Path(__file__).parent
    ) as process:
        for _ in range(3):
            process.stdout.readline()
        process.kill()
    with pytest.raises(ShardError, match="not finished"):
        load_shards(tmp_path / "x")
    manifest = json.loads((tmp_path / "x" / "shards.json").read_text(encoding="utf-8"))
    assert len(manifest["shards"]) >= 3
    for file, *_, sha256 in manifest["shards"]:
        data = (tmp_path / "x" / file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256


def test_another_text_is_not_mixed_in(folder):
    with pytest.raises(ShardError, match=r"00000\.ids was made from another text"):
        prepared(folder, text=marked(["Another."]), shard_characters=5_000)
    load_shards(folder)  # what was there is whole


def test_another_tokenizer_is_not_mixed_in(folder):
    with pytest.raises(ShardError, match="another tokenizer"):
        prepared(folder, CHARACTERS, shard_characters=5_000)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(ShardError, match="must be new"):
        prepared(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_tokenizer_without_the_mark_is_refused(tmp_path):
    tokenizer = BPETokenizer(300)
    tokenizer.train("some text")
    with pytest.raises(ValueError, match="as a special token"):
        prepared(tmp_path / "x", tokenizer)


# --- Damage ---


def test_a_missing_manifest_is_said(tmp_path):
    with pytest.raises(ShardError, match=r"has no shards\.json"):
        load_shards(tmp_path)


def test_a_missing_or_short_shard_is_named(folder):
    path = folder / "00001.ids"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ShardError, match=r"00001\.ids was changed or cut short"):
        load_shards(folder)
    path.unlink()
    with pytest.raises(ShardError, match=r"00001\.ids is missing"):
        load_shards(folder)


def test_a_changed_shard_is_found_when_the_work_goes_on(folder):
    path = folder / "00001.ids"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match=r"00001\.ids was changed"):
        prepared(folder, shard_characters=5_000)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_mutated_manifest_is_refused_or_whole(data, tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("x") / "y", shard_characters=20_000)
    path = folder / "shards.json"
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        stream, _ = load_shards(folder)
    except ShardError:
        return
    assert len(stream.ids) >= 2


# --- Held out, and trained on ---


@pytest.mark.parametrize("num_ids", [2, 300, 3_000])
def test_what_is_held_out_follows_what_is_left(folder, num_ids):
    stream, tokenizer = load_shards(folder)
    whole = stream.ids[:]
    training, validation = hold_out(stream, tokenizer, num_ids)
    assert len(validation.ids) <= num_ids + 1
    joined = np.concatenate([training.ids[:][:-1], validation.ids])
    assert np.array_equal(joined, whole)
    total = training.num_characters + validation.num_characters
    assert total == stream.num_characters
    for part in (training, validation):
        marks = np.flatnonzero(part.ids[:-1] == tokenizer.special_tokens[END_OF_TEXT])
        assert np.array_equal(np.union1d([0], marks), part.starts)


def test_too_much_cannot_be_held_out(folder):
    stream, tokenizer = load_shards(folder)
    with pytest.raises(ValueError, match="can hold out"):
        hold_out(stream, tokenizer, len(stream.ids))


def test_a_run_on_shards_is_resumed_exactly(folder, tmp_path):
    import torch
    from samples import small_config

    from llm_core import GPTModel, TrainConfig, Trainer

    def streams():
        return hold_out(*load_shards(folder), num_ids=500)

    torch.manual_seed(0)
    config = small_config(vocab_size=BPE.vocab_size, max_seq_len=32)
    settings = TrainConfig(steps=6, batch_size=2)
    unbroken = Trainer(GPTModel(config), *streams(), settings)
    start = {name: t.clone() for name, t in unbroken.model.state_dict().items()}
    unbroken.train()
    model = GPTModel(config)
    model.load_state_dict(start)
    broken = Trainer(model, *streams(), settings)
    for report in broken.run():
        if report.step == 3:
            break
    broken.save(tmp_path / "run", BPE)
    resumed = Trainer.resume(tmp_path / "run", *streams())
    resumed.train()
    for name, tensor in unbroken.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_memory_of_preparing_does_not_grow_with_the_text(tmp_path):
    def peak(repeats):
        tracemalloc.start()
        text = marked(document for _ in range(repeats) for document in CORPUS.documents)
        folder = tmp_path / str(repeats)
        prepare(text, BPE, folder, shard_characters=20_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(1)
    assert peak(20) < 1.3 * peak(4)


def test_a_shard_of_many_ids_has_four_bytes_each(tmp_path, monkeypatch):
    monkeypatch.setattr(type(BPE), "vocab_size", property(lambda _: 2**16 + 1))
    monkeypatch.setattr(module, "_fingerprint", lambda _: "any")
    monkeypatch.setattr(Tokenizer, "save", lambda *_: None)
    prepare(marked(), BPE, tmp_path / "x")
    manifest = json.loads((tmp_path / "x" / "shards.json").read_text(encoding="utf-8"))
    file, num_ids, *_ = manifest["shards"][0]
    assert (tmp_path / "x" / file).stat().st_size == 4 * num_ids
