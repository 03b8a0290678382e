"""A small picture of numbers in a row, drawn on the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 60
MOST = 120
"""Bars; of more numbers, as many as are needed share one."""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float


def bars(numbers: Sequence[float]) -> tuple[Bar, ...]:
    """From left to right; the highest fills the picture."""
    together = -(-len(numbers) // MOST) or 1
    sums = [sum(numbers[first : first + together]) for first in range(0, len(numbers), together)]
    if not sums:
        return ()
    step, most = WIDTH / len(sums), max(sums) or 1
    gap = min(3.0, step * 0.2)
    return tuple(_bar(place * step, step - gap, number / most) for place, number in enumerate(sums))


def _bar(x: float, width: float, share: float) -> Bar:
    height = max(1.0, share * HEIGHT) if share else 0.0
    return Bar(round(x, 1), round(HEIGHT - height, 1), round(width, 1), round(height, 1))
