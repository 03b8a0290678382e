"""Making the plan of a restore: every check, from facts alone. Nothing is asked and nothing is changed here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from storage.backups.record import BackupRecord
from storage.databases.profile import DatabaseProfile
from storage.errors import Message, StorageError, say, say_count
from storage.postgres.archive import Archive
from storage.postgres.programs import Installation, for_restore
from storage.postgres.quoting import quoted
from storage.restores import names, selection, sessions
from storage.restores.facts import ServerFacts, plain_locale
from storage.restores.plan import Check, Light, RestorePlan, TableChange
from storage.restores.request import Mode, Part, RestoreRequest
from storage.restores.rows import RowsFacts
from storage.restores.rows_checks import check as rows_checks
from storage.restores.selection import Selection
from storage.restores.snapshot import SnapshotFacts
from storage.restores.snapshot import check as snapshot_check

_SPACE_FACTOR = 1.2
"""A fresh database is smaller than the one that was dumped; sorting for its indexes needs room beside it."""


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
    deciding = _Deciding(request, backup, archive, facts, tuple(installations))
    plan = deciding.rows_plan(profile, rows) if request.mode is Mode.TABLES else deciding.plan(profile, now)
    if isinstance(archive, Archive):
        chosen = selection.of(request, backup=backup, archive=archive, logs=logs)
        noted_parts = _parts(request, chosen, after)
        plan = replace(
            plan,
            without=chosen.without,
            after=tuple(after) if request.mode in (Mode.NEW, Mode.REPLACE) else (),
            tables=_of_tables(_changes(chosen.expected, facts), chosen, request),
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


class _Deciding:
    """One look at the facts, check by check."""

    def __init__(
        self,
        request: RestoreRequest,
        backup: BackupRecord,
        archive: Archive | StorageError,
        facts: ServerFacts,
        installations: tuple[Installation, ...],
    ) -> None:
        self.request, self.backup, self.archive, self.facts = request, backup, archive, facts
        self.installations = installations
        self.restricted = not backup.ours and facts.superuser
        self.checks: list[Check] = []

    def plan(self, profile: DatabaseProfile, now: datetime) -> RestorePlan:
        facts, backup, target = self.facts, self.backup, self.facts.target
        replaces = self.request.mode is Mode.REPLACE
        like_target = target if replaces or self.request.mode is Mode.MERGE else None
        self._archive()
        self._origin()
        self._target()
        self._rights()
        space_needed = self._space()
        installation = self._versions()
        self._extensions()
        no_owner, no_privileges = self._roles()
        locale = self._locale()
        owner = facts.role
        wanted = target.owner if replaces and target else backup.source.owner
        if wanted in facts.acts_as and wanted in facts.roles:
            owner = wanted
        self._sessions()
        self._settings()
        self._merge()
        self._subscriptions()
        if backup.no_logs or any(table.left_out for table in backup.tables.values()):
            self._note("logs", Light.WARNING, say("The backup was taken without logs: the log tables will be empty."))
        return RestorePlan(
            request=self.request,
            backup=backup,
            database=profile.name,
            address=profile.connection.address,
            kept_as=names.kept(self.request.target, now, taken=facts.databases) if replaces else "",
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
            restricted=self.restricted,
            space_needed=space_needed,
            space_free=facts.free_bytes,
            server_version=facts.version,
            server_major=facts.major,
            sessions=target.sessions if replaces and target else (),
            tables=_changes(backup, facts),
            rows_known=facts.rows is not None,
            checks=tuple(self.checks),
        )

    def rows_plan(self, profile: DatabaseProfile, found: RowsFacts | None) -> RestorePlan:
        """The plan for rows that go into a database that is there: nothing of the database itself is made."""
        facts, backup = self.facts, self.backup
        self._archive()
        installation = self._versions()
        if facts.in_recovery or facts.target is None:
            self._target()
        if not backup.ours:
            self._bad(
                "origin",
                say("An uploaded archive has no manifest: its rows cannot be compared, and are not put into a database "
                    "that is there."),
                say("Restore it into a new database."),
            )  # fmt: skip
        if found is not None and isinstance(self.archive, Archive):
            self.checks.extend(rows_checks(self.request, backup, self.archive, found, role=facts.role))
        return RestorePlan(
            request=self.request,
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
            checks=tuple(self.checks),
        )

    def _note(self, code: str, state: Light, message: Message, advice: Message | None = None) -> None:
        self.checks.append(Check(code, state, message, advice))

    def _good(self, code: str, message: Message) -> None:
        self._note(code, Light.GOOD, message)

    def _bad(self, code: str, message: Message, advice: Message | None = None) -> None:
        self._note(code, Light.BAD, message, advice)

    def _archive(self) -> None:
        if isinstance(self.archive, StorageError):
            self._bad("archive", self.archive.cause, self.archive.advice)
            return
        verified = self.backup.verified
        if verified and verified.good:
            self._good("archive", say("The archive is intact: SHA-256 equal, read in full."))
        else:
            self._note(
                "archive", Light.WARNING, say("The archive was never read in full."), say("Verify the backup first.")
            )

    def _origin(self) -> None:
        if self.backup.ours:
            return
        if self.restricted:
            self._note(
                "origin",
                Light.WARNING,
                say("This archive was uploaded; pghaven did not make it. An archive can run anything: it is loaded by "
                    "a role of its own without special rights, and owners and grants are left out."),
                say("What it brings along (functions, triggers, views) works with the rights of whoever uses it "
                    "afterwards. Use it only if you know where it comes from."),
            )  # fmt: skip
        else:
            self._note(
                "origin",
                Light.WARNING,
                say("This archive was uploaded; pghaven did not make it. An archive can run anything that %(role)s may "
                    "do.", role=self.facts.role),
                say("Use it only if you know where it comes from."),
            )  # fmt: skip
        self._note(
            "manifest",
            Light.WARNING,
            say("There is no manifest to compare with: nobody counted the rows when it was dumped. They are counted "
                "after loading."),
        )  # fmt: skip

    def _target(self) -> None:
        facts, name = self.facts, self.request.target
        if facts.in_recovery:
            self._bad(
                "target",
                say("The server is a standby, which cannot be written."),
                say("Register its primary, and restore there."),
            )
        if self.request.mode is Mode.NEW:
            if name in facts.databases:
                self._bad(
                    "target",
                    say("There is a database %(name)s already.", name=name),
                    say("Choose another name, or replace that database."),
                )
            else:
                self._good("target", say("The new database will be %(name)s. Nothing is replaced.", name=name))
            return
        target = facts.target
        if target is None:
            self._bad(
                "target",
                say("There is no database %(name)s to replace.", name=name)
                if self.request.mode is Mode.REPLACE
                else say("There is no database %(name)s.", name=name),
                say("Restore into a new database of that name."),
            )
        elif self.request.mode is Mode.MERGE:
            self._good("target", say("%(name)s is there, and everything in it stays as it is.", name=name))
        elif target.is_template:
            self._bad("target", say("%(name)s is a template database, which is not replaced here.", name=name))
        else:
            self._good("target", say("%(name)s is there. It will be kept under another name.", name=name))

    def _rights(self) -> None:
        facts, target = self.facts, self.facts.target
        role = quoted(facts.role)
        if not (facts.superuser or facts.create_databases):
            self._bad(
                "rights",
                say("%(role)s may not create databases.", role=facts.role),
                say("On the server, as a superuser: ALTER ROLE %(role)s CREATEDB;", role=role),
            )
        elif self.request.mode is Mode.REPLACE and target and not (facts.superuser or target.may_own):
            self._bad(
                "rights",
                say("%(name)s belongs to %(owner)s; %(role)s may not rename it.",
                    name=self.request.target, owner=target.owner, role=facts.role),
                say("On the server, as a superuser: GRANT %(owner)s TO %(role)s;",
                    owner=quoted(target.owner), role=role),
            )  # fmt: skip
        else:
            self._good("rights", say("%(role)s may create databases.", role=facts.role))

    def _space(self) -> int:
        size = self.backup.source.size or sum(table.bytes for table in self.backup.tables.values()) * 2
        # A merge has the rows beside, on their way, and perhaps in the target.
        times = _SPACE_FACTOR * (3 if self.request.mode is Mode.MERGE else 1)
        needed, free = int(size * times), self.facts.free_bytes
        shown = {"needed_bytes": needed}
        if free is None:
            message = say("About %(needed_bytes)s are needed; how much is free on the server is not known.", **shown)
            self._note("space", Light.GOOD if needed < 1 << 30 else Light.WARNING, message)
        elif free < needed:
            self._bad(
                "space",
                say("About %(needed_bytes)s are needed on the server, %(free_bytes)s are free.",
                    free_bytes=free, **shown),
                say("Make room on the server's disk."),
            )  # fmt: skip
        else:
            self._good(
                "space", say("%(free_bytes)s free on the server, about %(needed_bytes)s needed.",
                             free_bytes=free, **shown),
            )  # fmt: skip
        return needed

    def _versions(self) -> Installation | None:
        if isinstance(self.archive, StorageError):
            return None
        header, major = self.archive.header, self.facts.major
        chosen = for_restore(self.installations, header.version, zstd=header.compression == "zstd", target_major=major)
        if chosen is None:
            self._no_program(header.client_needed, major)
            return None
        shown = {
            "source": _short(header.server_version),
            "server": _short(self.facts.version),
            "client": chosen.version,
        }
        if header.server_major > major:
            self._note(
                "versions",
                Light.WARNING,
                say("The backup is of PostgreSQL %(source)s, the server is %(server)s, which is older.", **shown),
                say("What the older one does not know makes the restore fail; nothing is changed then."),
            )
        else:
            self._good("versions", say("%(source)s into %(server)s, with pg_restore %(client)s.", **shown))
        return chosen

    def _no_program(self, client: int, server: int) -> None:
        if client > 16 and server <= 16:
            self._bad(
                "versions",
                say("The archive was made by pg_dump %(client)s or newer, which no pg_restore brings into a server of "
                    "version %(server)s.", client=client, server=server),
                say("Restore it on a server of version %(client)s or newer.", client=client),
            )  # fmt: skip
            return
        major = max(client, 14)
        self._bad(
            "versions",
            say("The archive needs pg_restore %(client)s or newer, which is not here.", client=client),
            say("Install it with: pghaven tools install %(major)s", major=major),
        )

    def _extensions(self) -> None:
        wanted, facts = [name for name, _ in self.backup.source.extensions], self.facts
        if isinstance(self.archive, Archive):
            listed = [entry.name for entry in self.archive.entries if entry.kind == "EXTENSION"]
            wanted = list(dict.fromkeys([*wanted, *listed]))
        missing = [name for name in wanted if name not in facts.extensions and name != "plpgsql"]
        if missing:
            self._bad(
                "extensions",
                say("The server does not have: %(names)s.", names=", ".join(missing)),
                say("Install the packages of these extensions on the server."),
            )
            return
        forbidden = [
            name
            for name in wanted
            if (not facts.superuser or self.restricted)
            and name in facts.extensions
            and facts.extensions[name].superuser
            and not facts.extensions[name].trusted
        ]
        if forbidden and not self.restricted:
            self._bad(
                "extensions",
                say("%(role)s may not create these extensions: %(names)s.",
                    role=facts.role, names=", ".join(forbidden)),
                say("Restore as a superuser."),
            )  # fmt: skip
        elif forbidden and self.restricted:
            self._bad(
                "extensions",
                say("An uploaded archive may not create these extensions: %(names)s.", names=", ".join(forbidden)),
                say("If you trust it, restore it by hand with pg_restore, and take a backup of that."),
            )
        elif wanted:
            self._good("extensions", say("Extensions are there: %(names)s.", names=", ".join(wanted)))
        else:
            self._good("extensions", say("No extensions are needed."))

    def _roles(self) -> tuple[bool, bool]:
        """(no_owner, no_privileges), with the check that says why."""
        facts = self.facts
        entries = self.archive.entries if isinstance(self.archive, Archive) else ()
        owners = {entry.owner for entry in entries if entry.owner}
        wanted = {name for name in (*self.backup.source.roles, *owners) if name not in _ALWAYS}
        missing = sorted(wanted - facts.roles)
        granted = [entry.definition for entry in entries if entry.kind in ("ACL", "DEFAULT ACL")]
        in_policies = [entry.definition for entry in entries if entry.kind == "POLICY"]
        no_privileges = any(_names(role, text) for role in missing for text in granted)
        no_owner = not owners - set(_ALWAYS) <= facts.acts_as
        if stuck := [role for role in missing if any(_names(role, text) for text in in_policies)]:
            self._bad(
                "roles",
                say("Row security policies name roles that the server does not have: %(names)s.",
                    names=", ".join(stuck)),
                say("Create them: CREATE ROLE %(name)s;", name=quoted(stuck[0])),
            )  # fmt: skip
        elif self.restricted:
            return True, True
        elif missing:
            self._note(
                "roles",
                Light.WARNING,
                say("The server does not have these roles: %(names)s. What belonged to them will belong to %(role)s, "
                    "and what was granted is left out.", names=", ".join(missing), role=facts.role),
                say("Create them first, to keep owners and grants: CREATE ROLE %(name)s;", name=quoted(missing[0])),
            )  # fmt: skip
        elif no_owner:
            others = sorted(owners - facts.acts_as)
            self._note(
                "roles",
                Light.WARNING,
                say("%(role)s may not give things to %(names)s: everything will belong to %(role)s, and an application "
                    "that signs in as another role may lose rights.", role=facts.role, names=", ".join(others)),
                say("To keep owners, as a superuser: GRANT %(name)s TO %(role)s; where %(name)s is a superuser, rather "
                    "change the owner of its few things (ALTER … OWNER TO) and take a new backup.",
                    name=quoted(others[0]), role=quoted(facts.role)),
            )  # fmt: skip
        else:
            self._good("roles", _roles_are_there(len(wanted)))
        return no_owner, no_privileges

    def _locale(self) -> tuple[str, str, str, str]:
        facts, source = self.facts, self.backup.source
        if self.request.mode in (Mode.REPLACE, Mode.MERGE) and facts.target:
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
        self._note(
            "locale",
            Light.WARNING,
            say("The server does not have the locale %(name)s; its own is used, and text may sort differently.",
                name=(absent or [locale])[0]),
        )  # fmt: skip
        return "", "", "", ""

    def _sessions(self) -> None:
        target, name = self.facts.target, self.request.target
        if self.request.mode is Mode.REPLACE and target is not None:
            self.checks.extend(sessions.check(target, name=name, role=self.facts.role))

    def _settings(self) -> None:
        target, role = self.facts.target, self.facts.role
        if self.request.mode is not Mode.REPLACE or target is None or not target.forbidden_settings:
            return
        names, first = ", ".join(target.forbidden_settings), target.forbidden_settings[0]
        self._bad(
            "settings",
            say("%(database)s has settings of its own that %(role)s may give to no database: %(names)s.",
                database=self.request.target, role=role, names=names),
            say("On the server, as a superuser: GRANT SET ON PARAMETER %(names)s TO %(role)s;",
                names=names, role=quoted(role))
            if self.facts.major >= 15
            else say("Connect as a superuser, or take them off: ALTER DATABASE %(database)s RESET %(name)s;",
                     database=quoted(self.request.target), name=first),
        )  # fmt: skip

    def _merge(self) -> None:
        if self.request.mode is not Mode.MERGE:
            return
        self._good(
            "merge",
            say("Tables that are missing are created; in the others, rows are added whose primary key is missing. "
                "Tables without a primary key get rows only when they are empty."),
        )  # fmt: skip
        self._note(
            "keys",
            Light.WARNING,
            say("A row counts as the same when its primary key is the same. If both sides have given the same numbers "
                "to different things since, what refers to them gets mixed up."),
            say("Merge an archive of the same database, or restore it into a new one."),
        )  # fmt: skip
        self._note(
            "waiting",
            Light.WARNING,
            say("Other sessions can read all the time; those that write to these tables wait while rows are added."),
        )

    def _subscriptions(self) -> None:
        if isinstance(self.archive, StorageError):
            return
        if listed := [entry.name for entry in self.archive.entries if entry.kind == "SUBSCRIPTION"]:
            self._note(
                "subscriptions",
                Light.WARNING,
                say("The subscriptions %(names)s are left out: the restored database takes no changes from elsewhere.",
                    names=", ".join(listed)),
                say("Make them again afterwards, with CREATE SUBSCRIPTION."),
            )  # fmt: skip


def _roles_are_there(count: int) -> Message:
    if count == 0:
        return say("No roles are needed; owners and grants are kept.")
    return say_count(
        "%(count)s role is there; owners and grants are kept.",
        "All %(count)s roles are there; owners and grants are kept.",
        count=count,
    )


_ALWAYS = ("pg_database_owner", "")
"""Roles that every server has, or none."""


def _changes(backup: BackupRecord, facts: ServerFacts) -> tuple[TableChange, ...]:
    now = facts.rows or {}
    changes = []
    uncounted = frozenset(backup.brought.tables if backup.brought else ())
    for name in backup.tables.keys() | now.keys() | uncounted:
        kept, present = backup.tables.get(name), now.get(name)
        changes.append(
            TableChange(
                name=name,
                now=present.rows if present else None,
                exact=present.exact if present else True,
                backup=kept.rows if kept else None,
                left_out=kept.left_out if kept else False,
                uncounted=name in uncounted,
            )
        )
    return tuple(sorted(changes, key=lambda change: (-_size(change), change.name)))


def _of_tables(changes: tuple[TableChange, ...], chosen: Selection, request: RestoreRequest) -> tuple[TableChange, ...]:
    """For a restore of rows, the chosen tables alone."""
    if request.mode is not Mode.TABLES:
        return changes
    return tuple(change for change in changes if change.name in chosen.expected.tables)


def _size(change: TableChange) -> int:
    if not change.differs:
        return -1
    return abs((change.backup or 0) - (change.now or 0))


def _names(role: str, definition: str) -> bool:
    return (
        quoted(role) in definition
        or f" {role};" in definition
        or f" {role} " in definition
        or f" {role}," in definition
    )


def _short(version: str) -> str:
    return version.split(" ")[0]
