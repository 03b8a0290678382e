"""Locks in Redis, for several boxes that look after the same databases. Beside the file's lock, never instead of it."""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage.errors import Invalid, LockHeld, say
from storage.secret import Secret

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

logger = logging.getLogger(__name__)

KEY = "database:backup:lock"
SHARED = "database-"
"""How the names begin that mean the same on every box: the turn on a database. Its key has the rest."""
LEASE_SECONDS = 30.0
"""How long a lock outlives a holder that was killed; a living one renews it three times in this time."""
ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.2


class RedisLocks:
    """Holds a name in Redis as long as its holder lives. When Redis cannot be asked, a lock is had without it.

    A lock that was had without it is taken as soon as Redis is back, so that others see it from then on. `trouble` says
    why Redis cannot be asked; '' as long as it can.
    """

    def __init__(self, url: Secret, *, lease_seconds: float = LEASE_SECONDS) -> None:
        # Loading it takes time that only those who use it should spend.
        from redis import Redis

        try:
            self._redis: Redis = Redis.from_url(
                url.reveal, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
            )
        except ValueError:
            raise Invalid(
                say("REDIS_URL is not the address of a Redis server."),
                advice=say("It begins with redis://, rediss:// or unix://."),
            ) from None
        self._lease = lease_seconds
        self.trouble = ""

    @contextmanager
    def hold(self, name: str, *, holder: str, wait: bool = False) -> Iterator[None]:
        """Hold `name` for the length of a with block, or raise LockHeld at once (unless told to wait)."""
        held = _Held(self, name, f"{holder}, on {socket.gethostname()}", lease=self._lease)
        while not held.take():
            if not wait:
                raise LockHeld(name, self.holder_of(name) or "another process")
            threading.Event().wait(POLL_SECONDS)
        held.keep()
        try:
            yield
        finally:
            held.let_go()

    def is_held(self, name: str) -> bool:
        """Whether anybody holds `name` now; False as well when Redis cannot be asked."""
        return bool(self.holder_of(name))

    def look(self) -> bool:
        """Ask Redis for a sign of life, so that `trouble` is of now; returns whether it answers."""
        from redis.exceptions import RedisError

        try:
            self._redis.ping()
        except RedisError as error:
            self.lost(error)
            return False
        self.found()
        return True

    def lock(self, name: str, *, lease: float) -> Lock:
        lock: Lock = self._redis.lock(_key(name), timeout=lease, blocking=False, thread_local=False)
        return lock

    def lost(self, error: Exception) -> None:
        if not self.trouble:
            logger.warning(
                "backup_lock_fallback_to_file: Redis cannot be asked, only this box is guarded: %s",
                error,
                extra={"action": "backup_lock_fallback_to_file"},
            )
        self.trouble = str(error) or type(error).__name__

    def found(self) -> None:
        if self.trouble:
            logger.info("Redis answers again")
        self.trouble = ""

    def holder_of(self, name: str) -> str:
        """Who holds `name`, in words; '' for nobody, and when Redis cannot be asked."""
        from redis.exceptions import RedisError

        try:
            value = self._redis.get(_key(name))
        except RedisError as error:
            self.lost(error)
            return ""
        self.found()
        return value.decode(errors="replace").partition("#")[0] if isinstance(value, bytes) else ""


def _key(name: str) -> str:
    return f"{KEY}:{name.removeprefix(SHARED)}"


class _Held:
    """One lock of one holder: taken, renewed in a thread of its own, and let go of by its owner only."""

    def __init__(self, locks: RedisLocks, name: str, holder: str, *, lease: float) -> None:
        self._locks, self._name, self._lease = locks, name, lease
        self._lock = locks.lock(name, lease=lease)
        # Readable for whoever is refused, and nobody else's.
        self._token = f"{holder}#{uuid.uuid4().hex}"
        self._has, self._told = False, False
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name=f"lock-{name}", daemon=True)

    def take(self) -> bool:
        """False when somebody else has it; True when it is ours, or when Redis cannot be asked."""
        from redis.exceptions import RedisError

        try:
            self._has = bool(self._lock.acquire(blocking=False, token=self._token))
        except RedisError as error:
            self._locks.lost(error)
            return True
        self._locks.found()
        action = "backup_lock_acquired" if self._has else "backup_lock_conflict"
        # Whoever waits asks again and again.
        level = logging.INFO if self._has else logging.DEBUG
        logger.log(level, "%s: %s", action, self._name, extra={"action": action})
        return self._has

    def keep(self) -> None:
        self._renewing.start()

    def let_go(self) -> None:
        from redis.exceptions import LockError, RedisError

        self._ended.set()
        self._renewing.join()
        if not self._has:
            return
        try:
            self._lock.release()
        except (LockError, RedisError) as error:
            # It ends by itself when it is not renewed.
            action = "backup_lock_release_failed"
            logger.warning("%s: %s: %s", action, self._name, error, extra={"action": action})
        else:
            logger.info("backup_lock_released: %s", self._name, extra={"action": "backup_lock_released"})

    def _renew(self) -> None:
        while not self._ended.wait(self._lease / 3):
            self._renew_once()

    def _renew_once(self) -> None:
        from redis.exceptions import LockError, RedisError

        try:
            if self._has:
                self._lock.reacquire()
                self._locks.found()
                return
        except LockError:
            self._has = False  # it was not renewed in time, or Redis came back without it
        except RedisError as error:
            self._locks.lost(error)
            return
        if not self.take() and not self._told:
            self._told = True
            logger.warning(
                "%s is held by two: here, and by %s. On this box the file's lock guards it, and the work goes on.",
                self._name,
                self._locks.holder_of(self._name) or "another box",
            )
