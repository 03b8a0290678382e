"""Alerts over a folder of the test's own, and what receives them: a real mail server and a real web server."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SmtpServer
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from storage.alerts.alerts import Alerts
from storage.alerts.drafts import Draft
from storage.alerts.model import Event
from storage.alerts.sending import Sender
from storage.alerts.targets import EVERYTHING, Target, TargetKind
from storage.alerts.wording import Wording
from storage.secret import Secret, SecretBox
from tests.conftest import StandingClock

CATALOGUES = Path(__file__).parents[3] / "webapp" / "translations"
PATIENCE = 20.0


class Mailbox:
    """A mail server on a port of its own. `letters` is a queue: waiting for a mail is waiting for it."""

    def __init__(self, *, password: str = "") -> None:
        self.letters: queue.Queue[EmailMessage] = queue.Queue()
        self.recipients: list[list[str]] = []
        """Of each letter that was taken."""
        self.unknown: set[str] = set()
        """Recipients that are refused."""
        self._password = password
        self._controller: Controller | None = None
        self.port = _free_port()
        self.open()

    async def handle_RCPT(
        self, server: SmtpServer, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.unknown:
            return "550 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 known"

    async def handle_DATA(self, server: SmtpServer, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.recipients.append(list(envelope.rcpt_tos))
        self.letters.put(letter)
        return "250 taken"

    def open(self) -> None:
        def authenticate(
            server: SmtpServer, session: Session, envelope: Envelope, mechanism: str, data: Any
        ) -> AuthResult:
            good = isinstance(data, LoginPassword) and data.password.decode() == self._password
            return AuthResult(success=good, handled=False)

        options = (
            {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False} if self._password else {}
        )
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def next(self) -> EmailMessage:
        return self.letters.get(timeout=PATIENCE)


class Hook:
    """A web server that keeps what is posted. `status` is what it answers; while `hold` is clear it answers nothing."""

    def __init__(self) -> None:
        self.posts: queue.Queue[tuple[str, dict[str, str], Any]] = queue.Queue()
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        self.port = _free_port()
        self._server: ThreadingHTTPServer | None = None
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in?token=CANARY-token"

    def open(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.put((self.path, dict(self.headers), json.loads(body)))
                hook.hold.wait(PATIENCE)
                answer = b'{"trouble": "not today"}' if hook.status != 200 else b"{}"
                self.send_response(hook.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def next(self) -> tuple[str, dict[str, str], Any]:
        return self.posts.get(timeout=PATIENCE)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    yield mailbox
    mailbox.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def box() -> SecretBox:
    return SecretBox("the key of this test")


@pytest.fixture
def open_alerts(tmp_path: Path, clock: StandingClock, box: SecretBox) -> Iterator[Callable[[], Alerts]]:
    """open_alerts() -> Alerts over one folder; a second call is the next start of the program."""
    opened: list[Alerts] = []

    def start() -> Alerts:
        alerts = Alerts(
            tmp_path / "alerts",
            box=box,
            clock=clock,
            zone="Europe/Berlin",
            language="en",
            hold=nullcontext,
            wording=Wording(CATALOGUES, zone="Europe/Berlin", instance="box-1"),
            sender=Sender(box, patience=10),
        )
        opened.append(alerts)
        return alerts

    yield start
    for alerts in opened:
        alerts.stop()


@pytest.fixture
def alerts(open_alerts: Callable[[], Alerts]) -> Alerts:
    return open_alerts()


def by_mail(alerts: Alerts, mailbox: Mailbox, **changes: Any) -> Target:
    """A mail target bound to everything."""
    facts: dict[str, Any] = {
        "kind": TargetKind.MAIL,
        "name": "Ops",
        "host": "127.0.0.1",
        "port": str(mailbox.port),
        "security": "none",
        "sender": "pghaven@example.com",
        "recipients": "ops@example.com, night@example.com",
    }
    return alerts.add(Draft(**(facts | changes)), EVERYTHING, by="ana")


def by_hook(alerts: Alerts, hook: Hook, *, bindings: dict[Event, bool] | None = None, **changes: Any) -> Target:
    facts: dict[str, Any] = {"kind": TargetKind.WEBHOOK, "name": "Hook", "url": Secret(hook.url)}
    return alerts.add(Draft(**(facts | changes)), EVERYTHING if bindings is None else bindings, by="ana")
