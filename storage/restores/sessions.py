"""What stands against taking a database's name away from those who use it: their sessions, and what holds the name."""

from __future__ import annotations

from storage.errors import say, say_count
from storage.postgres.quoting import quoted
from storage.restores.facts import TargetFacts
from storage.restores.plan import Check, Light


def check(target: TargetFacts, *, name: str, role: str) -> list[Check]:
    """The lines of a plan that will rename the database `name`, connected as `role`."""
    checks = []
    if target.prepared:
        checks.append(
            Check(
                "prepared",
                Light.BAD,
                say_count("%(count)s prepared transaction of %(name)s is open; it cannot be renamed meanwhile.",
                          "%(count)s prepared transactions of %(name)s are open; it cannot be renamed meanwhile.",
                          count=target.prepared, name=name),
                say("End them with COMMIT PREPARED or ROLLBACK PREPARED; pg_prepared_xacts lists them."),
            )
        )  # fmt: skip
    if target.slots:
        checks.append(
            Check(
                "slots",
                Light.WARNING,
                say("The replication slots %(names)s stay with the database that is kept.",
                    names=", ".join(target.slots)),
            )
        )  # fmt: skip
    checks.append(_sessions(target, name=name, role=role))
    return checks


def _sessions(target: TargetFacts, *, name: str, role: str) -> Check:
    count = sum(group.count for group in target.sessions)
    held = sorted({group.user for group in target.sessions if not group.may_end})
    if held:
        return Check(
            "sessions",
            Light.BAD,
            say("%(role)s may not end the sessions of %(names)s.", role=role, names=", ".join(held)),
            say("End them there; only a superuser can end a superuser's. For the others, as a superuser: "
                "GRANT pg_signal_backend TO %(role)s;", role=quoted(role)),
        )  # fmt: skip
    if count:
        return Check(
            "sessions",
            Light.WARNING,
            say_count(
                "%(count)s session uses %(name)s now. It is ended at the swap.",
                "%(count)s sessions use %(name)s now. They are ended at the swap.",
                count=count,
                name=name,
            ),
            say("New connections wait for under a second while the names are swapped."),
        )
    return Check("sessions", Light.GOOD, say("Nobody is connected to %(name)s.", name=name))
