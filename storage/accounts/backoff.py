"""How long to wait after wrong passwords: some tries are free, then 1 s, doubling up to a bound; never for ever.

Wrong tries count twice: for the account and address, so that no password is guessed, and for the address alone, so that
one password is not tried on account after account. The second bound is lower, and its pauses are short, because many
people may share an address.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    free_tries: int
    longest: timedelta
    forgotten_after: timedelta
    """After so long without a wrong try the count begins anew."""


OF_ACCOUNT = Limit(free_tries=5, longest=timedelta(minutes=15), forgotten_after=timedelta(hours=24))
OF_ADDRESS = Limit(free_tries=30, longest=timedelta(minutes=1), forgotten_after=timedelta(hours=1))
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Failures:
    """The wrong tries in a row of one account from one address, or of one address."""

    count: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Try:
    of_account: Failures
    """This try among them, unless it has to wait."""
    of_address: Failures
    """Before this try."""
    wait: timedelta
    """Zero where the password may be looked at."""


def pause(count: int, limit: Limit = OF_ACCOUNT) -> timedelta:
    """How long after the last of `count` wrong tries the next one is looked at."""
    if count < limit.free_tries:
        return timedelta(0)
    return min(limit.longest, timedelta(seconds=2 ** min(count - limit.free_tries, 20)))


def time_left(failures: Failures, now: datetime, limit: Limit = OF_ACCOUNT) -> timedelta:
    if failures.last is None:
        return timedelta(0)
    # A clock that was set back must not lock anybody out for longer than the pause itself.
    longest = pause(failures.count, limit)
    return max(timedelta(0), min(failures.last + longest - now, longest))


def after_failure(failures: Failures, now: datetime, limit: Limit = OF_ACCOUNT) -> Failures:
    if failures.last is not None and now - failures.last > limit.forgotten_after:
        return Failures(1, now)
    return Failures(failures.count + 1, now)


class FailureMemory:
    """The failures of this process, by account and address and by address; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, Failures] = OrderedDict()
        self._addresses: OrderedDict[str, Failures] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, address: str) -> Failures:
        return self._accounts.get(_both(name, address), Failures())

    def of_address(self, address: str) -> Failures:
        return self._addresses.get(network(address), Failures())

    def time_left(self, name: str, address: str, now: datetime) -> timedelta:
        """How long the next try of this account from this address has to wait."""
        return max(
            time_left(self.of(name, address), now, OF_ACCOUNT), time_left(self.of_address(address), now, OF_ADDRESS)
        )

    def begin(self, name: str, address: str, now: datetime) -> Try:
        """Count a try as wrong until `succeeded` says otherwise, so that tries at the same moment are no more than one
        after another would be. One that has to wait is not counted."""
        with self._lock:
            before = self.of_address(address)
            if wait := self.time_left(name, address, now):
                return Try(self.of(name, address), before, wait)
            failures = after_failure(self.of(name, address), now, OF_ACCOUNT)
            _keep(self._accounts, _both(name, address), failures)
            _keep(self._addresses, network(address), after_failure(before, now, OF_ADDRESS))
        return Try(failures, before, timedelta(0))

    def succeeded(self, name: str, address: str, tried: Try) -> None:
        """Forget the account's wrong tries. Those of the address stay, all but this one: somebody with an account tries
        others', too."""
        with self._lock:
            self._accounts.pop(_both(name, address), None)
            present = self.of_address(address)
            last = tried.of_address.last if present.count == tried.of_address.count + 1 else present.last
            _keep(self._addresses, network(address), Failures(max(0, present.count - 1), last))


def network(address: str) -> str:
    """What one visitor has: an address, of IPv6 the 64 bits that name a network."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))


def _both(name: str, address: str) -> str:
    return f"{name}\n{address}"


def _keep(kept: OrderedDict[str, Failures], key: str, failures: Failures) -> None:
    kept[key] = failures
    kept.move_to_end(key)
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
