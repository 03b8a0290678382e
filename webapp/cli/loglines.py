"""How the program's log is written on standard error: a line for a person, or a JSON document for a collector."""

from __future__ import annotations

import logging
import sys
import time

from pythonjsonlogger.json import JsonFormatter


def write_to_standard_error(form: str) -> None:
    """`form` is text or json, as LOG_FORMAT has it. Times are UTC. In JSON, what an audit event says has keys of its
    own: action, actor, subject, result."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # "Task queue depth" is waitress's way of saying that somebody reloads quickly.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _formatter(form: str) -> logging.Formatter:
    moment = "%Y-%m-%dT%H:%M:%SZ"
    formatter: logging.Formatter
    if form == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        formatter = JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s", moment, rename_fields=names, json_ensure_ascii=False
        )
    else:
        formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", moment)
    formatter.converter = time.gmtime
    return formatter
