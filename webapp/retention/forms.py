"""Reads the form of a policy, strictly and once. Sizes are typed in GB, and kept in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from storage.backups.policies import BOUNDS, Policy
from storage.errors import Message, say

COUNTS = ("keep_last", "daily", "weekly", "monthly", "yearly")
WHOLE = ("days", *COUNTS, "minimum", "snapshot_days")
MAY_BE_EMPTY = ("days", *COUNTS)
GB = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyForm:
    """What was typed, what it means, and what is wrong with it, field by field."""

    values: Mapping[str, str]
    changes: Mapping[str, int | None] = field(default_factory=dict)
    errors: Mapping[str, Message] = field(default_factory=dict)


def of_policy(policy: Policy) -> PolicyForm:
    """The form of a policy that is there. A rule that says nothing is an empty field."""
    values = {name: str(getattr(policy, name) or "") for name in WHOLE}
    size = "" if policy.most_bytes is None else f"{Decimal(policy.most_bytes) / GB:f}"
    return PolicyForm(values={**values, "most_gb": size})


def read(typed: Mapping[str, str]) -> PolicyForm:
    values = {name: typed.get(name, "").strip()[:20] for name in (*WHOLE, "most_gb")}
    changes: dict[str, int | None] = {}
    errors: dict[str, Message] = {}
    for name in WHOLE:
        least, most = BOUNDS[name]
        text = values[name]
        if not text and name in MAY_BE_EMPTY:
            changes[name] = None if name == "days" else 0
        elif text.isascii() and text.isdigit() and least <= int(text) <= most:
            changes[name] = int(text)
        else:
            errors[name] = say("A whole number from %(least)s to %(most)s.", least=least, most=most)
    try:
        changes["most_bytes"] = _bytes(values["most_gb"])
    except ValueError:
        errors["most_gb"] = say("A number of GB, such as 50 or 0.5; or nothing.")
    return PolicyForm(values=values, changes=changes, errors=errors)


def _bytes(text: str) -> int | None:
    """Raises ValueError for what is not a size that can be."""
    if not text:
        return None
    try:
        size = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    least, most = BOUNDS["most_bytes"]
    if not size.is_finite() or not least <= size * GB <= most:
        raise ValueError(text)
    return int(size * GB)
