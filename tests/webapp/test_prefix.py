"""Behind a proxy that serves pghaven under a path of its own: every address keeps the prefix."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from storage.opening import Storage
from tests.webapp.conftest import PASSWORD, Browser, an_app

PREFIX = "/pg"
PROXY = {"X-Forwarded-Prefix": PREFIX}


@pytest.fixture
def behind(storage: Storage) -> Browser:
    """A browser that reaches pghaven through a proxy which takes the prefix off."""
    storage.settings = replace(storage.settings, behind_proxies=1)
    client = an_app(storage).test_client()
    assert isinstance(client, Browser)
    return client


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def _sign_in(behind: Browser) -> str:
    """Signs in where a page was asked for; returns where that leads."""
    door = behind.get("/history?days=90", headers=PROXY).location
    assert door == "/pg/login?next=/pg/history?days%3D90"
    token = _token(behind.get("/login", headers=PROXY).text)
    data = {"name": "ana", "password": PASSWORD, "next": "/pg/history?days=90"}
    return behind.post("/login", data=data, headers=PROXY | {"X-CSRF-Token": token}).location


def test_signing_in_comes_back_under_the_prefix(behind: Browser) -> None:
    assert _sign_in(behind) == "/pg/history?days=90"


def test_no_link_leaves_the_prefix(behind: Browser) -> None:
    _sign_in(behind)
    pages = (
        "/",
        "/databases",
        "/history",
        "/restores",
        "/jobs",
        "/trash",
        "/account",
        "/accounts",
        "/system",
        "/nowhere",
    )
    for path in pages:
        page = behind.get(path, headers=PROXY).text
        addresses = re.findall(r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)"', page)
        assert addresses
        assert [one for one in addresses if not one.startswith(PREFIX + "/")] == [], path


def test_choosing_a_language_comes_back_under_the_prefix(behind: Browser) -> None:
    _sign_in(behind)
    page = behind.get("/history?days=7", headers=PROXY).text
    assert 'name="next" value="/pg/history?days=7"' in page
    data = {"language": "en", "next": "//elsewhere"}
    headers = PROXY | {"X-CSRF-Token": _token(page)}
    assert behind.post("/preferences", data=data, headers=headers).location == "/pg/"
