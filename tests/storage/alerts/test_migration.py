"""Single-address webhooks become targets: by host name, at once or not at all, and never twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.alerts import migration
from storage.alerts.alerts import Alerts
from storage.alerts.drafts import Draft
from storage.alerts.migration import LegacySetting, Provider, provider_of
from storage.alerts.model import Event
from storage.alerts.targets import EVERYTHING, TargetKind
from storage.errors import Conflict, say
from storage.postgres.connection import connect
from storage.secret import Secret, SecretBox

WECHAT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7aaa-4bc4-97a0-0ec2sifa5aaa"
FEISHU = "https://open.feishu.cn/open-apis/bot/v2/hook/abcdef12-3456-7890-abcd-ef1234567890"
LARK = "https://open.larksuite.com/open-apis/bot/v2/hook/abcdef12-3456-7890-abcd-ef1234567891"
DINGTALK = f"https://oapi.dingtalk.com/robot/send?access_token={'0123456789abcdef' * 4}"
TELEGRAM = "https://api.telegram.org/bot123456789:abcdefghijklmnopqrstuvwxyz012345678/sendMessage"
CUSTOM = "https://alerts.example/in"


def a_setting(url: str, setting: str = "circuit_breaker", *, enabled: bool = True) -> LegacySetting:
    return LegacySetting(setting=setting, url=Secret(url), enabled=enabled)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        (WECHAT, Provider.WECHAT),
        (FEISHU, Provider.FEISHU),
        (LARK, Provider.LARK),
        (DINGTALK, Provider.DINGTALK),
        (TELEGRAM, Provider.TELEGRAM),
        ("https://OPEN.FEISHU.CN./x", Provider.FEISHU),
        ("https://open.feishu.cn.attacker.example/hook", Provider.CUSTOM),
        ("https://attacker.example/open.feishu.cn", Provider.CUSTOM),
        ("https://notopen.feishu.cn/hook", Provider.CUSTOM),
        ("https://open.feishu.cn@attacker.example/hook", Provider.CUSTOM),
        ("https://[", Provider.CUSTOM),
    ],
)
def test_a_provider_is_known_by_the_whole_host_name(url: str, provider: Provider) -> None:
    assert provider_of(url) is provider


def test_the_preview_names_what_will_be_and_changes_nothing(alerts: Alerts, tmp_path: Path) -> None:
    urls = (WECHAT, FEISHU, DINGTALK, f"{TELEGRAM}?chat_id=-100123", CUSTOM)
    steps = alerts.migration([a_setting(url) for url in urls])
    assert [step.name for step in steps] == ["WeChat Work", "Feishu", "DingTalk", "Telegram", "Custom Webhook"]
    assert not (tmp_path / "alerts" / "alerts.json").exists()


def test_a_second_of_the_same_provider_gets_a_number(alerts: Alerts) -> None:
    alerts.add(Draft(kind=TargetKind.WEBHOOK, name="Custom Webhook", url=Secret(CUSTOM)), EVERYTHING, by="ana")
    steps = alerts.migrate([a_setting(f"{CUSTOM}/2"), a_setting(f"{CUSTOM}/3"), a_setting(FEISHU)], by="ana")
    assert [step.name for step in steps] == ["Custom Webhook (2)", "Custom Webhook (3)", "Feishu"]


def test_a_setting_that_is_configured_but_off_is_taken_over_and_stays_silent(alerts: Alerts) -> None:
    alerts.migrate([a_setting(CUSTOM, enabled=False), a_setting(CUSTOM, "daily_leaderboard")], by="ana")
    book = alerts.book()
    (target,) = book.targets
    assert dict(book.bindings[target.target_id]) == {
        Event.FAILED: False,
        Event.RECOVERED: False,
        Event.LATE: False,
        Event.LETTER: True,
    }


def test_doing_it_again_adds_nothing_and_keeps_what_was_switched_since(alerts: Alerts) -> None:
    settings = [a_setting(CUSTOM), a_setting(FEISHU, "cost_alert")]
    alerts.migrate(settings, by="ana")
    target = alerts.book().targets[0]
    alerts.bind({target.target_id: {Event.FAILED: False, Event.RESTORED: True}})
    before = alerts.book()
    again = alerts.migrate(settings, by="ana")
    assert not [step for step in again if step.does_something]
    assert alerts.book() == before
    more = alerts.migrate([*settings, a_setting(CUSTOM, "daily_leaderboard")], by="ana")
    assert [dict(step.bindings) for step in more if step.does_something] == [{Event.LETTER: True}]
    assert not alerts.book().bound(target.target_id, Event.FAILED)
    assert len(alerts.book().targets) == 2


def test_an_address_that_lacks_something_is_named_and_the_others_are_taken_over(alerts: Alerts) -> None:
    lacking, other = alerts.migrate([a_setting(TELEGRAM), a_setting(CUSTOM, "cost_alert")], by="ana")
    assert "chat_id" in str(lacking.obstacle)
    assert other.name == "Custom Webhook"
    assert [target.name for target in alerts.book().targets] == ["Custom Webhook"]


def test_when_one_cannot_be_written_none_is(alerts: Alerts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alerts.migrate([a_setting(WECHAT)], by="ana")
    before = (tmp_path / "alerts" / "alerts.json").read_bytes()
    read, calls = migration.read, []

    def failing(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise Conflict(say("No."))
        return read(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(migration, "read", failing)
    with pytest.raises(Conflict):
        alerts.migrate([a_setting(FEISHU), a_setting(CUSTOM)], by="ana")
    assert len(calls) == 2
    assert (tmp_path / "alerts" / "alerts.json").read_bytes() == before


def test_every_address_leads_where_it_led_before(alerts: Alerts, box: SecretBox) -> None:
    urls = (WECHAT, FEISHU, LARK, DINGTALK, f"{TELEGRAM}?chat_id=-100123", CUSTOM)
    alerts.migrate([a_setting(url) for url in urls], by="ana")
    stored = [box.open(target.secrets["url"]).reveal for target in alerts.book().targets]
    assert [url.partition("://")[0] for url in stored] == ["wecombot", "feishu", "lark", "dingtalk", "tgram", "https"]
    assert stored[4] == "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/-100123/"
    document = json.dumps([target.to_json() for target in alerts.book().targets])
    assert not [url for url in stored if url in document]


HUB = """
CREATE TABLE notification_settings (
    id serial PRIMARY KEY, enabled boolean NOT NULL DEFAULT false,
    circuit_breaker_enabled boolean NOT NULL DEFAULT false, circuit_breaker_webhook varchar(512),
    daily_leaderboard_enabled boolean NOT NULL DEFAULT false, daily_leaderboard_webhook varchar(512),
    cost_alert_enabled boolean NOT NULL DEFAULT false, cost_alert_webhook varchar(512));
INSERT INTO notification_settings (enabled, circuit_breaker_enabled, circuit_breaker_webhook,
                                   daily_leaderboard_enabled, daily_leaderboard_webhook, cost_alert_webhook)
VALUES (true, true, 'https://alerts.example/in', true, '', 'https://alerts.example/in');
"""


def test_the_columns_of_a_hubs_notification_settings_are_read_and_left_alone(an_open_storage, empty_database) -> None:  # type: ignore[no-untyped-def]
    with connect(empty_database, application="tests") as session:
        session.execute(HUB)
        before = session.execute("SELECT * FROM notification_settings").fetchall()
        found = an_open_storage.lookout.legacy_of_database("shop")
        assert [(one.setting, one.url.reveal, one.enabled) for one in found] == [
            ("circuit_breaker", CUSTOM, True),
            ("cost_alert", CUSTOM, False),
        ]
        an_open_storage.alerts.migrate(found, by="ana")
        assert session.execute("SELECT * FROM notification_settings").fetchall() == before
    assert [target.name for target in an_open_storage.alerts.book().targets] == ["Custom Webhook"]
