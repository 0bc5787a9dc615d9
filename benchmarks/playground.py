"""Measure the front page's playground: its weight, its first token, its pace.

    make book
    python benchmarks/playground.py [--cpu]

The page is served from here and opened in Chromium, a few times. Measured are: what the
page weighs with its model, as it is and as a server would compress it; the seconds from
the request to the first token's chances on the screen, and to the first token written;
the tokens a second that Run writes, with all that it shows meanwhile. Run it on a quiet
machine. With --cpu, seconds are those of the page's own processor time, which a busy
machine leaves as they are. The aims: 1.5 MB for the model, 1 s, 500 tokens a second.
Exits with 1 where one is missed.
"""

import functools
import gzip
import http.server
import re
import shutil
import sys
import threading
from pathlib import Path
from statistics import median
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

BOOK = Path(__file__).resolve().parents[1] / "_build" / "html"
PAGE, MODEL = "book/intro.html", "_static/widgets/model_stories.js"
CHROME = ("chromium", "chromium-browser", "google-chrome")
ROUNDS, RUNS = 5, 8
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]

# The playground is scrolled to as soon as the page is there, as a reader would.
FIRST_TOKEN = """() => new Promise((resolve) => {
    const found = document.querySelector(".llm-playground");
    found.scrollIntoView();
    const watch = () => found.dataset.ready
        ? requestAnimationFrame(() => {
            const shown = performance.now();
            found.querySelector(".llm-row button:nth-of-type(2)").click(); // Step
            resolve([shown / 1000, performance.now() / 1000]);
        })
        : setTimeout(watch, 1);
    watch();
})"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def paces(page: Page, by_processor: bool) -> list[float]:
    """Let it write some stories; return the tokens a second of each."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in metrics}["TaskDuration"]

    found = []
    for _ in range(RUNS):
        before = busy()
        page.get_by_role("button", name="Another seed").click()
        page.get_by_role("button", name="Run", exact=True).wait_for()
        tokens, pace = re.findall(r"\d+", page.locator(".llm-pace").text_content())
        found.append(int(tokens) / (busy() - before) if by_processor else float(pace))
    return found


class Measured(NamedTuple):
    """Bytes of the page and its model; seconds of each round; tokens a second."""

    total: int
    zipped: int
    model: int
    shown: list[float]
    written: list[float]
    pace: list[float]


def measure(rounds: int = ROUNDS, by_processor: bool = False) -> Measured:
    """Open the page so many times, and let it write."""
    handler = functools.partial(Quiet, directory=str(BOOK))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/{PAGE}"
    loaded: dict[str, bytes] = {}
    shown, written, pace = [], [], []

    def note(response) -> None:
        loaded[response.url] = response.body()

    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, CHROME)), None)
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        for number in range(rounds):
            page = chromium.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(300_000)
            if number == 0:
                page.on("response", note)
            page.goto(address, wait_until="commit")
            page.wait_for_selector(".llm-playground", state="attached")
            first = page.evaluate(FIRST_TOKEN)
            shown.append(first[0])
            written.append(first[1])
        pace = paces(page, by_processor)
        chromium.close()
    server.shutdown()
    return Measured(
        total=sum(map(len, loaded.values())),
        zipped=sum(len(gzip.compress(body)) for body in loaded.values()),
        model=(BOOK / MODEL).stat().st_size,
        shown=shown,
        written=written,
        pace=pace,
    )


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether every aim is met."""
    if arguments not in ([], ["--cpu"]):
        sys.exit(__doc__)
    total, zipped, model, shown, written, pace = measure(by_processor=bool(arguments))
    print(
        f"the page with its model: {total / 1e6:.2f} MB, {zipped / 1e6:.2f} MB gzipped"
    )
    print(f"of which the model: {model / 1e6:.2f} MB")
    print(f"first token's chances on the screen: {median(shown):.2f} s")
    print(f"first token written: {median(written):.2f} s")
    unit = "second of the processor" if arguments else "second"
    print(
        f"tokens a {unit}: {median(pace):.0f} (from {min(pace):.0f} to {max(pace):.0f})"
    )
    return 0 if model <= 1.5e6 and median(written) <= 1 and median(pace) >= 500 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
