"""One request of a session, as the application's store keeps it: read, made harmless, and written as JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.applications.sessions import Part
from storage.errors import Damaged, say
from storage.logs.masking import masked_address, masked_headers
from storage.logs.session_store import Stored

SHOWN_BYTES = 64 * 1024
"""Of a body or of other settings on a page; an export has all of it."""
_READ_WHOLE = frozenset({Part.CLIENT, Part.UPSTREAM, Part.ANSWER, Part.HEADERS})


@dataclass(frozen=True, slots=True)
class Beginning:
    """Something of a request as text, cut where it is long; `size` is that of all of it in bytes."""

    text: str
    size: int
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetails:
    """What a page shows. None where the store has nothing of it; secrets are masked."""

    client_url: str | None
    upstream_url: str | None
    method: str | None
    status: int | None
    headers: Mapping[str, str] | None
    body: Beginning | None
    special_settings: Beginning | None


def details(parts: Mapping[Part, Stored]) -> RequestDetails:
    """For a page: what was read of a request, each part perhaps only to SHOWN_BYTES."""
    known = {part: _parsed(parts[part]) for part in _READ_WHOLE & parts.keys()}
    said = meta(known, reveal=False)
    answer = known.get(Part.ANSWER)
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    return RequestDetails(
        client_url=said["clientUrl"],
        upstream_url=said["upstreamUrl"],
        method=said["method"],
        status=status if isinstance(status, int) else None,
        headers=_lines(masked_headers(known.get(Part.HEADERS))),
        body=beginning(parts.get(Part.BODY)),
        special_settings=beginning(parts.get(Part.SPECIAL)),
    )


def document(
    session: str, sequence: int, parts: Mapping[Part, Stored], *, special_settings: Any, reveal: bool
) -> dict[str, Any]:
    """A request as claude-code-hub exports it, whole, with `special_settings` where the store has none. Secrets are
    masked unless told to `reveal` them. Raises Damaged for a part that was too large to be read."""
    for part, stored in parts.items():
        if not stored.whole:
            raise Damaged(
                say("The %(part)s of request %(sequence)s has %(size_bytes)s, which is more than can be exported.",
                    part=part.value, sequence=sequence, size_bytes=stored.size),
                effect=say("Nothing was exported."),
            )  # fmt: skip
    known = {part: _parsed(stored) for part, stored in parts.items()}
    headers = known.get(Part.HEADERS)
    return {
        "sessionId": session,
        "sequence": sequence,
        "meta": meta(known, reveal=reveal),
        "headers": headers if reveal else masked_headers(headers),
        "body": known.get(Part.BODY),
        "specialSettings": known.get(Part.SPECIAL, special_settings),
    }


def meta(known: Mapping[Part, Any], *, reveal: bool) -> dict[str, Any]:
    client, upstream = (
        one if isinstance(one, dict) else {} for one in (known.get(Part.CLIENT), known.get(Part.UPSTREAM))
    )
    urls = [one.get("url") if reveal else masked_address(one.get("url")) for one in (client, upstream)]
    return {"clientUrl": urls[0], "upstreamUrl": urls[1], "method": client.get("method") or upstream.get("method")}


def beginning(stored: Stored | None) -> Beginning | None:
    """JSON that was read whole is written with a line for each value."""
    if stored is None:
        return None
    if stored.whole and stored.size <= SHOWN_BYTES:
        value = _parsed(stored)
        text = value if isinstance(value, str) else written(value)
        return Beginning(text[:SHOWN_BYTES], stored.size, len(text) > SHOWN_BYTES)
    text = stored.value[:SHOWN_BYTES].decode("utf-8", "replace")
    return Beginning(text.removesuffix("\ufffd"), stored.size, True)


def shown(value: Any) -> Beginning:
    """The same for a value that is not in the store."""
    text = written(value)
    return Beginning(text[:SHOWN_BYTES], len(text.encode("utf-8")), len(text) > SHOWN_BYTES)


def written(value: Any) -> str:
    """JSON as JSON.stringify(value, null, 2) writes it; a half of a pair of surrogates stays escaped."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    except RecursionError:
        # Without lines it may be nested as deep as what was read.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def file_name(session: str, sequence: int | None) -> str:
    """session-3f2a9c01-seq-4-request.json, or without the number, as claude-code-hub names it."""
    return f"session-{_beginning_of(session)}{'' if sequence is None else f'-seq-{sequence}'}-request.json"


def whole_file_name(session: str) -> str:
    return f"session-{_beginning_of(session)}-requests.json"


def _beginning_of(session: str) -> str:
    """Eight letters that may stand in the name of a file everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", session[:8]).lstrip(".") or "_"


def _parsed(stored: Stored) -> Any:
    """The value of JSON text; the text itself where it is none."""
    text = stored.value.decode("utf-8", "replace")
    if not stored.whole:
        return text
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError):
        return text


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _lines(headers: Any) -> dict[str, str] | None:
    """Headers as a page lists them."""
    match headers:
        case None:
            return None
        case dict():
            pairs = list(headers.items())
        case list():
            pairs = [(name, value) for name, value in headers]
        case _:
            pairs = [("", headers)]
    lines: dict[str, str] = {}
    for name, value in pairs:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines[str(name)] = f"{lines[str(name)]}, {text}" if str(name) in lines else text
    return lines
