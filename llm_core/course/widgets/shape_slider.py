"""A shape and an order of its axes in, where each number then stands out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
import traitlets

from llm_core.course.widgets.base import Widget, table


class ShapeSlider(Widget):
    """Which number stands where: a small tensor, its axes reordered, and its storage.

    The tensor x holds 0, 1, 2, … in the order of its storage. The reader chooses its
    shape, the order of its axes as `x.permute` takes it, and a shape to view the result
    as; beside it stands `x.view`, which has the same shape and leaves the order alone.

    Raises ValueError unless `shape` has two to four sizes of at least 2, at most 48
    numbers in all, and `order` has each of its axes once.
    """

    shapes = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    shape = traitlets.Int().tag(sync=True)  # an index into `shapes`
    order = traitlets.Int().tag(sync=True)  # an index into the sorted orders
    target = traitlets.Int(-1).tag(sync=True)  # into [the flat shape, *shapes], or none
    element = traitlets.Int(0).tag(sync=True)  # in reading order

    def __init__(
        self,
        shape: Sequence[int] = (3, 2, 4),
        order: Sequence[int] = (1, 0, 2),
        element: int = 0,
    ) -> None:
        size = math.prod(shape)
        if not (2 <= len(shape) <= 4 and min(shape) >= 2 and size <= 48):
            raise ValueError(
                "shape must have two to four sizes of at least 2, and at most 48 "
                f"numbers, got {tuple(shape)}"
            )
        if sorted(order) != list(range(len(shape))):
            raise ValueError(
                f"order must have each of {len(shape)} axes once, got {tuple(order)}"
            )
        found = sorted(factorizations(size), key=lambda s: (len(s), s))
        shapes = [list(s) for s in found if 2 <= len(s) <= 4]
        super().__init__(
            shapes=shapes,
            shape=shapes.index(list(shape)),
            order=list(permutations(range(len(shape)))).index(tuple(order)),
            element=element,
        )

    def fallback(self) -> str:
        """Return a table of the reordered numbers beside the plain view."""
        shape = self.shapes[self.shape]
        order = list(permutations(range(len(shape))))[self.order]
        x = np.arange(math.prod(shape)).reshape(shape)
        y = x.transpose(order)
        view = x.reshape(y.shape)
        rows = [
            (f"[{', '.join(map(str, index))}, :]", words(y[index]), words(view[index]))
            for index in np.ndindex(y.shape[:-1])
        ]
        names = f"x.permute{order}", f"x.view{y.shape}"
        caption = f"x has the shape {tuple(shape)} and holds 0, 1, 2, … in storage"
        return table(["index", *names], rows, caption)


def factorizations(size: int) -> Iterator[tuple[int, ...]]:
    """Yield every shape of so many numbers whose sizes are at least 2.

    >>> sorted(factorizations(8))
    [(2, 2, 2), (2, 4), (4, 2), (8,)]
    """
    if size > 1:
        yield (size,)
    for first in range(2, size):
        if size % first == 0:
            yield from ((first, *rest) for rest in factorizations(size // first))


def words(numbers: np.ndarray) -> str:
    """Return a row of numbers as a text."""
    return " ".join(map(str, numbers))
