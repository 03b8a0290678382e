"""The frame that every page stands in: what happens to each request, in which order; and the list of capabilities."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from htmx_flask import Htmx
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import (
    bodies,
    cells,
    cookies,
    csrf,
    errors,
    formats,
    headers,
    language,
    navigation,
    permissions,
    preferences,
    states,
    streams,
    unchanged,
)

if TYPE_CHECKING:
    from storage.opening import Storage

ROOT = Path(__file__).parent.parent
CAPABILITIES = (
    "overview",
    "databases",
    "backups",
    "retention",
    "uploads",
    "proofs",
    "destinations",
    "history",
    "schedules",
    "logs",
    "restores",
    "jobs",
    "alerts",
    "accounts",
    "audit",
    "system",
    "health",
    "api",
)
"""Each is a package webapp.<name> with a blueprint `bp`."""


def build(storage: Storage) -> Flask:
    app = Flask("webapp", root_path=str(ROOT), template_folder="templates", static_folder="static")
    app.extensions["storage"] = storage
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if hops := storage.settings.behind_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)  # type: ignore[method-assign]
    # The order of the next lines is the order in which a request is looked at.
    Htmx(app)
    cookies.install(app, storage)
    language.install(app, storage.settings)
    permissions.install(app)
    bodies.install(app)
    csrf.install(app)
    headers.install(app)
    errors.install(app)
    formats.install(app, storage)
    states.install(app)
    cells.install(app)
    streams.install(app, storage.settings)
    unchanged.install(app)
    navigation.install(app)
    app.register_blueprint(preferences.bp)
    for name in CAPABILITIES:
        app.register_blueprint(importlib.import_module(f"webapp.{name}").bp)
    return app
