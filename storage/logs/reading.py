"""A session that only reads, in UTC, and where an application's tables are in its database."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import sql
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

from storage.applications import maps
from storage.applications.maps import ApplicationMap
from storage.errors import Invalid, NotFound, StorageError, say
from storage.postgres.connection import Connection, connect, describe
from storage.postgres.snapshot import Session

APPLICATION = "pghaven logs"
PAGE_SECONDS = 20
"""How long one question of a page may keep the server busy."""

_READ_ONLY = "-c default_transaction_read_only=on -c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1"
_TABLES = """
SELECT n.nspname::text || '.' || c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""The first and last times that can be shown in every zone."""


class _Shown(TimestamptzLoader):
    """A time for a page. One that Python does not have, such as infinity, is the nearest that it has: a single row
    with such a time must not keep all others from being seen. Exports have what the server has."""

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return _FIRST if text.startswith(b"-") or text.endswith(b"BC") else _LAST


@dataclass(frozen=True, slots=True)
class Located:
    """An application's map, and the tables of the database that it was found to fit."""

    application: ApplicationMap
    tables: Collection[str]
    """schema.table"""

    def has(self, table: str) -> bool:
        return maps.qualified(self.application, table, self.tables) is not None

    def table(self, table: str) -> sql.Identifier:
        """A table of the map as it is named in SQL. Raises NotFound where this database has none of that name."""
        full = maps.qualified(self.application, table, self.tables)
        if full is None:
            raise NotFound(
                say("The database has no table %(table)s, which %(application)s keeps its log in.",
                    table=table, application=self.application.title)
            )  # fmt: skip
        schema, _, name = full.partition(".")
        return sql.Identifier(schema, name)


@contextmanager
def reading(connection: Connection, *, seconds: int = PAGE_SECONDS, patience: int = 10) -> Iterator[Session]:
    """A session that can only read, opened within `patience` seconds; its statements are ended by the server after
    `seconds`, 0 for never.

    Raises Unreachable, and a refusal for what a map's expressions cannot do in this database.
    """
    options = f"{_READ_ONLY} -c statement_timeout={seconds}s -c lock_timeout=5s"
    with connect(connection, application=APPLICATION, timeout=patience, options=options) as session, understood():
        session.adapters.register_loader("timestamptz", _Shown)
        yield session


@contextmanager
def understood() -> Iterator[None]:
    """Say what the server refused in our words."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise too_busy() from error
    except (psycopg.errors.InvalidTextRepresentation, psycopg.errors.NumericValueOutOfRange) as error:
        raise Invalid(
            say("A value of the filter does not have the form that the database asks for."),
            words=error.diag.message_primary or "",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise describe(
            error,
            doing=say("The rows could not be read: the database's role may not."),
            advice=say("Grant it there: GRANT SELECT ON the table that is named below."),
        ) from error
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise describe(
            error,
            doing=say("The application map does not fit this database."),
            advice=say("Put a map that fits into the folder applications of the data folder."),
        ) from error
    except psycopg.Error as error:
        raise describe(error, doing=say("The rows could not be read.")) from error


def too_busy() -> StorageError:
    return StorageError(
        say("The database was too busy to answer in time."), advice=say("Choose a shorter time, or try again later.")
    )


def locate(session: Session, applications: Collection[ApplicationMap]) -> Located:
    """Which application's database this is. Raises NotFound where no map fits it."""
    tables = frozenset(row[0] for row in session.execute(_TABLES))
    application = maps.recognise(applications, tables)
    if application is None:
        raise NotFound(
            say("No application map fits this database, so nobody can tell which of its tables are logs."),
            advice=say(
                "Export single tables, or put a map of your own into the folder applications of the data folder."
            ),
        )
    return Located(application, tables)
