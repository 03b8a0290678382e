"""`pghaven logs`: what applications log. Its verbs are in modules of their own; each hangs itself in here."""

from __future__ import annotations

import click


@click.group()
def logs() -> None:
    """Export and clean up what applications log."""
