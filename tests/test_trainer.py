"""Training against plain loops, known entropies and its own interruptions."""

import random
from dataclasses import FrozenInstanceError, replace
from itertools import islice
from math import log, log2, nan

import numpy as np
import pytest
import torch
from samples import lively_model, small_config, toy_streams
from torch.nn.utils import clip_grad_norm_, parameters_to_vector

import llm_core.trainer
from llm_core import (
    END_OF_TEXT,
    CharacterTokenizer,
    CheckpointError,
    Corpus,
    GPTModel,
    TokenStream,
    TrainConfig,
    Trainer,
    encode_corpus,
    next_token_loss,
    parameter_groups,
    sample_batch,
    save_checkpoint,
)
from llm_core.checkpoint import TrainingState, load_training
from llm_core.optim import warmup_cosine, warmup_stable_decay
from llm_core.trainer import TrainingDivergedError, build_optimizers, evaluate

TRAINING, VALIDATION, TOKENIZER = toy_streams()
QUICK = TrainConfig(steps=6, batch_size=4, warmup_steps=2, evaluate_every=3)


def new_model(**changes):
    torch.manual_seed(0)
    return GPTModel(small_config(vocab_size=TOKENIZER.vocab_size, **changes))


def new_trainer(model=None, **changes):
    config = replace(QUICK, **changes)
    return Trainer(model or new_model(), TRAINING, VALIDATION, config)


def weights_of(model):
    return parameters_to_vector(model.parameters()).detach().clone()


def without_time(report):
    return replace(report, tokens_per_second=0.0)


# ---------------------------------------------------------------- what a step is


WEIGHTED = replace(TRAINING, weights=np.arange(len(TRAINING.ids)) % 3)


@pytest.mark.parametrize("stream", [TRAINING, WEIGHTED], ids=["alike", "weighted"])
def test_the_trainer_equals_a_plain_loop(stream):
    model = new_model()
    optimizer = torch.optim.AdamW(
        parameter_groups(model.parameters(), QUICK.weight_decay), betas=QUICK.betas
    )
    losses, norms = [], []
    for step in range(QUICK.steps):
        for group in optimizer.param_groups:
            group["lr"] = QUICK.learning_rate * warmup_cosine(step, 6, 2, 0.1)
        batch = sample_batch(stream, 4, 16, QUICK.seed, step)
        loss = next_token_loss(model(batch[0]), *batch[1:])
        optimizer.zero_grad()
        loss.backward()
        norms.append(clip_grad_norm_(model.parameters(), QUICK.clip_norm).item())
        optimizer.step()
        losses.append(loss.item())
    trainer = Trainer(new_model(), stream, VALIDATION, QUICK)
    reports = list(trainer.run())
    assert [report.loss for report in reports] == pytest.approx(losses, rel=1e-5)
    assert [report.grad_norm for report in reports] == pytest.approx(norms, rel=1e-4)
    torch.testing.assert_close(
        weights_of(trainer.model), weights_of(model), rtol=1e-4, atol=1e-6
    )


def gradients_of(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def test_accumulating_batches_equals_one_batch_of_all_their_rows(monkeypatch):
    def all_at_once(stream, batch_size, length, seed, step):
        parts = [sample_batch(stream, 4, length, seed, 3 * step + i) for i in range(3)]
        return tuple(map(torch.cat, zip(*parts, strict=True)))

    parts = new_trainer(lively_model(small_config()), accumulation_steps=3)
    part_reports = list(islice(parts.run(), 1))
    part_gradients = gradients_of(parts.model)
    part_reports += parts.run()
    monkeypatch.setattr(llm_core.trainer, "sample_batch", all_at_once)
    whole = new_trainer(lively_model(small_config()), batch_size=12)
    reports = list(islice(whole.run(), 1))
    torch.testing.assert_close(
        part_gradients, gradients_of(whole.model), rtol=1e-4, atol=1e-6
    )
    reports += whole.run()
    for part, report in zip(part_reports, reports, strict=True):
        assert part.loss == pytest.approx(report.loss, rel=1e-4)
        assert part.grad_norm == pytest.approx(report.grad_norm, rel=1e-3)


def test_gradients_are_clipped_to_the_norm_and_reported_as_they_were():
    trainer = new_trainer(clip_norm=0.01)
    model = new_model()
    inputs, targets, _ = sample_batch(TRAINING, 4, 16, 0, 0)
    next_token_loss(model(inputs), targets).backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm().item()
    report = next(trainer.run())
    assert report.grad_norm == pytest.approx(norm, rel=1e-4)
    assert norm > 0.1
    clipped = torch.stack([p.grad.norm() for p in trainer.model.parameters()]).norm()
    assert clipped.item() == pytest.approx(0.01, rel=1e-3)


def test_small_gradients_are_not_clipped():
    trainer = new_trainer(clip_norm=1e6)
    report = next(trainer.run())
    norm = torch.stack([p.grad.norm() for p in trainer.model.parameters()]).norm()
    assert norm.item() == pytest.approx(report.grad_norm, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [("cosine", warmup_cosine), ("stable-decay", warmup_stable_decay)],
)
def test_each_step_reports_and_uses_its_share_of_the_peak_rates(name, schedule):
    trainer = new_trainer(
        optimizer="muon", schedule=name, learning_rate=1e-3, matrix_learning_rate=0.02
    )
    for step, report in enumerate(trainer.run()):
        share = schedule(step, 6, 2, 0.1)
        assert report.learning_rate == pytest.approx(share * 1e-3)
        adamw, muon = trainer.optimizers
        assert {group["lr"] for group in adamw.param_groups} == {report.learning_rate}
        assert muon.param_groups[0]["lr"] == pytest.approx(share * 0.02)


def test_reports_count_steps_and_evaluate_where_due():
    reports = list(new_trainer(steps=7).run())
    assert [report.step for report in reports] == [*range(1, 8)]
    evaluated = [report.step for report in reports if report.evaluation]
    assert evaluated == [3, 6, 7]  # every third, and the last
    for report in reports:
        nats_per_character = report.loss / TRAINING.characters_per_token
        assert report.bits_per_character == pytest.approx(nats_per_character / log(2))
        assert report.tokens_per_second > 0


def test_training_hands_each_report_to_its_caller():
    reports = []
    new_trainer().train(reports.append)
    assert list(map(without_time, reports)) == [
        without_time(report) for report in new_trainer().run()
    ]
    trainer = new_trainer()
    trainer.train()
    assert trainer.step == 6


def test_a_run_can_be_paused_between_steps():
    paused, straight = new_trainer(), new_trainer()
    straight.train()
    assert [report.step for report in islice(paused.run(), 2)] == [1, 2]
    assert [report.step for report in paused.run()] == [3, 4, 5, 6]
    assert torch.equal(weights_of(paused.model), weights_of(straight.model))
    assert list(paused.run()) == []


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_has_exactly_one_optimizer(optimizer, tied):
    model = new_model(tie_embeddings=tied)
    optimizers = build_optimizers(model, replace(QUICK, optimizer=optimizer))
    owned = [
        id(parameter)
        for one in optimizers
        for group in one.param_groups
        for parameter in group["params"]
    ]
    assert sorted(owned) == sorted(map(id, model.parameters()))


def test_muon_without_blocks_matrices_to_train_is_adamw_alone():
    model = new_model()
    model.blocks = torch.nn.ModuleList()
    [adamw] = build_optimizers(model, replace(QUICK, optimizer="muon"))
    assert isinstance(adamw, torch.optim.AdamW)


# ---------------------------------------------------------------- does it learn


def test_the_loss_approaches_the_entropy_of_a_known_source():
    """A chain of letters: after each, the next is drawn from two, by known odds."""
    choose = random.Random(0)
    odds = {"a": ("ab", 0.9), "b": ("bc", 0.5), "c": ("ca", 0.25)}

    def document():
        text, bits = "a", 0.0
        for _ in range(14):
            options, first = odds[text[-1]]
            which = choose.random() >= first
            text += options[which]
            bits -= log2(1 - first if which else first)
        return text, bits

    documents, bits = zip(*(document() for _ in range(3000)), strict=True)
    tokenizer = CharacterTokenizer(special_tokens=[END_OF_TEXT])
    tokenizer.train("abc")
    training, validation = Corpus("chain", documents, bits).split(0.2)
    model = new_model()
    trainer = Trainer(
        model,
        encode_corpus(training, tokenizer),
        encode_corpus(validation, tokenizer),
        TrainConfig(steps=150, learning_rate=1e-2, warmup_steps=20),
    )
    *_, last = trainer.run()
    floor = validation.floor.rate
    assert 0.99 * floor < last.evaluation.bits_per_character < 1.03 * floor


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_training_lowers_the_loss(optimizer):
    reports = list(new_trainer(steps=40, optimizer=optimizer, learning_rate=5e-3).run())
    assert reports[-1].loss < 0.6 * reports[0].loss
    assert reports[-1].evaluation.loss < 0.7 * reports[0].loss


# ---------------------------------------------------------------- evaluation


def test_evaluation_equals_reading_each_document_by_itself():
    ids, [*starts] = VALIDATION.ids, VALIDATION.starts
    model = lively_model(small_config())  # reads 16 ids; the documents have more
    nats, rows = 0.0, 0
    for start, end in zip(starts, [*starts[1:], len(ids) - 1], strict=True):
        for begin in range(start, end, 16):
            row = torch.tensor(ids[begin : min(begin + 16, end) + 1].tolist())
            with torch.no_grad():
                log_p = model(row[None, :-1])[0].log_softmax(-1)
            nats -= log_p[torch.arange(len(row) - 1), row[1:]].sum().item()
            rows += 1
    assert rows > len(starts)
    for batch_size in (1, 5, 64):
        evaluation = evaluate(model, VALIDATION, batch_size)
        assert evaluation.loss == pytest.approx(nats / (len(ids) - 1), rel=1e-5)
        bits = nats / log(2) / VALIDATION.num_characters
        assert evaluation.bits_per_character == pytest.approx(bits, rel=1e-5)


def test_evaluation_never_sees_dropout():
    model = lively_model(small_config(dropout=0.5)).train()
    expected = evaluate(lively_model(small_config()), VALIDATION)
    assert evaluate(model, VALIDATION) == expected
    assert model.training


def test_evaluating_does_not_disturb_training():
    often = new_trainer(new_model(dropout=0.2), evaluate_every=1)
    seldom = new_trainer(new_model(dropout=0.2), evaluate_every=100)
    torch.manual_seed(1)
    often.train()
    torch.manual_seed(1)
    seldom.train()
    assert torch.equal(weights_of(often.model), weights_of(seldom.model))


def test_a_model_that_was_being_used_trains_with_dropout_all_the_same():
    trainers = new_trainer(new_model(dropout=0.5)), new_trainer(new_model(dropout=0.5))
    for trainer, training in zip(trainers, (True, False), strict=True):
        trainer.model.train(training)
        torch.manual_seed(1)
        trainer.train()
    assert torch.equal(*(weights_of(trainer.model) for trainer in trainers))


# ---------------------------------------------------------------- resume

WAYS = {
    "adamw": {},
    "muon": {"optimizer": "muon", "schedule": "stable-decay"},
    "accumulation": {"accumulation_steps": 2, "batch_size": 2},
    "muon-bfloat16": {"optimizer": "muon", "precision": "bfloat16"},
}


def scramble_random_state():
    torch.manual_seed(random.randrange(2**30))


def begin(way):
    return new_trainer(new_model(dropout=0.2), **WAYS[way])


@pytest.fixture(scope="module", params=WAYS)
def undisturbed(request):
    """A way to train, the reports of an undisturbed run, and its end."""
    trainer = begin(request.param)
    reports = [without_time(report) for report in trainer.run()]
    return request.param, reports, trainer._state(), weights_of(trainer.model)


@pytest.mark.parametrize("stop", range(7))
def test_a_run_stopped_anywhere_goes_on_bit_for_bit(undisturbed, stop, tmp_path):
    way, expected, end, weights = undisturbed
    stopped = begin(way)
    reports = [without_time(report) for report in islice(stopped.run(), stop)]
    stopped.save(tmp_path, TOKENIZER)
    scramble_random_state()
    resumed = Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert resumed.step == stop
    reports += [without_time(report) for report in resumed.run()]
    assert reports == expected
    assert torch.equal(weights_of(resumed.model), weights)
    state = resumed._state()
    assert state.values == end.values
    assert state.tensors.keys() == end.tensors.keys()
    for name, tensor in state.tensors.items():
        assert torch.equal(tensor, end.tensors[name]), name


def test_a_run_stopped_after_every_step_goes_on_bit_for_bit(tmp_path):
    straight = new_trainer(new_model(dropout=0.2), optimizer="muon")
    straight.train()
    trainer = new_trainer(new_model(dropout=0.2), optimizer="muon")
    for step in range(6):
        assert trainer.step == step
        next(trainer.run())
        trainer.save(tmp_path, TOKENIZER)
        scramble_random_state()
        trainer = Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert torch.equal(weights_of(trainer.model), weights_of(straight.model))


def test_a_run_keeps_its_settings(tmp_path):
    trainer = new_trainer(
        optimizer="muon", betas=(0.8, 0.9), seed=7, final_fraction=0.3
    )
    trainer.save(tmp_path, TOKENIZER)
    assert Trainer.resume(tmp_path, TRAINING, VALIDATION).config == trainer.config


def test_a_run_goes_on_with_its_own_data_or_not_at_all(tmp_path):
    new_trainer().save(tmp_path, TOKENIZER)
    fewer = TokenStream(TRAINING.ids[:-1], TRAINING.starts, TRAINING.num_characters)
    uncut = TokenStream(TRAINING.ids, TRAINING.starts[:-1], TRAINING.num_characters)
    for training, validation in [
        (fewer, VALIDATION),
        (uncut, VALIDATION),
        (WEIGHTED, VALIDATION),
        (TRAINING, TRAINING),
    ]:
        with pytest.raises(CheckpointError, match="was trained on other data"):
            Trainer.resume(tmp_path, training, validation)


def test_a_model_that_was_saved_without_a_run_cannot_be_resumed(tmp_path):
    save_checkpoint(tmp_path, new_model(), TOKENIZER)
    with pytest.raises(CheckpointError, match="holds a model, but no run to resume"):
        Trainer.resume(tmp_path, TRAINING, VALIDATION)


HOSTILE_CONFIGS = [
    None,
    [],
    "adamw",
    {"steps": -1},
    {"steps": "many"},
    {"betas": 1},
    {"learning_rate": "fast"},
    {"surprise": 1},
]


@pytest.mark.parametrize("config", HOSTILE_CONFIGS, ids=repr)
def test_a_run_whose_settings_make_no_sense_is_refused(config, tmp_path):
    state = new_trainer()._state()
    values = {**state.values, "config": config}
    save_checkpoint(
        tmp_path, new_model(), TOKENIZER, TrainingState(0, state.tensors, values)
    )
    with pytest.raises(CheckpointError, match="the run's config"):
        Trainer.resume(tmp_path, TRAINING, VALIDATION)


HOSTILE_TENSORS = {
    "random.cpu": [None, torch.zeros(3), torch.zeros(3, dtype=torch.uint8)],
    "exp_avg/positions": [None, torch.zeros(3), torch.zeros(16, 33)],
    "step/final_norm.bias": [None, torch.zeros(2)],
}


@pytest.mark.parametrize("name", HOSTILE_TENSORS)
def test_a_run_whose_state_does_not_fit_is_refused(name, tmp_path):
    trainer = new_trainer()
    next(trainer.run())
    state = trainer._state()
    for tensor in HOSTILE_TENSORS[name]:
        tensors = {**state.tensors, name: tensor}
        if tensor is None:
            del tensors[name]
        damaged = TrainingState(1, tensors, state.values)
        save_checkpoint(tmp_path, trainer.model, TOKENIZER, damaged)
        with pytest.raises(CheckpointError, match="the run's state"):
            Trainer.resume(tmp_path, TRAINING, VALIDATION)


def test_the_cpus_random_state_is_saved(tmp_path):
    trainer = new_trainer()
    state = torch.get_rng_state()
    trainer.save(tmp_path, TOKENIZER)
    assert torch.equal(load_training(tmp_path)[2].tensors["random.cpu"], state)


def test_a_gpus_random_state_is_saved_and_set(tmp_path, monkeypatch):
    on_gpu = torch.tensor([1, 2, 3], dtype=torch.uint8)
    received = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: on_gpu)
    monkeypatch.setattr(torch.cuda, "set_rng_state", received.append)
    new_trainer().save(tmp_path, TOKENIZER)
    Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert [state.tolist() for state in received] == [[1, 2, 3]]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Trainer.resume(tmp_path, TRAINING, VALIDATION)
    assert len(received) == 1


# ---------------------------------------------------------------- divergence


@pytest.mark.parametrize("culprit", ["loss", "gradient"])
def test_a_diverged_step_raises_and_leaves_nothing_behind(culprit, monkeypatch):
    def fail(logits, targets, weights):
        loss = next_token_loss(logits, targets, weights)
        if culprit == "loss":
            return loss * nan
        logits.register_hook(lambda gradient: gradient * nan)
        return loss

    straight, trainer = new_trainer(), new_trainer()
    straight.train()
    list(islice(trainer.run(), 3))
    before = weights_of(trainer.model)
    with monkeypatch.context() as patch:
        patch.setattr(llm_core.trainer, "next_token_loss", fail)
        with pytest.raises(TrainingDivergedError, match=r"step 4: .*nan"):
            next(trainer.run())
    assert torch.equal(weights_of(trainer.model), before)
    assert trainer.step == 3
    trainer.train()
    assert torch.equal(weights_of(trainer.model), weights_of(straight.model))


# ---------------------------------------------------------------- options


def test_bfloat16_multiplies_in_bfloat16_and_keeps_weights_and_loss_in_float32():
    model, seen = new_model(), []
    model.blocks[0].feed_forward.up.register_forward_hook(
        lambda module, inputs, output: seen.append(output.dtype)
    )
    trainer = new_trainer(model, precision="bfloat16", evaluate_every=100, steps=200)
    reports = list(islice(trainer.run(), 3))
    assert seen == [torch.bfloat16] * 3
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    expected = list(islice(new_trainer(steps=200).run(), 3))
    for report, exact in zip(reports, expected, strict=True):
        assert report.loss == pytest.approx(exact.loss, rel=0.01)


def test_the_compiled_model_trains_where_that_is_asked_for(monkeypatch):
    calls = []

    def compile(model):
        def compiled(ids):
            calls.append(ids.shape)
            return model(ids)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    compiled, plain = new_trainer(compile=True), new_trainer()
    assert list(map(without_time, compiled.run())) == [
        without_time(report) for report in plain.run()
    ]
    assert calls == [(4, 16)] * 6


def test_ids_that_the_model_does_not_have_are_refused():
    largest = int(TRAINING.ids.max())
    model = GPTModel(small_config(vocab_size=largest))
    with pytest.raises(
        ValueError, match=f"ids up to {largest - 1}, the data {largest}: .* vocab_size"
    ):
        new_trainer(model)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        QUICK.steps = 7


def test_betas_from_a_json_file_are_the_same_betas():
    assert TrainConfig(betas=[0.9, 0.95]) == TrainConfig(betas=(0.9, 0.95))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"batch_size": 2.0}, "batch_size must be a positive integer, got 2.0"),
        ({"accumulation_steps": True}, "accumulation_steps must be .* got True"),
        ({"evaluate_every": -1}, "evaluate_every must be a positive integer, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number, got 0.0"),
        ({"matrix_learning_rate": nan}, "matrix_learning_rate must be .* got nan"),
        ({"clip_norm": float("inf")}, "clip_norm must be a positive number, got inf"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more, got -0.1"),
        ({"warmup_steps": -1}, "warmup_steps must be an integer from 0 on, got -1"),
        ({"seed": 1.5}, "seed must be an integer from 0 on, got 1.5"),
        ({"final_fraction": 1.1}, r"final_fraction must be in \[0, 1\], got 1.1"),
        ({"betas": (0.9, 1.0)}, r"betas must be two numbers .* got \(0.9, 1.0\)"),
        ({"betas": (0.9,)}, r"betas must be two numbers in \[0, 1\), got \(0.9,\)"),
        ({"compile": 1}, "compile must be True or False, got 1"),
        ({"optimizer": "sgd"}, "optimizer must be one of .* got 'sgd'"),
        ({"schedule": "flat"}, "schedule must be one of .* got 'flat'"),
        ({"precision": "float16"}, "precision must be one of .* got 'float16'"),
    ],
)
def test_a_run_that_cannot_be_is_refused_where_it_is_made(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **changes)
