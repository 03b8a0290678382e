"""Alerts in the browser: targets, rules, last deliveries, and taking over what earlier systems had."""

from webapp.alerts import migration, targets
from webapp.alerts.blueprint import bp

__all__ = ["bp", "migration", "targets"]
