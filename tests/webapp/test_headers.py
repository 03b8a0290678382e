"""The headers of every answer, errors included, and pages without anything that the policy would forbid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from storage.opening import Storage
from tests.webapp.conftest import Browser
from tests.webapp.test_permissions import addresses

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def test_every_answer_has_the_headers(app: Flask, admin: Browser, client: Browser) -> None:
    for browser in (client, admin):
        for endpoint, method, path in addresses(app):
            if endpoint == "accounts.logout":
                continue
            headers = browser.open(path, method=method, csrf=False).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy and "unsafe" not in policy, path
            assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "object-src 'none'" in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            if endpoint != "static":
                assert headers["Cache-Control"].startswith(("no-store", "private")), path
                assert {"HX-Request", "Cookie", "Accept-Language"} <= set(re.split(r",\s*", headers["Vary"])), path


def test_errors_have_the_headers(app: Flask, storage: Storage) -> None:
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
    app.view_functions["broken"].public = True  # type: ignore[attr-defined]
    browser = app.test_client()
    for path, status in (("/no-such-page", 404), ("/broken", 500)):
        response = browser.get(path)
        assert response.status_code == status
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"


def test_a_mistake_of_ours_says_nothing_of_its_inside(app: Flask) -> None:
    app.add_url_rule("/broken", "broken", lambda: {}["a secret key"])
    app.view_functions["broken"].public = True  # type: ignore[attr-defined]
    browser = app.test_client()
    for headers in ({}, {"HX-Request": "true"}, {"Accept": "application/json"}):
        response = browser.get("/broken", headers=headers)
        assert response.status_code == 500
        assert "secret" not in response.text and "KeyError" not in response.text and "Traceback" not in response.text
        assert re.search(r"number [0-9a-f]{8}", response.text)


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/no-such-page", 404, "Nothing is at this address."),
        ("GET", "/accounts/nobody", 404, "There is no account “nobody”."),
        ("PUT", "/accounts", 405, "does not take what was sent"),
        ("POST", "/accounts/ana/remove", 409, "is the only admin"),
    ],
)
def test_a_refusal_says_the_effect_the_cause_and_a_way_on(
    admin: Browser, method: str, path: str, status: int, words: str
) -> None:
    page = admin.open(path, method=method)
    assert page.status_code == status
    assert "Nothing was changed." in page.text and words in page.text
    fragment = admin.open(path, method=method, headers={"HX-Request": "true"})
    assert fragment.status_code == status
    assert words in fragment.text and "<html" not in fragment.text and 'id="refusal"' in fragment.text
    document = admin.open(path, method=method, headers={"Accept": "application/json"})
    assert document.status_code == status
    assert words in document.get_json()["error"]["cause"]


def test_what_is_too_large_is_refused(admin: Browser) -> None:
    response = admin.post("/accounts", data={"name": "x" * 2_000_000})
    assert response.status_code == 413
    assert "Nothing was changed." in response.text


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_template_has_anything_that_the_policy_forbids(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"<style|\sstyle\s*=", text), "inline style"
    assert not re.search(r"<script(?![^>]*\ssrc=)", text), "inline script"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "inline handler"
    assert not re.search(r"hx-on|hx-vals=['\"]js:|hx-trigger=\"[^\"]*\[", text), "htmx would have to evaluate"
    assert not re.search(r"(?:src|href)=[\"']https?://", text), "something from another site"
