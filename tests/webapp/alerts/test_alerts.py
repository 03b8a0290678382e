"""The pages of alerts: targets, rules, tests, and taking webhooks over. Secrets go in and never come out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.alerts.model import RULES, Event
from storage.opening import Storage, open_storage
from storage.secret import Secret
from storage.settings import Settings
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser

HOOK = "http://127.0.0.1:1/in?token=CANARY-token"
MAIL = {
    "kind": "mail",
    "name": "Ops",
    "recipients": "ops@example.com",
    "host": "127.0.0.1",
    "port": "1",
    "security": "none",
    "user": "ops",
    "password": "CANARY-password",
    "language": "zh",
}


def add_hook(admin: Browser, name: str = "Hook") -> None:
    data = {"kind": "webhook", "name": name, "url": HOOK, "headers": "X-Key: CANARY-header", "language": "en"}
    assert admin.post("/alerts/new", data=data).status_code == 303


def test_without_a_target_the_page_says_that_nobody_is_told(admin: Browser) -> None:
    page = admin.get("/alerts").text
    assert "Nobody is told about failures yet." in page
    assert "/alerts/new?kind=mail" in page


@pytest.mark.parametrize("kind", ["mail", "webhook", "service"])
def test_each_kind_has_its_form(admin: Browser, kind: str) -> None:
    assert f'name="kind" value="{kind}"' in admin.get(f"/alerts/new?kind={kind}").text


def test_a_target_is_added_bound_to_everything_and_its_secrets_never_come_out_again(
    admin: Browser, storage: Storage
) -> None:
    add_hook(admin)
    assert admin.post("/alerts/new", data=MAIL).status_code == 303
    book = storage.alerts.book()
    assert [target.where for target in book.targets] == ["http://127.0.0.1:1", "ops@example.com"]
    assert all(book.bound(target.target_id, event) for target in book.targets for event in RULES)
    for path in ("/alerts", *(f"/alerts/targets/{target.target_id}" for target in book.targets)):
        page = admin.get(path).text
        assert "CANARY" not in page
    assert (
        "alert_channel_added"
        in (storage.settings.data_folder / "metadata" / "audit").rglob("*.jsonl").__next__().read_text()
    )


def test_what_cannot_be_used_is_said_and_nothing_is_added(admin: Browser, storage: Storage) -> None:
    for changes, why in (
        ({"kind": "webhook", "name": "a", "url": "file:///etc/passwd"}, "begins with https:// or http://"),
        ({"kind": "webhook", "name": "a", "url": "http://user:pw@host/"}, "go into a header"),
        ({"kind": "service", "name": "a", "url": "syslog://"}, "not an address that Apprise knows"),
        ({**MAIL, "recipients": "ops@example.com\r\nBcc: all@example.com"}, "is not a mail address"),
        ({**MAIL, "name": ""}, "A name is missing."),
    ):
        answer = admin.post("/alerts/new", data={"language": "en", **changes})
        assert answer.status_code == 422
        assert why in answer.text
        assert "CANARY" not in answer.text
    assert storage.alerts.book().targets == ()


def test_a_stored_password_is_not_sent_to_another_mail_server(admin: Browser, storage: Storage) -> None:
    admin.post("/alerts/new", data=MAIL)
    (target,) = storage.alerts.book().targets
    moved = {**MAIL, "password": "", "host": "mail.attacker.example"}
    answer = admin.post(f"/alerts/targets/{target.target_id}", data=moved)
    assert answer.status_code == 422
    assert "another one now" in answer.text
    assert admin.post(f"/alerts/targets/{target.target_id}", data={**MAIL, "password": ""}).status_code == 303
    assert storage.alerts.book().targets[0].secrets == target.secrets


def test_rules_are_switched_for_each_target_and_limits_are_checked(admin: Browser, storage: Storage) -> None:
    add_hook(admin)
    (target,) = storage.alerts.book().targets
    limits = {"not_proven_days": "7", "disk_free_percent": "15", "drop_percent": "40"}
    answer = admin.post(
        "/alerts/rules", data={"shown": target.target_id, "bound": f"failed {target.target_id}", **limits}
    )
    assert answer.status_code == 303
    book = storage.alerts.book()
    assert [event for event in RULES if book.bound(target.target_id, event)] == [Event.FAILED]
    assert book.limits.not_proven_days == 7
    assert admin.post("/alerts/rules", data={**limits, "drop_percent": "2"}).status_code == 422
    assert storage.alerts.book().limits == book.limits


def test_a_test_that_fails_says_why_and_is_shown_as_the_last_delivery(admin: Browser, storage: Storage) -> None:
    add_hook(admin)
    (target,) = storage.alerts.book().targets
    assert admin.post(f"/alerts/targets/{target.target_id}/test").status_code == 303
    page = admin.get("/alerts").text
    assert "Nothing listens at this address and port." in page
    assert "Not delivered" in page
    assert "1 alert target was not reached" in page


def test_a_target_is_removed_after_a_question(admin: Browser, storage: Storage) -> None:
    add_hook(admin)
    (target,) = storage.alerts.book().targets
    assert "It is told nothing any more" in admin.get(f"/alerts/targets/{target.target_id}/remove").text
    admin.post(f"/alerts/targets/{target.target_id}/remove")
    assert storage.alerts.book().targets == ()


@pytest.mark.parametrize("path", ["/alerts", "/alerts/new", "/alerts/migration"])
def test_only_admins_see_alerts(user: Browser, path: str) -> None:
    assert user.get(path).status_code == 403


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As a former hub's environment has them, and with a mail server of pghaven's own."""
    return replace(
        settings,
        circuit_breaker_webhook=Secret(
            "https://open.feishu.cn/open-apis/bot/v2/hook/abcdef12-3456-7890-abcd-ef1234567890"
        ),
        cost_alert_webhook=Secret("https://alerts.example/in?key=CANARY"),
    )


def test_webhooks_of_an_earlier_system_are_previewed_then_taken_over_once(admin: Browser, storage: Storage) -> None:
    page = admin.get("/alerts/migration").text
    assert "2 webhooks can be taken over" in page
    assert "Feishu" in page
    assert "Custom Webhook" in page
    assert "CANARY" not in page
    assert storage.alerts.book().targets == ()
    assert admin.post("/alerts/migration", data={"source": ""}).status_code == 303
    assert [target.name for target in storage.alerts.book().targets] == ["Feishu", "Custom Webhook"]
    assert "There is nothing to take over here" in admin.get("/alerts/migration").text
    admin.post("/alerts/migration", data={"source": ""})
    assert len(storage.alerts.book().targets) == 2


def test_a_database_that_cannot_be_read_is_said_on_the_preview(admin: Browser) -> None:
    page = admin.get("/alerts/migration?source=nothing")
    assert page.status_code == 200
    assert "These settings could not be read" in page.text


def test_targets_of_the_environment_are_there_and_are_changed_there_only(
    settings: Settings, storage: Storage, clock: StandingClock
) -> None:
    given = open_storage(
        replace(settings, smtp_host="mail.example", smtp_to="a@example.com, b@example.com",
                smtp_password=Secret("CANARY"), smtp_user="u", alert_webhook_url=Secret(HOOK), alert_language="zh"),
        clock=clock,
    )  # fmt: skip
    mail, hook = given.alerts.book().targets
    assert (mail.name, mail.where, mail.language) == ("SMTP_HOST", "a@example.com, b@example.com", "zh")
    assert (hook.name, hook.where) == ("ALERT_WEBHOOK_URL", "http://127.0.0.1:1")
    assert given.alerts.book().bound(mail.target_id, Event.FAILED)
    given.alerts.bind({mail.target_id: {Event.LETTER: False}})
    assert not given.alerts.book().bound(mail.target_id, Event.LETTER)
    assert "CANARY" not in (settings.data_folder / "metadata" / "alerts" / "alerts.json").read_text()
