"""The page of the audit log: what is in it, its filters, the CSV, and the answer of reading it in full."""

from __future__ import annotations

import csv
import io

import pytest
from flask import Flask

from storage.opening import Storage
from tests.conftest import StandingClock
from tests.webapp.conftest import PASSWORD, Browser


def rows(admin: Browser, address: str = "/audit.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(admin.get(address).text)))


@pytest.fixture
def busy(storage: Storage, clock: StandingClock) -> Storage:
    """Sixty downloads by eva, one an hour, and one failed restore of shop by ben after them."""
    for number in range(60):
        clock.forward(hours=1)
        storage.audit.record("backup_downloaded", actor="eva", subject=f"b{number:02}", origin="192.0.2.7", bytes=12)
    storage.audit.record("restore_ended", actor="ben", subject="shop", result="failed", target="shop")
    return storage


@pytest.fixture
def reader(app: Flask, busy: Storage) -> Browser:
    """Signed in after all of it: the hours that passed end a session."""
    browser = app.test_client()
    assert isinstance(browser, Browser)
    assert browser.sign_in("ana").status_code == 303
    return browser


def test_who_did_what_from_where_is_on_the_page_newest_first(reader: Browser) -> None:
    page = reader.get("/audit").text
    assert page.index("A restore · <b>Failed</b>") < page.index("b59") < page.index("b58")
    assert "192.0.2.7" in page
    assert "bytes=12" in page


def test_a_page_has_fifty_and_leads_to_the_older_ones(reader: Browser) -> None:
    page = reader.get("/audit?actor=eva").text
    assert ("b59" in page, "b10" in page, "b09" in page) == (True, True, False)
    assert 'href="/audit?actor=eva&amp;page=2" rel="next"' in page
    older = reader.get("/audit?actor=eva&page=2").text
    assert ("b10" in older, "b09" in older, "b00" in older) == (False, True, True)
    assert 'rel="next"' not in older


@pytest.mark.parametrize(
    ("choice", "subjects"),
    [
        ("action=restore_ended", ["shop"]),
        ("actor=BEN", ["shop"]),
        ("subject=b5", [f"b{number}" for number in range(59, 49, -1)]),
        ("actor=eva&until=2026-11-22", [f"b{number:02}" for number in range(8, -1, -1)]),
        ("actor=eva&from=2026-11-25", ["b59", "b58", "b57"]),
        ("actor=nobody", []),
    ],
)
def test_filters_narrow_the_page_and_its_csv(reader: Browser, choice: str, subjects: list[str]) -> None:
    assert [row["subject"] for row in rows(reader, f"/audit.csv?{choice}")] == subjects
    page = reader.get(f"/audit?{choice}").text
    assert [name for name in [*subjects, "b20"] if f'<span class="mono">{name}</span>' in page] == subjects


def test_words_that_nobody_can_ask_for_show_everything(reader: Browser) -> None:
    assert "b59" in reader.get("/audit?action=no&page=x&from=9999-12-31&until=0001-01-01").text


def test_a_spreadsheet_takes_no_cell_for_a_formula(admin: Browser, storage: Storage) -> None:
    storage.audit.record("backup_taken", actor="=HYPERLINK(1)", subject="+1", origin="@x")
    row = rows(admin)[1]  # the newest is the download of the log itself
    assert (row["actor"], row["subject"], row["origin"]) == ("'=HYPERLINK(1)", "'+1", "'@x")
    assert rows(admin)[0]["action"] == "audit_exported"


def test_what_the_log_says_is_shown_as_text(admin: Browser, storage: Storage) -> None:
    storage.audit.record("backup_taken", actor="<script>alert(1)</script>", subject="<b>", note="<i>")
    page = admin.get("/audit").text
    assert "<script>alert" not in page
    assert "&lt;b&gt;" in page
    assert "note=&lt;i&gt;" in page


def test_reading_in_full_says_that_nobody_changed_it_or_where(reader: Browser, busy: Storage) -> None:
    assert "The log is as it was written" in reader.get("/audit/verify").text
    path = next(busy.audit.folder.glob("*.jsonl"))
    path.write_bytes(path.read_bytes().replace(b'"b07"', b'"b99"'))
    line = 1 + next(n for n, text in enumerate(path.read_bytes().splitlines()) if b'"b99"' in text)
    found = reader.get("/audit/verify", headers={"HX-Request": "true"}).text
    assert "The log is not as it was written, in 1 place." in found
    assert f"2026-11.jsonl:{line}" in found
    assert "<html" not in found


def test_only_admins_see_it(user: Browser) -> None:
    assert [user.get(path).status_code for path in ("/audit", "/audit.csv", "/audit/verify")] == [403] * 3
    assert 'href="/audit"' not in user.get("/").text


def test_sign_ins_are_recorded_good_and_refused_and_so_is_signing_out(
    client: Browser, admin: Browser, storage: Storage
) -> None:
    before = next(storage.audit.newest_first()).number
    client.sign_in("ana", "a wrong password")
    client.sign_in("my own password")
    client.sign_in("ana", PASSWORD)
    client.post("/logout")
    said = [
        (event.action, event.subject, event.actor, event.result)
        for event in storage.audit.newest_first()
        if event.number > before
    ]
    assert said[::-1] == [
        ("signed_in", "ana", "", "refused"),
        ("signed_in", "", "", "refused"),
        ("signed_in", "ana", "ana", "ok"),
        ("signed_out", "ana", "ana", "ok"),
    ]
    assert "my own password" not in next(storage.audit.folder.glob("*.jsonl")).read_text()
    assert {event.origin for event in storage.audit.newest_first()} == {"127.0.0.1"}


def test_settings_accounts_and_tokens_are_recorded_without_their_secrets(admin: Browser, storage: Storage) -> None:
    admin.post("/accounts", data={"name": "eva", "role": "user", "password": PASSWORD})
    admin.post("/accounts/eva/role", data={"role": "admin"})
    admin.post("/accounts/eva/password", data={"password": PASSWORD + "s"})
    admin.post("/accounts/eva/sessions/end")
    admin.post("/accounts/eva/remove")
    admin.post("/account/tokens")
    form = {"name": "wiki", "host": "127.0.0.1", "port": "1", "user": "app", "dbname": "wiki_db"}
    admin.post("/databases", data=form | {"password": "hunter22"})
    admin.post("/databases/wiki", data=form | {"password": "hunter22", "host": "127.0.0.2"})
    admin.post("/databases/wiki/remove", data={"typed": "wiki"})
    said = {event.action for event in storage.audit.newest_first()}
    assert said >= {
        "account_added",
        "account_role_changed",
        "account_password_changed",
        "account_sessions_ended",
        "account_removed",
        "account_token_made",
        "database_added",
        "database_changed",
        "database_removed",
    }
    text = next(storage.audit.folder.glob("*.jsonl")).read_text()
    assert PASSWORD not in text
    assert "hunter22" not in text
