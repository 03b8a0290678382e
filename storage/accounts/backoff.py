"""How long to wait after wrong passwords: five tries are free, then 1 s, doubling up to 15 minutes; never for ever."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FREE_TRIES = 5
LONGEST = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Failures:
    """The wrong tries in a row of one account from one address."""

    count: int = 0
    last: datetime | None = None


def pause(count: int) -> timedelta:
    """How long after the last of `count` wrong tries the next one is looked at."""
    if count < FREE_TRIES:
        return timedelta(0)
    return min(LONGEST, timedelta(seconds=2 ** min(count - FREE_TRIES, 20)))


def time_left(failures: Failures, now: datetime) -> timedelta:
    if failures.last is None:
        return timedelta(0)
    # A clock that was set back must not lock anybody out for longer than the pause itself.
    return max(timedelta(0), min(failures.last + pause(failures.count) - now, pause(failures.count)))


def after_failure(failures: Failures, now: datetime) -> Failures:
    if failures.last is not None and now - failures.last > FORGOTTEN_AFTER:
        return Failures(1, now)
    return Failures(failures.count + 1, now)


class FailureMemory:
    """The failures of this process, by account and address; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], Failures] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, address: str) -> Failures:
        return self._failures.get((name, address), Failures())

    def failed(self, name: str, address: str, now: datetime) -> Failures:
        with self._lock:
            failures = after_failure(self.of(name, address), now)
            self._failures[name, address] = failures
            self._failures.move_to_end((name, address))
            while len(self._failures) > _MOST_KEPT:
                self._failures.popitem(last=False)
        return failures

    def succeeded(self, name: str, address: str) -> None:
        with self._lock:
            self._failures.pop((name, address), None)
