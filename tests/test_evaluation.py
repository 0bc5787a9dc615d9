"""What a model has understood, against models whose understanding is known."""

from itertools import pairwise
from string import ascii_letters

import pytest
import torch

from llm_core.evaluation import (
    needed_tokens,
    next_token_scores,
    recall_by_distance,
    rivals,
    sample_documents,
    share_consistent,
)
from llm_core.generation import SamplingConfig
from llm_core.model import GPTConfig, GPTModel
from llm_core.stories import sample_stories
from llm_core.tokenizer import END_OF_TEXT, BPETokenizer, CharacterTokenizer

STORIES = list(sample_stories(12, seed=3))
TEXTS = [story.text for story in STORIES]
LETTERS = ascii_letters  # a value may begin with any


def tokenizer_of(kind):
    made = {
        "bpe": BPETokenizer(600, special_tokens=(END_OF_TEXT,)),
        "character": CharacterTokenizer(special_tokens=(END_OF_TEXT,)),
        "no start": CharacterTokenizer(),
    }[kind]
    made.train([*TEXTS, LETTERS])
    return made


class Oracle(torch.nn.Module):
    """Knows some texts by heart, and expects each next id of the one it is reading."""

    def __init__(self, tokenizer, texts, contrary=False):
        super().__init__()
        self.config = GPTConfig(
            vocab_size=tokenizer.vocab_size,
            d_model=2,
            num_heads=1,
            num_layers=1,
            max_seq_len=1024,
        )
        self.token_embedding = torch.nn.Embedding(1, 2)  # says on which device it is
        self.start = tokenizer.special_tokens.get(END_OF_TEXT)
        first = [] if self.start is None else [self.start]
        self.texts = [first + tokenizer.encode(text) + first for text in texts]
        self.sign = -1.0 if contrary else 1.0

    def forward(self, ids):
        logits = torch.zeros(*ids.shape, self.config.vocab_size)
        for row, known in enumerate(ids.tolist()):
            text = next(text for text in self.texts if text[: len(known)] == known)
            for at, id in enumerate(text[1 : len(known) + 1]):
                logits[row, at, id] = self.sign
        return logits


@pytest.mark.parametrize("kind", ["bpe", "character", "no start"])
def test_who_knows_the_text_recalls_every_fact_and_who_denies_it_none(kind):
    tokenizer = tokenizer_of(kind)
    known = recall_by_distance(Oracle(tokenizer, TEXTS), tokenizer, STORIES)
    denied = recall_by_distance(Oracle(tokenizer, TEXTS, True), tokenizer, STORIES)
    needs = sum(len(fact.needs) for story in STORIES for fact in story.facts)
    assert sum(row.total for row in known) == needs > 100
    assert all(row.right == row.total for row in known)
    assert all(row.right == 0 for row in denied)


def test_distances_follow_one_another_and_count_from_where_a_fact_is_set():
    tokenizer = tokenizer_of("character")
    rows = recall_by_distance(Oracle(tokenizer, TEXTS), tokenizer, STORIES)
    assert all(a.farthest == b.nearest for a, b in pairwise(rows))
    for row in rows:
        assert row.total == sum(
            row.nearest <= need.position - fact.set_at < row.farthest
            for story in STORIES
            for fact in story.facts
            for need in fact.needs
        )


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_rivals_part_where_the_encodings_of_the_whole_texts_part(kind):
    tokenizer = tokenizer_of(kind)
    for story in STORIES[:3]:
        ids = tokenizer.encode(story.text)
        for fact in story.facts:
            for need in fact.needs:
                end = need.position + len(need.value)
                found = list(rivals(tokenizer, story.text, need))
                assert len(found) == len(need.alternatives)
                for other, (at, true, rival) in zip(
                    need.alternatives, found, strict=True
                ):
                    changed = story.text[: need.position] + other + story.text[end:]
                    theirs = tokenizer.encode(changed)
                    assert ids[:at] == theirs[:at]
                    assert (ids[at], theirs[at]) == (true, rival)
                    assert true != rival


@pytest.mark.parametrize("kind", ["bpe", "character"])
def test_the_tokens_that_tell_a_fact_are_those_that_overlap_its_words(kind):
    tokenizer = tokenizer_of(kind)
    for story in STORIES[:3]:
        needed = needed_tokens(tokenizer, story)
        end, overlaps = 0, []
        for id in tokenizer.encode(story.text):
            start, end = end, end + len(tokenizer.decode([id]))
            overlaps.append(
                any(
                    start < need.position + len(need.value) and need.position < end
                    for fact in story.facts
                    for need in fact.needs
                )
            )
        assert needed == overlaps


def test_facts_beyond_the_context_are_left_out():
    tokenizer = tokenizer_of("character")
    model = GPTModel(
        GPTConfig(
            vocab_size=tokenizer.vocab_size,
            d_model=8,
            num_heads=2,
            num_layers=1,
            max_seq_len=64,
        )
    )
    rows = recall_by_distance(model, tokenizer, STORIES)
    assert sum(row.total for row in rows[2:]) == 0
    scores = next_token_scores(model, tokenizer, TEXTS[0])
    assert scores.shape == (64, tokenizer.vocab_size)


def test_documents_are_sampled_whole_and_the_same_for_the_same_seed():
    tokenizer = tokenizer_of("bpe")
    torch.manual_seed(0)
    model = GPTModel(
        GPTConfig(
            vocab_size=tokenizer.vocab_size,
            d_model=16,
            num_heads=2,
            num_layers=1,
            max_seq_len=32,
        )
    )
    model.token_embedding.weight.data[tokenizer.special_tokens[END_OF_TEXT]] *= 20

    def sampled():
        generator = torch.Generator().manual_seed(5)
        return sample_documents(model, tokenizer, 7, SamplingConfig(), generator)

    texts = sampled()
    assert texts == sampled()
    assert len(texts) == 7
    assert all(END_OF_TEXT not in text for text in texts)


def test_stories_are_consistent_and_other_texts_are_not():
    assert share_consistent(TEXTS) == 1.0
    assert share_consistent([TEXTS[0], "Once upon a time."]) == 0.5
