"""The head browser reads any sentence as the core would, and shows every head."""

import pytest
import torch
from browser.hands import drag, press, slider, state_of, visible

from llm_core.checkpoint import load_pretrained
from llm_core.course.inspect import attention_maps
from llm_core.course.page_model import quantized
from llm_core.course.widgets import HeadBrowser
from llm_core.generation import encode_prompt
from llm_core.model import GPTConfig, GPTModel
from llm_core.tokenizer import END_OF_TEXT, CharacterTokenizer

BEGUN = "Once upon a time there was a shy baker."
OWN = "The owl had a green hat, and the toad a red one."


@pytest.fixture(scope="module")
def stories():
    """The model that ships, and the one that the page computes with."""
    model, tokenizer = load_pretrained("stories")
    return model, quantized(model), tokenizer


@pytest.fixture
def browser_on(stage, stories):
    with stage(HeadBrowser(stories[0], stories[2], BEGUN, layer=1, head=2)) as page:
        yield page


def table_of(widget):
    """The map's table: the names of its rows, and their numbers."""
    if widget.locator("details:not([open])").count():
        widget.locator("summary").click()
    rows = widget.locator("details tbody tr").all()
    names = [row.locator("th").text_content() for row in rows]
    cells = [row.locator("td").all_text_contents() for row in rows]
    return names, [[float(cell) for cell in row] for row in cells]


def check_map(widget, stories, text, layer, head):
    """The map on show is the one that Python computes with the same weights."""
    _, rounded, tokenizer = stories
    ids = encode_prompt(tokenizer, text)[:96]
    maps = attention_maps(rounded, torch.tensor([ids]))[0, layer, head]
    names, numbers = table_of(widget)
    assert names == ["start", *(visible(tokenizer.decode([i])) for i in ids[1:])]
    for row, (expected, got) in enumerate(zip(maps.tolist(), numbers, strict=True)):
        weights = [100 * weight for weight in expected[: row + 1]]
        assert got == pytest.approx(weights, abs=0.11)
    # A cell's shade is the root of its weight; one rectangle more marks the reader.
    shades = widget.locator(".llm-map rect").evaluate_all(
        "all => all.map((cell) => parseFloat(cell.style.getPropertyValue('--weight')))"
    )
    drawn = [
        100 * w**0.5
        for row, whole in enumerate(maps.tolist())
        for w in whole[: row + 1]
    ]
    assert shades[:-1] == pytest.approx(drawn, abs=0.6)


def type_into(widget, text):
    count = len(text)
    widget.get_by_label("Your sentence").fill(text)
    widget.page.wait_for_timeout(600)
    return count


def test_every_head_of_the_first_sentence_can_be_seen(browser_on, stories):
    widget = browser_on.locator(".llm-head-browser")
    assert state_of(widget)["shared"] == "model_stories"
    check_map(widget, stories, BEGUN, 1, 2)
    heads = widget.locator(".llm-head")
    assert heads.count() == 16
    for number in (0, 7, 15):
        heads.nth(number).click()
        check_map(widget, stories, BEGUN, *divmod(number, 4))


def test_a_sentence_of_ones_own_is_read_by_the_head_on_show(browser_on, stories):
    widget = browser_on.locator(".llm-head-browser")
    widget.get_by_role("combobox", name="Layer").select_option(index=0)
    type_into(widget, OWN)
    check_map(widget, stories, OWN, 0, 2)
    ids = encode_prompt(stories[2], OWN)
    assert (
        f"{len(ids)} tokens are read."
        in widget.locator(".llm-status").all_text_contents()
    )
    token = slider(widget, "Reading token")
    press(token, "ArrowLeft", 3)
    assert token.input_value() == str(len(ids) - 4)
    drag(browser_on, token, 0.3)
    reader = int(token.input_value())
    assert reader == pytest.approx(0.3 * len(ids), abs=2)
    name = visible(stories[2].decode([ids[reader]]))
    said = widget.locator(".llm-status").all_text_contents()
    assert any(sentence.startswith(f"“{name}” reads") for sentence in said)
    assert token.get_attribute("data-lm-suppress-shortcuts") == "true"


@pytest.mark.parametrize(
    "text", ["", "<script>alert(1)</script> 👍🏽 \u202e Ünï\n\n\tx <|endoftext|> z"]
)
def test_any_text_can_be_typed(browser_on, stories, text):
    widget = browser_on.locator(".llm-head-browser")
    type_into(widget, text)
    ids = encode_prompt(stories[2], text)
    names, _ = table_of(widget)
    assert len(names) == len(ids)


def test_of_a_long_text_the_beginning_is_read(browser_on, stories):
    widget = browser_on.locator(".llm-head-browser")
    type_into(widget, 20 * OWN)
    said = " ".join(widget.locator(".llm-status").all_text_contents())
    assert f"The first 96 of {len(encode_prompt(stories[2], 20 * OWN))} tokens" in said
    assert len(table_of(widget)[0]) == 96


def test_a_model_of_ones_own_says_what_it_cannot_read(stage):
    tokenizer = CharacterTokenizer(special_tokens=(END_OF_TEXT,))
    tokenizer.train("abc")
    torch.manual_seed(0)
    shape = {"d_model": 8, "num_heads": 2, "num_layers": 1, "max_seq_len": 16}
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **shape)).eval()
    with stage(HeadBrowser(model, tokenizer, "abba")) as page:
        widget = page.locator(".llm-head-browser")
        assert len(table_of(widget)[0]) == 5
        type_into(widget, "abx")
        said = widget.locator(".llm-status").first.text_content()
        assert "never seen the character “x”" in said
        type_into(widget, "ab")
        assert len(table_of(widget)[0]) == 3
