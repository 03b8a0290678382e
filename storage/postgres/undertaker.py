"""Ends the process groups of our programs when pghaven itself is killed; nothing else.

A small shell waits at the end of a pipe that only we hold. We tell it each group that begins and ends. When we die,
however we die, the kernel closes the pipe, and the shell kills the groups that are left. The parent-death signal alone
does not reach the children of a program: the workers of pg_restore --jobs would go on.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# Only what is built into the shell: after our death nothing may depend on a program that has to be found and started.
_SCRIPT = """
trap '' HUP INT TERM
groups=' '
while read -r word group; do
    case $word in
        begins) groups="$groups$group " ;;
        ended) case $groups in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"""


class Undertaker:
    """One shell for the whole program, started with the first group; a later one takes over when it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._shell: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @contextmanager
    def watching(self, group: int) -> Iterator[None]:
        """Have `group` killed should we die inside the block."""
        self._tell("begins", group)
        try:
            yield
        finally:
            self._tell("ended", group)

    def _tell(self, word: str, group: int) -> None:
        with self._lock:
            if self._pid != os.getpid():  # after a fork the pipe is our parent's too, and would outlive us
                self._shell, self._groups, self._pid = None, set(), os.getpid()
            (self._groups.add if word == "begins" else self._groups.discard)(group)
            try:
                self._write(f"{word} {group}\n")
            except OSError:
                self._begin_again()

    def _begin_again(self) -> None:
        try:
            self._shell = None
            for group in self._groups:
                self._write(f"begins {group}\n")
        except OSError as error:
            # The parent-death signal is left, which reaches all but a program's own children.
            logger.warning("nothing would end the programs' own children if pghaven were killed: %s", error)

    def _write(self, line: str) -> None:
        if self._shell is None:
            self._shell = _start()
        assert self._shell.stdin is not None
        os.write(self._shell.stdin.fileno(), line.encode())


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,  # what is sent to our group, as by Ctrl-C, is not for it
    )
