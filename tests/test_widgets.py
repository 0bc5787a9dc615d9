"""A widget's Python half: what it hands to the page, and what it refuses."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from llm_core import PRESETS
from llm_core.course import widgets
from llm_core.course.palette import COLORS, INK
from llm_core.course.widgets import (
    AttentionMap,
    BlockParts,
    CacheCalculator,
    ComputePlanner,
    Frame,
    Frames,
    GradientSteps,
    HeadBrowser,
    MergeStepper,
    ModelCalculator,
    NextCharacter,
    Playground,
    QueryKey,
    ShapeSlider,
    Widget,
)
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import sample_story
from llm_core.tokenizer import CharacterTokenizer

STORY = sample_story(0)
COUNTS = {1: {"": Counter(STORY.text)}}
UNIFORM = [[[[1.0, 0.0], [0.5, 0.5]]]]  # (layers, heads, T, T)
UNKNOWN = [[[[1.0, 0.0], [float("nan"), 0.5]]]]
RUN = {"residual": True, "norm": "</script>", "feed_forward": True}
RUN |= {"small_outputs": False, "depth": 1}
RUN |= {"size": [1, 2], "gradient": [3, 1], "likeness": [0, 0.5]}
WORDS = CharacterTokenizer()
WORDS.train("</script> ab")


def untrained(vocab_size):
    torch.manual_seed(0)
    shape = {"d_model": 8, "num_heads": 2, "num_layers": 1, "max_seq_len": 16}
    return GPTModel(GPTConfig(vocab_size=vocab_size, **shape)).eval()


ALL = [
    Frames(lambda x: Frame(text="</script>", numbers={"y": x}), x=[1, 2]),
    AttentionMap(["a", "b"], UNIFORM),
    BlockParts([RUN], norm="</script>"),
    CacheCalculator({"</script>": PRESETS["tiny"]}, "</script>", {"a": (8, 60)}, "a"),
    ComputePlanner("GPT-3", 1e11, {"</script>": (1e4, 1e5, 16, 64)}),
    GradientSteps({" ": 4, "</script>": 3, "i": 1}),
    HeadBrowser(untrained(WORDS.vocab_size), WORDS, "</script>"),
    MergeStepper("a & </script> b"),
    ModelCalculator({"</script>": PRESETS["tiny"]}, "</script>"),
    NextCharacter(STORY, COUNTS, 5, order=1),
    Playground(untrained(WORDS.vocab_size), WORDS, "</script>"),
    QueryKey([" a", "</script>"], [(2, 0), (0, 1)], [(1, 0), (0, 1)]),
    ShapeSlider((2, 3), (1, 0)),
]
names = [type(widget).__name__ for widget in ALL]


def serving(name="a", device="a", **bits):
    """A calculator for one model on one device."""
    return CacheCalculator({"a": PRESETS["tiny"]}, name, {"a": (8, 60)}, device, **bits)


def test_every_widget_is_tried_here_and_in_a_browser():
    kinds = [getattr(widgets, name) for name in widgets.__all__]
    kinds = [kind for kind in kinds if isinstance(kind, type)]
    kinds = {kind for kind in kinds if issubclass(kind, Widget)} - {Widget}
    assert {widget.name for widget in ALL} == {kind.name for kind in kinds}
    browser = Path(__file__).with_name("browser")
    tried = {path.stem.removeprefix("test_") for path in browser.glob("test_*.py")}
    assert {kind.name for kind in kinds} <= tried


@pytest.mark.parametrize("widget", ALL, ids=names)
def test_the_page_and_jupyterlab_get_the_same_state(widget):
    data, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    text = re.search(r"<script[^>]*>(.*?)</script>", data["text/html"], re.S)[1]
    assert json.loads(text) == widget.state()
    assert not [name for name in widget.state() if name.startswith("_")]


@pytest.mark.parametrize("widget", ALL, ids=names)
def test_a_widget_can_be_read_without_its_script(widget):
    assert "<table" in widget.fallback()
    assert "</script>" not in widget.fallback()


def test_the_page_gets_classic_scripts_from_the_same_source():
    files = widgets.page_files()
    for widget in ALL:
        assert "export default { render };" in widget._esm
        script = files[f"{widget.name}.js"]
        assert "export" not in re.sub(r"//.*", "", script)
        assert f'llmWidgets["{widget.name}"] = {{ render }};' in script
        assert script.count("function element(") == 1
    assert not any("import(" in text or "fetch(" in text for text in files.values())


@pytest.mark.parametrize("widget", ALL, ids=names)
def test_no_name_is_declared_twice(widget):
    """In a page the later one would win; in JupyterLab the script would not run."""
    pattern = r"(?m)^(?:async )?(?:function\*?|const|let|class) (\w+)"
    declared = re.findall(pattern, widget._esm)
    assert sorted(set(declared)) == sorted(declared)


def test_every_styled_class_is_written_whole_somewhere():
    """The book drops the style rules of names that no page and no script spells out."""
    files = widgets.page_files()
    styles = files.pop("widgets.css")
    places = "".join([*files.values(), *(widget.to_html() for widget in ALL)])
    styled = set(re.findall(r"\.(llm-[\w-]+)", styles))
    assert styled <= set(re.findall(r"llm-[\w-]+", places))


def test_what_html_must_not_hold_is_shown_as_such():
    shown = Frames(lambda x: Frame(text=f"a\x1f\x00b\n{x}"), x=[1, 2]).to_html()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", shown)
    assert "a\ufffd\ufffdb" in shown


def test_the_future_is_not_sent():
    assert AttentionMap(["a", "b"], UNIFORM).weights == [[[[1.0], [0.5, 0.5]]]]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AttentionMap(["a"], UNIFORM), r"\(layers, heads, 1, 1\)"),
        (lambda: AttentionMap(["a", "b"], UNIFORM[0]), r"got \(1, 2, 2\)"),
        (lambda: AttentionMap(["a", "b"], UNKNOWN).to_html(), "JSON"),
        (lambda: GradientSteps({"a": 1, "b": 2}), "expected three characters"),
        (lambda: GradientSteps({"a": 1, "b": 2, "c": 0}), "counts above 0"),
        (lambda: BlockParts([]), "one run for each"),
        (lambda: BlockParts([RUN, RUN]), "each of 1 settings, got 2"),
        (lambda: BlockParts([RUN | {"size": [1]}]), r"2 values in each .* \[1, 2\]"),
        (lambda: serving(name="b"), "one of a, got 'b'"),
        (lambda: serving(device="b"), "one of a, got 'b'"),
        (lambda: serving(weight_bits=5), r"\(4, 8, 16, 32\), got 5"),
        (lambda: serving(cache_bits=0), r"\(4, 8, 16, 32\), got 0"),
        (lambda: NextCharacter(STORY, COUNTS, 5, order=2), r"1\.\.1, got 2"),
        (lambda: NextCharacter(STORY, COUNTS, 5, 1, place=-1), "place must be in"),
        (lambda: NextCharacter(STORY, COUNTS, 0, order=1), "above 0, got 0"),
        (lambda: NextCharacter(STORY, {1: {"": {"a": 1}}}, 5, 1), "know no"),
        (lambda: Playground(untrained(9), WORDS, "a"), "of 9 tokens, .* got one of 12"),
        (lambda: Playground(untrained(12), WORDS), "an empty prompt needs"),
        (lambda: Playground(untrained(12), WORDS, "z"), "'z'"),
        (lambda: QueryKey(["a"], [(1, 0)], []), "got 1, 1 and 0"),
        (lambda: QueryKey([], [], []), "got 0, 0 and 0"),
        (lambda: QueryKey(["a"], [(1, 0, 0)], [(1, 0)]), "pairs of numbers"),
    ],
)
def test_a_mistake_is_told(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("role", COLORS)
def test_a_colour_is_readable_as_text_on_its_page(role):
    light, dark = COLORS[role]
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, "#121212") >= 4.5


def test_each_meaning_has_a_colour_of_its_own():
    every = [INK, *(color for pair in COLORS.values() for color in pair)]
    assert len(set(every)) == len(every)
