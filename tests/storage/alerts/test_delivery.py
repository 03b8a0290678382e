"""Alerts reach real servers, wait for those that are away, and never wait for one another."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from storage.alerts.alerts import Alerts
from storage.alerts.drafts import Draft
from storage.alerts.facts import JobEnd
from storage.alerts.model import Event
from storage.alerts.outbox import BACK_OFF, Delivery, DeliveryState
from storage.alerts.sending import NotDelivered
from storage.alerts.targets import EVERYTHING, TargetKind
from storage.secret import Secret
from tests.builders import NOON, a_refusal
from tests.conftest import StandingClock
from tests.storage.alerts.conftest import Hook, Mailbox, by_hook, by_mail


def a_failure(database: str = "shop") -> JobEnd:
    return JobEnd(
        kind="take",
        database=database,
        state="failed",
        at=NOON,
        error=a_refusal().to_json(),
        newest_good_at=NOON - timedelta(hours=10),
    )


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def newest(alerts: Alerts, target_id: str) -> Delivery:
    return next(delivery for _, delivery in alerts.deliveries() if delivery.target_id == target_id)


def test_a_failed_backup_is_told_by_mail_with_effect_cause_and_advice(alerts: Alerts, mailbox: Mailbox) -> None:
    by_mail(alerts, mailbox)
    alerts.start()
    alerts.job_ended(a_failure())
    letter = mailbox.next()
    assert letter["Subject"] == "shop: the backup failed"
    assert letter["To"] == "ops@example.com, night@example.com"
    body = letter.get_content()
    assert body.index("The last good backup is from 2026-11-22 03:00.") < body.index("PostgreSQL refused the password")
    assert "Enter the password again" in body
    assert "password authentication failed" in body
    assert "box-1" in body


def test_the_same_is_told_in_chinese_to_whom_chinese_is_set(alerts: Alerts, mailbox: Mailbox) -> None:
    by_mail(alerts, mailbox, language="zh")
    alerts.start()
    alerts.job_ended(a_failure())
    assert mailbox.next()["Subject"] == "shop：备份失败"


def test_a_webhook_gets_json_with_the_headers_that_were_set(alerts: Alerts, hook: Hook) -> None:
    by_hook(alerts, hook, headers=Secret("Authorization: Bearer CANARY-header"))
    alerts.start()
    alerts.job_ended(a_failure())
    path, headers, body = hook.next()
    assert path == "/in?token=CANARY-token"
    assert headers["Authorization"] == "Bearer CANARY-header"
    assert body["event"] == "failed"
    assert body["database"] == "shop"
    assert body["title"] == "shop: the backup failed"


def test_a_service_is_told_through_apprise(alerts: Alerts, hook: Hook) -> None:
    draft = Draft(kind=TargetKind.SERVICE, name="Chat", url=Secret(f"json://127.0.0.1:{hook.port}/in"))
    alerts.add(draft, EVERYTHING, by="ana")
    alerts.start()
    alerts.job_ended(a_failure())
    _, _, body = hook.next()
    assert body["title"] == "shop: the backup failed"
    assert "PostgreSQL refused the password" in body["message"]


def test_an_alert_for_a_dead_mail_server_arrives_when_it_is_back_also_after_a_restart(
    open_alerts: Callable[[], Alerts], mailbox: Mailbox, clock: StandingClock
) -> None:
    first = open_alerts()
    target = by_mail(first, mailbox)
    mailbox.close()
    first.start()
    first.job_ended(a_failure())
    until(lambda: bool(first.deliveries()) and newest(first, target.target_id).attempts == 1)
    waiting = newest(first, target.target_id)
    assert waiting.state is DeliveryState.WAITING
    assert str(waiting.reason) == "Nothing listens at this address and port."
    first.stop()
    mailbox.open()
    clock.forward(seconds=BACK_OFF[0].total_seconds())
    second = open_alerts()
    second.start()
    assert mailbox.next()["Subject"] == "shop: the backup failed"
    until(lambda: newest(second, target.target_id).state is DeliveryState.DELIVERED)
    assert mailbox.letters.empty()


def test_it_is_tried_again_with_growing_pauses_for_about_a_day_and_then_given_up(clock: StandingClock) -> None:
    delivery, moments = Delivery(target_id="t", target="Ops"), []
    while delivery.state is DeliveryState.WAITING:
        delivery = delivery.refused(a_refusal(), clock())
        if delivery.next_at:
            moments.append(delivery.next_at)
            clock.forward(seconds=(delivery.next_at - clock()).total_seconds())
    assert delivery.state is DeliveryState.FAILED
    assert delivery.attempts == len(BACK_OFF) + 1
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert pauses == sorted(pauses)
    assert timedelta(hours=20) < moments[-1] - moments[0] < timedelta(hours=30)


def test_a_target_that_hangs_delays_no_other_and_no_backup(alerts: Alerts, hook: Hook, mailbox: Mailbox) -> None:
    hook.hold.clear()
    slow = by_hook(alerts, hook)
    by_mail(alerts, mailbox)
    alerts.start()
    alerts.job_ended(a_failure("shop"))
    hook.next()  # it has the first and does not answer
    before = time.monotonic()
    alerts.job_ended(a_failure("blog"))
    assert time.monotonic() - before < 2
    assert {mailbox.next()["Subject"], mailbox.next()["Subject"]} == {
        "shop: the backup failed",
        "blog: the backup failed",
    }
    assert newest(alerts, slow.target_id).state is DeliveryState.WAITING
    assert hook.posts.empty(), "two deliveries to one target at once"
    hook.hold.set()
    assert hook.next()[2]["title"] == "blog: the backup failed"
    until(lambda: all(one.state is DeliveryState.DELIVERED for _, one in alerts.deliveries()))


def test_stopping_does_not_wait_for_a_target_that_hangs(alerts: Alerts, hook: Hook) -> None:
    hook.hold.clear()
    by_hook(alerts, hook)
    alerts.start()
    alerts.job_ended(a_failure())
    hook.next()
    before = time.monotonic()
    alerts.stop()
    assert time.monotonic() - before < 6


def test_the_answer_of_a_webhook_that_refuses_is_shown(alerts: Alerts, hook: Hook) -> None:
    target = by_hook(alerts, hook)
    hook.status = 503
    delivery = alerts.send_test(target.target_id)
    assert delivery.state is DeliveryState.FAILED
    assert str(delivery.reason) == "The webhook answered with 503."
    assert "not today" in delivery.words
    assert newest(alerts, target.target_id) == delivery


def test_a_redirect_is_not_followed(alerts: Alerts, hook: Hook) -> None:
    target = by_hook(alerts, hook)
    hook.status = 302
    assert "not followed" in str(alerts.send_test(target.target_id).reason)


def test_a_wrong_password_of_the_mail_server_is_said_in_plain_words(alerts: Alerts) -> None:
    guarded = Mailbox(password="right")
    try:
        wrong = by_mail(alerts, guarded, name="wrong", user="ops", password=Secret("CANARY-wrong"))
        right = by_mail(alerts, guarded, name="right", user="ops", password=Secret("right"))
        delivery = alerts.send_test(wrong.target_id)
        assert str(delivery.reason) == "The mail server refused the user or the password."
        with pytest.raises(NotDelivered, match="refused the user or the password"):
            alerts.try_target(wrong.target_id)
        alerts.try_target(right.target_id)
        assert guarded.letters.empty(), "looking sends nothing"
        assert alerts.send_test(right.target_id).state is DeliveryState.DELIVERED
        assert guarded.next()["Subject"] == "Test alert"
    finally:
        guarded.close()


def test_only_the_recipients_that_were_refused_are_tried_again(
    alerts: Alerts, mailbox: Mailbox, clock: StandingClock
) -> None:
    target = by_mail(alerts, mailbox)
    mailbox.unknown = {"night@example.com"}
    alerts.start()
    alerts.job_ended(a_failure())
    mailbox.next()
    until(lambda: newest(alerts, target.target_id).attempts == 1)
    refused = newest(alerts, target.target_id)
    assert refused.state is DeliveryState.WAITING
    assert str(refused.reason) == "The mail server refused night@example.com."
    assert str(refused.advice) == "The others were told. Correct this address, or remove it."
    assert "no such mailbox here" in refused.words
    mailbox.unknown = set()
    clock.forward(seconds=30)
    until(lambda: newest(alerts, target.target_id).state is DeliveryState.DELIVERED)
    assert mailbox.recipients == [["ops@example.com"], ["night@example.com"]]


def test_nobody_is_told_of_what_no_target_is_bound_to(alerts: Alerts, hook: Hook) -> None:
    by_hook(alerts, hook, bindings={Event.RESTORED: True, Event.FAILED: False})
    alerts.start()
    alerts.job_ended(a_failure())
    alerts.job_ended(JobEnd(kind="restore", database="shop", state="completed", at=NOON, target="shop_copy"))
    assert hook.next()[2]["event"] == "restored"
    until(lambda: not any(one.state is DeliveryState.WAITING for _, one in alerts.deliveries()))
    assert [alert.event for alert, _ in alerts.deliveries()] == [Event.RESTORED]


def test_an_alert_of_another_process_is_sent_by_the_one_that_runs(
    open_alerts: Callable[[], Alerts], hook: Hook
) -> None:
    terminal, web = open_alerts(), open_alerts()
    by_hook(web, hook)
    terminal.job_ended(a_failure())
    assert web.unaddressed() == 1
    web.start()
    assert hook.next()[2]["event"] == "failed"


def test_a_target_that_is_removed_gets_nothing_more(alerts: Alerts, hook: Hook, clock: StandingClock) -> None:
    target = by_hook(alerts, hook)
    hook.status = 500
    alerts.start()
    alerts.job_ended(a_failure())
    hook.next()
    until(lambda: newest(alerts, target.target_id).attempts == 1)
    alerts.remove(target.target_id)
    clock.forward(days=1)
    until(lambda: not alerts.deliveries())
    assert hook.posts.empty()


def test_no_secret_of_a_target_lies_in_a_file_or_shows_itself(
    alerts: Alerts, hook: Hook, mailbox: Mailbox, tmp_path: Path
) -> None:
    by_hook(alerts, hook, headers=Secret("X-Key: CANARY-header"))
    mailbox.close()
    by_mail(alerts, mailbox, user="ops", password=Secret("CANARY-password"))
    for target in alerts.book().targets:
        alerts.send_test(target.target_id)
        assert "CANARY" not in repr(target)
        assert "CANARY" not in target.where
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 3
    assert not [file for file in files if b"CANARY" in file.read_bytes()]
    assert json.loads((tmp_path / "alerts" / "alerts.json").read_text())["targets"]


def test_threads_end_with_their_deliveries(alerts: Alerts, hook: Hook) -> None:
    by_hook(alerts, hook)
    alerts.start()
    alerts.job_ended(a_failure())
    hook.next()
    until(lambda: newest(alerts, alerts.book().targets[0].target_id).state is DeliveryState.DELIVERED)
    alerts.stop()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("alert")])
