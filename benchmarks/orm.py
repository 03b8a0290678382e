"""What the export is compared with: the log's rows as objects of SQLAlchemy's ORM, all of them, then csv.writer.

A process of its own: `python -m benchmarks.orm FILE SINCE`, with the connection in libpq's environment.
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

TABLES = ("message_request", "users", "keys", "providers")
HEADINGS = (
    "Time", "User", "Key", "Provider", "Model", "Original Model", "Endpoint", "Status Code", "Input Tokens",
    "Output Tokens", "Cache Write 5m", "Cache Write 1h", "Cache Read", "Total Tokens", "Cost (USD)", "Duration (ms)",
    "Session ID", "Retry Count",
)  # fmt: skip
NO_ATTEMPT = ("initial_selection", "session_reuse", "http2_fallback")


def main(path: Path, since: datetime) -> None:
    engine = create_engine("postgresql+psycopg://")
    metadata = MetaData()
    metadata.reflect(engine, only=TABLES)
    base = automap_base(metadata=metadata)
    base.prepare()
    request, user, key, provider = (base.classes[table] for table in TABLES)
    wanted = (
        select(request, user.name, key.name, provider.name)
        .outerjoin(user, user.id == request.user_id)
        .outerjoin(key, key.key == request.key)
        .outerjoin(provider, provider.id == request.provider_id)
        .where(request.deleted_at.is_(None), request.created_at >= since)
        .order_by(request.created_at.desc(), request.id.desc())
    )
    with Session(engine) as session, path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = session.execute(wanted).all()
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        writer.writerows([guarded(value) for value in cells(*row)] for row in rows)


def cells(r: Any, user: str | None, key: str | None, provider: str | None) -> list[Any]:
    written = max(
        r.cache_creation_input_tokens or 0,
        (r.cache_creation_5m_input_tokens or 0) + (r.cache_creation_1h_input_tokens or 0),
    )
    tokens = (r.input_tokens or 0) + (r.output_tokens or 0) + (r.cache_read_input_tokens or 0) + written
    return [
        r.created_at and r.created_at.astimezone(UTC).isoformat(), user, key, provider, r.model, r.original_model,
        r.endpoint, r.status_code, r.input_tokens or 0, r.output_tokens or 0, r.cache_creation_5m_input_tokens or 0,
        r.cache_creation_1h_input_tokens or 0, r.cache_read_input_tokens or 0, tokens, r.cost_usd, r.duration_ms,
        r.session_id, retries(r.provider_chain),
    ]  # fmt: skip


def retries(chain: Any) -> int:
    if not isinstance(chain, list) or any(str(one.get("reason", "")).startswith("hedge") for one in chain):
        return 0
    return max(sum(one.get("reason") not in NO_ATTEMPT for one in chain) - 1, 0)


def guarded(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \n\v\f").startswith(tuple("=+-@\t\r")) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]))
