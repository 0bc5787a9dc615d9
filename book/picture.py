"""Takes README's picture of the playground, from the built book in a real browser.

    make book
    .venv/bin/python book/picture.py

writes book/playground.webp. The page is opened from the disk; a story is written, and
one of its tokens chosen, so that the picture shows the chances at that place.
"""

import io
import re
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

BOOK = Path(__file__).resolve().parent
PAGE = BOOK.parent / "_build" / "html" / "book" / "intro.html"
PICTURE = BOOK / "playground.webp"
CHROME = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu"]
# No room below, and no tokens a second, which are those of this machine today.
STYLE = ".llm-playground { min-height: 0 !important } .llm-pace { display: none }"
WIDTH, SCALE = 1440, 2  # pixels of the window, and of the picture to each of them


def main():
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, CHROME)), None)
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        view = {"width": WIDTH, "height": 1000}
        page = browser.new_page(viewport=view, device_scale_factor=SCALE)
        page.goto(PAGE.as_uri())
        playground = page.locator(".llm-playground")
        playground.scroll_into_view_if_needed()
        playground.and_(page.locator("[data-ready]")).wait_for()
        playground.get_by_role("button", name="Run", exact=True).click()
        chosen = playground.locator(".llm-written span", has_text=re.compile(r"^ red$"))
        playground.locator(".llm-end").wait_for()  # the story has come to its end
        chosen.first.click()
        page.add_style_tag(content=STYLE)
        picture = playground.screenshot()
        browser.close()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(PICTURE, quality=80, method=6)
    size = PICTURE.stat().st_size / 1000
    print(f"{PICTURE.name}: {image.width} x {image.height} pixels, {size:.0f} kB")


if __name__ == "__main__":
    main()
