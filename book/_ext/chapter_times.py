"""Prints how long each chapter took to run, at the end of a build.

A chapter that came from the cache shows the time of the run that filled it.
"""

from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app):
    app.connect("build-finished", show_times, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def show_times(app, error):
    times = {
        name: metadata["exec_data"]
        for name, metadata in sorted(getattr(app.env, "nb_metadata", {}).items())
        if metadata.get("exec_data")
    }
    if not times:
        return
    logger.info("\n%-40s %8s", "chapter", "seconds")
    for name, run in times.items():
        logger.info("%-40s %8.1f", name, run["runtime"] or 0.0)
    total = sum(run["runtime"] or 0.0 for run in times.values())
    logger.info("%-40s %8.1f\n", "all chapters", total)
