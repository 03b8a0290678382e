"""`pghaven alerts`: who is told when something needs a person, and whether it reaches them."""

from __future__ import annotations

from typing import Any

import click

from storage.alerts.drafts import Draft, checked_webhook
from storage.alerts.migration import Step
from storage.alerts.model import RULES, Event
from storage.alerts.outbox import Delivery, DeliveryState
from storage.alerts.targets import EVERYTHING, Book, Security, Target, TargetKind
from storage.clock import to_text
from storage.errors import Invalid, NotFound, say
from storage.secret import Secret
from webapp.cli import answers, refusals
from webapp.cli.program import opened

RULE = click.Choice([event.value for event in RULES])


@click.group()
def alerts() -> None:
    """Have somebody told of failures, by mail, webhook or chat. The web process sends; the terminal may test."""


@alerts.command("list")
@answers.with_json
def list_(as_json: bool) -> None:
    """List the targets, the rules bound to each, and how their last delivery went."""
    with opened() as storage:
        book = storage.alerts.book()
        last = storage.alerts.last_deliveries()
    if as_json:
        return answers.document([_facts(book, target, last.get(target.target_id)) for target in book.targets])
    if not book.targets:
        return answers.line("Nobody is told about failures yet. To change that: pghaven alerts add NAME URL")
    rows = [
        (
            target.name,
            target.kind.value,
            target.where,
            ", ".join(event.value for event in RULES if book.bound(target.target_id, event)),
            _went(last.get(target.target_id)),
        )
        for target in book.targets
    ]
    return answers.table(("NAME", "KIND", "LEADS TO", "TOLD OF", "LAST DELIVERY"), rows)


@alerts.command()
@click.argument("name")
@click.argument("where", metavar="URL|ADDRESS")
@click.option("--rule", "rules", multiple=True, type=RULE, help="Only these; without, everything.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="Of what is sent.")
@click.option("--header", "headers", multiple=True, metavar="NAME: VALUE", help="Of a webhook.")
@click.option("--smtp-host", default="", help="The mail server, for an ADDRESS.")
@click.option("--smtp-port", default="", help="Its port; the usual one by default.")
@click.option(
    "--smtp-security",
    type=click.Choice([way.value for way in Security]),
    default="starttls",
    show_default=True,
    help="How the way to it is encrypted.",
)
@click.option("--smtp-user", default="", help="Who signs in there; nobody by default.")
@click.option("--smtp-from", default="", help="The sender of the mails.")
@click.option("--password-stdin", is_flag=True, help="Read the mail server's password from standard input.")
@answers.with_json
def add(
    name: str,
    where: str,
    rules: tuple[str, ...],
    language: str | None,
    headers: tuple[str, ...],
    smtp_host: str,
    smtp_port: str,
    smtp_security: str,
    smtp_user: str,
    smtp_from: str,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Add a target: a webhook (https://…), an Apprise address (feishu://TOKEN, tgram://TOKEN/CHAT …), or a mail
    address with --smtp-host. Its secrets are encrypted and never shown again."""
    password = answers.new_password(from_stdin=True, whose=smtp_user) if password_stdin else ""
    with opened(may_make=True) as storage:
        draft = Draft(
            kind=_kind(where),
            name=name,
            language=language or storage.alerts.language,
            host=smtp_host,
            port=smtp_port,
            security=smtp_security,
            user=smtp_user,
            password=Secret(password) if password else None,
            sender=smtp_from,
            recipients=where,
            url=Secret(where),
            headers=Secret("\n".join(headers)) if headers else None,
        )
        bindings = {event: event.value in rules for event in RULES} if rules else EVERYTHING
        target = storage.alerts.add(draft, bindings, by=answers.who())
        storage.audit.record(
            "alert_channel_added", actor=answers.who(), subject=target.name, kind=target.kind.value, where=target.where
        )
        book = storage.alerts.book()
    if as_json:
        return answers.document(_facts(book, target, None))
    answers.line(f"Added {target.name}: {target.where}.")
    return answers.note(f"To see that it arrives: pghaven alerts send-test {target.name}")


@alerts.command()
@click.argument("name")
@answers.with_json
def test(name: str, as_json: bool) -> None:
    """Try the way to a target as far as it goes without sending anything: server, certificate, user and password."""
    with opened() as storage:
        target = _named(storage.alerts.book(), name)
        storage.alerts.try_target(target.target_id)
    if as_json:
        return answers.document({"name": target.name, "good": True})
    return answers.line(f"{target.name} can be reached. Nothing was sent.")


@alerts.command("send-test")
@click.argument("name")
@answers.with_json
def send_test(name: str, as_json: bool) -> int:
    """Send a test alert to a target, and say how it went."""
    with opened() as storage:
        target = _named(storage.alerts.book(), name)
        delivery = storage.alerts.send_test(target.target_id)
        good = delivery.state is DeliveryState.DELIVERED
        storage.audit.record(
            "alert_tested", actor=answers.who(), subject=target.name, result="ok" if good else "failed"
        )
    code = refusals.DONE if good else refusals.exit_code_of_kind("Unavailable")
    if as_json:
        answer: dict[str, Any] = {"name": target.name, "delivery": _delivery(delivery)}
        if not good:
            error = {"kind": "NotDelivered", "exit_code": code, "message": str(delivery.reason)}
            answer = {"error": error | {"words": delivery.words}, **answer}
        answers.document(answer)
    elif good:
        answers.line(f"The test alert was handed over to {target.name}.")
    else:
        answers.note(f"{target.name} was not reached: {_went(delivery)}")
    return code


@alerts.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answers.with_json
def remove(name: str, yes: bool, as_json: bool) -> None:
    """Tell a target nothing any more."""
    with opened() as storage:
        target = _named(storage.alerts.book(), name)
        if not yes:
            answers.confirm(
                f"Tell {target.name} nothing any more?",
                advice=say("Add --yes to tell %(name)s nothing any more.", name=target.name),
            )
        storage.alerts.remove(target.target_id)
        storage.audit.record("alert_channel_removed", actor=answers.who(), subject=target.name, kind=target.kind.value)
    if as_json:
        return answers.document({"name": target.name, "removed": True})
    return answers.line(f"{target.name} is told nothing any more.")


@alerts.command()
@click.option("--from", "source", metavar="DATABASE", default="", help="A hub's database; without, the environment.")
@click.option("--apply", "apply_", is_flag=True, help="Write what is shown; without, nothing is changed.")
@answers.with_json
def migrate(source: str, apply_: bool, as_json: bool) -> None:
    """Take over the single-address webhooks of earlier systems: CIRCUIT_BREAKER_WEBHOOK, DAILY_LEADERBOARD_WEBHOOK,
    COST_ALERT_WEBHOOK and WEBHOOK_URL, or the table notification_settings of a hub."""
    with opened() as storage:
        lookout = storage.lookout
        settings = lookout.legacy_of_database(source) if source else lookout.legacy_of_environment()
        if apply_:
            steps = storage.alerts.migrate(settings, by=answers.who())
            done = [step.name for step in steps if step.does_something]
            storage.audit.record(
                "alerts_changed", actor=answers.who(), subject=source or "environment", taken_over=done
            )
        else:
            steps = storage.alerts.migration(settings)
    if as_json:
        return answers.document({"applied": apply_, "steps": [_step(step) for step in steps]})
    if not steps:
        return answers.line("There is nothing to take over.")
    rows = [
        (
            ", ".join(step.settings),
            "–" if step.obstacle else f"{step.name} (there already)" if step.present_id else step.name,
            step.where or "–",
            str(step.obstacle) if step.obstacle else ", ".join(_bound(step)) or "nothing new",
        )
        for step in steps
    ]
    answers.table(("SETTING", "BECOMES", "LEADS TO", "RULES"), rows)
    return answers.note("Taken over." if apply_ else "Nothing was changed. To take them over, add --apply.")


def _kind(where: str) -> TargetKind:
    if where.startswith(("http://", "https://")):
        checked_webhook(where)
        return TargetKind.WEBHOOK
    return TargetKind.SERVICE if "://" in where else TargetKind.MAIL


def _named(book: Book, name: str) -> Target:
    found = [target for target in book.targets if name in (target.name, target.target_id)]
    if not found:
        raise NotFound(
            say("There is no alert target named “%(name)s”.", name=name[:80]),
            advice=say("To see them: pghaven alerts list"),
        )
    if len(found) > 1:
        raise Invalid(say("Several alert targets are named “%(name)s”; use the id.", name=name))
    return found[0]


def _went(delivery: Delivery | None) -> str:
    if delivery is None:
        return "none yet"
    if delivery.reason is None:
        return f"{delivery.state.value}, {answers.moment(delivery.last_at)}"
    return f"{delivery.state.value}: {delivery.reason}{f' ({delivery.words})' if delivery.words else ''}"


def _facts(book: Book, target: Target, last: Delivery | None) -> dict[str, Any]:
    return {
        "id": target.target_id,
        "name": target.name,
        "kind": target.kind.value,
        "where": target.where,
        "language": target.language,
        "from_environment": target.from_environment,
        "rules": [event.value for event in RULES if book.bound(target.target_id, event)],
        "last_delivery": _delivery(last) if last else None,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "at": to_text(delivery.last_at),
        "next_at": to_text(delivery.next_at),
        "reason": str(delivery.reason) if delivery.reason else None,
        "words": delivery.words,
    }


def _bound(step: Step) -> list[str]:
    return [event.value if on else f"{event.value} (off)" for event, on in step.bindings.items()]


def _step(step: Step) -> dict[str, Any]:
    bindings: dict[str, bool] = {Event(event).value: on for event, on in step.bindings.items()}
    return {
        "settings": list(step.settings),
        "provider": step.provider.value,
        "name": step.name,
        "where": step.where,
        "present": bool(step.present_id),
        "bindings": bindings,
        "obstacle": str(step.obstacle) if step.obstacle else None,
    }
