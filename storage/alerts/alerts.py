"""Alerts: what pages, the terminal and the rest of storage call. Rules decide, the outbox keeps, the courier sends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

from storage import jsonfiles
from storage.alerts import drafts, letter, migration, rules
from storage.alerts.courier import Courier, OnDone
from storage.alerts.drafts import Draft
from storage.alerts.facts import JobEnd, Look, Standing
from storage.alerts.migration import LegacySetting, Step
from storage.alerts.model import Alert, Event, Limits
from storage.alerts.outbox import Delivery, DeliveryState, Entry, Outbox
from storage.alerts.sending import Sender
from storage.alerts.targets import Book, Shelf, Target
from storage.alerts.wording import TEST_LINE, TEST_TITLE, Wording
from storage.clock import Clock
from storage.errors import Conflict, Invalid, InvalidRecord, StorageError, say
from storage.identifiers import new_id
from storage.secret import SecretBox

logger = logging.getLogger(__name__)


class Alerts:
    """`hold` is a lock across processes; the terminal's jobs leave their alerts for the web process to send."""

    def __init__(
        self,
        folder: Path,
        *,
        box: SecretBox,
        clock: Clock,
        zone: str,
        language: str,
        hold: Callable[[], AbstractContextManager[object]],
        wording: Wording,
        from_environment: tuple[Target, ...] = (),
        sender: Sender | None = None,
        on_done: OnDone = lambda alert, delivery: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._box, self._clock, self._zone, self.language = box, clock, ZoneInfo(zone), language
        self._hold, self._wording = hold, wording
        self._shelf = Shelf(folder / "alerts.json", hold=hold, from_environment=from_environment)
        self._standing_file = folder / "standing.json"
        self._sender = sender or Sender(box)
        self._outbox = Outbox(folder)
        self._courier = Courier(
            self._outbox, book=self._shelf.read, deliver=self._deliver, clock=clock, on_done=on_done
        )

    def start(self) -> None:
        self._courier.start()

    def stop(self) -> None:
        self._courier.stop()

    # What is set up

    def book(self) -> Book:
        return self._shelf.read()

    def add(self, draft: Draft, bindings: Mapping[Event, bool], *, by: str) -> Target:
        """Raises Invalid for what cannot be used; nothing is sent."""
        target = drafts.read(draft, self._box, target_id=new_id(self._clock()), by=by)
        self._shelf.edit(lambda book: book.with_target(target, bindings))
        return target

    def change(self, target_id: str, draft: Draft) -> Target:
        """Empty secrets stay as they are. Raises Conflict for a target of the environment."""
        changed: list[Target] = []

        def change(book: Book) -> Book:
            present = _changeable(book.get(target_id))
            changed.append(drafts.read(draft, self._box, target_id=target_id, by=present.added_by, present=present))
            return book.with_changed(changed[0])

        self._shelf.edit(change)
        return changed[0]

    def remove(self, target_id: str) -> Target:
        target = _changeable(self.book().get(target_id))
        self._shelf.edit(lambda book: book.without(target_id))
        return target

    def bind(self, bindings: Mapping[str, Mapping[Event, bool]]) -> None:
        """Switch rules on and off, of several targets as one change."""

        def change(book: Book) -> Book:
            for target_id, events in bindings.items():
                book.get(target_id)
                book = book.with_bindings(target_id, events)
            return book

        self._shelf.edit(change)

    def set_limits(self, limits: Limits) -> None:
        if not (1 <= limits.not_proven_days <= 3650 and 1 <= limits.disk_free_percent <= 90):
            raise Invalid(say("Days go from 1 to 3650, and percent of free disk from 1 to 90."))
        if not 5 <= limits.drop_percent <= 100:
            raise Invalid(say("A drop is between 5 and 100 percent."))
        self._shelf.edit(lambda book: replace(book, limits=limits))

    # What happens

    def job_ended(self, end: JobEnd) -> None:
        self._decide(lambda standing, limits: rules.of_job(end, standing, limits))

    def look(self, look: Callable[[], Look]) -> None:
        """The minute's look, and on Mondays the letter. `look` is asked under the lock, so that it is never older than
        what was remembered."""

        def decide(standing: Standing, limits: Limits) -> rules.Decided:
            facts = look()
            decided = rules.of_look(facts, standing, limits)
            due = letter.last_due(facts.at, self._zone)
            before = decided.standing.letter_at
            if before is not None and before >= due:
                return decided
            # At the very first look there is nothing to tell of a week yet; the first Monday brings the first letter.
            letters = (letter.write(facts),) if before is not None else ()
            return rules.Decided((*decided.alerts, *letters), replace(decided.standing, letter_at=due))

        self._decide(decide)

    def _decide(self, decide: Callable[[Standing, Limits], rules.Decided]) -> None:
        with self._hold():
            before = self._standing()
            decided = decide(before, self.book().limits)
            # First what is to be told, then that it was: a crash between the two tells twice rather than never.
            self._outbox.put(decided.alerts)
            if decided.standing != before:
                jsonfiles.write(self._standing_file, decided.standing.to_json())
        if decided.alerts:
            self._courier.wake()

    def _standing(self) -> Standing:
        try:
            return Standing.from_json(jsonfiles.read(self._standing_file))
        except FileNotFoundError:
            return Standing()
        except (InvalidRecord, KeyError, TypeError, ValueError):
            # Without what was remembered, something is told twice; nothing would be told if this were refused.
            logger.exception("what was told so far cannot be read; it begins anew")
            return Standing()

    # How it reaches people

    def try_target(self, target_id: str) -> None:
        """Try the way to a target without sending anything. Raises NotDelivered, which says why it cannot work."""
        self._sender.look(self.book().get(target_id))

    def send_test(self, target_id: str) -> Delivery:
        """Send a test alert now, and keep how it went as the target's last delivery."""
        target = self.book().get(target_id)
        now = self._clock()
        alert = Alert(event=Event.TEST, at=now, title=TEST_TITLE, lines=(TEST_LINE,))
        delivery = Delivery(target_id=target_id, target=target.name)
        try:
            self._deliver(target_id, alert)
        except StorageError as error:
            delivery = replace(delivery.refused(error, self._clock()), state=DeliveryState.FAILED, next_at=None)
        else:
            delivery = delivery.delivered(self._clock())
        self._outbox.save(Entry(entry_id=new_id(now), alert=alert, deliveries=(delivery,)))
        return delivery

    def deliveries(self) -> list[tuple[Alert, Delivery]]:
        """What was sent and what is on its way, newest alert first."""
        return [(entry.alert, one) for entry in self._outbox.newest_first() for one in entry.deliveries or ()]

    def last_deliveries(self) -> dict[str, Delivery]:
        """By the target's id: the delivery that was tried last, or else the one that is on its way."""
        found: dict[str, Delivery] = {}
        for _, delivery in self.deliveries():
            known = found.get(delivery.target_id)
            if known is None or (delivery.last_at and (known.last_at is None or delivery.last_at > known.last_at)):
                found[delivery.target_id] = delivery
        return found

    def unaddressed(self) -> int:
        """Alerts that wait for the web process."""
        return sum(entry.deliveries is None for entry in self._outbox.waiting())

    def _deliver(self, target_id: str, alert: Alert, left: tuple[str, ...] = ()) -> None:
        target = self.book().get(target_id)
        self._sender(target, alert, self._wording.of(alert, target.language), left=left)

    # From earlier systems

    def migration(self, settings: Iterable[LegacySetting]) -> tuple[Step, ...]:
        """What taking these settings over would do. Nothing is changed."""
        return migration.plan(settings, self.book(), self._box, language=self.language)

    def migrate(self, settings: Iterable[LegacySetting], *, by: str) -> tuple[Step, ...]:
        """Take them over, all as one change; returns what was done. Doing it again changes nothing more."""
        found = tuple(settings)
        done: list[Step] = []

        def change(book: Book) -> Book:
            steps = migration.plan(found, book, self._box, language=self.language)
            done.extend(steps)
            return migration.carry_out(steps, book, self._box, new_id=lambda: new_id(self._clock()), by=by)

        self._shelf.edit(change)
        return tuple(done)


def _changeable(target: Target) -> Target:
    if target.from_environment:
        raise Conflict(
            say("“%(name)s” comes from the environment: it cannot be changed here.", name=target.name),
            advice=say("Change the variable, and start pghaven again. Its rules can be switched here."),
        )
    return target
