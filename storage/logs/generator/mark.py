"""Which databases are demos: those whose log says so in its own comment.

The mark is in the database, on the very table that is written into. A name that leads to another database tomorrow, or
a restore that puts other data in its place, brings a table without it.
"""

from __future__ import annotations

from psycopg import sql

from storage.applications.generator import Generator
from storage.errors import Conflict, say
from storage.logs.reading import Located
from storage.postgres.snapshot import Session

MARK = "pghaven: made-up data"
"""A line of the table's comment."""


def is_marked(session: Session, located: Located, generator: Generator) -> bool:
    return MARK in _comment(session, located, generator).splitlines()


def require(session: Session, located: Located, generator: Generator) -> None:
    """Raise Conflict where the database is no demo."""
    if not is_marked(session, located, generator):
        raise Conflict(
            say("This database is not marked as a demo. Made-up rows are only written where nothing else can be."),
            advice=say("In a database that nobody has used yet, run: pghaven demo mark NAME"),
        )


def put(session: Session, located: Located, generator: Generator) -> None:
    """Mark the database as a demo. Raises Conflict where it holds anything that somebody may have put there.

    To be called in a transaction: the tables are kept as they are until its end.
    """
    names = [located.table(table) for table in generator.empty]
    session.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.SQL(", ").join(names)))
    for table, name in zip(generator.empty, names, strict=True):
        if session.execute(sql.SQL("SELECT 1 FROM {} LIMIT 1").format(name)).fetchone():
            raise Conflict(
                say("The table %(table)s is not empty: somebody uses this database.", table=table),
                advice=say("Install the application into an empty database, and mark that one."),
            )
    comment = "\n".join(filter(None, [_comment(session, located, generator), MARK]))
    session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(located.table(generator.table), sql.Literal(comment)))


def _comment(session: Session, located: Located, generator: Generator) -> str:
    name = located.table(generator.table).as_string(None)
    row = session.execute("SELECT pg_catalog.obj_description(%s::regclass, 'pg_class')", [name]).fetchone()
    return str(row[0] or "") if row else ""
