"""Who may open what: every address of the application, with every method, for every kind of visitor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from storage.accounts.permissions import PERMISSIONS, Role, may
from storage.opening import Storage
from tests.webapp.conftest import PASSWORD, Browser
from webapp.accounts.instance import say_permission

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PUBLIC = {"static", "preferences.choose", "accounts.login", "accounts.sign_in", "accounts.logout"}
PUBLIC |= {"accounts.setup", "accounts.complete_setup", "health.alive", "health.ready"}
PUBLIC |= {"api.document.document"}
"""What is open to everybody. A new one is a decision, to be made here."""

ENDS_THE_SESSION = {"accounts.logout", "accounts.reset_password", "accounts.change_password", "accounts.remove"}
FOR_PROGRAMS = ("/api/", "/metrics")


def addresses(app: Flask) -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, a path with made-up arguments) of every rule."""
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            arguments = {name: 1 if "int" in str(kind) else "made-up" for name, kind in rule._converters.items()}
            path = adapter.build(rule.endpoint, arguments)
            for method in sorted((rule.methods or set()) & set(METHODS)):
                yield rule.endpoint, method, path.partition("?")[0]


def test_every_view_names_a_permission_or_is_public(app: Flask) -> None:
    without = {
        endpoint
        for endpoint, view in app.view_functions.items()
        if not hasattr(view, "permission") and not hasattr(view, "public")
    }
    assert without == set()
    assert {endpoint for endpoint, view in app.view_functions.items() if hasattr(view, "public")} == PUBLIC
    assert {view.permission for view in app.view_functions.values() if hasattr(view, "permission")} <= set(PERMISSIONS)


def test_nothing_that_is_not_public_opens_to_a_stranger(app: Flask, client: Browser) -> None:
    for endpoint, method, path in addresses(app):
        if endpoint in PUBLIC:
            continue
        response = client.open(path, method=method)
        if path.startswith(FOR_PROGRAMS):
            assert response.status_code == 401 and response.is_json, f"{method} {path}"
        else:
            assert response.status_code == 303, f"{method} {path}: {response.status_code}"
            assert response.location.startswith("/login"), f"{method} {path}"


def test_a_fragment_sends_a_stranger_to_the_sign_in_as_a_whole_page(app: Flask, client: Browser) -> None:
    for endpoint, method, path in addresses(app):
        if endpoint in PUBLIC or path.startswith(FOR_PROGRAMS):
            continue
        headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/jobs?page=2"}
        response = client.open(path, method=method, headers=headers)
        assert response.status_code == 401, f"{method} {path}"
        assert response.headers["HX-Redirect"] == "/login?next=/jobs?page%3D2", f"{method} {path}"
        assert response.data == b""


@pytest.mark.parametrize(("name", "role"), [("ana", Role.ADMIN), ("ben", Role.USER)])
@pytest.mark.parametrize("by", ["cookie", "token"])
def test_each_role_opens_what_the_table_says_and_nothing_else(
    app: Flask, storage: Storage, name: str, role: Role, by: str
) -> None:
    headers = {"Authorization": f"Bearer {storage.accounts.create_token(name)}"} if by == "token" else {}
    browser = app.test_client()
    assert isinstance(browser, Browser)
    # Whose requests an account of the role user sees is a matter of its link; here it has one.
    storage.accounts.link(name, storage.databases.all()[0].name, "1")
    if by == "cookie":
        browser.sign_in(name)
    for endpoint, method, path in addresses(app):
        if endpoint in PUBLIC or endpoint in ENDS_THE_SESSION:
            continue
        status = browser.open(path, method=method, headers=headers).status_code
        permission = app.view_functions[endpoint].permission  # type: ignore[attr-defined]
        if may(role, permission):
            assert status not in (401, 403), f"{method} {path}: {status}"
            assert status < 500 or status in (502, 503), f"{method} {path}: {status}"
        else:
            assert status == 403, f"{method} {path}: {status}"


def test_an_ended_session_opens_nothing(app: Flask, admin: Browser, storage: Storage) -> None:
    assert admin.get("/account").status_code == 200
    storage.accounts.sessions.end_all("ana")
    for endpoint, method, path in addresses(app):
        if endpoint not in PUBLIC:
            status = admin.open(path, method=method).status_code
            assert status in (303, 401), f"{method} {path}: {status}"


def test_a_wrong_token_opens_nothing_even_in_a_browser_that_is_signed_in(app: Flask, admin: Browser) -> None:
    for endpoint, method, path in addresses(app):
        if endpoint not in PUBLIC:
            response = admin.open(path, method=method, headers={"Authorization": "Bearer pgh_made_up"})
            assert response.status_code == 401, f"{method} {path}"
            assert response.is_json


def test_a_view_that_forgot_its_permission_is_shut(storage: Storage) -> None:
    from tests.webapp.conftest import an_app

    app = an_app(storage)
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    browser = app.test_client()
    assert isinstance(browser, Browser)
    assert browser.get("/forgotten").status_code == 303
    browser.sign_in("ana", PASSWORD)
    assert browser.get("/forgotten").status_code == 403


def test_a_permission_that_is_not_in_the_table_cannot_be_required() -> None:
    from webapp.permissions import requires

    with pytest.raises(ValueError, match="not in the table"):
        requires("fly")


def test_every_permission_has_words_for_the_page_of_accounts() -> None:
    assert all(str(say_permission(permission)) for permission in PERMISSIONS)


def test_a_role_that_changes_counts_at_the_next_request(user: Browser, storage: Storage) -> None:
    assert user.get("/system").status_code == 403
    storage.accounts.change_role("ben", Role.ADMIN)
    assert user.get("/system").status_code == 200
