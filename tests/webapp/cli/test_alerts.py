"""`pghaven alerts` against a real receiver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.storage.alerts.conftest import Hook, Mailbox
from tests.webapp.cli.conftest import Terminal


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def test_a_webhook_is_added_tested_and_listed_without_its_secrets(terminal: Terminal, hook: Hook) -> None:
    added = terminal("alerts", "add", "hook", hook.url, "--header", "X-Key: CANARY", "--rule", "failed").good()
    assert "CANARY" not in added.out + added.err
    terminal("alerts", "test", "hook").good()
    assert hook.posts.empty()
    terminal("alerts", "send-test", "hook", "--json").good()
    _, headers, body = hook.next()
    assert (headers["X-Key"], body["event"]) == ("CANARY", "test")
    (listed,) = terminal("alerts", "list", "--json").good().json
    assert listed["rules"] == ["failed"]
    assert listed["last_delivery"]["state"] == "delivered"
    assert "CANARY" not in terminal("alerts", "list").good().out


def test_a_target_that_is_removed_is_told_nothing_any_more(terminal: Terminal, hook: Hook) -> None:
    terminal("alerts", "add", "hook", hook.url).good()
    refused = terminal("alerts", "remove", "hook")
    assert refused.code != 0 and "Add --yes" in refused.err
    assert terminal("alerts", "remove", "hook", "--yes", "--json").good().json == {"name": "hook", "removed": True}
    assert terminal("alerts", "list", "--json").good().json == []


def test_a_target_that_cannot_be_reached_ends_with_a_code_and_a_reason(terminal: Terminal, hook: Hook) -> None:
    terminal("alerts", "add", "hook", hook.url).good()
    hook.close()
    ended = terminal("alerts", "send-test", "hook", "--json")
    assert ended.code == 6
    assert ended.json["error"]["message"] == "Nothing listens at this address and port."
    assert terminal("alerts", "test", "hook").code == 6


def test_a_mail_address_is_added_with_its_server(terminal: Terminal) -> None:
    mailbox = Mailbox(password="typed")
    try:
        arguments = ("--smtp-host", "127.0.0.1", "--smtp-port", str(mailbox.port), "--smtp-security", "none")
        terminal(
            "alerts", "add", "Ops", "ops@example.com", *arguments, "--smtp-user", "ops", "--password-stdin",
            "--language", "zh", typed="typed\n",
        ).good()  # fmt: skip
        terminal("alerts", "send-test", "Ops").good()
        assert mailbox.next()["To"] == "ops@example.com"
    finally:
        mailbox.close()


def test_webhooks_of_the_environment_are_shown_first_and_taken_over_when_asked(terminal: Terminal) -> None:
    terminal.environment["CIRCUIT_BREAKER_WEBHOOK"] = "https://alerts.example/in"
    shown = terminal("alerts", "migrate", "--json").good().json
    assert [step["name"] for step in shown["steps"]] == ["Custom Webhook"]
    assert terminal("alerts", "list", "--json").good().json == []
    terminal("alerts", "migrate", "--apply").good()
    terminal("alerts", "migrate", "--apply").good()
    (target,) = terminal("alerts", "list", "--json").good().json
    assert target["rules"] == ["failed", "recovered", "late"]


def test_a_mail_server_of_the_environment_is_a_target(terminal: Terminal) -> None:
    terminal.environment |= {"SMTP_HOST": "mail.example", "SMTP_TO": "ops@example.com", "SMTP_PASSWORD": "CANARY"}
    (target,) = terminal("alerts", "list", "--json").good().json
    assert target["from_environment"]
    assert "CANARY" not in str(target)


def test_a_mail_server_of_the_environment_without_recipients_is_refused(terminal: Terminal) -> None:
    terminal.environment["SMTP_HOST"] = "mail.example"
    ended = terminal("alerts", "list")
    assert ended.code == 5
    assert "Nobody is named to get the mails." in ended.err
