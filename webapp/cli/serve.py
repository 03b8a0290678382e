"""`pghaven serve`: the web process, from the first line on the terminal to the last."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import click
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from storage.errors import Conflict, Unavailable, say
from storage.opening import Storage, open_storage
from storage.settings import Settings
from webapp import create_app
from webapp.cli import answers, channel, loglines

if TYPE_CHECKING:
    from flask import Flask

Server = BaseWSGIServer | MultiSocketServer

logger = logging.getLogger(__name__)

CONNECTIONS_A_THREAD = 20
IDLE_SECONDS = 120
OUTGOING_BYTES = 512 << 10
"""What may wait for a reader in memory. Who writes more waits, too: waitress keeps what it has sent already until this
much was written, and what a thread's memory has taken once stays taken."""


HEAPS = 2
"""Memory heaps of all threads together. Measured: a fifth less memory after pages from many threads."""
_ARENA_MAX = -8
"""M_ARENA_MAX of malloc.h"""


@click.command()
@click.option("--host", help="The address to listen on. HOST in the environment; 127.0.0.1 by default.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="PORT in the environment; 8632 by default; 0 takes a free one."
)
@answers.with_json
def serve(host: str | None, port: int | None, as_json: bool) -> None:
    """Run the web process: pages, API, background jobs. Ends cleanly on Ctrl-C and SIGTERM.

    With --json, the one document is printed when the pages can be reached: {"url": ..., "setup_url": ...}.
    """
    _few_heaps()
    settings = Settings.from_environment()
    loglines.write_to_standard_error(settings.log_format)
    settings = replace(
        settings, host=settings.host if host is None else host, port=settings.port if port is None else port
    )
    _end_on_signals()
    storage = open_storage(settings)
    try:
        _run(storage, as_json=as_json)
    finally:
        storage.stop()


def _few_heaps() -> None:
    """Before the first thread: with a heap for each, every one of them keeps what it took for its largest answer."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # the GNU C library has it
    if mallopt is not None:
        mallopt(_ARENA_MAX, HEAPS)


def _run(storage: Storage, *, as_json: bool) -> None:
    # Before the port is asked for: whoever starts pghaven twice is told that it runs, and not of a port in use.
    storage.claim()
    app = create_app(storage)
    server = listen(app, storage.settings)
    try:
        url = address(server, storage.settings)
        storage.tell_where(url)
        storage.start()
        _say_where(storage, url, as_json=as_json)
        _warm(app)
        try:
            server.run()  # returns when a signal's SystemExit ends its loop
        finally:
            logger.info("stopping")
    finally:
        server.close()


def _warm(app: Flask) -> None:
    # Imported here for the reason given below.
    from webapp import warming

    warming.begin(app)


def listen(application: Flask, settings: Settings) -> Server:
    """A server that has its port. Raises Conflict or Unavailable when it cannot have it."""
    # Not above: it brings Flask, for which the other commands need not wait.
    from webapp import bodies

    try:
        server = create_server(
            application,
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            connection_limit=settings.threads * CONNECTIONS_A_THREAD,
            channel_timeout=IDLE_SECONDS,
            outbuf_overflow=OUTGOING_BYTES,
            outbuf_high_watermark=OUTGOING_BYTES,
            recv_bytes=1 << 16,
            asyncore_use_poll=True,
            ident="pghaven",
            # The application reads X-Forwarded-*, as far as BEHIND_PROXIES trusts it.
            clear_untrusted_proxy_headers=False,
        )
        channel.install(
            server, most_bytes=partial(bodies.most_bytes, application), folder=settings.data_folder / "staging"
        )
        return server
    except OSError as error:
        raise _cannot_listen(settings, error) from error
    except ValueError as error:  # waitress's word for an address that no name server knows
        raise _cannot_listen(settings, OSError(errno.EADDRNOTAVAIL, "the address is not known")) from error


def _cannot_listen(settings: Settings, error: OSError) -> Conflict | Unavailable:
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            say("Another program already listens on %(host)s:%(port)s.", host=settings.host, port=settings.port),
            effect=say("pghaven was not started."),
            advice=say("Stop that program, or choose another port: pghaven serve --port 0 takes a free one."),
        )
    return Unavailable(
        say("%(host)s:%(port)s cannot be listened on: %(reason)s",
            host=settings.host, port=settings.port, reason=error.strerror or str(error)),
        effect=say("pghaven was not started."),
        advice=say("Choose an address of this machine with --host, and a port above 1023."),
    )  # fmt: skip


def address(server: Server, settings: Settings) -> str:
    """The URL to open. A server that listens everywhere is reached here under its loopback address."""
    port = _port(server)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "*": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{port}/" if ":" in host and not host.startswith("[") else f"http://{host}:{port}/"


def _port(server: Server) -> int:
    # A name with addresses of both kinds (localhost) makes several sockets; with --port 0 each has a port of its own.
    if isinstance(server, MultiSocketServer):
        return int(server.effective_listen[0][1])
    return int(server.effective_port)  # type: ignore[attr-defined]  # not in the stubs


def _say_where(storage: Storage, url: str, *, as_json: bool) -> None:
    token = storage.accounts.setup_token() if storage.accounts.needs_setup() else ""
    setup_url = f"{url}setup?token={token}" if token else None
    if as_json:
        answers.document({"url": url, "setup_url": setup_url})
    else:
        answers.line(f"pghaven is at {url}")
        if setup_url:
            answers.line("To make the first account, open (once):")
            answers.line(f"  {setup_url}")
            answers.line(f"  Set-up token: {token}")
    sys.stdout.flush()


SAME_WISH_SECONDS = 1.0
"""A signal that comes again so soon is the same one: make passes on to its child what the whole group got."""


def _end_on_signals() -> None:
    """The first SIGTERM or Ctrl-C ends cleanly; the second ends at once."""
    first: list[float] = []

    def end(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            raise SystemExit(0)
        if now - first[0] >= SAME_WISH_SECONDS:
            os.write(2, b"Ending at once.\n")
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
