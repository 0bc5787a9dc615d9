"""Two callables in, how many times as fast ours is out; and the table of all answers.

Also what the machine can do at most: products of matrices, and bytes from memory. It
does not know what is measured.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from llm_core.corpus import load_corpus

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PLOTS = ROOT / "_build" / "benchmarks"


@dataclass(frozen=True)
class Comparison:
    """The seconds that two sides took, round by round."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as long theirs took: the median of the rounds."""
        return self.quartiles[1]

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Of theirs / ours, where each round is divided for itself."""
        ratios = np.divide(self.theirs, self.ours)
        low, middle, high = np.percentile(ratios, (25, 50, 75)).tolist()
        return low, middle, high

    def __str__(self) -> str:
        low, middle, high = self.quartiles
        return f"{middle:.2f} × ({low:.2f} to {high:.2f})"


def seconds(work: Callable[[], object]) -> float:
    """Call once, and return how long it took."""
    started = perf_counter()
    work()
    return perf_counter() - started


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> Comparison:
    """Time both in turn, so that what else the machine does falls on both alike.

    Each is called once beforehand, outside the clock. Who begins changes from round to
    round.
    """
    ours()
    theirs()
    pairs = []
    for number in range(rounds):
        if number % 2:
            second = seconds(theirs)
            pairs.append((seconds(ours), second))
        else:
            pairs.append((seconds(ours), seconds(theirs)))
    return Comparison(*zip(*pairs, strict=True))


# ------------------------------------------------------------------ the machine


def hardware() -> dict[str, str]:
    """Say what all this ran on."""
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, of which torch uses {torch.get_num_threads()}",
        "system": f"{platform.system()} on {platform.machine()}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def _processor() -> str:
    """Return the processor's name, as far as the system knows one."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.partition(": ")[2] for line in lines if "model name" in line)
        return next(names, platform.machine())
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.check_output(command, encoding="utf-8").strip()
    return platform.processor() or platform.machine()


@cache
def matmul_peak(
    device: str = "cpu", dtype: torch.dtype = torch.float32, size: int = 1024
) -> float:
    """Return the FLOP a second of a product of two large matrices, on all threads."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)

    def product() -> None:
        torch.mm(a, b)
        if device == "cuda":
            torch.cuda.synchronize()

    product()
    return 2 * size**3 / min(seconds(product) for _ in range(10))


@cache
def memory_bandwidth() -> float:
    """Return the bytes a second at which a large array is read, on all threads."""
    numbers = torch.ones(2**26)  # 256 MiB, more than any cache holds
    numbers.sum()
    return 4 * len(numbers) / min(seconds(numbers.sum) for _ in range(5))


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of a module in a new process, and return what it returns."""
    spawn = get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as processes:
        return processes.submit(work, *arguments).result()


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory so far."""
    if sys.platform == "linux":
        # getrusage would also count what the parent had when it started this process.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raise NotImplementedError("the peak of memory is read on Linux and macOS only")


# -------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Row:
    """What we claim, what came out, whether it is met, and what stands in the way."""

    target: str
    claim: str
    measured: str
    met: bool | None  # None: there is nothing to meet, or it was not measured
    limit: str


def at_least(least: float, value: float, **row: str) -> Row:
    """Make a row that is met from `least` on, or else says how much is missing."""
    met = value >= least
    if not met:
        row["limit"] = f"{1 - value / least:.0%} short. {row['limit']}"
    return Row(**row, met=met)


def at_most(most: float, value: float, **row: str) -> Row:
    """Make a row that is met up to `most`, or else says by how much it is passed."""
    met = value <= most
    if not met:
        row["limit"] = f"{value / most - 1:.0%} over. {row['limit']}"
    return Row(**row, met=met)


_VERDICTS = {True: "met", False: "missed", None: "–"}


def table(rows: Iterable[Row]) -> str:
    """Write rows as a table in Markdown."""
    head = ("target", "claim", "measured", "", "what limits it")
    lines = [head, ("---",) * len(head)]
    for row in rows:
        verdict = _VERDICTS[row.met]
        lines.append((row.target, row.claim, row.measured, verdict, row.limit))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    print(table(rows), flush=True)


def write(rows: Iterable[Row], path: Path = RESULTS) -> None:
    """Write the table, with the day and the machine."""
    machine = {
        **hardware(),
        "product of matrices": f"{matmul_peak() / 1e9:.0f} GFLOP/s in float32",
        "memory": f"{memory_bandwidth() / 1e9:.0f} GB/s read",
    }
    described = "".join(f"- {name}: {value}\n" for name, value in machine.items())
    path.write_text(
        "# Side by side\n\n"
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. A ratio is their "
        "time divided by ours, in one run\nand round by round: the median, and the "
        f"quartiles in brackets.\n\n{described}\n{table(rows)}",
        encoding="utf-8",
        newline="\n",
    )


def parse(doc: str | None, argv: list[str]) -> argparse.Namespace:
    """Read the arguments that all programs share; `text` is what DATA holds."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--data", default="shakespeare", help="a name or a path")
    parser.add_argument("--quick", action="store_true", help="see whether it runs")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where results go")
    arguments = parser.parse_args(argv)
    arguments.text = load_corpus(arguments.data).text
    return arguments


def main(doc: str | None, rows: Callable[[str, bool], list[Row]]) -> None:
    """Run one program, and print its table."""
    arguments = parse(doc, sys.argv[1:])
    show(rows(arguments.text, arguments.quick))
