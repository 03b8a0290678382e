"""The checks of a plan that look at the archive: whether it is whole, where it comes from, what can read it, and what
it wants of the server. They note what they find, and ask nobody."""

from __future__ import annotations

from storage.clock import to_text
from storage.errors import StorageError, say
from storage.postgres.archive import Archive
from storage.postgres.programs import Installation, for_restore
from storage.restores.looked import Looked
from storage.restores.plan import Light


def intact(at: Looked) -> None:
    if isinstance(at.archive, StorageError):
        at.bad("archive", at.archive.cause, at.archive.advice)
        return
    verified = at.backup.verified
    if verified and verified.good:
        at.good(
            "archive",
            say("The archive was whole when it was last read in full, %(read_at)s. Its SHA-256 is compared again "
                "before anything is changed.", read_at=to_text(verified.at)),
        )  # fmt: skip
    else:
        at.note("archive", Light.WARNING, say("The archive was never read in full."), say("Verify the backup first."))


def origin(at: Looked) -> None:
    if at.backup.ours:
        return
    if at.restricted:
        at.note(
            "origin",
            Light.WARNING,
            say("This archive was uploaded; pghaven did not make it. An archive can run anything: it is loaded by "
                "a role of its own without special rights, and owners and grants are left out."),
            say("What it brings along (functions, triggers, views) works with the rights of whoever uses it "
                "afterwards. Use it only if you know where it comes from."),
        )  # fmt: skip
    else:
        at.note(
            "origin",
            Light.WARNING,
            say("This archive was uploaded; pghaven did not make it. An archive can run anything that %(role)s may "
                "do.", role=at.facts.role),
            say("Use it only if you know where it comes from."),
        )  # fmt: skip
    at.note(
        "manifest",
        Light.WARNING,
        say("There is no manifest to compare with: nobody counted the rows when it was dumped. They are counted "
            "after loading."),
    )  # fmt: skip


def versions(at: Looked) -> Installation | None:
    if isinstance(at.archive, StorageError):
        return None
    header, major = at.archive.header, at.facts.major
    chosen = for_restore(at.installations, header.version, zstd=header.compression == "zstd", target_major=major)
    if chosen is None:
        _no_program(at, header.client_needed, major)
        return None
    shown = {
        "source": _short(header.server_version),
        "server": _short(at.facts.version),
        "client": chosen.version,
    }
    if header.server_major > major:
        at.note(
            "versions",
            Light.WARNING,
            say("The backup is of PostgreSQL %(source)s, the server is %(server)s, which is older.", **shown),
            say("What the older one does not know makes the restore fail; nothing is changed then."),
        )
    else:
        at.good("versions", say("%(source)s into %(server)s, with pg_restore %(client)s.", **shown))
    return chosen


def _no_program(at: Looked, client: int, server: int) -> None:
    if client > 16 and server <= 16:
        at.bad(
            "versions",
            say("The archive was made by pg_dump %(client)s or newer, which no pg_restore brings into a server of "
                "version %(server)s.", client=client, server=server),
            say("Restore it on a server of version %(client)s or newer.", client=client),
        )  # fmt: skip
        return
    major = max(client, 14)
    at.bad(
        "versions",
        say("The archive needs pg_restore %(client)s or newer, which is not here.", client=client),
        say("Install it with: pghaven tools install %(major)s", major=major),
    )


def extensions(at: Looked) -> None:
    wanted, facts = [name for name, _ in at.backup.source.extensions], at.facts
    if isinstance(at.archive, Archive):
        listed = [entry.name for entry in at.archive.entries if entry.kind == "EXTENSION"]
        wanted = list(dict.fromkeys([*wanted, *listed]))
    missing = [name for name in wanted if name not in facts.extensions and name != "plpgsql"]
    if missing:
        at.bad(
            "extensions",
            say("The server does not have: %(names)s.", names=", ".join(missing)),
            say("Install the packages of these extensions on the server."),
        )
        return
    forbidden = [
        name
        for name in wanted
        if (not facts.superuser or at.restricted)
        and name in facts.extensions
        and facts.extensions[name].superuser
        and not facts.extensions[name].trusted
    ]
    if forbidden and not at.restricted:
        at.bad(
            "extensions",
            say("%(role)s may not create these extensions: %(names)s.",
                role=facts.role, names=", ".join(forbidden)),
            say("Restore as a superuser."),
        )  # fmt: skip
    elif forbidden and at.restricted:
        at.bad(
            "extensions",
            say("An uploaded archive may not create these extensions: %(names)s.", names=", ".join(forbidden)),
            say("If you trust it, restore it by hand with pg_restore, and take a backup of that."),
        )
    elif wanted:
        at.good("extensions", say("Extensions are there: %(names)s.", names=", ".join(wanted)))
    else:
        at.good("extensions", say("No extensions are needed."))


def subscriptions(at: Looked) -> None:
    if isinstance(at.archive, StorageError):
        return
    if listed := [entry.name for entry in at.archive.entries if entry.kind == "SUBSCRIPTION"]:
        at.note(
            "subscriptions",
            Light.WARNING,
            say("The subscriptions %(names)s are left out: the restored database takes no changes from elsewhere.",
                names=", ".join(listed)),
            say("Make them again afterwards, with CREATE SUBSCRIPTION."),
        )  # fmt: skip


def _short(version: str) -> str:
    return version.split(" ")[0]
