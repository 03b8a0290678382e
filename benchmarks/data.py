"""What is measured: one database with message_request of 2,000,000 rows and its 13 indexes, and pgbench scale 20."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from psycopg import sql

from storage.applications import demo
from storage.postgres.connection import Connection, connect, write_pass_file
from tests.servers import Server

NAME = "measured"


def make(server: Server, *, rows: int, scale: int, folder: Path) -> Connection:
    """The database, made set-based: the demo hub, with its requests multiplied, and pgbench's tables beside it."""
    connection = server.create_database(NAME)
    with connect(connection, application="benchmarks") as session:
        session.execute(demo.script("hub"))
        _multiply(session, rows)
    environment = connection.environment(write_pass_file(folder, connection), application="benchmarks")
    subprocess.run(
        [server.installation.program("pgbench"), "-i", "-s", str(scale), "-q"],
        env={**environment, **server.installation.environment()},
        check=True,
        capture_output=True,
    )
    with connect(connection, application="benchmarks") as session:
        session.execute("VACUUM (ANALYZE)")
        session.execute("CHECKPOINT")
    return connection


def _multiply(session: object, rows: int) -> None:
    """Copies of the demo's requests with other ids, times, sizes and sessions, until there are `rows`."""
    execute = session.execute  # type: ignore[attr-defined]
    columns = [
        name
        for (name,) in execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'message_request'::regclass AND attnum > 0"
            " AND NOT attisdropped AND attname <> 'id' ORDER BY attnum"
        )
    ]
    [present] = execute("SELECT count(*) FROM message_request").fetchone()
    changed = {
        "created_at": "r.created_at - n * interval '37 seconds'",
        "session_id": "'sess_' || md5(r.session_id || n::text)",
        "input_tokens": "r.input_tokens + (hashint4(r.id + n) & 1023)",
        "output_tokens": "r.output_tokens + (hashint4(r.id * 7 + n) & 511)",
        "duration_ms": "r.duration_ms + (hashint4(r.id * 3 + n) & 4095)",
        "cost_usd": "r.cost_usd + (hashint4(r.id * 5 + n) & 65535) / 1e9",
    }
    # As an application's own growth would leave it: the indexes are built once, over everything.
    indexes = execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = 'message_request'::regclass AND NOT indisprimary"
    ).fetchall()
    for name, _ in indexes:
        execute(f"DROP INDEX {name}")
    execute(
        sql.SQL("INSERT INTO message_request ({names}) SELECT {values} FROM message_request r,"
                " generate_series(1, {times}) n WHERE r.id <= {present} LIMIT {missing}").format(
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(
                sql.SQL(changed[name]) if name in changed else sql.SQL("r.") + sql.Identifier(name) for name in columns
            ),
            times=sql.Literal(rows // present + 1),
            present=sql.Literal(present),
            missing=sql.Literal(rows - present),
        )
    )  # fmt: skip
    for _, definition in indexes:
        execute(definition)


def environment(data_folder: Path, connection: Connection, installation_folder: Path) -> dict[str, str]:
    """The environment of a pghaven that looks after the measured database alone."""
    password = connection.password.reveal if connection.password else ""
    url = (
        f"postgresql://{connection.user}:{password}@/{connection.dbname}?host={connection.host}&port={connection.port}"
    )
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        "BACKUP_STORAGE_PATH": str(data_folder),
        "DATABASE_URL": url,
        "PG_BIN_DIRS": str(installation_folder),
    }


def backup_of(output: str) -> dict[str, object]:
    """The backup's facts from what `pghaven backups take --json` printed."""
    found = json.loads(output)
    assert isinstance(found, dict)
    return found
