"""Secrets in recorded requests: none is readable, whatever shape it comes in, and what is none stays as it is."""

from __future__ import annotations

import pytest

from storage.logs.masking import masked, masked_address, masked_header, masked_headers
from tests.sessions import BASIC, COOKIE, HEADERS, IN_ADDRESS, KEY, SECRETS, SHORT


def test_a_long_secret_keeps_what_tells_it_from_others_and_a_short_one_nothing() -> None:
    assert masked(KEY) == "sk-m…8Kz1"
    assert masked("a" * 19) == masked(SHORT) == "••••"
    assert masked("") == ""


def test_no_secret_of_a_request_is_left_in_its_headers() -> None:
    shown = str(masked_headers(HEADERS))
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("authorization", f"Bearer {KEY}", "Bearer sk-m…8Kz1"),
        ("Authorization", KEY, "sk-m…8Kz1"),
        ("authorization", f"Basic {BASIC}", "Basic ••••"),
        ("Proxy-Authorization", f'Digest username="ana", response="{KEY}"', "Digest ••••"),
        ("X-API-Key", KEY, "sk-m…8Kz1"),
        ("anthropic-auth-token", KEY, "sk-m…8Kz1"),
        ("ocp-apim-subscription-key", KEY, "sk-m…8Kz1"),
        ("cookie", f"a={COOKIE}; b={SHORT}; {KEY}", "a=s%3A…2773; b=••••; sk-m…8Kz1"),
        ("set-cookie", [f"a={COOKIE}; HttpOnly"], ["a=s%3A…2773; ••••"]),
        ("x-api-key", {"first": KEY}, {"first": "sk-m…8Kz1"}),
        ("x-api-key", 12345678901234567890, "1234…7890"),
        ("x-api-key", None, None),
        ("referer", f"https://hub.example/?api_key={IN_ADDRESS}", "https://hub.example/?api_key=AIza…MBWY"),
        (":authority", "hub.example", "hub.example"),
        ("author", "Ana", "Ana"),
        ("keep-alive", "timeout=5", "timeout=5"),
        ("session_id", "0199a0c2-7b1e-7f1d-9d7a-2f1f3c9a0b11", "0199a0c2-7b1e-7f1d-9d7a-2f1f3c9a0b11"),
        ("content-length", 17, 17),
    ],
)
def test_a_header_is_shown_by_what_it_is(name: str, value: object, shown: object) -> None:
    assert masked_header(name, value) == shown


def test_headers_in_another_shape_are_masked_too_and_those_in_none_are_not_shown() -> None:
    assert masked_headers([["x-api-key", KEY], ["accept", "*/*"]]) == [["x-api-key", "sk-m…8Kz1"], ["accept", "*/*"]]
    assert masked_headers(f"x-api-key: {KEY}") == "••••"
    assert masked_headers([KEY]) == "••••"
    assert masked_headers(None) is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hub.example/v1/messages?beta=true", "https://hub.example/v1/messages?beta=true"),
        (
            f"https://g.example/m:generate?key={IN_ADDRESS}&alt=sse",
            "https://g.example/m:generate?key=AIza…MBWY&alt=sse",
        ),
        (f"https://ana:{SHORT}@relay.example:8443/v1", "https://••••@relay.example:8443/v1"),
        (f"/v1/messages?access_token={SHORT}", "/v1/messages?access_token=••••"),
        (f"https://[broken/?key={IN_ADDRESS}", "••••"),
        (None, None),
    ],
)
def test_an_address_keeps_all_but_its_secrets(address: str | None, shown: str | None) -> None:
    assert masked_address(address) == shown
