"""The pages of schedules. A route reads, calls, and renders or redirects."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import available_timezones

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from storage.clock import to_text
from storage.errors import Invalid, NotFound
from storage.jobs.model import Job
from storage.schedules import cron
from storage.schedules.schedule import Schedule
from storage.schedules.schedules import read_until
from storage.schedules.slots import Slot
from webapp.answers import see
from webapp.audited import audited
from webapp.current import current_name, storage, wants_fragment
from webapp.language import language, translated
from webapp.permissions import requires
from webapp.schedules import forms
from webapp.schedules.forms import PRESETS, ScheduleForm

bp = Blueprint("schedules", __name__)

LAST = 14
"""Slots on the page of a schedule."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A slot, and the job that ran in it as it is now; None when there is no such job any more."""

    slot: Slot
    job: Job | None


@bp.get("/schedules")
@requires("see backups")
def index() -> str:
    now = storage().clock()
    rows = [
        (schedule, next(iter(schedule.runs(now, count=1)), None), next(iter(_passed(schedule.database, 1)), None))
        for schedule in storage().schedules.all()
    ]
    return render_template("schedules/index.html", rows=rows)


@bp.get("/databases/<name>/schedule")
@requires("see backups")
def show(name: str) -> str:
    return _page(storage().schedules.of(name))


@bp.post("/databases/<name>/schedule")
@requires("manage schedules")
def change(name: str) -> Response | tuple[str, int]:
    present, form = storage().schedules.of(name), forms.read(request.form)
    if not form.expression:
        return _page(present, form), 422
    storage().schedules.change(
        name, expression=form.expression, zone=form.zone, ping_url=form.ping_url, by=current_name()
    )
    audited("schedule_changed", name, cron=form.expression, zone=form.zone)
    flash(_("The schedule of %(name)s is changed. What is running goes on.", name=name))
    return see(url_for("schedules.show", name=name))


@bp.post("/databases/<name>/schedule/preview")
@requires("manage schedules")
def preview(name: str) -> str:
    """The next runs of what is typed. Nothing is saved."""
    present, form = storage().schedules.of(name), forms.read(request.form)
    if wants_fragment():
        return render_template("schedules/_preview.html", **_facts(present, form))
    return _page(present, form)


@bp.post("/databases/<name>/schedule/pause")
@requires("manage schedules")
def pause(name: str) -> Response | tuple[str, int]:
    present = storage().schedules.of(name)
    typed = request.form.get("until", "")
    try:
        paused = storage().schedules.pause(name, read_until(typed, present.zone), by=current_name())
    except Invalid as error:
        return _page(present, pause_refused=error), 422
    audited("schedule_paused", name, until=to_text(paused.paused_until))
    flash(_("%(name)s is not backed up by itself until then. By hand it can be at any time.", name=name))
    return see(url_for("schedules.show", name=name))


@bp.post("/databases/<name>/schedule/resume")
@requires("manage schedules")
def resume(name: str) -> Response:
    storage().schedules.resume(name, by=current_name())
    audited("schedule_resumed", name)
    flash(_("The schedule of %(name)s goes on.", name=name))
    return see(url_for("schedules.show", name=name))


@bp.app_template_filter("schedule_words")
def schedule_words(expression: str) -> str:
    """What an expression means, in the reader's language."""
    words = cron.in_words(expression)
    if words is not None:
        return translated(words)
    if language() == "en":
        return cron.explained(expression)
    return _("As the expression %(cron)s says", cron=expression)


@bp.app_template_filter("note_words")
def note_words(run: cron.Run) -> str:
    """What the clocks do to a run."""
    return translated(cron.NOTES[run.note]) if run.note else ""


def _page(present: Schedule, form: ScheduleForm | None = None, *, pause_refused: Invalid | None = None) -> str:
    return render_template(
        "schedules/show.html",
        passed=_passed(present.database, LAST),
        zones=sorted(available_timezones()),
        presets=PRESETS,
        pause_refused=pause_refused,
        **_facts(present, form or forms.of_schedule(present)),
    )


def _facts(present: Schedule, form: ScheduleForm) -> dict[str, object]:
    now = storage().clock()
    shown = present.with_(expression=form.expression, zone=form.zone) if form.expression else None
    return {
        "name": present.database,
        "schedule": present,
        "form": form,
        "runs": shown.runs(now) if shown else (),
        "paused": present.paused(now),
        "next_run": next(iter(present.runs(now, count=1)), None),
    }


def _passed(database: str, count: int) -> list[Passed]:
    return [
        Passed(slot, _job(slot.job_id))
        for slot in storage().schedules.slots(database).newest(count, now=storage().clock())
    ]


def _job(job_id: str) -> Job | None:
    try:
        return storage().jobs.get(job_id) if job_id else None
    except NotFound:
        return None
