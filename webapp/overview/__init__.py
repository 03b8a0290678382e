"""The first page: one sentence, what needs a person, what runs, and the thirty days of every database."""

from webapp.overview.routes import bp

__all__ = ["bp"]
