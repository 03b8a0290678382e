"""Sessions in the browser: the cookie, signing in and out, coming back, idle pages, wrong passwords."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from storage.opening import Storage
from storage.settings import Settings
from tests.conftest import StandingClock
from tests.webapp.conftest import PASSWORD, Browser, an_app
from webapp.addresses import is_local_path


def _cookie(browser: Browser) -> str:
    cookie = browser.get_cookie("pghaven")
    assert cookie
    return cookie.value


def test_the_cookie_is_for_this_site_alone_and_out_of_reach_of_scripts(client: Browser) -> None:
    header = client.sign_in("ana").headers["Set-Cookie"]
    assert "HttpOnly" in header and "SameSite=Lax" in header and "Path=/" in header
    assert "Secure" not in header, "over plain HTTP the browser would not keep it"
    assert "Expires" not in header, "it ends with the browser"


def test_the_cookie_is_secure_over_https(client: Browser) -> None:
    response = client.post(
        "/login",
        data={"name": "ana", "password": PASSWORD},
        base_url="https://localhost",
        headers={"Referer": "https://localhost/login", "X-CSRF-Token": _token_over_https(client)},
    )
    assert response.status_code == 303
    assert "Secure" in response.headers["Set-Cookie"]


def _token_over_https(client: Browser) -> str:
    import re

    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login", base_url="https://localhost").text)
    assert found
    return found[1]


def test_secure_cookies_are_bound_to_the_host(settings: Settings, storage: Storage) -> None:
    storage.settings = replace(settings, secure_cookies=True)
    browser = an_app(storage).test_client()
    header = browser.get("/login").headers["Set-Cookie"]
    assert header.startswith("__Host-pghaven=") and "Secure" in header


def test_staying_signed_in_keeps_the_cookie_for_thirty_days(client: Browser) -> None:
    assert "Expires" in client.sign_in("ana", stay="on").headers["Set-Cookie"]


def test_a_cookie_from_before_the_sign_in_is_not_signed_in(app: Flask, client: Browser) -> None:
    client.get("/login")
    before = _cookie(client)
    client.sign_in("ana")
    assert _cookie(client) != before
    other = app.test_client()
    other.set_cookie("pghaven", before)
    assert other.get("/account").status_code == 303


def test_a_copy_of_the_cookie_is_dead_after_sign_out(app: Flask, admin: Browser) -> None:
    stolen = _cookie(admin)
    other = app.test_client()
    other.set_cookie("pghaven", stolen)
    assert other.get("/account").status_code == 200
    assert admin.post("/logout").status_code == 303
    assert other.get("/account").status_code == 303
    assert admin.get("/account").status_code == 303


def test_a_second_sign_in_ends_the_first_session_of_the_browser(app: Flask, admin: Browser) -> None:
    first = _cookie(admin)
    admin.sign_in("ben")
    other = app.test_client()
    other.set_cookie("pghaven", first)
    assert other.get("/account").status_code == 303


def test_a_forged_cookie_opens_nothing(app: Flask, admin: Browser) -> None:
    payload, _, _signature = _cookie(admin).rpartition(".")
    other = app.test_client()
    other.set_cookie("pghaven", f"{payload}.AAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert other.get("/account").status_code == 303


def test_changing_the_password_ends_the_other_sessions_and_keeps_this_one(app: Flask, admin: Browser) -> None:
    other = app.test_client()
    assert isinstance(other, Browser)
    other.sign_in("ana")
    before = _cookie(admin)
    response = admin.post("/account/password", data={"present": PASSWORD, "password": "nine herons on the pier"})
    assert response.status_code == 303
    assert _cookie(admin) != before
    assert admin.get("/account").status_code == 200
    assert other.get("/account").status_code == 303


def test_an_idle_page_that_polls_is_signed_out_in_the_end(
    admin: Browser, clock: StandingClock, settings: Settings
) -> None:
    for _ in range(settings.session_idle_seconds // 3600 - 1):
        clock.forward(hours=1)
        assert admin.get("/account", headers={"HX-Request": "true", "X-Poll": "1"}).status_code == 200
    clock.forward(hours=1)
    response = admin.get("/account", headers={"HX-Request": "true", "X-Poll": "1"})
    assert response.status_code == 401
    assert response.headers["HX-Redirect"].startswith("/login")


def test_a_page_that_somebody_opens_keeps_the_session(admin: Browser, clock: StandingClock) -> None:
    for _ in range(20):
        clock.forward(hours=11)
        assert admin.get("/account").status_code == 200


def test_after_signing_in_one_comes_back_to_the_page_asked_for(client: Browser) -> None:
    response = client.get("/accounts?page=2")
    assert response.location == "/login?next=/accounts?page%3D2"
    page = client.get(response.location).text
    assert 'name="next" value="/accounts?page=2"' in page
    assert client.sign_in("ana", next="/accounts?page=2").location == "/accounts?page=2"


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "\\/evil.example",
    "http://evil.example",
    "https://evil.example/",
    "HTTPS://evil.example",
    "http:evil.example",
    "http:/evil.example",
    "http:///evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "mailto:x@evil.example",
    "ftp://evil.example",
    "evil.example",
    "www.evil.example/path",
    "./evil",
    "../evil",
    "?next=/",
    "#top",
    "",
    " ",
    " //evil.example",
    " /page",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    "\n//evil.example",
    "\x00//evil.example",
    "/\x00/evil.example",
    "/\x0b/evil.example",
    "/page\r\nSet-Cookie: a=b",
    "//evil.example/%2f..",
    "//user@evil.example",
    "//[::1]",
    "/\u007f/evil.example",
    "http://[broken",
    "/" + "a" * 3000,
]


@pytest.mark.parametrize("address", ELSEWHERE)
def test_an_address_elsewhere_is_not_taken_for_a_page_of_ours(address: str) -> None:
    assert not is_local_path(address)


@pytest.mark.parametrize(
    "address", ["/", "/history?days=90", "/backups/20261122T010000Z-abc123", "/databases/a.b?x=//y"]
)
def test_a_page_of_ours_is_taken_for_one(address: str) -> None:
    assert is_local_path(address)


def test_signing_in_and_choosing_a_language_never_lead_to_another_site(client: Browser, admin: Browser) -> None:
    assert client.sign_in("ana", next="//evil.example").location == "/"
    for address in ELSEWHERE:
        assert admin.get("/login", query_string={"next": address}).location == "/"
        assert admin.post("/preferences", data={"language": "en", "next": address or "x"}).location == "/"


def test_wrong_passwords_are_said_on_the_page_and_slowed_down(client: Browser, clock: StandingClock) -> None:
    for _ in range(5):
        response = client.sign_in("ana", "not the password")
        assert response.status_code == 422
        assert "Name and password do not fit together." in response.text
        assert "not the password" not in response.text
    response = client.sign_in("ana")
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "1"
    clock.forward(seconds=1)
    assert client.sign_in("ana").status_code == 303


def test_an_unknown_name_looks_like_a_wrong_password(client: Browser) -> None:
    known, unknown = client.sign_in("ana", "wrong, I fear"), client.sign_in("eve", "wrong, I fear")
    assert known.status_code == unknown.status_code == 422
    assert known.text.count("do not fit together") == unknown.text.count("do not fit together") == 1


def test_a_forwarded_address_counts_only_behind_a_proxy_of_ours(
    storage: Storage, settings: Settings, client: Browser
) -> None:
    for number in range(6):
        response = client.post(
            "/login", data={"name": "ana", "password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{number}"}
        )
    assert response.status_code == 429, "a header that anybody can send evades nothing"

    storage.settings = replace(settings, behind_proxies=1)
    behind = an_app(storage).test_client()
    for number in range(6):
        response = behind.post(
            "/login", data={"name": "ben", "password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{number}"}
        )
    assert response.status_code == 422


def test_a_token_is_shown_once(admin: Browser, storage: Storage) -> None:
    import re

    found = re.search(r"pgh_[\w-]{40,}", admin.post("/account/tokens").text)
    assert found
    account = storage.accounts.account_of_token(found[0])
    assert account and account.name == "ana"
    assert found[0] not in admin.get("/account").text
    assert found[0][:10] in admin.get("/account").text


def test_a_wrong_present_password_is_slowed_down_like_a_sign_in(admin: Browser) -> None:
    form = {"present": "not the password", "password": "nine herons on the pier"}
    assert [admin.post("/account/password", data=form).status_code for _ in range(5)] == [422] * 5
    refused = admin.post("/account/password", data=form)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")


def test_a_program_without_a_token_is_told_so_in_its_language(client: Browser) -> None:
    answer = client.get("/api/jobs", headers={"Accept-Language": "zh-CN"})
    assert answer.status_code == 401
    error = answer.get_json()["error"]
    assert set(error) == {"kind", "effect", "cause", "advice", "words"}
    assert "令牌" in error["cause"]


def test_choosing_a_language_on_a_refused_form_leads_to_a_page(admin: Browser) -> None:
    import re

    for number in range(2):  # the second time the form comes from the address that it was sent to
        sent_from = ("/accounts/ben", "/accounts/ben/password")[number]
        page = admin.post(
            "/accounts/ben/password", data={"password": "short"}, headers={"Referer": f"http://localhost{sent_from}"}
        )
        assert page.status_code == 422
        found = re.search(r'name="next" value="([^"]+)"', page.text)
        assert found
        back = admin.post("/preferences", data={"language": "en", "next": found[1]}).location
        assert admin.get(back).status_code == 200, back


def test_an_account_is_removed_only_after_a_question(admin: Browser, user: Browser, storage: Storage) -> None:
    page = admin.get("/accounts/ben").text
    assert '<dialog id="remove"' in page and 'href="/accounts/ben/remove"' in page
    question = admin.get("/accounts/ben/remove").text
    assert "Remove the account ben?" in question
    assert [account.name for account in storage.accounts.all()] == ["ana", "ben"]
    admin.post("/accounts/ben/remove")
    assert [account.name for account in storage.accounts.all()] == ["ana"]
    assert user.get("/").status_code == 303
