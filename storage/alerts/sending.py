"""Sends one text to one target, or says in plain words why not. Takes seconds, never minutes; remembers nothing."""

from __future__ import annotations

import http.client
import json
import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlsplit

from storage.alerts.drafts import checked_webhook
from storage.alerts.model import Alert
from storage.alerts.targets import Mail, Security, Target, TargetKind
from storage.alerts.wording import Text
from storage.clock import to_text
from storage.errors import Message, StorageError, Unavailable, say
from storage.secret import SecretBox

PATIENCE_SECONDS = 15.0
"""For each answer of the other side."""
MOST_WORDS = 300


class NotDelivered(Unavailable):
    """The text did not reach the target; or, of several recipients, not those in `left`."""

    def __init__(
        self, cause: Message, *, advice: Message | None = None, words: str = "", left: tuple[str, ...] = ()
    ) -> None:
        effect = say("Not everybody was told.") if left else say("Nobody was told.")
        super().__init__(cause, effect=effect, advice=advice, words=_short(words))
        self.left = left


class Sender:
    """Opens a target's secrets for as long as it speaks to it."""

    def __init__(self, box: SecretBox, *, patience: float = PATIENCE_SECONDS) -> None:
        self._box, self._patience = box, patience

    def __call__(self, target: Target, alert: Alert, text: Text, *, left: tuple[str, ...] = ()) -> None:
        """`left` are the recipients that an earlier try did not reach: nobody is told twice. Raises NotDelivered."""
        match target.kind:
            case TargetKind.MAIL:
                self._mail(target, text, left)
            case TargetKind.WEBHOOK:
                self._webhook(target, alert, text)
            case TargetKind.SERVICE:
                self._service(target, text)

    def look(self, target: Target) -> None:
        """Try as much of the way as can be tried without sending anything. Raises NotDelivered."""
        match target.kind:
            case TargetKind.MAIL:
                with self._mail_server(target):
                    pass
            case TargetKind.WEBHOOK:
                url = self._secret(target, "url")
                with _in_plain_words(), _connection(url, self._patience) as connection:
                    connection.connect()
            case TargetKind.SERVICE:
                _plugin(self._secret(target, "url"))

    def _secret(self, target: Target, name: str) -> str:
        if name not in target.secrets:
            return ""
        try:
            return self._box.open(target.secrets[name]).reveal
        except StorageError as error:
            raise NotDelivered(error.cause, advice=error.advice) from error

    def _mail(self, target: Target, text: Text, left: tuple[str, ...]) -> None:
        mail = _mail_of(target)
        letter = EmailMessage()
        letter["Subject"] = text.title
        letter["From"] = mail.sender
        letter["To"] = ", ".join(mail.recipients)
        letter["Date"] = formatdate()
        letter["Message-ID"] = make_msgid(domain="pghaven.invalid")
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text.body)
        with self._mail_server(target) as server:
            # Who was taken out of the settings meanwhile is not written to.
            refused = server.send_message(letter, to_addrs=[one for one in mail.recipients if one in left] or None)
        if refused:
            raise NotDelivered(
                say("The mail server refused %(recipients)s.", recipients=", ".join(refused)),
                advice=say("The others were told. Correct this address, or remove it."),
                words="; ".join(f"{address}: {_words(said)}" for address, (_, said) in refused.items()),
                left=tuple(refused),
            )

    @contextmanager
    def _mail_server(self, target: Target) -> Iterator[smtplib.SMTP]:
        mail, password = _mail_of(target), self._secret(target, "password")
        with _in_plain_words():
            trusted = ssl.create_default_context()
            server = (
                smtplib.SMTP_SSL(mail.host, mail.port, timeout=self._patience, context=trusted)
                if mail.security is Security.TLS
                else smtplib.SMTP(mail.host, mail.port, timeout=self._patience)
            )
            with server:
                if mail.security is Security.STARTTLS:
                    server.starttls(context=trusted)
                if mail.user:
                    server.login(mail.user, password)
                yield server

    def _webhook(self, target: Target, alert: Alert, text: Text) -> None:
        url, headers = self._secret(target, "url"), dict(json.loads(self._secret(target, "headers") or "[]"))
        body = json.dumps(
            {
                "format": 1,
                "event": alert.event.value,
                "database": alert.database or None,
                "at": to_text(alert.at),
                "title": text.title,
                "text": text.body,
            },
            ensure_ascii=False,
        ).encode()
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _in_plain_words(), _connection(url, self._patience) as connection:
            connection.request(
                "POST",
                path,
                body,
                {"User-Agent": "pghaven", **headers, "Content-Type": "application/json; charset=utf-8"},
            )
            answer = connection.getresponse()
            words = answer.read(2000).decode(errors="replace")
        if 300 <= answer.status < 400:
            raise NotDelivered(
                say(
                    "The webhook sends on to another address (%(status)s), which is not followed.", status=answer.status
                ),
                advice=say("Enter the address that it leads to."),
            )
        if not 200 <= answer.status < 300:
            raise NotDelivered(say("The webhook answered with %(status)s.", status=answer.status), words=words)

    def _service(self, target: Target, text: Text) -> None:
        plugin = _plugin(self._secret(target, "url"))
        with _what_apprise_says() as said:
            delivered = plugin.notify(body=text.body, title=text.title)
        if not delivered:
            raise NotDelivered(
                say("The service did not take the message."),
                advice=say("Look whether its token or address is still good."),
                words="\n".join(said),
            )


def _mail_of(target: Target) -> Mail:
    assert target.mail is not None, "a mail target without a mail server"
    return target.mail


@contextmanager
def _connection(url: str, patience: float) -> Iterator[http.client.HTTPConnection]:
    parts = checked_webhook(url)
    host = parts.hostname or ""
    # No redirect is followed and no proxy asked: what an admin typed is where it goes.
    connection: http.client.HTTPConnection = (
        http.client.HTTPSConnection(host, parts.port, timeout=patience, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=patience)
    )
    try:
        yield connection
    finally:
        connection.close()


def _plugin(url: str):  # type: ignore[no-untyped-def]  # apprise has no types
    import apprise  # here, because it is slow to load and most starts do not need it

    asset = apprise.AppriseAsset(app_id="pghaven", secure_logging=True)
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        raise NotDelivered(say("This is not an address that Apprise knows."))
    return plugin


@contextmanager
def _what_apprise_says() -> Iterator[list[str]]:
    """The warnings of this thread: Apprise tells why only to its log, which all threads share."""
    said: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("apprise")
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Turn what the network and the mail server say into a sentence; the particular comes before the general."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise NotDelivered(
            say("The mail server refused the user or the password."),
            advice=say("Enter them again; some providers want a password of its own for programs."),
            words=_words(error.smtp_error),
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        words = "; ".join(f"{address}: {_words(said)}" for address, (_, said) in error.recipients.items())
        raise NotDelivered(say("The mail server refused every recipient."), words=words) from error
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(
            say("The mail server answered with %(status)s.", status=error.smtp_code), words=_words(error.smtp_error)
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise NotDelivered(
            say("The mail server offers no STARTTLS, or no sign-in."),
            advice=say("Choose another way to speak to it: TLS from the start, or none inside your own network."),
            words=str(error),
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise NotDelivered(
            say("The certificate of the other side is not trusted: %(reason)s", reason=error.verify_message),
            advice=say("Use the host name that is in the certificate."),
        ) from error
    except ssl.SSLError as error:
        raise NotDelivered(
            say("No secure connection could be made."),
            advice=say("Look at the port: 465 speaks TLS from the start, 587 begins with STARTTLS."),
            words=str(error.reason or error),
        ) from error
    except socket.gaierror as error:
        raise NotDelivered(say("There is no server of this name."), advice=say("Look at its spelling.")) from error
    except TimeoutError as error:
        raise NotDelivered(say("The other side did not answer in time.")) from error
    except ConnectionRefusedError as error:
        raise NotDelivered(say("Nothing listens at this address and port.")) from error
    except (smtplib.SMTPException, http.client.HTTPException) as error:
        raise NotDelivered(
            say("The other side ended the conversation, or does not speak this protocol."), words=str(error)
        ) from error
    except OSError as error:
        raise NotDelivered(
            say("The connection broke: %(reason)s", reason=error.strerror or type(error).__name__)
        ) from error


def _words(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _short(words: str) -> str:
    """A few lines that can be shown: whoever answers chooses what it says."""
    visible = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in words).strip()
    return visible if len(visible) <= MOST_WORDS else f"{visible[:MOST_WORDS]}…"
