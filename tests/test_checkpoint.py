"""Checkpoints through kills, full disks, damage and malice."""

import errno
import json
import multiprocessing
import os
import pickle
import random
import shutil
import struct
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from pathlib import Path

import killed_run
import pytest
import torch
from safetensors.torch import load_file, save_file
from samples import KINDS, lively_model, random_ids, small_config, toy_streams
from torch.nn.utils import parameters_to_vector

import llm_core.checkpoint
from llm_core import (
    BPETokenizer,
    CharacterTokenizer,
    CheckpointError,
    GPTModel,
    TrainConfig,
    Trainer,
    choose_device,
    load_checkpoint,
    load_pretrained,
    save_checkpoint,
)
from llm_core.checkpoint import TrainingState, load_training, snapshots

TRAINING, VALIDATION, TOKENIZER = toy_streams()
FILES = [
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "training.safetensors",
    "training.json",
]


def a_model(seed=0, **changes):
    config = small_config(vocab_size=TOKENIZER.vocab_size, num_layers=1, **changes)
    return lively_model(config, seed)


def weights_of(model):
    return parameters_to_vector(model.parameters()).detach()


def save(folder, step, **changes):
    """Save a model whose weights depend on the step."""
    return save_checkpoint(folder, a_model(step), TOKENIZER, TrainingState(step))


def loaded_step(folder):
    """The step of the save that is loaded, by its state and by its weights."""
    model, _, state = load_training(folder)
    assert torch.equal(weights_of(model), weights_of(a_model(state.step)))
    return state.step


def list_hashes_anew(snapshot):
    """Make the manifest true again, so that the parsers meet what was changed."""
    hashes = {
        name: sha256((snapshot / name).read_bytes()).hexdigest() for name in FILES
    }
    (snapshot / "manifest.json").write_text(json.dumps(hashes), encoding="utf-8")


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_as_it_was_saved(kind, tmp_path):
    model = a_model(**KINDS[kind])
    save_checkpoint(tmp_path, model.train(), TOKENIZER)
    loaded, tokenizer = load_checkpoint(tmp_path)
    assert loaded.config == model.config
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not loaded.training
    ids = random_ids(model.config, 2, 16)
    assert torch.equal(loaded(ids), model.eval()(ids))
    tied = loaded.head.weight is loaded.token_embedding.weight
    assert tied == model.config.tie_embeddings
    assert tokenizer.encode("cat sat") == TOKENIZER.encode("cat sat")


def test_a_tokenizer_comes_back_as_what_it_was(tmp_path):
    tokenizer = BPETokenizer(270, special_tokens=["<|user|>"])
    tokenizer.train("the cat and the hat and the mat")
    model = GPTModel(small_config(vocab_size=tokenizer.vocab_size))
    save_checkpoint(tmp_path, model, tokenizer)
    _, loaded = load_checkpoint(tmp_path)
    assert type(loaded) is BPETokenizer
    assert loaded.special_tokens == tokenizer.special_tokens
    assert loaded.encode("that <|user|>") == tokenizer.encode("that <|user|>")


def test_the_state_of_training_comes_back(tmp_path):
    tensors = {"a": torch.arange(3), "b/c": torch.randn(2, 5).T}
    values = {"config": {"rate": 0.1, "betas": [0.9, 0.95]}, "note": "naïve 🐈"}
    save_checkpoint(tmp_path, a_model(), TOKENIZER, TrainingState(7, tensors, values))
    _, _, state = load_training(tmp_path)
    assert (state.step, state.values) == (7, values)
    assert state.tensors.keys() == tensors.keys()
    assert all(torch.equal(state.tensors[name], tensors[name]) for name in tensors)


def test_one_save_of_a_folder_can_be_loaded_by_itself(tmp_path):
    first, second = save(tmp_path, 1), save(tmp_path, 2)
    assert (loaded_step(first), loaded_step(second)) == (1, 2)


def test_a_checkpoint_can_be_moved(tmp_path):
    save(tmp_path / "here", 1)
    (tmp_path / "here").rename(tmp_path / "there")
    assert loaded_step(tmp_path / "there") == 1


def test_the_last_two_saves_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (5, 10, 99, 100):
        saved = save(tmp_path, step)
        assert saved.is_dir()
        assert loaded_step(tmp_path) == step
    assert sorted(os.listdir(tmp_path)) == ["step-00000099", "step-00000100"]


def test_the_same_step_can_be_saved_again(tmp_path):
    save(tmp_path, 1)
    for seed in (1, 2, 3):
        save_checkpoint(tmp_path, a_model(seed), TOKENIZER, TrainingState(1))
        model, _ = load_checkpoint(tmp_path)
        assert torch.equal(weights_of(model), weights_of(a_model(seed)))
    assert len(snapshots(tmp_path)) == 2


def test_a_new_run_in_an_old_folder_is_not_lost_behind_the_old_one(tmp_path):
    for step in (1000, 2000):
        save(tmp_path, step)
    for step in (10, 20):
        assert save(tmp_path, step).is_dir()
        assert loaded_step(tmp_path) == step


def test_half_precision_weights_are_loaded_as_float32(tmp_path):
    saved = save(tmp_path, 1)
    weights = load_file(saved / "model.safetensors")
    for dtype in (torch.float16, torch.bfloat16):
        halves = {name: tensor.to(dtype) for name, tensor in weights.items()}
        save_file(halves, saved / "model.safetensors")
        list_hashes_anew(saved)
        model, _ = load_checkpoint(tmp_path)
        for name, parameter in model.named_parameters():
            assert parameter.dtype == torch.float32
            assert torch.equal(parameter, halves[name].float())


# ---------------------------------------------------------------- kills

# LLM_CORE_KILLS=100 python -m pytest tests/test_checkpoint.py -k killed -s
KILLS = int(os.environ.get("LLM_CORE_KILLS", "10"))


def start(context, folder, steps):
    received, sent = context.Pipe(duplex=False)
    process = context.Process(target=killed_run.run, args=(folder, steps, sent))
    process.start()
    sent.close()
    return process, received


def all_that_comes(received):
    with received, suppress(EOFError):
        while True:
            yield received.recv()


def live_and_die(context, folder, steps, choose, pace):
    """Start a run and kill it while it loads, steps or saves.

    `pace` is how long a step may take; returns that of this run, and the number of the
    last step that it reported as saved.
    """
    process, received = start(context, folder, steps)
    last, heard = None, []
    for _ in range(choose.randrange(5)):
        last = received.recv() or last
        heard.append(time.perf_counter())
    if len(heard) > 1:
        pace = heard[-1] - heard[-2]
    time.sleep(choose.uniform(0, pace))
    process.kill()
    process.join()
    assert process.exitcode != 0, "it had ended before it was killed"
    return pace, [last, *all_that_comes(received)][-1] or last


def test_a_run_killed_again_and_again_loses_nothing(tmp_path):
    steps = 5 * KILLS + 10  # a life sees two on average, four at most or so
    method = "spawn" if sys.platform == "win32" else "forkserver"
    context = multiprocessing.get_context(method)
    if method == "forkserver":  # which imports torch once for all
        context.set_forkserver_preload(["llm_core.trainer", "torch.optim"])
    choose, pace, half_saved = random.Random(0), 0.05, 0
    for _ in range(KILLS):
        pace, last = live_and_die(context, tmp_path, steps, choose, pace)
        half_saved += (tmp_path / ".partial").exists()
        if last is not None:  # what was reported as saved is there, and whole
            assert load_training(tmp_path)[2].step >= last
    done = load_training(tmp_path)[2].step
    process, received = start(context, tmp_path, steps)
    assert [*all_that_comes(received)] == [None, *range(done + 1, steps + 1)]
    process.join()
    assert process.exitcode == 0
    print(f"\n{KILLS} kills, {half_saved} in the middle of a save, by step {done}")
    undisturbed = killed_run.new_trainer(steps)
    undisturbed.train()
    survivor = Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert torch.equal(weights_of(survivor.model), weights_of(undisturbed.model))
    state, expected = survivor._state(), undisturbed._state()
    assert state.step == expected.step == steps
    assert state.tensors.keys() == expected.tensors.keys()
    for name, tensor in state.tensors.items():
        assert torch.equal(tensor, expected.tensors[name]), name


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_between_renames_loses_at_most_the_newest_save(
    renames, tmp_path, monkeypatch
):
    """A save of the same step takes two renames: the old one away, the new one in."""
    save(tmp_path, 1)
    rename, done = Path.rename, []

    def die(self, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 1)
    assert loaded_step(tmp_path) == 1
    save(tmp_path, 2)
    assert loaded_step(tmp_path) == 2
    assert not (tmp_path / ".partial").exists()


# ---------------------------------------------------------------- full disks


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill_disk_at(place, patch):
    """Let the disk be full when a certain file, or anything else, is written."""

    def half(write):
        def write_half(self, data, **kwargs):
            if self.name != place:
                return write(self, data, **kwargs)
            write(self, data[: len(data) // 2], **kwargs)
            full()

        return write_half

    patch.setattr(Path, "write_bytes", half(Path.write_bytes))
    patch.setattr(Path, "write_text", half(Path.write_text))
    if place == "tokenizer.json":
        patch.setattr(CharacterTokenizer, "save", full)
    if place == "flush":
        patch.setattr(os, "fsync", full)
    if place in ("mkdir", "rename"):
        patch.setattr(Path, place, full)


@pytest.mark.parametrize("place", [*FILES, "manifest.json", "flush", "mkdir", "rename"])
@pytest.mark.parametrize("step", [1, 2])
def test_a_full_disk_leaves_the_save_before(place, step, tmp_path, monkeypatch):
    save(tmp_path, 1)
    with monkeypatch.context() as patch:
        fill_disk_at(place, patch)
        with pytest.raises(CheckpointError, match=r"could not save to .*No space"):
            save(tmp_path, step)
    assert os.listdir(tmp_path) == ["step-00000001"]
    assert loaded_step(tmp_path) == 1
    save(tmp_path, 2)
    assert loaded_step(tmp_path) == 2


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(tmp_path):
    (tmp_path / "run").write_text("not a folder", encoding="utf-8")
    with pytest.raises(CheckpointError, match="could not save to"):
        save(tmp_path / "run", 1)


# ---------------------------------------------------------------- damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2])


def tamper(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


DAMAGES = {"truncated": truncate, "tampered": tamper, "empty": empty}
DAMAGES |= {"missing": Path.unlink}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_damaged_file_costs_the_newest_save_and_is_named(name, damage, tmp_path):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    DAMAGES[damage](newest / name)
    with pytest.warns(UserWarning, match="loaded step-00000001 instead") as warned:
        assert loaded_step(tmp_path) == 1
    assert len(warned) == 1
    message = str(warned[0].message)
    # A manifest with another hash accuses the file whose hash it is.
    by_hash = (name, damage) == ("manifest.json", "tampered")
    assert str(newest if by_hash else newest / name) in message
    if damage == "missing":
        assert "is missing" in message


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_where_no_save_is_whole_the_error_names_the_files(name, damage, tmp_path):
    saves = [save(tmp_path, 1), save(tmp_path, 2)]
    for one in saves:
        DAMAGES[damage](one / name)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(tmp_path)
    by_hash = (name, damage) == ("manifest.json", "tampered")
    for one in saves:
        assert str(one if by_hash else one / name) in str(raised.value)


def test_a_run_goes_on_from_the_last_whole_save(tmp_path):
    def begin():
        torch.manual_seed(0)
        model = GPTModel(small_config(vocab_size=TOKENIZER.vocab_size, dropout=0.1))
        config = TrainConfig(steps=5, batch_size=2, warmup_steps=1)
        return Trainer(model, TRAINING, VALIDATION, config)

    straight = begin()
    straight.train()
    trainer = begin()
    for _ in islice(trainer.run(), 3):
        newest = trainer.save(tmp_path, TOKENIZER)
    truncate(newest / "model.safetensors")
    with pytest.warns(
        UserWarning, match=r"model\.safetensors was changed or cut short"
    ):
        resumed = Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert resumed.step == 2
    for _ in resumed.run():
        resumed.save(tmp_path, TOKENIZER)
    assert torch.equal(weights_of(resumed.model), weights_of(straight.model))
    assert load_training(tmp_path)[2].step == 5


def test_saves_after_a_damaged_one_are_kept(tmp_path):
    save(tmp_path, 10)
    truncate(save(tmp_path, 20) / "model.safetensors")
    save(tmp_path, 15)
    assert sorted(os.listdir(tmp_path)) == ["step-00000010", "step-00000015"]
    assert loaded_step(tmp_path) == 15


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None, Path.touch])
def test_what_is_no_checkpoint_is_called_so(make, tmp_path):
    make(tmp_path / "run")
    with pytest.raises(CheckpointError, match="run holds no checkpoint: expected"):
        load_checkpoint(tmp_path / "run")


def changed_json(path, **changes):
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("training.json", {"step": -1}, "expected a step, got -1"),
        ("training.json", {"step": None}, "expected a step, got None"),
        ("training.json", {"step": True}, "expected a step, got True"),
        ("config.json", {"d_model": 33}, "num_heads must divide d_model"),
        ("config.json", {"d_model": 2**62}, "config.json: "),
        ("config.json", {"d_model": 10**30, "num_heads": 1}, "config.json: "),
        ("config.json", {"d_model": 64}, "expected .* got"),
        ("config.json", {"vocab_size": 60}, "expected .* got"),
        ("config.json", {"num_layers": 10**9}, "has no 1000000000 layers"),
        ("config.json", {"num_layers": 2}, "expected .*got none"),
        ("config.json", {"feed_forward": "none"}, "expected no such tensor"),
        ("config.json", {"positions": "rotary"}, "positions: expected no such tensor"),
        ("config.json", {"surprise": 1}, "config.json: .*surprise"),
        ("manifest.json", {"extra": ""}, "manifest.json must list"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(name, changes, message, tmp_path):
    saved = save(tmp_path, 1)
    changed_json(saved / name, **changes)
    if name != "manifest.json":
        list_hashes_anew(saved)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_a_wild_length_does_not_take_the_memory_for_its_table(positions, tmp_path):
    saved = save_checkpoint(tmp_path, a_model(positions=positions), TOKENIZER)
    for length in (10**8, 10**15, 10**30):
        changed_json(saved / "config.json", max_seq_len=length)
        list_hashes_anew(saved)
        with pytest.raises(CheckpointError, match=r"config\.json: "):
            load_checkpoint(tmp_path)


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    save_checkpoint(tmp_path, a_model(), tokenizer)
    with pytest.raises(CheckpointError, match="the tokenizer has 3 tokens, the model"):
        load_checkpoint(tmp_path)


def test_json_that_is_no_object_is_refused(tmp_path):
    saved = save(tmp_path, 1)
    for name in ("config.json", "training.json"):
        shutil.copytree(saved, tmp_path / name)
        (tmp_path / name / name).write_text("[1]", encoding="utf-8")
        list_hashes_anew(tmp_path / name)
        with pytest.raises(CheckpointError, match=r"expected a JSON object, got \[1\]"):
            load_checkpoint(tmp_path / name)


# ---------------------------------------------------------------- malice

MUTATIONS = int(os.environ.get("LLM_CORE_MUTATIONS", "25"))  # of each file, each way
WILD = [0, -1, 1, 2, 3, 10**6, 2**31, 2**63, 10**400, 0.5, 1e308, True, None]
WILD += ["", "rotary", "none", "F64", "\ud800", [], [[]], {}, {"a": {}}, [2**62, 8]]


def mutate_bytes(data, choose):
    """Flip, cut, repeat or insert bytes somewhere."""
    data = bytearray(data)
    for _ in range(choose.choice([1, 1, 2, 5])):
        at = choose.randrange(len(data) + 1) if choose.random() < 0.5 else 0
        at = min(len(data), at or choose.randrange(64))  # headers are at the front
        how = choose.randrange(4)
        if how == 0 and at < len(data):
            data[at] ^= 1 << choose.randrange(8)
        elif how == 1:
            del data[at : at + choose.choice([1, 8, len(data)])]
        elif how == 2:
            data[at:at] = data[at : at + choose.choice([1, 8, 100])]
        else:
            data[at:at] = choose.choice([b"\0", b"\xff" * 8, b"{", b'"', b"9" * 30])
    return bytes(data)


def mutate_json(value, choose):
    """Put something wild in the place of a value, or of a name, somewhere inside."""
    if isinstance(value, dict | list) and value and choose.random() < 0.8:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        items = list(items)
        chosen = choose.randrange(len(items))
        key, inner = items[chosen]
        if isinstance(value, list):
            return [*value[:chosen], mutate_json(inner, choose), *value[chosen + 1 :]]
        if choose.random() < 0.2:
            return {str(choose.choice(WILD)): inner} | {
                other: kept for other, kept in items if other != key
            }
        return value | {key: mutate_json(inner, choose)}
    return choose.choice(WILD)


def mutate_content(data, choose):
    """Change what a JSON file, or the header of a safetensors file, says."""
    if data[:1] == b"{":
        return json.dumps(mutate_json(json.loads(data), choose)).encode()
    (length,) = struct.unpack("<Q", data[:8])
    header = mutate_json(json.loads(data[8 : 8 + length]), choose)
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data[8 + length :]


@pytest.fixture
def no_pickle(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was about to be loaded")

    for module, name in [(pickle, "load"), (pickle, "loads"), (torch, "load")]:
        monkeypatch.setattr(module, name, refuse)
    refusing = type("Unpickler", (pickle.Unpickler,), {"__init__": refuse})
    monkeypatch.setattr(pickle, "Unpickler", refusing)
    monkeypatch.setattr(torch, "compile", lambda model: model)  # a run may ask for it


def outcome(load):
    """What loading a hostile folder comes to: a model that works, or the one error."""
    try:
        model = load()
    except CheckpointError:
        return "refused"
    assert model(torch.zeros(1, 1, dtype=torch.int64)).shape[:2] == (1, 1)
    return "loaded"


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_content])
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_hostile_files_end_in_the_one_error_or_a_model(
    name, mutate, tmp_path, no_pickle
):
    torch.manual_seed(0)
    config = small_config(
        vocab_size=TOKENIZER.vocab_size, num_layers=1, positions="rotary"
    )
    trainer = Trainer(
        GPTModel(config), TRAINING, VALIDATION, TrainConfig(steps=3, batch_size=2)
    )
    next(trainer.run())
    saved = trainer.save(tmp_path, TOKENIZER)
    original = (saved / name).read_bytes()
    choose = random.Random(name + mutate.__name__)
    outcomes = []
    for _ in range(MUTATIONS):
        (saved / name).write_bytes(mutate(original, choose))
        if name != "manifest.json":
            list_hashes_anew(saved)
        outcomes += [
            outcome(lambda: load_checkpoint(tmp_path)[0]),
            outcome(lambda: Trainer.resume(tmp_path, TRAINING, VALIDATION).model),
        ]
    assert "refused" in outcomes


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", FILES)
def test_code_in_a_file_is_never_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = save(tmp_path / "run", 1)
    with open(saved / name, "wb") as file:
        pickle.dump(Bomb(), file)
    list_hashes_anew(saved)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / "run")
    torch.save({"bomb": Bomb()}, saved / name)
    list_hashes_anew(saved)
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]


# ---------------------------------------------------------------- what ships, and where


def test_a_pretrained_model_is_found_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(llm_core.checkpoint, "PRETRAINED", tmp_path)
    save(tmp_path / "storyteller", 1)
    model, _ = load_pretrained("storyteller")
    assert torch.equal(weights_of(model), weights_of(a_model(1)))
    for name in ("novelist", "../storyteller", ""):
        with pytest.raises(ValueError, match=r"pretrained models are storyteller; got"):
            load_pretrained(name)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_the_device_is_chosen_by_one_rule(cuda, mps, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device().type == choose_device("auto").type == expected
    assert choose_device("cpu").type == "cpu"
    for name, there in (("cuda", cuda), ("mps", mps)):
        if there:
            assert choose_device(name).type == name
        else:
            with pytest.raises(ValueError, match=f"got device '{name}'"):
                choose_device(name)


def test_a_model_is_loaded_onto_the_device_that_is_named(tmp_path):
    save(tmp_path, 1)
    model, _ = load_checkpoint(tmp_path, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_the_files_are_open_to_other_programs(tmp_path):
    model = a_model()
    saved = save_checkpoint(tmp_path, model, TOKENIZER)
    assert sorted(os.listdir(saved)) == sorted([*FILES, "manifest.json"])
    weights = load_file(saved / "model.safetensors")
    assert weights.keys() == model.state_dict().keys() - {"head.weight"}
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert config == asdict(model.config)
