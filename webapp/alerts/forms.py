"""What the forms of alerts send: read into drafts, bindings and limits. What they mean, storage decides."""

from __future__ import annotations

from werkzeug.datastructures import MultiDict

from storage.alerts.drafts import Draft
from storage.alerts.model import RULES, Event, Limits
from storage.alerts.targets import Book, Target, TargetKind
from storage.errors import Invalid, say
from storage.secret import Secret

Form = MultiDict[str, str]


def kind_of(text: str) -> TargetKind:
    try:
        return TargetKind(text)
    except ValueError:
        raise Invalid(say("There is no such kind of alert target.")) from None


def draft(form: Form, kind: TargetKind) -> Draft:
    return Draft(
        kind=kind,
        **{name: form.get(name, "").strip() for name in ("name", "host", "port", "user", "sender", "recipients")},
        language=form.get("language", "en"),
        security=form.get("security", "starttls"),
        password=_secret(form.get("password", "")),
        url=_secret(form.get("url", "").strip()),
        headers=_secret(form.get("headers", "").strip()),
    )


def draft_of(target: Target) -> Draft:
    """A target in its form; its secrets stay where they are."""
    mail = target.mail
    return Draft(
        kind=target.kind,
        name=target.name,
        language=target.language,
        host=mail.host if mail else "",
        port=str(mail.port) if mail else "",
        security=mail.security.value if mail else "starttls",
        user=mail.user if mail else "",
        sender=mail.sender if mail else "",
        recipients=", ".join(mail.recipients) if mail else "",
    )


def bindings(form: Form, book: Book) -> dict[str, dict[Event, bool]]:
    """Every rule of the targets that the form showed: a box that is not ticked is not sent."""
    shown = set(form.getlist("shown"))
    ticked = set(form.getlist("bound"))
    return {
        target.target_id: {event: f"{event.value} {target.target_id}" in ticked for event in RULES}
        for target in book.targets
        if target.target_id in shown
    }


def limits(form: Form) -> Limits:
    """Raises Invalid for what is not a whole number."""
    found = {}
    for name in Limits.__slots__:
        text = form.get(name, "").strip()
        if not text.isascii() or not text.isdigit() or len(text) > 5:
            raise Invalid(say("The limits are whole numbers."))
        found[name] = int(text)
    return Limits(**found)


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None
