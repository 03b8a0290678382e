"""A real pghaven with its embedded demo, and a real Chromium that complains about everything it sees."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from storage.postgres.connection import Connection
from storage.secret import Secret
from tests.servers import open_folder

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
NAME, PASSWORD = "ana", "a haven for browsers"
DATABASE = "wiki"


@dataclass
class Pghaven:
    """The running program; `cli` looks at the same data folder from beside."""

    url: str
    setup_url: str
    environment: dict[str, str]

    def cli(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "webapp.cli", *arguments, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def demo(self, name: str) -> Connection:
        """A database of the embedded server, with the password of its owner, which no list tells."""
        [found] = [one for one in self.cli("databases", "list") if one["name"] == name]
        [password] = Path(self.environment["PGHAVEN_PRIVATE_FOLDER"]).glob("embedded*/*/password")
        return Connection(
            host=found["host"],
            port=found["port"],
            user=found["user"],
            dbname=found["database"],
            password=Secret(password.read_text().strip()),
        )

    def wait_until_idle(self, *, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while self.cli("jobs", "list", "--active"):
            assert time.monotonic() < deadline, "jobs did not end"
            time.sleep(0.5)


@pytest.fixture(scope="session")
def pghaven() -> Iterator[Pghaven]:
    folder = open_folder("pghaven-browser-")
    kept = ("PATH", "HOME", "PG_BIN_DIRS", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"BACKUP_STORAGE_PATH": str(folder / "backups"), "PGHAVEN_PRIVATE_FOLDER": str(folder / "private")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "webapp.cli", "serve", "--port", "0", "--json"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        where = _first_document(process, folder / "log")
        yield Pghaven(where["url"], where["setup_url"], environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        words = (folder / "log").read_text()
        shutil.rmtree(folder, ignore_errors=True)
    assert "Traceback" not in words, words
    assert process.returncode == 0


def _first_document(process: subprocess.Popen[str], log: Path) -> dict[str, str]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}":
            return dict(json.loads("".join(lines)))
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, what it complained about, and what it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: self._complain(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.add_init_script(
            "document.addEventListener('securitypolicyviolation', found => "
            "console.error('CSP: ' + found.violatedDirective + ' ' + found.blockedURI))"
        )

    def _complain(self, text: str) -> None:
        self.complaints.append(f"{self.page.url}: {text}")


class Visit:
    """Opens pages that are watched; at the end of the test none of them may have complained."""

    def __init__(self, chromium: Browser) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self._watched: list[Watched] = []

    def __call__(self, *, locale: str = "en", scripts: bool = True, state: Any = None) -> Watched:
        context = self._chromium.new_context(locale=locale, java_script_enabled=scripts, storage_state=state)
        self._contexts.append(context)
        watched = Watched(context.new_page())
        self._watched.append(watched)
        return watched

    def end(self) -> None:
        complaints = [complaint for watched in self._watched for complaint in watched.complaints]
        for context in self._contexts:
            context.close()
        assert complaints == []


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    visit = Visit(chromium)
    yield visit
    visit.end()


@pytest.fixture(scope="session")
def signed_in(pghaven: Pghaven, chromium: Browser) -> Any:
    """The cookies of the first admin, who was made with the link that pghaven printed."""
    context = chromium.new_context(locale="en")
    watched = Watched(context.new_page())
    watched.page.goto(pghaven.setup_url)
    watched.page.fill("input[name=name]", NAME)
    watched.page.fill("input[name=password]", PASSWORD)
    watched.page.click("main form button[type=submit], form.form button[type=submit]")
    watched.page.wait_for_url(lambda url: "/setup" not in url)
    assert [account["name"] for account in pghaven.cli("accounts", "list")] == [NAME]
    pghaven.wait_until_idle()
    state = context.storage_state()
    context.close()
    assert watched.complaints == []
    return state
