"""`/healthz` for a supervisor, `/readyz` for a proxy, `/metrics` for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from webapp.answers import answer
from webapp.current import account_or_none, storage
from webapp.health import vitals
from webapp.health.metrics import Collector
from webapp.language import translated
from webapp.permissions import public, requires

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    """200 when pghaven works, 503 when a person or a restart is needed; why is told only to who may see the system."""
    open_storage = storage()
    troubles = vitals.troubles(
        heartbeat=open_storage.ticker.heartbeat,
        opened_at=open_storage.opened_at,
        now=open_storage.clock(),
        folder=open_storage.settings.data_folder,
    )
    found: dict[str, object] = {"status": "failing" if troubles else "ok"}
    account = account_or_none()
    if account is not None and account.may("see the system"):
        heartbeat = open_storage.ticker.heartbeat
        age = (open_storage.clock() - heartbeat).total_seconds() if heartbeat else None
        found |= {"heartbeat_age_seconds": age, "troubles": [translated(trouble) for trouble in troubles]}
    return answer(found, 503 if troubles else 200)


@bp.get("/readyz")
@public
def ready() -> Response:
    """200 from the moment at which jobs are carried out until the stop begins."""
    working = storage().working
    return answer({"status": "ready" if working else "starting"}, 200 if working else 503)


@bp.get("/metrics")
@requires("see backups")
def metrics() -> Response:
    registry = CollectorRegistry()
    registry.register(Collector(storage()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
