"""What an application runs after a restore, migrations for instance: on the database beside, before it gets its name.

The command is a list of words from the application's map, never a shell's line, and finds its database in the
environment: PGHOST and the like, and DATABASE_URL. When it fails, the restore fails, and nothing was changed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from storage.errors import ProgramFailed, StorageError, say
from storage.jobs.context import JobContext
from storage.postgres.connection import Connection, write_pass_file
from storage.postgres.process import run_program


def run(command: Sequence[str], connection: Connection, *, folder: Path, context: JobContext) -> None:
    """Run the command to its end, its lines into the job's log. Raises StorageError when it fails, Unavailable when it
    cannot be started."""
    environment = {
        **connection.environment(write_pass_file(folder, connection), application=f"pghaven {context.job.job_id}"),
        "DATABASE_URL": url(connection),
        "HOME": os.environ.get("HOME", "/"),
    }
    context.log(f"after the restore: {' '.join(command)}")
    try:
        run_program(command, environment=environment, on_line=context.log, watch=context.checkpoint)
    except ProgramFailed as error:
        raise StorageError(
            say("The command that the application runs after a restore failed: %(command)s",
                command=" ".join(command)),
            advice=say("The job's log has what it said. The backup may be too old for it, or something is missing on "
                       "this machine."),
            words="\n".join(error.lines),
        ) from error  # fmt: skip


def url(connection: Connection) -> str:
    """The address of a database as applications read it, with its password."""
    who = quote(connection.user, safe="")
    if connection.password is not None:
        who += ":" + quote(connection.password.reveal, safe="")
    parameters = {"sslmode": connection.sslmode}
    if connection.host.startswith("/"):
        parameters["host"], host = connection.host, ""
    else:
        host = f"[{connection.host}]" if ":" in connection.host else connection.host
    where = f"{host}:{connection.port}" if host else ""
    if not where:
        parameters["port"] = str(connection.port)
    return f"postgresql://{who}@{where}/{quote(connection.dbname, safe='')}?{urlencode(parameters)}"
