"""Reads an application's session store. Nothing is ever written there, and nobody waits long for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from storage.applications.sessions import Part, SessionLog
from storage.databases.session_store import shown_address
from storage.errors import Message, Unavailable, say
from storage.secret import Secret

if TYPE_CHECKING:
    from redis.client import Pipeline

ANSWER_SECONDS = 2.0
NEVER_MORE = 64 * 1024 * 1024
"""Bytes of one value that are read at most."""

Request = tuple[str, int]
"""A session's id, and the number of a request in it."""


class NoStore(Unavailable):
    """There is no address of a session store, or its application is not known to have one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value, or its beginning; `size` is that of all of it in bytes."""

    value: bytes
    size: int

    @property
    def whole(self) -> bool:
        return len(self.value) == self.size


class RequestStore(Protocol):
    """Where the details of requests are, whatever keeps them."""

    def count(self, session: str) -> int: ...

    def kept(self, requests: Collection[Request]) -> frozenset[Request]: ...

    def read(self, session: str, sequence: int, *, most: int = NEVER_MORE) -> Mapping[Part, Stored]: ...


class SessionStore:
    """One connection, for one page or one export; to be closed. Whatever it asks raises Unavailable where the store
    does not answer in time."""

    def __init__(self, url: Secret, log: SessionLog) -> None:
        # Loading it takes time that only those who use it should spend.
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._url, self._log = url, log
        self._redis = Redis.from_url(
            url.reveal,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # the later one begins with a command that older servers, and some rules of access, refuse
        )

    def close(self) -> None:
        self._redis.close()

    def count(self, session: str) -> int:
        """How many requests the session has had, as far as the store knows; 0 where it knows nothing of it."""
        if not self._log.count:
            return 0
        key = self._log.count_key(session)
        [value] = self._ask(lambda asked: asked.get(key))
        return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 10 else 0

    def kept(self, requests: Collection[Request]) -> frozenset[Request]:
        """Those of the requests whose headers or body are there."""
        parts = [part for part in (Part.HEADERS, Part.BODY) if part in self._log.keys]
        if not parts or not requests:
            return frozenset()
        asked = list(requests)
        found = self._ask(
            *(
                lambda pipeline, one=one: pipeline.exists(*(self._log.key(part, *one) for part in parts))
                for one in asked
            )
        )
        return frozenset(one for one, count in zip(asked, found, strict=True) if count)

    def read(self, session: str, sequence: int, *, most: int = NEVER_MORE) -> Mapping[Part, Stored]:
        """What is there of a request, of each part at most `most` bytes."""
        keys = {part: self._log.key(part, session, sequence) for part in self._log.keys}
        sizes = self._ask(*(lambda asked, key=key: asked.strlen(key) for key in keys.values()))
        there = {part: size for part, size in zip(keys, sizes, strict=True) if isinstance(size, int) and size}
        values = self._ask(
            *(lambda asked, key=keys[part]: asked.getrange(key, 0, most - 1) for part in there),
        )
        return {
            part: Stored(value, max(size, len(value)))
            for (part, size), value in zip(there.items(), values, strict=True)
            if isinstance(value, bytes) and value
        }

    def _ask(self, *questions: Callable[[Pipeline], Any]) -> Iterable[Any]:
        """The answers to several questions, on one way there and back. A key that holds no text has none."""
        from redis.exceptions import AuthenticationError, RedisError, ResponseError

        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for question in questions:
                    question(pipeline)
                answers = pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, ResponseError) and "WRONGTYPE" not in str(answer):
                    raise answer
        except (ResponseError, AuthenticationError) as error:
            raise self._trouble(
                say("The application's session store at %(address)s does not let itself be read.",
                    address=shown_address(self._url)),
                error,
            ) from error  # fmt: skip
        except (RedisError, OSError, ValueError) as error:
            raise self._trouble(
                say("The application's session store at %(address)s does not answer.",
                    address=shown_address(self._url)),
                error,
            ) from error  # fmt: skip
        return answers

    def _trouble(self, cause: Message, error: Exception) -> Unavailable:
        return Unavailable(
            cause,
            advice=say("Look whether it runs, and whether the address of the session store is right."),
            words=str(error)[:500],
        )
