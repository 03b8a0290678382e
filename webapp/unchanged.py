"""Answers 204 to a fragment that asks again when nothing it shows has changed, so that the reader's place is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta

from flask import Flask

from storage.jobs.model import Job


def stamp(*facts: object) -> str:
    """A short mark of what a fragment shows: equal facts have equal marks, in every process."""
    return hashlib.blake2s(repr(facts).encode(), digest_size=6).hexdigest()


def stamp_of(jobs: Iterable[Job]) -> str:
    """A mark of which jobs there are: two are told apart from two others, however far each of them is."""
    return stamp([job.job_id for job in jobs])


def install(app: Flask) -> None:
    app.add_template_filter(stamp_of, "stamp_of")


def shown_age(age: timedelta | None) -> int | None:
    """An age as exact as pages tell it: minutes within the first hour, then hours. A mark made of it changes as rarely
    as the words do."""
    if age is None:
        return None
    minutes = int(age.total_seconds() // 60)
    return minutes if minutes < 60 else minutes // 60 * 60
