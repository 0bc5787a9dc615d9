"""The recipes of recorded runs, one module a chapter: see `llm_core.course.recordings`.

A module is called `chapter_NN`. Nothing needs to be listed here.
"""
