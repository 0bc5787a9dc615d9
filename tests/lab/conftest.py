"""A real JupyterLab on a copy of the notebooks, with settings of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "lab"
SETTINGS = {  # no news from elsewhere; every cell drawn, in view or not
    "apputils-extension/notification": '{"fetchNews": "false"}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',
}
PRIVATE = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}
KERNEL_IS_READY = """async () => {
    const ready = async () => {
        const { context, sessionContext } = jupyterapp.shell.currentWidget;
        await context.ready;
        await sessionContext.ready;
        await sessionContext.session.kernel.info;
    };
    const late = (resolve, reject) =>
        setTimeout(() => reject(Error("no kernel after three minutes")), 180_000);
    await Promise.race([ready(), new Promise(late)]);
}"""


NOT_RUN = """() => jupyterapp.shell.currentWidget.model.toJSON().cells
    .filter((cell) => cell.cell_type === "code" && cell.source.length)
    .filter((cell) => cell.execution_count === null).length"""
WIDGETS = """() => jupyterapp.shell.currentWidget.model.toJSON().cells
    .flatMap((cell) => cell.outputs ?? [])
    .filter(({ data }) => "application/vnd.jupyter.widget-view+json" in (data ?? {}))
    .length"""
ERRORS = """() => jupyterapp.shell.currentWidget.model.toJSON().cells
    .flatMap((cell) => cell.outputs ?? [])
    .filter((output) => output.output_type === "error")
    .map((output) => output.evalue)"""


# Three chapters a day, in turn: ten chapters are through in four days.
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
A_DAY = 3


def pytest_addoption(parser):
    parser.addoption("--all-chapters", action="store_true", help="not only today's")


def chapters_of(day, chapters=CHAPTERS):
    """Return the chapters of a day, given as its number."""
    first = day * A_DAY
    wrapped = [chapters[(first + i) % len(chapters)] for i in range(A_DAY)]
    return sorted(set(wrapped))


def chosen(config):
    whole = config.getoption("all_chapters")
    return CHAPTERS if whole else chapters_of(date.today().toordinal())


def pytest_report_header(config):
    return f"chapters opened in JupyterLab: {', '.join(chosen(config))}"


def pytest_generate_tests(metafunc):
    if "chapter" in metafunc.fixturenames:
        metafunc.parametrize("chapter", chosen(metafunc.config))


# Counts its calls, so that a page can tell a frame of the kernel's from a stored one.
FRAMES = """from llm_core.course.widgets import Frame, Frames
calls = []
def at(x):
    calls.append(x)
    if len(calls) > 4:
        raise ZeroDivisionError("on purpose")
    return Frame(numbers={"calls": len(calls)}, text=f"x is {x}")
Frames(at, x=[1, 2, 3])"""

END_KERNEL = "jupyterapp.shell.currentWidget.sessionContext.shutdown()"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A copy of the notebooks, and the front page's code as a notebook beside them."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    page = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    cells = re.findall(r"```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*(.*?)```", page, re.S)
    write_notebook(folder / "notebooks" / "intro.ipynb", cells)
    write_notebook(folder / "notebooks" / "frames.ipynb", [FRAMES])
    for name, text in SETTINGS.items():
        path = folder / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return folder


def write_notebook(path, cells):
    # Without a kernel's name JupyterLab may ask for one, and wait.
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    metadata = {"kernelspec": kernel}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture(scope="session")
def lab(folder):
    """The address of a running JupyterLab."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={folder}"]
    command += [f"--IdentityProvider.token={TOKEN}"]
    command += ["--LabApp.expose_app_in_browser=True"]
    environment = {name: str(folder / place) for name, place in PRIVATE.items()}
    with (folder / "lab.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_it_answers(f"{address}/api?token={TOKEN}", server, folder)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=15)


def wait_until_it_answers(address, server, folder, seconds=180):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    log = (folder / "lab.log").read_text(encoding="utf-8")
    pytest.fail(f"JupyterLab did not start:\n{log}")


@pytest.fixture
def run_all(browser, lab):
    """run_all("intro") -> JupyterLab's page, once every cell has run without error."""

    @contextmanager
    def open_and_run(notebook):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        elsewhere = []

        def allow(route):
            if route.request.url.startswith((lab, "data:", "blob:")):
                route.continue_()
            else:
                elsewhere.append(route.request.url)
                route.abort()

        page.set_default_timeout(180_000)  # a busy machine is no fault of the page
        page.route("**/*", allow)
        page.goto(f"{lab}/lab/tree/notebooks/{notebook}.ipynb?token={TOKEN}&reset")
        page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for()
        page.evaluate(KERNEL_IS_READY)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        assert page.evaluate(ERRORS) == []
        assert page.evaluate(NOT_RUN) == 0
        live = page.locator(".jp-OutputArea .llm-widget")
        page.wait_for_function(
            "count => document.querySelectorAll('.jp-OutputArea .llm-widget').length"
            " === count",
            arg=page.evaluate(WIDGETS),
        )
        for widget in live.all():
            widget.locator("> *").first.wait_for(state="attached")
        yield page
        page.evaluate(END_KERNEL)
        page.close()
        assert not elsewhere

    return open_and_run
