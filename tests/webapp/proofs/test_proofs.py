"""Proofs in the browser: asked for, certified, printed; and a failed one is what everybody sees first."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.backups.proof import Outcome, Proof
from storage.backups.record import BackupRecord
from storage.errors import Damaged, say
from storage.jobs.model import JobKind
from storage.opening import Storage
from storage.proofs import certificate
from tests.builders import NOON, a_backup
from tests.webapp.conftest import Browser
from tests.webapp.seeding import keep, register


def text(page: str) -> str:
    return re.sub(r"\s+", " ", page.replace("\u00a0", " "))


def proven(storage: Storage, outcome: Outcome = Outcome.WHOLE, **changes: object) -> BackupRecord:
    """A backup of the shop with a proof."""
    register(storage, "shop")
    record = keep(storage, a_backup("shop", at=NOON - timedelta(days=2)))
    reason = None if outcome in (Outcome.WHOLE, Outcome.PART) else refusal().to_json()
    facts: dict[str, object] = {
        "at": NOON - timedelta(days=2, hours=-1),
        "outcome": outcome,
        "seconds": 12.0,
        "server_version": "18.1",
        "program": "pg_restore 18.1",
        "tables": 2,
        "rows": 1020,
        "reason": reason,
        "by": "ana",
    }
    proof = Proof(**(facts | changes))  # type: ignore[arg-type]
    record = record.with_(proof=replace(proof, certificate=certificate.sha256(record, proof) if proof.good else ""))
    storage.backups.catalog.save(record)
    return record


def refusal() -> Damaged:
    return Damaged(say("public.orders has %(found)s rows.", found=7), advice=say("Restore another backup."), words="no")


def test_a_certificate_says_what_was_proven(admin: Browser, storage: Storage) -> None:
    record = proven(storage)
    page = text(admin.get(f"/backups/{record.backup_id}/proof").text)
    assert record.proof is not None
    for said in (
        "Certificate of restore: shop",
        "Every table has exactly the rows that were counted",
        record.sha256,
        record.proof.certificate,
        "PostgreSQL 18.1",
        "pg_restore 18.1",
        "public.orders",
        "1,000",
        "Seen by",
    ):
        assert said in page, said
    assert "was changed after the proof" not in page


def test_a_record_that_was_changed_after_the_proof_is_told(admin: Browser, storage: Storage) -> None:
    record = proven(storage)
    storage.backups.catalog.save(record.with_(sha256="0" * 64))
    assert "was changed after the proof" in admin.get(f"/backups/{record.backup_id}/proof").text


def test_the_certificate_is_json_for_a_program(admin: Browser, storage: Storage) -> None:
    record = proven(storage)
    assert record.proof is not None
    for address in (f"/api/backups/{record.backup_id}/proof", f"/backups/{record.backup_id}/proof"):
        found = admin.get(address, headers={"Accept": "application/json"}).get_json()
        assert found["certificate_sha256"] == record.proof.certificate
        assert found["outcome"] == "whole" and found["archive_sha256"] == record.sha256
        assert [table["rows"] for table in found["tables"]] == [1000, 20]


def test_a_badge_stands_on_the_backup_and_in_the_history(admin: Browser, storage: Storage, clock: object) -> None:
    record = proven(storage)
    for address in (f"/backups/{record.backup_id}", "/history"):
        page = text(admin.get(address).text)
        assert "Proven Fri 20 Nov" in page
        assert f"/backups/{record.backup_id}/proof" in page


def test_what_was_left_out_is_named(admin: Browser, storage: Storage) -> None:
    missing = (say("extension %(name)s, which only a superuser may create", name="dblink"),)
    record = proven(storage, Outcome.PART, missing=missing, without=("public.users",), tables=1, rows=1000)
    page = text(admin.get(f"/backups/{record.backup_id}/proof").text)
    assert "restored in part" in page and "extension dblink, which only a superuser may create" in page
    assert "not compared" in page
    assert "Proven in part" in admin.get(f"/backups/{record.backup_id}").text


def test_the_overview_says_when_the_last_proof_was(admin: Browser, storage: Storage) -> None:
    proven(storage)
    page = text(admin.get("/").text)
    assert "Last proof of restore 2 days ago." in page or "Last proof of restore 48 h ago." in page
    assert "Prove again" not in page


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.FAILED, "shop: the proof of a backup failed"),
        (Outcome.UNTRIED, "shop: a backup could not be proven"),
    ],
)
def test_a_proof_that_did_not_come_off_needs_somebody(
    admin: Browser, storage: Storage, outcome: Outcome, said: str
) -> None:
    record = proven(storage, outcome)
    for name in ("shop", "nothing"):
        keep(storage, a_backup(name, at=NOON))
    page = text(admin.get("/").text)
    assert said in page
    assert "public.orders has 7 rows. Restore another backup." in page
    assert "Nothing needs you" not in page and "A proof of restore needs you" in page
    assert "All is protected" not in page
    assert storage.backups.catalog.get(record.backup_id).good
    page = text(admin.get(f"/backups/{record.backup_id}/proof").text)
    assert "public.orders has 7 rows." in page


def test_a_press_asks_for_a_proof_once(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    record = keep(storage, a_backup("shop"))
    assert "Prove now" in admin.get(f"/backups/{record.backup_id}").text
    answers = [admin.post(f"/backups/{record.backup_id}/prove") for _ in range(2)]
    [job] = storage.jobs.active(kind=JobKind.PROVE)
    assert [(answer.status_code, answer.location) for answer in answers] == [(303, f"/jobs/{job.job_id}")] * 2
    assert (job.parameters, job.requested_by) == ({"backup_id": record.backup_id}, "ana")
    assert "Proving a backup of shop" in admin.get(f"/jobs/{job.job_id}").text


def test_a_user_reads_certificates_and_proves_nothing(user: Browser, storage: Storage) -> None:
    record = proven(storage)
    assert user.post(f"/backups/{record.backup_id}/prove").status_code == 403
    page = user.get(f"/backups/{record.backup_id}/proof")
    assert page.status_code == 200 and "Prove again" not in page.text


def test_a_backup_that_was_never_proven_has_no_certificate(admin: Browser, storage: Storage) -> None:
    register(storage, "shop")
    record = keep(storage, a_backup("shop"))
    assert admin.get(f"/backups/{record.backup_id}/proof").status_code == 404
    assert "not proven yet" in admin.get(f"/backups/{record.backup_id}").text


def test_the_certificate_speaks_chinese(admin: Browser, storage: Storage) -> None:
    record = proven(storage)
    page = admin.get(f"/backups/{record.backup_id}/proof", headers={"Accept-Language": "zh-CN"}).text
    assert "恢复证明" in page
    assert "Every table" not in page and "Rows by table" not in page
