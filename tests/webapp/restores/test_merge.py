"""A merge in the browser: planned, confirmed by name, and told table by table."""

from __future__ import annotations

import re

import pytest

from storage.backups.record import BackupRecord
from storage.jobs.model import JobState
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.webapp.conftest import Browser

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("language", "stays", "created", "without"),
    [
        ("en", "stays as it is", "was missing, and is created", "It has rows, and no primary key"),
        ("zh", "保持不变", "原本缺失，已创建", "表中已有数据，又没有主键"),
    ],
)
def test_a_merge_is_planned_confirmed_and_told_table_by_table(
    shop: Storage,
    backup: BackupRecord,
    ana: Browser,
    empty_database: Connection,
    language: str,
    stays: str,
    created: str,
    without: str,
) -> None:
    with connect(empty_database, application="tests") as session:
        session.execute("DROP TABLE users; CREATE TABLE newer (id int)")
    asked = f"/restores/new?backup={backup.backup_id}&mode=merge&lang={language}"
    ana.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
    page = ana.get(asked).text
    assert stays in page and 'id="mode-merge" name="mode" value="merge" checked' in page and "what-schema" not in page
    digest = re.search(r'name="plan" value="([0-9a-f]+)"', page)
    assert digest
    form = {"backup": backup.backup_id, "mode": "merge", "what": "all", "plan": digest[1]}
    wrong = ana.post("/restores", data={**form, "typed": "other"})
    assert wrong.status_code == 422 and stays in wrong.text
    assert ana.post("/restores", data={**form, "typed": empty_database.dbname}).status_code == 303
    (job,) = shop.jobs.active()
    done = shop.runner.run_here(job)
    assert done.state is JobState.COMPLETED, (done.error, shop.jobs.log(job.job_id))
    told = ana.get(f"/restores/{done.result['restore_id']}").text
    assert created in told and without in told
    with connect(empty_database, application="tests") as session:
        assert session.execute("SELECT count(*) FROM users").fetchone() == (3,)
