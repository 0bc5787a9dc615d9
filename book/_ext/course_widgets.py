"""Gives the pages the course's widgets: their scripts and their style sheet.

The files are written at the end of every build, so that a changed script reaches the
book even when no page changed. MyST-NB would also put each widget's whole state into
the page for a widget manager from a CDN; nothing here needs it, so it is dropped.
"""

from pathlib import Path

from llm_core.course.widgets import page_files

FOLDER = "widgets"


def setup(app):
    app.add_js_file(f"{FOLDER}/hydrate.js")
    app.add_css_file(f"{FOLDER}/widgets.css")
    app.connect("env-updated", drop_widget_state)
    app.connect("build-finished", write_files, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def drop_widget_state(app, env):
    for metadata in getattr(env, "nb_metadata", {}).values():
        files = metadata.get("js_files", {})
        for key in [key for key in files if key.startswith("ipywidgets_")]:
            del files[key]


def write_files(app, error):
    if error or app.builder.format != "html":
        return
    folder = Path(app.outdir, "_static", FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in page_files().items():
        (folder / name).write_text(text, encoding="utf-8")
