"""How rows are written into an archive and read from it: every column as PostgreSQL itself writes it, so that nothing
is lost. Pure SQL; the columns that the server computes are left to it.

CSV is that of COPY, which tells "" from NULL. In NDJSON what JSON has no exact form for is text, JSON itself too:
otherwise a JSON null could not be told from none.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from storage.errors import Conflict, say
from storage.logs.cleanup.archive import ArchiveFormat
from storage.logs.cleanup.target import LogTarget
from storage.postgres.snapshot import Session

_PLAIN = frozenset({"int2", "int4", "int8", "numeric", "bool"})
_LINES = "DELIMITER E'\\x02', QUOTE E'\\x01'"
"""A line of JSON as it is: neither letter can be in it."""
ARCHIVED, STAGED = sql.Identifier("pghaven_archived"), sql.Identifier("pghaven_back")
"""Temporary tables: of the row versions that were archived, and of the rows that come back."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    """As SQL writes it."""
    plain: bool
    """Whether JSON has an exact form for it."""


def fields(session: Session, target: LogTarget) -> tuple[Field, ...]:
    """The columns of a table that can be written to."""
    rows = session.execute(
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text FROM pg_attribute a"
        " JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = %s::regclass AND a.attnum > 0"
        " AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
        (target.name.as_string(None),),
    )
    return tuple(Field(str(name), str(kind), str(base) in _PLAIN) for name, kind, base in rows)


def remember(target: LogTarget, condition: sql.Composable) -> sql.Composed:
    """The exact versions of the rows that are archived, numbered: where each lies, in which file, and who wrote it.

    A row that is changed later is another version, and one that is moved lies in another file.
    """
    return sql.SQL(
        "CREATE TEMPORARY TABLE {archived} AS SELECT row_number() OVER () AS number, r.tableoid AS part,"
        " pg_relation_filenode(r.tableoid) AS file, r.ctid AS place, r.xmin AS writer FROM {table} AS r"
        " WHERE {condition}"
    ).format(archived=ARCHIVED, table=target.name, condition=condition)


SAME_VERSION = sql.SQL(
    "r.tableoid = a.part AND r.ctid = a.place AND r.xmin = a.writer AND pg_relation_filenode(r.tableoid) = a.file"
)


def copy_out(
    target: LogTarget, condition: sql.Composable, columns: tuple[Field, ...], form: ArchiveFormat
) -> sql.Composed:
    match form:
        case ArchiveFormat.CSV:
            return sql.SQL("COPY (SELECT {} FROM {} AS r WHERE {}) TO STDOUT (FORMAT csv, HEADER)").format(
                sql.SQL(", ").join(sql.Identifier("r", field.name) for field in columns), target.name, condition
            )
        case ArchiveFormat.NDJSON:
            values = sql.SQL(", ").join(_as_json(field) for field in columns)
            return sql.SQL(
                "COPY (SELECT row_to_json(pghaven_row)::text FROM {} AS r CROSS JOIN LATERAL (SELECT {}) AS pghaven_row"
                " WHERE {}) TO STDOUT"
                " (FORMAT csv, {})"
            ).format(target.name, values, condition, sql.SQL(_LINES))


def stage(target: LogTarget, columns: tuple[Field, ...]) -> sql.Composed:
    """A temporary table for the rows that come back, with the table's types and none of its rules."""
    return sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
        STAGED, _names(columns), target.name
    )


def copy_in(columns: tuple[Field, ...], form: ArchiveFormat) -> sql.Composed:
    match form:
        case ArchiveFormat.CSV:
            return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER)").format(STAGED, _names(columns))
        case ArchiveFormat.NDJSON:
            return sql.SQL("COPY pghaven_lines (line) FROM STDIN (FORMAT csv, {})").format(sql.SQL(_LINES))


LINES = "CREATE TEMPORARY TABLE pghaven_lines (line json) ON COMMIT DROP"
"""Where lines of NDJSON stand before they are taken apart."""


def take_apart(columns: tuple[Field, ...]) -> sql.Composed:
    """From lines of NDJSON to rows. `->>` gives a number's own digits."""
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM pghaven_lines").format(
        STAGED,
        _names(columns),
        sql.SQL(", ").join(
            sql.SQL("(line ->> {})::{}").format(sql.Literal(field.name), sql.SQL(field.type)) for field in columns
        ),
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """What the unique indexes of a table can tell of a row that comes back."""

    identify: bool
    """Of every row, whether it is there: one index is over all rows and none of its columns can be NULL, which is never
    equal to another NULL."""

    immediate: bool
    """None of them is deferrable: ON CONFLICT refuses to look at one that is."""


def put_back(target: LogTarget, columns: tuple[Field, ...], keys: Keys) -> sql.Composed:
    """The statement that inserts what is missing; its rows are returned by whoever adds RETURNING.

    Rows whose id is taken stay as they are. Where nothing identifies a row, one is taken to be there when an equal one
    is.
    """
    insert = sql.SQL("INSERT INTO {} AS r ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS s").format(
        target.name, _names(columns), _names(columns), STAGED
    )
    if not (keys.identify and keys.immediate):
        ours, theirs = (
            sql.SQL("ROW({})::text").format(sql.SQL(", ").join(sql.Identifier(alias, field.name) for field in columns))
            for alias in ("s", "t")
        )
        insert += sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} AS t WHERE {} = {})").format(target.name, theirs, ours)
    return insert + sql.SQL(" ON CONFLICT DO NOTHING") if keys.immediate else insert


def keys(session: Session, target: LogTarget) -> Keys:
    row = session.execute(_KEYS, (target.name.as_string(None),)).fetchone()
    assert row is not None  # an aggregate
    return Keys(*row)


_KEYS = """
SELECT
    coalesce(bool_or(i.indisunique AND i.indisvalid AND i.indpred IS NULL AND NOT EXISTS (
        SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        -- An expression, which has the number 0, may be NULL.
        WHERE k.place <= i.indnkeyatts AND (k.number = 0 OR NOT a.attnotnull))), false),
    coalesce(bool_and(i.indimmediate), true)
FROM pg_index i
WHERE i.indrelid = %s::regclass AND (i.indisunique OR i.indisexclusion)
"""


def chosen(present: tuple[Field, ...], wanted: tuple[str, ...], table: str) -> tuple[Field, ...]:
    """The columns of an archive as the table has them now. Raises Conflict where it has one no longer."""
    known = {field.name: field for field in present}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise Conflict(
            say("%(table)s no longer has the column %(column)s, which the archive holds.",
                table=table, column=missing[0]),
            advice=say("Put the archive back into a database that has it, or read the file itself: it is plain text."),
        )  # fmt: skip
    return tuple(known[name] for name in wanted)


def _as_json(field: Field) -> sql.Composed:
    value = sql.Identifier("r", field.name)
    return sql.SQL("{} AS {}" if field.plain else "{}::text AS {}").format(value, sql.Identifier(field.name))


def _names(columns: tuple[Field, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(field.name) for field in columns)
