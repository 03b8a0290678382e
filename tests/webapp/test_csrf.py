"""A write is taken only from one of our own pages, or with a bearer token."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from storage.opening import Storage
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.test_permissions import addresses

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def _writes(app: Flask) -> list[tuple[str, str]]:
    return [(method, path) for _endpoint, method, path in addresses(app) if method in WRITES]


def _contents(folder: Path) -> dict[Path, bytes]:
    # A session's last use is noted, and in the audit log who was refused and who downloaded what; nobody asked for
    # these changes.
    noted = ("sessions", "locks", "audit")
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name not in noted}


def test_every_write_without_a_token_is_refused(app: Flask, admin: Browser, storage: Storage) -> None:
    before = _contents(storage.settings.data_folder)
    writes = _writes(app)
    assert len(writes) > 10
    for method, path in writes:
        assert admin.open(path, method=method, csrf=False).status_code == 403, f"{method} {path}"
    assert _contents(storage.settings.data_folder) == before


def test_every_write_with_a_wrong_token_is_refused(app: Flask, admin: Browser) -> None:
    for method, path in _writes(app):
        response = admin.open(path, method=method, headers={"X-CSRF-Token": "made up"})
        assert response.status_code == 403, f"{method} {path}"


def test_somebody_elses_token_is_refused(app: Flask, admin: Browser, user: Browser) -> None:
    token = user.csrf_token()
    for method, path in _writes(app):
        response = admin.open(path, method=method, headers={"X-CSRF-Token": token})
        assert response.status_code == 403, f"{method} {path}"


def test_a_token_from_before_the_sign_in_is_worth_nothing_after_it(client: Browser) -> None:
    token = client.csrf_token()
    client.sign_in("ana")
    response = client.post("/account/tokens", headers={"X-CSRF-Token": token})
    assert response.status_code == 403


def test_a_write_that_the_browser_calls_cross_site_is_refused(admin: Browser) -> None:
    for site in ("cross-site", "same-site"):
        assert admin.post("/account/tokens", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert admin.post("/account/tokens", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_signing_in_needs_a_token_too(client: Browser) -> None:
    response = client.post("/login", data={"name": "ana", "password": PASSWORD}, csrf=False)
    assert response.status_code == 403
    assert "Nothing was changed." in response.text


def test_a_bearer_token_needs_no_other(app: Flask, storage: Storage) -> None:
    browser = app.test_client()
    assert isinstance(browser, Browser)
    headers = {"Authorization": f"Bearer {storage.accounts.create_token('ana')}"}
    assert browser.post("/account/tokens", headers=headers, csrf=False).status_code == 200


def test_no_reading_changes_anything(app: Flask, admin: Browser, storage: Storage) -> None:
    before = _contents(storage.settings.data_folder)
    for _endpoint, method, path in addresses(app):
        if method == "GET":
            admin.get(path)
    assert _contents(storage.settings.data_folder) == before
