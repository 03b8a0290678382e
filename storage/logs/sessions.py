"""An application's sessions: which there are, what their requests were, and the same as JSON.

That a request was made, its usage log says. How it was made, the application's session store says for a few minutes,
or a table: where that is not known, silent, or has forgotten, what the usage log has remains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from storage.applications.maps import ApplicationMap
from storage.applications.sessions import Part
from storage.databases.profile import DatabaseProfile, Source
from storage.errors import Invalid, Message, NotFound, StorageError, Unavailable, say
from storage.logs import reading, session_request
from storage.logs.query import After
from storage.logs.reading import locate
from storage.logs.session_facts import LoggedRequest, RequestView, SessionPage, SessionsPage, SessionSummary
from storage.logs.session_query import SUMMARY, Behind, SessionQuery
from storage.logs.session_request import SHOWN_BYTES
from storage.logs.session_rows import SessionTable
from storage.logs.session_store import NoStore, RequestStore, SessionStore
from storage.logs.session_stream import SessionStream
from storage.postgres.snapshot import Session

PAGE_SESSIONS = 50
PAGE_REQUESTS = 50
EXPORTED_AT_ONCE = 200
MOST_UNLOGGED = 500
"""Numbers of requests that the usage log does not know, looked for in the store at once."""
LONGEST_ID = 256
NOT_EXPORTED = say("Nothing was exported.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLogs:
    """Everything that sessions are read with, wired once."""

    profile_of: Callable[[str], DatabaseProfile]
    applications: Collection[ApplicationMap]

    def page(self, database: str, *, after: After | None = None, size: int = PAGE_SESSIONS) -> SessionsPage:
        """The sessions whose newest requests are newest. Raises NotFound where the application keeps none."""
        profile = self.profile_of(database)
        with self._query(profile) as (session, query):
            found = session.execute(query.newest(after=after, limit=size + 1)).fetchall()
            told = _summaries(session, query, [row[0] for row in found[:size]])
        here = [told[row[0]] for row in found[:size] if row[0] in told]
        kept: Collection[tuple[str, int]] = ()
        trouble = None
        try:
            with self._store(profile, query.application) as store:
                kept = store.kept([(one.session, one.newest_sequence) for one in here])
        except Unavailable as error:
            trouble = error
        last = found[size - 1] if len(found) > size else None
        return SessionsPage(
            sessions=[replace(one, kept=(one.session, one.newest_sequence) in kept) for one in here],
            next=After(last[1], last[2]) if last else None,
            trouble=trouble,
        )

    def show(
        self, database: str, session: str, *, after: Behind | None = None, size: int = PAGE_REQUESTS
    ) -> SessionPage:
        """One session and its requests in sequence. Raises NotFound where neither the log nor the store knows it."""
        profile = self.profile_of(checked(session) and database)
        with self._query(profile) as (asked, query):
            summary = _summaries(asked, query, [session]).get(session)
            rows = _requests(asked, query, session, after=after, limit=size + 1)
        trouble = None
        try:
            with self._store(profile, query.application) as store:
                requests, following = _with_unlogged(store, session, rows, after=after, size=size)
        except Unavailable as error:
            requests, following, trouble = rows[:size], _following(rows, size), error
        if summary is None and not requests and following is None and after is None:
            raise _unknown(session, trouble)
        return SessionPage(session=session, summary=summary, requests=requests, next=following, trouble=trouble)

    def request(self, database: str, session: str, sequence: int) -> RequestView:
        """The details of one request, as far as there are any, for a page."""
        profile = self.profile_of(checked(session) and database)
        with self._query(profile) as (asked, query):
            logged = _special_settings(asked, query, session, sequence)
        parts, trouble = {}, None
        try:
            with self._store(profile, query.application) as store:
                parts = dict(store.read(session, sequence, most=SHOWN_BYTES))
        except Unavailable as error:
            trouble = error
        found = session_request.details(parts)
        if found.special_settings is None and logged is not None:
            found = replace(found, special_settings=session_request.shown(logged))
        return RequestView(details=found, kept=bool(parts), trouble=trouble)

    def export_request(
        self, database: str, session: str, sequence: int | None = None, *, reveal: bool = False
    ) -> dict[str, Any]:
        """One request as a document; without a number the newest of which there are details.

        Raises NotFound where the store has none any more, and Unavailable where it cannot be asked.
        """
        profile = self.profile_of(checked(session) and database)
        with self._query(profile) as (asked, query), self._store(profile, query.application) as store:
            number = _newest_kept(store, session) if sequence is None else sequence
            parts = store.read(session, number) if number else {}
            if not parts.keys() & {Part.HEADERS, Part.BODY}:
                raise NotFound(
                    say("The session store has no details of this request any more: it keeps them for minutes only."),
                    effect=NOT_EXPORTED,
                    advice=say("An export of the whole session has what the usage log knows of it."),
                )
            logged = _special_settings(asked, query, session, number)
        return session_request.document(session, number, parts, special_settings=logged, reveal=reveal)

    def export_session(self, database: str, session: str, *, reveal: bool = False) -> SessionStream:
        """All requests of a session in sequence, as one document; to be closed. Where details are gone, what the usage
        log has of a request is in it all the same. Raises NotFound for a session that nobody knows, and Unavailable
        where there is a store that does not answer."""
        checked(session)
        return SessionStream(session, self._exported(database, session, reveal=reveal))

    def _exported(self, database: str, session: str, *, reveal: bool) -> Iterator[dict[str, Any]]:
        """Each with a short session of its own with the database: whoever takes it may be slow."""
        profile, after = self.profile_of(database), None
        while True:
            page = self.show(database, session, after=after, size=EXPORTED_AT_ONCE)
            _refuse_without_store(page)
            for one in page.requests:
                with self._query(profile) as (asked, query):
                    logged = _special_settings(asked, query, session, one.sequence)
                    parts = {}
                    if one.kept:
                        with self._store(profile, query.application) as store:
                            parts = dict(store.read(session, one.sequence))
                document = session_request.document(
                    session, one.sequence, parts, special_settings=logged, reveal=reveal
                )
                yield document | {"log": None if one.id is None else {"time": one.time} | one.values}
            after = page.next
            if after is None:
                return

    @contextmanager
    def _query(self, profile: DatabaseProfile) -> Iterator[tuple[Session, SessionQuery]]:
        with reading.reading(profile.connection) as session:
            yield session, SessionQuery(locate(session, self.applications))

    @contextmanager
    def _store(self, profile: DatabaseProfile, application: ApplicationMap) -> Iterator[RequestStore]:
        """Raises NoStore where there is none to be asked."""
        log = application.sessions
        if log is not None and log.rows is not None:
            with reading.reading(profile.connection) as session:
                yield SessionTable(session, locate(session, self.applications), log.rows)
            return
        if log is None or not log.keys:
            raise NoStore(
                say("The map of %(application)s does not say where it keeps the details of requests.",
                    application=application.title)
            )  # fmt: skip
        if profile.session_store_url is None:
            raise NoStore(
                say("The session store of %(application)s is not known here.", application=application.title),
                advice=_how_to_add(profile.source),
            )
        store = SessionStore(profile.session_store_url, log)
        try:
            yield store
        finally:
            store.close()


def checked(session: str) -> str:
    """A session's id, as an application may have taken it from its clients. Raises Invalid."""
    if not session or len(session) > LONGEST_ID or "\0" in session:
        raise Invalid(say("This is not the id of a session."))
    return session


def _how_to_add(source: Source) -> Message:
    match source:
        case Source.ADDED:
            return say("Enter the address of its Redis where the settings of the database are changed.")
        case Source.ENVIRONMENT:
            return say("Name its Redis in SESSION_STORE_URL, and start pghaven again.")
        case Source.EMBEDDED:
            return say("This is a demo, which has no Redis. A database that you add can have one.")


def _summaries(asked: Session, query: SessionQuery, sessions: list[str]) -> dict[str, SessionSummary]:
    if not sessions:
        return {}
    rows = asked.execute(query.summaries(sessions))
    return {row[0]: SessionSummary(**dict(zip(SUMMARY, row, strict=True))) for row in rows}


def _requests(
    asked: Session, query: SessionQuery, session: str, *, after: Behind | None, limit: int
) -> list[LoggedRequest]:
    rows = asked.execute(query.requests(session, after=after, limit=limit))
    return [
        LoggedRequest(
            sequence=sequence, id=row_id, time=time, values=dict(zip(query.columns, values, strict=True))
        )
        for sequence, row_id, time, *values in rows
    ]  # fmt: skip


def _following(rows: list[LoggedRequest], size: int) -> Behind | None:
    return Behind(rows[size - 1].sequence, rows[size - 1].id) if len(rows) > size else None


def _with_unlogged(
    store: RequestStore, session: str, rows: list[LoggedRequest], *, after: Behind | None, size: int
) -> tuple[list[LoggedRequest], Behind | None]:
    """The rows, `size` and perhaps one more, with what the store knows of them, and the requests between them that
    only the store knows; and where the next page begins."""
    following, here = _following(rows, size), rows[:size]
    first = after.sequence + 1 if after else 1
    last = here[-1].sequence if following else store.count(session)
    logged = {one.sequence for one in here}
    missing = list(islice((n for n in range(first, last + 1) if n not in logged), MOST_UNLOGGED + 1))
    if len(missing) > MOST_UNLOGGED:
        missing.pop()
        following = Behind(missing[-1])
        here = [one for one in here if one.sequence <= missing[-1]]
    kept = {number for _, number in store.kept([(session, n) for n in {*logged, *missing} if n > 0])}
    everything = [replace(one, kept=one.sequence in kept) for one in here]
    everything += [LoggedRequest(sequence=n, values={}, kept=True) for n in missing if n in kept]
    return sorted(everything, key=lambda one: one.sequence), following


def _newest_kept(store: RequestStore, session: str) -> int:
    """0 where there is none."""
    count = store.count(session)
    among = [(session, n) for n in range(max(1, count - MOST_UNLOGGED), count + 1)]
    return max((number for _, number in store.kept(among)), default=0)


def _special_settings(asked: Session, query: SessionQuery, session: str, sequence: int) -> Any:
    statement = query.special_settings(session, sequence)
    row = asked.execute(statement).fetchone() if statement else None
    return row[0] if row else None


def _refuse_without_store(page: SessionPage) -> None:
    """A store that is silent now may well hold what would be missing without a word."""
    if page.trouble is not None and not isinstance(page.trouble, NoStore):
        raise Unavailable(page.trouble.cause, effect=NOT_EXPORTED, advice=page.trouble.advice, words=page.trouble.words)


def _unknown(session: str, trouble: StorageError | None) -> NotFound:
    return NotFound(
        say("There is no session “%(session)s” in the usage log.", session=session[:80]),
        advice=trouble.cause if trouble and not isinstance(trouble, NoStore) else None,
    )
