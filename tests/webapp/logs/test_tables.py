"""Pages of single tables: admins list them, choose columns and rows, and export what they see, without a script."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.jobs.model import JobKind
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.servers import Server
from tests.webapp.conftest import Browser

SCRIPT = Path(__file__).parents[2] / "storage" / "logs" / "tables" / "tables.sql"
NASTY = "/databases/shop/tables/we~2e~ird.ta~22~ble~2f~100~25~~3b~~20~DROP"
KINDS = "/databases/shop/tables/public.kinds"

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def filled(server: Server) -> Connection:
    """Every test of this module only reads it, or the table `cleaned`."""
    connection = server.create_database("tables_of_pages")
    with connect(connection, application="tests") as session:
        session.execute(SCRIPT.read_bytes())
        session.execute("CREATE TABLE cleaned AS SELECT id, day FROM kinds WHERE day > '2000-01-01'")
    return connection


@pytest.fixture
def shop(storage: Storage, filled: Connection) -> Storage:
    storage.databases.add("shop", filled, by="tests")
    return storage


def events(storage: Storage, action: str) -> Iterator[tuple[str, dict[str, object]]]:
    return ((event.subject, dict(event.facts)) for event in storage.audit.newest_first() if event.action == action)


def test_tables_are_listed_and_looked_for(shop: Storage, admin: Browser) -> None:
    page = admin.get("/databases/shop/tables")
    assert page.status_code == 200
    assert f'href="{NASTY}"' in page.text
    assert "we.ird.ta&#34;ble/100%; DROP" in page.text
    found = admin.get("/databases/shop/tables", query_string={"search": "IRD 100%"}).text
    assert NASTY in found
    assert KINDS not in found
    assert "No table has this in its name." in admin.get("/databases/shop/tables?search=nothing").text
    assert 'value="&#34;&lt;b&gt;"' in admin.get("/databases/shop/tables?search=%22%3Cb%3E").text


def test_a_table_of_any_name_is_shown_with_its_rows(shop: Storage, admin: Browser) -> None:
    page = html.unescape(admin.get(NASTY).text.replace("<wbr>", ""))
    assert '<h1 tabindex="-1"><bdi>we.ird.ta"ble/100%; DROP</bdi></h1>' in page
    assert "<bdi>quote %s %(x)s</bdi>" in page
    assert '<span class="muted">NULL</span>' in page
    assert "2 rows, which are all" in page


def test_what_the_form_sends_is_what_is_shown_and_exported(shop: Storage, admin: Browser) -> None:
    """The form's own fields, with its empty lines, and the links of the page that answers it."""
    sent = [
        ("columns", "id"), ("columns", "text"), ("where", "id"), ("op", "gt"), ("value", "1"), ("where", "text"),
        ("op", "not-empty"), ("value", ""), ("where", ""), ("op", "eq"), ("value", ""), ("order", "id"),
        ("descending", "on"),
    ]  # fmt: skip
    page = admin.get(KINDS, query_string=sent)
    assert page.status_code == 200
    assert re.findall(r"<th scope=\"col\"[^>]*><bdi>(\w+)", page.text) == ["id", "text"]
    assert page.text.count('<input name="value"') == 4
    link = html.unescape(re.findall(r'href="([^"]+/export\?[^"]+)"', page.text)[0])
    answer = admin.get(link)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=public.kinds-2026-11-22-131405.csv")
    assert answer.data.decode("utf-8-sig") == "id,text\n4,' =1+1\n"
    lines = admin.get(link.replace("format=csv", "format=ndjson")).data.splitlines()
    assert [json.loads(line) for line in lines] == [{"id": 4, "text": " =1+1"}]


def test_an_export_is_in_the_audit_log_with_what_was_asked_for(shop: Storage, admin: Browser) -> None:
    admin.get(f"{KINDS}/export?format=ndjson&columns=id&where=text&op=eq&value=plain&order=id")
    ((subject, facts),) = events(shop, "rows_exported")
    assert subject == "shop"
    assert facts["table"] == "public.kinds"
    assert facts["format"] == "ndjson"
    assert facts["columns"] == ["id"]
    assert facts["where"] == [["text", "eq", "plain"]]


def test_a_workbook_is_asked_for_as_a_job(shop: Storage, admin: Browser) -> None:
    assert admin.get(f"{KINDS}/export?format=xlsx").status_code == 422
    answer = admin.post(f"{KINDS}/exports", data={"format": "xlsx", "columns": ["id", "text"], "order": "id"})
    assert answer.status_code == 303
    (job,) = [job for job in shop.jobs.newest_first() if job.kind is JobKind.EXPORT]
    assert answer.location == f"/jobs/{job.job_id}"
    assert job.parameters["rows"]["columns"] == ["id", "text"]
    assert shop.runner.run_here(job).result["rows"] == 4
    download = admin.get(f"/exports/{job.job_id}/download")
    assert download.data.startswith(b"PK")
    ((_, facts),) = events(shop, "rows_export_requested")
    assert (facts["table"], facts["format"]) == ("public.kinds", "xlsx")


INJECTED = [
    ("columns=id%3B+DROP+TABLE+kinds", "has no column “id; DROP TABLE kinds”"),
    ("columns=id&columns=(SELECT+1)", "has no column “(SELECT 1)”"),
    ("where=id)+OR+(1%3D1&op=eq&value=1", "has no column “id) OR (1=1”"),
    ("where=id&op=%3D+1+OR+1&value=1", "“= 1 OR 1” is not a way to compare"),
    ("where=id&op=eq&value=1)+OR+(1%3D1", "“1) OR (1=1” is not a value of id, which is integer."),
    ("where=id&op=eq", "The conditions are not whole"),
    ("order=id+DESC", "has no column “id DESC”"),
    ("order=doc", "The values of doc (json) have no order."),
    ("where=text&op=eq&value=%00", "a letter that no database holds"),
    ("where=text&op=eq&value=x&" * 21, "More than 20 conditions"),
]


@pytest.mark.parametrize(("query", "words"), INJECTED)
def test_what_cannot_be_asked_is_refused_by_its_name_and_nothing_is_read(
    shop: Storage, admin: Browser, query: str, words: str
) -> None:
    page = admin.get(f"{KINDS}?{query}")
    assert page.status_code == 422
    assert words in html.unescape(page.text)
    assert 'name="where"' in page.text  # the form is there to be put right
    assert admin.get(f"{KINDS}/export?{query}").status_code == 422
    assert not list(events(shop, "rows_exported"))
    assert admin.get(f"{KINDS}/export?format=pdf").status_code == 422
    assert admin.get("/databases/shop/tables/kinds%22%3B--/export").status_code == 404


def test_a_form_of_an_export_is_refused_in_the_same_way(shop: Storage, admin: Browser) -> None:
    for data in ({"columns": "x"}, {"order": "x"}, {"where": "id", "op": "eq", "value": "x"}, {"format": "pdf"}):
        assert admin.post(f"{KINDS}/exports", data=data).status_code == 422
    assert not [job for job in shop.jobs.newest_first() if job.kind is JobKind.EXPORT]


def test_secrets_are_marked_and_not_ticked(shop: Storage, admin: Browser) -> None:
    page = admin.get("/databases/shop/tables/public.accounts").text
    assert page.count("its name says it is a secret") == 3
    assert re.search(r'value="password_hash">', page)
    assert re.search(r'value="name" checked>', page)
    assert "<bdi>hash</bdi>" not in page
    chosen = admin.get("/databases/shop/tables/public.accounts?columns=password_hash").text
    assert "<bdi>hash</bdi>" in chosen
    assert re.search(r'value="password_hash" checked>', chosen)


@pytest.mark.parametrize("address", ["/databases/shop/tables", KINDS, f"{KINDS}/export"])
def test_only_admins_see_tables(shop: Storage, user: Browser, client: Browser, address: str) -> None:
    assert user.get(address).status_code == 403
    assert client.get(address).status_code == 303
    assert user.post(f"{KINDS}/exports").status_code == 403


def test_a_time_column_leads_to_the_clean_up_of_its_rows(shop: Storage, admin: Browser, filled: Connection) -> None:
    page = admin.get("/databases/shop/tables/public.cleaned").text
    (link,) = re.findall(r'href="([^"]+/logs/cleanup\?[^"]+)"', page)
    form = admin.get(html.unescape(link))
    assert form.status_code == 200
    assert 'name="time_column" value="day"' in form.text
    assert 'name="table" value="public.cleaned"' in form.text
    counted = admin.get(html.unescape(link) + "&preview=1&before=2026-12-31")
    assert "1 row would be deleted" in counted.text
    assert "logs/cleanup" not in admin.get("/databases/shop/tables/public.happy").text.partition("Old rows")[2]


def test_a_database_that_is_down_is_said_plainly(storage: Storage, admin: Browser) -> None:
    name = storage.databases.all()[0].name
    answer = admin.get(f"/databases/{name}/tables")
    assert answer.status_code == 503


def test_the_page_is_there_in_chinese(shop: Storage, admin: Browser) -> None:
    page = admin.get(KINDS, headers={"Accept-Language": "zh-CN"}).text
    assert "须满足全部条件" in page
