"""A server that falls silent in the middle of the swap: what is said is what is known, and the rest is found later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from storage.jobs.model import JobState
from storage.restores.endings import NOT_KNOWN
from storage.restores.record import RestoreState
from tests.proxy import Proxy
from tests.storage.restores.conftest import Haven
from tests.storage.restores.test_faults import leftovers, words
from tests.storage.restores.test_swap import at_swap

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

STALL = 3
"""Seconds of silence after which the swap is given up; what comes before it may take as long as the machine lets it."""
LONGEST = 45
"""Well below what the network itself takes to notice: opening a connection once more, in order to put the server in
order, is given up after ten seconds."""


@contextmanager
def through_a_proxy(haven: Haven) -> Iterator[tuple[Haven, Proxy]]:
    with Proxy(haven.connection.host, haven.connection.port) as proxy:
        connection = replace(haven.connection, host="127.0.0.1", port=proxy.port, sslmode="disable")
        yield Haven(haven.folder, connection), proxy


@pytest.mark.parametrize("committed", [True, False])
def test_a_server_that_falls_silent_in_the_swap_is_asked_again_later(haven: Haven, committed: bool) -> None:
    backup = haven.take()
    haven.run("DELETE FROM orders WHERE id > 10")
    before, databases = haven.facts(), haven.databases()
    with through_a_proxy(haven) as (behind, proxy):
        # The first rename names what the target will be called; the COMMIT after it is the swap.

        def fall_silent() -> None:
            object.__setattr__(behind.settings, "stall_seconds", STALL)
            proxy.fall_silent_at(b"_before_", b"COMMIT", forwarding=committed)

        job = behind.runner.run_here(behind.request(backup, replace=True), on_progress=at_swap(fall_silent))
        assert proxy.silent_since is not None
        assert time.monotonic() - proxy.silent_since < LONGEST
        assert job.error is not None
        assert (job.state, job.progress.step, job.error["kind"]) == (JobState.FAILED, "swap", "Stalled")
        assert words(job) == words(haven.jobs.get(job.job_id)) == NOT_KNOWN.template
        assert not [line for line in haven.log(job) if "Nothing was changed" in line]
        [record] = haven.restores.all()
        assert (record.state, record.unsettled) == (RestoreState.SWAPPING, True)
        assert (record.beside in haven.databases()) is not committed
        open_to_all = "SELECT datallowconn FROM pg_database WHERE oid = %s"
        assert haven.ask(open_to_all, record.target_oid, database="postgres") is committed

        # The server is heard again, by others: the connection of the swap still hangs in the silent network.
        [settled] = haven.restores.reconcile()
    job = haven.jobs.get(job.job_id)
    assert not settled.unsettled and leftovers(haven) == []
    if committed:
        assert (settled.state, job.state, job.error) == (RestoreState.COMPLETED, JobState.COMPLETED, None)
        assert haven.databases() == databases | {settled.kept_as}
        assert haven.ask("SELECT count(*) FROM orders") == 2000
        assert haven.ask("SELECT count(*) FROM orders", database=settled.kept_as) == 10
    else:
        assert (settled.state, job.state, words(job)) == (RestoreState.FAILED, JobState.FAILED, "Nothing was changed.")
        assert haven.databases() == databases
        assert haven.facts() == before
    assert haven.ask(open_to_all, settled.target_oid, database="postgres")
