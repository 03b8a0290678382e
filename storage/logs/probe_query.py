"""The SQL of an application's probe log, from its map and a filter. Pure: nothing here talks to a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg import sql

from storage.applications.probes import ProbeLog
from storage.clock import to_text
from storage.errors import Invalid, NotFound, say
from storage.logs.filters import moment
from storage.logs.query import After, written
from storage.logs.reading import Located

LINE = ("id", "endpointId", "source", "ok", "statusCode", "latencyMs", "errorType", "errorMessage", "createdAt")
"""A row of the log, as claude-code-hub names its parts."""
LONGEST_TEXT = 200

_BREAKS = "\u0001-\u001f\u007f"
_BREAKS_OF_UNICODE = "\u0080-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""What would break a line, or turn it around, or make a terminal do something: a space stands for it."""
_SEPARATOR, _QUOTE = "\x01", "\x02"
"""For COPY, letters that no line holds: each is written as it is, with nothing before, behind or within it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFilter:
    """Every line that fulfils all of it. What is None or "" is not asked for. `since` is in, `until` is not."""

    ok: bool | None = None
    text: str = ""
    """In the status code, the kind of the error or what it said; large and small letters are the same."""
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def to_query(self) -> dict[str, str]:
        """As the parameters of an address, without those that are not asked for; `read` takes them back."""
        said = {
            "result": {None: "", True: "ok", False: "fail"}[self.ok],
            "text": self.text,
            "source": self.source,
            "from": to_text(self.since) or "",
            "to": to_text(self.until) or "",
        }
        return {name: value for name, value in said.items() if value}


def read(values: Mapping[str, str], *, zone: ZoneInfo) -> ProbeFilter:
    """Read an address or a form. A time without a zone is in `zone`. Raises Invalid naming what cannot be read."""
    given = {name: values.get(name, "").strip() for name in ("result", "text", "source", "from", "to")}
    if given["result"] not in ("", "ok", "fail"):
        raise Invalid(say("A result is ok or fail, and not “%(text)s”.", text=given["result"][:40]))
    if "\0" in given["text"] + given["source"] or len(given["text"]) > LONGEST_TEXT:
        raise Invalid(say("This cannot be looked for."))
    since, until = moment(given["from"], zone), moment(given["to"], zone)
    if since and until and until < since:
        raise Invalid(say("The filter ends before it begins."))
    return ProbeFilter(
        ok={"": None, "ok": True, "fail": False}[given["result"]],
        text=given["text"],
        source=given["source"],
        since=since,
        until=until,
    )


class ProbeQuery:
    """Statements over one application's probe log. Raises NotFound where its map describes none."""

    def __init__(self, located: Located, *, unicode: bool = True) -> None:
        """`unicode`: whether the database can hold every letter there is."""
        log = located.application.probes
        if log is None:
            raise NotFound(
                say("%(application)s keeps no probe log that its map describes.", application=located.application.title)
            )
        self.log: ProbeLog = log
        self._breaks = f"[{_BREAKS}{_BREAKS_OF_UNICODE if unicode else ''}]+"
        self._table = located.table(log.table)
        self._endpoints = located.table(log.endpoints.table)

    def endpoints(self, *, limit: int) -> sql.Composed:
        """id, title, and whether the application still has it; deleted ones only with lines in the log."""
        endpoints = self.log.endpoints
        return sql.SQL(
            "SELECT e.{id}::text, ({title})::text, ({only}) FROM {endpoints} AS e"
            " WHERE ({only}) OR EXISTS (SELECT 1 FROM {log} AS p WHERE {endpoint} = e.{id})"
            " ORDER BY 3 DESC, 2, e.{id} LIMIT {limit}"
        ).format(
            id=sql.Identifier(endpoints.id),
            title=written(endpoints.title),
            only=written(endpoints.only or "true"),
            endpoints=self._endpoints,
            log=self._table,
            endpoint=self._column(self.log.endpoint),
            limit=sql.Literal(limit),
        )

    def endpoint(self, endpoint: str) -> sql.Composed:
        return sql.SQL("SELECT * FROM {} AS e WHERE e.{} = {}").format(
            self._endpoints, sql.Identifier(self.log.endpoints.id), sql.Literal(endpoint)
        )

    def newest(self, endpoint: str) -> sql.Composed:
        """The greatest id of the newest lines: also where the log has no index of an endpoint's ids."""
        return sql.SQL(
            "SELECT max(id) FROM (SELECT {id} AS id FROM {log} AS p WHERE {endpoint} = {wanted}"
            " ORDER BY {time} DESC NULLS LAST LIMIT 1000) AS newest"
        ).format(
            id=self._column(self.log.id),
            log=self._table,
            endpoint=self._column(self.log.endpoint),
            wanted=sql.Literal(endpoint),
            time=self._column(self.log.time),
        )

    def lines(self, endpoint: str, wanted: ProbeFilter, *, before: After | None, limit: int) -> sql.Composed:
        """id, time, ok and the text behind the time, newest first; lines without a time are the oldest."""
        conditions = [self._means(endpoint, wanted)]
        if before:
            conditions.append(self._behind(before))
        return sql.SQL(
            "SELECT {id}, {time}, {ok}, {text} FROM {log} AS p WHERE {conditions}"
            " ORDER BY {time} DESC NULLS LAST, {id} DESC LIMIT {limit}"
        ).format(
            id=self._column(self.log.id),
            time=self._column(self.log.time),
            ok=self._column(self.log.ok),
            text=self._text(),
            log=self._table,
            conditions=sql.SQL(" AND ").join(conditions),
            limit=sql.Literal(limit),
        )

    def since(self, endpoint: str, wanted: ProbeFilter, *, newest: int, limit: int) -> sql.Composed:
        return sql.SQL(
            "SELECT {id}, {time}, {ok}, {text} FROM {log} AS p WHERE {means} AND {id} > {newest}"
            " ORDER BY {id} LIMIT {limit}"
        ).format(
            id=self._column(self.log.id),
            time=self._column(self.log.time),
            ok=self._column(self.log.ok),
            text=self._text(),
            log=self._table,
            means=self._means(endpoint, wanted),
            newest=sql.Literal(newest),
            limit=sql.Literal(limit),
        )

    def text(self, endpoint: str, wanted: ProbeFilter, *, zone: str, days: bool) -> sql.Composed:
        """COPY of all lines, oldest first."""
        clock = sql.SQL("coalesce(to_char({} AT TIME ZONE {}, {}), '--:--:--')").format(
            self._column(self.log.time),
            sql.Literal(zone),
            sql.Literal("YYYY-MM-DD HH24:MI:SS" if days else "HH24:MI:SS"),
        )
        return sql.SQL(
            "COPY (SELECT '[' || {clock} || '] ' || {text} FROM {log} AS p WHERE {means}"
            " ORDER BY {time} NULLS FIRST, {id}) TO STDOUT (FORMAT csv, DELIMITER {separator}, QUOTE {quote})"
        ).format(
            clock=clock,
            text=self._text(),
            log=self._table,
            means=self._means(endpoint, wanted),
            time=self._column(self.log.time),
            id=self._column(self.log.id),
            separator=sql.Literal(_SEPARATOR),
            quote=sql.Literal(_QUOTE),
        )

    def rows(self, endpoint: str, *, limit: int, offset: int) -> sql.Composed:
        """The columns of LINE, newest first."""
        log = self.log
        names = (log.id, log.endpoint, log.source, log.ok, log.status, log.latency, log.error_type, log.error, log.time)
        return sql.SQL(
            "SELECT {columns} FROM {log} AS p WHERE {means}"
            " ORDER BY {time} DESC NULLS LAST, {id} DESC LIMIT {limit} OFFSET {offset}"
        ).format(
            columns=sql.SQL(", ").join(map(self._column, names)),
            log=self._table,
            means=self._means(endpoint, ProbeFilter()),
            time=self._column(log.time),
            id=self._column(log.id),
            limit=sql.Literal(limit),
            offset=sql.Literal(offset),
        )

    def _text(self) -> sql.Composed:
        """OK or FAIL, the code, the milliseconds, and what was wrong: in one line, whatever the error said."""
        return sql.SQL(
            "rtrim(CASE WHEN {ok} THEN 'OK ' ELSE 'FAIL ' END || coalesce({status}::text, '-') || ' '"
            " || coalesce({latency}::text || 'ms', '-') || ' '"
            " || regexp_replace(coalesce(nullif({error}, ''), {error_type}, ''), {breaks}, ' ', 'g'))"
        ).format(
            ok=self._column(self.log.ok),
            status=self._column(self.log.status),
            latency=self._column(self.log.latency),
            error=self._column(self.log.error),
            error_type=self._column(self.log.error_type),
            breaks=sql.Literal(self._breaks),
        )

    def _means(self, endpoint: str, wanted: ProbeFilter) -> sql.Composed:
        conditions: list[sql.Composable] = [_equals(self._column(self.log.endpoint), endpoint)]
        if wanted.ok is not None:
            conditions.append(sql.SQL("{} IS {}").format(self._column(self.log.ok), sql.Literal(wanted.ok)))
        if wanted.source:
            conditions.append(_equals(self._column(self.log.source), wanted.source))
        if wanted.since:
            conditions.append(sql.SQL("{} >= {}").format(self._column(self.log.time), sql.Literal(wanted.since)))
        if wanted.until:
            conditions.append(sql.SQL("{} < {}").format(self._column(self.log.time), sql.Literal(wanted.until)))
        if wanted.text:
            conditions.append(
                sql.SQL("strpos(lower(concat_ws(' ', {}, {}, {})), lower({})) > 0").format(
                    self._column(self.log.status),
                    self._column(self.log.error_type),
                    self._column(self.log.error),
                    sql.Literal(wanted.text),
                )
            )
        return sql.SQL(" AND ").join(conditions)

    def _behind(self, before: After) -> sql.Composed:
        time, number = self._column(self.log.time), self._column(self.log.id)
        if before.time is None:
            return sql.SQL("({} IS NULL AND {} < {})").format(time, number, sql.Literal(before.id))
        return sql.SQL("(({}, {}) < ({}, {}) OR {} IS NULL)").format(
            time, number, sql.Literal(before.time), sql.Literal(before.id), time
        )

    def _column(self, name: str) -> sql.Identifier:
        return sql.Identifier("p", name)


def _equals(column: sql.Composable, value: str) -> sql.Composed:
    return sql.SQL("{} = {}").format(column, sql.Literal(value))
