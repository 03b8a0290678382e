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
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from screenshot_states import Made, give_a_month, make_trouble  # noqa: E402

PICTURE = ROOT / "docs" / "overview.png"
FOLDER = ROOT / "build" / "screenshots"
MOST_BYTES = 200_000
PASSWORD = "a haven for screenshots"
LANGUAGES = {"en": "en", "zh": "zh-CN"}
WIDTHS = (320, 1280)
SCHEMES = ("light", "dark")
HEIGHT = 900


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


def name_a_target(page: Page, running: Running) -> None:
    """Somebody who is told of failures, as every instance in use has one: without, the overview asks for it."""
    page.goto(f"{running.url}alerts/new?kind=mail")
    for field, value in {"name": "night watch", "recipients": "night@example.org", "host": "127.0.0.1"}.items():
        page.fill(f"main input[name={field}]", value)
    page.click("main form.form button[type=submit]")
    page.wait_for_url("**/alerts")


def wait_for_backups(page: Page, running: Running, *, seconds: int = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        page.goto(f"{running.url}jobs")
        page.wait_for_load_state()
        if page.locator("progress").count() == 0 and page.goto(running.url) and page.locator("progress").count() == 0:
            return
        time.sleep(1)
    raise SystemExit("the first backups did not end")


def paths(page: Page, running: Running) -> dict[str, str]:
    """Every kind of page once: those of the navigation, and the first one that a link of each list leads to."""
    places = (
        "databases",
        "databases/new",
        "databases/hub/retention",
        "databases/hub/schedule",
        "schedules",
        "trash",
        "history",
        "restores",
        "jobs",
        "accounts",
        "accounts/ben",
        "accounts/ben/link?database=hub",
        "databases/hub/logs",
        "databases/hub/logs/sessions",
        "databases/hub/logs/probes",
        "databases/hub/logs/cleanup",
        "databases/wiki/logs",
        "destinations",
        "alerts",
        "alerts/new",
        "alerts/migration",
        "backups/upload",
        "account",
        "audit",
        "system",
        "system/databases/hub",
    )
    found = {"overview": ""} | {re.sub(r"[/?=]", "_", place): place for place in places}
    found["databases_hub_logs_filtered"] = "databases/hub/logs?status=not-200&min_retries=1"
    found["databases_hub_logs_none"] = "databases/hub/logs?model=none"
    found["databases_hub_logs_cleanup_counted"] = "databases/hub/logs/cleanup?days=30"
    found["databases_hub_logs_refused"] = "databases/hub/logs?status=abc"
    found["generator"] = "databases/hub/logs/generator"
    found["tables"] = "databases/wiki/tables"
    found["table"] = "databases/hub/tables/public.message_request?where=status_code&op=ne&value=200&order=id"
    found["table_refused"] = "databases/hub/tables/public.keys?where=id&op=eq&value=abc"
    found["pictures"] = "databases/hub/logs/pictures"
    page.goto(f"{running.url}databases/hub/logs/sessions")
    found["session"] = (page.locator("main tbody th a").first.get_attribute("href") or "").lstrip("/")
    found["session_request"] = f"{found['session']}&sequence=1"
    for kind in ("databases", "jobs", "restores"):
        for place in ("", "history", kind):
            page.goto(running.url + place)
            links = page.eval_on_selector_all(
                f"main a[href^='/{kind}/']", "links => links.map(link => link.getAttribute('href'))"
            )
            inside = [link for link in links if link.count("/") == 2 and "/new" not in link]
            if inside:
                found[f"{kind}_one"] = inside[0].lstrip("/")
                break
    page.goto(f"{running.url}restores")
    backup = newest_backup(page)
    found["backups_one"] = f"backups/{backup}"
    found["restore_plan"] = f"restores/new?backup={backup}"
    found["restore_replace"] = f"restores/new?backup={backup}&mode=replace"
    found["restore_merge"] = f"restores/new?backup={backup}&mode=merge"
    found["restore_confirm"] = f"restores/confirm?backup={backup}&mode=replace"
    found["refusal_409"] = f"{found['databases_one']}/edit"
    found["history_none"] = "history?from=2020-01-01"
    found["refusal_404"] = "nothing/here"
    return found


def trouble_paths(made: Made) -> dict[str, str]:
    return {
        "overview_trouble": "",
        "databases_trouble": "databases",
        "history_trouble": "history",
        "jobs_trouble": "jobs",
        "database_unreachable": "databases/shop",
        "database_edit": "databases/shop/edit",
        "database_remove": "databases/shop/remove",
        "job_running": f"jobs/{made.running}",
        "job_cancel": f"jobs/{made.running}/cancel",
        "job_failed": f"jobs/{made.failed}",
        "job_cancelled": f"jobs/{made.cancelled}",
        "backup_failed": f"backups/{made.failed_backup}",
        "backup_damaged": f"backups/{made.damaged_backup}",
        "restore_unusable": f"restores/new?backup={made.damaged_backup}",
        "refusal_500": f"jobs/{made.without_log}",
    }


def newest_backup(page: Page) -> str:
    """Of the page Restores: the others have no archive that could be read."""
    link = page.locator("main a[href*='restores/new']").first.get_attribute("href") or ""
    return re.findall(r"backup(?:_id)?=([\w-]+)", link)[0]


def restore_into_a_new_one(page: Page, running: Running) -> None:
    """A restore, so that there is one to look at; and the account of somebody who may look only."""
    page.goto(f"{running.url}restores")
    page.goto(f"{running.url}restores/new?backup={newest_backup(page)}")
    page.click("#go")
    page.click("dialog[open] form button[type=submit]")
    page.wait_for_url("**/jobs/*")
    wait_for_backups(page, running)
    page.goto(f"{running.url}accounts")
    page.fill("main input[name=name]", "ben")
    page.fill("main input[name=password]", PASSWORD)
    page.click("main form.form button[type=submit]")


def picture(browser: Browser, state: str, running: Running) -> None:
    """docs/overview.png"""
    context = browser.new_context(
        storage_state=state, viewport={"width": 1280, "height": 744}, color_scheme="light", locale="en"
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


def look(page: Page, name: str, language: str, *, whole: bool = True) -> None:
    """The page as it stands, in both schemes and widths; or what is seen of it, when a dialog lies above it."""
    for scheme, width in itertools.product(SCHEMES, WIDTHS):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": HEIGHT})
        if whole:
            # Not a full-page picture: what is sticky would stand where it stood on the first screen.
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": max(HEIGHT, height)})
        page.wait_for_timeout(150)  # a transition of .12 s, and the charts are drawn again
        page.screenshot(path=FOLDER / f"{name}.{language}.{scheme}.{width}.png")
        overhang = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overhang > 0:
            print(f"{name} at {width} px is {overhang} px too wide ({language}, {scheme})")


def look_at_all(browser: Browser, running: Running, found: dict[str, str], *, state: str | None = None) -> None:
    """Every one of `found`; and what is opened by a press: a dialog, a menu."""
    for language, locale in LANGUAGES.items():
        page = browser.new_context(storage_state=state, locale=locale).new_page()
        for name, path in found.items():
            page.goto(path if "://" in path else running.url + path)
            if name in ("databases_one", "databases", "databases_trouble", "database_unreachable"):
                page.wait_for_load_state("networkidle")
            look(page, name, language)
            opener = page.locator("[data-dialog]")
            if opener.count():
                opener.first.click()
                look(page, f"{name}_dialog", language, whole=False)
        if "overview" in found:
            look_at_what_is_pressed(page, running, language)
        page.context.close()


def look_at_what_is_pressed(page: Page, running: Running, language: str) -> None:
    """Menus, and the answers to what was filled in badly."""
    page.goto(running.url)
    page.set_viewport_size({"width": 320, "height": 900})
    page.click(".menu-button")
    page.screenshot(path=FOLDER / f"menu.{language}.dark.320.png")
    page.goto(f"{running.url}databases/new")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.fill("main input[name=name]", "No Name")
    page.locator("#connection-test").locator("xpath=..").locator("button").click()
    page.wait_for_load_state("networkidle")
    look(page, "databases_new_tested", language)
    page.locator("main form button.button:not(.quiet)").click()
    page.wait_for_load_state()
    look(page, "databases_new_refused", language)
    page.goto(running.url)
    page.set_viewport_size({"width": 1280, "height": HEIGHT})
    page.keyboard.press("Tab")
    page.locator("main a.day").nth(20).focus()
    look(page, "focus", language, whole=False)
    page.goto(f"{running.url}account")
    page.locator("main form[action$=tokens] button").click()
    page.wait_for_load_state()
    look(page, "account_token", language)


def look_at_the_door(browser: Browser, running: Running, language: str, locale: str) -> None:
    """Signing in: at first, refused, and as somebody to whom a page is not open."""
    page = browser.new_context(locale=locale).new_page()
    page.goto(f"{running.url}login")
    look(page, "login", language)
    for password in ("not the password", PASSWORD):
        page.fill("input[name=name]", "ben")
        page.fill("input[type=password]", password)
        page.click("form button[type=submit]")
        page.wait_for_load_state()
        if password != PASSWORD:
            look(page, "login_refused", language)
    look(page, "overview_of_a_user", language)
    page.goto(f"{running.url}accounts")
    look(page, "refusal_403", language)
    page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every page, in both languages, schemes and widths")
    asked = parser.parse_args()
    with pghaven() as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        if asked.all:
            shutil.rmtree(FOLDER, ignore_errors=True)
            FOLDER.mkdir(parents=True)
            look_at_all(browser, running, {"setup": running.setup_url})
        context = browser.new_context(locale="en")
        page = context.new_page()
        sign_in(page, running)
        name_a_target(page, running)
        wait_for_backups(page, running)
        give_a_month(running.data_folder)
        state = str(Path(tempfile.mkdtemp()) / "state.json")
        context.storage_state(path=state)
        picture(browser, state, running)
        if asked.all:
            look_at_all(browser, running, {"restores_none": "restores"}, state=state)
            restore_into_a_new_one(page, running)
            look_at_all(browser, running, paths(page, running), state=state)
            for language, locale in LANGUAGES.items():
                look_at_the_door(browser, running, language, locale)
            made = make_trouble(running.data_folder)
            look_at_all(browser, running, trouble_paths(made), state=state)
            made.lock.release()
            print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER.relative_to(ROOT)}")
        browser.close()


if __name__ == "__main__":
    main()
