"""Lets `python -m llm_core` be the same as `llm-core`."""

import sys

from llm_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
