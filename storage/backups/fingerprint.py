"""The schema fingerprint: one hash that changes when a table, column, key, index, type or function changes.

Built from the catalogue's plain facts and not from printed definitions, which differ between major versions; columns go
by name, because their numbers change in a restore when columns were dropped before.
"""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg


def read(session: psycopg.Connection[tuple[Any, ...]]) -> str:
    """SHA-256 in hex over the sorted lines of the schema's facts. The session must be prepared (manifest.prepare)."""
    lines = sorted(line for (line,) in session.execute(_FACTS))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


_FACTS = """
WITH ours AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
)
SELECT format('column %I.%I %s %I %s %s %s %s', n.nspname, c.relname, c.relkind, a.attname,
              pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated)
FROM ours n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT format('constraint %I.%I %I %s (%s) %s', n.nspname, r.relname, k.conname, k.contype,
              (SELECT string_agg(quote_ident(a.attname), ',' ORDER BY of.place)
               FROM unnest(k.conkey) WITH ORDINALITY AS of(number, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = of.number),
              CASE WHEN k.confrelid <> 0 THEN k.confrelid::pg_catalog.regclass::text END)
FROM ours n JOIN pg_catalog.pg_constraint k ON k.connamespace = n.oid
JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
WHERE k.contype IN ('p', 'u', 'f', 'c', 'x')
UNION ALL
SELECT format('index %I.%I on %s unique %s columns (%s) partial %s', n.nspname, c.relname,
              i.indrelid::pg_catalog.regclass, i.indisunique,
              (SELECT string_agg(coalesce(quote_ident(a.attname), 'an expression'), ',' ORDER BY of.place)
               FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS of(number, place)
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = of.number),
              i.indpred IS NOT NULL)
FROM ours n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
UNION ALL
SELECT format('sequence %I.%I', n.nspname, c.relname)
FROM ours n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid WHERE c.relkind = 'S'
UNION ALL
SELECT format('function %I.%I(%s) %s', n.nspname, p.proname,
              pg_catalog.pg_get_function_identity_arguments(p.oid), md5(p.prosrc))
FROM ours n JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid
UNION ALL
SELECT format('trigger %s %I', t.tgrelid::pg_catalog.regclass, t.tgname)
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN ours n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal
UNION ALL
SELECT format('enum %I.%I %s', n.nspname, t.typname,
              (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
               FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid))
FROM ours n JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid WHERE t.typtype = 'e'
UNION ALL
SELECT format('extension %I', extname) FROM pg_catalog.pg_extension
"""
