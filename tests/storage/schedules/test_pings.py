"""A service that watches is told of the beginning and the end of scheduled backups, and of nothing else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storage.errors import Invalid
from storage.jobs.model import JobKind, JobState
from storage.schedules import pings
from storage.schedules.pings import Pings, checked_url, ping_of
from tests.builders import a_job

SLOT = {"slot": "2026-11-22T02:00:00.000Z"}


class Watcher:
    """A real HTTP server; refuses its first `refusals` requests."""

    def __init__(self) -> None:
        self.asked: queue.Queue[str] = queue.Queue()
        self.agents: set[str | None] = set()
        self.refusals = 0
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                refused = watcher.refusals > 0
                watcher.refusals -= refused
                self.send_response(503 if refused else 200)
                self.end_headers()
                watcher.agents.add(self.headers["User-Agent"])
                if not refused:
                    watcher.asked.put(self.path)

            def log_message(self, *_: object) -> None:
                """Not into the tests' output."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/abc"


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    yield watcher
    watcher.server.shutdown()
    watcher.server.server_close()


def test_it_is_told_of_the_beginning_and_the_end(watcher: Watcher) -> None:
    told = Pings(lambda database: watcher.url if database == "shop" else "")
    told.start()
    scheduled = a_job(parameters=SLOT)
    told.job_began(scheduled)
    for state in (JobState.COMPLETED, JobState.FAILED, JobState.INTERRUPTED, JobState.CANCELLED):
        told.job_ended(scheduled.with_(state=state))
    told.job_began(a_job(parameters={}))  # by hand
    told.job_began(a_job(JobKind.VERIFY, parameters=SLOT))
    told.job_began(a_job(database="wiki", parameters=SLOT))
    asked = [watcher.asked.get(timeout=10) for _ in range(4)]
    assert asked == ["/ping/abc/start", "/ping/abc", "/ping/abc/fail", "/ping/abc/fail"]
    assert watcher.agents == {"pghaven"}
    told.stop()
    assert watcher.asked.empty()


def test_a_refusal_is_tried_again(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "PAUSES", (0.0, 0.05, 0.05))
    watcher.refusals = 2
    told = Pings(lambda database: watcher.url)
    told.start()
    told.job_began(a_job(parameters=SLOT))
    assert watcher.asked.get(timeout=10) == "/ping/abc/start"
    told.stop()


def test_a_word_goes_behind_the_path() -> None:
    assert ping_of("https://hc.example.org/abc?x=1", "/fail") == "https://hc.example.org/abc/fail?x=1"


@pytest.mark.parametrize("text", ["file:///etc/passwd", "ftp://x/y", "hc.example.org", "https://", "http://x\n/y"])
def test_what_is_not_an_address_of_the_web_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        checked_url(text)
