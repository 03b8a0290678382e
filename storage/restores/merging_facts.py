"""What a merge has to know of the two databases: their tables with columns and keys, and what refers to what."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from storage.postgres.quoting import full_name
from storage.postgres.snapshot import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeTable:
    """A table as the catalogue has it. A partition is no table of its own: its rows come and go through its parent."""

    schema: str
    name: str
    partitioned: bool
    columns: tuple[str, ...]
    generated: frozenset[str]
    """Columns whose values the server makes by itself."""
    key: tuple[str, ...]
    """The columns of the primary key; () where there is none."""
    other_keys: bool = False
    """Whether something else has to be unique as well."""
    deferrable: bool = False
    """Whether a unique constraint may be looked at late, which ON CONFLICT does not know."""
    rules: bool = False
    """Whether a rule rewrites what is inserted."""

    @property
    def full_name(self) -> str:
        return full_name(self.schema, self.name)

    @property
    def given(self) -> tuple[str, ...]:
        """The columns that have values of their own."""
        return tuple(column for column in self.columns if column not in self.generated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key between two tables of the target (schema.table)."""

    table: str
    to: str
    on: str
    """The table of the constraint as SQL; a partition may have one of its own."""
    constraint: str
    deferrable: bool
    deferred: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What the target has by name, of what a table may need. Pairs are (schema, name)."""

    schemas: frozenset[str] = frozenset()
    relations: frozenset[tuple[str, str]] = frozenset()
    """Tables, views, sequences: their names exclude each other."""
    types: frozenset[tuple[str, str]] = frozenset()
    functions: frozenset[tuple[str, str]] = frozenset()
    """With the types of their arguments, as an archive names them."""

    def has(self, kind: str, schema: str, name: str) -> bool:
        """Whether an entry of an archive is there already. What cannot be told is not."""
        match kind:
            case "SCHEMA":
                return name in self.schemas
            case "TABLE" | "SEQUENCE" | "SEQUENCE OWNED BY":
                return (schema, name) in self.relations
            case "TYPE" | "DOMAIN" | "SHELL TYPE":
                return (schema, name) in self.types
            case "FUNCTION":
                return (schema, name) in self.functions
        return False


def read_tables(session: Session) -> dict[str, MergeTable]:
    """Every table whose rows can be merged, by schema.table."""
    tables = [
        MergeTable(
            schema=schema,
            name=name,
            partitioned=kind == "p",
            columns=tuple(columns),
            generated=frozenset(generated),
            key=tuple(key),
            other_keys=other_keys,
            deferrable=deferrable,
            rules=rules,
        )
        for schema, name, kind, columns, generated, key, other_keys, deferrable, rules in session.execute(_TABLES)
    ]
    return {table.full_name: table for table in tables}


def read_references(session: Session) -> tuple[Reference, ...]:
    return tuple(
        Reference(
            table=full_name(schema, table),
            to=full_name(to_schema, to),
            on=on,
            constraint=constraint,
            deferrable=deferrable,
            deferred=deferred,
        )
        for schema, table, to_schema, to, on, constraint, deferrable, deferred in session.execute(_REFERENCES)
    )


def read_present(session: Session) -> Present:
    """The session's search_path has to be empty, so that types are named in full."""
    return Present(
        schemas=frozenset(name for (name,) in session.execute("SELECT nspname::text FROM pg_catalog.pg_namespace")),
        relations=_pairs(session, _RELATIONS),
        types=_pairs(session, _TYPES),
        functions=_pairs(session, _FUNCTIONS),
    )


def _pairs(session: Session, query: str) -> frozenset[tuple[str, str]]:
    return frozenset((schema, name) for schema, name in session.execute(query.encode()))


def read_suspect(session: Session, tables: Collection[str]) -> frozenset[str]:
    """Those among `tables` whose definition calls what could do more than compute, or is not PostgreSQL's own.

    A CHECK, a generated column and an index are computed with the rights of whoever inserts, which is us. The functions
    are taken from the trees that the server itself made of the expressions.
    """
    return frozenset(full_name(schema, name) for schema, name in session.execute(_SUSPECT)) & frozenset(tables)


def read_owner(session: Session) -> str:
    """Who should own a new table: the owner of most tables, or of the database."""
    row = session.execute(_OWNER).fetchone()
    assert row is not None
    return str(row[0])


_TABLES = rb"""
SELECT n.nspname::text, c.relname::text, c.relkind::text,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> ''),
       ARRAY(SELECT a.attname::text
             FROM pg_catalog.pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, place)
             JOIN pg_catalog.pg_attribute a USING (attnum)
             WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND k.place <= i.indnkeyatts
             ORDER BY k.place),
       EXISTS (SELECT FROM pg_catalog.pg_index i
               WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary),
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND NOT i.indimmediate),
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence IN ('p', 'u')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_toast%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""

# Constraints of partitions come and go with those of their parent.
_REFERENCES = b"""
SELECT fn.nspname::text, f.relname::text, tn.nspname::text, t.relname::text,
       pg_catalog.format('%I.%I', kn.nspname, k.relname), c.conname::text, c.condeferrable, c.condeferred
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class k ON k.oid = c.conrelid JOIN pg_catalog.pg_namespace kn ON kn.oid = k.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = coalesce(pg_catalog.pg_partition_root(c.conrelid), c.conrelid)
JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
JOIN pg_catalog.pg_class t ON t.oid = coalesce(pg_catalog.pg_partition_root(c.confrelid), c.confrelid)
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0
ORDER BY 1, 2, 6
"""

_RELATIONS = """
SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""

_TYPES = """
SELECT n.nspname::text, t.typname::text FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
"""

_FUNCTIONS = """
SELECT n.nspname::text, p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')'
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid >= 16384
"""

# What initdb made has an oid below 16384. A default is not computed by a merge, which gives every column its value; an
# extension's function, such as uuid_generate_v4(), is as good there as PostgreSQL's own.
_SUSPECT = rb"""
WITH expressions AS (
    SELECT f.adrelid AS relation, f.adbin::text AS tree, a.attgenerated = '' AS is_default
    FROM pg_catalog.pg_attrdef f
    JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    UNION ALL
    SELECT conrelid, conbin::text, false FROM pg_catalog.pg_constraint WHERE conrelid <> 0 AND conbin IS NOT NULL
    UNION ALL
    SELECT indrelid, concat(indexprs::text, indpred::text), false FROM pg_catalog.pg_index
    UNION ALL
    SELECT partrelid, partexprs::text, false FROM pg_catalog.pg_partitioned_table
)
SELECT DISTINCT n.nspname::text, c.relname::text
FROM expressions e
CROSS JOIN LATERAL pg_catalog.regexp_matches(e.tree, ':[a-z]*funcid ([0-9]+)', 'g') AS found(oids)
JOIN pg_catalog.pg_proc p ON p.oid = found.oids[1]::oid
JOIN pg_catalog.pg_class c ON c.oid = e.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE CASE WHEN p.oid < 16384
           THEN p.provolatile = 'v' AND NOT (e.is_default AND p.proname IN (
               'nextval', 'random', 'gen_random_uuid', 'clock_timestamp', 'timeofday', 'uuidv4', 'uuidv7'))
           ELSE NOT (e.is_default AND EXISTS (
               SELECT FROM pg_catalog.pg_depend d
               WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'))
      END
"""

_OWNER = b"""
SELECT pg_catalog.pg_get_userbyid(coalesce(
    (SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence IN ('p', 'u')
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
     GROUP BY c.relowner ORDER BY count(*) DESC, c.relowner LIMIT 1),
    (SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))
"""
