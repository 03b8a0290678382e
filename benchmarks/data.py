"""What is measured: one database with message_request of 2,000,000 rows and its 13 indexes, and pgbench scale 20."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from psycopg import sql

from storage.applications import demo
from storage.postgres.connection import Connection, connect, write_pass_file
from storage.postgres.programs import FIRST_WITH_ZSTD, LAST_WITHOUT_ZSTD, Installation
from tests.servers import Server, installation_of

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
    # What differs from request to request in a real log: times to the microsecond, sizes, prices, sessions of a few
    # requests, the times in the chain. Copies of equal rows would compress as no real log does.
    changed = {
        "created_at": "r.created_at - n * interval '37 seconds' - random() * interval '1 second'",
        "updated_at": "r.updated_at - n * interval '37 seconds' + random() * interval '1 second'",
        "session_id": "'sess_' || md5(r.session_id || n::text)",
        "input_tokens": "(exp(random() * 10))::int",
        "output_tokens": "(exp(random() * 8))::int",
        "cache_read_input_tokens": "(exp(random() * 11))::int",
        "duration_ms": "(exp(6 + random() * 5))::int",
        "ttfb_ms": "(exp(4 + random() * 4))::int",
        "cost_usd": "(random() ^ 3)::numeric(21, 15)",
        "provider_chain": "CASE WHEN r.provider_chain IS NULL THEN NULL ELSE jsonb_set(r.provider_chain,"
        " '{0,timestamp}', to_jsonb(1763000000000 + (random() * 4e9)::bigint)) END",
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


def programs_for(server: Server) -> list[Installation]:
    """What `make setup` leaves on a machine with this server: a 15 has the programs of 16 beside its own."""
    beside = [installation_of(FIRST_WITH_ZSTD)] if server.major == LAST_WITHOUT_ZSTD else []
    return [server.installation, *beside]


def environment(data_folder: Path, connection: Connection, programs: Sequence[Installation]) -> dict[str, str]:
    """The environment of a pghaven that looks after the measured database alone, and has these programs.

    Not those that the checkout has: what is measured should not depend on it.
    """
    password = connection.password.reveal if connection.password else ""
    url = (
        f"postgresql://{connection.user}:{password}@/{connection.dbname}?host={connection.host}&port={connection.port}"
    )
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        "BACKUP_STORAGE_PATH": str(data_folder),
        "DATABASE_URL": url,
        "PG_BIN_DIRS": os.pathsep.join(str(one.folder) for one in programs),
        "PGHAVEN_PRIVATE_FOLDER": str(data_folder.with_name("private")),
    }


def backup_of(output: str) -> dict[str, object]:
    """The backup's facts from what `pghaven backups take --json` printed."""
    found = json.loads(output)
    assert isinstance(found, dict)
    return found
