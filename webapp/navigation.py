"""What stands around every page: the places, the databases with their state, what runs, who is signed in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Flask, current_app, request, url_for

from storage.backups.protection import protection
from storage.errors import Message, say
from webapp.addresses import asked_for, path_of
from webapp.current import account_or_none, storage
from webapp.states import State, standing_code, state
from webapp.visible_jobs import may_see


@dataclass(frozen=True, slots=True)
class Place:
    code: str
    endpoint: str
    word: Message
    permission: str = "see backups"


PLACES = (
    Place("overview", "overview.show", say("Overview")),
    Place("databases", "databases.index", say("Databases")),
    Place("schedule", "schedules.index", say("Schedules")),
    Place("history", "history.show", say("History")),
    Place("restores", "restores.index", say("Restores")),
    Place("logs", "logs.index", say("Usage logs"), "see usage logs"),
    Place("jobs", "jobs.index", say("Jobs")),
    Place("trash", "retention.trash", say("Trash")),
)
INSTANCE = (
    Place("destinations", "destinations.index", say("Destinations"), "manage destinations"),
    Place("alerts", "alerts.index", say("Alerts"), "manage alerts"),
    Place("accounts", "accounts.index", say("Accounts"), "manage accounts"),
    Place("audit", "audit.index", say("Audit log"), "see the audit log"),
    Place("system", "system.show", say("System"), "see the system"),
)


@dataclass(frozen=True, slots=True)
class DatabaseLink:
    name: str
    state: State
    url: str


# Nothing is evaluated and no style is injected (the policy of headers.py forbids both), no page is kept in the browser;
# a refused form is shown again, and any other refusal of a fragment goes to the place above the page's content.
HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "historyCacheSize": 0,
        "historyRestoreAsHxRequest": False,
        "selfRequestsOnly": True,
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            {"code": "422", "swap": True},
            {
                "code": "[45]..",
                "swap": True,
                "error": True,
                "target": "#trouble",
                "swapOverride": "innerHTML",
                "select": "#refusal",
            },
        ],
    }
)


class Navigation:
    """Worked out only when a whole page is made: a fragment that polls pays nothing for it."""

    @cached_property
    def places(self) -> list[Place]:
        return _open(PLACES)

    @cached_property
    def instance(self) -> list[Place]:
        return _open(INSTANCE)

    @cached_property
    def databases(self) -> list[DatabaseLink]:
        records, jobs, now = storage().backups.catalog.all(), storage().jobs.active(), storage().clock()
        return [
            DatabaseLink(
                profile.name,
                state(
                    standing_code(
                        protection(
                            profile.name,
                            [record for record in records if record.database == profile.name],
                            [job for job in jobs if job.database == profile.name],
                            now=now,
                            late_after=storage().schedules.late_after(profile.name),
                        )
                    )
                ),
                url_for("databases.show", name=profile.name),
            )
            for profile in storage().databases.all()
        ]

    @cached_property
    def running(self) -> int:
        account = account_or_none()
        return sum(may_see(job, account) for job in storage().jobs.active()) if account else 0

    @cached_property
    def programs(self) -> str:
        """pg_dump 18.1, 17.7"""
        return ", ".join(str(program.version) for program in storage().programs())

    @property
    def version(self) -> str:
        return VERSION

    @property
    def here(self) -> str:
        """The page to come back to after choosing a language: one that can be opened, not one that was only sent to."""
        home = url_for("overview.show")
        if request.method == "GET" and request.routing_exception is None:
            return asked_for()
        before = path_of(request.headers.get("Referer")) or home
        return before if _opens(before) else home


def _opens(path: str) -> bool:
    """Whether there is a page at this path of ours, and not only a form's address."""
    router = current_app.create_url_adapter(request)
    assert router is not None
    inside = path.partition("?")[0].removeprefix(request.root_path)
    return router.test(inside, method="GET")


def _open(places: tuple[Place, ...]) -> list[Place]:
    account = account_or_none()
    return [
        place
        for place in places
        if place.endpoint in current_app.view_functions and account is not None and account.may(place.permission)
    ]


def _version() -> str:
    try:
        return version("pghaven")
    except PackageNotFoundError:
        return "0"


VERSION = _version()


def install(app: Flask) -> None:
    app.context_processor(_context)


def _context() -> dict[str, Any]:
    return {"nav": Navigation(), "account": account_or_none(), "htmx_config": HTMX_CONFIG}
