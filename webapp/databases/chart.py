"""The two small charts of a database, drawn on the server: the archive's size over time, and how long a backup took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.backups.trend import Point

WIDTH, HEIGHT = 300, 60
MOST = 60
"""Backups drawn, the newest; more would be narrower than a pixel."""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What the template draws, and the facts for its captions."""

    line: str
    bars: tuple[Bar, ...]
    least_bytes: int
    most_bytes: int
    least_seconds: float
    most_seconds: float
    first: datetime
    last: datetime


def chart(points: Sequence[Point]) -> Chart | None:
    """None for fewer than two backups: a line needs two ends."""
    points = points[-MOST:]
    if len(points) < 2:
        return None
    sizes, seconds = [point.bytes for point in points], [point.seconds for point in points]
    step = WIDTH / len(points)
    return Chart(
        line=" ".join(
            f"{index * WIDTH / (len(points) - 1):.1f},{_height(size, sizes):.1f}" for index, size in enumerate(sizes)
        ),
        bars=tuple(_bar(index, taken / (max(seconds) or 1), step) for index, taken in enumerate(seconds)),
        least_bytes=min(sizes),
        most_bytes=max(sizes),
        least_seconds=min(seconds),
        most_seconds=max(seconds),
        first=points[0].at,
        last=points[-1].at,
    )


def _height(size: int, sizes: Sequence[int]) -> float:
    """Between 8 and 54 from above; in the middle when all are equal."""
    span = max(sizes) - min(sizes)
    return 54 - 46 * ((size - min(sizes)) / span) if span else 31


def _bar(index: int, share: float, step: float) -> Bar:
    height = max(1.0, share * (HEIGHT - 12))
    gap = min(3.0, step * 0.3)
    return Bar(round(index * step + gap / 2, 1), round(HEIGHT - height, 1), round(step - gap, 1), round(height, 1))
