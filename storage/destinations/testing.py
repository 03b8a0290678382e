"""*Test connection* of a destination: writes, reads back, lists and deletes a small object, as copies will be."""

from __future__ import annotations

import secrets

from storage.destinations.destination import Destination
from storage.destinations.store import Store
from storage.errors import Damaged, say


def try_out(destination: Destination) -> None:
    """Raises what keeps copies from being kept there; leaves nothing behind."""
    store = Store(destination)
    key, content = f".pghaven-test-{secrets.token_hex(8)}/object", secrets.token_bytes(1024)
    store.put_bytes(key, content)
    try:
        if store.read(key) != content:
            raise Damaged(say("%(name)s gave back something else than was written.", name=destination.name))
        if key not in {entry.key for entry in store.list(key.partition("/")[0])}:
            raise Damaged(say("%(name)s does not list what was written.", name=destination.name))
    finally:
        store.delete(key)
    if store.size(key) is not None:
        raise Damaged(say("%(name)s still has what was deleted.", name=destination.name))
