"""Proofs of restore: asked for from a backup's page, and their certificates."""

from webapp.proofs.routes import bp

__all__ = ["bp"]
