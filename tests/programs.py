"""A program is run as a reader would run it: in a folder, in a process of its own."""

import subprocess


def run(command, folder):
    """Run a program with nobody at the keyboard; return its end and output."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
