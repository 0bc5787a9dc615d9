"""Run every program of this folder that has something to show, and write RESULTS.md."""

import sys

import bpe
import generation
import gpu
import growth
import speedrun
import training
import waiting
from side_by_side import Row, parse, show, write

PROGRAMS = (speedrun, training, generation, bpe, waiting, growth, gpu)


def main(argv: list[str]) -> None:
    """Show each table as it comes, and write all of them after each."""
    arguments = parse(__doc__, argv)
    found: list[Row] = []
    for program in PROGRAMS:
        rows = program.rows(arguments.text, arguments.quick)
        show(rows)
        found += rows
        write(found, arguments.out)


if __name__ == "__main__":
    main(sys.argv[1:])
