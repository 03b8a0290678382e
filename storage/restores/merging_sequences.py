"""Sequences after a merge: none of them hands out a number that a row has by now."""

from __future__ import annotations

from psycopg import sql

from storage.postgres.snapshot import Session
from storage.restores.merging_copy import rows_of
from storage.restores.merging_facts import MergeTable


def advance(session: Session, table: MergeTable) -> None:
    """Let the sequences that number this table go on behind its highest number. Never back, and undone by a rollback,
    which setval() would not be."""
    found = session.execute(_SEQUENCES, {"schema": table.schema, "name": table.name}).fetchall()
    for sequence, column, step, least, most in found:
        name = sql.SQL(sequence)  # format('%I.%I') of the server
        row = session.execute(
            sql.SQL(
                "SELECT s.last_value + CASE WHEN s.is_called THEN {step} ELSE 0 END,"
                " (SELECT {last}({column}) FROM {table}) FROM {name} s"
            ).format(
                step=sql.Literal(step),
                last=sql.SQL("max" if step > 0 else "min"),
                column=sql.Identifier(column),
                table=rows_of(table),
                name=name,
            )
        ).fetchone()
        if row is None or row[1] is None:
            continue
        following, used = int(row[0]), int(row[1])
        if (used >= following if step > 0 else used <= following) and least <= used + step <= most:
            session.execute(sql.SQL("ALTER SEQUENCE {} RESTART WITH {}").format(name, sql.Literal(used + step)))


# A serial or identity column owns its sequence; another default may only use one.
_SEQUENCES = b"""
WITH of_columns AS (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number
    FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    UNION
    SELECT d.refobjid, f.adrelid, f.adnum
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
)
SELECT pg_catalog.format('%%I.%%I', sn.nspname, s.relname), a.attname::text, q.seqincrement, q.seqmin, q.seqmax
FROM of_columns o
JOIN pg_catalog.pg_class s ON s.oid = o.sequence AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
JOIN pg_catalog.pg_class c ON c.oid = o.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = o.relation AND a.attnum = o.number
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
ORDER BY 1, 2
"""
