"""Checks of what lies around the backups: where copies go, who is told, whether the audit log is as it was written."""

from __future__ import annotations

from flask_babel import gettext, ngettext

from storage.errors import say, say_count
from webapp.board import uncopied, unreached
from webapp.current import storage
from webapp.formats import age, number
from webapp.system.check import Check


def destinations() -> Check:
    found = storage().destinations.all()
    if not found:
        return Check(
            "warning",
            say("Every backup is on this machine alone"),
            "",
            say("Add a destination on another disk or elsewhere: then the backups outlive this machine."),
        )
    records = sorted(storage().backups.catalog.all(), key=lambda record: record.started_at)
    newest = {record.database: record for record in records if record.archive}
    if lacking := uncopied(found, newest.values()):
        names = ", ".join(f"{one.destination} ({', '.join(one.databases)})" for one in lacking)
        return Check("failed", say("Copies do not arrive"), names, say("Look at the destinations; copying goes on."))
    names = ", ".join(destination.name for destination in found)
    return Check("complete", say("Backups are copied to other places"), names)


def alerts() -> Check:
    targets = storage().alerts.book().targets
    if not targets:
        return Check(
            "warning", say("Nobody is told about failures yet."), "", say("Add an alert target, and send it a test.")
        )
    if missed := unreached(storage()):
        return Check(
            "failed", say("Alerts do not arrive"), ", ".join(missed), say("Look at the alerts, and send a test.")
        )
    named = ", ".join(target.name for target in targets)
    return Check("complete", say("Somebody is told when something fails"), named)


def audit() -> Check:
    log = storage().audit
    at, verdict = log.looked or log.look()
    ago = gettext("%(age)s ago", age=age(at))
    if not verdict.good:
        return Check(
            "failed",
            say_count(
                "The audit log is not as it was written, at %(count)s place",
                "The audit log is not as it was written, at %(count)s places",
                count=verdict.count,
            ),
            ago,
            say("Verify it on its page, which names the places; look who could write its files."),
        )
    lines = ngettext("%(lines)s line", "%(lines)s lines", verdict.lines, lines=number(verdict.lines))
    return Check("complete", say("The audit log is as it was written"), gettext(", ").join((lines, ago)))
