"""A story and counts in, what the counts and the oracle expect at each place out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import log2
from typing import Any

import traitlets

from llm_core.course.widgets.base import Widget, table
from llm_core.stories import Story, next_characters

Tables = Mapping[int, Mapping[str, Mapping[str, int]]]


class NextCharacter(Widget):
    """What comes next in a story, for the counts of every order and for the oracle.

    `tables[n]` says, for every order n from 1 up, how often each character followed
    each context of n - 1 characters; before a story there are only line breaks. Of
    these the page gets the contexts of this story. It mixes the orders as the chapter
    does: each counts the shorter one's distribution as `weight` observations.
    """

    story = traitlets.Unicode().tag(sync=True)
    alphabet = traitlets.Unicode().tag(sync=True)
    orders = traitlets.Int().tag(sync=True)
    weight = traitlets.Float().tag(sync=True)
    counts = traitlets.Dict().tag(sync=True)  # context -> its characters, their counts
    oracle = traitlets.List(traitlets.List()).tag(sync=True)  # the same at each place
    facts = traitlets.List(traitlets.Dict()).tag(sync=True)
    order = traitlets.Int().tag(sync=True)
    place = traitlets.Int().tag(sync=True)
    shade = traitlets.Unicode("counts").tag(sync=True)

    def __init__(
        self,
        story: Story,
        tables: Tables,
        weight: float,
        order: int = 3,
        place: int = 0,
    ) -> None:
        if not 1 <= order <= len(tables):
            raise ValueError(f"order must be in 1..{len(tables)}, got {order}")
        if not 0 <= place < len(story.text):
            raise ValueError(f"place must be in 0..{len(story.text) - 1}, got {place}")
        if not weight > 0:
            raise ValueError(f"weight must be above 0, got {weight}")
        if unknown := sorted(set(story.text) - set(tables[1][""])):
            raise ValueError(f"the counts know no {''.join(unknown)!r}")
        super().__init__(
            story=story.text,
            alphabet="".join(sorted(tables[1][""])),
            orders=len(tables),
            weight=weight,
            counts=_contexts(story.text, tables),
            oracle=_oracle(story.text),
            facts=_facts(story),
            order=order,
            place=place,
        )

    def fallback(self) -> str:
        """Return a table of what the story costs under each order and the oracle."""
        places = range(len(self.story))
        rows = [
            [f"counts, n = {n}", f"{sum(self.cost(i, n) for i in places):.1f}"]
            for n in range(1, self.orders + 1)
        ]
        exact = sum(-log2(_entry(self.oracle[i], self.story[i])) for i in places)
        rows.append(["the oracle", f"{exact:.1f}"])
        for row in rows:
            row.append(f"{float(row[1]) / len(places):.2f}")
        header = ["model", "bits", "bits per character"]
        return table(header, rows, "What the story costs, read character by character")

    def cost(self, place: int, order: int) -> float:
        """Return what the character at a place costs under the counts, in bits."""
        padded = "\n" * (order - 1) + self.story
        p = 1 / len(self.alphabet)
        for n in range(1, order + 1):
            context = padded[place + order - n : place + order - 1]
            found = self.counts.get(context, [""])
            seen = _entry(found, self.story[place]) + self.weight * p
            p = seen / (sum(found[1:]) + self.weight)
        return -log2(p)


def _entry(found: list[Any], character: str) -> float:
    """Return a character's number in a list of characters and their numbers."""
    characters, *numbers = found
    place = characters.find(character)
    return float(numbers[place]) if place >= 0 else 0.0


def _contexts(text: str, tables: Tables) -> dict[str, list[Any]]:
    """Return what followed the contexts of a text: characters, then their counts."""
    found: dict[str, list[Any]] = {}
    for n, followers in tables.items():
        length = n - 1
        padded = "\n" * length + text
        for place in range(len(text)):
            context = padded[place : place + length]
            if context in followers and context not in found:
                seen = followers[context]
                found[context] = ["".join(seen), *seen.values()]
    return found


def _oracle(text: str) -> list[list[Any]]:
    """Return the exact distribution at each place: characters, then their chances."""
    chances = [next_characters(text[:place]) for place in range(len(text))]
    return [
        ["".join(exact), *(float(f"{p:.5g}") for p in exact.values())]
        for exact in chances
    ]


def _facts(story: Story) -> list[dict[str, Any]]:
    """Return each place where a fact must be remembered, and where it was told."""
    found = [
        {
            "name": fact.name,
            "place": need.position,
            "length": len(need.value),
            "told": fact.set_at,
            "told_length": _told_length(story.text[fact.set_at :], fact.value),
        }
        for fact in story.facts
        for need in fact.needs
    ]
    return sorted(found, key=lambda need: need["place"])


def _told_length(text: str, value: str) -> int:
    """Return how long a fact is where it is told: as its value, or else one word."""
    if text.lower().startswith(value.lower()):
        return len(value)
    word = re.match(r"\w+", text)
    return len(word[0]) if word else 1
