"""Making the plan of a restore: every check, from facts alone. Nothing is asked and nothing is changed here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from storage.backups.record import BackupRecord
from storage.databases.profile import DatabaseProfile
from storage.errors import StorageError, say
from storage.postgres.archive import Archive
from storage.postgres.programs import Installation
from storage.restores import (
    archive_checks,
    names,
    roles_checks,
    rows_checks,
    selection,
    table_changes,
    target_checks,
)
from storage.restores.facts import ServerFacts
from storage.restores.looked import Looked
from storage.restores.plan import Check, Light, RestorePlan
from storage.restores.request import Mode, Part, RestoreRequest
from storage.restores.rows import RowsFacts
from storage.restores.selection import Selection
from storage.restores.snapshot import SnapshotFacts
from storage.restores.snapshot import check as snapshot_check


def decide(
    request: RestoreRequest,
    *,
    backup: BackupRecord,
    archive: Archive | StorageError,
    profile: DatabaseProfile,
    facts: ServerFacts,
    installations: Sequence[Installation],
    now: datetime,
    snapshot: SnapshotFacts | None = None,
    logs: Collection[str] = (),
    rows: RowsFacts | None = None,
    after: Sequence[str] = (),
) -> RestorePlan:
    """The plan of a request whose target is filled in (`with_target`). `archive` may be the refusal to read it."""
    looked = Looked(request, backup, archive, facts, tuple(installations))
    plan = _rows_plan(looked, profile, rows) if request.mode is Mode.TABLES else _plan(looked, profile, now)
    if isinstance(archive, Archive):
        chosen = selection.of(request, backup=backup, archive=archive, logs=logs)
        noted_parts = _parts(request, chosen, after)
        plan = replace(
            plan,
            without=chosen.without,
            after=tuple(after) if request.mode in (Mode.NEW, Mode.REPLACE) else (),
            tables=table_changes.of_tables(table_changes.changes(chosen.expected, facts), chosen, request),
            checks=(*plan.checks, *noted_parts),
        )
    if snapshot is not None:
        noted = snapshot_check(snapshot, target=plan.target)
        plan = replace(plan, checks=(*plan.checks, noted), snapshot_needed=snapshot.needed)
    return plan


def with_target(
    request: RestoreRequest, *, backup: BackupRecord, dbname: str, databases: Sequence[str]
) -> RestoreRequest:
    """The request with the name of its target: proposed for a new one, the registered database for a replacement."""
    if request.target:
        return request
    target = dbname
    if request.mode is Mode.NEW:
        target = names.proposed(backup.source.database or dbname, backup.started_at, taken=databases)
    return request.with_(target=target)


def _parts(request: RestoreRequest, chosen: Selection, after: Sequence[str]) -> list[Check]:
    """What the plan says of a part that is left out, and of what is run afterwards."""
    checks: list[Check] = []
    if request.mode is Mode.TABLES:
        return checks
    if request.part is Part.SCHEMA:
        checks.append(Check("part", Light.WARNING, say("The schema alone is restored: every table will be empty.")))
    elif chosen.without:
        names_of = ", ".join(name.removeprefix("public.") for name in chosen.without)
        checks.append(
            Check("part", Light.WARNING, say("Log tables come without their rows: %(names)s.", names=names_of))
        )
    elif request.no_logs:
        checks.append(Check("part", Light.GOOD, say("No log tables are known in this backup: all of it is restored.")))
    if after and request.mode is not Mode.MERGE:
        checks.append(
            Check(
                "after",
                Light.GOOD,
                say("Before it gets its name, the application's command is run on it: %(command)s",
                    command=" ".join(after)),
                say("When that fails, nothing is changed."),
            )
        )  # fmt: skip
    return checks


def _plan(at: Looked, profile: DatabaseProfile, now: datetime) -> RestorePlan:
    facts, backup, target = at.facts, at.backup, at.facts.target
    replaces = at.request.mode is Mode.REPLACE
    like_target = target if replaces or at.request.mode is Mode.MERGE else None
    archive_checks.intact(at)
    archive_checks.origin(at)
    target_checks.target(at)
    target_checks.rights(at)
    space_needed = target_checks.space(at)
    installation = archive_checks.versions(at)
    archive_checks.extensions(at)
    no_owner, no_privileges = roles_checks.check(at)
    locale = target_checks.locale(at)
    owner = facts.role
    wanted = target.owner if replaces and target else backup.source.owner
    if wanted in facts.acts_as and wanted in facts.roles:
        owner = wanted
    target_checks.connected(at)
    target_checks.settings(at)
    target_checks.merge(at)
    archive_checks.subscriptions(at)
    if backup.no_logs or any(table.left_out for table in backup.tables.values()):
        at.note("logs", Light.WARNING, say("The backup was taken without logs: the log tables will be empty."))
    return RestorePlan(
        request=at.request,
        backup=backup,
        database=profile.name,
        address=profile.connection.address,
        kept_as=names.kept(at.request.target, now, taken=facts.databases) if replaces else "",
        installation=installation,
        owner=owner,
        encoding=like_target.encoding if like_target else backup.source.encoding,
        collate=locale[0],
        ctype=locale[1],
        locale_provider=locale[2],
        locale=locale[3],
        rules=like_target.rules if like_target else "",
        tablespace=like_target.tablespace if like_target else "",
        no_owner=no_owner,
        no_privileges=no_privileges,
        restricted=at.restricted,
        space_needed=space_needed,
        space_free=facts.free_bytes,
        server_version=facts.version,
        server_major=facts.major,
        sessions=target.sessions if replaces and target else (),
        tables=table_changes.changes(backup, facts),
        rows_known=facts.rows is not None,
        checks=tuple(at.checks),
    )


def _rows_plan(at: Looked, profile: DatabaseProfile, found: RowsFacts | None) -> RestorePlan:
    """The plan for rows that go into a database that is there: nothing of the database itself is made."""
    facts, backup = at.facts, at.backup
    archive_checks.intact(at)
    installation = archive_checks.versions(at)
    if facts.in_recovery or facts.target is None:
        target_checks.target(at)
    if not backup.ours:
        at.bad(
            "origin",
            say("An uploaded archive has no manifest: its rows cannot be compared, and are not put into a database "
                "that is there."),
            say("Restore it into a new database."),
        )  # fmt: skip
    if found is not None and isinstance(at.archive, Archive):
        at.checks.extend(rows_checks.check(at.request, backup, at.archive, found, role=facts.role))
    return RestorePlan(
        request=at.request,
        backup=backup,
        database=profile.name,
        address=profile.connection.address,
        kept_as="",
        installation=installation,
        owner="",
        encoding="",
        collate="",
        ctype="",
        locale_provider="",
        locale="",
        rules="",
        tablespace="",
        no_owner=False,
        no_privileges=False,
        space_needed=0,
        space_free=facts.free_bytes,
        server_version=facts.version,
        server_major=facts.major,
        sessions=(),
        tables=(),
        rows_known=facts.rows is not None,
        checks=tuple(at.checks),
    )
