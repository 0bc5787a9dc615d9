"""Ours and theirs, both ways: transformers, tokenizers and tiktoken are the oracles."""

import hashlib
import json
import random
from contextlib import suppress

import pytest
import tiktoken
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import as_transformers_gpt2
from samples import lively_model, random_ids, small_config
from tiktoken.load import load_tiktoken_bpe

from llm_core import END_OF_TEXT, BPETokenizer, CharacterTokenizer, load_corpus
from llm_core import interop as module
from llm_core.checkpoint import CheckpointError
from llm_core.interop import (
    from_gpt2,
    from_pretrained,
    load_gpt2,
    ranks,
    read_tiktoken,
    read_tokenizer_json,
    read_vocabulary,
    save_gpt2,
    to_gpt2,
    write_tiktoken,
    write_tokenizer_json,
)
from llm_core.tokenizer import GPT2_PATTERN

MIXED = (
    "We'll see: the cat's hat, the CATS' hats; it'd've been 1,234.50 €!\n\n"
    "  def f(x):\n\t\treturn x**2   # tabs\r\n\r\n"
    "Größe, naïve, Ångström. Ελληνικά. Привет, мир! שלום. مرحبا नमस्ते 今天天气很好。"
    "日本語、한국어. ไทย 👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 e\u0301 é \u200b\ufeff\x00\x1f �  "
)
OWN_PATTERN = r"\p{L}+|\p{N}{1,3}|[^\p{L}\p{N}]+"


def trained(vocab_size=420, special_tokens=(END_OF_TEXT,), pattern=GPT2_PATTERN):
    tokenizer = BPETokenizer(vocab_size, special_tokens, pattern)
    tokenizer.train(MIXED * 3 + "the cat sat on the mat and the hat " * 20)
    return tokenizer


def as_gpt2(tokenizer):
    """Number the tokens as GPT-2 does: bytes in another order, the rest after them."""
    sign = {ord(character): character for character in map(chr, range(33, 127))}
    others = [byte for byte in range(256) if byte not in sign]
    tokens = [bytes([byte]) for byte in [*sign, *others]] + [*ranks(tokenizer)][256:]
    return BPETokenizer.from_ranks(
        {token: id for id, token in enumerate(tokens)},
        {END_OF_TEXT: len(tokens)},
    )


TOKENIZERS = {
    "gpt2": as_gpt2(trained()),
    "ours": trained(),
    "several specials": trained(special_tokens=["<a>", "<a><b>", END_OF_TEXT]),
    "own pattern": trained(pattern=OWN_PATTERN),
    "no specials": trained(special_tokens=()),
}
PIECES = [*MIXED, "'ll", "  ", "\n\n", " the", "<a>", "<b>", "<a", END_OF_TEXT, "123"]


def generated(count, seed=0):
    """Random strings of what provokes: white space, other alphabets, half tokens."""
    draw = random.Random(seed)
    for _ in range(count):
        yield "".join(draw.choices(PIECES, k=draw.randint(0, 12)))


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


# --- Tokenizers ---


def test_tokenizers_gives_the_same_ids_by_our_file(tokenizer, tmp_path):
    write_tokenizer_json(tokenizer, tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.get_vocab_size() == tokenizer.vocab_size
    prose = load_corpus("python-docs").text[:30_000]
    for text in [MIXED, prose, *generated(10_000)]:
        ids = tokenizer.encode(text)
        assert theirs.encode(text).ids == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text


def test_our_file_read_again_gives_the_same_tokenizer(tokenizer, tmp_path):
    write_tokenizer_json(tokenizer, tmp_path / "tokenizer.json")
    again = read_tokenizer_json(tmp_path / "tokenizer.json")
    assert again.merges == tokenizer.merges
    assert again.special_tokens == tokenizer.special_tokens
    assert again.pattern == tokenizer.pattern
    assert ranks(again) == ranks(tokenizer)


def test_a_tokenizer_trained_by_tokenizers_gives_the_same_ids_here(tmp_path):
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<pad>", END_OF_TEXT],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    theirs.train_from_iterator([MIXED] * 3, trainer)
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = read_tokenizer_json(tmp_path / "tokenizer.json")
    assert ours.vocab_size == theirs.get_vocab_size()
    for text in [MIXED, *generated(10_000, seed=1)]:
        assert ours.encode(text) == theirs.encode(text).ids


# Of special tokens that begin alike, tiktoken takes any; ours, the longest.
@pytest.mark.parametrize("name", sorted(TOKENIZERS.keys() - {"several specials"}))
def test_tiktoken_gives_the_same_ids_by_our_ranks(name, tmp_path):
    tokenizer = TOKENIZERS[name]
    write_tiktoken(tokenizer, tmp_path / "ranks.tiktoken")
    theirs = tiktoken.Encoding(
        "test",
        pat_str=tokenizer.pattern,
        mergeable_ranks=load_tiktoken_bpe(str(tmp_path / "ranks.tiktoken")),
        special_tokens=tokenizer.special_tokens,
    )
    again = read_tiktoken(
        tmp_path / "ranks.tiktoken", tokenizer.special_tokens, tokenizer.pattern
    )
    prose = load_corpus("python-docs").text[:30_000]
    for text in [MIXED, prose, *generated(10_000, seed=2)]:
        ids = theirs.encode(text, allowed_special="all")
        assert tokenizer.encode(text) == ids
        assert again.encode(text) == ids


def write_gpt2_files(tokenizer, folder):
    """Write vocab.json and merges.txt with tokenizers' own writer."""
    write_tokenizer_json(tokenizer, folder / "whole.json")
    theirs = tokenizers.Tokenizer.from_file(str(folder / "whole.json"))
    theirs.model.save(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    text = json.dumps(vocabulary | tokenizer.special_tokens)
    (folder / "vocab.json").write_text(text, encoding="utf-8")


def test_gpt2s_two_files_give_the_same_tokenizer(tmp_path):
    tokenizer = TOKENIZERS["gpt2"]
    write_gpt2_files(tokenizer, tmp_path)
    again = read_vocabulary(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert ranks(again) == ranks(tokenizer)
    assert again.merges == tokenizer.merges
    assert again.special_tokens == tokenizer.special_tokens


def changed(tmp_path, change):
    write_tokenizer_json(trained(), tmp_path / "tokenizer.json")
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c["model"].update(type="WordPiece"), "type must be 'BPE'"),
        (lambda c: c["model"].update(byte_fallback=True), "byte_fallback must be"),
        (lambda c: c["model"].update(ignore_merges=True), "ignore_merges must be"),
        (lambda c: c.update(normalizer={"type": "NFC"}), "normalizer must be null"),
        (lambda c: c.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer"),
        (lambda c: c["pre_tokenizer"].update(add_prefix_space=True), "pre_tokenizer"),
        (lambda c: c["model"]["merges"].reverse(), "the ids expect the merge"),
        (lambda c: c["model"]["merges"].pop(), "shorter"),
        (lambda c: c["model"]["vocab"].update({"x y": 420}), "byte characters"),
        (lambda c: c["model"]["vocab"].pop("!"), "each once"),
        (lambda c: c.pop("model"), "lacks 'model'"),
        (lambda c: c["model"].pop("merges"), "lacks 'merges'"),
    ],
)
def test_a_file_that_would_give_other_ids_is_refused(change, fault, tmp_path):
    path = changed(tmp_path, change)
    with pytest.raises(CheckpointError, match=fault) as caught:
        read_tokenizer_json(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[1]", b"\xff", b"{", b'{"model": 3}'])
def test_what_is_no_tokenizer_is_refused(data, tmp_path):
    for name in ("tokenizer.json", "vocab.json"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_tokenizer_json(tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"vocab\.json|merges\.txt"):
        read_vocabulary(tmp_path / "vocab.json", tmp_path / "merges.txt")
    with pytest.raises(CheckpointError, match=r"ranks"):
        read_tiktoken(tmp_path / "ranks", {})


# --- Weights ---


def saved(folder, model, tokenizer):
    save_gpt2(folder, model, tokenizer)
    return folder


def gpt2_like(vocab_size, **changes):
    return small_config(vocab_size=vocab_size, **changes)


@pytest.mark.parametrize("changes", [{}, {"tie_embeddings": False}, {"d_ff": 48}])
def test_transformers_gives_the_same_logits_by_our_files(changes, tmp_path):
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

    tokenizer = trained()
    model = lively_model(gpt2_like(tokenizer.vocab_size, **changes))
    folder = saved(tmp_path / "exported", model, tokenizer)
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()
    ids = random_ids(model.config, 3, 16)
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-4)
    file = str(folder / "tokenizer.json")
    their_tokenizer = PreTrainedTokenizerFast(tokenizer_file=file)
    assert their_tokenizer.encode(MIXED) == tokenizer.encode(MIXED)


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_saved_by_transformers_gives_the_same_logits_here(tied, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = TOKENIZERS["gpt2"]
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.vocab_size,
            n_positions=24,
            n_embd=32,
            n_layer=3,
            n_head=4,
            tie_word_embeddings=tied,
            initializer_range=0.3,
            bos_token_id=0,
            eos_token_id=0,
        )
    ).eval()
    theirs.save_pretrained(tmp_path)
    write_gpt2_files(tokenizer, tmp_path)
    model, ours = load_gpt2(tmp_path)
    ids = random_ids(model.config, 3, 24)
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-4)
    assert ours.encode(MIXED) == tokenizer.encode(MIXED)
    assert model.config.max_seq_len == 24


@pytest.mark.parametrize("tied", [True, False])
def test_names_and_shapes_come_back(tied):
    weights = lively_model(small_config(tie_embeddings=tied)).state_dict()
    again = from_gpt2(to_gpt2(weights))
    assert again.keys() == weights.keys()
    for name in weights:
        assert torch.equal(again[name], weights[name]), name


def test_names_are_those_of_transformers():
    model = lively_model(small_config())
    theirs = as_transformers_gpt2(model).state_dict()
    ours = to_gpt2(model.state_dict())
    for name, tensor in ours.items():
        prefix = "" if name.startswith("lm_head") else "transformer."
        assert torch.equal(theirs[prefix + name], tensor), name
    assert len(ours) == len(theirs)


def test_a_saved_model_comes_back(tmp_path):
    tokenizer = trained()
    model = lively_model(gpt2_like(tokenizer.vocab_size, dropout=0.1))
    again, its_tokenizer = load_gpt2(saved(tmp_path / "exported", model, tokenizer))
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert its_tokenizer.merges == tokenizer.merges
    again.train()
    again(random_ids(model.config, 1, 4)).sum().backward()  # it can be trained on
    assert again.head.weight is again.token_embedding.weight


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": "rotary"},
        {"norm": "rms"},
        {"feed_forward": "swiglu"},
        {"qk_norm": True},
        {"bias": False},
        {"num_kv_heads": 2},
    ],
)
def test_what_gpt2_has_not_is_refused_before_anything_is_written(changes, tmp_path):
    tokenizer = trained()
    model = lively_model(gpt2_like(tokenizer.vocab_size, **changes))
    with pytest.raises(ValueError, match=next(iter(changes))):
        save_gpt2(tmp_path / "exported", model, tokenizer)
    assert not (tmp_path / "exported").exists()


def test_nothing_is_overwritten(tmp_path):
    tokenizer = trained()
    model = lively_model(gpt2_like(tokenizer.vocab_size))
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "mine"):
        with pytest.raises(ValueError, match="must be new or empty"):
            save_gpt2(folder, model, tokenizer)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "precious"


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    model = lively_model(gpt2_like(500))
    with pytest.raises(ValueError, match=r"tokenizer has 4.. tokens, the model 500"):
        save_gpt2(tmp_path / "exported", model, trained())


FOLDER_FAULTS = {
    "n_embd": (64, r"expected \(192,\), got \(96,\)"),
    "n_layer": (3, "h.2.* expected .*, got none"),
    "n_head": (5, "num_heads must divide d_model"),
    "n_positions": (17, r"wpe.weight: expected \(17, 32\), got \(16, 32\)"),
    "vocab_size": ("many", "vocab_size must be a positive integer"),
    "model_type": ("llama", "model_type must be 'gpt2', got 'llama'"),
    "activation_function": ("relu", "activation_function must be"),
    "layer_norm_epsilon": (1e-3, "layer_norm_epsilon must be"),
    "scale_attn_by_inverse_layer_idx": (True, "must be False, got True"),
}


@pytest.mark.parametrize("name", FOLDER_FAULTS)
def test_a_folder_that_is_no_such_gpt2_is_refused(name, tmp_path):
    value, fault = FOLDER_FAULTS[name]
    tokenizer = trained()
    folder = saved(
        tmp_path / "x", lively_model(gpt2_like(tokenizer.vocab_size)), tokenizer
    )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {name: value})
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=fault) as caught:
        load_gpt2(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_or_broken_file_is_named(name, tmp_path):
    tokenizer = trained()
    folder = saved(
        tmp_path / "x", lively_model(gpt2_like(tokenizer.vocab_size)), tokenizer
    )
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=name):
        load_gpt2(folder)
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=r"\w+\.\w+: is missing"):
        load_gpt2(folder)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_mutated_folder_is_refused_or_loads(data, tmp_path_factory):
    tokenizer = trained()
    folder = saved(
        tmp_path_factory.mktemp("x") / "y",
        lively_model(gpt2_like(tokenizer.vocab_size, num_layers=1)),
        tokenizer,
    )
    names = ["config.json", "model.safetensors", "tokenizer.json"]
    path = folder / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    end = min(len(content), 2000)  # the header, or the settings
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError):
        load_gpt2(folder)


# --- Downloads ---


def test_gpt2_is_downloaded_once_checked_and_loaded(tmp_path, monkeypatch):
    tokenizer = TOKENIZERS["gpt2"]
    model = lively_model(gpt2_like(tokenizer.vocab_size))
    source = saved(tmp_path / "server", model, tokenizer)
    write_gpt2_files(tokenizer, source)
    hashes = {
        name: hashlib.sha256((source / name).read_bytes()).hexdigest()
        for name in module._GPT2_FILES
    }
    monkeypatch.setattr(module, "_GPT2_URL", source.as_uri() + "/")
    monkeypatch.setattr(module, "_GPT2_FILES", hashes)
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path / "cache"))
    seen = []
    again, _ = from_pretrained("gpt2", lambda done, total: seen.append(done))
    assert seen
    assert again.config == model.config
    for path in source.iterdir():
        path.unlink()
    again, its_tokenizer = from_pretrained("gpt2")  # from the cache
    ids = random_ids(model.config, 1, 8)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(ids), model(ids))
    assert its_tokenizer.encode(MIXED) == tokenizer.encode(MIXED)


def test_an_unknown_name_is_told_the_known_one():
    with pytest.raises(ValueError, match="\"gpt2\", got 'gpt5'"):
        from_pretrained("gpt5")


def test_characters_have_no_such_files(tmp_path):
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    with pytest.raises(ValueError, match="BPETokenizer"):
        write_tokenizer_json(tokenizer, tmp_path / "tokenizer.json")
