"""The plan: decided from facts alone, so every check is tried without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.backups.record import BackupRecord, SourceFacts, TableFacts
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, Damaged, StorageError, say
from storage.postgres.archive import Archive, ArchiveHeader, Entry
from storage.postgres.connection import Connection
from storage.postgres.programs import Installation
from storage.restores import names
from storage.restores.deciding import decide, with_target
from storage.restores.facts import Extension, RowsNow, ServerFacts, Sessions, TargetFacts
from storage.restores.plan import Light, RestorePlan
from storage.restores.request import Mode, RestoreRequest
from tests.builders import a_backup

NOW = datetime(2026, 11, 22, 13, 14, 5, tzinfo=UTC)
BEN = Sessions(application="psql", user="ben", count=3, may_end=True)
HELD = replace(BEN, may_end=False)
TARGET = TargetFacts(oid=16384, owner="app", encoding="UTF8", collate="C", ctype="C")
SERVER = ServerFacts(
    version="16.10 (Debian 16.10-1)",
    major=16,
    role="haven",
    superuser=True,
    create_databases=True,
    databases=("postgres", "shop"),
    roles=frozenset({"haven", "app"}),
    acts_as=frozenset({"haven", "app"}),
    extensions={
        "pg_trgm": Extension(trusted=True, superuser=True),
        "file_fdw": Extension(trusted=False, superuser=True),
    },
    free_bytes=10**12,
    target=TARGET,
    rows={},
)
HEADER = ArchiveHeader(
    version=(1, 15),
    compression="zstd",
    server_version="16.10",
    dump_version="16.11",
    dbname="shop",
    created_at=NOW,
)


def a_program(major: int, *, zstd: bool = True) -> Installation:
    return Installation(folder=Path(f"/{major}"), major=major, version=f"{major}.1", has_server=True, zstd=zstd)


def an_entry(kind: str, name: str = "x", *, owner: str = "app", definition: str = "") -> Entry:
    return Entry(
        dump_id=1, kind=kind, schema="public", name=name, owner=owner, definition=definition, section="", has_data=False
    )


def a_plan(
    *,
    mode: Mode = Mode.REPLACE,
    target: str = "shop",
    backup: BackupRecord | None = None,
    archive: Archive | StorageError | None = None,
    programs: tuple[int, ...] = (15, 16, 17),
    **facts: Any,
) -> RestorePlan:
    return decide(
        RestoreRequest(backup_id="b", mode=mode, target=target),
        backup=backup or a_backup(source=SourceFacts(server_major=16, database="shop", size=9_000_000, owner="app")),
        archive=archive or Archive(HEADER, ()),
        profile=DatabaseProfile(name="shop", connection=Connection(host="h", user="haven", dbname="shop")),
        facts=replace(SERVER, **facts),
        installations=[a_program(major) for major in programs],
        now=NOW,
    )


def state(plan: RestorePlan, code: str) -> Light:
    return next(check.state for check in plan.checks if check.code == code)


def said(plan: RestorePlan, code: str) -> str:
    check = next(check for check in plan.checks if check.code == code)
    return f"{check.message} {check.advice or ''}".strip()


def test_a_plan_without_trouble_is_good_in_everything() -> None:
    plan = a_plan()
    assert {check.state for check in plan.checks} == {Light.GOOD}
    assert not plan.blocked
    plan.refuse_if_blocked()
    assert (plan.owner, plan.no_owner, plan.no_privileges) == ("app", False, False)
    assert plan.kept_as == "shop_before_20261122_1314"
    assert plan.installation is not None and plan.installation.major == 16


def test_a_plan_that_is_blocked_refuses_with_what_to_do() -> None:
    plan = a_plan(superuser=False, create_databases=False)
    assert plan.blocked
    with pytest.raises(Conflict, match='ALTER ROLE "haven" CREATEDB'):
        plan.refuse_if_blocked()


@pytest.mark.parametrize(
    ("code", "light", "words", "facts"),
    [
        ("target", Light.BAD, "already", {"mode": Mode.NEW, "target": "shop"}),
        ("target", Light.GOOD, "Nothing is replaced", {"mode": Mode.NEW, "target": "other"}),
        ("target", Light.BAD, "There is no database", {"target": None}),
        ("target", Light.BAD, "standby", {"in_recovery": True}),
        ("rights", Light.BAD, 'GRANT "app" TO "haven"', {"superuser": False, "t": {"may_own": False}}),
        ("rights", Light.GOOD, "may create", {"superuser": False}),
        ("space", Light.BAD, "1.0 MB are free", {"free_bytes": 10**6}),
        ("space", Light.GOOD, "not known", {"free_bytes": None}),
        ("versions", Light.BAD, "tools install 16", {"programs": (15,)}),
        ("versions", Light.BAD, "tools install 16", {"programs": (17,)}),
        ("sessions", Light.WARNING, "3 sessions", {"t": {"sessions": (BEN,)}}),
        ("sessions", Light.BAD, "may not end", {"t": {"sessions": (HELD,)}}),
        ("prepared", Light.BAD, "ROLLBACK PREPARED", {"t": {"prepared": 2}}),
        ("slots", Light.WARNING, "feed", {"t": {"slots": ("feed",)}}),
    ],
)  # fmt: skip
def test_each_check_says_what_is_so_and_what_to_do(code: str, light: Light, words: str, facts: dict[str, Any]) -> None:
    if "t" in facts:
        facts["target"] = replace(TARGET, **facts.pop("t"))
    if facts.get("target", TARGET) is None or isinstance(facts.get("target"), TargetFacts):
        found = facts.pop("target")
        plan = _with_target_facts(found, facts)
    else:
        plan = a_plan(**facts)
    assert state(plan, code) is light
    assert words in said(plan, code)


def _with_target_facts(found: TargetFacts | None, facts: dict[str, Any]) -> RestorePlan:
    return decide(
        RestoreRequest(backup_id="b", mode=Mode.REPLACE, target="shop"),
        backup=a_backup(source=SourceFacts(server_major=16, database="shop", size=9_000_000, owner="app")),
        archive=Archive(HEADER, ()),
        profile=DatabaseProfile(name="shop", connection=Connection(host="h", user="haven", dbname="shop")),
        facts=replace(SERVER, target=found, **facts),
        installations=[a_program(16)],
        now=NOW,
    )


def test_an_archive_of_17_cannot_go_into_16_whatever_is_installed() -> None:
    header = replace(HEADER, version=(1, 16), server_version="17.2")
    plan = a_plan(archive=Archive(header, ()), programs=(15, 16, 17, 18))
    assert state(plan, "versions") is Light.BAD
    assert "server of version 17 or newer" in said(plan, "versions")


def test_a_newer_source_is_a_warning_where_a_program_fits() -> None:
    plan = a_plan(archive=Archive(replace(HEADER, server_version="18.1"), ()))
    assert state(plan, "versions") is Light.WARNING


def test_a_damaged_archive_blocks_with_its_own_words() -> None:
    refusal = Damaged(say("The backup %(id)s is damaged.", id="b"), advice=say("Use another."))
    plan = a_plan(archive=refusal)
    assert plan.blocked
    assert said(plan, "archive") == "The backup b is damaged. Use another."


def test_missing_extensions_block_and_are_named() -> None:
    source = SourceFacts(server_major=16, database="shop", extensions=(("postgis", "3.4"), ("pg_trgm", "1.6")))
    plan = a_plan(backup=a_backup(source=source))
    assert state(plan, "extensions") is Light.BAD
    assert "postgis" in said(plan, "extensions") and "pg_trgm" not in said(plan, "extensions")


def test_an_extension_that_only_superusers_may_create_blocks_others() -> None:
    plan = a_plan(archive=Archive(HEADER, (an_entry("EXTENSION", "file_fdw"),)), superuser=False)
    assert state(plan, "extensions") is Light.BAD
    assert not a_plan(archive=Archive(HEADER, (an_entry("EXTENSION", "file_fdw"),))).blocked


def test_a_missing_owner_means_that_owners_are_left_out_and_said() -> None:
    plan = a_plan(archive=Archive(HEADER, (an_entry("TABLE", owner="gone"),)))
    assert (plan.no_owner, plan.no_privileges, plan.blocked) == (True, False, False)
    assert 'CREATE ROLE "gone"' in said(plan, "roles")


def test_a_missing_role_in_a_grant_means_that_grants_are_left_out() -> None:
    source = SourceFacts(server_major=16, database="shop", roles=("reader",))
    entries = (an_entry("ACL", definition="GRANT SELECT ON TABLE public.x TO reader;\n"),)
    plan = a_plan(backup=a_backup(source=source), archive=Archive(HEADER, entries))
    assert (plan.no_owner, plan.no_privileges) == (False, True)


def test_a_missing_role_in_a_policy_blocks() -> None:
    source = SourceFacts(server_major=16, database="shop", roles=("reader",))
    entries = (an_entry("POLICY", definition="CREATE POLICY p ON public.x TO reader USING (true);\n"),)
    assert state(a_plan(backup=a_backup(source=source), archive=Archive(HEADER, entries)), "roles") is Light.BAD


def test_a_role_that_may_not_give_things_away_keeps_them() -> None:
    plan = a_plan(
        archive=Archive(HEADER, (an_entry("TABLE", owner="app"),)), superuser=False, acts_as=frozenset({"haven"})
    )
    assert plan.no_owner
    assert 'GRANT "app" TO "haven"' in said(plan, "roles")


def test_a_locale_that_the_server_lacks_is_a_warning() -> None:
    source = SourceFacts(server_major=16, database="shop", collate="de_DE.UTF-8", ctype="de_DE.UTF-8")
    plan = a_plan(mode=Mode.NEW, target="other", backup=a_backup(source=source))
    assert state(plan, "locale") is Light.WARNING
    assert plan.collate == ""
    there = a_plan(mode=Mode.NEW, target="other", backup=a_backup(source=source), collations=frozenset({"de_de.utf8"}))
    assert there.collate == "de_DE.UTF-8"


def test_rows_now_stand_against_rows_in_the_backup_the_largest_difference_first() -> None:
    backup = a_backup(
        tables={
            "public.a": TableFacts(rows=10, digest=None),
            "public.b": TableFacts(rows=100, digest=None),
            "public.gone": TableFacts(rows=5, digest=None),
        }
    )
    now = {
        "public.a": RowsNow(rows=10, exact=True),
        "public.b": RowsNow(rows=400, exact=False),
        "public.fresh": RowsNow(rows=7, exact=True),
    }
    plan = a_plan(backup=backup, rows=now)
    assert [(row.name, row.now, row.backup, row.difference, row.exact) for row in plan.tables] == [
        ("public.b", 400, 100, -300, False),
        ("public.fresh", 7, None, None, True),
        ("public.gone", None, 5, None, True),
        ("public.a", 10, 10, 0, True),
    ]
    assert not a_plan(rows=None).rows_known


def test_the_digest_changes_with_the_plan_but_not_with_rows_and_sessions() -> None:
    one = a_plan()
    assert one.digest == a_plan(rows={"public.a": RowsNow(rows=1, exact=True)}).digest
    assert one.digest != a_plan(free_bytes=1).digest
    assert one.digest != a_plan(mode=Mode.NEW, target="other").digest


def test_a_plan_can_be_printed_as_json() -> None:
    data = a_plan().to_json()
    assert (data["target"], data["mode"], data["blocked"], data["program"]) == (
        "shop", "replace", False, "pg_restore 16.1",
    )  # fmt: skip


def test_a_new_database_gets_the_day_of_its_backup_as_a_name() -> None:
    backup = a_backup(source=SourceFacts(database="shop"))
    request = RestoreRequest(backup_id="b")
    assert with_target(request, backup=backup, dbname="x", databases=()).target == "shop_20261122"
    replaced = with_target(RestoreRequest(backup_id="b", mode=Mode.REPLACE), backup=backup, dbname="x", databases=())
    assert replaced.target == "x"


def test_names_stay_within_63_bytes_and_whole_letters() -> None:
    long = "é" * 31
    for name in (names.kept(long, NOW, taken=()), names.beside(long, "20261122T131405Z-abcdef")):
        assert len(name.encode()) <= 63
        assert name.startswith("éé")


def test_a_kept_database_never_takes_a_name_that_is_there() -> None:
    taken: set[str] = set()
    for _ in range(4):
        name = names.kept("shop", NOW, taken=taken)
        assert name not in taken
        taken.add(name)
