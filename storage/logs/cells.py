"""How a value is written into a file for spreadsheets, in SQL: nothing that a program would carry out as a formula.

A cell that begins with = + - @, a tab or a carriage return, also behind spaces, gets an apostrophe in front (OWASP, CSV
Injection). A text that is a plain number stays one: a minus sign before figures harms nobody.
"""

from __future__ import annotations

from psycopg import sql

from storage.applications.usage import Kind

_ISO_CLOCK = 'YYYY-MM-DD"T"HH24:MI:SS.US'
_ISO_TIME = f'{_ISO_CLOCK}"Z"'
"""For to_char, in a session whose time zone is UTC: ISO 8601 with microseconds."""
_FIRST, _LAST = "0001-01-01", "9999-12-31 23:59:59.999999"
"""The years that ISO 8601 has four digits for. Of others to_char would leave BC out, and of infinity everything."""
_SPACES = " \n\v\f"
_SIGNS = "=+-@\t\r"
_C = sql.SQL('COLLATE "C"')
"""Characters by their bytes: quick, and the same in every encoding and under every collation of a column."""


def guarded(text: sql.Composable) -> sql.Composed:
    """A text expression, with what a spreadsheet would take for a formula made harmless."""
    # Nearly every cell begins with a letter, a figure or a slash, and is told by that alone.
    return sql.SQL(
        "CASE WHEN {text} {c} >= 'A' OR {text} {c} >= '.' AND {text} {c} < '=' THEN {text}"
        " WHEN left(ltrim({text}, {spaces}), 1) {c} IN ({signs}) AND {text} {c} !~ {number} THEN '''' || {text}"
        " ELSE {text} END"
    ).format(
        text=text,
        c=_C,
        spaces=sql.Literal(_SPACES),
        signs=sql.SQL(", ").join(sql.Literal(sign) for sign in _SIGNS),
        number=sql.Literal(r"^[-+]?[0-9]+(\.[0-9]+)?$"),
    )


def for_csv(kind: Kind, expression: sql.Composable) -> sql.Composable:
    """An expression of a kind as it is written into CSV: times in ISO 8601, texts guarded, anything else as it is."""
    match kind:
        case Kind.TIME | Kind.CLOCK:
            return iso(kind, expression)
        case Kind.TEXT:
            return guarded(sql.SQL("({})::text").format(expression))
        case Kind.INTEGER | Kind.DECIMAL | Kind.DATE | Kind.EXACT:
            return expression


def for_json(kind: Kind, expression: sql.Composable) -> sql.Composable:
    """The same for JSON, where nothing is taken for a formula and numbers are numbers."""
    return iso(kind, expression) if kind in (Kind.TIME, Kind.CLOCK) else expression


def iso(kind: Kind, expression: sql.Composable) -> sql.Composed:
    """A time as text; one that ISO 8601 cannot say, such as infinity, in the server's own words."""
    return sql.SQL(
        "CASE WHEN {time} BETWEEN {first} AND {last} THEN to_char({time}, {form}) ELSE ({time})::text END"
    ).format(
        time=expression,
        first=sql.Literal(_FIRST),
        last=sql.Literal(_LAST),
        form=sql.Literal(_ISO_TIME if kind is Kind.TIME else _ISO_CLOCK),
    )
