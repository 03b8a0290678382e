"""The program around the commands: opens the data folder for them, and turns every end into words and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from storage.errors import NotFound, StorageError, say
from storage.opening import Storage, open_storage
from storage.settings import Settings
from webapp.cli import answers, refusals

logger = logging.getLogger(__name__)


class Program(click.Group):
    """The outermost group. Nothing but its `main` turns exceptions into answers."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        # Asked of the words themselves: the command that was not understood has no options yet.
        as_json = "--json" in arguments
        try:
            code = super().main(arguments, prog_name or "pghaven", complete_var, standalone_mode=False, **extra)
        except StorageError as error:
            sys.exit(answers.refuse(error, as_json=as_json))
        except click.ClickException as error:
            sys.exit(_not_understood(error, as_json=as_json))
        except click.Abort:
            sys.exit(_aborted(as_json=as_json))
        except Exception as error:
            logger.exception("the command failed by a fault of pghaven")
            sys.exit(answers.refuse(_fault(error), as_json=as_json))
        sys.exit(code if isinstance(code, int) else refusals.DONE)


@contextmanager
def opened(*, may_make: bool = False) -> Iterator[Storage]:
    """The data folder that the environment names, for the length of one command; nothing is started in it.

    Raises NotFound where there is none, unless the command `may_make` it: one that only reads, called in another
    folder, would leave an empty data folder there and say that there are no backups.
    """
    settings = Settings.from_environment()
    if not may_make and not (settings.data_folder / "metadata").is_dir():
        raise NotFound(
            say("There is no data folder of pghaven in %(folder)s.", folder=str(settings.data_folder)),
            advice=say("Name it in BACKUP_STORAGE_PATH."),
        )
    storage = open_storage(settings, beside=True)
    try:
        yield storage
    finally:
        storage.stop()


def _not_understood(error: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        facts = {"kind": "Usage", "exit_code": error.exit_code, "message": error.format_message()}
        answers.document({"error": facts})
    else:
        error.show()
    return error.exit_code


def _aborted(*, as_json: bool) -> int:
    message = "Cancelled."
    if as_json:
        facts = {"kind": "JobCancelled", "exit_code": refusals.CANCELLED, "message": message}
        answers.document({"error": facts})
    else:
        answers.note(message)
    return refusals.CANCELLED


def _fault(error: Exception) -> StorageError:
    return StorageError(
        say("pghaven itself made a mistake: %(error)s.", error=f"{type(error).__name__}: {error}"[:500]),
        effect=say("The command was ended."),
        advice=say("The lines above have the details. Please report them."),
    )
