"""Jobs in the browser and over the API: what runs, one job while it runs and after, its log, cancelling."""

from webapp.jobs.routes import bp

__all__ = ["bp"]
