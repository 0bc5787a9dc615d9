"""A recipe in, a run in a folder out, and on the screen how it goes."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from time import perf_counter

import torch

from llm_core.checkpoint import (
    CheckpointError,
    choose_device,
    load_checkpoint,
    snapshots,
)
from llm_core.cli.console import (
    Interruption,
    StatusLine,
    UserError,
    in_bytes,
    in_time,
    on_terminal,
    quoted,
    table,
)
from llm_core.cli.recipe import FILE, LOG, Recipe, RunInfo, versions
from llm_core.corpus import CORPORA, Corpus, load_corpus
from llm_core.data import TokenStream, encode_corpus
from llm_core.evaluation import recall_by_distance
from llm_core.generation import SamplingConfig, generate_text
from llm_core.model import PRESETS, GPTConfig, GPTModel, estimate_model_size
from llm_core.shards import MANIFEST, hold_out, load_shards
from llm_core.stories import sample_stories
from llm_core.tokenizer import (
    END_OF_TEXT,
    BPETokenizer,
    CharacterTokenizer,
    Tokenizer,
)
from llm_core.trainer import (
    Evaluation,
    StepReport,
    TrainConfig,
    Trainer,
    TrainingDivergedError,
)

# Held out: a tenth of the text, but no more than it takes to measure well.
VALIDATION_FRACTION = 0.1
VALIDATION_CHARACTERS = 200_000
# A vocabulary is learned from this much of the text, in pieces from all over it: more
# would find the same words.
TOKENIZER_CHARACTERS, TOKENIZER_PIECES = 2_000_000, 100
LONGEST_WARMUP = 100  # steps; a tenth of a short run's
RECALL_STORIES = 64  # the ones that follow the corpus, which no run has seen


def train(arguments: argparse.Namespace) -> int:
    """Make a new run, from the first step to the last."""
    with together() as is_first:
        return start(arguments, is_first)


def resume(arguments: argparse.Namespace) -> int:
    """Go on with a run as if it had never stopped."""
    with together() as is_first:
        return go_on(arguments, is_first)


@contextmanager
def together() -> Iterator[bool]:
    """Join the processes that torchrun has started, if it has; only the first speaks.

    Yields whether this is the first, or the only one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    from llm_core.distributed import joined  # slow to load, and seldom needed

    with (
        joined() as rank,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere) if rank else nullcontext(),
    ):
        yield rank == 0


def trainer_class() -> type[Trainer]:
    """Return the trainer for one process, or for one of several."""
    if not torch.distributed.is_initialized():
        return Trainer
    from llm_core.distributed import DistributedTrainer

    return DistributedTrainer


def any_process(flag: bool) -> bool:
    """Return whether the flag is up here, or in a process that trains with this one."""
    if not torch.distributed.is_initialized():
        return flag
    from llm_core.distributed import any_of

    return any_of(flag)


def start(arguments: argparse.Namespace, is_first: bool) -> int:
    """Make a new run; the folder is the first process's to make."""
    names = [field.name for field in fields(Recipe)]
    recipe = Recipe(**{name: getattr(arguments, name) for name in names})
    if recipe.data not in CORPORA and "://" not in recipe.data:
        recipe = replace(recipe, data=os.path.abspath(recipe.data))
    check_recipe(recipe)  # mistakes should show before a long preparation
    if arguments.out and is_first:
        check_is_new(Path(arguments.out))
    line = StatusLine()
    try:
        text = read_text(recipe, line)
        folder = Path(arguments.out or f"runs/{text.name}-{recipe.preset}")
        if is_first:
            check_is_new(folder)
        run = prepare(folder, recipe, text, line)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped before training, nothing was kept") from None
    run.writes = is_first
    if is_first:
        run.info.write(folder)
    return run.train()


def go_on(arguments: argparse.Namespace, is_first: bool) -> int:
    """Take up a run."""
    folder, line = Path(arguments.run), StatusLine()
    info = RunInfo.read(folder)
    if arguments.device:
        info = replace(info, recipe=replace(info.recipe, device=arguments.device))
    choose_device(info.recipe.device)
    text = read_text(info.recipe, line)
    if snapshots(folder):
        run = take_up(folder, info, text, line)
    else:  # it was stopped before its first save
        run = prepare(folder, info.recipe, text, line)
    run.writes = is_first
    trainer = run.trainer
    if arguments.steps:
        if arguments.steps < trainer.step:
            raise UserError(f"{folder} is already at step {trainer.step:,}")
        trainer.config = replace(trainer.config, steps=arguments.steps)
    if trainer.step >= trainer.config.steps:
        print(f"{folder} has made all of its {trainer.step:,} steps.")
        print(f"For more: llm-core resume {quoted(folder)} --steps {2 * trainer.step}")
        return 0
    return run.train()


# ------------------------------------------------------------------ before training


def check_is_new(folder: Path) -> None:
    """Raise UserError if a folder is taken; make it if it is not there."""
    if (folder / FILE).exists():
        raise UserError(
            f"{folder} holds a run already.\nGo on with it: llm-core resume "
            f"{quoted(folder)}; or choose another folder with --out."
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"{folder} is there already, and not empty.\n"
            "Choose another folder with --out."
        )
    folder.mkdir(parents=True, exist_ok=True)


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError for what can be seen to be wrong without the text."""
    training_config(recipe)
    check_memory(model_config(recipe, recipe.vocab_size), recipe)


def training_config(recipe: Recipe) -> TrainConfig:
    """Take what concerns the training from a recipe."""
    names = {field.name for field in fields(TrainConfig)}
    shared = {k: v for k, v in asdict(recipe).items() if k in names}
    warmup_steps = min(LONGEST_WARMUP, recipe.steps // 10)
    return TrainConfig(**shared, warmup_steps=warmup_steps)


def model_config(recipe: Recipe, vocab_size: int) -> GPTConfig:
    """Take the shape of the model from a recipe: a preset, and changes to it."""
    if recipe.preset not in PRESETS:
        raise UserError(
            f"--preset must be one of {', '.join(PRESETS)}; got {recipe.preset!r}"
        )
    names = ("d_model", "num_heads", "num_layers", "max_seq_len", "dropout")
    changes = {name: getattr(recipe, name) for name in names}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(PRESETS[recipe.preset], vocab_size=vocab_size, **given)


def check_memory(config: GPTConfig, recipe: Recipe) -> None:
    """Raise UserError if training on the CPU cannot fit into this machine."""
    if choose_device(recipe.device).type != "cpu":
        return  # a GPU says so itself
    need = estimate_model_size(config, batch_size=recipe.batch_size).training
    have = physical_memory()
    if have is not None and need > have:
        raise UserError(
            f"training would need about {in_bytes(need)} of memory, and this machine "
            f"has {in_bytes(have)}.\n"
            "Try a smaller --batch-size, --max-seq-len or --preset."
        )


def physical_memory() -> int | None:
    """Return the bytes of memory that this machine has, where it says."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows does not
        return None


@dataclass(frozen=True)
class Prepared:
    """What `llm-core prepare` has written, as a text to train on."""

    name: str
    stream: TokenStream
    tokenizer: Tokenizer

    def split(self) -> tuple[TokenStream, TokenStream]:
        """Hold out as much of it as of other texts, from the end."""
        share = min(
            VALIDATION_FRACTION, VALIDATION_CHARACTERS / self.stream.num_characters
        )
        num_ids = int(len(self.stream.ids) * share)
        return hold_out(self.stream, self.tokenizer, num_ids)

    @property
    def beginning(self) -> str:
        """How a document begins."""
        return self.tokenizer.decode(self.stream.ids[1:31])


def read_text(recipe: Recipe, line: StatusLine) -> Corpus | Prepared:
    """Load the text of a recipe, or map into memory what was prepared."""
    if (Path(recipe.data) / MANIFEST).is_file():
        stream, tokenizer = load_shards(recipe.data)
        name = Path(recipe.data).resolve().name
        line.print(f"text       {name}: {len(stream.ids):,} ids on disk")
        return Prepared(name, stream, tokenizer)
    return read_corpus(recipe, line)


def read_corpus(recipe: Recipe, line: StatusLine) -> Corpus:
    """Load the text of a recipe, showing a download as it comes."""

    def progress(done: int, total: int | None) -> None:
        of = "" if total is None else f" of {in_bytes(total)}"
        line.show(f"downloading {recipe.data}: {in_bytes(done)}{of}")

    line.show(f"reading {recipe.data} …")
    corpus = load_corpus(
        recipe.data,
        num_stories=recipe.num_stories,
        encoding=recipe.encoding,
        progress=progress,
    )
    line.print(
        f"text       {corpus.name}: {corpus.num_characters:,} characters"
        f" in {len(corpus.documents):,} document{'s' * (len(corpus.documents) > 1)}"
    )
    return corpus


def split(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """Hold text out; the same text always in the same way."""
    share = VALIDATION_CHARACTERS / corpus.num_characters
    return corpus.split(min(VALIDATION_FRACTION, share))


def make_tokenizer(recipe: Recipe, corpus: Corpus, training: Corpus) -> Tokenizer:
    """Train a tokenizer on the training part."""
    if recipe.tokenizer == "character":
        # Of the text held out, it must know which characters there are, no more.
        characters = CharacterTokenizer([END_OF_TEXT])
        characters.train(corpus.documents)
        return characters
    pairs = BPETokenizer(recipe.vocab_size, [END_OF_TEXT])
    if training.num_characters <= TOKENIZER_CHARACTERS:
        pairs.train(training.documents)
    else:
        pairs.train(
            spread_pieces(training.text, TOKENIZER_CHARACTERS, TOKENIZER_PIECES)
        )
    return pairs


def spread_pieces(text: str, size: int, number: int) -> Iterator[str]:
    """Yield a number of pieces, of `size` characters together, evenly spread.

    >>> list(spread_pieces("abcdefghij", 4, 2))
    ['ab', 'fg']
    """
    for piece in range(number):
        start = piece * len(text) // number
        yield text[start : start + size // number]


def first_words(text: str) -> str:
    """How a text begins: two words, or as much as there is in 30 characters.

    >>> first_words("Once upon a time there was")
    'Once upon'
    """
    words = text[:30].split()
    return " ".join(words[:2]) if len(words) > 2 else text[:30].strip()


def prepare(
    folder: Path, recipe: Recipe, text: Corpus | Prepared, line: StatusLine
) -> "Run":
    """Make tokenizer, streams and model, and so a run that has made no step."""
    if isinstance(text, Prepared):
        tokenizer, streams, beginning = text.tokenizer, text.split(), text.beginning
    else:
        training, validation = split(text)
        line.show("training the tokenizer …")
        tokenizer = make_tokenizer(recipe, text, training)
        line.show("turning text into ids …")
        streams = (
            encode_corpus(training, tokenizer),
            encode_corpus(validation, tokenizer),
        )
        beginning = training.documents[0]
    config = model_config(recipe, tokenizer.vocab_size)
    torch.manual_seed(recipe.seed)
    model = GPTModel(config).to(choose_device(recipe.device))
    trainer = trainer_class()(model, *streams, training_config(recipe))
    info = RunInfo(
        recipe=recipe,
        corpus=text.name,
        prompt=first_words(beginning),
        versions=versions(),
    )
    return Run(folder, info, trainer, tokenizer, line)


def take_up(
    folder: Path, info: RunInfo, text: Corpus | Prepared, line: StatusLine
) -> "Run":
    """Load a run as it was last saved. CheckpointError if its text has changed."""
    line.show("turning text into ids …")
    _, tokenizer = load_checkpoint(folder)
    if isinstance(text, Prepared):
        training, validation = text.split()
    else:
        training, validation = (encode_corpus(part, tokenizer) for part in split(text))
    device = choose_device(info.recipe.device)
    trainer = trainer_class().resume(folder, training, validation, device)
    return Run(folder, info, trainer, tokenizer, line)


# ------------------------------------------------------------------ training


class Run:
    """A trainer, the folder it is kept in, and the screen that shows it."""

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        trainer: Trainer,
        tokenizer: Tokenizer,
        line: StatusLine,
    ) -> None:
        self.folder, self.info, self.trainer = folder, info, trainer
        self.tokenizer, self.line = tokenizer, line
        self.writes = True  # into the folder, beside what the trainer saves
        self.saved_step = self.first_step = trainer.step
        self.started = perf_counter()
        lengths = document_lengths(trainer.validation_stream)
        too_long = max(lengths) > trainer.model.config.max_seq_len
        self.note = " (context-limited)" if too_long else ""

    def train(self) -> int:
        """Train to the last step, then say what has come of it."""
        self.introduce()
        again = f"Go on with: llm-core resume {quoted(self.folder)}"
        try:
            with Interruption() as stop:
                last = self.make_steps(stop)
        except KeyboardInterrupt:  # the second one
            raise KeyboardInterrupt(
                f"stopped at once; what is saved is step {self.saved_step:,}.\n{again}"
            ) from None
        except TrainingDivergedError as error:
            raise UserError(
                f"step {self.trainer.step + 1:,}: the loss or a gradient is no longer "
                f"a number; what is saved is step {self.saved_step:,}.\nTrain anew "
                f"with a --learning-rate below {self.info.recipe.learning_rate:g}."
            ) from error
        except CheckpointError as error:
            raise UserError(f"{error}\n{again}") from error
        except OSError:  # the screen or the log is gone: the run must not suffer
            self.save()
            raise
        if stop.requested:
            self.line.clear()
            raise KeyboardInterrupt(
                f"stopped and saved, step {self.saved_step:,}.\n{again}"
            )
        self.conclude(last)
        return 0

    def make_steps(self, stop: Interruption) -> StepReport:
        """Make the steps that are left, or those until somebody asks to stop."""
        recipe, last = self.info.recipe, self.trainer.config.steps
        for report in self.trainer.run():
            self.show(report)
            stopping = any_process(stop.requested)  # asked once: it may change
            due = report.step % recipe.save_every == 0 or report.step == last
            if due or stopping:
                self.save()
            if stopping:
                break
        return report

    def save(self) -> None:
        """Save the run, if it has moved on since."""
        if self.saved_step < self.trainer.step:
            self.trainer.save(self.folder, self.tokenizer)
            self.saved_step = self.trainer.step

    # -------------------------------------------------------------- what is shown

    def introduce(self) -> None:
        """Say what is trained on what."""
        model, stream = self.trainer.model, self.trainer.train_stream
        config, tokenizer = model.config, self.tokenizer
        number = sum(p.numel() for p in model.parameters())
        device = model.token_embedding.weight.device.type
        kind = "bpe" if isinstance(tokenizer, BPETokenizer) else "character"
        self.line.print(
            f"tokenizer  {kind}: {tokenizer.vocab_size:,} tokens, "
            f"{stream.characters_per_token:.2f} characters per token\n"
            f"model      {self.info.recipe.preset}: {number:,} parameters, "
            f"context {config.max_seq_len}, on {device}\n"
            f"run        {self.folder}: Ctrl-C saves and stops"
        )
        if self.note:
            self.line.print(
                "           context-limited: there is held-out text longer than what "
                "the model can read at once"
            )
        if self.first_step:
            self.line.print(f"           goes on after step {self.first_step:,}")

    def show(self, report: StepReport) -> None:
        """Show one step; every tenth part of the run stays on the screen."""
        text = self.describe(report)
        self.line.show(text)
        steps = self.trainer.config.steps
        if report.evaluation is not None:
            self.line.print(f"{text}\n{self.judge(report.evaluation)}")
            self.log(report, report.evaluation)
        elif not self.line.is_live and report.step % max(1, steps // 10) == 0:
            self.line.print(text)

    def describe(self, report: StepReport) -> str:
        """Put a step into a line."""
        steps, step = self.trainer.config.steps, report.step
        elapsed = perf_counter() - self.started
        left = elapsed / (step - self.first_step) * (steps - step)
        floor = self.trainer.validation_stream.floor
        parts = [
            f"step {step:{len(str(steps))}}/{steps}",
            f"loss {report.loss:.3f}",
            f"{report.bits_per_character:.3f} bits/char"
            + (
                f" (floor {floor.rate:.3f}±{floor.standard_error:.3f})" if floor else ""
            ),
            f"{report.tokens_per_second:,.0f} tokens/s",
            f"{in_time(left)} left",
        ]
        return "  ".join(parts)

    def judge(self, evaluation: Evaluation) -> str:
        """Put a measurement on the text held out into one line, or three on a leak."""
        floor = self.trainer.validation_stream.floor
        bits = evaluation.bits_per_character
        text = f"  held out: {bits:.3f} bits/char{self.note}"
        if floor is None:
            return text
        distance = bits - floor.rate
        if distance < -3 * floor.standard_error:
            return (
                f"{text}, {-distance:.3f} BELOW the floor, more than three standard "
                f"errors.\n  No model can do that honestly: something leaks. Is a mask "
                "missing, a target not shifted,\n  or text held out also in the text "
                "trained on?"
            )
        return f"{text}, {distance:+.3f} from the floor"

    def log(self, report: StepReport, evaluation: Evaluation) -> None:
        """Append a measurement to the folder's log."""
        if not self.writes:
            return
        entry = {
            "step": report.step,
            "loss": report.loss,
            "bits_per_character": report.bits_per_character,
            "validation_loss": evaluation.loss,
            "validation_bits_per_character": evaluation.bits_per_character,
        }
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def conclude(self, last: StepReport) -> None:
        """Say how good the model is, and let it write."""
        if not self.writes:
            return
        self.line.print(f"\ntrained in {in_time(perf_counter() - self.started)}")
        floor = self.trainer.validation_stream.floor
        if last.evaluation is not None and floor is not None:
            bits = last.evaluation.bits_per_character
            self.line.print(
                f"distance to the floor: {bits - floor.rate:+.4f} bits per character "
                f"({bits:.4f} against {floor.rate:.4f} ± {floor.standard_error:.4f})"
            )
        if self.info.corpus == "stories" and floor is not None:
            self.line.print(self.recall())
        self.line.print(f"\nA sample, beginning with {self.info.prompt!r}:\n")
        self.line.print(self.sample())
        self.line.print(f"Let it write more: llm-core generate {quoted(self.folder)}")

    def recall(self) -> str:
        """Count which facts of unseen stories the model remembers, by distance."""
        self.line.show("counting what it remembers …")
        stories = list(
            sample_stories(RECALL_STORIES, start=self.info.recipe.num_stories)
        )
        rows = [
            (f"{r.nearest}–{r.farthest}", f"{r.right / r.total:.0%}", f"of {r.total:,}")
            for r in recall_by_distance(self.trainer.model, self.tokenizer, stories)
            if r.total
        ]
        title = "recall of facts, by how many characters ago they were set:"
        return f"{title}\n{table(rows)}"

    def sample(self) -> str:
        """Let the model write once, as the seed of the run has it."""
        model, prompt = self.trainer.model, self.info.prompt
        generator = torch.Generator(model.token_embedding.weight.device)
        written = generate_text(
            model,
            self.tokenizer,
            prompt,
            sampling=SamplingConfig(temperature=0.8),
            generator=generator.manual_seed(self.info.recipe.seed),
        )
        return on_terminal(f"{prompt}{written}".rstrip()) + "\n"


def document_lengths(stream: TokenStream) -> list[int]:
    """How many ids each document of a stream has."""
    ends = [*stream.starts[1:].tolist(), len(stream.ids) - 1]
    return [
        end - start for start, end in zip(stream.starts.tolist(), ends, strict=True)
    ]
