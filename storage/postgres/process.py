"""Running programs: the one place of pghaven that starts child processes for work.

A child is in a process group of its own, which ends with us however we end; it reads no input unless it is given some,
and speaks English. Its lines are streamed, the last ones kept for the error; whatever ends the wait ends the whole
group.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from storage.errors import ProgramFailed, Unavailable, say
from storage.postgres.account import Account
from storage.postgres.undertaker import Undertaker

OnLine = Callable[[str], None]
OnOutput = Callable[[bytes], None]

CHUNK = 1 << 20
LOOK_EVERY = 0.1
"""Seconds between two looks at cancel and the watchdog."""
_WORTH_WAKING, _GATHERING = 1 << 17, 0.004
"""A program that writes 8 kB at a time would wake us twenty thousand times for an archive of 160 MB; after a small
piece we let the pipe, which holds a MiB, fill for 4 ms. A tenth of a core, which the dump itself can use."""
_KEPT_LINES = 30
_PR_SET_PDEATHSIG = 1
_F_SETPIPE_SZ = 1031

# Loaded here and not in the child: between fork and exec nothing may import or take a lock.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_undertaker = Undertaker()


class RunProgram(Protocol):
    def __call__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        on_line: OnLine = ...,
        on_output: OnOutput | None = ...,
        watch: Callable[[], None] = ...,
        stdin: int = ...,
    ) -> None: ...


def die_with_parent(signal_number: int = signal.SIGKILL) -> Callable[[], None] | None:
    """For Popen's preexec_fn. The signal also comes when the *thread* that forked ends: start children from
    long-lived threads only."""
    libc = _libc
    if libc is None:
        return None
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def run_program(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    on_line: OnLine = lambda line: None,
    on_output: OnOutput | None = None,
    watch: Callable[[], None] = lambda: None,
    account: Account | None = None,
    stdin: int = subprocess.DEVNULL,
) -> None:
    """Run a program to its end. Raises ProgramFailed for every code but 0.

    `on_line` gets each line of standard error (and of standard output when there is no `on_output`); `on_output` gets
    standard output in chunks of at most a MiB. `watch` is called ten times a second and may raise, for cancel or a
    stall: then the group is ended and the exception goes on. `account` is who runs it, when that is not us.
    """
    process = _start(command, environment=environment, account=account, stdin=stdin)
    with _undertaker.watching(process.pid):
        try:
            last_lines = _pump(process, on_line, on_output, watch)
        except BaseException:
            end_group(process)
            raise
        finally:
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        code = process.wait()
    if code:
        raise ProgramFailed(Path(str(command[0])).name, code, tuple(last_lines))


def _start(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    account: Account | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    other = account if account and not account.is_ours else None
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd="/" if other else None,  # our own folder may be closed to the other account
            user=other.uid if other else None,
            group=other.gid if other else None,
            extra_groups=[] if other else None,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # a prctl, nothing that could take a lock
        )
    except OSError as error:
        raise Unavailable(
            say("%(program)s could not be started: %(reason)s", program=str(command[0]), reason=error.strerror or "")
        ) from error


@contextmanager
def flowing(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> Iterator[Outflow]:
    """Run a program whose output is taken at the reader's own pace: it waits while nobody reads.

    For the thread that reads to its end; the program ends with that thread, and with the block, however it is left.
    """
    process = _start(command, environment=environment)
    with _undertaker.watching(process.pid):
        try:
            yield Outflow(process, Path(str(command[0])).name)
        finally:
            if process.poll() is None:
                end_group(process)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


class Outflow:
    """What a running program writes to its standard output."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        assert process.stdout is not None and process.stderr is not None
        self._process, self._name = process, name
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._errors = _Lines(self._last_lines.append)
        self._output, self._complaints = process.stdout.fileno(), process.stderr.fileno()
        self._open = {self._output, self._complaints}
        _widen(self._output)

    def read(self, watch: Callable[[], None] = lambda: None) -> bytes:
        """The next piece, at most a MiB; b"" when the program has ended well. Raises ProgramFailed when it has not.

        `watch` is called ten times a second while there is nothing to read, and may raise.
        """
        with selectors.DefaultSelector() as selector:
            for descriptor in self._open:
                selector.register(descriptor, selectors.EVENT_READ)
            while self._open:
                for key, _ in selector.select(LOOK_EVERY):
                    chunk = self._take(key.fd)
                    if not chunk:
                        selector.unregister(key.fd)
                        self._open.discard(key.fd)
                    elif key.fd == self._output:
                        return chunk
                    else:
                        self._errors.feed(chunk)
                watch()
        self._errors.end()
        if code := self._process.wait():
            raise ProgramFailed(self._name, code, tuple(self._last_lines))
        return b""

    def end(self) -> None:
        """End the program; from any thread. Whoever reads is told of it by ProgramFailed."""
        end_group(self._process)

    def _take(self, descriptor: int) -> bytes:
        chunk = os.read(descriptor, CHUNK)
        if descriptor == self._output and 0 < len(chunk) < _WORTH_WAKING:
            time.sleep(_GATHERING)
            if select.select([descriptor], [], [], 0)[0]:
                chunk += os.read(descriptor, CHUNK - len(chunk))
        return chunk


def end_group(process: subprocess.Popen[bytes], *, patience: float = 1.0) -> None:
    """End a child and all its children: SIGTERM, so that it can cancel its query at the server, then SIGKILL."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _pump(
    process: subprocess.Popen[bytes], on_line: OnLine, on_output: OnOutput | None, watch: Callable[[], None]
) -> deque[str]:
    assert process.stdout is not None and process.stderr is not None
    last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def keep(line: str) -> None:
        last_lines.append(line)
        on_line(line)

    errors, output = _Lines(keep), _Lines(keep)
    takers: dict[int, OnOutput] = {
        process.stderr.fileno(): errors.feed,
        process.stdout.fileno(): on_output or output.feed,
    }
    if on_output:
        _widen(process.stdout.fileno())
    next_look = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for descriptor in takers:
            selector.register(descriptor, selectors.EVENT_READ)
        while takers:
            for key, _ in selector.select(LOOK_EVERY):
                chunk = os.read(key.fd, CHUNK)
                if chunk:
                    takers[key.fd](chunk)
                    if on_output and len(chunk) < _WORTH_WAKING:
                        time.sleep(_GATHERING)
                else:
                    selector.unregister(key.fd)
                    del takers[key.fd]
            if time.monotonic() >= next_look:
                watch()
                next_look = time.monotonic() + LOOK_EVERY
    errors.end()
    output.end()
    while True:
        try:
            process.wait(LOOK_EVERY)
            return last_lines
        except subprocess.TimeoutExpired:
            watch()


def _widen(pipe: int) -> None:
    if _libc is not None:
        with suppress(OSError):  # the kernel's limit for pipes may be lower; then it stays as it is
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, CHUNK)


class _Lines:
    """Cuts a stream of bytes into lines of text; a line without an end is cut at 64 KiB."""

    def __init__(self, on_line: OnLine) -> None:
        self._rest, self._on_line = b"", on_line

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._on_line(line.decode(errors="replace"))
        if len(self._rest) > 1 << 16:
            self.end()

    def end(self) -> None:
        if self._rest:
            self._on_line(self._rest.decode(errors="replace"))
            self._rest = b""
