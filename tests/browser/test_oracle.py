"""The grammar in the page gives the chances that llm_core.stories gives."""

import random

import pytest
from browser.test_model import load, trained_tokenizer

from llm_core.course.widgets.base import WEB
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import GRAMMAR, next_characters, sample_story
from llm_core.tokenizer import END_OF_TEXT, CharacterTokenizer

NAMES = "loadPacked, readGrammar, whatComesNext, oracleIds"
SHAPE = {"d_model": 8, "num_heads": 2, "num_layers": 1, "max_seq_len": 8}


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    code = "".join(
        (WEB / f"{name}.js").read_text(encoding="utf-8") for name in ("model", "oracle")
    )
    page.add_script_tag(content=f"const llm = (() => {{{code}\nreturn {{{NAMES}}}}})()")
    page.evaluate(
        "(grammar) => { globalThis.story = llm.readGrammar(grammar) }", GRAMMAR
    )
    yield page
    page.close()


def test_the_next_character_has_the_same_chances(page):
    rng = random.Random(0)
    for index in range(20):
        text = sample_story(index, seed=3).text
        prefix = text[: rng.randint(0, len(text) - 1)]
        found = page.evaluate(
            """(prefix) => Object.fromEntries(
                llm.whatComesNext(story, prefix, (beyond) => beyond[0] ?? null))""",
            prefix,
        )
        assert found == pytest.approx(next_characters(prefix), abs=1e-12)


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_the_ids_of_a_story_cost_its_bits(page, kind):
    """Each id, and the end, at its chance: together they cost what the story cost."""
    stories = [sample_story(index, seed=4) for index in range(4)]
    tokenizer = trained_tokenizer()
    if kind == "character":
        tokenizer = CharacterTokenizer(special_tokens=(END_OF_TEXT,))
        tokenizer.train("".join(sample_story(index).text for index in range(300)))
        stories = stories[:1]
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **SHAPE))
    load(page, model, tokenizer)
    for story in stories:
        bits = page.evaluate(
            """(text) => {
                const end = "<|endoftext|>";
                const ids = now.tokenizer.encode(end + text + end);
                let bits = 0;
                for (let at = 1; at < ids.length; at++) {
                    const p = llm.oracleIds(story, now.tokenizer, ids.slice(0, at));
                    bits -= Math.log2(p.get(ids[at]));
                }
                return bits;
            }""",
            story.text,
        )
        assert bits == pytest.approx(story.bits)


@pytest.mark.parametrize("text", ["Once upon a tim3", "Nobody", "Pip was a sleepy, "])
def test_a_text_that_is_no_story_has_no_chances(page, text):
    ask = "(text) => llm.whatComesNext(story, text, (beyond) => beyond[0] ?? null)"
    assert page.evaluate(ask, text) is None
