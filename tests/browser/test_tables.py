"""Rows of a table are chosen and exported, and requests by day looked at, as a person does it, without a script too."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Pghaven, Visit
from tests.browser.test_every_page import STICKS_OUT

pytestmark = [pytest.mark.browser, pytest.mark.postgres]


@pytest.mark.parametrize("scripts", [True, False])
def test_columns_and_rows_of_a_table_are_chosen_and_downloaded(
    pghaven: Pghaven, visit: Visit, signed_in: Any, tmp_path: Path, scripts: bool
) -> None:
    page = visit(state=signed_in, scripts=scripts).page
    page.goto(f"{pghaven.url}databases/hub/tables")
    page.get_by_label("Name").fill("message req")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="public.message_request").click()
    page.locator("summary", has_text="Columns:").click()
    for box in page.locator("input[name=columns]").all():
        box.set_checked(box.get_attribute("value") in ("id", "status_code", "created_at"))
    first = page.locator("fieldset.filters").nth(0)
    first.locator("select[name=where]").select_option("status_code")
    first.locator("select[name=op]").select_option(label="=")
    first.locator("input[name=value]").fill("429")
    page.get_by_label("Order by").select_option("id")
    page.get_by_label("Direction").select_option(label="largest first")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".sideways th")).to_have_text(["id", "status_code", "created_at"])
    expect(page.locator(".sideways tbody tr").first.locator("td").nth(1)).to_have_text("429")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    download.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.reader(text))
    assert rows[0] == ["id", "status_code", "created_at"]
    ids = [int(row[0]) for row in rows[1:]]
    assert len(ids) > 50 and ids == sorted(ids, reverse=True)
    assert {row[1] for row in rows[1:]} == {"429"}


@pytest.mark.parametrize(("locale", "width", "excel"), [("zh-CN", 320, "Excel（XLSX，后台生成）")])
def test_a_workbook_of_a_table_is_made_in_the_background(
    pghaven: Pghaven, visit: Visit, signed_in: Any, tmp_path: Path, locale: str, width: int, excel: str
) -> None:
    page = visit(locale=locale, state=signed_in, scripts=False).page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{pghaven.url}databases/wiki/tables/public.documents?columns=id")
    page.locator(".page-head summary").click()
    page.get_by_role("button", name=excel).click()
    page.wait_for_url("**/jobs/*")
    link = page.locator("a[download][href*='/exports/']")
    expect(link).to_be_visible(timeout=30_000)
    with page.expect_download() as found:
        link.click()
    found.value.save_as(tmp_path / "rows.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "rows.xlsx")["documents"]
    assert (sheet.max_column, sheet["A1"].value, sheet.max_row) == (1, "id", 151)


@pytest.mark.parametrize("width", [320, 1280])
def test_requests_by_day_come_by_themselves_and_follow_the_filter(
    pghaven: Pghaven, visit: Visit, signed_in: Any, width: int
) -> None:
    page = visit(state=signed_in).page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{pghaven.url}databases/hub")
    expect(page.locator("#pictures canvas")).to_have_count(3)
    assert page.evaluate(STICKS_OUT) == []
    page.goto(f"{pghaven.url}databases/hub/logs")
    figure = page.locator("#pictures figure").first
    expect(figure.locator("canvas")).to_be_visible()
    before = sum(json.loads(figure.get_attribute("data-days") or "")[1])
    page.select_option("#filter-status", "429")
    page.wait_for_url("**status=429**")
    expect(page.locator("#pictures canvas")).to_have_count(3)
    after = json.loads(page.locator("#pictures figure").first.get_attribute("data-days") or "")[1]
    assert (len(after), 0 < sum(after) < before) == (30, True)
    page.locator("#pictures .u-over").first.hover()
    expect(page.locator("#pictures output").first).to_contain_text(":")
    page.locator("#pictures summary").click()
    expect(page.locator("#pictures tbody tr")).to_have_count(30)
    assert page.evaluate(STICKS_OUT) == []


def test_requests_by_day_are_a_table_without_a_script(pghaven: Pghaven, visit: Visit, signed_in: Any) -> None:
    page = visit(state=signed_in, scripts=False).page
    page.goto(f"{pghaven.url}databases/hub")
    page.get_by_role("link", name="Requests by day").click()
    expect(page.locator("#pictures tbody tr")).to_have_count(30)
    expect(page.locator("#pictures svg")).to_have_count(3)
