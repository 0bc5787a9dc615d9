"""Data in, an interactive figure out: alive in JupyterLab and in the built page.

A widget is one class here and one script in `web/`, which both hosts run. To add
one, called Clock:

1. Write `class Clock(Widget)` in `clock.py` here, with one synced trait for each thing
   the script must know, and a `fallback()`: the HTML that readers without JavaScript
   see. Import it below.
2. Write `web/clock.js` (the class name in snake case). It ends in
   `export default { render };`, where `render({ model, el })` fills `el` from
   `model.get(trait)`, calls `model.set(trait, value)` when the reader moves a
   control, and redraws in `model.on("change:trait", draw)`.
3. Build every control with the helpers of `web/common.js`, which stands in front of
   each script: they give it a label and keep JupyterLab's shortcuts off it.
4. Write `web/clock.css` if it needs one. Reserve the height there (`min-height`).

In JupyterLab, anywidget runs the script as a module. In the page, the cell's HTML
carries the state, and `web/hydrate.js` loads the script when its figure comes near.
Modules and fetch do not work on a page opened from disk, so `page_files()` turns each
script into a classic one.
"""

from llm_core.course.widgets.attention_map import AttentionMap
from llm_core.course.widgets.base import Widget, table, visible
from llm_core.course.widgets.block_parts import BlockParts
from llm_core.course.widgets.cache_calculator import CacheCalculator
from llm_core.course.widgets.compute_planner import ComputePlanner
from llm_core.course.widgets.frames import Frame, Frames
from llm_core.course.widgets.gradient_steps import GradientSteps
from llm_core.course.widgets.head_browser import HeadBrowser
from llm_core.course.widgets.merge_stepper import MergeStepper
from llm_core.course.widgets.model_calculator import ModelCalculator
from llm_core.course.widgets.next_character import NextCharacter
from llm_core.course.widgets.pages import page_files
from llm_core.course.widgets.playground import Playground
from llm_core.course.widgets.query_key import QueryKey
from llm_core.course.widgets.shape_slider import ShapeSlider

__all__ = [
    "AttentionMap",
    "BlockParts",
    "CacheCalculator",
    "ComputePlanner",
    "Frame",
    "Frames",
    "GradientSteps",
    "HeadBrowser",
    "MergeStepper",
    "ModelCalculator",
    "NextCharacter",
    "Playground",
    "QueryKey",
    "ShapeSlider",
    "Widget",
    "page_files",
    "table",
    "visible",
]
