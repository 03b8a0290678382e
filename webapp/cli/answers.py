"""What a command prints: one JSON document or lines for a person on standard output; everything else beside it."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.cells import cell_len

from storage.errors import Denied, Message, StorageError, say, size_in_words
from webapp.cli import refusals

Command = TypeVar("Command", bound=Callable[..., Any])


def with_json(command: Command) -> Command:
    """Gives a command `--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def document(value: Any) -> None:
    """The one JSON document of a command that was asked for one."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def line(text: str) -> None:
    click.echo(refusals.visible(text))


def note(text: str) -> None:
    """Something beside the answer: on standard error, so that it is in nobody's way."""
    click.echo(refusals.visible(text), err=True)


def refuse(error: StorageError, *, as_json: bool, **facts: Any) -> int:
    """Print a refusal, with more facts beside it in JSON; returns the exit code."""
    return refuse_recorded(error.to_json(), as_json=as_json, **facts)


def refuse_recorded(error: dict[str, Any], *, as_json: bool, **facts: Any) -> int:
    """The same for an error kept in a record."""
    if as_json:
        document({"error": refusals.in_json(error), **facts})
    else:
        note(refusals.in_words(error))
    return refusals.exit_code_of_kind(error["kind"])


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    for text in columns(headings, rows, right=right):
        click.echo(text)


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> Iterator[str]:
    """Columns for a person. Never cut: a script or `less -S` gets every letter. `right` are headings of numbers."""
    shown = [[refusals.visible(cell).replace("\n", " ") for cell in row] for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = []
        for cell, heading, width in zip(row, headings, widths, strict=True):
            room = " " * (width - cell_len(cell))
            cells.append(room + cell if heading in right else cell + room)
        yield "  ".join(cells).rstrip()


def size(count: int | None) -> str:
    return "–" if count is None else size_in_words(count)


def moment(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def seconds(duration: float | None) -> str:
    if duration is None:
        return "–"
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def new_password(*, from_stdin: bool, whose: str, twice: bool = True) -> str:
    """A password from standard input's first line, or typed without being shown."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the password; give it with --password-stdin.")
    return str(click.prompt(f"Password of {whose}", hide_input=True, confirmation_prompt=twice, err=True))


def confirm(question: str, *, advice: Message) -> None:
    """Ask at the terminal; raise Denied with the advice where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise Denied(say("This has to be confirmed, and there is no terminal to ask."), advice=advice)
    click.confirm(question, abort=True, err=True)


def confirm_where_asked(question: str) -> None:
    """The same before what has a way back: where there is nobody to ask, it is done."""
    if sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)


def who() -> str:
    """The person at the terminal, as records name them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = str(os.geteuid())
    return f"{name} (terminal)"
