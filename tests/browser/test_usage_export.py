"""Usage logs are exported as a person does it: from the menu, at once or in the background, in both languages."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Pghaven, Visit
from tests.browser.test_every_page import STICKS_OUT

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

WANTED = "databases/hub/logs?status=429"


def test_what_is_shown_is_downloaded_as_csv(pghaven: Pghaven, visit: Visit, signed_in: Any, tmp_path: Path) -> None:
    page = visit(state=signed_in).page
    page.goto(f"{pghaven.url}{WANTED}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    file = tmp_path / "usage.csv"
    download.value.save_as(file)
    assert download.value.suggested_filename.startswith("usage-logs-")
    with file.open(encoding="utf-8-sig", newline="") as text:
        assert {row["Status Code"] for row in csv.DictReader(text)} == {"429"}


@pytest.mark.parametrize(
    ("locale", "width", "excel"),
    [("en", 1280, "For Excel (XLSX), in the background"), ("zh-CN", 320, "Excel（XLSX，后台生成）")],
)
@pytest.mark.parametrize("scripts", [True, False])
def test_a_workbook_is_made_in_the_background_and_fetched(
    pghaven: Pghaven, visit: Visit, signed_in: Any, tmp_path: Path, locale: str, width: int, excel: str, scripts: bool
) -> None:
    page = visit(locale=locale, state=signed_in, scripts=scripts).page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{pghaven.url}{WANTED}")
    page.locator("#usage-head summary").click()
    page.get_by_role("button", name=excel).click()
    page.wait_for_url("**/jobs/*")
    link = page.locator("a[download][href*='/exports/']")
    expect(link).to_be_visible(timeout=30_000)
    assert page.evaluate(STICKS_OUT) == []
    with page.expect_download() as found:
        link.click()
    file = tmp_path / "usage.xlsx"
    found.value.save_as(file)
    rows = list(openpyxl.load_workbook(file)["Usage logs"].iter_rows(values_only=True))
    assert len(rows) > 1 and {row[7] for row in rows[1:]} == {429}
