"""Telling a service that watches over schedules: an address is asked for when a scheduled backup begins and ends.

ADDRESS/start, ADDRESS and ADDRESS/fail, as healthchecks.io and its like understand them. From a thread of its own: a
service that hangs delays no backup, and what it could not be told is only logged.
"""

from __future__ import annotations

import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from storage.errors import Invalid, say
from storage.jobs.model import Job, JobKind, JobState

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for one try."""
PAUSES = (0.0, 2.0, 10.0)
"""Seconds before each try."""
LONGEST = 1000
_ENDS = {JobState.COMPLETED: "", JobState.FAILED: "/fail", JobState.INTERRUPTED: "/fail"}


def checked_url(text: str) -> str:
    """The address as it is kept; '' for none. Raises Invalid for one that is not of the web."""
    text = text.strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or len(text) > LONGEST or not text.isprintable():
        raise Invalid(say("“%(text)s” is not an address of the web.", text=text[:80]))
    return text


def ping_of(url: str, suffix: str) -> str:
    """The address with a word behind its path."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + suffix))


class Pings:
    def __init__(self, url_of: Callable[[str], str]) -> None:
        """`url_of` gives the address of a database's schedule; '' for none."""
        self._url_of = url_of
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, name="pings", daemon=True)
        self._thread.start()

    def stop(self, *, patience: float = 3.0) -> None:
        """What waits is tried once more, as far as there is time."""
        if self._thread is not None:
            self._stopping.set()
            self._waiting.put(None)
            self._thread.join(patience)
            self._thread = None

    def job_began(self, job: Job) -> None:
        self._tell(job, "/start")

    def job_ended(self, job: Job) -> None:
        if job.state in _ENDS:
            self._tell(job, _ENDS[job.state])

    def _tell(self, job: Job, suffix: str) -> None:
        if job.kind is JobKind.TAKE and job.parameters.get("slot") and (url := self._url_of(job.database)):
            self._waiting.put(ping_of(url, suffix))

    def _work(self) -> None:
        while (url := self._waiting.get()) is not None:
            self._send(url)

    def _send(self, url: str) -> None:
        error: Exception | None = None
        for pause in PAUSES:
            if pause and self._stopping.wait(pause):
                break
            try:
                # `checked_url` lets http(s) in only.
                asked = urllib.request.Request(url, headers={"User-Agent": "pghaven"})  # noqa: S310
                urllib.request.urlopen(asked, timeout=PATIENCE).close()  # noqa: S310
                return
            except (urllib.error.URLError, OSError, ValueError) as failure:
                error = failure
        # The path is what a stranger would need to ping in our place.
        logger.warning("%s could not be told of a scheduled backup: %s", urlsplit(url).hostname, error)
