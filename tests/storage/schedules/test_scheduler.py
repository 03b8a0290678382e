"""Every moment of a schedule has one run: through restarts, crashes, clocks that jump, and beside another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.clock import from_required_text
from storage.crashpoints import SCHEDULING, VARIABLE
from storage.errors import Invalid, NotFound, Unavailable, say
from storage.locks.filelocks import FileLocks
from storage.schedules import cron
from storage.schedules.scheduler import Asked, Scheduler
from storage.schedules.schedules import Schedules, read_until
from storage.schedules.slots import Slot, SlotState
from tests.conftest import StandingClock
from tests.storage.schedules.test_cron import ZONES

BEGIN = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Bench:
    """A scheduler over a folder, a clock that is set by hand, and a list of what was asked for."""

    def __init__(self, folder: Path, *, zone: str = "UTC", begin: datetime = BEGIN, window: timedelta = DAY) -> None:
        self.folder, self.zone, self.window = folder, zone, window
        self.clock = StandingClock(begin)
        self.registered: dict[str, datetime | None] = {"shop": None}
        self.asked: list[tuple[str, datetime]] = []
        self.answer: Callable[[str, datetime], Asked] = lambda name, at: Asked(job_id=f"job {at:%Y%m%dT%H%M}")
        self.start_again()

    def start_again(self) -> None:
        """What a restart of pghaven is: nothing is known but what is on the disk."""
        self.schedules = Schedules(
            self.folder / "schedules",
            locks=FileLocks(self.folder / "locks"),
            clock=self.clock,
            zone=self.zone,
            registered=lambda: self.registered,
        )
        self.scheduler = Scheduler(self.schedules, ask=self._ask, clock=self.clock, window=self.window)

    def look(self, at: datetime | None = None) -> None:
        self.clock.moment = at or self.clock.moment
        self.scheduler.look()

    def _ask(self, name: str, at: datetime) -> Asked:
        self.asked.append((name, at))
        return self.answer(name, at)

    @property
    def slots(self) -> list[Slot]:
        """Oldest first."""
        return self.schedules.slots("shop").newest(10_000, now=self.clock())[::-1]

    def states(self) -> list[str]:
        return [slot.state.value for slot in self.slots]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.look()
    return bench


def at(day: int, hour: int = 2, minute: int = 0, second: int = 1) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC)


def test_every_database_has_a_schedule_without_being_asked(bench: Bench) -> None:
    schedule = bench.schedules.of("shop")
    assert (schedule.expression, schedule.zone, schedule.changed_by) == ("0 2 * * *", "UTC", "")
    bench.registered["wiki"] = None
    bench.look()
    assert (bench.folder / "schedules" / "wiki.json").exists()


def test_a_moment_is_run_once_however_often_it_is_looked_at(bench: Bench) -> None:
    for second in (0, 1, 1, 2, 59):
        bench.look(at(22, second=second))
    bench.start_again()
    bench.look(at(22, minute=30))
    assert bench.asked == [("shop", at(22, second=0))]
    assert bench.slots == [
        Slot(at=at(22, second=0), state=SlotState.RUN, decided_at=at(22, second=0), job_id="job 20261122T0200")
    ]


def test_after_three_nights_without_pghaven_one_is_made_up_for_and_two_were_missed(bench: Bench) -> None:
    bench.look(at(24, hour=9))
    assert bench.states() == ["missed", "missed", "run"]
    assert [slot.caught_up for slot in bench.slots] == [False, False, True]
    assert bench.asked == [("shop", at(24, second=0))]


def test_what_is_older_than_the_window_is_missed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, window=timedelta(hours=6))
    bench.look()
    bench.look(at(22, hour=8))
    assert bench.states() == ["missed"] and bench.asked == []


def test_moments_before_the_schedule_was_made_are_not_missed(bench: Bench) -> None:
    bench.schedules.change("shop", expression="0 * * * *", by="ana")
    bench.look(at(22, hour=0, minute=30))
    assert bench.slots == []


def test_a_database_that_was_added_later_missed_nothing_before(bench: Bench) -> None:
    bench.registered["shop"] = at(25, hour=1)
    bench.look(at(25))
    assert bench.states() == ["run"]


def test_a_slot_is_skipped_while_the_one_before_runs_and_says_since_when(bench: Bench) -> None:
    bench.look(at(22))
    bench.answer = lambda name, moment: Asked(job_id="the first", busy_since=at(22))
    bench.look(at(23))
    skipped = bench.slots[-1]
    assert (skipped.state, skipped.job_id, skipped.running_since) == (SlotState.SKIPPED, "the first", at(22))
    bench.look(at(23, minute=5))
    assert len(bench.asked) == 2  # once for each slot


def test_what_could_not_be_asked_for_is_asked_for_again(bench: Bench) -> None:
    def refuse(name: str, moment: datetime) -> Asked:
        raise Unavailable(say("The data folder cannot be written: %(reason)s.", reason="full"))

    good, bench.answer = bench.answer, refuse
    bench.look(at(22))
    bench.look(at(22, minute=1))
    bench.answer = good
    bench.look(at(22, minute=20))
    bench.look(at(22, minute=21))
    assert bench.states() == ["run"] and len(bench.asked) == 3


def test_a_fault_with_one_database_keeps_no_other_from_its_backup(bench: Bench) -> None:
    bench.registered["wiki"] = None
    bench.look()

    def fail_for_shop(name: str, moment: datetime) -> Asked:
        if name == "shop":
            raise ZeroDivisionError("a bug")
        return Asked(job_id="wiki's")

    bench.answer = fail_for_shop
    bench.look(at(22))
    assert bench.schedules.slots("wiki").newest(1, now=at(22))[0].job_id == "wiki's"


def test_a_paused_schedule_runs_nothing_and_makes_up_for_nothing(bench: Bench) -> None:
    bench.schedules.pause("shop", at(24, hour=12), by="ana")
    for day in (22, 23, 24):
        bench.look(at(day))
    assert bench.schedules.of("shop").runs(bench.clock(), count=1)[0].at == at(25, second=0)
    bench.look(at(24, hour=13))
    assert bench.slots == []
    bench.look(at(25))
    assert bench.states() == ["run"]


def test_the_moment_at_which_a_pause_ends_runs(bench: Bench) -> None:
    end = at(24, second=0)
    bench.schedules.pause("shop", end, by="ana")
    for day in (22, 23):
        bench.look(at(day))
    assert bench.schedules.of("shop").runs(bench.clock(), count=1)[0].at == end
    bench.look(end - timedelta(seconds=1))
    assert bench.slots == []
    bench.look(end)
    assert [slot.at for slot in bench.slots] == [end] and bench.states() == ["run"]


def test_a_resumed_schedule_goes_on_with_its_next_moment(bench: Bench) -> None:
    bench.schedules.pause("shop", at(30), by="ana")
    bench.clock.moment = at(24, hour=12)
    bench.schedules.resume("shop", by="ana")
    bench.look()
    assert bench.slots == []
    bench.look(at(25))
    assert bench.states() == ["run"]


def test_a_pause_that_has_ended_already_is_refused(bench: Bench) -> None:
    with pytest.raises(Invalid, match="has passed"):
        bench.schedules.pause("shop", at(21), by="ana")


def test_a_pause_until_a_day_ends_when_that_day_begins_in_the_schedules_zone() -> None:
    assert read_until("2026-12-24", "Europe/Berlin") == datetime(2026, 12, 23, 23, 0, tzinfo=UTC)
    assert read_until("2026-12-24T18:00", "Asia/Shanghai") == datetime(2026, 12, 24, 10, 0, tzinfo=UTC)
    for text in ("", "tomorrow", "2026-13-01", "0001-01-01T00:00"):
        with pytest.raises(Invalid):
            read_until(text, "Asia/Shanghai")


def test_there_is_no_schedule_of_what_is_not_registered(bench: Bench) -> None:
    for ask in (bench.schedules.of, bench.schedules.next_run):
        with pytest.raises(NotFound):
            ask("nothing")


def test_a_record_that_cannot_be_read_is_put_aside_and_the_usual_schedule_holds(bench: Bench) -> None:
    path = bench.folder / "schedules" / "shop.json"
    path.write_text('{"format": 1, "database": "shop", "cron": "broken"}')
    assert bench.schedules.of("shop").expression == "0 2 * * *"
    assert (path.parent / "quarantine" / "shop.json").exists()


def test_a_clock_that_was_a_year_ahead_and_is_set_right_ends_no_backups(bench: Bench) -> None:
    bench.look(at(22) + timedelta(days=365))
    bench.look(at(22, hour=3))
    for day in (23, 24):
        bench.look(at(day))
    assert [slot.at for slot in bench.slots if slot.state is SlotState.RUN] == [at(23, second=0), at(24, second=0)]


def test_a_schedule_made_by_a_clock_a_year_ahead_runs_when_it_is_set_right(tmp_path: Path) -> None:
    bench = Bench(tmp_path, begin=BEGIN + timedelta(days=365))
    bench.look()
    bench.look(BEGIN)
    bench.look(at(22))
    assert bench.states() == ["run"]


@pytest.mark.parametrize("back", [timedelta(seconds=3), timedelta(hours=1), timedelta(days=365)])
def test_a_clock_that_is_set_back_runs_nothing_twice(bench: Bench, back: timedelta) -> None:
    bench.look(at(22))
    bench.look(at(22) - back)
    bench.look(at(22, second=2))
    bench.look(at(22, hour=4))
    assert bench.asked == [("shop", at(22, second=0))]


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path]:
    """A folder without a disk behind it: ten years are many fsyncs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


MOVES = st.one_of(
    st.tuples(st.just("on"), st.integers(1, 3 * 86400)),
    st.tuples(st.just("on"), st.integers(1, 60 * 86400)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("back"), st.sampled_from((1, 3600, 86400, 365 * 86400))),
    st.tuples(st.just("refused"), st.just(0)),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from(("30 2 * * *", "30 1 * * *", "0 0 * * *", "15 */5 * * *", "0 2 * * 1-5", "0 2 L * *")),
    first=st.datetimes(datetime(2025, 1, 1), datetime(2034, 6, 1)),
    moves=st.lists(MOVES, min_size=5, max_size=60),
)
def test_every_slot_has_exactly_one_run_whatever_the_clock_does(
    zone: str, expression: str, first: datetime, moves: list[tuple[str, int]], in_memory: Path
) -> None:
    begin = first.replace(microsecond=0, tzinfo=UTC)
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        bench = Bench(Path(folder), zone=zone, begin=begin)
        bench.look()
        bench.schedules.change("shop", expression=expression, zone=zone, by="ana")
        good = bench.answer
        refused: list[datetime] = []

        def refuse(name: str, moment: datetime) -> Asked:
            refused.append(moment)
            raise Unavailable(say("There is no room."))

        furthest, straight = begin, True
        for move, seconds in moves:
            bench.answer = refuse if move == "refused" else good
            if move == "on":
                bench.clock.forward(seconds=seconds)
            elif move == "back":
                bench.clock.forward(seconds=-seconds)
            elif move == "restart":
                bench.start_again()
            straight &= move not in ("back", "refused") and bench.clock() - furthest <= timedelta(days=31)
            furthest = max(furthest, bench.clock())
            bench.look()
        begun = Counter(moment for _, moment in bench.asked) - Counter(refused)
        assert not [moment for moment, times in begun.items() if times > 1]
        kept = bench.schedules.slots("shop").newest(10**6, now=furthest)
        assert {slot.at for slot in kept if slot.state is SlotState.RUN and slot.job_id} == set(begun)
        if straight:
            came = cron.moments(expression, zone, after=begin)
            assert sorted(slot.at for slot in kept) == list(takewhile(lambda moment: moment <= furthest, came))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone=st.sampled_from(ZONES), hour=st.integers(0, 3), minute=st.sampled_from((0, 15, 30, 59)), data=st.data())
def test_ten_years_of_nights_have_one_slot_each(
    zone: str, hour: int, minute: int, data: st.DataObject, in_memory: Path
) -> None:
    begin = datetime(2025, 1, 1, 12, tzinfo=UTC)
    steps = data.draw(st.lists(st.integers(2 * 86400, 31 * 86400), min_size=20, max_size=60))
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        bench = Bench(Path(folder), zone=zone, begin=begin)
        bench.look()
        bench.schedules.change("shop", expression=f"{minute} {hour} * * *", zone=zone, by="ana")
        turn = 0
        while bench.clock() < begin + timedelta(days=3653):
            bench.clock.forward(seconds=steps[turn % len(steps)])
            turn += 1
            if turn % 7 == 0:
                bench.start_again()
            bench.look()
        came = takewhile(
            lambda moment: moment <= bench.clock(), cron.moments(f"{minute} {hour} * * *", zone, after=begin)
        )
        assert [slot.at for slot in bench.slots] == list(came)
        assert max(Counter(moment for _, moment in bench.asked).values()) == 1


# A process that looks, over and over, at a clock of 36,000 times the speed, which it has in common with the other.
PROCESS = """
import os, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from storage.locks.filelocks import FileLocks
from storage.schedules.scheduler import Asked, Scheduler
from storage.schedules.schedules import Schedules

folder, begun, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
begin = datetime(2026, 11, 22, tzinfo=UTC)
clock = lambda: begin + timedelta(seconds=(time.time() - begun) * 36_000)

def ask(name, at):
    with (folder / f"asked-{os.getpid()}").open("a") as log:
        log.write(f"{at.isoformat()}\\n")
    return Asked(job_id=f"job of {os.getpid()}")

schedules = Schedules(folder / "schedules", locks=FileLocks(folder / "locks"), clock=clock, zone="UTC",
                      registered=lambda: {"shop": None})
scheduler = Scheduler(schedules, ask=ask, clock=clock, window=timedelta(hours=24))
print("ready", flush=True)
while time.time() < begun + seconds:
    scheduler.look()
"""


def _process(folder: Path, *arguments: str, crash_at: str = "") -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), VARIABLE: crash_at}
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder), *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def _asked(folder: Path) -> list[datetime]:
    lines = [line for path in folder.glob("asked-*") for line in path.read_text().splitlines()]
    return [from_required_text(line) for line in lines]


def test_two_processes_on_one_folder_run_every_slot_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.look()
    bench.schedules.change("shop", expression="0 * * * *", zone="UTC", by="ana")
    begun = time.time()
    processes = [_process(tmp_path, str(begun), "5") for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    asked = _asked(tmp_path)
    assert len(asked) == len(set(asked)) > 10
    bench.clock.moment = BEGIN + timedelta(hours=60)
    slots = bench.slots
    assert {slot.at for slot in slots if slot.state is SlotState.RUN} == set(asked)
    assert [slot.at for slot in slots] == [BEGIN + timedelta(hours=1 + number) for number in range(len(slots))]


@pytest.mark.parametrize("point", SCHEDULING)
def test_a_crash_around_the_asking_leaves_a_claim_that_is_found(tmp_path: Path, point: str) -> None:
    bench = Bench(tmp_path)
    bench.look()
    bench.schedules.change("shop", expression="0 * * * *", zone="UTC", by="ana")
    # Its clock begins at half past one: the slot of one o'clock is due at the first look.
    process = _process(tmp_path, str(time.time() - 0.15), "30", crash_at=point)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert len(_asked(tmp_path)) == SCHEDULING.index(point)
    bench.clock.moment = BEGIN + timedelta(days=2)
    (claim,) = [slot for slot in bench.slots if slot.state is SlotState.RUN]
    assert claim.job_id == ""
    bench.start_again()
    bench.look(claim.at + timedelta(minutes=30))
    assert bench.asked == [("shop", claim.at)]
    assert bench.slots[-1].job_id
