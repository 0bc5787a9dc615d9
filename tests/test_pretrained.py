"""The models that ship: small enough, and as good as their cards say."""

import json
from dataclasses import asdict

import pytest
import torch

from llm_core.checkpoint import PRETRAINED, load_pretrained
from llm_core.course.cards import describe
from llm_core.course.pretrain import RECIPES, asks_in_rare_words, says_wrong_place
from llm_core.stories import sample_stories

NAMES = sorted(path.name for path in PRETRAINED.iterdir() if path.is_dir())


def card_of(name):
    return json.loads((PRETRAINED / name / "card.json").read_text(encoding="utf-8"))


def test_the_stories_model_ships_and_every_model_has_a_recipe():
    assert "stories" in NAMES
    assert set(NAMES) <= set(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_at_most_two_megabytes(name):
    assert sum(path.stat().st_size for path in (PRETRAINED / name).iterdir()) <= 2e6


@pytest.mark.parametrize("name", NAMES)
def test_a_card_describes_the_model_and_the_recipe_beside_it(name):
    model, tokenizer = load_pretrained(name)
    card, recipe = card_of(name), RECIPES[name]
    assert card["config"] == asdict(model.config)
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert card["limits"] == recipe.limits
    assert card["purpose"] == recipe.purpose
    phases = [{"lessons": p.lessons, **asdict(p.config)} for p in recipe.phases]
    assert card["phases"] == json.loads(json.dumps(phases))
    assert tokenizer.vocab_size == model.config.vocab_size
    assert model.token_embedding.weight.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_the_card_to_read_says_what_was_measured(name):
    text = (PRETRAINED / name / "CARD.md").read_text(encoding="utf-8")
    assert text == describe(card_of(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_measuring_again_gives_the_numbers_of_the_card(name):
    said = card_of(name)["measured"]
    measured = RECIPES[name].measure(*load_pretrained(name))
    agree(measured.pop("in_8_bits", {}), said.pop("in_8_bits", {}))
    agree(measured, said)


def agree(measured, said):
    assert measured.keys() == said.keys()
    shares = said.pop("consistent_at_temperature", {})
    for temperature, share in shares.items():
        # Sums in another order may turn a draw; a sample of 200 tells 10 % at best.
        again = measured["consistent_at_temperature"][temperature]
        assert again == pytest.approx(share, abs=0.1)
    for was, row in zip(
        said.pop("recall", []), measured.get("recall", ()), strict=True
    ):
        assert row["total"] == was["total"]
        assert row["right"] == pytest.approx(was["right"], abs=2)
    for key, number in said.items():
        assert measured[key] == pytest.approx(number, rel=2e-3)


def test_a_card_tells_what_8_bits_cost():
    card = card_of("stories")
    shares = {"0.5": 0.125, "0.8": 0.25, "1.0": 0.5}
    cost = {"bits_per_character": 0.4321, "consistent_at_temperature": shares}
    text = describe({**card, "measured": {**card["measured"], "in_8_bits": cost}})
    assert "as pages have them, it takes 0.4321." in text
    assert "| 12.5 % |" in text


def fact(story, name):
    return next((fact for fact in story.facts if fact.name == name), None)


def test_stories_with_a_wrong_place_tell_of_two_places():
    lessons = list(filter(says_wrong_place, sample_stories(100, seed=5)))
    assert lessons
    for story in lessons:
        place = fact(story, "place")
        assert place.value in story.text
        assert any(other in story.text for other in place.alternatives)


def test_rare_words_are_those_of_the_helper_who_is_silent_or_has_the_thing():
    stories = sample_stories(300, seed=5)
    lessons = [story for story in stories if asks_in_rare_words(story)]
    assert 0 < len(lessons) < 60
    for story in lessons:
        helper, colour = fact(story, "helper").value, fact(story, "colour").value
        assert f". The {helper} " in story.text or f" had the {colour} " in story.text
