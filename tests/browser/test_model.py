"""The model in the page computes what the model in Python computes."""

import base64
import random

import pytest
import torch

from llm_core.checkpoint import load_pretrained
from llm_core.course.page_model import pack, quantized
from llm_core.course.widgets.base import WEB
from llm_core.generation import SamplingConfig, generate
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import sample_story
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer, CharacterTokenizer

SHAPE = {"d_model": 24, "num_heads": 4, "num_layers": 2, "max_seq_len": 16}
SHAPES = {
    "GPT-2": {},
    "LLaMA": {
        "num_kv_heads": 2,
        "positions": "rotary",
        "norm": "rms",
        "feed_forward": "swiglu",
        "bias": False,
        "tie_embeddings": False,
        "d_ff": 31,
    },
    "sinusoidal": {"positions": "sinusoidal", "qk_norm": True},
    "only attention": {"feed_forward": "none", "positions": "rotary"},
    "squared ReLU": {"feed_forward": "relu2", "norm": "rms", "num_kv_heads": 1},
}
FUNCTIONS = "Writer, filterLogits, loadPacked, randomFrom, drawId, softmax"
TEXTS = [
    "",
    "Once upon a time there lived a shy baker.",
    "it's  we'll\n\n\tx 1234 + 五五 Ünï 👍🏽 \u0085\u00a0\u1c80\ufeff\x1c end ",
    "constructor __proto__ <|endoftext|>Do<|endoftext|>",
    *(sample_story(index, seed=5).text for index in range(3)),
]


def random_model(seed=0, **shape):
    """A model whose weights are large enough that no two logits nearly tie."""
    torch.manual_seed(seed)
    model = GPTModel(GPTConfig(vocab_size=300, **SHAPE, **shape)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0 if parameter.ndim == 2 else 1.0, 0.3)
    return model


def trained_tokenizer():
    tokenizer = BPETokenizer(300, special_tokens=(END_OF_TEXT,))
    tokenizer.train("".join(sample_story(index).text for index in range(50)))
    return tokenizer


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    code = (WEB / "model.js").read_text(encoding="utf-8")
    page.add_script_tag(
        content=f"const llm = (() => {{{code}\nreturn {{{FUNCTIONS}}}}})()"
    )
    yield page
    page.close()


def load(page, model, tokenizer):
    packed = pack(model, tokenizer)
    weights = base64.b64encode(packed.weights).decode()
    page.evaluate(
        "([header, weights]) => { globalThis.now = llm.loadPacked(header, weights); }",
        [packed.header, weights],
    )


def logits_in_page(page, ids):
    """Read ids one by one, and return the scores after each."""
    return torch.tensor(
        page.evaluate(
            """(ids) => {
                const cache = now.model.newCache();
                return ids.map((id) => [...now.model.score(now.model.read(id, cache))]);
            }""",
            ids,
        )
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_of_random_models_are_equal(page, shape):
    model = random_model(**SHAPES[shape])
    load(page, model, trained_tokenizer())
    ids = random.Random(shape).choices(range(300), k=SHAPE["max_seq_len"])
    with torch.no_grad():
        expected = quantized(model)(torch.tensor([ids]))[0]
    assert torch.allclose(logits_in_page(page, ids), expected, atol=1e-3, rtol=1e-4)


def test_the_shipped_model_has_the_same_logits_on_random_prompts(page):
    model, tokenizer = load_pretrained("stories")
    load(page, model, tokenizer)
    rng = random.Random(0)
    for index in range(5):
        text = sample_story(index, seed=77).text
        ids = tokenizer.encode(END_OF_TEXT + text[: rng.randint(1, 700)])
        with torch.no_grad():
            expected = quantized(model)(torch.tensor([ids]))[0]
        assert (logits_in_page(page, ids) - expected).abs().max() < 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_greedy_ids_are_equal_also_past_the_last_position(page, shape):
    model = random_model(seed=1, **SHAPES[shape])
    load(page, model, trained_tokenizer())
    prompt = random.Random(shape).choices(range(300), k=5)
    expected = generate(quantized(model), torch.tensor([prompt]), 40, temperature=0.0)
    ids = page.evaluate(
        """(prompt) => {
            const writer = new llm.Writer(now.model, prompt);
            for (let i = 0; i < 40; i++) {
                const { logits } = writer;
                writer.push(logits.indexOf(Math.max(...logits)));
            }
            return writer.ids;
        }""",
        prompt,
    )
    assert ids == expected[0].tolist()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 40])
def test_a_text_taken_back_and_written_anew_has_the_scores_of_a_new_one(page, length):
    """Whatever was there before, and whether or not it was longer than the context."""
    model = random_model(seed=3)
    load(page, model, trained_tokenizer())
    rng = random.Random(length)
    ids = rng.choices(range(300), k=length)
    expected = generate(quantized(model), torch.tensor([ids]), 20, temperature=0.0)
    for before in (0, 3, 16, 30, 60):
        shared = min(before, rng.randint(1, length))
        other = ids[:shared] + rng.choices(range(300), k=before - shared)
        written = page.evaluate(
            """([before, prompt, there]) => {
                const { model } = now;
                const best = (z) => z.indexOf(Math.max(...z));
                const writer = new llm.Writer(model, before);
                for (let i = 0; i < 9; i++) writer.push(best(writer.logits));
                writer.rewrite(prompt);
                for (let i = 0; i < 20; i++) writer.push(best(writer.logits));
                writer.cut(prompt.length + there);
                for (let i = there; i < 20; i++) writer.push(best(writer.logits));
                return writer.ids;
            }""",
            [other or [0], ids, rng.randint(0, 20)],
        )
        assert written == expected[0].tolist()


@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_text_becomes_the_same_ids_and_comes_back(page, kind):
    if kind == "bpe":
        tokenizer = trained_tokenizer()
    else:
        tokenizer = CharacterTokenizer(special_tokens=(END_OF_TEXT,))
        tokenizer.train("".join(TEXTS))
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **SHAPE))
    load(page, model, tokenizer)
    rng = random.Random(1)
    texts = TEXTS.copy()
    if kind == "bpe":
        signs = "ab  \n\t'.é五1👍"
        texts += ["".join(rng.choices(signs, k=rng.randint(1, 30))) for _ in range(300)]
    for text in texts:
        ids = page.evaluate("(text) => now.tokenizer.encode(text)", text)
        assert ids == tokenizer.encode(text), text
        assert page.evaluate("(ids) => now.tokenizer.decode(ids)", ids) == text


def test_an_unknown_character_is_told(page):
    tokenizer = CharacterTokenizer()
    tokenizer.train("abc")
    load(page, GPTModel(GPTConfig(vocab_size=3, **SHAPE)), tokenizer)
    said = page.evaluate(
        "() => { try { now.tokenizer.encode('abd') } catch (e) { return e.message } }"
    )
    assert said == "the model has never seen the character “d”"


def random_settings(rng):
    return {
        "temperature": rng.choice([0.0, 0.3, 1.0, 1.7]),
        "top_k": rng.choice([None, 1, 5, 400]),
        "top_p": rng.choice([None, 0.0, 0.4, 0.9, 1.0]),
        "min_p": rng.choice([None, 0.05, 0.5]),
        "repetition_penalty": rng.choice([1.0, 1.3]),
    }


def test_the_filters_leave_what_pythons_leave(page):
    rng = random.Random(2)
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        logits = 3 * torch.randn(1, 50, generator=generator, dtype=torch.float64)
        logits[0, 7] = logits[0, 3]  # a tie
        ids, settings = rng.choices(range(50), k=6), random_settings(rng)
        kept = SamplingConfig(**settings).filter(logits, torch.tensor([ids]))
        shown = page.evaluate(
            "([z, ids, s]) => [...llm.softmax(llm.filterLogits(z, ids, s))]",
            [logits[0].tolist(), ids, settings],
        )
        expected = kept.softmax(dim=-1)[0]
        assert torch.allclose(torch.tensor(shown).double(), expected, atol=1e-9)


def test_draws_follow_the_distribution_and_the_seed(page):
    p = [0.5, 0.0, 0.3, 0.2]
    draws = """([p, seed]) => {
        const chance = llm.randomFrom(seed);
        return Array.from({ length: 20000 }, () => llm.drawId(p, chance()));
    }"""
    drawn = page.evaluate(draws, [p, 7])
    assert drawn == page.evaluate(draws, [p, 7])
    assert drawn != page.evaluate(draws, [p, 8])
    counts = [drawn.count(id) for id in range(4)]
    assert counts[1] == 0
    assert fits(p, counts)
    across = """([p, skipped]) => Array.from({ length: 20000 },
        (_, seed) => llm.drawId(p, llm.randomFrom(seed, skipped)()))"""
    first_of_each = page.evaluate(across, [p, 3])
    assert first_of_each[7] == drawn[3]
    assert fits(p, [first_of_each.count(id) for id in range(4)])


def fits(p, counts):
    """Pearson's chi-squared with two degrees of freedom, wrong once in 1000 times."""
    pairs = [(n, 20000 * q) for n, q in zip(counts, p, strict=True) if q]
    return sum((count - mean) ** 2 / mean for count, mean in pairs) < 13.8


def test_a_pattern_that_the_page_does_not_know_is_refused():
    tokenizer = BPETokenizer(260, pattern=r"[\s\S]")
    tokenizer.train("abab")
    model = GPTModel(GPTConfig(vocab_size=tokenizer.vocab_size, **SHAPE))
    with pytest.raises(ValueError, match="GPT2_PATTERN only"):
        pack(model, tokenizer)
