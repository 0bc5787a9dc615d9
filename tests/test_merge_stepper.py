"""The stepper's fallback, for readers without JavaScript, says what the core learns."""

import html
import re

from llm_core.course.widgets import MergeStepper
from llm_core.tokenizer import GPT2_PATTERN, count_words, train_merges

TEXT = "sing song, sings & singing"


def test_the_fallback_lists_the_merges_that_the_core_learns():
    vocabulary = [bytes([byte]) for byte in range(256)]
    for left, right in train_merges(count_words([TEXT], GPT2_PATTERN), 10):
        vocabulary.append(vocabulary[left] + vocabulary[right])
    expected = [token.decode().replace(" ", "␣") for token in vocabulary[256:]]
    table = html.unescape(MergeStepper(TEXT).fallback())
    rows = re.findall(r"<tr>(.*?)</tr>", table)[1:]
    shown = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    assert [new for _, _, new, _ in shown] == expected
    assert [left + right for left, right, _, _ in shown] == expected


def test_the_page_gets_the_text_and_the_step():
    page = MergeStepper(TEXT, step=2).to_html()
    assert '"step":2' in page
    assert '"text":"sing song, sings & singing"' in page
    assert "sings &amp; singing" in page
