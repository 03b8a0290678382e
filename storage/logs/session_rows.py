"""Reads the details of requests where an application keeps them in a table of its database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg import sql

from storage.applications.sessions import Part, SessionRows
from storage.errors import NotFound
from storage.logs.query import written
from storage.logs.reading import Located
from storage.logs.session_store import NEVER_MORE, NoStore, Request, Stored
from storage.postgres.snapshot import Session


class SessionTable:
    """What `SessionStore` is, over an open session of the database."""

    def __init__(self, session: Session, located: Located, rows: SessionRows) -> None:
        """Raises NoStore where the database has no such table."""
        try:
            table = located.table(rows.table)
        except NotFound as error:
            raise NoStore(error.cause, advice=error.advice) from error
        self._asked, self._rows = session, rows
        self._source = sql.SQL("{} AS d").format(table)
        self._session, self._sequence = sql.Identifier("d", rows.session), sql.Identifier("d", rows.sequence)

    def count(self, session: str) -> int:
        """The greatest number of a request in the session; 0 where there is none."""
        statement = sql.SQL("SELECT coalesce(max({}), 0) FROM {} WHERE {} = {}").format(
            self._sequence, self._source, self._session, sql.Literal(session)
        )
        row = self._asked.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def kept(self, requests: Collection[Request]) -> frozenset[Request]:
        """Those of the requests whose headers or body are there."""
        there = [written(f"({self._rows.parts[part]}) IS NOT NULL") for part in _DETAILS if part in self._rows.parts]
        if not there or not requests:
            return frozenset()
        statement = sql.SQL("SELECT {}::text, {} FROM {} WHERE ({}, {}) IN ({}) AND ({})").format(
            self._session,
            self._sequence,
            self._source,
            self._session,
            self._sequence,
            sql.SQL(", ").join(sql.SQL("({}, {})").format(*map(sql.Literal, one)) for one in requests),
            sql.SQL(" OR ").join(there),
        )
        return frozenset((row[0], int(row[1])) for row in self._asked.execute(statement))

    def read(self, session: str, sequence: int, *, most: int = NEVER_MORE) -> Mapping[Part, Stored]:
        """What is there of a request, of each part at most `most` bytes."""
        if not self._rows.parts:
            return {}
        bytes_of = [sql.SQL("convert_to(({})::text, 'UTF8')").format(written(one)) for one in self._rows.parts.values()]
        values = [sql.SQL("octet_length({0}), substring({0} FROM 1 FOR {1})").format(one, most) for one in bytes_of]
        statement = sql.SQL("SELECT {} FROM {} WHERE {} = {} AND {} = {} LIMIT 1").format(
            sql.SQL(", ").join(values),
            self._source,
            self._session,
            sql.Literal(session),
            self._sequence,
            sql.Literal(sequence),
        )
        row = self._asked.execute(statement).fetchone() or ()
        return {
            part: Stored(bytes(value), size)
            for part, size, value in zip(self._rows.parts, row[::2], row[1::2], strict=False)
            if value
        }


_DETAILS = (Part.HEADERS, Part.BODY)
