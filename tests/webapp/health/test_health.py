"""What a supervisor, a proxy and Prometheus are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.alerts.drafts import Draft
from storage.alerts.targets import TargetKind
from storage.backups.copies import Copy, CopyState
from storage.backups.record import BackupState
from storage.opening import Storage
from storage.secret import Secret
from tests.builders import a_backup
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_is_well_as_long_as_the_schedule_thread_ticks(
    client: Browser, admin: Browser, storage: Storage, clock: StandingClock
) -> None:
    storage.ticker.tick()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    clock.forward(minutes=3)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"status": "failing"}), "a stranger is told no detail"
    told = admin.get("/healthz").json
    assert told["heartbeat_age_seconds"] == 180
    assert told["troubles"] == ["The schedule thread has not ticked for 180 seconds: nothing happens by itself."]


def test_a_full_disk_is_told(admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"total": 1000, "free": 19, "used": 981})
    monkeypatch.setattr("webapp.health.vitals.shutil.disk_usage", lambda folder: usage)
    answer = admin.get("/healthz")
    assert answer.status_code == 503
    assert "disk is full" in answer.json["troubles"][0]


def test_it_is_ready_while_jobs_are_carried_out(client: Browser, storage: Storage) -> None:
    assert client.get("/readyz").status_code == 503
    storage.start()
    assert client.get("/readyz").status_code == 200
    storage.stop()
    assert client.get("/readyz").status_code == 503


def test_metrics_say_how_old_the_newest_good_backup_is(admin: Browser, storage: Storage) -> None:
    [database] = [profile.name for profile in storage.databases.all()]
    good = a_backup(database=database, bytes=4321)
    failed = a_backup(database=database, at=good.started_at + timedelta(hours=1), state=BackupState.FAILED)
    storage.backups.catalog.save(good)
    path = storage.backups.catalog.archive_path(good)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * good.bytes)
    storage.backups.catalog.save(failed)
    found = samples(admin.get("/metrics").text)
    assert found["pghaven_backup_newest_good_timestamp_seconds", database] == good.started_at.timestamp()
    assert found["pghaven_backup_newest_good_bytes", database] == 4321
    assert found["pghaven_backup_failures_in_a_row", database] == 1
    assert found["pghaven_backups", database, "complete"] == 1
    assert found["pghaven_disk_free_bytes",] > 0
    away = Copy(destination="away", state=CopyState.FAILED)
    storage.backups.catalog.save(good.with_copy(away))
    hook = Draft(kind=TargetKind.WEBHOOK, name="hook", url=Secret("http://127.0.0.1:1/in"))
    storage.alerts.send_test(storage.alerts.add(hook, {}, by="ana").target_id)
    found = samples(admin.get("/metrics").text)
    assert found["pghaven_copies", "away", "failed"] == 1
    assert found["pghaven_alert_target_reached", "hook"] == 0


def test_metrics_want_a_token(client: Browser) -> None:
    assert client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).status_code == 401
    wrong = client.get("/metrics", headers={"Authorization": "Bearer nothing"})
    assert wrong.status_code == 401 and "The bearer token is not known here" in wrong.text
