"""The command line: whole commands on a small text, and all that may go wrong."""

import io
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import lively_model, small_config

from llm_core import END_OF_TEXT, BPETokenizer, Tokenizer
from llm_core.checkpoint import load_checkpoint
from llm_core.cli import main, options
from llm_core.cli.console import UserError, describe, shorten, table
from llm_core.cli.recipe import LOG, Recipe, RunInfo
from llm_core.interop import save_gpt2

TEXT = "".join(
    f"{who} {did} the {what}, and then {who} slept.\n"
    for who in ("The cat", "A dog", "Anna", "Bo", "The king")
    for did in ("saw", "lost", "found", "ate")
    for what in ("moon", "hat", "pie", "drum")
)
TINY = [
    *("--preset", "tiny", "--d-model", "16", "--num-layers", "1", "--num-heads", "2"),
    *("--max-seq-len", "32", "--vocab-size", "300", "--batch-size", "2"),
    *("--device", "cpu", "--evaluate-every", "4"),
]


def train(data, out, *more, steps=8):
    return main(
        ["train", "--data", str(data), "--out", str(out), *TINY, "--steps", str(steps)]
        + [str(argument) for argument in more]
    )


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tales.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tales"
    assert train(text_file, folder) == 0
    return folder


@pytest.fixture(scope="module")
def character_run(text_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "characters"
    assert train(text_file, folder, "--tokenizer", "character") == 0
    return folder


@pytest.fixture
def typed(monkeypatch):
    def type_in(data):
        stream = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)

    return type_in


def complaint(capsys, arguments):
    """Run a command that must fail by the user's mistake; what it says."""
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert 1 <= len(written.err.splitlines()) <= 2
    assert "Traceback" not in written.err
    return written.err


def weights(folder):
    newest = max(folder.glob("step-*"))
    return (newest / "model.safetensors").read_bytes()


def start(*arguments, **more):
    """Start the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "llm_core", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONWARNINGS": "ignore", **more.pop("env", {})},
        **more,
    )


# ---------------------------------------------------------------- help and names


COMMANDS = (
    *("train", "prepare", "resume", "generate", "explore", "info", "evaluate"),
    *("export", "speedrun"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert "usage: llm-core " + command in capsys.readouterr().out


def test_without_a_command_there_is_help(capsys):
    assert main([]) == 0
    assert "train" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "train"])
def test_help_loads_no_room_of_the_core(command):
    program = (
        "import sys; from llm_core.cli import main; main(sys.argv[1:]); "
        "print(*(m for m in sys.modules if m.startswith('llm_core.')))"
        "; assert not {'torch', 'numpy', 'matplotlib', 'regex'} & set(sys.modules)"
    )
    arguments = [sys.executable, "-c", program, *command.split(), "--help"]
    done = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert all(name.startswith("llm_core.cli") for name in loaded)


def test_help_states_every_default(capsys):
    main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for name, value in vars(Recipe()).items():
        if value is not None and value is not False:
            assert f"--{name.replace('_', '-')} " in shown
            assert f"(default: {value})" in shown


def test_the_names_in_help_are_those_that_exist():
    from llm_core.corpus import CORPORA
    from llm_core.model import PRESETS

    assert set(options.CORPORA) == set(CORPORA)
    assert {n: c.max_seq_len for n, c in PRESETS.items()} == options.PRESETS


# ---------------------------------------------------------------- train and resume


def test_training_tells_what_it_does_and_what_to_do_next(text_file, tmp_path, capsys):
    assert train(text_file, tmp_path / "run") == 0
    shown = capsys.readouterr().out
    for part in ("tales: ", "characters per token", "parameters", "context-limited"):
        assert part in shown
    assert "step 8/8" in shown
    assert "tokens/s" in shown
    assert "held out:" in shown
    assert f"llm-core generate {tmp_path / 'run'}" in shown


def test_training_on_stories_shows_the_floor_and_the_recall(tmp_path, capsys):
    arguments = ["--num-stories", 20, "--max-seq-len", 512]
    assert train("stories", tmp_path / "run", *arguments, steps=2) == 0
    shown = capsys.readouterr().out
    assert "floor 0." in shown
    assert "distance to the floor: +" in shown
    assert "recall of facts" in shown


def test_a_loss_below_the_floor_is_called_a_leak(run, text_file):
    from llm_core.cli import train as module
    from llm_core.corpus import Floor
    from llm_core.trainer import Evaluation

    class Stream:
        floor = Floor(1.0, 0.01)

    class Trainer:
        validation_stream = Stream()

    class Fake:
        trainer, note = Trainer(), ""

    def judged(bits):
        return module.Run.judge(Fake(), Evaluation(loss=1.0, bits_per_character=bits))

    assert "leaks" in judged(0.96)
    assert "leaks" not in judged(0.98)


def test_a_run_that_is_there_is_refused(run, text_file, capsys):
    before = weights(run)
    said = complaint(
        capsys, ["train", "--data", str(text_file), "--out", str(run), *TINY]
    )
    assert "resume" in said
    assert "--out" in said
    assert weights(run) == before


def test_a_folder_of_something_else_is_refused(tmp_path, text_file, capsys):
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    said = complaint(
        capsys, ["train", "--data", str(text_file), "--out", str(tmp_path), *TINY]
    )
    assert "not empty" in said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_folder_is_named_after_text_and_preset(tmp_path, text_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--data", str(text_file), *TINY, "--steps", "1"]
    assert main(arguments) == 0
    assert (tmp_path / "runs" / "tales-tiny" / "run.json").is_file()


def stop_at(monkeypatch, step, number=signal.SIGINT, times=1):
    """Have a signal come in while a step is made."""
    from llm_core.trainer import Trainer

    def advance(trainer, original=Trainer._advance):
        report = original(trainer)
        if report.step == step:
            for _ in range(times):
                signal.raise_signal(number)
        return report

    monkeypatch.setattr(Trainer, "_advance", advance)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_and_resumed_run_equals_one_never_stopped(
    run, text_file, tmp_path, monkeypatch, capsys, number
):
    with monkeypatch.context() as patch:
        stop_at(patch, 3, number)
        assert train(text_file, tmp_path / "run") == 130
    said = capsys.readouterr().err
    assert "saved, step 3" in said
    assert f"llm-core resume {tmp_path / 'run'}" in said
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert weights(tmp_path / "run") == weights(run)


def test_a_second_ctrl_c_stops_at_once_and_nothing_saved_is_lost(
    run, text_file, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        stop_at(patch, 5, times=2)
        assert train(text_file, tmp_path / "run", "--save-every", 2) == 130
    assert "what is saved is step 4" in capsys.readouterr().err
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert weights(tmp_path / "run") == weights(run)


def test_a_run_stopped_before_its_first_save_begins_again(
    run, text_file, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stop_at(patch, 1, times=2)
        assert train(text_file, tmp_path / "run") == 130
    assert not list((tmp_path / "run").glob("step-*"))
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert weights(tmp_path / "run") == weights(run)


def test_ctrl_c_before_training_leaves_nothing_behind(text_file, tmp_path, monkeypatch):
    from llm_core.cli import train as module

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "make_tokenizer", interrupted)
        assert train(text_file, tmp_path / "run") == 130
    assert train(text_file, tmp_path / "run", steps=1) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process there")
def test_ctrl_c_in_a_process_of_its_own(text_file, tmp_path):
    arguments = ["--data", text_file, "--out", tmp_path / "run", *TINY]
    with start("train", *arguments, "--steps", 100_000) as process:
        try:
            next(line for line in process.stdout if "held out" in line)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "llm-core resume" in said
    assert list((tmp_path / "run").glob("step-*"))


def test_a_run_can_be_made_longer(text_file, tmp_path, capsys):
    assert train(text_file, tmp_path / "run", steps=2) == 0
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert "all of its 2 steps" in capsys.readouterr().out
    assert main(["resume", str(tmp_path / "run"), "--steps", "3"]) == 0
    assert list((tmp_path / "run").glob("step-00000003"))
    said = complaint(capsys, ["resume", str(tmp_path / "run"), "--steps", "1"])
    assert "already at step 3" in said


def test_a_run_whose_text_has_changed_is_not_resumed(text_file, tmp_path, capsys):
    data = tmp_path / "data.txt"
    data.write_text(TEXT, encoding="utf-8")
    assert train(data, tmp_path / "run", steps=2) == 0
    data.write_text(TEXT.replace("moon", "star"), encoding="utf-8")
    said = complaint(capsys, ["resume", str(tmp_path / "run"), "--steps", "3"])
    assert "other data" in said
    data.unlink()
    assert "found no" in complaint(capsys, ["resume", str(tmp_path / "run")])


def test_a_run_is_resumed_from_another_folder(text_file, tmp_path, monkeypatch):
    monkeypatch.chdir(text_file.parent)
    assert train(text_file.name, tmp_path / "run", steps=1) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "run", "--steps", "2"]) == 0


def test_training_that_diverges_says_so_and_keeps_what_is_saved(
    text_file, tmp_path, capsys, monkeypatch
):
    from llm_core.trainer import Trainer, TrainingDivergedError

    def advance(trainer, original=Trainer._advance):
        if trainer.step == 2:
            raise TrainingDivergedError("step 3: the loss is nan")
        return original(trainer)

    monkeypatch.setattr(Trainer, "_advance", advance)
    assert train(text_file, tmp_path / "run", "--save-every", 1) == 2
    said = capsys.readouterr().err
    assert "what is saved is step 2" in said
    assert "--learning-rate" in said
    assert list((tmp_path / "run").glob("step-00000002"))


def test_a_full_disk_ends_training_in_two_lines(
    text_file, tmp_path, capsys, monkeypatch
):
    from llm_core import checkpoint

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_snapshot", full)
    assert train(text_file, tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "llm-core resume" in said


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"recipe": 3}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_run_file_is_a_clear_error(run, tmp_path, capsys, content):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "run.json").write_bytes(content)
    assert "run.json" in complaint(capsys, ["resume", str(folder)])


@pytest.mark.parametrize(
    ("key", "value"), [("steps", "many"), ("data", 3), ("preset", None), ("new", 1)]
)
def test_a_run_file_with_a_wrong_value_is_a_clear_error(
    run, tmp_path, capsys, key, value
):
    folder = shutil.copytree(run, tmp_path / "run")
    values = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    values["recipe"][key] = value
    (folder / "run.json").write_text(json.dumps(values), encoding="utf-8")
    assert key in complaint(capsys, ["resume", str(folder)])


def test_the_run_file_tells_how_the_run_was_made(run, text_file):
    info = RunInfo.read(run)
    assert info.recipe.data == str(text_file)
    assert info.recipe.steps == 8
    assert set(info.versions) == {"llm_core", "python", "torch", "numpy"}


# ---------------------------------------------------------------- generate


def test_a_prompt_is_continued(run, capsys):
    arguments = ["generate", str(run), "--prompt", "The cat", "--max-new-tokens", "9"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("The cat")


def test_a_seed_gives_the_same_text_again(run, capsys):
    def text(seed):
        arguments = ["--prompt", "", "--max-new-tokens", "30", "--seed", str(seed)]
        assert main(["generate", str(run), *arguments]) == 0
        return capsys.readouterr().out

    assert text(1) == text(1) != text(2)


def test_generating_ends_before_a_stop_text(run, capsys):
    arguments = ["generate", str(run), "--prompt", "The", "--temperature", "0"]
    assert main([*arguments, "--max-new-tokens", "30"]) == 0
    full = capsys.readouterr().out
    stop = full[8:10]
    assert main([*arguments, "--stop", stop]) == 0
    assert capsys.readouterr().out.rstrip("\n") == full[: full.index(stop, 3)]


def test_without_a_prompt_there_are_three_demonstrations(run, typed, capsys):
    typed(b"")
    assert main(["generate", str(run), "--max-new-tokens", "5"]) == 0
    shown = capsys.readouterr().out
    for name in ("greedy", "balanced", "wild"):
        assert f"--- {name}" in shown


def test_settings_can_be_changed_while_it_runs(run, typed, capsys):
    typed(
        b"/temperature 0\n/top-k 3\n/stop cat\nThe\n/top-k off\n/stop off\n/help\n"
        b"/quit\nnever read\n"
    )
    assert main(["generate", str(run), "--max-new-tokens", "5"]) == 0
    shown = capsys.readouterr().out
    assert "temperature 0.0, top-k 3" in shown
    assert "stop 'cat'" in shown
    assert "off: top-k" in shown.split("stop 'cat'")[-1]
    assert "changes a setting" in shown
    assert "never read" not in shown


def test_a_mistake_while_it_runs_is_told_and_forgotten(character_run, typed, capsys):
    typed(b"/temperature hot\n/top-k 0\n/nothing\n/\n\xff\n\xf0\x9f\x98\x80\nThe cat\n")
    assert main(["generate", str(character_run), "--max-new-tokens", "5"]) == 0
    written = capsys.readouterr()
    assert len(written.err.splitlines()) >= 6
    assert "hot" in written.err
    assert "UTF-8" in written.err
    assert "\nThe cat" in written.out.partition("your turn")[2]


def test_ctrl_c_stops_a_text_and_not_the_program(run, typed, capsys, monkeypatch):
    from llm_core.cli import generate as module

    def interrupted(loaded, prompt, settings):
        if prompt == "stop me":
            raise KeyboardInterrupt
        print("written")

    monkeypatch.setattr(module, "write", interrupted)
    typed(b"stop me\ngo on\n")
    assert main(["generate", str(run)]) == 0
    assert capsys.readouterr().out.endswith("(stopped)\nwritten\n")


def test_a_character_that_the_tokenizer_does_not_know_is_named(character_run, capsys):
    said = complaint(capsys, ["generate", str(character_run), "--prompt", "The 😀"])
    assert "😀" in said or "1f600" in said.lower()


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_closed_pipe_ends_quietly(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        assert main(["info", "tiny"]) == 141
    assert capsys.readouterr().err == ""


def test_a_terminal_that_knows_few_characters_is_no_reason_to_fail(run, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    arguments = ["generate", str(run), "--prompt", "The 😀", "--max-new-tokens", "3"]
    assert main(arguments) == 0
    assert terminal.buffer.getvalue().startswith(b"The \\U0001f600")


# ---------------------------------------------------------------- explore and info


def test_explore_shows_parts_tokens_shapes_and_neighbours(run, capsys):
    assert main(["explore", str(run), "--text", "The cat"]) == 0
    shown = capsys.readouterr().out
    for part in ("ARCHITECTURE", "TOKENIZATION", "FORWARD PASS", "EMBEDDINGS"):
        assert part in shown
    assert "blocks.0.attention.query" in shown
    assert "(1, 2, " in shown  # batch, heads
    assert "%" in shown


def test_explore_counts_every_parameter(run, capsys):
    from llm_core import load_checkpoint

    model, _ = load_checkpoint(run)
    main(["explore", str(run)])
    table_shown = capsys.readouterr().out.split("TOKENIZATION")[0]
    counts = [
        int(line.split()[-1].replace(",", ""))
        for line in table_shown.splitlines()[3:]
        if line.strip()
    ]
    assert sum(counts[:-1]) == counts[-1] == sum(p.numel() for p in model.parameters())


def test_explore_reads_a_text_longer_than_the_context(run, capsys):
    assert main(["explore", str(run), "--text", TEXT[:500]]) == 0
    assert "as many as the model reads at once" in capsys.readouterr().out


def test_explore_shows_a_preset_before_training(capsys):
    assert main(["explore", "tiny"]) == 0
    assert "random" in capsys.readouterr().out


def test_info_counts_parameters_and_bytes(capsys):
    assert main(["info", "gpt2-small"]) == 0
    shown = capsys.readouterr().out
    assert "124,439,808" in shown
    assert "498 MB" in shown


def test_info_knows_how_far_a_run_has_come(run, capsys):
    assert main(["info", str(run)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "steps made 8" in shown
    assert "bits per character" in shown


def test_info_survives_a_log_that_was_cut_short(run, tmp_path, capsys):
    folder = shutil.copytree(run, tmp_path / "run")
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write('{"step": 9')
    assert main(["info", str(folder)]) == 0
    assert "measured at step 8" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_save_is_passed_over_with_a_plain_warning(run, tmp_path, capsys):
    folder = shutil.copytree(run, tmp_path / "run")
    newest = max(folder.glob("step-*"))
    shutil.copytree(newest, folder / "step-00000009")
    (folder / "step-00000009" / "config.json").write_bytes(b"{}")
    assert main(["info", str(folder)]) == 0
    said = capsys.readouterr().err
    assert said.startswith("llm-core: ")
    assert "step-00000009" in said
    assert len(said.splitlines()) == 1


# ---------------------------------------------------------------- evaluate, speedrun


def measured(said):
    """The two losses that `evaluate` prints: nats a token, bits a character."""
    return [float(n) for n in re.findall(r"([\d.]+) (?:nats|bits) per", said)]


def test_evaluate_measures_every_token_after_the_first(character_run, tmp_path, capsys):
    text = "Anna saw the moon, and then Bo ate the hat.\n" * 3
    path = tmp_path / "new.txt"
    path.write_text(text, encoding="utf-8")
    assert main(["evaluate", str(character_run), "--data", str(path)]) == 0
    model, tokenizer = load_checkpoint(character_run)
    ids = torch.tensor(tokenizer.encode(END_OF_TEXT + text + END_OF_TEXT))
    nats = 0.0
    for start in range(0, len(ids) - 1, 32):  # its context
        window = ids[start : start + 33]
        logits = model.eval()(window[None, :-1])[0]
        nats += F.cross_entropy(logits, window[1:], reduction="sum").item()
    expected = [nats / (len(ids) - 1), nats / math.log(2) / len(text)]
    assert measured(capsys.readouterr().out) == pytest.approx(expected, abs=1e-4)


def test_evaluate_shows_the_floor_of_stories(capsys):
    assert main(["evaluate", "stories", "--num-stories", "8"]) == 0
    said = capsys.readouterr().out
    nats, bits, floor = measured(said)
    assert 0 < floor < bits < nats


def test_a_speedrun_keeps_what_evaluate_measures_again(text_file, tmp_path, capsys):
    folder = tmp_path / "run"
    options = ["--out", str(folder), "--steps", "3"]
    assert main(["speedrun", "--data", str(text_file), *options]) == 0
    said = capsys.readouterr().out
    held_out = (folder / "held-out.txt").read_text(encoding="utf-8")
    assert TEXT.endswith(held_out)
    assert len(held_out) == len(TEXT) - len(TEXT) * 9 // 10
    command = said.split("llm-core ")[1].split()
    assert main(command) == 0
    again = measured(capsys.readouterr().out)
    assert measured(said)[0] == pytest.approx(again[0], abs=2e-4)


def test_a_speedrun_does_not_write_over_a_run(run, text_file, capsys):
    said = complaint(capsys, ["speedrun", "--data", str(text_file), "--out", str(run)])
    assert "holds a run already" in said


# ---------------------------------------------------------------- export


def test_a_run_becomes_one_page_that_asks_for_nothing(
    run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run)]) == 0
    assert capsys.readouterr().out.startswith("tales.html: ")
    page = (tmp_path / "tales.html").read_text(encoding="utf-8")
    assert "<h1>My own LLM: tales</h1>" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_page_begins_as_one_wishes(run, character_run, tmp_path, capsys):
    page = tmp_path / "a page.html"
    arguments = ["-o", str(page), "--prompt", "<b>The & king"]
    assert main(["export", str(run), *arguments]) == 0
    assert f'"{page}": ' in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;The␣&amp;␣king" in text
    assert r'"prompt":"\u003cb>The & king"' in text
    said = complaint(capsys, ["export", str(character_run), *arguments])
    assert "'<'" in said


def test_export_says_what_is_missing(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "llm_core.course.export", None)
    assert "my-own-llm[course]" in complaint(capsys, ["export", str(run)])


# ---------------------------------------------------------------- mistakes


MISTAKES = {
    "no such command": ["trian"],
    "a misspelt option": ["train", "--step", "3"],
    "an option without its value": ["train", "--steps"],
    "a word for a number": ["train", "--steps", "many"],
    "a negative number": ["train", "--steps", "-1"],
    "more than any machine": ["train", "--d-model", "1" + "0" * 30],
    "5000 digits": ["train", "--steps", "9" * 5000],
    "not a number": ["train", "--learning-rate", "nan"],
    "endless": ["train", "--learning-rate", "inf"],
    "no such preset": ["train", "--preset", "gigantic"],
    "heads that do not fit": ["train", "--d-model", "10", "--num-heads", "3"],
    "no such device": ["train", "--device", "abacus"],
    "no such tokenizer": ["train", "--tokenizer", "words"],
    "more memory than there is": ["train", "--preset", "large", "--batch-size", "9999"],
    "no such corpus": ["train", "--data", "storeis"],
    "no such file": ["train", "--data", "/no/such/file.txt"],
    "an empty name": ["train", "--data", ""],
    "a strange address": ["train", "--data", "gopher://example.org/x"],
    "no such encoding": ["train", "--data", __file__, "--encoding", "klingon", *TINY],
    "an encoding of nothing": ["train", "--data", __file__, "--encoding", "\0", *TINY],
    "the wrong encoding": ["train", "--data", sys.executable, *TINY],
    "too small a vocabulary": ["train", "--data", __file__, *TINY, "--vocab-size", "9"],
    "a folder that cannot be": ["train", "--out", os.devnull + "/x", *TINY],
    "no run to resume": ["resume", "/no/such/run"],
    "a folder, but no run": ["resume", str(Path(__file__).parent)],
    "no model": ["generate"],
    "no such model": ["generate", "nothing"],
    "a file for a folder": ["generate", __file__],
    "a folder without a model": ["info", str(Path(__file__).parent)],
    "a very long name": ["info", "x" * 100_000],
    "an empty model": ["info", ""],
    "a NUL": ["info", "a\0b"],
    "escape sequences": ["info", "\x1b[2J\n\n\n\rboo"],
    "a lone surrogate": ["info", "\udcff"],
    "nothing to export": ["export", "nothing"],
    "a folder to export into": ["export", "stories", "-o", str(Path(__file__).parent)],
    "no folder to export into": ["export", "stories", "-o", "/no/such/folder/a.html"],
    "a file without a name": ["export", "stories", "-o", ""],
    "a preset to export": ["export", "tiny"],
    "no model to evaluate": ["evaluate", "nothing"],
    "nothing to evaluate on": ["evaluate", "stories", "--data", "/no/such/file.txt"],
    "no text for a speedrun": ["speedrun"],
    "too little text for a speedrun": ["speedrun", "--data", os.devnull],
    "no text to explore": ["explore", "tiny", "--text", ""],
    "text that is not UTF-8": ["explore", "tiny", "--text", "a\udcffb"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_two_lines(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = complaint(capsys, arguments)
    assert len(said) < 1200
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in said)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--temperature", "-1"],
        ["--temperature", "nan"],
        ["--top-k", "0"],
        ["--top-k", "1.5"],
        ["--top-p", "2"],
        ["--min-p", "-0.1"],
        ["--repetition-penalty", "0"],
        ["--seed", "-1"],
        ["--max-new-tokens", "0"],
        ["--stop", ""],
        ["--prompt", "\udcff"],
    ],
    ids=" ".join,
)
def test_a_setting_out_of_range_is_told(run, capsys, arguments):
    said = complaint(capsys, ["generate", str(run), "--prompt", "a", *arguments])
    assert arguments[0] in said


def test_a_misspelt_option_is_guessed(capsys):
    said = complaint(capsys, ["train", "--step", "3"])
    assert "did you mean --steps?" in said


def test_a_run_is_found_without_its_folder(run, monkeypatch, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "runs" / "tales")
    monkeypatch.chdir(tmp_path)
    assert "runs/tales" in complaint(capsys, ["info", "tales"])
    assert "train --preset tiny" in complaint(capsys, ["generate", "tiny"])


def test_a_bug_is_one_line_unless_one_asks_for_more(monkeypatch, capsys):
    from llm_core.cli import info as module

    def broken(arguments):
        raise KeyError("a bug")

    monkeypatch.delenv("LLM_CORE_DEBUG", raising=False)
    monkeypatch.setattr(module, "info", broken)
    assert main(["info", "tiny"]) == 1
    assert "LLM_CORE_DEBUG=1" in capsys.readouterr().err
    monkeypatch.setenv("LLM_CORE_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["info", "tiny"])


def test_memory_that_runs_out_is_no_bug():
    for error in (
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"),
    ):
        message, is_mistake = describe(error)
        assert is_mistake
        assert "--batch-size" in message
    assert describe(UserError("x")) == ("x", True)
    assert not describe(RuntimeError("x"))[1]


def test_a_long_line_keeps_both_ends():
    line = shorten("a" + "b" * 10_000 + "c")
    assert len(line) < 600
    assert (line[0], line[-1]) == ("a", "c")


def test_a_table_of_nothing_is_empty():
    assert table([]) == ""


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "-", "--", "-1", "0", "1e400", "nan", "\0", "\udcff", "../..", "~", "@x",
         "%s%n", "$(id)", "a" * 5000, "\u202e", "tiny", "stories", "/dev/null", "."]
    ),
)  # fmt: skip
OPTIONS = st.sampled_from(
    sorted(
        {
            option
            for action in options._all_actions(options.build_parser())
            for option in action.option_strings
        }
        - {"--stop"}
    )
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(
    command=st.sampled_from(
        ["train", "resume", "generate", "explore", "info", "x", ""]
    ),
    arguments=st.lists(st.one_of(OPTIONS, HOSTILE), max_size=6),
)
def test_hostile_arguments_meet_only_clear_errors(
    run, tmp_path_factory, capsys, monkeypatch, command, arguments
):
    # What is valid by chance must not take long, nor reach beyond the test.
    monkeypatch.chdir(tmp_path_factory.mktemp("hostile"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("llm_core.cli.train.read_corpus", _no_text)
    code = main([command, *arguments])
    written = capsys.readouterr()
    assert code in (0, 2), written.err
    assert len(written.err.splitlines()) <= 2


def _no_text(*_):
    raise UserError("the text is not read in this test")


def test_hostile_settings_meet_only_clear_errors(run, capsys):
    random_ = random.Random(0)
    values = ["0", "1", "0.5", "-1", "1e-300", "1e300", "nan", "99", "", "x", "0.011"]
    for _ in range(40):
        arguments = ["generate", str(run), "--prompt", "The", "--max-new-tokens", "3"]
        for name in random_.sample(list(options.SETTINGS)[1:], 3):
            arguments += [f"--{name}", random_.choice(values)]
        assert main(arguments) in (0, 2), arguments
        assert len(capsys.readouterr().err.splitlines()) <= 2


# ------------------------------------------------------------ text of any size


def prepared(data, folder, *more):
    command = ["prepare", str(data), "--out", str(folder), "--vocab-size", "300"]
    return main([*command, *more])


def test_what_was_prepared_is_trained_on_and_resumed(text_file, tmp_path, capsys):
    assert prepared(text_file, tmp_path / "ids") == 0
    said = capsys.readouterr().out
    assert "ids in" in said
    assert "llm-core train --data" in said
    assert train(tmp_path / "ids", tmp_path / "run") == 0
    assert train(tmp_path / "ids", tmp_path / "cut", steps=4) == 0
    command = ["resume", str(tmp_path / "run"), "--steps", "10"]
    assert main(command) == 0
    tokenizer = Tokenizer.load(tmp_path / "ids" / "tokenizer.json")
    assert main(["generate", str(tmp_path / "run"), "--prompt", "The cat"]) == 0
    assert tokenizer.vocab_size <= 300


def test_the_same_command_goes_on(text_file, tmp_path):
    assert prepared(text_file, tmp_path / "ids") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "ids").iterdir()}
    assert prepared(text_file, tmp_path / "ids") == 0
    after = {path.name: path.read_bytes() for path in (tmp_path / "ids").iterdir()}
    assert after == before


def test_a_tokenizer_of_a_run_can_be_used(text_file, run, tmp_path):
    (file,) = max(run.glob("step-*")).glob("tokenizer.json")
    assert prepared(text_file, tmp_path / "ids", "--tokenizer-file", str(file)) == 0
    ours = (tmp_path / "ids" / "tokenizer.json").read_bytes()
    assert ours == file.read_bytes()


def test_what_cannot_be_prepared_is_told(text_file, tmp_path, capsys):
    (tmp_path / "blank.txt").write_text(" \n", encoding="utf-8")
    command = ["prepare", str(tmp_path / "blank.txt"), "--out", str(tmp_path / "x")]
    assert "holds no text" in complaint(capsys, command)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("precious", encoding="utf-8")
    command = ["prepare", str(text_file), "--out", str(tmp_path / "taken")]
    assert "must be new" in complaint(capsys, command)
    command = ["prepare", str(text_file), "--out", str(text_file)]
    assert str(text_file) in complaint(capsys, command)
    command = ["prepare", str(tmp_path / "no-such"), "--out", str(tmp_path / "y")]
    assert "found no corpus" in complaint(capsys, command)


def test_damaged_ids_are_told(text_file, tmp_path, capsys):
    assert prepared(text_file, tmp_path / "ids") == 0
    (tmp_path / "ids" / "00000.ids").write_bytes(b"x")
    command = ["train", "--data", str(tmp_path / "ids"), "--out", str(tmp_path / "r")]
    assert "was changed or cut short" in complaint(capsys, command)


# ------------------------------------------------------------ other people's weights


@pytest.fixture
def gpt2_folder(tmp_path):
    tokenizer = BPETokenizer(300, special_tokens=[END_OF_TEXT])
    tokenizer.train(TEXT)
    model = lively_model(small_config(vocab_size=tokenizer.vocab_size))
    save_gpt2(tmp_path / "theirs", model, tokenizer)
    return tmp_path / "theirs"


def test_a_gpt2_in_hugging_faces_layout_generates(gpt2_folder, capsys):
    command = ["generate", str(gpt2_folder), "--prompt", "The cat"]
    assert main([*command, "--max-new-tokens", "5", "--seed", "0"]) == 0
    assert capsys.readouterr().out.startswith("The cat")
    assert main(["info", str(gpt2_folder)]) == 0
    assert "a trained model" in capsys.readouterr().out


def test_a_broken_gpt2_is_told_with_the_file(gpt2_folder, capsys):
    (gpt2_folder / "config.json").write_text("{}", encoding="utf-8")
    said = complaint(capsys, ["generate", str(gpt2_folder), "--prompt", "x"])
    assert "config.json: lacks 'vocab_size'" in said


def test_gpt2_without_a_network_is_told_what_needs_none(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LLM_CORE_CACHE", str(tmp_path))
    said = complaint(capsys, ["generate", "gpt2", "--prompt", "x"])
    assert "could not download" in said
    assert "models stories and induction" in said
