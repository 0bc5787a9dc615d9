"""The merge stepper learns what the core's own trainer learns."""

import pytest
from browser.hands import drag, press, slider, state_of, visible

from llm_core.tokenizer import GPT2_PATTERN, count_words, train_merges

TOKENIZATION = "notebooks/02_tokenization.html"


def learned_tokens(text):
    """What the core's own trainer learns from a text, as the page writes tokens."""
    tokens = [bytes([byte]) for byte in range(256)]
    for left, right in train_merges(count_words([text], GPT2_PATTERN), 60):
        tokens.append(tokens[left] + tokens[right])
    return [written(token) for token in tokens[256:]]


def written(token):
    try:
        return visible(token.decode())
    except UnicodeDecodeError:
        return f"‹{token.hex(' ')}›"


TEXTS = (
    None,  # the one that the chapter begins with
    "the cat, the hat",
    "日本の日本 naïve naïve 👍🏽👍🏽",
    "we'll 10 100\n\n  x",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_the_merge_stepper_learns_what_the_core_learns(visit, host, text):
    with visit(TOKENIZATION, host) as page:
        widget = page.locator(".llm-merge-stepper")
        if text is None:
            text = state_of(widget)["text"]
        else:
            widget.get_by_role("textbox").fill(text)
        press(slider(widget, "Merges"), "End")
        shown = widget.locator(".llm-learned .llm-box").all_text_contents()
        assert shown == learned_tokens(text)


def test_the_merge_stepper_steps_with_its_buttons(visit):
    with visit(TOKENIZATION) as page:
        widget = page.locator(".llm-merge-stepper")
        tokens = learned_tokens(state_of(widget)["text"])
        for _ in range(3):
            widget.get_by_role("button", name="Merge").click()
        widget.get_by_role("button", name="Back").click()
        shown = widget.locator(".llm-learned .llm-box").all_text_contents()
        assert shown == tokens[:2]


def test_the_merges_slider_follows_the_mouse(visit):
    with visit(TOKENIZATION) as page:
        widget = page.locator(".llm-merge-stepper")
        merges = slider(widget, "Merges")
        tokens = learned_tokens(state_of(widget)["text"])
        for share in (0.8, 0.2):
            drag(page, merges, share)
            reached = int(merges.input_value())
            assert reached == pytest.approx(share * len(tokens), abs=0.1 * len(tokens))
            shown = widget.locator(".llm-learned .llm-box").all_text_contents()
            assert shown == tokens[:reached]
