"""What one database needs, checked when its part of the page is shown: from the way to its server to its last proof."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence

from flask import render_template
from flask_babel import gettext
from markupsafe import Markup

from storage.backups import preflight
from storage.backups.protection import Protection, protection
from storage.backups.proven import last_proven, unproven
from storage.backups.record import BackupRecord
from storage.databases import testing
from storage.databases.profile import DatabaseProfile
from storage.databases.testing import ConnectionTest
from storage.errors import StorageError, say
from storage.postgres import programs
from webapp.current import storage, wants_fragment
from webapp.formats import age, moment, moment_text, size, size_text
from webapp.permissions import requires
from webapp.system.blueprint import bp
from webapp.system.check import Check

RIGHTS_SECONDS = 3


@bp.get("/system/databases/<name>")
@requires("see the system")
def database(name: str) -> str:
    """The checks of one database: the part that the System page asks for, or a page of its own without scripts."""
    profile = storage().profile(name)
    template = "system/_database.html" if wants_fragment() else "system/database.html"
    return render_template(template, profile=profile, checks=list(_checks(profile)))


def _checks(profile: DatabaseProfile) -> Iterator[Check]:
    catalog = storage().backups.catalog
    records = catalog.check_newest(catalog.find(database=profile.name))
    test = storage().databases.test(profile.connection)
    yield _reached(test)
    if test.server_version:
        yield from _programs_and_rights(profile, test)
    yield _space(profile, records)
    yield _good(profile, records)
    yield _proven(records)
    yield _schedule(profile)


def _reached(test: ConnectionTest) -> Check:
    if not test.server_version:
        return Check("failed", test.message, "", test.advice)
    return Check("complete", say("Its server answers"), f"PostgreSQL {test.server_version}")


def _programs_and_rights(profile: DatabaseProfile, test: ConnectionTest) -> Iterator[Check]:
    found = programs.for_dump(storage().programs(), int(re.split(r"\D", test.server_version, maxsplit=1)[0]))
    if found is None:
        yield Check("failed", test.message, "", test.advice)
        return
    try:
        seen = testing.look(profile.connection, RIGHTS_SECONDS)
    except StorageError as error:
        yield Check("warning", say("Its server did not say which tables may be read"), "", error.cause)
        return
    all_readable = seen.readable == seen.tables
    other = test.advice if all_readable else None  # the test of a connection gives the one advice that comes first
    program = f"pg_dump {found.version}"
    yield Check("warning" if other else "complete", say("There are programs for its version"), program, other)
    readable = f"{seen.readable} / {seen.tables}"
    if all_readable:
        yield Check("complete", say("Its role may read every table"), readable)
    else:
        yield Check("failed", say("Its role may not read every table"), readable, test.advice)


def _space(profile: DatabaseProfile, records: Sequence[BackupRecord]) -> Check:
    last = next((record.bytes for record in records if record.good and record.ours), None)
    needed = preflight.space_needed(
        database_size=storage().statuses.of(profile).size_bytes or 0,
        last_archive=last,
        reserve=storage().settings.space_reserve,
    )
    free = shutil.disk_usage(storage().settings.data_folder).free
    detail = Markup("{} / {}").format(size(needed), size_text(free))
    if free < needed:
        advice = say("Make room, or point BACKUP_STORAGE_PATH at a larger disk.")
        return Check("failed", say("The next backup does not fit on the disk"), detail, advice)
    return Check("complete", say("The next backup fits on the disk"), detail)


def _good(profile: DatabaseProfile, records: Sequence[BackupRecord]) -> Check:
    standing = protection(
        profile.name,
        records,
        storage().jobs.active(profile.name),
        now=storage().clock(),
        late_after=storage().schedules.late_after(profile.name),
    )
    ago = gettext("%(age)s ago", age=age(standing.age)) if standing.age is not None else ""
    match standing.state:
        case Protection.PROTECTED:
            return Check("complete", say("The last good backup is young enough"), ago)
        case Protection.FIRST:
            return Check("running", say("The first backup is being taken"))
        case Protection.NEVER:
            return Check("failed", say("There is no good backup yet"), "", say("Back it up now."))
        case Protection.LATE:
            return Check("warning", say("The last good backup is too old"), ago)
        case Protection.FAILING:
            return Check("failed", say("The last backup failed"), ago)
        case Protection.DAMAGED:
            return Check("damaged", say("The newest backup is damaged or gone"), ago)


def _proven(records: Sequence[BackupRecord]) -> Check:
    if unproven(records):
        return Check("failed", say("The last proof of a backup did not come off"), "",
                     say("Look at the backup that was tried, and prove it again."))  # fmt: skip
    proven = last_proven(records)
    if proven is None or proven.proof is None:
        return Check("waiting", say("No backup was proven yet"))
    return Check("complete", say("A backup was proven"), gettext("%(age)s ago", age=age(proven.proof.at)))


def _schedule(profile: DatabaseProfile) -> Check:
    schedule = storage().schedules.of(profile.name)
    if schedule.paused(storage().clock()):
        until = moment_text(schedule.paused_until)
        return Check("warning", say("Its schedule is paused"), gettext("until %(time)s", time=until))
    run = storage().schedules.next_run(profile.name)
    if run is None:
        return Check("warning", say("Nothing backs it up by itself"), "", say("Change its schedule."))
    return Check("complete", say("It is backed up by itself"), moment(run.at))
