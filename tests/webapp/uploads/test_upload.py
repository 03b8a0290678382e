"""Uploading in the browser and over the API: what is kept, what is refused, and that nothing stays of that."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from storage.backups.record import BackupKind
from storage.opening import Storage
from storage.postgres.connection import Connection, connect
from tests.archives import dump
from tests.servers import Server
from tests.webapp.conftest import Browser

BOUNDARY = "seven-herons"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture
def storage(storage: Storage, server: Server) -> Storage:
    """With the programs that read what the server's own pg_dump wrote."""
    storage.settings = replace(storage.settings, pg_bin_dirs=(server.installation.folder,))
    return storage


@pytest.fixture
def archive(server: Server, empty_database: Connection) -> bytes:
    with connect(empty_database, application="tests") as session:
        session.execute(b"CREATE TABLE users AS SELECT i AS id FROM generate_series(1, 500) i")
    return dump(server, empty_database)


def form(archive: bytes, *, database: str = "shop", name: str = "theirs.dump") -> dict[str, object]:
    return {"database": database, "archive": (io.BytesIO(archive), name)}


def body(archive: bytes, *, closed: bool = True, name: str = "theirs.dump") -> bytes:
    """The same form as the bytes that a browser sends."""
    fields = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="database"\r\n\r\nshop\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="archive"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return fields.encode() + archive + (f"\r\n--{BOUNDARY}--\r\n".encode() if closed else b"")


def assert_nothing_stays(storage: Storage) -> None:
    assert storage.backups.catalog.all() == []
    folder: Path = storage.settings.data_folder
    assert list((folder / "staging").iterdir()) == []
    assert [path for path in (folder / "archives").rglob("*") if path.is_file()] == []


def test_an_upload_leads_to_its_backup_which_says_that_it_is_not_ours(
    admin: Browser, storage: Storage, archive: bytes, empty_database: Connection
) -> None:
    answer = admin.post("/backups/upload", data=form(archive, name="monday <b>.dump"))
    [record] = storage.backups.catalog.all()
    assert (answer.status_code, answer.location) == (303, f"/backups/{record.backup_id}")
    assert (record.kind, record.database, record.taken_by) == (BackupKind.UPLOADED, "shop", "ana")
    page = admin.get(answer.location).text
    for said in (
        "The archive was read in full and is kept.",
        "Uploaded",
        "pghaven did not make it",
        "monday &lt;b&gt;.dump",
        f"({empty_database.dbname})",
        "users",
        "not counted",
    ):
        assert said in page, said
    for not_said in ("had no tables", "The log of this backup", "first good backup"):
        assert not_said not in page, not_said
    assert list((storage.settings.data_folder / "staging").iterdir()) == []
    [event] = [event for event in storage.audit.newest_first() if event.action == "backup_uploaded"]
    assert (event.actor, event.subject) == ("ana", record.backup_id)


def test_htmx_is_sent_to_the_backup(admin: Browser, storage: Storage, archive: bytes) -> None:
    answer = admin.post("/backups/upload", data=form(archive), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == f"/backups/{storage.backups.catalog.all()[0].backup_id}"


def test_a_program_gets_the_record(admin: Browser, storage: Storage, archive: bytes) -> None:
    answer = admin.post("/backups/upload", data=form(archive), headers={"Accept": "application/json"})
    assert answer.status_code == 201
    assert answer.json["kind"] == "uploaded"
    assert answer.json["brought"]["tables"] == ["public.users"]


def test_the_form_works_without_javascript_and_names_the_limit(admin: Browser) -> None:
    page = admin.get("/backups/upload?database=hub").text.replace("\u00a0", " ")
    assert 'enctype="multipart/form-data"' in page
    assert 'method="post"' in page
    assert 'value="hub"' in page
    assert "At most 524 MB" in page
    assert 'data-limit="524288000"' in page


def test_only_who_may_upload_sees_the_page_or_sends_a_file(user: Browser, client: Browser, archive: bytes) -> None:
    assert user.get("/backups/upload").status_code == 403
    assert user.post("/backups/upload", data=form(archive)).status_code == 403
    assert client.post("/backups/upload", data=form(archive)).status_code == 303
    assert "Upload" not in user.get("/history").text


def test_a_form_from_elsewhere_stores_nothing(admin: Browser, storage: Storage, archive: bytes) -> None:
    assert admin.post("/backups/upload", data=form(archive), csrf=False).status_code == 403
    assert_nothing_stays(storage)
    token = {"csrf_token": admin.csrf_token()}
    assert admin.post("/backups/upload", data=token | form(archive), csrf=False).status_code == 303


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"-- PostgreSQL database dump\nSELECT 1;", "it is plain SQL"),
        (b"", "is empty"),
        (b"\x1f\x8b" + bytes(100), "compressed file"),
    ],
)
def test_anything_else_is_refused_in_words(admin: Browser, storage: Storage, content: bytes, words: str) -> None:
    answer = admin.post("/backups/upload", data=form(content, name="dump.sql"))
    assert answer.status_code in (409, 422)
    assert words in answer.text
    assert "Nothing was kept of the upload." in answer.text
    assert_nothing_stays(storage)


@pytest.mark.parametrize("data", [{"database": "shop"}, {"database": "shop", "archive": (io.BytesIO(b""), "")}])
def test_without_a_file_it_says_so(admin: Browser, storage: Storage, data: dict[str, object]) -> None:
    answer = admin.post("/backups/upload", data=data, content_type="multipart/form-data")
    assert (answer.status_code, "No file was chosen." in answer.text) == (422, True)
    assert_nothing_stays(storage)


def test_without_a_database_it_says_so(admin: Browser, storage: Storage, archive: bytes) -> None:
    answer = admin.post("/backups/upload", data=form(archive, database=" "))
    assert (answer.status_code, "Of which database it is was not said." in answer.text) == (422, True)
    assert_nothing_stays(storage)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_form_that_arrives_cut_off_is_refused_and_stores_nothing(
    admin: Browser, storage: Storage, archive: bytes, share: float
) -> None:
    whole = body(archive)
    answer = admin.post("/backups/upload", data=whole[: int(len(whole) * share)], headers=MULTIPART)
    assert (answer.status_code, "The upload arrived incomplete." in answer.text) == (400, True)
    assert_nothing_stays(storage)


def test_a_form_without_its_end_or_its_boundary_is_refused(admin: Browser, storage: Storage, archive: bytes) -> None:
    for sent, headers in (
        (body(archive, closed=False), MULTIPART),
        (body(archive), {"Content-Type": "multipart/form-data"}),
    ):
        answer = admin.post("/backups/upload", data=sent, headers=headers)
        assert (answer.status_code, "The upload arrived incomplete." in answer.text) == (400, True)
    assert_nothing_stays(storage)


def test_two_files_in_one_form_are_refused(admin: Browser, storage: Storage, archive: bytes) -> None:
    data = {"database": "shop", "archive": [(io.BytesIO(archive), "a"), (io.BytesIO(archive), "b")]}
    answer = admin.post("/backups/upload", data=data)
    assert (answer.status_code, "a file that nobody asked for" in answer.text) == (422, True)
    assert_nothing_stays(storage)


def test_a_file_sent_to_another_form_is_refused(admin: Browser, storage: Storage) -> None:
    answer = admin.post("/databases", data={"name": (io.BytesIO(b"x"), "x")})
    assert (answer.status_code, "a file that nobody asked for" in answer.text) == (422, True)


def test_thousands_of_fields_or_one_giant_one_are_refused(admin: Browser, storage: Storage) -> None:
    many = admin.post("/backups/upload", data={f"f{number}": "x" for number in range(2000)} | form(b""))
    giant = admin.post("/backups/upload", data=form(b"") | {"database": "x" * 3_000_000})
    assert (many.status_code, giant.status_code) == (413, 413)
    assert_nothing_stays(storage)


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        raise AssertionError("the body was read")


def test_what_is_announced_as_too_large_is_refused_before_its_first_byte(admin: Browser, storage: Storage) -> None:
    answer = admin.post(
        "/backups/upload",
        headers=MULTIPART,
        environ_overrides={
            "wsgi.input": Unread(),
            "CONTENT_LENGTH": str(storage.settings.upload_limit + (1 << 20)),
        },
    )
    text = answer.text.replace("\u00a0", " ")
    assert answer.status_code == 413
    assert "An upload may have at most 524 MB." in text
    assert "pghaven backups upload FILE --database NAME" in text
    assert_nothing_stays(storage)


def test_without_an_announced_length_it_ends_at_the_limit(admin: Browser, storage: Storage, archive: bytes) -> None:
    storage.uploads = replace(storage.uploads, limit=100_000)
    answer = admin.post(
        "/backups/upload",
        input_stream=io.BytesIO(body(bytes(400_000))),
        headers=MULTIPART | {"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 413
    assert_nothing_stays(storage)


def test_the_page_and_the_refusals_speak_chinese(admin: Browser, archive: bytes) -> None:
    chinese = {"Accept-Language": "zh-CN"}
    page = admin.get("/backups/upload", headers=chinese).text
    assert "上传" in page
    assert "Upload" not in page
    refusal = admin.post("/backups/upload", data=form(b"SELECT 1"), headers=chinese).text
    assert "Nothing was kept" not in refusal
