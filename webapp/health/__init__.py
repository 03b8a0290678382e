"""For what watches pghaven from outside: liveness, readiness, metrics."""

from webapp.health.views import bp

__all__ = ["bp"]
