"""Reads what is asked to be restored, from an address or a form, strictly and once."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from storage.errors import Invalid, Message, say
from storage.restores.request import Mode, Part, RestoreRequest

WHAT = ("all", "no_logs", "schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that can be planned, and what of the form could not be used for it."""

    request: RestoreRequest
    typed_name: str = ""
    """The name for a new database as it was typed."""
    refused_name: Invalid | None = None
    plan: str = ""
    """The digest of the plan that was shown."""
    typed: str = ""
    """What was typed to confirm."""
    all_tables: bool = False
    what: str = "all"
    """all, no_logs or schema."""

    @property
    def refusal(self) -> Message | None:
        return self.refused_name.cause if self.refused_name else None


def read(values: MultiDict[str, str]) -> Asked:
    """Raises Invalid when no backup or an unknown mode is named. A name that cannot be one is told at its field, and
    the plan is made with a proposed one."""
    backup_id = (values.get("backup") or values.get("backup_id") or "").strip()
    if not backup_id:
        raise Invalid(say("No backup was named."), advice=say("Choose one from the list of backups."))
    try:
        mode = Mode(values.get("mode") or Mode.NEW)
    except ValueError:
        raise Invalid(
            say("“%(mode)s” is not a way to restore.", mode=values.get("mode", "")[:40]),
            advice=say("Choose a new database, or replacing the present one."),
        ) from None
    if mode is Mode.UNDO:
        raise Invalid(
            say("“%(mode)s” is not a way to restore.", mode=mode.value),
            advice=say("Choose a new database, or replacing the present one."),
        )
    what = values.get("what") or "all"
    if what not in WHAT:
        raise Invalid(say("“%(what)s” is not a part of a backup.", what=what[:40]))
    if mode is Mode.TABLES or (mode is Mode.MERGE and what == "schema"):
        what = "all"
    chosen = RestoreRequest(
        backup_id=backup_id,
        mode=mode,
        on=values.get("on", "").strip(),
        part=Part.SCHEMA if what == "schema" else Part.ALL,
        no_logs=what == "no_logs",
        tables=tuple(values.getlist("table")) if mode is Mode.TABLES else (),
    )
    name = values.get("into", "").strip() if mode is Mode.NEW else ""
    refused = None
    try:
        request = chosen.with_(target=name)
    except Invalid as error:
        request, refused = chosen, error
    return Asked(
        request=request,
        typed_name=name,
        refused_name=refused,
        plan=values.get("plan", ""),
        typed=values.get("typed", "").strip(),
        what=what,
        all_tables=values.get("tables") == "all",
    )
