"""The part of a map that says where an application logs the health checks of the endpoints that it asks."""

from __future__ import annotations

from dataclasses import dataclass

from storage.applications.fields import Fields

PROBE_KEYS = frozenset({"table", "id", "time", "endpoint", "ok", "source", "sources", "status", "latency", "error",
                        "error_type", "endpoints"})  # fmt: skip
_ENDPOINT_KEYS = frozenset({"table", "id", "title", "only"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoints:
    """What is probed. Expressions name a row of the table `e`."""

    table: str
    id: str = "id"
    title: str
    """An expression: what it is called."""
    only: str = ""
    """A condition that is false for what the application has deleted; "" where it deletes rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeLog:
    """A row for each probe; all but `table` and `sources` are its columns. `id` grows with each row."""

    table: str
    id: str = "id"
    time: str
    endpoint: str
    ok: str
    source: str
    status: str
    latency: str
    """Milliseconds."""
    error: str
    error_type: str
    sources: tuple[str, ...]
    """What `source` may be."""
    endpoints: Endpoints


def read(fields: Fields) -> ProbeLog:
    """Read the table [probes] of a map. Raises Invalid with the file's name."""
    endpoints = fields.table("endpoints", _ENDPOINT_KEYS)
    if endpoints is None:
        raise fields.wrong("endpoints")
    return ProbeLog(
        table=fields.read("table", str),
        id=fields.read("id", str, default="id"),
        time=fields.read("time", str),
        endpoint=fields.read("endpoint", str),
        ok=fields.read("ok", str),
        source=fields.read("source", str),
        status=fields.read("status", str),
        latency=fields.read("latency", str),
        error=fields.read("error", str),
        error_type=fields.read("error_type", str),
        sources=fields.texts("sources"),
        endpoints=Endpoints(
            table=endpoints.read("table", str),
            id=endpoints.read("id", str, default="id"),
            title=endpoints.read("title", str),
            only=endpoints.read("only", str, default=""),
        ),
    )
