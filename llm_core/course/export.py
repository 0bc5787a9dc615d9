"""A model and its tokenizer in, one HTML file out that runs them without a network.

The file holds the Playground, its scripts, its style and the model's weights.
"""

from __future__ import annotations

import html
import re

from llm_core.course.widgets import Playground, page_files
from llm_core.model import GPTModel
from llm_core.tokenizer import Tokenizer

# The book's theme names its colours so; here they follow the reader's own setting.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<script>
document.documentElement.dataset.theme =
  matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
</script>
<style>
:root {{
  color-scheme: light dark;
  --pst-color-text-base: #222832;
  --pst-color-background: #ffffff;
  --pst-color-border: #8a919c;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --pst-color-text-base: #ced6dd;
    --pst-color-background: #14181e;
    --pst-color-border: #6a7890;
  }}
}}
body {{
  max-width: 46rem;
  margin: 0 auto;
  padding: 1rem;
  background: var(--pst-color-background);
  color: var(--pst-color-text-base);
  font-family: system-ui, sans-serif;
}}
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{about}</p>
{figure}
</main>
<script>
{scripts}</script>
</body>
</html>
"""


def to_page(model: GPTModel, tokenizer: Tokenizer, prompt: str, title: str) -> str:
    """Return a page on which a model continues a prompt, or any other.

    Raises ValueError for what `Playground` refuses.
    """
    widget = Playground(model, tokenizer, prompt)
    files = page_files()
    names = ["hydrate", widget.name]
    names += [widget.state()["shared"]] if "shared" in widget.state() else []
    scripts = "".join(files[f"{name}.js"] for name in names)
    parameters = sum(p.numel() for p in model.parameters())
    about = (
        f"This model of {parameters:,} parameters is in this page, with weights of 8 "
        "bits, and runs on your machine. Nothing is sent anywhere."
    )
    return PAGE.format(
        title=html.escape(title),
        about=html.escape(about),
        style=files["widgets.css"],
        figure=widget.to_html(),
        scripts=_safe_in_html(scripts),
    )


def _safe_in_html(script: str) -> str:
    """Return a script that nothing in it can end too early."""
    return re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE)
