"""The import as claude-code-hub's admin page knows it: an archive is sent, and events tell how its restore goes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flask import Response, request, stream_with_context

from storage.backups.record import BackupRecord, BackupState
from storage.backups.upload import NOTHING_KEPT
from storage.databases.profile import DatabaseProfile
from storage.errors import Conflict, LockHeld, Message, Unavailable, Unreachable, say
from storage.jobs.model import Job, JobState
from storage.jobs.turns import lock_name
from storage.restores.request import Mode, RestoreRequest
from webapp import streams
from webapp.api.hub import TAG, HubRefusal, Unusable, bp, database_asked_for, said
from webapp.audited import audited
from webapp.bodies import incoming, takes_a_file
from webapp.current import current_name, storage
from webapp.openapi import described
from webapp.permissions import requires

LOOK_EVERY = 0.2
HEARTBEAT = 1.0
"""Seconds after which an event that says nothing shows whether the client is still there."""

NO_FILE = say("The backup file is missing.")
NO_DUMP = say("Wrong kind of file: only backup files with .dump are supported.")
DONE = say("The data were imported.")
ALL_DONE = say("Import and migration are complete.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportForm:
    file: bytes
    cleanFirst: Literal["true", "false"] = "false"
    skipLogs: Literal["true", "false"] = "false"
    database: str = ""


@bp.post("/api/admin/database/import")
@requires("restore")
@takes_a_file
@described(
    {200: "text/event-stream"},
    tag=TAG, form=ImportForm, refused=HubRefusal, refusals=(400, 404, 409, 413, 415, 422, 429, 500, 502, 503),
)  # fmt: skip
def import_() -> Response:
    """Bring what a dump of pg_dump's custom format holds into the database.

    With `cleanFirst` the dump replaces the database, and the present one is kept by another name. Without, it is
    merged: tables that are missing are created, rows whose primary key is missing are inserted, and everything that is
    there stays as it is, in one transaction. `skipLogs` leaves the log tables without their rows.

    The events are progress, and at the end complete or error; an answer that ends without either was broken off, and
    the job with it: the database is as it was. The complete event of a merge has the numbers of rows that were
    `inserted` and `leftAlone`, and as `warningCount` the number of tables of which nothing could be taken.
    """
    file = request.files.get("file")
    if file is None or not file.filename:
        raise Unusable(NO_FILE, effect=NOTHING_KEPT)
    if not file.filename.lower().endswith(".dump"):
        raise Unusable(NO_DUMP, effect=NOTHING_KEPT)
    clean_first, skip_logs = _switch("cleanFirst"), _switch("skipLogs")
    profile = storage().databases.get(database_asked_for(request.form.get("database", "")))
    _refuse_now(profile)
    slot = streams.enter()
    try:
        record = _keep(profile.name, file.filename)
        target = profile.connection.dbname
        order = RestoreRequest(
            backup_id=record.backup_id,
            mode=Mode.REPLACE if clean_first else Mode.MERGE,
            target=target,
            on=profile.name,
            no_logs=skip_logs,
        )
        # Whoever sends it here has said by that what the page asks to be typed.
        job, _new = storage().restores.start(order, by=current_name(), confirmed=target)
        audited("database_import_initiated", profile.name, job=job.job_id, backup=record.backup_id, bytes=record.bytes)
        events = _Events(job, slot)
    except BaseException:
        slot.leave()
        raise
    response = Response(stream_with_context(events.until_the_end()), mimetype="text/event-stream")
    response.call_on_close(events.close)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _switch(name: str) -> bool:
    """A field that says true or false; left out it is false. What decides whether data is replaced is not guessed."""
    value = request.form.get(name, "").strip().lower()
    if value not in ("", "true", "false"):
        raise Unusable(say("%(name)s should be true or false.", name=name), effect=NOTHING_KEPT)
    return value == "true"


def _refuse_now(profile: DatabaseProfile) -> None:
    """What a job would find out later is told at once, in the form that clients know."""
    if not storage().working:
        raise Unavailable(say("pghaven is starting or stopping, and carries out no jobs."))
    if storage().locks.is_held(lock_name(profile.name)):
        raise LockHeld(profile.name, "another job")
    status = storage().statuses.of(profile)
    if status.error is not None:
        raise Unreachable("other", status.error.cause, advice=status.error.advice)


def _keep(database: str, name: str) -> BackupRecord:
    """The archive as a backup here; one that was sent before is the same."""
    try:
        return storage().uploads.publish(incoming(), database=database, name=name, by=current_name())
    except Conflict:
        known = storage().backups.catalog.find(database=database, states={BackupState.COMPLETE})
        for record in known:
            if record.sha256 == incoming().sha256:
                return record
        raise


class _Events:
    """What is told of one job, from its records on disk; its end, when whoever listens has gone."""

    def __init__(self, job: Job, slot: streams.Slot) -> None:
        self._job, self._slot, self._by = job, slot, current_name()
        self._storage = storage()
        self._told = 0

    def until_the_end(self) -> Iterator[str]:
        last = time.monotonic()
        steps: set[str] = set()
        yield _event("progress", said(say("The archive was read in full and is kept.")))
        while True:
            job = self._job = self._storage.jobs.get(self._job.job_id)
            news: list[str | Message] = [
                step.title for step in job.steps if step.started_at is not None and step.code not in steps
            ]
            steps |= {step.code for step in job.steps if step.started_at is not None}
            lines, self._told = self._storage.jobs.log_after(job.job_id, self._told)
            news += [line.text for line in lines]
            for text in news:
                yield _event("progress", said(text) if isinstance(text, Message) else text)
                last = time.monotonic()
            if job.ended:
                yield from _end(job)
                return
            if time.monotonic() - last > HEARTBEAT:
                yield ": \n\n"
                last = time.monotonic()
            time.sleep(LOOK_EVERY)

    def close(self) -> None:
        """The answer has ended, told to its end or not."""
        self._slot.leave()
        if not self._storage.jobs.get(self._job.job_id).ended:
            self._storage.jobs.ask_to_stop(self._job.job_id, by=self._by)


def _end(job: Job) -> Iterator[str]:
    if job.state is JobState.COMPLETED:
        merged = job.result.get("merged")
        yield from _notes(job)
        yield from _done() if merged is None else _merged(merged)
        return
    error = job.error or {}
    parts = [Message.from_json(error[name]) for name in ("cause", "effect", "advice") if error.get(name)]
    details = {"details": error["words"]} if error.get("words") else {}
    yield _event("error", said(*parts), exitCode=1, errorCount=1, **details)


def _notes(job: Job) -> Iterator[str]:
    """What is otherwise than a whole import would leave it."""
    if job.parameters.get("request", {}).get("no_logs"):
        yield _event("progress", said(say("The rows of log tables were left out.")))
    if kept_as := job.result.get("kept_as"):
        yield _event("progress", said(say("The database as it was is kept as %(name)s.", name=kept_as)))


def _done() -> Iterator[str]:
    yield _event("progress", said(DONE))
    yield _event("complete", said(ALL_DONE), exitCode=0)


def _merged(merged: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What came of every table, and of all of them, in the words in which claude-code-hub says what it skipped."""
    for table, one in merged.items():
        yield _event("progress", said(*_of_table(table, one)))
    inserted, left = (sum(one[name] for one in merged.values()) for name in ("inserted", "left_alone"))
    without = sum("why" in one for one in merged.values())
    yield _event(
        "progress",
        said(
            say("The data were imported: %(inserted)s rows were added, and %(left)s that exist already were skipped.",
                inserted=inserted, left=left)
        ),
    )  # fmt: skip
    more = {"warningCount": without} if without else {}
    yield _event("complete", said(ALL_DONE), exitCode=0, inserted=inserted, leftAlone=left, **more)


def _of_table(table: str, one: Mapping[str, Any]) -> Iterator[Message]:
    facts = {"table": table, "inserted": one["inserted"], "left": one["left_alone"]}
    if "why" in one:
        yield say("%(table)s was left alone: %(left)s rows of the file were not taken.", **facts)
        yield Message.from_json(one["why"])
        return
    if one.get("created"):
        yield say("%(table)s was created, with %(inserted)s rows.", **facts)
    else:
        yield say("%(table)s: %(inserted)s rows were added, %(left)s left alone.", **facts)
    if one.get("clashing"):
        yield say("%(count)s of them clash with another unique key.", count=one["clashing"])
    if one.get("dropped"):
        yield say("Columns that it does not have were not taken: %(names)s.", names=", ".join(one["dropped"]))


def _event(kind: str, message: str, **more: int | str) -> str:
    """One event: claude-code-hub's have nothing but a line of data."""
    return f"data: {json.dumps({'type': kind, 'message': message, **more}, ensure_ascii=False)}\n\n"
