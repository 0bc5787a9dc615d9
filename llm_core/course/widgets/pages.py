"""Every widget's script in, the files of a book or of a page of its own out."""

from __future__ import annotations

from llm_core.course.palette import css_variables
from llm_core.course.widgets.base import EXPORT, SHARED, WEB, read, script
from llm_core.course.widgets.playground import shared_scripts


def page_files() -> dict[str, str]:
    """Return what the built book serves: file name -> text.

    Each widget becomes a classic script that registers itself under its name; each
    model that ships becomes one that the widgets share.
    """
    names = sorted(path.stem for path in WEB.glob("*.js") if path.stem not in SHARED)
    files = {
        f"{name}.js": "(() => {\n"
        + script(name).replace(EXPORT, f'globalThis.llmWidgets["{name}"] = ')
        + "})();\n"
        for name in names
    }
    styles = [css_variables(), read("widgets.css")]
    styles += [read(f"{name}.css") for name in (*sorted(SHARED), *names)]
    files |= {f"{name}.js": text for name, text in shared_scripts().items()}
    return {**files, "hydrate.js": read("hydrate.js"), "widgets.css": "".join(styles)}
