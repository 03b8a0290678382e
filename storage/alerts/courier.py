"""The thread that works the outbox off. Each target has at most one delivery at a time, in a thread of its own, so that
one that hangs delays no other, and no backup either."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from storage.alerts.model import Alert
from storage.alerts.outbox import Delivery, DeliveryState, Entry, Outbox
from storage.alerts.sending import NotDelivered
from storage.alerts.targets import Book
from storage.clock import Clock
from storage.errors import NotFound, StorageError, say

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
"""How long an alert of another process waits for the next look; those of our own wake the courier."""

OnDone = Callable[[Alert, Delivery], object]
"""Called when a delivery has arrived or was given up."""
Deliver = Callable[[str, Alert, tuple[str, ...]], None]
"""Send the alert to the target of this id, to these recipients of it or, when there are none, to all; raises
StorageError when it did not arrive."""


class Courier:
    def __init__(
        self,
        outbox: Outbox,
        *,
        book: Callable[[], Book],
        deliver: Deliver,
        clock: Clock,
        look_seconds: float = LOOK_SECONDS,
        on_done: OnDone = lambda alert, delivery: None,
    ) -> None:
        self._outbox, self._book, self._deliver, self._clock = outbox, book, deliver, clock
        self._look_seconds, self._on_done = look_seconds, on_done
        self._thread: threading.Thread | None = None
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._busy: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name="alerts", daemon=True)
        self._thread.start()

    def stop(self, *, patience: float = 2.0) -> None:
        """What is on its way just now may end within `patience`; else it is sent again at the next start."""
        if self._thread is None:
            return
        self._stopping.set()
        self._woken.set()
        self._thread.join(patience)
        self._thread = None
        for thread in list(self._busy.values()):
            thread.join(patience)
            patience = 0.0

    def wake(self) -> None:
        self._woken.set()

    def look(self) -> None:
        """Send off everything that is due and whose target is free."""
        book, now = self._book(), self._clock()
        for entry in self._outbox.waiting():
            addressed = self._addressed(entry, book)
            for delivery in addressed.deliveries or ():
                if self._is_due(delivery, now):
                    self._send_off(addressed.entry_id, delivery.target_id, addressed.alert)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self.look()
            except Exception:
                logger.exception("a look at the outbox failed; the next one comes all the same")
            self._woken.wait(self._look_seconds)

    def _addressed(self, entry: Entry, book: Book) -> Entry:
        """The entry with whom it is for. What is for nobody is done; so is what is for a target that is gone."""
        with self._lock:
            present = next((one for one in self._outbox.waiting() if one.entry_id == entry.entry_id), entry)
            if present.deliveries is None:
                told = book.told_of(present.alert.event)
                deliveries = tuple(Delivery(target_id=one.target_id, target=one.name) for one in told)
            else:
                known = {target.target_id for target in book.targets}
                deliveries = tuple(one for one in present.deliveries if one.target_id in known)
            addressed = replace(present, deliveries=deliveries)
            if addressed != present:
                self._outbox.save(addressed)
            return addressed

    @staticmethod
    def _is_due(delivery: Delivery, now: datetime) -> bool:
        return delivery.state is DeliveryState.WAITING and (delivery.next_at is None or delivery.next_at <= now)

    def _send_off(self, entry_id: str, target_id: str, alert: Alert) -> None:
        with self._lock:
            if target_id in self._busy or self._stopping.is_set():
                return
            thread = threading.Thread(
                target=self._send, args=(entry_id, target_id, alert), name=f"alert-{target_id}", daemon=True
            )
            self._busy[target_id] = thread
        thread.start()

    def _send(self, entry_id: str, target_id: str, alert: Alert) -> None:
        error: StorageError | None = None
        try:
            with self._lock:  # it may have arrived between the look and the start of this thread
                _, delivery = self._found(entry_id, target_id)
            if delivery is None or not self._is_due(delivery, self._clock()):
                self._busy.pop(target_id, None)
                return
            self._deliver(target_id, alert, delivery.left)
        except StorageError as refused:
            error = refused
        except Exception as fault:
            logger.exception("an alert could not be sent by a fault of pghaven")
            error = _fault(fault)
        try:
            with self._lock:
                self._write_down(entry_id, target_id, error)
        except Exception:
            logger.exception("how a delivery went could not be written; it is sent again")
        finally:
            self._busy.pop(target_id, None)
            self._woken.set()

    def _found(self, entry_id: str, target_id: str) -> tuple[Entry | None, Delivery | None]:
        entry = next((one for one in self._outbox.waiting() if one.entry_id == entry_id), None)
        deliveries = (entry.deliveries or ()) if entry else ()
        return entry, next((one for one in deliveries if one.target_id == target_id), None)

    def _write_down(self, entry_id: str, target_id: str, error: StorageError | None) -> None:
        entry, delivery = self._found(entry_id, target_id)
        if entry is None or delivery is None:
            return  # the target was removed meanwhile
        now = self._clock()
        if error is None:
            delivery = delivery.delivered(now)
        else:
            logger.warning("alert to %s, attempt %s: %s %s", delivery.target, delivery.attempts + 1, error, error.words)
            delivery = delivery.refused(error, now, again=not isinstance(error, NotFound))
        self._outbox.save(entry.with_delivery(delivery))
        if delivery.state is not DeliveryState.WAITING:
            self._on_done(entry.alert, delivery)


def _fault(fault: Exception) -> StorageError:
    return NotDelivered(say("pghaven itself made a mistake: %(error)s", error=type(fault).__name__))
