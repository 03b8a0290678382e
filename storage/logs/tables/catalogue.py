"""What the catalogue says of tables and of their columns. Only names that are found here get into SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from storage.applications.usage import Kind
from storage.errors import Invalid, NotFound, say
from storage.logs import masking
from storage.postgres.snapshot import Session

_PLAIN = re.compile(r"[\w$-]+")
_STRANGE = re.compile(r"[^\w$-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, a view, or anything else that rows can be read from."""

    schema: str
    name: str
    is_view: bool
    rows: int | None
    """About so many, as of the last ANALYZE; None where nobody has counted."""
    bytes: int | None
    """With indexes, and all parts of a partitioned one; None for what stores nothing."""

    @property
    def full(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def key(self) -> str:
        """What it is called in addresses and at the terminal: different for each, whatever its name is made of."""
        return f"{_word(self.schema)}.{_word(self.name)}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: str
    """As the server writes it: character varying(200)."""
    base: tuple[str, str]
    """Schema and name of the type, without a length; of a domain, the type that it is made of."""
    kind: Kind
    ordered: bool
    """Whether its values can be told apart and put into order."""
    value: sql.Composable
    """The expression over `r` that an export writes."""

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier("r", self.name)

    @property
    def secret(self) -> bool:
        """Whether its name says that it keeps what is nobody's business. Numbers, times and the like keep none."""
        return (self.kind is Kind.TEXT or self.base[1] == "bytea") and masking.is_secret(_snake(self.name))

    @property
    def is_time(self) -> bool:
        return self.kind in (Kind.TIME, Kind.CLOCK, Kind.DATE)


@dataclass(frozen=True, slots=True)
class Described:
    """A table with all of its columns, in the order of the table."""

    table: Table
    columns: tuple[Column, ...]
    unique: tuple[str, ...]
    """The columns of its primary key; () where it has none."""

    def column(self, name: str) -> Column:
        """Raises Invalid for a name that the table does not have."""
        for column in self.columns:
            if column.name == name:
                return column
        raise Invalid(
            say("%(table)s has no column “%(column)s”.", table=self.table.full, column=name[:80]),
            effect=say("Nothing was read."),
        )

    @property
    def usual(self) -> tuple[str, ...]:
        """The columns that are shown where nobody has chosen any: all but those that seem to keep secrets."""
        return tuple(column.name for column in self.columns if not column.secret)


def tables(session: Session, *, parts: bool = False) -> list[Table]:
    """Everything that rows can be read from, by name; the parts of partitioned tables only when asked for."""
    return [
        Table(schema=schema, name=name, is_view=is_view, rows=rows, bytes=size)
        for schema, name, is_view, rows, size in session.execute(_TABLES, {"parts": parts})
    ]


def find(session: Session, text: str) -> Table:
    """The table of a key or of a name, with its schema or without. Raises NotFound, or Invalid for several."""
    there = tables(session, parts=True)
    ways: tuple[Callable[[Table], str], ...] = (lambda one: one.key, lambda one: one.full, lambda one: one.name)
    for way in ways:
        found = [one for one in there if way(one) == text]
        if len(found) == 1:
            return found[0]
        if found:
            raise Invalid(
                say("“%(table)s” can be several tables.", table=text[:80]),
                effect=say("Nothing was read."),
                advice=say("Name one of these: %(tables)s.", tables=", ".join(one.key for one in found[:20])),
            )
    raise NotFound(say("The database has no table “%(table)s”.", table=text[:80]), effect=say("Nothing was read."))


def describe(session: Session, text: str) -> Described:
    """A table by its key or name, with its columns. Raises NotFound or Invalid."""
    table = find(session, text)
    facts = {"schema": table.schema, "table": table.name}
    columns = [_column(*row) for row in session.execute(_COLUMNS, facts)]
    unique = tuple(str(row[0]) for row in session.execute(_PRIMARY_KEY, facts))
    return Described(table, tuple(columns), unique)


def _column(
    name: str, type_: str, schema: str, base: str, form: str, category: str, element: str, ordered: bool
) -> Column:
    builtin = schema == "pg_catalog"
    kind = _KINDS.get(base, Kind.TEXT) if builtin else Kind.TEXT
    return Column(
        name=name,
        type=type_,
        base=(schema, base),
        kind=kind,
        ordered=ordered,
        value=_value(
            sql.Identifier("r", name), base=base, builtin=builtin, form=form, array=category == "A" and element
        ),
    )


def _value(column: sql.Identifier, *, base: str, builtin: bool, form: str, array: str | bool) -> sql.Composable:
    """What an export writes of a column: what JSON knows stays what it is, anything else becomes its text."""
    if builtin and base == "bytea":
        return sql.SQL("'\\x' || encode({}, 'hex')").format(column)
    if builtin and base == "json":
        # It keeps the line breaks between its parts, which mean nothing and would break a line of NDJSON.
        return sql.SQL("translate({}::text, E'\\n\\r', '  ')::json").format(column)
    if (builtin and (base in _KINDS or base == "jsonb")) or array in _NATIVE_ELEMENTS or form == "e":
        return column
    return sql.SQL("{}::text").format(column)


def _word(name: str) -> str:
    """A part of a key: letters, digits, _ $ - as they are, any other sign as ~ and its number, in base 16, and ~."""
    return name if _PLAIN.fullmatch(name) else _STRANGE.sub(lambda sign: f"~{ord(sign[0]):x}~", name)


def _snake(name: str) -> str:
    """apiKey as api_key."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


_KINDS = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), Kind.INTEGER),
    **dict.fromkeys(("numeric", "float4", "float8"), Kind.DECIMAL),
    "timestamptz": Kind.TIME,
    "timestamp": Kind.CLOCK,
    "date": Kind.DATE,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "char"), Kind.TEXT),
    **dict.fromkeys(("bool", "uuid", "time", "timetz", "interval", "inet", "cidr", "macaddr", "macaddr8", "bit",
                     "varbit", "money", "bytea", "pg_lsn", "int4range", "int8range", "numrange", "daterange", "tsrange",
                     "tstzrange"), Kind.EXACT),
}  # fmt: skip
"""Of the server's own types. Of any other, and of lists, nobody knows what its text begins with: Kind.TEXT."""
_NATIVE_ELEMENTS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "bool", "text", "varchar", "uuid",
                              "date", "timestamp", "timestamptz", "jsonb", "inet"})  # fmt: skip

_READABLE = "c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_TABLES = f"""
SELECT n.nspname::text, c.relname::text, c.relkind = 'v',
       (CASE WHEN c.relkind IN ('v', 'f') THEN NULL
             WHEN c.relkind = 'p' THEN (SELECT sum(greatest(p.reltuples, 0)) FROM pg_partition_tree(c.oid) t
                                        JOIN pg_class p ON p.oid = t.relid WHERE t.isleaf)
             WHEN c.reltuples >= 0 THEN c.reltuples END)::bigint,
       (CASE WHEN c.relkind IN ('v', 'f') THEN NULL
             WHEN c.relkind = 'p' THEN (SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(c.oid) t)
             ELSE pg_total_relation_size(c.oid) END)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_READABLE} AND (%(parts)s OR NOT c.relispartition)
ORDER BY n.nspname <> 'public', 1, 2
"""  # noqa: S608 - made of constants

# What a column's type can be compared with is the server's to know: it has a default B-tree class, or is read as one
# that has; of a list, its elements do.
_COLUMNS = """
WITH RECURSIVE made_of AS (
    SELECT a.attnum, a.atttypid AS type FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT made_of.attnum, t.typbasetype FROM made_of JOIN pg_type t ON t.oid = made_of.type WHERE t.typtype = 'd'
)
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), tn.nspname::text, t.typname::text, t.typtype::text,
       t.typcategory::text, coalesce(e.typname::text, ''),
       coalesce(e.typtype, t.typtype) IN ('e', 'r', 'm') OR EXISTS (
           SELECT FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod
           WHERE m.amname = 'btree' AND o.opcdefault AND (o.opcintype = coalesce(e.oid, t.oid) OR EXISTS (
               SELECT FROM pg_cast k WHERE k.castsource = coalesce(e.oid, t.oid) AND k.casttarget = o.opcintype
                   AND k.castmethod = 'b' AND k.castcontext = 'i')))
FROM made_of
JOIN pg_type t ON t.oid = made_of.type AND t.typtype <> 'd' JOIN pg_namespace tn ON tn.oid = t.typnamespace
JOIN pg_class c ON c.relname = %(table)s JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = %(schema)s
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = made_of.attnum
LEFT JOIN pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem
ORDER BY a.attnum
"""

_PRIMARY_KEY = """
SELECT a.attname::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
     unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place), pg_attribute a
WHERE i.indisprimary AND n.nspname = %(schema)s AND c.relname = %(table)s
  AND a.attrelid = c.oid AND a.attnum = k.attnum
ORDER BY k.place
"""
