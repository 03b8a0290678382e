"""The pages of databases: what they say, what they refuse, and that a password is on none of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from storage.backups.record import BackupState
from storage.databases.profile import DatabaseProfile
from storage.databases.registry import Demos
from storage.jobs.model import JobKind
from storage.opening import Storage
from storage.postgres.connection import Connection
from storage.secret import Secret
from tests.builders import a_backup, a_table
from tests.conftest import StandingClock
from tests.webapp.conftest import Browser
from tests.webapp.seeding import BODY, keep

CANARY = "k4nary-Sesame"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def shop(storage: Storage) -> Iterator[DatabaseProfile]:
    """A database whose server is not there, with a password that may be seen nowhere."""
    connection = Connection(host="127.0.0.1", port=1, user="app", dbname="shop_db", password=Secret(CANARY))
    yield storage.databases.add("shop", connection, log_tables=("public.audit",), by="ana")


def typed(**changes: str) -> dict[str, str]:
    return {
        "name": "wiki",
        "host": "127.0.0.1",
        "port": "1",
        "user": "app",
        "dbname": "wiki_db",
        "password": CANARY,
        "digests": "on",
    } | changes


def test_the_list_waits_for_no_server(admin: Browser, shop: DatabaseProfile) -> None:
    started = time.monotonic()
    page = admin.get("/databases").text
    assert time.monotonic() - started < 0.5
    assert "2 databases" in page and "127.0.0.1:1" in page and "Never backed up" in page
    assert 'hx-get="/databases/shop/status?line=1"' in page


def test_a_line_of_the_list_says_that_the_server_is_not_there(admin: Browser, shop: DatabaseProfile) -> None:
    line = admin.get("/databases/shop/status?line=1", headers=HTMX).text
    assert "<html" not in line and "No answer" in line and "Nothing answers at 127.0.0.1:1." in line


@pytest.mark.parametrize(
    ("hours", "state", "word"),
    [
        (2, BackupState.COMPLETE, "Protected"),
        (60, BackupState.COMPLETE, "Late"),
        (2, BackupState.FAILED, "Failing"),
        (2, BackupState.DAMAGED, "Damaged"),
        (2, BackupState.MISSING, "Missing"),
    ],
)
def test_how_a_database_stands_is_said_in_a_word(
    admin: Browser,
    storage: Storage,
    clock: StandingClock,
    shop: DatabaseProfile,
    hours: int,
    state: BackupState,
    word: str,
) -> None:
    keep(storage, a_backup("shop", at=clock() - timedelta(hours=hours), state=state))
    for page in ("/databases", "/databases/shop"):
        assert word in re.sub(r"(?s)<ul class=\"legend\".*?</ul>", "", admin.get(page).text)


@pytest.mark.parametrize(("left", "word"), [(None, "Missing"), (BODY[:100], "Damaged")])
@pytest.mark.parametrize("page", ["/", "/databases", "/databases/shop"])
def test_what_happened_to_the_newest_file_is_said_at_once(
    admin: Browser,
    storage: Storage,
    clock: StandingClock,
    shop: DatabaseProfile,
    page: str,
    left: bytes | None,
    word: str,
) -> None:
    keep(storage, a_backup("shop", at=clock() - timedelta(days=1)))
    newest = keep(storage, a_backup("shop", at=clock() - timedelta(hours=1)))
    file = storage.backups.catalog.archive_path(newest)
    file.unlink() if left is None else file.write_bytes(left)
    told = re.sub(r"(?s)<ul class=\"legend\".*?</ul>", "", admin.get(page).text)
    assert re.search(rf'class="status s-damaged">.*?</svg>{word}</span>', told)
    assert "Protected" not in told


def test_the_log_tables_that_the_applications_map_names_are_shown(
    admin: Browser, storage: Storage, clock: StandingClock, shop: DatabaseProfile
) -> None:
    tables = ("users", "keys", "providers", "model_prices", "message_request", "provider_endpoint_probe_logs")
    keep(storage, a_backup("shop", at=clock(), tables={f"public.{name}": a_table() for name in tables}))
    for page in ("/databases/shop", "/databases/shop/status"):
        assert "public.message_request, public.provider_endpoint_probe_logs" in admin.get(page).text


def test_the_socket_of_our_own_server_is_said_in_words(admin: Browser, storage: Storage, clock: StandingClock) -> None:
    at = Connection(host="/some/where/embedded/18/run", port=5432, user="pghaven", dbname="hub")
    storage.databases._environment = lambda: None
    storage.databases._demos = Demos(names=("hub",), connection=lambda name: at)
    for page in ("/", "/databases", "/databases/hub", "/databases/hub/status"):
        told = re.sub("(?s)<bdi.*?</bdi>", "", admin.get(page).text)  # PostgreSQL's own words stay its own
        assert "pghaven&#39;s own server" in told, page
        assert "/some/where" not in told, page


def test_without_any_database_the_first_is_offered(admin: Browser, storage: Storage) -> None:
    storage.databases._environment, storage.databases._demos = (lambda: None), Demos()
    page = admin.get("/databases").text
    assert "No database yet." in page and 'href="/databases/new"' in page


def test_a_database_shows_its_backups_and_what_can_be_done(
    admin: Browser, storage: Storage, clock: StandingClock, shop: DatabaseProfile
) -> None:
    for days in (3, 2, 1):
        keep(
            storage,
            a_backup("shop", at=clock() - timedelta(days=days), tables={"public.orders": a_table(1234 * days)}),
        )
    page = admin.get("/databases/shop").text
    assert "The newest good backup is 24" in page and "1,234" in page and "3 kept" in page
    assert 'action="/backups' in page and 'name="no_logs" value="on"' in page
    assert "/restores/new?" in page and "public.audit" in page and "app" in page
    assert "<svg" in page and "polyline" in page


def test_a_user_sees_and_changes_nothing(user: Browser, shop: DatabaseProfile) -> None:
    page = user.get("/databases/shop").text
    assert "Back up now" not in page and "/databases/shop/edit" not in page
    for path in ("/databases/new", "/databases/shop/edit", "/databases/shop/remove"):
        assert user.get(path).status_code == 403
    for path in (
        "/databases",
        "/databases/new/test",
        "/databases/shop",
        "/databases/shop/test",
        "/databases/shop/remove",
    ):
        assert user.post(path, data=typed()).status_code == 403


def test_adding_takes_the_first_backup_and_leads_to_the_page(admin: Browser, storage: Storage) -> None:
    answer = admin.post("/databases", data=typed(first_backup="on", log_tables="public.audit"))
    assert (answer.status_code, answer.location) == (303, "/databases/wiki")
    added = storage.databases.get("wiki")
    assert added.connection.password == Secret(CANARY) and added.log_tables == ("public.audit",) and added.digests
    assert added.added_by == "ana"
    assert [job.kind for job in storage.jobs.active("wiki")] == [JobKind.TAKE]


def test_a_refused_form_keeps_what_was_typed_and_adds_nothing(admin: Browser, storage: Storage) -> None:
    answer = admin.post("/databases", data=typed(name="Wiki!", port="many", host="db.example.org"))
    page = answer.text
    assert answer.status_code == 422 and CANARY not in page
    assert 'value="db.example.org"' in page and 'value="many"' in page and 'value="Wiki!"' in page
    assert 'id="name-why"' in page and 'id="port-why"' in page and "Nothing was changed." in page
    assert [profile.name for profile in storage.databases.all()] == ["nothing"]


def test_htmx_gets_the_form_alone(admin: Browser) -> None:
    answer = admin.post("/databases", data=typed(port="0"), headers=HTMX)
    assert answer.status_code == 422 and answer.text.lstrip().startswith("<form") and CANARY not in answer.text
    added = admin.post("/databases", data=typed(), headers=HTMX)
    assert added.headers["HX-Redirect"] == "/databases/wiki"


def test_a_test_answers_beside_the_form_and_saves_nothing(admin: Browser, storage: Storage) -> None:
    fragment = admin.post("/databases/new/test", data=typed(), headers=HTMX).text
    assert "Nothing answers at 127.0.0.1:1." in fragment and "<form" not in fragment
    page = admin.post("/databases/new/test", data=typed()).text
    assert "Nothing answers at 127.0.0.1:1." in page and 'value="wiki_db"' in page and "</html>" in page
    assert CANARY not in fragment + page
    assert [profile.name for profile in storage.databases.all()] == ["nothing"]


def test_a_test_of_an_unusable_form_says_which_field(admin: Browser) -> None:
    fragment = admin.post("/databases/new/test", data=typed(host=""), headers=HTMX).text
    assert "The host is missing." in fragment


def test_changing_without_a_password_keeps_the_stored_one(
    admin: Browser, storage: Storage, shop: DatabaseProfile
) -> None:
    page = admin.get("/databases/shop/edit").text
    assert CANARY not in page and "Empty means unchanged." in page and 'value="shop_db"' in page
    answer = admin.post("/databases/shop", data=typed(dbname="shop_2", password=""))
    assert answer.status_code == 303
    changed = storage.databases.get("shop")
    assert changed.connection.dbname == "shop_2" and changed.connection.password == Secret(CANARY)
    assert changed.log_tables == ()


def test_the_stored_password_does_not_go_to_another_server(
    admin: Browser, storage: Storage, shop: DatabaseProfile
) -> None:
    for path in ("/databases/shop", "/databases/shop/test"):
        answer = admin.post(path, data=typed(host="evil.example.org", password=""))
        assert "the stored one is not sent to another server" in answer.text
    assert storage.databases.get("shop").connection.host == "127.0.0.1"


def test_what_the_environment_gives_is_shown_and_not_editable(admin: Browser, storage: Storage) -> None:
    page = admin.get("/databases/nothing").text
    assert "from the environment (DATABASE_URL)" in page and "/databases/nothing/edit" not in page
    for path in ("/databases/nothing/edit", "/databases/nothing/remove"):
        assert admin.get(path).status_code == 409
    for path in ("/databases/nothing", "/databases/nothing/test", "/databases/nothing/remove"):
        assert admin.post(path, data={"typed": "nothing"} | typed()).status_code == 409
    assert storage.databases.get("nothing").connection.host == "127.0.0.1"


def test_removing_asks_for_the_name_and_keeps_the_backups(
    admin: Browser, storage: Storage, clock: StandingClock, shop: DatabaseProfile
) -> None:
    storage.backups.catalog.save(a_backup("shop", at=clock()))
    assert "1 backup" in admin.get("/databases/shop/remove").text
    wrong = admin.post("/databases/shop/remove", data={"typed": "shopp"})
    assert wrong.status_code == 422 and "Nothing was changed." in wrong.text and 'value="shopp"' in wrong.text
    assert storage.databases.get("shop") == shop
    assert admin.post("/databases/shop/remove", data={"typed": "shop"}).location == "/databases"
    assert [profile.name for profile in storage.databases.all()] == ["nothing"]
    assert len(storage.backups.catalog.find(database="shop")) == 1


def test_no_page_shows_a_password(admin: Browser, shop: DatabaseProfile) -> None:
    for path in (
        "/databases", "/databases/shop", "/databases/shop/edit", "/databases/shop/status", "/databases/shop/remove",
        "/api/admin/database/status?database=shop",
    ):  # fmt: skip
        for language in ("en", "zh_Hans"):
            admin.set_cookie("language", language)
            answer = admin.get(path)
            assert answer.status_code == 200 and CANARY not in answer.text, path


def test_an_unknown_database_is_not_found(admin: Browser) -> None:
    for path in ("/databases/nope", "/databases/nope/status", "/databases/nope/edit", "/databases/nope/remove"):
        assert admin.get(path).status_code == 404


def test_a_session_store_is_kept_shown_without_its_password_and_taken_away(admin: Browser, storage: Storage) -> None:
    store = f"redis://:{CANARY}@cache.example:6379/1"
    assert admin.post("/databases", data=typed(session_store=store)).status_code == 303
    assert storage.databases.get("wiki").session_store_url == Secret(store)
    for path in ("/databases/wiki", "/databases/wiki/edit"):
        page = admin.get(path).text
        assert "redis://cache.example:6379/1" in page and CANARY not in page
    admin.post("/databases/wiki", data=typed(session_store=""))
    assert storage.databases.get("wiki").session_store_url == Secret(store)
    refused = admin.post("/databases/wiki", data=typed(session_store=f"http://{CANARY}"))
    assert refused.status_code == 422 and 'id="session_store-why"' in refused.text and CANARY not in refused.text
    admin.post("/databases/wiki", data=typed(no_session_store="on"))
    assert storage.databases.get("wiki").session_store_url is None
    told = [event.facts.get("session_store") for event in storage.audit.newest_first() if event.subject == "wiki"]
    assert told[0] == "" and told[-1] == "redis://cache.example:6379/1"
