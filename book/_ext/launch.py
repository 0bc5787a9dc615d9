"""Buttons above a chapter that open it elsewhere: on Binder, in Colab, in a codespace.

They lead to the repository that publishes the page. Only its CI knows which that is, so
a build anywhere else has no such button, nor has one for a pull request.

A notebook does not know either, and Colab opens it without the files around it. So
Colab's button opens a copy, on a branch of copies, whose first cell installs the
package as it was at that commit; the notebooks themselves stay free of it. CI writes
the copies before it publishes the pages:

    python book/_ext/launch.py FOLDER
"""

import json
import os
import sys
import tomllib
from pathlib import Path

COLAB_BRANCH = "colab"
INSTALL = """\
# @title Install the course (once in a session)
import subprocess
import sys
from importlib.util import find_spec

if "google.colab" in sys.modules and find_spec("llm_core") is None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", *{packages!r}]
    subprocess.run(install, check=True)
"""


def setup(app):
    app.add_config_value("publishing_branch", publishing_branch(os.environ), "html")
    app.connect("html-page-context", add_buttons, priority=600)  # the theme's are there
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def publishing_branch(environment):
    """Return owner, repository and branch, as CI knows them: o/r/b; else nothing."""
    repository = environment.get("GITHUB_REPOSITORY", "")
    branch = environment.get("GITHUB_REF_NAME", "")
    is_branch = environment.get("GITHUB_REF") == f"refs/heads/{branch}"
    return f"{repository}/{branch}" if repository and is_branch else ""


def addresses(publishing_branch, page):
    """Return where each service opens a chapter of that repository and branch."""
    owner, repository, branch = publishing_branch.split("/", 2)
    place = f"{owner}/{repository}"
    name = Path(page).name
    return {
        "Binder": f"https://mybinder.org/v2/gh/{place}/{branch.replace('/', '%2F')}"
        f"?urlpath=lab/tree/{page}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{place}/blob/"
        f"{COLAB_BRANCH}/{name}.ipynb",
        "Codespaces": f"https://codespaces.new/{place}/tree/{branch}?quickstart=1",
    }


def add_buttons(app, pagename, templatename, context, doctree):
    branch = app.config.publishing_branch
    if not branch or not pagename.startswith("notebooks/"):
        return
    links = [
        {"type": "link", "text": name, "url": url, "tooltip": f"Run it on {name}"}
        for name, url in addresses(branch, pagename).items()
    ]
    group = {"type": "group", "icon": "fas fa-rocket", "label": "launch-buttons"}
    group |= {"tooltip": "Run this chapter elsewhere", "buttons": links}
    context["header_buttons"].insert(0, group)


def for_colab(notebook, packages):
    """Return a notebook with a first cell that makes it run in Colab."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "install-the-course",
        "metadata": {"cellView": "form"},
        "outputs": [],
        "source": INSTALL.format(packages=packages).splitlines(keepends=True),
    }
    return {**notebook, "cells": [cell, *notebook["cells"]]}


def write_copies(root, folder, repository, commit):
    """Write the copies for Colab of all notebooks below a checkout's root."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    course = project["project"]["optional-dependencies"]["course"]
    # The rest of the course's packages Colab has, in versions that belong together.
    packages = [line for line in course if line.startswith("anywidget")]
    name = project["project"]["name"]
    packages.append(f"{name} @ git+https://github.com/{repository}@{commit}")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps(for_colab(notebook, packages), ensure_ascii=False, indent=1)
        (folder / path.name).write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write_copies(
        Path(__file__).resolve().parents[2],
        Path(sys.argv[1]),
        os.environ["GITHUB_REPOSITORY"],
        os.environ["GITHUB_SHA"],
    )
