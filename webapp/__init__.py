"""The web and the terminal. `create_app` puts the web together around a storage that somebody else opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from storage.opening import Storage


def create_app(storage: Storage) -> Flask:
    """The WSGI application. It starts no thread and opens nothing."""
    # Imported here because webapp.cli lies in this package, and a command at the terminal need not wait for Flask.
    from webapp.frame import build

    return build(storage)
