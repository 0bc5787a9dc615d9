"""A model card's numbers in, the card as a page of Markdown out.

`card.json` beside each shipped model holds what was done and measured; `CARD.md` is
written from it, so that no number stands in two places by hand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Card = Mapping[str, Any]


def describe(card: Card) -> str:
    """Write a model's card: what it is, how it was made, how good it is, its limits."""
    sections = [
        f"# The model “{card['name']}”",
        card["purpose"],
        f"## Shape\n\n{_shape(card)}",
        f"## Training\n\n{_training(card)}",
        f"## Measured\n\n{_measured(card['measured'])}",
        f"## Limits\n\n{card['limits']}",
    ]
    return "\n\n".join(sections) + "\n"


def _shape(card: Card) -> str:
    config = card["config"]
    rows = [(name, value) for name, value in config.items() if value is not None]
    table = _table(("setting", "value"), [(f"`{n}`", f"{v}") for n, v in rows])
    return f"{card['parameters']:,} parameters, kept in half precision.\n\n{table}"


def _training(card: Card) -> str:
    phases = card["phases"]
    read = "\n".join(f"{n}. {phase['lessons']}" for n, phase in enumerate(phases, 1))
    rows = [
        (f"`{key}`", *(str(phase[key]) for phase in phases))
        for key in phases[0]
        if key != "lessons"
    ]
    columns = [f"phase {number}" for number in range(1, len(phases) + 1)]
    table = _table(("setting", *columns), rows)
    made = (
        f"`make pretrained` makes it again; that took {card['cpu_seconds'] / 60:.0f} "
        f"minutes of processor time on {card['machine']} with Python {card['python']} "
        f"and PyTorch {card['torch']}."
    )
    return f"It read, one after the other:\n\n{read}\n\n{table}\n\n{made}"


def _measured(measured: Card) -> str:
    parts = [f"{measured['bits_per_character']:.4f} bits per character on new text."]
    in_8_bits = measured.get("in_8_bits")
    if in_8_bits:
        parts[0] += (
            f" With matrices of 8 bits, as pages have them, it takes "
            f"{in_8_bits['bits_per_character']:.4f}."
        )
    if "floor" in measured:
        floor, error = measured["floor"], measured["floor_standard_error"]
        parts.append(f"The floor of that text is {floor:.4f} ± {error:.4f}.")
    if "right_when_new" in measured:
        new, again = measured["right_when_new"], measured["right_when_repeated"]
        parts.append(
            f"It guesses {100 * new:.1f} % of the letters that are new, and "
            f"{100 * again:.1f} % of those that repeat an earlier stretch."
        )
    if "recall" in measured:
        rows = [
            (
                f"{row['nearest']} to {row['farthest']}",
                f"{row['right']} of {row['total']}",
                f"{100 * row['right'] / row['total']:.1f} %",
            )
            for row in measured["recall"]
        ]
        names = ("characters since a fact was set", "recalled", "share")
        parts.append(_table(names, rows))
    if "consistent_at_temperature" in measured:
        parts.append(_consistent(measured))
    return "\n\n".join(parts)


def _consistent(measured: Card) -> str:
    header = ["temperature", f"consistent among {measured['sampled']} samples"]
    columns = [measured["consistent_at_temperature"]]
    if "in_8_bits" in measured:
        header.append("in 8 bits")
        columns.append(measured["in_8_bits"]["consistent_at_temperature"])
    rows = [
        (t, *(f"{100 * shares[t]:.1f} %" for shares in columns)) for t in columns[0]
    ]
    return _table(header, rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
