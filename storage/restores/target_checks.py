"""The checks of a plan that look at the target: its name, the rights and the room for it, its locale, who is connected.
They note what they find, and ask nobody."""

from __future__ import annotations

from storage.errors import say
from storage.postgres.quoting import quoted
from storage.restores import sessions
from storage.restores.facts import plain_locale
from storage.restores.looked import Looked
from storage.restores.plan import Light
from storage.restores.request import Mode

_SPACE_FACTOR = 1.2
"""A fresh database is smaller than the one that was dumped; sorting for its indexes needs room beside it."""


def target(at: Looked) -> None:
    facts, name = at.facts, at.request.target
    if facts.in_recovery:
        at.bad(
            "target",
            say("The server is a standby, which cannot be written."),
            say("Register its primary, and restore there."),
        )
    if at.request.mode is Mode.NEW:
        if name in facts.databases:
            at.bad(
                "target",
                say("There is a database %(name)s already.", name=name),
                say("Choose another name, or replace that database."),
            )
        else:
            at.good("target", say("The new database will be %(name)s. Nothing is replaced.", name=name))
        return
    target = facts.target
    if target is None:
        at.bad(
            "target",
            say("There is no database %(name)s to replace.", name=name)
            if at.request.mode is Mode.REPLACE
            else say("There is no database %(name)s.", name=name),
            say("Restore into a new database of that name."),
        )
    elif at.request.mode is Mode.MERGE:
        at.good("target", say("%(name)s is there, and everything in it stays as it is.", name=name))
    elif target.is_template:
        at.bad("target", say("%(name)s is a template database, which is not replaced here.", name=name))
    else:
        at.good("target", say("%(name)s is there. It will be kept under another name.", name=name))


def rights(at: Looked) -> None:
    facts, target = at.facts, at.facts.target
    role = quoted(facts.role)
    if not (facts.superuser or facts.create_databases):
        at.bad(
            "rights",
            say("%(role)s may not create databases.", role=facts.role),
            say("On the server, as a superuser: ALTER ROLE %(role)s CREATEDB;", role=role),
        )
    elif at.request.mode is Mode.REPLACE and target and not (facts.superuser or target.may_own):
        at.bad(
            "rights",
            say("%(name)s belongs to %(owner)s; %(role)s may not rename it.",
                name=at.request.target, owner=target.owner, role=facts.role),
            say("On the server, as a superuser: GRANT %(owner)s TO %(role)s;",
                owner=quoted(target.owner), role=role),
        )  # fmt: skip
    else:
        at.good("rights", say("%(role)s may create databases.", role=facts.role))


def space(at: Looked) -> int:
    size = at.backup.source.size or sum(table.bytes for table in at.backup.tables.values()) * 2
    # A merge has the rows beside, on their way, and perhaps in the target.
    times = _SPACE_FACTOR * (3 if at.request.mode is Mode.MERGE else 1)
    needed, free = int(size * times), at.facts.free_bytes
    shown = {"needed_bytes": needed}
    if free is None:
        message = say("About %(needed_bytes)s are needed; how much is free on the server is not known.", **shown)
        at.note("space", Light.GOOD if needed < 1 << 30 else Light.WARNING, message)
    elif free < needed:
        at.bad(
            "space",
            say("About %(needed_bytes)s are needed on the server, %(free_bytes)s are free.",
                free_bytes=free, **shown),
            say("Make room on the server's disk."),
        )  # fmt: skip
    else:
        at.good(
            "space", say("%(free_bytes)s free on the server, about %(needed_bytes)s needed.",
                         free_bytes=free, **shown),
        )  # fmt: skip
    return needed


def locale(at: Looked) -> tuple[str, str, str, str]:
    facts, source = at.facts, at.backup.source
    if at.request.mode in (Mode.REPLACE, Mode.MERGE) and facts.target:
        target = facts.target
        return target.collate, target.ctype, target.locale_provider, target.locale
    provider, locale = source.locale_provider, source.locale
    known = {"c", "posix", *facts.collations}
    if not source.collate:  # an archive by itself does not say it
        return "", "", "", ""
    absent = [name for name in (source.collate, source.ctype) if plain_locale(name) not in known]
    too_new = (provider == "i" and facts.major < 15) or (provider == "b" and facts.major < 17)
    if not absent and not too_new:
        return source.collate, source.ctype, provider, locale
    at.note(
        "locale",
        Light.WARNING,
        say("The server does not have the locale %(name)s; its own is used, and text may sort differently.",
            name=(absent or [locale])[0]),
    )  # fmt: skip
    return "", "", "", ""


def connected(at: Looked) -> None:
    target, name = at.facts.target, at.request.target
    if at.request.mode is Mode.REPLACE and target is not None:
        at.checks.extend(sessions.check(target, name=name, role=at.facts.role))


def settings(at: Looked) -> None:
    target, role = at.facts.target, at.facts.role
    if at.request.mode is not Mode.REPLACE or target is None or not target.forbidden_settings:
        return
    names, first = ", ".join(target.forbidden_settings), target.forbidden_settings[0]
    at.bad(
        "settings",
        say("%(database)s has settings of its own that %(role)s may give to no database: %(names)s.",
            database=at.request.target, role=role, names=names),
        say("On the server, as a superuser: GRANT SET ON PARAMETER %(names)s TO %(role)s;",
            names=names, role=quoted(role))
        if at.facts.major >= 15
        else say("Connect as a superuser, or take them off: ALTER DATABASE %(database)s RESET %(name)s;",
                 database=quoted(at.request.target), name=first),
    )  # fmt: skip


def merge(at: Looked) -> None:
    if at.request.mode is not Mode.MERGE:
        return
    at.good(
        "merge",
        say("Tables that are missing are created; in the others, rows are added whose primary key is missing. "
            "Tables without a primary key get rows only when they are empty."),
    )  # fmt: skip
    at.note(
        "keys",
        Light.WARNING,
        say("A row counts as the same when its primary key is the same. If both sides have given the same numbers "
            "to different things since, what refers to them gets mixed up."),
        say("Merge an archive of the same database, or restore it into a new one."),
    )  # fmt: skip
    at.note(
        "waiting",
        Light.WARNING,
        say("Other sessions can read all the time; those that write to these tables wait while rows are added."),
    )
