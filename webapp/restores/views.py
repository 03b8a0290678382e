"""The pages of restores: the plan, the confirmation, the start, the list and the result.

A restore is asked for in three steps, and each of them reads the facts again: the plan, the confirmation that carries
the plan's digest, and the start, which goes back to the plan when it says something else by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for
from werkzeug.wrappers import Response

from storage.backups.record import BackupRecord
from storage.restores.plan import RestorePlan
from storage.restores.record import RestoreRecord
from storage.restores.undo import can_be_undone
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage, wants_fragment
from webapp.permissions import requires
from webapp.restores import forms, summary
from webapp.restores.forms import Asked

bp = Blueprint("restores", __name__)

OFFERED = 5
"""Backups offered for each database; History has the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The good backups of one database, newest first, and how many older ones there are."""

    database: str
    backups: tuple[BackupRecord, ...]
    more: int


@bp.get("/restores")
@requires("see backups")
def index() -> str:
    records = storage().backups.catalog.all()
    return render_template(
        "restores/index.html",
        restores=storage().restores.all(),
        choices=_choices(records),
        kept=storage().restores.kept(),
        taken={record.backup_id: record.started_at for record in records},
    )


@bp.get("/restores/new")
@requires("restore")
def plan() -> str | tuple[str, int]:
    """The plan of what would be done. Nothing is changed by it; every choice asks for it again."""
    asked = forms.read(request.args)
    record = _backup(asked)
    if not record.good:
        return _unusable(record), 409
    return _plan_page(asked, storage().restores.plan(asked.request))


@bp.get("/restores/confirm")
@requires("restore")
def confirm() -> str | tuple[str, int]:
    asked = forms.read(request.args)
    record = _backup(asked)
    if not record.good:
        return _unusable(record), 409
    decided = storage().restores.plan(asked.request)
    if asked.refused_name or decided.blocked or asked.plan not in ("", decided.digest):
        return _plan_page(asked, decided, changed=asked.plan not in ("", decided.digest))
    return _confirm_page(asked, decided)


@bp.post("/restores")
@requires("restore")
def start() -> Response | tuple[str, int]:
    """Start what was confirmed, if it still is what would be done."""
    asked = forms.read(request.form)
    record = _backup(asked)
    if not record.good:
        return _unusable(record), 409
    decided = storage().restores.plan(asked.request)
    if asked.refused_name:
        return _plan_page(asked, decided), 422
    if decided.blocked or asked.plan != decided.digest:
        return _plan_page(asked, decided, changed=asked.plan != decided.digest), 409
    if decided.mode.changes_present and asked.typed != decided.target:
        return _confirm_page(asked, decided, typed=asked.typed, wrong=True), 422
    job, _ = storage().restores.start(decided.request, by=current_name(), confirmed=asked.typed)
    audited("restore_requested", decided.target, backup=record.backup_id, mode=decided.mode.value, job=job.job_id)
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.get("/restores/<restore_id>")
@requires("see backups")
def show(restore_id: str) -> str:
    restore = storage().restores.get(restore_id)
    backup = next(
        (found for found in storage().backups.catalog.find(database=restore.database)
         if found.backup_id == restore.backup_id), None
    )  # fmt: skip
    return render_template("restores/show.html", restore=restore, backup=backup, undoable=can_be_undone(restore))


@bp.get("/restores/of/<name>")
@requires("see backups")
def of_database(name: str) -> str:
    """What the restores of a database keep on its server: a fragment of its page."""
    return render_template("restores/_of_database.html", kept=storage().restores.kept(server=name))


@bp.get("/restores/<restore_id>/undo")
@requires("restore")
def confirm_undo(restore_id: str) -> str:
    return render_template("restores/undo.html", plan=storage().restores.plan_undo(restore_id))


@bp.post("/restores/<restore_id>/undo")
@requires("restore")
def undo(restore_id: str) -> Response:
    drop = request.form.get("drop") == "yes"
    job, _ = storage().restores.undo(restore_id, by=current_name(), drop=drop)
    target = storage().restores.get(restore_id).target
    audited("restore_undo_requested", target, restore=restore_id, drop=drop, job=job.job_id)
    return see(url_for("jobs.show", job_id=job.job_id))


@bp.get("/restores/<restore_id>/drop")
@requires("restore")
def confirm_drop(restore_id: str) -> str | Response:
    return _drop_page(storage().restores.get(restore_id))


@bp.post("/restores/<restore_id>/drop")
@requires("restore")
def drop(restore_id: str) -> str | Response | tuple[str, int]:
    """Drop the database that a restore kept, by its typed name."""
    record = storage().restores.get(restore_id)
    typed = request.form.get("typed", "").strip()
    if record.keeps and typed != record.kept_as:
        return render_template("restores/drop.html", restore=record, typed=typed, wrong=True), 422
    storage().restores.drop_kept(restore_id, confirmed=typed, by=current_name())
    audited("restore_kept_dropped", record.kept_as, restore=restore_id)
    return see(url_for("restores.show", restore_id=restore_id))


def _drop_page(record: RestoreRecord) -> str | Response:
    if not record.keeps:
        return see(url_for("restores.show", restore_id=record.restore_id))
    return render_template("restores/drop.html", restore=record, typed="", wrong=False)


def _choices(records: Sequence[BackupRecord]) -> list[Choice]:
    """The newest good backups of each database; only the files of those that are offered are looked at."""
    choices = []
    for profile in storage().databases.all():
        candidates = [record for record in records if record.database == profile.name and record.good]
        offered: list[BackupRecord] = []
        while candidates and len(offered) < OFFERED:
            record = storage().backups.catalog.check_file(candidates.pop(0))
            if record.good:
                offered.append(record)
        if offered:
            choices.append(Choice(database=profile.name, backups=tuple(offered), more=len(candidates)))
    return choices


def _backup(asked: Asked) -> BackupRecord:
    """The backup as its file is now."""
    record: BackupRecord = storage().backups.catalog.get(asked.request.backup_id)
    return storage().backups.catalog.check_file(record)


def _unusable(record: BackupRecord) -> str:
    newest = storage().backups.catalog.newest_good(record.database, besides=record.backup_id)
    registered = any(profile.name == record.database for profile in storage().databases.all())
    # A copy elsewhere is as good: what brings it back is on this page, too.
    names = [destination.name for destination in storage().destinations.all()] if record.copied else []
    return render_template(
        "restores/unusable.html", backup=record, newest=newest, registered=registered, destinations=names
    )


def _plan_page(asked: Asked, decided: RestorePlan, *, changed: bool = False) -> str:
    return render_template(
        "restores/_plan.html" if wants_fragment() else "restores/plan.html",
        asked=asked,
        plan=decided,
        summary=summary.of(decided, all_tables=asked.all_tables),
        changed=changed,
        servers=[profile.name for profile in storage().databases.all()],
    )


def _confirm_page(asked: Asked, decided: RestorePlan, *, typed: str = "", wrong: bool = False) -> str:
    return render_template(
        "restores/confirm.html",
        asked=asked,
        plan=decided,
        summary=summary.of(decided, all_tables=False),
        typed=typed,
        wrong=wrong,
    )
