"""Two processes are one with twice the batch: losses, saving, resuming."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from samples import small_config

from llm_core import (
    END_OF_TEXT,
    CharacterTokenizer,
    CheckpointError,
    GPTModel,
    TrainConfig,
    Trainer,
    encode_corpus,
    load_checkpoint,
    load_corpus,
)

HERE = Path(__file__).parent
CORPUS = load_corpus("stories", num_stories=30)
TOKENIZER = CharacterTokenizer([END_OF_TEXT])
TOKENIZER.train(CORPUS.documents)
SETTINGS = {"steps": 6, "batch_size": 2, "evaluate_every": 3, "warmup_steps": 2}


def streams():
    return [encode_corpus(part, TOKENIZER) for part in CORPUS.split(0.2)]


def fresh(dropout=0.0):
    torch.manual_seed(0)
    return GPTModel(small_config(vocab_size=TOKENIZER.vocab_size, dropout=dropout))


def losses(trainer):
    return [
        [
            report.loss,
            report.grad_norm,
            report.evaluation.loss if report.evaluation else 0.0,
        ]
        for report in trainer.run()
    ]


def torchrun(*arguments, processes=2, **more):
    """Run a program in several processes on this machine; what it printed."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", *map(str, arguments)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(HERE)
    return subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        env=environment,
        check=False,
        **more,
    )


def in_two(tmp_path, body):
    """Run the body of a function in two processes; what the first one returns."""
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    program = tmp_path / "program.py"
    program.write_text(
        "import faulthandler, json, sys\n"
        "faulthandler.dump_traceback_later(800, exit=True)\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from test_distributed import *\n"
        "from llm_core.distributed import *\n"
        f"here = Path({str(tmp_path)!r})\n"
        "def work(rank):\n"
        f"{lines}"
        "with joined() as rank:\n"
        "    result = work(rank)\n"
        "(here / f'result-{rank}.json').write_text(json.dumps(result))\n",
        encoding="utf-8",
    )
    done = torchrun(program)
    assert done.returncode == 0, done.stderr
    return [
        json.loads((tmp_path / f"result-{rank}.json").read_text(encoding="utf-8"))
        for rank in range(2)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_two_processes_have_the_losses_of_one(optimizer, accumulation_steps, tmp_path):
    more = {"optimizer": optimizer, "accumulation_steps": accumulation_steps}
    first, second = in_two(
        tmp_path,
        f"config = TrainConfig(**SETTINGS, **{more})\n"
        "return losses(DistributedTrainer(fresh(), *streams(), config))",
    )
    settings = {**SETTINGS, "batch_size": 4, **more}
    one = losses(Trainer(fresh(), *streams(), TrainConfig(**settings)))
    assert first == second
    for ours, theirs in zip(first, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    # Each alone would have had other losses: the test can fail.
    settings["batch_size"] = 2
    alone = losses(Trainer(fresh(), *streams(), TrainConfig(**settings)))
    assert first[0] != pytest.approx(alone[0], rel=1e-4)


RESUME = """
config = TrainConfig(**SETTINGS)
unbroken = DistributedTrainer(fresh(0.2), *streams(), config)
unbroken.train()
broken = DistributedTrainer(fresh(0.2), *streams(), config)
for report in broken.run():
    if report.step == 3:
        break
folder = broken.save(here / "run", TOKENIZER)
torch.manual_seed(100 + rank)
resumed = DistributedTrainer.resume(here / "run", *streams())
resumed.train()
pairs = zip(unbroken.model.parameters(), resumed.model.parameters(), strict=True)
return [folder.name, all(torch.equal(a, b) for a, b in pairs)]
"""


@pytest.mark.slow
def test_one_writes_and_all_resume_exactly(tmp_path):
    first, second = in_two(tmp_path, RESUME)
    assert first == second == ["step-00000003", True]
    names = [path.name for path in (tmp_path / "run").iterdir()]
    assert names == ["step-00000003"]
    with pytest.raises(CheckpointError, match=r"4 rows.*resume with as many processes"):
        Trainer.resume(tmp_path / "run", *streams())


@pytest.mark.slow
def test_what_goes_wrong_in_the_first_is_raised_in_all(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    both = in_two(
        tmp_path,
        "trainer = DistributedTrainer(fresh(), *streams(), TrainConfig(**SETTINGS))\n"
        "try:\n"
        "    trainer.save(here / 'file', TOKENIZER)\n"
        "except Exception as error:\n"
        "    return type(error).__name__\n",
    )
    assert both[0] == both[1]
    assert both[0] is not None


SHARDED = """
from torch.distributed.device_mesh import init_device_mesh
from llm_core import next_token_loss
from llm_core.data import sample_batch
model = fresh()
shard(model, init_device_mesh("cpu", (2,)))
parts = [p.to_local().numel() for p in model.parameters()]
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
stream, found = streams()[0], []
for step in range(4):
    inputs, targets, _ = sample_batch(stream, 4, 16, 0, step)
    rows = slice(2 * rank, 2 * rank + 2)
    loss = next_token_loss(model(inputs[rows]), targets[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    mean = loss.detach().clone()
    torch.distributed.all_reduce(mean)
    found.append(mean.item() / 2)
return [sum(parts), found]
"""


@pytest.mark.slow
def test_a_sharded_model_has_the_losses_of_a_whole_one(tmp_path):
    from llm_core import next_token_loss
    from llm_core.data import sample_batch

    (first_size, first), (second_size, second) = in_two(tmp_path, SHARDED)
    model, stream = fresh(), streams()[0]
    size = sum(parameter.numel() for parameter in model.parameters())
    assert first_size + second_size == size  # each keeps its half
    assert abs(first_size - second_size) < 0.1 * size
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(4):
        inputs, targets, _ = sample_batch(stream, 4, 16, 0, step)
        loss = next_token_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert first[step] == second[step] == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.slow
def test_the_command_line_trains_in_two_processes(tmp_path):
    options = "--data stories --num-stories 30 --vocab-size 300 --preset tiny"
    options += " --d-model 16 --num-layers 1 --num-heads 2 --max-seq-len 32"
    options += " --batch-size 2 --device cpu --evaluate-every 4 --steps"
    run = tmp_path / "run"
    command = ["-m", "llm_core", "train", *options.split(), "8", "--out", run]
    done = torchrun(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("held out") == 2  # one process speaks
    model, _ = load_checkpoint(run)
    assert len((run / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    done = torchrun("-m", "llm_core", "resume", run, "--steps", "10")
    assert done.returncode == 0, done.stderr
    moved, _ = load_checkpoint(run)
    assert not torch.equal(moved.positions, model.positions)
    done = torchrun(*command)  # the folder is taken
    assert done.returncode != 0
    assert "holds a run already" in done.stderr
