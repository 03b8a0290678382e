"""The list of restores says what became of each, not what was meant to."""

from __future__ import annotations

import re

import pytest

from storage.opening import Storage
from storage.restores.record import RestoreRecord, RestoreState
from storage.restores.request import Mode
from tests.builders import an_id
from tests.webapp.conftest import Browser


def a_restore(storage: Storage, state: RestoreState) -> RestoreRecord:
    now = storage.clock()
    restore = RestoreRecord(
        restore_id=an_id(now),
        backup_id="gone",
        database="shop",
        mode=Mode.REPLACE,
        target="shop",
        state=state,
        started_at=now,
        ended_at=now,
    )
    storage.restores._records.save(restore)
    return restore


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RestoreState.COMPLETED, "shop, replaced"),
        (RestoreState.INTERRUPTED, "shop, was to be replaced"),
        (RestoreState.FAILED, "shop, was to be replaced"),
        (RestoreState.RUNNING, "shop, to be replaced"),
    ],
)
def test_only_a_restore_that_replaced_says_so(admin: Browser, storage: Storage, state: RestoreState, said: str) -> None:
    restore = a_restore(storage, state)
    for page in ("/restores", f"/restores/{restore.restore_id}"):
        assert said in re.sub(r"<[^>]+>", "", admin.get(page).text), page
