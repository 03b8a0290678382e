"""The SQL of an application's sessions: they are what the rows of its usage log have in common. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from storage.errors import Invalid, NotFound, say
from storage.logs.filters import MAX_INTEGER, UsageFilter
from storage.logs.query import After, UsageQuery, written
from storage.logs.reading import Located

SUMMARY = ("session", "requests", "first", "last", "cost", "user", "newest_sequence")
SHOWN = ("model", "original_model", "endpoint", "provider", "status", "input_tokens", "output_tokens", "cost",
         "duration", "retries")  # fmt: skip
"""The columns of a map that are told of each request of a session, as far as it has them."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The place in a session behind which a page begins: a request's number and, unless all of this number are before
    it, its row's id."""

    sequence: int
    id: str | None = None

    def to_text(self) -> str:
        """As it stands in an address."""
        return f"{self.sequence}" if self.id is None else f"{self.sequence}_{self.id}"

    @classmethod
    def from_text(cls, text: str) -> Behind | None:
        """Read `to_text`'s form back; None for "". Raises Invalid for anything else."""
        if not text:
            return None
        number, mark, row = text.partition("_")
        if not (number.isascii() and number.isdigit()) or int(number) > MAX_INTEGER or bool(mark) != bool(row):
            raise Invalid(say("The address does not say where in the session to go on."))
        return cls(int(number), row or None)


class SessionQuery:
    """Statements over one application's sessions. Raises NotFound where its usage log does not know any."""

    def __init__(self, located: Located) -> None:
        log = located.application.usage
        if log is None or not log.session or not log.session_sequence:
            raise NotFound(
                say("%(application)s keeps no sessions that its map describes.",
                    application=located.application.title)
            )  # fmt: skip
        self.application = located.application
        self._usage = UsageQuery(located, log, UsageFilter())
        self._session = sql.Identifier("r", log.session)
        self._sequence = sql.SQL("coalesce({}, 0)").format(sql.Identifier("r", log.session_sequence))
        self.columns = tuple(name for name in SHOWN if log.column(name))

    def newest(self, *, after: After | None, limit: int) -> sql.Composed:
        """Sessions with the time and the id of their newest request, newest first. A request without a time does not
        count."""
        before: sql.Composable = sql.SQL("true")
        if after:
            before = sql.SQL("({}, {}) < ({}, {})").format(
                self._usage.time, self._usage.id, sql.Literal(after.time), sql.Literal(after.id)
            )
        return sql.SQL(
            "SELECT s.session, s.time, s.id::text FROM"
            " (SELECT {session} AS session, {time} AS time, {id} AS id FROM {log} WHERE {there} AND {before}) AS s"
            " WHERE NOT EXISTS (SELECT 1 FROM {log} WHERE {there} AND {session} = s.session"
            " AND ({time}, {id}) > (s.time, s.id)) ORDER BY s.time DESC, s.id DESC LIMIT {limit}"
        ).format(
            session=self._session,
            time=self._usage.time,
            id=self._usage.id,
            log=self._usage.source([]),
            there=sql.SQL("{} AND {} <> '' AND {} IS NOT NULL").format(
                self._usage.condition, self._session, self._usage.time
            ),
            before=before,
            limit=sql.Literal(limit),
        )

    def summaries(self, sessions: Sequence[str]) -> sql.Composed:
        """What the rows of each of the sessions have in common, in the order of SUMMARY."""
        user = self._usage.value("user")
        values: list[sql.Composable] = [
            self._session,
            sql.SQL("count(*)"),
            sql.SQL("min({})").format(self._usage.time),
            sql.SQL("max({})").format(self._usage.time),
            sql.SQL("sum({})").format(self._usage.value("cost") or sql.SQL("NULL::numeric")),
            sql.SQL("min({}::text)").format(user or sql.NULL),
            sql.SQL("max({})").format(self._sequence),
        ]
        return sql.SQL(
            "SELECT {values} FROM {source} WHERE {condition} AND {session} IN ({sessions}) GROUP BY 1"
        ).format(
            values=sql.SQL(", ").join(values),
            source=self._usage.source(values),
            condition=self._usage.condition,
            session=self._session,
            sessions=sql.SQL(", ").join(map(sql.Literal, sessions)),
        )

    def requests(self, session: str, *, after: Behind | None, limit: int) -> sql.Composed:
        """A session's requests in sequence, those of one number in the order of the log: sequence, id, time, and the
        columns; rows without a number come first."""
        values = [self._sequence, sql.SQL("{}::text").format(self._usage.id), self._usage.time]
        values += [self._usage.value(name) or sql.NULL for name in self.columns]
        behind: sql.Composable = sql.SQL("true")
        if after and after.id is None:
            behind = sql.SQL("{} > {}").format(self._sequence, sql.Literal(after.sequence))
        elif after:
            behind = sql.SQL("({}, {}) > ({}, {})").format(
                self._sequence, self._usage.id, sql.Literal(after.sequence), sql.Literal(after.id)
            )
        return sql.SQL(
            "SELECT {values} FROM {source} WHERE {condition} AND {session} = {wanted} AND {behind}"
            " ORDER BY {sequence}, {id} LIMIT {limit}"
        ).format(
            values=sql.SQL(", ").join(values),
            source=self._usage.source(values),
            condition=self._usage.condition,
            session=self._session,
            wanted=sql.Literal(session),
            behind=behind,
            sequence=self._sequence,
            id=self._usage.id,
            limit=sql.Literal(limit),
        )

    def special_settings(self, session: str, sequence: int) -> sql.Composed | None:
        """What the usage log has of a request's special settings, of the newest row with this number; None where its
        map names none."""
        sessions = self._usage.located.application.sessions
        if sessions is None or not sessions.special_settings:
            return None
        value = written(sessions.special_settings)
        return sql.SQL(
            "SELECT {value} FROM {source} WHERE {condition} AND {session} = {wanted} AND {sequence} = {number}"
            " ORDER BY {id} DESC LIMIT 1"
        ).format(
            value=value,
            source=self._usage.source([value]),
            condition=self._usage.condition,
            session=self._session,
            wanted=sql.Literal(session),
            sequence=self._sequence,
            number=sql.Literal(sequence),
            id=self._usage.id,
        )
