"""Sends an archive: streamed, in parts where a client asks for them, with the checksum as its ETag."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from storage.backups.record import BackupRecord

CHUNK = 1 << 19
"""Werkzeug's own 8 kB make a download cost more than reading the disk."""


class _Archive(FileIO):
    """The server reads as much at a time as the socket's buffer could take, megabytes, in each of its threads."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(CHUNK if size is None or size < 0 else min(size, CHUNK)) or b""


def send_archive(record: BackupRecord, path: Path) -> Response:
    """Answer 200, 206 or 416. `If-Range` with another checksum gets the whole file: parts of two archives never mix."""
    headers = Headers({"Content-Length": str(record.bytes)})
    headers.set("Content-Disposition", "attachment", filename=path.name)
    file = _Archive(path)
    answer = Response(
        wrap_file(request.environ, file, buffer_size=CHUNK),
        mimetype="application/octet-stream",
        headers=headers,
        direct_passthrough=True,
    )
    answer.call_on_close(file.close)
    answer.set_etag(record.sha256)
    answer.last_modified = record.ended_at
    # An intermediary that compressed it would make ranges of something else.
    answer.cache_control.private = True
    answer.cache_control.no_transform = True
    environment = dict(request.environ)
    if not request.headers.get("Range", "bytes=").startswith("bytes="):
        environment.pop("HTTP_RANGE")  # a unit that nobody here knows means nothing (RFC 9110, 14.2)
    try:
        answer.make_conditional(environment, accept_ranges=True, complete_length=record.bytes)
    except RequestedRangeNotSatisfiable:
        file.close()
        return Response(status=416, headers={"Content-Range": f"bytes */{record.bytes}"})
    if answer.status_code == 206 and "wsgi.file_wrapper" in request.environ:
        # The server begins where the file stands and ends after Content-Length bytes (PEP 3333), without handing every
        # chunk through Python.
        file.seek(answer.content_range.start or 0)
        answer.response = wrap_file(request.environ, file, buffer_size=CHUNK)
    return answer
