"""What this instance runs on. Reads only."""

from __future__ import annotations

import os
import platform
import pwd
import shutil
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

from flask import render_template
from flask_babel import gettext
from markupsafe import Markup

from storage.errors import Message, StorageError, say
from storage.postgres import programs
from storage.secret import Secret
from webapp.current import storage
from webapp.formats import age, size, size_text
from webapp.permissions import requires
from webapp.system import outward
from webapp.system.blueprint import bp
from webapp.system.check import Check

LATE_HEARTBEAT = timedelta(minutes=2)
LITTLE_SPACE = 0.05


@dataclass(frozen=True, slots=True)
class Folder:
    what: Message
    path: Path
    owner: str
    free: int | None


@bp.get("/system")
@requires("see the system")
def show() -> str:
    open_storage = storage()
    settings, places = open_storage.settings, open_storage.places
    embedded = open_storage.embedded
    checks = [_programs(), _broken(), _space(settings.data_folder), _scheduler(), _embedded(), _redis()]
    checks += [outward.destinations(), outward.alerts(), outward.audit()]
    return render_template(
        "system/show.html",
        checks=[check for check in checks if check],
        installations=sorted(open_storage.programs(), key=lambda one: (-one.major, str(one.folder))),
        broken=programs.find_broken(settings.pg_bin_dirs, places.tools),
        folders=[
            _folder(say("Data: records and archives"), settings.data_folder),
            _folder(say("Programs that pghaven installed"), places.tools),
            _folder(say("The embedded server's data"), places.embedded),
        ],
        embedded=embedded.describe() if embedded else None,
        databases=[profile.name for profile in open_storage.databases.all()],
        settings=_settings(),
        python=platform.python_version(),
        system=platform.platform(),
        process=os.getpid(),
        user=_user(os.geteuid()),
    )


def _programs() -> Check:
    found = storage().programs()
    if not found:
        return Check(
            "failed",
            say("There are no PostgreSQL programs: no backup can be taken."),
            advice=say("Run: pghaven tools install 18"),
        )
    majors = ", ".join(str(major) for major in sorted({one.major for one in found}, reverse=True))
    # Not a thing that needs somebody: pghaven works without.
    better = None if any(one.zstd for one in found) else say("For smaller, faster backups: pghaven tools install 16")
    return Check("complete", say("PostgreSQL programs are there"), majors, better)


def _broken() -> Check | None:
    broken = programs.find_broken(storage().settings.pg_bin_dirs, storage().places.tools)
    if not broken:
        return None
    return Check("warning", say("Some PostgreSQL programs cannot be used; see below."), str(len(broken)))


def _space(folder: Path) -> Check:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Check("failed", say("The data folder cannot be reached."), error.strerror or "")
    left = Markup("{} / {}").format(size(usage.free), size_text(usage.total))
    if usage.free < usage.total * LITTLE_SPACE:
        return Check(
            "warning",
            say("Little room is left for archives"),
            left,
            say("Make room, or name another folder in BACKUP_STORAGE_PATH."),
        )
    return Check("complete", say("There is room for archives"), left)


def _scheduler() -> Check:
    heartbeat = storage().ticker.heartbeat
    if heartbeat is None or storage().clock() - heartbeat > LATE_HEARTBEAT:
        return Check(
            "failed",
            say("Nothing looks at the archives by itself: a damaged one is not noticed."),
            age(heartbeat),
            say("Start pghaven again."),
        )
    return Check("complete", say("The archives are looked at every minute"), gettext("%(age)s ago", age=age(heartbeat)))


def _embedded() -> Check | None:
    trouble: StorageError | None = storage().embedded_trouble
    if trouble is not None:
        return Check("failed", trouble.cause, "", trouble.advice)
    embedded = storage().embedded
    if embedded is None or not embedded.describe().running:
        return None
    return Check("complete", say("The embedded server runs"), f"PostgreSQL {embedded.describe().version}")


def _redis() -> Check | None:
    redis = storage().redis
    if redis is None:
        return None
    if redis.trouble:
        return Check(
            "warning",
            say("Redis cannot be reached"),
            "",
            say("Backups and restores go on, and are guarded against each other on this machine only."),
        )
    return Check("complete", say("Redis guards jobs against those of other instances"))


def _folder(what: Message, path: Path) -> Folder:
    present = next((part for part in (path, *path.parents) if part.exists()), Path("/"))
    try:
        return Folder(what, path, _user(present.stat().st_uid), shutil.disk_usage(present).free)
    except OSError:
        return Folder(what, path, "", None)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


_VARIABLES = {
    "data_folder": "BACKUP_STORAGE_PATH",
    "private_folder": "PGHAVEN_PRIVATE_FOLDER",
    "time_zone": "TIMEZONE",
    "space_reserve": "SPACE_RESERVE_MB",
    "session_idle_seconds": "SESSION_IDLE_MINUTES",
    "upload_limit": "UPLOAD_LIMIT_MB",
}
"""The settings whose variable has another name than they have."""
_UNITS = {"space_reserve": 1024 * 1024, "upload_limit": 1024 * 1024, "session_idle_seconds": 60}
"""What one of the variable's unit is in the setting's."""


def _settings() -> list[tuple[str, str]]:
    """Every setting as the environment sets it; a secret shows only whether there is one."""
    settings = storage().settings
    names = _VARIABLES | {"database_url": settings.database_variable or "DATABASE_URL"}
    return [
        (names.get(field.name, field.name.upper()), _shown(_in_unit(field.name, getattr(settings, field.name))))
        for field in fields(settings)
        if field.name != "database_variable"
    ]


def _in_unit(name: str, value: object) -> object:
    return value // _UNITS[name] if name in _UNITS and isinstance(value, int) else value


def _shown(value: object) -> str:
    match value:
        case None | "" | ():
            return ""
        case bool():
            return gettext("yes") if value else gettext("no")
        case Secret():
            return str(value)
        case tuple():
            return os.pathsep.join(str(one) for one in value)
        case _:
            return str(value)
