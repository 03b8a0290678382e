"""Targets that the environment sets: a mail server and a webhook. They are changed there only."""

from __future__ import annotations

from dataclasses import replace

from storage.alerts.drafts import Draft, read
from storage.alerts.targets import Target, TargetKind
from storage.errors import named
from storage.secret import SecretBox
from storage.settings import Settings

MAIL, WEBHOOK = "environment-mail", "environment-webhook"


def targets(settings: Settings, box: SecretBox) -> tuple[Target, ...]:
    """Raises Invalid, which names what cannot be used."""
    found = []
    if settings.smtp_host:
        draft = Draft(
            kind=TargetKind.MAIL,
            name="SMTP_HOST",
            language=settings.alert_language,
            host=settings.smtp_host,
            port=str(settings.smtp_port) if settings.smtp_port else "",
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
            sender=settings.smtp_from,
            recipients=settings.smtp_to,
        )
        with named("SMTP_TO" if not settings.smtp_to else "SMTP_HOST"):
            found.append(read(draft, box, target_id=MAIL, by=""))
    if settings.alert_webhook_url:
        draft = Draft(
            kind=TargetKind.WEBHOOK,
            name="ALERT_WEBHOOK_URL",
            language=settings.alert_language,
            url=settings.alert_webhook_url,
        )
        with named("ALERT_WEBHOOK_URL"):
            found.append(read(draft, box, target_id=WEBHOOK, by=""))
    return tuple(replace(target, from_environment=True) for target in found)
