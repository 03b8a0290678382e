"""What can be done with a destination: put, look, read, list, delete. Keys are paths with slashes.

Every place is reached through obstore, the local folder too, so there is one contract. A key is there whole or not at
all: object storage shows an object when its last part was accepted, and obstore renames a finished file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.destinations.destination import Destination
from storage.errors import Denied, Message, NotFound, StorageError, Unavailable, say
from storage.jsonfiles import sync_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Watch = Callable[[], None]
OnBytes = Callable[[int], None]

READ_SIZE = 1 << 20
LEAST_PART = 8 << 20
MOST_PARTS = 9_000
"""S3 takes 10,000 parts."""


def part_size(size: int) -> int:
    """How large the parts of an upload are: 8 MiB, and more for what would not fit into 10,000 of them."""
    return max(LEAST_PART, -(-size // MOST_PARTS))


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    bytes: int


class Store:
    """A destination that is being used. Raises NotFound, Denied and Unavailable, naming the destination."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        with self._said(say("The destination %(name)s cannot be used.", name=destination.name)):
            self._store = _open(destination)

    def put_file(
        self, key: str, path: Path, *, watch: Watch = lambda: None, on_bytes: OnBytes = lambda done: None
    ) -> None:
        """Stream a file there in parts; `watch` may raise to give it up, which leaves nothing at the key."""
        import obstore

        size = path.stat().st_size
        part = part_size(size)
        with self._said(say("The copy could not be written to %(name)s.", name=self.destination.name)):
            self._make_folder(key)
            # One part on its way and one being read: memory is two parts, whatever the size.
            obstore.put(
                self._store, key, _pieces(path, watch, on_bytes), chunk_size=part, max_concurrency=2, use_multipart=True
            )
        self._sync(key)

    def put_bytes(self, key: str, content: bytes) -> None:
        import obstore

        with self._said(say("Nothing could be written to %(name)s.", name=self.destination.name)):
            self._make_folder(key)
            obstore.put(self._store, key, content)
        self._sync(key)

    def size(self, key: str) -> int | None:
        """The bytes of what is there; None when there is nothing."""
        import obstore

        try:
            with self._said(say("%(name)s could not be looked at.", name=self.destination.name)):
                return int(obstore.head(self._store, key)["size"])
        except NotFound:
            return None

    def read(self, key: str) -> bytes:
        """A small object as a whole."""
        import obstore

        with self._said(say("%(key)s could not be read from %(name)s.", key=key, name=self.destination.name)):
            return bytes(obstore.get(self._store, key).bytes())

    def sha256(self, key: str, *, watch: Watch = lambda: None, on_bytes: OnBytes = lambda done: None) -> str:
        """Read an object in full, and hash what comes back."""
        hasher = hashlib.sha256()
        self._stream(key, hasher.update, watch, on_bytes)
        return hasher.hexdigest()

    def fetch(
        self, key: str, path: Path, *, watch: Watch = lambda: None, on_bytes: OnBytes = lambda done: None
    ) -> None:
        """Stream an object into a new file."""
        with path.open("xb") as file:
            self._stream(key, file.write, watch, on_bytes)
            file.flush()
            os.fsync(file.fileno())

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Everything under a folder of keys."""
        import obstore

        with self._said(say("%(name)s could not be listed.", name=self.destination.name)):
            for page in obstore.list(self._store, prefix or None):
                for found in page:
                    yield Entry(str(found["path"]), int(found["size"]))

    def delete(self, key: str) -> None:
        """Delete an object; no harm where there is none."""
        import obstore

        try:
            with self._said(say("%(key)s could not be deleted at %(name)s.", key=key, name=self.destination.name)):
                obstore.delete(self._store, key)
        except NotFound:
            return

    def _stream(self, key: str, take: Callable[[Any], object], watch: Watch, on_bytes: OnBytes) -> None:
        import obstore

        done = 0
        with self._said(say("%(key)s could not be read from %(name)s.", key=key, name=self.destination.name)):
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=READ_SIZE):
                take(memoryview(chunk))
                done += len(chunk)
                on_bytes(done)
                watch()

    def _make_folder(self, key: str) -> None:
        """The folders of a key, for their owner alone: copies hold the same data as archives."""
        if self.destination.scheme == "file":
            folder = Path(self.destination.prefix)
            for part in Path(key).parent.parts:
                folder /= part
                folder.mkdir(mode=0o700, exist_ok=True)

    def _sync(self, key: str) -> None:
        """A folder's file survives a power cut only when it was synced; object storage has done that itself."""
        if self.destination.scheme == "file":
            path = Path(self.destination.prefix, key)
            path.chmod(0o600)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_folder(path.parent)

    @contextmanager
    def _said(self, doing: Message) -> Iterator[None]:
        from obstore import exceptions

        try:
            yield
        except (exceptions.NotFoundError, FileNotFoundError) as error:
            raise NotFound(doing, words=_words(error)) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError) as error:
            raise Denied(
                doing, advice=say("Look at its access key and at what that may do."), words=_words(error)
            ) from error
        except (exceptions.BaseError, OSError) as error:
            # What the iterator of an upload raised comes back wrapped.
            if isinstance(error.__cause__, StorageError):
                raise error.__cause__ from error
            raise Unavailable(
                doing, advice=say("Look at its address, its disk and the network."), words=_words(error)
            ) from error


def _pieces(path: Path, watch: Watch, on_bytes: OnBytes) -> Iterator[bytes]:
    done = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ_SIZE):
            yield piece
            done += len(piece)
            on_bytes(done)
            watch()


def _words(error: BaseException) -> str:
    """The library's own words, without its debug dump of the cause."""
    return str(error).split("\n\nDebug source:")[0][:2000]


def _open(destination: Destination) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

    options: dict[str, Any] = dict(destination.options)
    retries: Any = {"max_retries": 3}
    secret = destination.secret_key.reveal if destination.secret_key else ""
    plain_http = options.get("endpoint", "").startswith("http://")
    client: Any = {"allow_http": plain_http or options.pop("allow_http", "") == "true", "connect_timeout": "10s"}
    prefix = destination.prefix or None
    match destination.scheme:
        case "file":
            Path(destination.prefix).mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(destination.prefix, automatic_cleanup=True)
        case "s3":
            if destination.access_key:
                options |= {"access_key_id": destination.access_key, "secret_access_key": secret}
            options.setdefault("region", "us-east-1")
            return S3Store(destination.bucket, prefix=prefix, client_options=client, retry_config=retries, **options)
        case "gs":
            return GCSStore(destination.bucket, prefix=prefix, client_options=client, retry_config=retries, **options)
        case "az":
            if destination.access_key:
                options |= {"account_name": destination.access_key, "access_key": secret}
            return AzureStore(destination.bucket, prefix=prefix, client_options=client, retry_config=retries, **options)
    raise Unavailable(say("This pghaven does not know destinations of the kind %(kind)s.", kind=destination.scheme))
