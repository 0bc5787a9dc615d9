"""Measure the built book's pages with Lighthouse, as a telephone would meet them.

    make book
    npm install --prefix /tmp/lighthouse lighthouse@12      # once; needs Node
    python benchmarks/lighthouse.py /tmp/lighthouse/node_modules/.bin/lighthouse [PAGE…]

The book is served with gzip from here. A page named like notebooks/02_tokenization.html
is measured alone. Run it on a quiet machine: a busy one costs performance points. The
aim: performance 95, the others 100, a layout shift below 0.05. Exits with 1 below that.
"""

import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

BOOK = Path(__file__).resolve().parents[1] / "_build" / "html"
CHROME = ("chromium", "chromium-browser", "google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
AIMS = {"performance": 95, "accessibility": 100, "best-practices": 100, "seo": 100}
SHIFT = 0.05


class Zipped(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as a web server would: compressed, and to be kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a file, whole."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        if path.suffix in {".html", ".css", ".js", ".svg", ".txt", ".json"}:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=31536000")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def measure(lighthouse: str, address: str) -> dict:
    """Return Lighthouse's report on a page."""
    chrome = next(filter(None, map(shutil.which, CHROME)), "")
    command = [lighthouse, address, "--quiet", "--output=json"]
    command += [f"--chrome-flags={FLAGS}"]
    environment = {"CHROME_PATH": chrome, **os.environ}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    return json.loads(done.stdout)


def main(arguments: list[str]) -> int:
    """Measure, print a line for each page, and what cost it points."""
    if not arguments:
        sys.exit(__doc__)
    found = (path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html"))
    all_pages = sorted(n for n in found if not n.startswith(("_static", "index")))
    handler = partial(Zipped, directory=str(BOOK))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    below = 0
    print(f"{'page':40} {'  '.join(AIMS)}  shift  KiB")
    for page in arguments[1:] or all_pages:
        address = f"http://127.0.0.1:{server.server_port}/{page}"
        report = measure(arguments[0], address)
        audits = report["audits"]
        shift = audits["cumulative-layout-shift"]["numericValue"]
        weight = audits["total-byte-weight"]["numericValue"] / 1024
        scores = {n: round(100 * report["categories"][n]["score"]) for n in AIMS}
        numbers = "  ".join(f"{scores[name]:{len(name)}}" for name in AIMS)
        print(f"{page:40} {numbers}  {shift:.3f}  {weight:.0f}", flush=True)
        if shift >= SHIFT or any(scores[name] < aim for name, aim in AIMS.items()):
            below += 1
            for audit in audits.values():
                counts = audit["scoreDisplayMode"] in ("binary", "numeric")
                if counts and (audit["score"] or 0) < 0.9:
                    print(f"    {audit['title']} {audit.get('displayValue', '')}")
    server.shutdown()
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
