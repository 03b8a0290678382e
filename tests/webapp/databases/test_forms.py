"""The form of a database: read strictly, refused by name, and secrets never kept for showing."""

from __future__ import annotations

import pytest

from storage.databases.profile import DatabaseProfile
from storage.postgres.connection import Connection
from storage.secret import Secret
from webapp.databases import forms

CANARY = "k4nary-Sesame"


def typed(**changes: str) -> dict[str, str]:
    return {
        "name": "shop",
        "host": "db.example.org",
        "port": "5433",
        "user": "pghaven",
        "dbname": "shop_production",
        "password": CANARY,
        "sslmode": "require",
        "digests": "on",
    } | changes


def a_profile(**changes: object) -> DatabaseProfile:
    connection = Connection(
        host="db.example.org", port=5433, user="pghaven", dbname="shop_production", password=Secret(CANARY)
    )
    return DatabaseProfile(name="shop", connection=connection).with_(**changes)


def test_fields_make_a_connection() -> None:
    form = forms.read(typed(log_tables="public.audit\n\n app.message_request \n"))
    assert form.good and form.connection
    assert form.connection.address == "db.example.org:5433"
    assert form.connection.password == Secret(CANARY)
    assert form.log_tables == ("public.audit", "app.message_request")
    assert form.digests


def test_an_address_fills_in_the_fields() -> None:
    form = forms.read({"name": "shop", "url": f"postgresql://ana:{CANARY}@db:5433/shop?sslmode=require"})
    assert form.good and form.connection and form.connection.password == Secret(CANARY)
    assert (form.values["host"], form.values["port"], form.values["user"]) == ("db", "5433", "ana")
    assert (form.values["dbname"], form.values["sslmode"]) == ("shop", "require")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Shop"),
        ("name", "../shop"),
        ("name", "new"),
        ("host", ""),
        ("host", "a,b"),
        ("host", "a\x00b"),
        ("port", "0"),
        ("port", "65536"),
        ("port", "５４３２"),
        ("port", "-1"),
        ("user", ""),
        ("user", "x" * 300),
        ("dbname", ""),
        ("sslmode", "maybe"),
        ("password", "two\nlines"),
        ("log_tables", "message_request"),
        ("log_tables", "public." + "x" * 64),
        ("url", "mysql://a:b@c/d"),
        ("url", "postgresql://a:b@[c/d"),
        ("url", "postgresql://a:b@c/d?options=-cfoo"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_own_field(field: str, value: str) -> None:
    changes = {field: value} if field != "url" else {"url": value, "host": "", "port": "", "user": "", "dbname": ""}
    form = forms.read(typed(**changes))
    assert not form.good
    assert set(form.errors) == {field}


def test_what_was_typed_is_kept_except_the_secrets() -> None:
    form = forms.read(typed(port="many", url=""))
    assert form.values["host"] == "db.example.org" and form.values["port"] == "many"
    assert CANARY not in repr(form.values)
    assert form.password_lost


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ana:12?{CANARY}@db/shop",
        f"postgresql://ana:{CANARY}@x@db/shop",
        f"postgresql://ana:{CANARY}#1@db/shop",
        f"postgresql://ana:{CANARY}@[db/shop",
        f"postgres//ana:{CANARY}@db/shop",
        f"postgresql://ana:{CANARY}@db/shop?{'x' * 10}={CANARY}",
    ],
)
def test_a_refused_address_is_not_repeated(url: str) -> None:
    form = forms.read({"name": "shop", "url": url})
    assert "url" in form.errors
    told = f"{form.errors['url'].cause} {form.errors['url'].advice} {form.values}"
    assert CANARY not in told


def test_an_address_and_a_field_that_disagree_are_refused() -> None:
    form = forms.read({"name": "shop", "url": "postgresql://ana:x@db/shop", "host": "other"})
    assert set(form.errors) == {"host"}
    form = forms.read({"name": "shop", "url": "postgresql://ana:x@db/shop", "password": "y"})
    assert set(form.errors) == {"password"}


def test_a_field_that_is_not_known_is_refused_by_name() -> None:
    form = forms.read(typed(options="-c search_path=evil"))
    assert not form.good and "options" in str(form.errors[""].cause)


def test_a_name_that_is_taken_is_refused() -> None:
    assert set(forms.read(typed(), taken=["shop"]).errors) == {"name"}


def test_an_empty_password_of_a_present_database_is_unchanged() -> None:
    form = forms.read(typed(password="", name="ignored"), present=a_profile())
    assert form.good and form.connection and form.connection.password == Secret(CANARY)
    assert form.name == "shop"


@pytest.mark.parametrize(("field", "value"), [("host", "evil.example.org"), ("port", "9999"), ("user", "root")])
def test_the_stored_password_is_not_sent_to_another_server_or_user(field: str, value: str) -> None:
    form = forms.read(typed(password="", **{field: value}), present=a_profile())
    assert set(form.errors) == {"password"} and form.connection is None


def test_a_session_store_is_read_and_never_shown_again() -> None:
    form = forms.read(typed(session_store=f" redis://:{CANARY}@cache:6379/0 "))
    assert form.good and form.session_store_url == Secret(f"redis://:{CANARY}@cache:6379/0")
    assert CANARY not in str(form.values)
    assert forms.read(typed()).session_store_url is None


def test_a_session_store_is_taken_away_only_when_that_is_said() -> None:
    present = a_profile(session_store_url=Secret("redis://cache"))
    assert forms.read(typed(session_store=""), present=present).session_store_url is None
    assert forms.read(typed(no_session_store="on"), present=present).session_store_url == Secret("")
    both = forms.read(typed(no_session_store="on", session_store="redis://other"), present=present)
    assert "taken away" in str(both.errors["session_store"].cause)


def test_an_address_that_is_none_of_redis_is_refused_at_its_field() -> None:
    form = forms.read(typed(session_store=f"https://:{CANARY}@cache"))
    assert list(form.errors) == ["session_store"] and CANARY not in str(form.errors)
