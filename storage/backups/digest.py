"""The content digest of a table: the same for the same rows, in any order, on every server from 14 to 18.

Each column is hashed by a function whose result may never change, because hash-partitioned tables that survived
pg_upgrade depend on it (PostgreSQL source, access/hash/hashfunc.c); types without such a function are hashed as the
text they print under `SESSION`. The column's number is the seed, so that swapped values differ; the columns of a row
are joined by exclusive-or and hashed once more, so that values swapped between rows differ; the rows are summed, so
that their order does not matter and equal rows count. About half the time of hashing the row as text.

It finds accidents and losses, not a forger: the hash is public and has 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

VERSION = "1"

SESSION: Mapping[str, str] = {
    "search_path": "",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    # A policy that hides rows must be an error here, as it is in pg_dump, and not a smaller count.
    "row_security": "off",
    # Compiling a hundred calls for each table takes longer than making them.
    "jit": "off",
}
"""Settings that a session needs for the digests (and for reading definitions) to mean the same everywhere."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    """The base type's name in pg_catalog, '' for a type from elsewhere; domains are resolved to what they are of."""


def query(schema: str, table: str, columns: Sequence[Column], *, digests: bool) -> sql.Composed:
    """SELECT count(*), sum(row hash) of one table; the sum is NULL for an empty table or without digests.

    ONLY: rows of inheriting tables are theirs.
    """
    total: sql.Composable = sql.SQL("NULL::numeric")
    if digests:
        total = sql.SQL("sum(hashtextextended(({row})::text, 0))").format(row=_row(columns))
    return sql.SQL("SELECT count(*), {total} FROM ONLY {table} AS _row").format(
        total=total, table=sql.Identifier(schema, table)
    )


def text(total: Decimal | int | None) -> str:
    """The digest as it is kept: the version of this method, a colon, the sum modulo 2^64 in hex."""
    return f"{VERSION}:{int(total or 0) % 2**64:016x}"


EMPTY = text(0)


def _row(columns: Sequence[Column]) -> sql.Composable:
    parts: list[sql.Composable] = [sql.SQL("0::int8")]
    for number, column in enumerate(columns, start=1):
        value = sql.SQL("_row.{name}").format(name=sql.Identifier(column.name))
        hashed = sql.SQL(_HASH_OF.get(column.type, _AS_TEXT)).format(value=value, seed=sql.Literal(number))
        parts.append(sql.SQL("COALESCE({hash}, {seed})").format(hash=hashed, seed=sql.Literal(number)))
    return sql.SQL(" # ").join(parts)


_AS_TEXT = 'hashtextextended({value}::text COLLATE "C", {seed})'
_AS_INT4 = "hashint4extended({value}::int4, {seed})"
_HASH_OF: Mapping[str, str] = {
    "int2": _AS_INT4,
    "int4": _AS_INT4,
    "bool": _AS_INT4,
    # Printed differently before and after PostgreSQL 16, hence as a number.
    "char": _AS_INT4,
    # hashint8 folds to 32 bits first, to agree with int4; the value itself keeps what folding loses.
    "int8": "(hashint8extended({value}, {seed}) # {value})",
    "uuid": "uuid_hash_extended({value}, {seed})",
    "timestamp": "timestamp_hash_extended({value}, {seed})",
    "timestamptz": "timestamp_hash_extended({value} AT TIME ZONE 'UTC', {seed})",
}
