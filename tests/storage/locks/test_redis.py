"""Several boxes and one Redis: what is seen from elsewhere, and what is so while Redis is away and when it is back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from storage.errors import Invalid, LockHeld
from storage.locks.bothlocks import BothLocks
from storage.locks.redislocks import KEY, RedisLocks
from storage.secret import Secret
from tests.storage.locks.conftest import AServer

NAME = "database-shop"
SHOP = f"{KEY}:shop"
LEASE = 0.6
PATIENCE = 10.0


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def box(redis: AServer, tmp_path: Path) -> Callable[[str], BothLocks]:
    """A box of this name, with files of its own."""
    return lambda name: BothLocks(tmp_path / name, RedisLocks(redis.url, lease_seconds=LEASE))


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_another_box_is_refused_and_told_by_whom(
    box: Callable[[str], BothLocks], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with (
        box("a").hold(NAME, holder="take 1"),
        pytest.raises(LockHeld, match="take 1, on "),
        box("b").hold(NAME, holder="take 2"),
    ):
        pass
    actions = [record.action for record in caplog.records if hasattr(record, "action")]
    assert actions == ["backup_lock_acquired", "backup_lock_released"], "who asks again and again fills no log"


def test_it_is_renewed_as_long_as_the_holder_lives(redis: AServer, box: Callable[[str], BothLocks]) -> None:
    with box("a").hold(NAME, holder="take 1"):
        token, begun, renewals, before = redis.client.get(SHOP), time.monotonic(), 0, 0
        while time.monotonic() < begun + 3 * LEASE:
            left = redis.client.pttl(SHOP)
            assert left > 0
            renewals += left > before
            before = left
            time.sleep(0.01)
        assert redis.client.get(SHOP) == token
        assert renewals >= 5
    assert redis.client.get(SHOP) is None


def test_only_its_owner_lets_go_of_it(redis: AServer, box: Callable[[str], BothLocks]) -> None:
    with box("a").hold(NAME, holder="take 1"):
        redis.client.set(SHOP, "somebody else#1")
    assert redis.client.get(SHOP) == b"somebody else#1"


def test_with_redis_away_the_box_is_still_guarded_and_says_so(
    redis: AServer, box: Callable[[str], BothLocks], caplog: pytest.LogCaptureFixture
) -> None:
    here = box("a")
    redis.kill()
    begun = time.monotonic()
    with here.hold(NAME, holder="take 1"):
        assert time.monotonic() - begun < 3
        assert here.redis.trouble
        with pytest.raises(LockHeld, match="take 1"), here.hold(NAME, holder="take 2"):
            pass
    assert "backup_lock_fallback_to_file" in caplog.text


def test_what_began_without_redis_is_seen_by_others_when_it_is_back(
    redis: AServer, box: Callable[[str], BothLocks]
) -> None:
    """No job runs twice: the lock that could not be had is taken as soon as it can."""
    here = box("a")
    redis.kill()
    with here.hold(NAME, holder="take 1"):
        redis.come_back()
        until(lambda: redis.client.get(SHOP))
        assert here.redis.trouble == ""
        with pytest.raises(LockHeld, match="take 1"), box("b").hold(NAME, holder="take 2"):
            pass
    assert redis.client.get(SHOP) is None


def test_a_server_that_dies_and_comes_back_in_the_middle_changes_nothing_for_the_holder(
    redis: AServer, box: Callable[[str], BothLocks]
) -> None:
    with box("a").hold(NAME, holder="take 1"):
        redis.kill()
        redis.come_back()
        until(lambda: redis.client.get(SHOP))
        with pytest.raises(LockHeld, match="take 1"), box("b").hold(NAME, holder="take 2"):
            pass


def test_when_redis_comes_back_with_another_owner_the_work_goes_on_and_the_log_says_so(
    redis: AServer, box: Callable[[str], BothLocks], opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = box("a"), box("b")
    redis.kill()
    opened.enter_context(here.hold(NAME, holder="take 1"))
    redis.come_back()
    redis.client.set(SHOP, "take 2, on another box#1")
    until(lambda: "is held by two" in caplog.text)
    assert "take 2, on another box" in caplog.text
    with pytest.raises(LockHeld, match="take 1"), here.hold(NAME, holder="take 3"):
        pass
    opened.close()
    assert redis.client.get(SHOP) == b"take 2, on another box#1"
    assert there.is_held(NAME)


def test_on_one_box_never_two_at_once_whatever_becomes_of_the_server(
    redis: AServer, box: Callable[[str], BothLocks], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    here, done, inside = box("a"), [], []

    def work(number: int) -> None:
        with here.hold(NAME, holder=f"job {number}", wait=True):
            inside.append(number)
            assert inside == [number]
            done.append(number)
            inside.remove(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for number, worker in enumerate(workers):
        if number == 4:
            redis.kill()
        if number == 8:
            redis.come_back()
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert sorted(done) == list(range(12))


def test_a_look_says_how_redis_is(redis: AServer) -> None:
    locks = RedisLocks(redis.url)
    assert locks.look()
    redis.kill()
    assert not locks.look()
    assert locks.trouble
    redis.come_back()
    assert locks.look()
    assert locks.trouble == ""


def test_an_address_that_is_none_is_refused_without_being_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="REDIS_URL is not the address") as refused:
        RedisLocks(Secret("hunter22@somewhere"))
    assert "hunter22" not in str(refused.value)
