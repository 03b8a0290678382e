"""What stands against replacing the rows of tables, and which references lead out of the chosen ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from storage.backups.record import BackupRecord
from storage.errors import say
from storage.postgres.archive import Archive
from storage.postgres.quoting import full_name
from storage.restores import selection
from storage.restores.plan import Check, Light
from storage.restores.request import RestoreRequest
from storage.restores.rows import RowsFacts


def check(
    request: RestoreRequest, backup: BackupRecord, archive: Archive, found: RowsFacts, *, role: str
) -> Iterator[Check]:
    """The lines of the plan."""
    wanted = selection.with_rows(request, backup=backup, archive=archive)
    held = {full_name(entry.schema, entry.name) for entry in archive.entries if entry.kind == "TABLE DATA"}
    held &= {name for name, facts in backup.tables.items() if not facts.left_out}
    if absent := [name for name in wanted if name not in held]:
        yield Check("tables", Light.BAD, say("The backup does not have rows of: %(names)s.", names=", ".join(absent)))
    if missing := [name for name in wanted if name not in found.tables]:
        yield Check(
            "present",
            Light.BAD,
            say("%(name)s does not have these tables: %(names)s.", name=request.target, names=", ".join(missing)),
            say("Restore into a new database, and take the rows from there."),
        )
    if found.not_owned:
        yield Check(
            "owner",
            Light.BAD,
            say("%(role)s is not the owner of: %(names)s.", role=role, names=", ".join(found.not_owned)),
            say("Connect as their owner, or as a superuser."),
        )
    if found.references:
        named = ", ".join(f"{constraint} ({table})" for constraint, table in found.references)
        yield Check(
            "references",
            Light.WARNING,
            say("Between these tables and those that stay there are references: %(names)s. When rows would refer to "
                "nothing, nothing is changed.", names=named),
        )  # fmt: skip
    else:
        yield Check(
            "references", Light.GOOD, say("No table that stays refers to these tables, or is referred to by them.")
        )
    yield Check("waiting", Light.WARNING, say("Other sessions wait while the rows of these tables are replaced."))
