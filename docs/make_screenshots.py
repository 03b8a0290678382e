"""Makes the pictures of the documents from the running program: `make screenshots`, with ARGS=--all of every page.

Starts a real pghaven with the embedded demo on a temporary data folder, makes the first account, waits for the first
backups, gives them a month of history, and looks at it with Debian's Chromium. docs/overview.png goes into the
repository; the others are for looking at, in build/screenshots, which git ignores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from storage.backups.catalog import Catalog, archive_name  # noqa: E402
from storage.backups.record import BackupState  # noqa: E402
from storage.clock import utc_now  # noqa: E402
from storage.errors import Unreachable, say  # noqa: E402
from storage.identifiers import new_id  # noqa: E402

PICTURE = ROOT / "docs" / "overview.png"
FOLDER = ROOT / "build" / "screenshots"
MOST_BYTES = 200_000
PASSWORD = "a haven for screenshots"
LANGUAGES = {"en": "en", "zh": "zh-CN"}
WIDTHS = (320, 1280)
SCHEMES = ("light", "dark")


@dataclass(frozen=True)
class Running:
    url: str
    setup_url: str
    data_folder: Path


@contextmanager
def pghaven() -> Iterator[Running]:
    """A real one, on a data folder and an embedded server of its own, gone afterwards."""
    # Not below a folder that is ours alone: as root, the embedded server runs as another account.
    folder = Path(tempfile.mkdtemp(prefix="pghaven-screens-", dir="/tmp"))
    folder.chmod(0o711)
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DSN")}
    environment |= {"BACKUP_STORAGE_PATH": str(folder / "backups"), "PGHAVEN_PRIVATE_FOLDER": str(folder / "private")}
    environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-m", "webapp.cli", "serve", "--port", "0", "--json"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        document, _ = json.JSONDecoder().raw_decode(_read_document(process))
        yield Running(document["url"], document["setup_url"], folder / "backups")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _read_document(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            return "".join(lines)
    raise SystemExit("pghaven ended before it could be reached")


def sign_in(page: Page, running: Running) -> None:
    page.goto(running.setup_url)
    page.fill("input[name=name]", "ana")
    for field in page.query_selector_all("input[type=password]"):
        field.fill(PASSWORD)
    page.click("form button[type=submit]")
    page.wait_for_load_state()


def wait_for_backups(page: Page, running: Running, *, seconds: int = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        page.goto(f"{running.url}jobs")
        page.wait_for_load_state()
        if page.locator("progress").count() == 0 and page.goto(running.url) and page.locator("progress").count() == 0:
            return
        time.sleep(1)
    raise SystemExit("the first backups did not end")


def give_a_month(data_folder: Path, *, days: int = 24) -> None:
    """Nightly backups before today's, as if pghaven had been running: the records of the first ones, dated back."""
    catalog = Catalog(data_folder, clock=utc_now)
    for number, newest in enumerate(reversed(catalog.all())):
        archive = catalog.archive_path(newest)
        night = newest.started_at.replace(hour=2, minute=number, second=0, microsecond=0)
        for day in range(1, days - 4 * number):
            at = night - timedelta(days=day)
            name = archive_name(newest.database, at, no_logs=False)
            past = newest.with_(
                backup_id=new_id(at),
                archive=str(Path(newest.archive).with_name(name)),
                started_at=at,
                ended_at=at + timedelta(seconds=newest.seconds or 1),
                taken_by="ana",
            )
            if (day, number) == (9, 1):
                error = Unreachable("refused", say("Nothing answers at %(address)s.", address="db.example.org:5432"))
                past = past.with_(archive="", bytes=0, tables={}, state=BackupState.FAILED, error=error.to_json())
            else:
                archive.with_name(name).hardlink_to(archive)
            catalog.save(past)


def paths(page: Page, running: Running) -> dict[str, str]:
    """Every kind of page once: those of the navigation, and the first one that a link of each list leads to."""
    found = {"overview": ""}
    for place in ("databases", "databases/new", "history", "restores", "jobs", "accounts", "account", "system"):
        response = page.goto(running.url + place)
        if response and response.ok:
            found[place.replace("/", "_")] = place
    for kind in ("databases", "backups", "jobs"):
        for place in ("", "history", kind):
            page.goto(running.url + place)
            links = page.eval_on_selector_all(
                f"main a[href^='/{kind}/']", "links => links.map(link => link.getAttribute('href'))"
            )
            inside = [link for link in links if link.count("/") == 2 and not link.endswith("/new")]
            if inside:
                found[f"{kind}_one"] = inside[0].lstrip("/")
                break
    if "backups_one" in found:
        found["restore_plan"] = f"restores/new?backup_id={found['backups_one'].split('/')[1]}"
    return found


def picture(browser: Browser, state: str, running: Running) -> None:
    """docs/overview.png"""
    context = browser.new_context(
        storage_state=state, viewport={"width": 1280, "height": 720}, color_scheme="light", locale="en"
    )
    page = context.new_page()
    page.goto(running.url)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=PICTURE)
    context.close()
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size} bytes")
    if size > MOST_BYTES:
        raise SystemExit(f"the picture has more than {MOST_BYTES} bytes")


def every_page(browser: Browser, state: str, running: Running, found: dict[str, str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for (code, locale), scheme, width in itertools.product(LANGUAGES.items(), SCHEMES, WIDTHS):
        context = browser.new_context(
            storage_state=state, viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
        )
        page = context.new_page()
        for name, path in found.items():
            page.goto(running.url + path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=FOLDER / f"{name}.{code}.{scheme}.{width}.png", full_page=True)
            overhang = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if overhang > 0:
                print(f"{name} at {width} px is {overhang} px too wide ({code}, {scheme})")
        anonymous = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, locale=locale
        ).new_page()
        anonymous.goto(f"{running.url}login")
        anonymous.screenshot(path=FOLDER / f"login.{code}.{scheme}.{width}.png", full_page=True)
        anonymous.context.close()
        context.close()
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every page, in both languages, schemes and widths")
    asked = parser.parse_args()
    with pghaven() as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(locale="en")
        page = context.new_page()
        sign_in(page, running)
        wait_for_backups(page, running)
        give_a_month(running.data_folder)
        state = str(Path(tempfile.mkdtemp()) / "state.json")
        context.storage_state(path=state)
        picture(browser, state, running)
        if asked.all:
            every_page(browser, state, running, paths(page, running))
        browser.close()


if __name__ == "__main__":
    main()
