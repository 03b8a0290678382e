"""The check of a plan that looks at roles: who will own what is restored, and whether grants can be kept."""

from __future__ import annotations

from storage.errors import Message, say, say_count
from storage.postgres.archive import Archive
from storage.postgres.quoting import quoted
from storage.restores.looked import Looked
from storage.restores.plan import Light

_ALWAYS = ("pg_database_owner", "")
"""Roles that every server has, or none."""


def check(at: Looked) -> tuple[bool, bool]:
    """(no_owner, no_privileges), with the check that says why."""
    facts = at.facts
    entries = at.archive.entries if isinstance(at.archive, Archive) else ()
    owners = {entry.owner for entry in entries if entry.owner}
    wanted = {name for name in (*at.backup.source.roles, *owners) if name not in _ALWAYS}
    missing = sorted(wanted - facts.roles)
    granted = [entry.definition for entry in entries if entry.kind in ("ACL", "DEFAULT ACL")]
    in_policies = [entry.definition for entry in entries if entry.kind == "POLICY"]
    no_privileges = any(_names(role, text) for role in missing for text in granted)
    no_owner = not owners - set(_ALWAYS) <= facts.acts_as
    if stuck := [role for role in missing if any(_names(role, text) for text in in_policies)]:
        at.bad(
            "roles",
            say("Row security policies name roles that the server does not have: %(names)s.",
                names=", ".join(stuck)),
            say("Create them: CREATE ROLE %(name)s;", name=quoted(stuck[0])),
        )  # fmt: skip
    elif at.restricted:
        return True, True
    elif missing:
        at.note(
            "roles",
            Light.WARNING,
            say("The server does not have these roles: %(names)s. What belonged to them will belong to %(role)s, "
                "and what was granted is left out.", names=", ".join(missing), role=facts.role),
            say("Create them first, to keep owners and grants: CREATE ROLE %(name)s;", name=quoted(missing[0])),
        )  # fmt: skip
    elif no_owner:
        others = sorted(owners - facts.acts_as)
        at.note(
            "roles",
            Light.WARNING,
            say("%(role)s may not give things to %(names)s: everything will belong to %(role)s, and an application "
                "that signs in as another role may lose rights.", role=facts.role, names=", ".join(others)),
            say("To keep owners, as a superuser: GRANT %(name)s TO %(role)s; where %(name)s is a superuser, rather "
                "change the owner of its few things (ALTER … OWNER TO) and take a new backup.",
                name=quoted(others[0]), role=quoted(facts.role)),
        )  # fmt: skip
    else:
        at.good("roles", _roles_are_there(len(wanted)))
    return no_owner, no_privileges


def _roles_are_there(count: int) -> Message:
    if count == 0:
        return say("No roles are needed; owners and grants are kept.")
    return say_count(
        "%(count)s role is there; owners and grants are kept.",
        "All %(count)s roles are there; owners and grants are kept.",
        count=count,
    )


def _names(role: str, definition: str) -> bool:
    return (
        quoted(role) in definition
        or f" {role};" in definition
        or f" {role} " in definition
        or f" {role}," in definition
    )
