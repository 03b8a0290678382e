"""Uploading in a real browser: chosen or dropped, with JavaScript and without, up to the restored database."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DATABASE, Pghaven, Visit
from tests.browser.test_every_page import STICKS_OUT

pytestmark = [pytest.mark.browser, pytest.mark.postgres]

DROP = """([name, content]) => {
    const file = new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name);
    const data = new DataTransfer();
    data.items.add(file);
    const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
    document.getElementById("drop").dispatchEvent(event);
}"""


@pytest.fixture
def archive(pghaven: Pghaven, tmp_path: Path, signed_in: Any) -> Path:
    """An archive that pghaven has of one database, to be brought as if it were of another."""
    [backup, *_] = [one for one in pghaven.cli("backups", "list", DATABASE) if one["state"] == "complete"]
    file = tmp_path / "theirs.dump"
    file.write_bytes(Path(backup["archive"]).read_bytes())
    return file


def upload(page: Page, pghaven: Pghaven, database: str) -> None:
    page.fill("#database", database)
    page.click("#upload button[type=submit]")
    page.wait_for_url(lambda url: "/backups/" in url and "/upload" not in url)
    expect(page.locator("h1")).to_contain_text("Uploaded")
    expect(page.locator("main")).to_contain_text("pghaven did not make it")


def test_a_dropped_archive_is_kept_and_comes_back_as_a_new_database(
    pghaven: Pghaven, visit: Visit, signed_in: Any, archive: Path
) -> None:
    page = visit(state=signed_in).page
    page.goto(f"{pghaven.url}history")
    page.click("text=Upload…")
    page.wait_for_load_state()
    page.evaluate(DROP, [archive.name, base64.b64encode(archive.read_bytes()).decode()])
    assert page.input_value("#archive").endswith("theirs.dump")
    upload(page, pghaven, "hub")
    expect(page.locator("main")).to_contain_text("The archive was read in full and is kept.")
    page.click("text=Restore…")
    expect(page.locator("#plan")).to_contain_text("without special rights")
    expect(page.locator("#plan")).to_contain_text("not counted")
    page.fill("#into", "brought")
    page.keyboard.press("Tab")
    expect(page.locator("#plan h1 + p")).to_contain_text("brought will be a new database")
    page.click("#go")
    page.click("#confirm button[type=submit]")
    page.wait_for_url(lambda url: "/jobs/" in url)
    expect(page.locator("main")).to_contain_text("there was no manifest to compare them with", timeout=60_000)
    page.goto(f"{pghaven.url}restores")
    page.click("main table th a >> nth=0")
    expect(page.locator("main")).to_contain_text("its tables were only counted")
    expect(page.locator("main")).not_to_contain_text("equal to the backup")


def test_without_javascript_the_form_does_the_same(
    pghaven: Pghaven, visit: Visit, signed_in: Any, archive: Path
) -> None:
    page = visit(state=signed_in, scripts=False).page
    page.goto(f"{pghaven.url}backups/upload?database=not-registered")
    page.set_input_files("#archive", archive)
    upload(page, pghaven, "not-registered")


def test_what_cannot_be_taken_is_not_even_sent(pghaven: Pghaven, visit: Visit, signed_in: Any, tmp_path: Path) -> None:
    script = tmp_path / "dump.sql"
    script.write_text("-- PostgreSQL database dump\n")
    watched = visit(state=signed_in)
    page = watched.page
    page.goto(f"{pghaven.url}backups/upload?database=hub")
    page.set_input_files("#archive", script)
    expect(page.locator("#other-kind")).to_be_visible()
    before = len(watched.asked)
    page.click("#upload button[type=submit]")
    expect(page.locator("#other-kind")).to_be_visible()
    assert watched.asked[before:] == []
    page.evaluate("document.getElementById('upload').dataset.limit = '10'")
    large = tmp_path / "large.dump"
    large.write_bytes(b"PGDMP, and more")
    page.set_input_files("#archive", large)
    expect(page.locator("#too-large")).to_be_visible()


def test_what_is_refused_after_all_is_said_above_the_form_which_stays(
    pghaven: Pghaven, visit: Visit, signed_in: Any, archive: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.dump"
    cut.write_bytes(archive.read_bytes()[:-2000])
    watched = visit(state=signed_in)
    page = watched.page
    page.goto(f"{pghaven.url}backups/upload?database=hub")
    page.set_input_files("#archive", cut)
    page.click("#upload button[type=submit]")
    expect(page.locator("#trouble")).to_contain_text("Nothing was kept of the upload.")
    expect(page.locator("#trouble")).to_contain_text("cut.dump was cut or damaged")
    assert page.input_value("#database") == "hub"
    expect(page.locator("#sending")).to_be_hidden()
    # The browser itself says in its console that the answer was a refusal.
    watched.complaints[:] = [
        said for said in watched.complaints if "status of 409" not in said and "Response Status" not in said
    ]


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_its_pages_fit_a_phone(pghaven: Pghaven, visit: Visit, signed_in: Any, archive: Path, locale: str) -> None:
    pghaven.cli("backups", "upload", str(archive), "--database", f"phone-{locale.lower()}")
    [backup] = pghaven.cli("backups", "list", f"phone-{locale.lower()}")
    page = visit(locale=locale, state=signed_in).page
    page.set_viewport_size({"width": 320, "height": 800})
    for address in ("backups/upload", f"backups/{backup['id']}"):
        page.goto(pghaven.url + address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, (address, page.evaluate(STICKS_OUT))
