"""What is handed out piece by piece gives its room back once, however it ends and whoever ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask, Response

from storage.opening import Storage
from webapp import create_app, transfer
from webapp.streams import Streams


class Pieces:
    """An export of one piece, whose closing takes a moment."""

    first = b"piece"

    def __init__(self, *, fault: bool = False) -> None:
        self.closed, self.fault = 0, fault

    def read(self) -> bytes:
        return b""

    def end(self) -> None: ...

    def close(self) -> None:
        time.sleep(0.05)
        self.closed += 1
        if self.fault:
            raise RuntimeError("cannot be closed")


@pytest.fixture
def app(storage: Storage) -> Flask:
    app = create_app(storage)
    app.extensions["streams"] = Streams(1)
    return app


def answered(
    app: Flask, pieces: Pieces, *, begun: Callable[[Pieces], None] = lambda _: None, ends: list[str] | None = None
) -> Response:
    with app.test_request_context("/"):
        return transfer.transferred(
            lambda: pieces,
            of="tests",
            name="pieces.bin",
            mimetype="application/octet-stream",
            begun=begun,
            ended=lambda _export, result: ends.append(result) if ends is not None else None,
        )


def test_what_is_refused_when_it_has_begun_is_closed_and_gives_its_room_back(app: Flask) -> None:
    def refused(_pieces: Pieces) -> None:
        raise RuntimeError("the log cannot be written")

    pieces = Pieces()
    with pytest.raises(RuntimeError):
        answered(app, pieces, begun=refused)
    assert pieces.closed == 1
    answered(app, Pieces()).close()


def test_no_thread_to_be_had_gives_the_room_back(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pieces = Pieces()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(threading.Thread, "start", refused)
        answered(app, pieces)
    assert pieces.closed == 1
    answered(app, Pieces()).close()


def test_it_ends_once_however_many_end_it(app: Flask) -> None:
    pieces, ends = Pieces(), list[str]()
    body = answered(app, pieces, ends=ends).response
    assert isinstance(body, transfer.Transfer)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: body.close(), range(8)))
    assert (pieces.closed, ends) == (1, ["failed"])


def test_what_cannot_be_closed_gives_its_room_back_all_the_same(app: Flask) -> None:
    ends = list[str]()
    with pytest.raises(RuntimeError, match="cannot be closed"):
        answered(app, Pieces(fault=True), ends=ends).close()
    assert ends == ["failed"]
    answered(app, Pieces()).close()


def test_a_file_that_was_read_to_its_end_is_whole(app: Flask) -> None:
    ends = list[str]()
    response = answered(app, Pieces(), ends=ends)
    assert list(response.response) == [b"piece"]
    response.close()
    assert ends == ["ok"]
    assert response.headers["Content-Disposition"] == "attachment; filename=pieces.bin"
