"""How a value is written into a file for spreadsheets, in SQL: nothing that a program would carry out as a formula.

A cell that begins with = + - @, a tab or a carriage return, also behind spaces, gets an apostrophe in front (OWASP, CSV
Injection). A text that is a plain number stays one: a minus sign before figures harms nobody.
"""

from __future__ import annotations

from psycopg import sql

from storage.applications.usage import Kind

ISO_TIME = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
"""For to_char, in a session whose time zone is UTC: ISO 8601 with microseconds."""
_SPACES = " \n\v\f"
_SIGNS = (61, 43, 45, 64, 9, 13)


def guarded(text: sql.Composable) -> sql.Composed:
    """A text expression, with what a spreadsheet would take for a formula made harmless."""
    return sql.SQL(
        "CASE WHEN ascii(ltrim({text}, {spaces})) IN ({signs}) THEN"
        " CASE WHEN {text} ~ {number} THEN {text} ELSE '''' || {text} END ELSE {text} END"
    ).format(
        text=text,
        spaces=sql.Literal(_SPACES),
        signs=sql.SQL(", ").join(sql.Literal(sign) for sign in _SIGNS),
        number=sql.Literal(r"^[-+]?[0-9]+(\.[0-9]+)?$"),
    )


def for_csv(kind: Kind, expression: sql.Composable) -> sql.Composable:
    """An expression of a kind as it is written into CSV: times in ISO 8601, texts guarded, numbers as they are."""
    match kind:
        case Kind.TIME:
            return sql.SQL("to_char({}, {})").format(expression, sql.Literal(ISO_TIME))
        case Kind.TEXT:
            return guarded(sql.SQL("({})::text").format(expression))
        case Kind.INTEGER | Kind.DECIMAL:
            return expression
