"""Sends a finished file: streamed, in parts where a client asks for them, with the checksum as its ETag."""

from __future__ import annotations

from datetime import datetime
from io import FileIO
from pathlib import Path

from flask import Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

CHUNK = 1 << 19
"""Werkzeug's own 8 kB make a download cost more than reading the disk."""


class _File(FileIO):
    """The server reads as much at a time as the socket's buffer could take, megabytes, in each of its threads."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(CHUNK if size is None or size < 0 else min(size, CHUNK)) or b""


def send(
    path: Path, *, size: int, sha256: str, made_at: datetime | None, mimetype: str = "application/octet-stream"
) -> Response:
    """Answer 200, 206 or 416. `If-Range` with another checksum gets the whole file: parts of two files never mix."""
    headers = Headers({"Content-Length": str(size)})
    headers.set("Content-Disposition", "attachment", filename=path.name)
    file = _File(path)
    answer = Response(
        wrap_file(request.environ, file, buffer_size=CHUNK),
        mimetype=mimetype,
        headers=headers,
        direct_passthrough=True,
    )
    answer.call_on_close(file.close)
    answer.set_etag(sha256)
    answer.last_modified = made_at
    # An intermediary that compressed it would make ranges of something else.
    answer.cache_control.private = True
    answer.cache_control.no_transform = True
    environment = dict(request.environ)
    if not request.headers.get("Range", "bytes=").startswith("bytes="):
        environment.pop("HTTP_RANGE")  # a unit that nobody here knows means nothing (RFC 9110, 14.2)
    try:
        answer.make_conditional(environment, accept_ranges=True, complete_length=size)
    except RequestedRangeNotSatisfiable:
        file.close()
        return Response(status=416, headers={"Content-Range": f"bytes */{size}"})
    if answer.status_code == 206 and "wsgi.file_wrapper" in request.environ:
        # The server begins where the file stands and ends after Content-Length bytes (PEP 3333), without handing every
        # chunk through Python.
        file.seek(answer.content_range.start or 0)
        answer.response = wrap_file(request.environ, file, buffer_size=CHUNK)
    return answer
