"""The playground shows and writes what the core would, whichever way it is asked."""

import copy
import re
import urllib.request
from math import prod
from pathlib import Path

import pytest
import torch
from browser.hands import drag, press, slider, visible

from llm_core.checkpoint import load_pretrained
from llm_core.course.export import to_page
from llm_core.course.page_model import quantized
from llm_core.course.widgets import Playground
from llm_core.generation import SamplingConfig, encode_prompt
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import FACTS, next_characters
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer, CharacterTokenizer

INTRO = "book/intro.html"
SHOWN = 8
SLIDERS = {"Temperature": "temperature", "Top-k": "top_k", "Top-p": "top_p"}
SLIDERS |= {"Min-p": "min_p"}


@pytest.fixture(scope="module")
def stories():
    """The model of the front page, with the weights that the page computes with."""
    model, tokenizer = load_pretrained("stories")
    return quantized(model), tokenizer


def settings_of(widget):
    """What the sliders say, as the core takes it."""
    said = {}
    for label, trait in SLIDERS.items():
        words = slider(widget, label).get_attribute("aria-valuetext")  # "2,048 (all)"
        said[trait] = float(words.split()[0].replace(",", ""))
    return SamplingConfig(**{**said, "top_k": int(said["top_k"])})


def logits_after(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]))[:, -1].double()


def filtered(model, ids, sampling):
    z = sampling.filter(logits_after(model, ids), torch.tensor([ids]))
    return z.softmax(-1)[0]


def chance(seed, place):
    """The number that the page draws with at a place: mulberry32, written once more."""
    state = (seed + (place + 1) * 0x6D2B79F5) % 2**32
    t = (state ^ state >> 15) * (state | 1) % 2**32
    t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
    return (t ^ t >> 14) / 2**32


def write(model, ids, sampling, seed, end, limit=1000):
    """What the page must write after these ids."""
    written = []
    while (not written or written[-1] != end) and len(ids) + len(written) < limit:
        before = [*ids, *written]
        p = filtered(model, before, sampling)
        below = p.cumsum(0) <= chance(seed, len(before))
        possible = p.nonzero()[:, 0]
        found = possible[~below[possible]]
        written.append(int(found[0] if len(found) else possible[-1]))
    return written


def rows_of(widget):
    """The token, its chance and the grammar's, of each row; 'cut' is no chance."""

    def number(text):
        return 0.0 if text == "cut" else float(text.strip(" %")) / 100

    found = []
    for row in widget.locator(".llm-alternatives tbody tr").all():
        chance, exact = row.locator("td").all_text_contents()[1:]
        token = row.locator("th").text_content()
        found.append((token, number(chance), number(exact) if exact else None))
    return found


def check_rows(widget, stories, ids):
    """The rows are the likeliest tokens after the ids, with their chances."""
    model, tokenizer = stories
    own = logits_after(model, ids)[0].softmax(-1)
    p = filtered(model, ids, settings_of(widget))
    shown = rows_of(widget)
    assert len(shown) == SHOWN + 1
    for (token, drawn, _), id in zip(shown, own.topk(SHOWN).indices, strict=False):
        assert token == visible(tokenizer.decode([int(id)]))
        assert drawn == pytest.approx(p[id].item(), abs=6e-4)
    assert sum(drawn for _, drawn, _ in shown) == pytest.approx(1, abs=6e-3)


def written_by(widget):
    """The text of the figure, without what stands for line ends and for the end."""
    spans = widget.locator(".llm-written span:not(.llm-end)").all_text_contents()
    return "".join(spans).replace("↵", "")


def run(widget):
    widget.get_by_role("button", name="Run", exact=True).click()
    wait_for_rest(widget)


def wait_for_rest(widget):
    widget.get_by_role("button", name="Run", exact=True).wait_for()


@pytest.fixture(params=["http", "disk"])
def intro(request, visit):
    with visit(INTRO, request.param) as page:
        yield page


def begin_with(widget, prompt):
    widget.get_by_label("How the text begins").fill(prompt)


def test_a_prompt_is_continued_as_the_core_would(intro, stories):
    model, tokenizer = stories
    widget = intro.locator(".llm-playground")
    prompt = "In a village by the sea lived a"
    begin_with(widget, prompt)
    ids = encode_prompt(tokenizer, prompt)
    check_rows(widget, stories, ids)
    widget.get_by_label("Seed", exact=True).fill("7")
    run(widget)
    expected = write(model, ids, SamplingConfig(), 7, ids[0])
    text = tokenizer.decode(expected[:-1])
    assert written_by(widget) == prompt + text
    assert widget.locator(".llm-end").text_content() == "the end"
    assert widget.get_by_role("button", name="Step", exact=True).is_disabled()


def test_each_slider_follows_the_keyboard_and_the_text_follows_it(intro, stories):
    model, tokenizer = stories
    widget = intro.locator(".llm-playground")
    prompt = "Once upon a time"
    begin_with(widget, prompt)
    ids = encode_prompt(tokenizer, prompt)
    for label, key, times in (
        ("Temperature", "ArrowLeft", 6),
        ("Top-k", "ArrowLeft", 6),
        ("Top-p", "ArrowLeft", 3),
        ("Min-p", "ArrowRight", 4),
    ):
        press(slider(widget, label), key, times)
        check_rows(widget, stories, ids)
    sampling = SamplingConfig(temperature=0.7, top_k=50, top_p=0.85, min_p=0.04)
    assert settings_of(widget) == sampling
    expected = write(model, ids, sampling, 0, ids[0], limit=len(ids) + 12)
    for _ in expected:
        widget.get_by_role("button", name="Step", exact=True).click()
    assert written_by(widget) == prompt + tokenizer.decode(expected)
    press(slider(widget, "Temperature"), "Home")
    check_rows(widget, stories, ids + expected)
    assert rows_of(widget)[0][1] == 1.0


@pytest.mark.parametrize("label", SLIDERS)
def test_each_slider_follows_the_mouse(intro, stories, label):
    widget = intro.locator(".llm-playground")
    begin_with(widget, "Far away, in a")
    control = slider(widget, label)
    before = control.input_value()
    drag(intro, control, 0.3)
    assert control.input_value() != before
    check_rows(widget, stories, encode_prompt(stories[1], "Far away, in a"))


def test_a_token_is_clicked_and_another_taken_in_its_place(visit, stories):
    model, tokenizer = stories
    with visit(INTRO) as page:
        widget = page.locator(".llm-playground")
        prompt = "Once upon a time there lived a shy baker"
        begin_with(widget, prompt)
        ids = encode_prompt(tokenizer, prompt)
        run(widget)
        at = len(ids) - 1  # the last word of the prompt
        widget.locator(f"[data-place='{at}']").click()
        check_rows(widget, stories, ids[:at])
        came = tokenizer.decode(ids[at:])
        assert widget.locator(".llm-here").text_content() == came
        assert (
            f"“{visible(came)}” stands here"
            in widget.locator(".llm-status").text_content()
        )
        marked = widget.locator(".llm-came th")
        assert marked.text_content() == visible(came)
        other = widget.locator(".llm-alternatives tr:not(.llm-came) button").nth(1)
        chosen = other.text_content().replace("␣", " ")
        other.click()
        begun = "Once upon a time there lived a shy" + chosen
        assert written_by(widget) == begun
        run(widget)
        ids = encode_prompt(tokenizer, begun)
        expected = write(model, ids, SamplingConfig(), 0, ids[0])
        assert written_by(widget) == begun + tokenizer.decode(expected[:-1])
        widget.get_by_role("button", name="Start over").click()
        assert written_by(widget) == prompt
        press(slider(widget, "Token"), "ArrowLeft")
        check_rows(widget, stories, encode_prompt(tokenizer, prompt)[:at])


def test_tokens_are_shaded_by_what_they_cost(visit, stories):
    model, tokenizer = stories
    with visit(INTRO) as page:
        widget = page.locator(".llm-playground")
        prompt = "Once upon a time there lived a purple"
        begin_with(widget, prompt)
        for place in range(1, len(ids := encode_prompt(tokenizer, prompt))):
            p = logits_after(model, ids[:place]).softmax(-1)[0, ids[place]]
            style = widget.locator(f"[data-place='{place}']").get_attribute("style")
            share = float(re.search(r"--share: ([\d.]+)%", style)[1])
            assert share == pytest.approx(min(100, -12.5 * p.log2().item()), abs=0.6)


def test_the_grammar_stands_beside_the_model_where_the_text_is_a_story(visit, stories):
    with visit(INTRO) as page:
        widget = page.locator(".llm-playground")
        prompt = "Once upon a time there was a sleepy"
        begin_with(widget, prompt)
        rows = rows_of(widget)
        assert sum(exact for _, _, exact in rows) == pytest.approx(1, abs=6e-3)
        whole = [(t.replace("␣", " "), p) for t, _, p in rows if t[1:] in FACTS["job"]]
        assert len(whole) > 2
        for word, p in whole:
            letters = [
                next_characters(prompt + word[:i])[c] for i, c in enumerate(word)
            ]
            assert p == pytest.approx(prod(letters), abs=6e-4)
        begin_with(widget, "Once upon a time there was no story like this")
        assert all(p is None for _, _, p in rows_of(widget))
        assert "grammar" not in widget.locator(".llm-status").text_content()


def test_running_can_be_stopped_and_the_page_answers_meanwhile(stage):
    """A model without an end writes until it is stopped, or to the limit."""
    tokenizer = CharacterTokenizer()
    tokenizer.train("abcdefgh ")
    torch.manual_seed(0)
    shape = {"d_model": 128, "num_heads": 4, "num_layers": 4, "max_seq_len": 64}
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    with stage(Playground(model, tokenizer, "a")) as page:
        widget = page.locator(".llm-playground")
        page.evaluate(
            """() => {
                globalThis.ticks = [];
                const tick = () => { ticks.push(performance.now()); setTimeout(tick); };
                tick();
            }"""
        )
        widget.get_by_role("button", name="Run", exact=True).click()
        page.wait_for_function(
            "document.querySelectorAll('.llm-written span').length > 5"
        )
        press(slider(widget, "Temperature"), "ArrowLeft")
        widget.get_by_role("button", name="Stop", exact=True).click()
        length = len(written_by(widget))
        assert 5 < length < 1000
        ticks = page.evaluate("ticks.length")
        assert ticks > 5  # the page was never held for long
        assert len(written_by(widget)) == length
        run(widget)
        assert len(written_by(widget)) == 1000
        assert widget.get_by_role("button", name="Run", exact=True).is_disabled()


HOSTILE = "<script>fail()</script><img src=x onerror=fail()> \u202eאבג שלום 👍🏽 a"


def loop_of(text):
    """A model that has learned nothing but to repeat a text, and its tokenizer."""
    tokenizer = BPETokenizer(256 + 1, special_tokens=(END_OF_TEXT,))
    tokenizer.train("a")
    ids = tokenizer.encode(text)
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        d_model=128,
        num_heads=2,
        num_layers=1,
        max_seq_len=256,
        tie_embeddings=False,
        norm="rms",
        bias=False,
        positions="learned",
    )
    model = GPTModel(config).eval()
    with torch.no_grad():
        # Each position knows by heart which byte comes next.
        for name, weight in model.named_parameters():
            if name.startswith("blocks") and weight.ndim == 2:
                weight.zero_()
        model.token_embedding.weight.zero_()
        model.positions.zero_()
        model.positions[:128] = torch.eye(128)
        model.head.weight.zero_()
        for place, id in enumerate(ids):
            model.head.weight[id, place] = 9.0
    return model, tokenizer, len(ids)


def test_hostile_text_is_shown_as_text(stage):
    model, tokenizer, length = loop_of(HOSTILE)
    with stage(Playground(model, tokenizer)) as page:
        widget = page.locator(".llm-playground")
        page.evaluate("() => { globalThis.fail = () => console.error('it ran') }")
        press(slider(widget, "Temperature"), "Home")
        for _ in range(length):
            widget.get_by_role("button", name="Step", exact=True).click()
        assert written_by(widget) == HOSTILE
        assert widget.locator(".llm-written :is(script, img)").count() == 0
        emoji = widget.locator(".llm-written span", has_text="👍")
        assert emoji.count() == 1
        place = int(emoji.get_attribute("data-place"))
        look = slider(widget, "Token")
        press(look, "ArrowLeft", int(look.input_value()) - place + 1)
        assert rows_of(widget)[0][0] == "⟨91⟩"  # a part of the emoji
        begin_with(widget, "<b>bold</b> \u202e")
        assert widget.locator(".llm-written b").count() == 0


def abc():
    """A model of nothing, and a tokenizer that knows three letters."""
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    shape = {"d_model": 8, "num_heads": 2, "num_layers": 1, "max_seq_len": 8}
    return GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **shape)), tokenizer


AS_JUPYTERLAB = """async ([code, state, weights]) => {
    const bytes = Uint8Array.from([0, 0, 0, 0, ...weights, 9]).buffer;
    state.weights = new DataView(bytes, 4, weights.length); // amid a larger message
    const listeners = [];
    const model = {
        get: (name) => state[name],
        set(name, value) {
            if (state[name] === value) return;
            state[name] = value;
            const changed = listeners.filter(([event]) => event === `change:${name}`);
            for (const [, tell] of changed) tell();
        },
        on: (event, listener) => listeners.push([event, listener]),
        save_changes() { globalThis.saved = { ...state }; },
    };
    const module = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { default: widget } = await import(module);
    const el = document.createElement("div");
    el.className = "llm-playground";
    document.body.append(el);
    globalThis.leave = await widget.render({ model, el });
}"""


def test_it_runs_as_jupyterlab_runs_it(browser):
    """As a module, its weights in bytes, its text told to the kernel."""
    model, tokenizer = abc()
    playground = Playground(model, tokenizer, "ab")
    names = set(playground.state()) - {"shared", "weights"}
    state = {name: getattr(playground, name) for name in names}
    page = browser.new_page()
    page.evaluate(AS_JUPYTERLAB, [playground._esm, state, list(playground.weights)])
    widget = page.locator(".llm-playground")
    for _ in range(3):
        widget.get_by_role("button", name="Step", exact=True).click()
    text = written_by(widget)
    assert len(text) == 5
    assert page.evaluate("saved.text") == text
    for control in widget.locator("input, textarea, button, [tabindex]").all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"
    page.evaluate("leave()")
    page.close()


def test_what_cannot_be_read_is_told(stage):
    model, tokenizer = abc()
    with stage(Playground(model, tokenizer, "ab")) as page:
        widget = page.locator(".llm-playground")
        said = widget.locator(".llm-status")
        begin_with(widget, "abd")
        assert "never seen the character “d”" in said.text_content()
        assert widget.get_by_role("button", name="Run", exact=True).is_disabled()
        begin_with(widget, "")
        assert "type how the text begins" in said.text_content()
        begin_with(widget, "abcabcabcabcab")  # longer than the context
        assert "can be drawn" in said.text_content()
        assert widget.locator(".llm-unread").count() == 11
        widget.get_by_role("button", name="Step", exact=True).click()
        assert len(written_by(widget)) == 15


@pytest.mark.parametrize("width", [1280, 390])
def test_an_exported_page_works_from_the_disk(visit, addresses, stories, width):
    """With a reader's own model, and with one that the book's pages share."""
    folder = Path(urllib.request.url2pathname(addresses["stage"][len("file:") :]))
    shipped, tokenizer = load_pretrained("stories")
    own = copy.deepcopy(shipped)
    with torch.no_grad():
        own.token_embedding.weight *= 1.01
    for model in (shipped, own):
        page = to_page(model, tokenizer, "Far away, in a", "A <model>")
        (folder / "exported.html").write_text(page, encoding="utf-8")
        with visit("exported.html", "stage", width=width) as page:
            assert page.locator("h1").text_content() == "A <model>"
            widget = page.locator(".llm-playground")
            ids = encode_prompt(tokenizer, "Far away, in a")
            check_rows(widget, (quantized(model), tokenizer), ids)
            run(widget)
            assert widget.locator(".llm-end").count() == 1
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_is_fetched_once_the_page_is_there(visit):
    with visit(INTRO) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        run(page.locator(".llm-playground"))
        assert asked == []


def test_it_can_be_used_on_a_telephone(visit):
    with visit(INTRO, width=390, touch=True) as page:
        widget = page.locator(".llm-playground")
        widget.get_by_role("button", name="Another seed").tap()
        wait_for_rest(widget)
        widget.locator(".llm-written span").nth(9).tap()
        widget.locator(".llm-alternatives button").nth(1).tap()
        assert widget.locator(".llm-written span").count() == 10
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
