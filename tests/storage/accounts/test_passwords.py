"""Which passwords are accepted, and that a wrong name cannot be told from a wrong password."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from storage.accounts import passwords
from storage.errors import Invalid
from storage.secret import Secret

GOOD = Secret("seven herons on the pier")


@pytest.mark.parametrize(
    "text",
    ["short", "elevenchars", "password1234", "PassWord1234", "123456789012", "aaaaaaaaaaaaaaaa", "ababababababab"],
)
def test_a_short_or_common_password_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        passwords.check_strength(Secret(text), name="ana")


def test_the_accounts_own_name_with_digits_is_refused() -> None:
    with pytest.raises(Invalid):
        passwords.check_strength(Secret("theadministration2026"), name="theadministration")


@pytest.mark.parametrize("text", ["seven herons on the pier", "十二个字的密码也是可以用的呀", "x7!Kp2#mQ9zL"])
def test_a_long_password_is_accepted(text: str) -> None:
    passwords.check_strength(Secret(text), name="ana")


def test_a_password_is_kept_as_argon2id_and_matches_only_itself() -> None:
    kept = passwords.hashed(GOOD)
    assert kept.startswith("$argon2id$")
    assert GOOD.reveal not in kept
    assert passwords.matches(kept, GOOD)
    assert not passwords.matches(kept, Secret("seven herons on the quay"))


def test_nobody_matches_without_an_account() -> None:
    assert not passwords.matches(None, GOOD)
    assert not passwords.matches(None, Secret("the password of nobody"))


def test_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    kept = passwords.hashed(GOOD)
    passwords.matches(None, GOOD)

    def fastest(password_hash: str | None) -> float:
        # Of the processor: how long somebody waits depends on what else the machine does.
        times = []
        for _ in range(7):
            began = time.process_time()
            passwords.matches(password_hash, Secret("a wrong one, certainly"))
            times.append(time.process_time() - began)
        return min(times)

    known, unknown = fastest(kept), fastest(None)
    assert 0.5 < unknown / known < 2


def test_a_hash_that_cannot_be_read_lets_nobody_in() -> None:
    assert not passwords.matches("not a hash", GOOD)


STORM = """
import threading
from storage.accounts import passwords
from storage.secret import Secret

def taken():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024

kept = passwords.hashed(Secret("seven herons on the pier"))
before = taken()
threads = [
    threading.Thread(target=lambda: [passwords.matches(kept, Secret("a wrong one, certainly")) for _ in range(4)])
    for _ in range(16)
]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(taken() - before)
"""


def test_a_storm_of_wrong_passwords_takes_the_memory_of_one() -> None:
    """In a process of its own: 16 threads, each with wrong passwords; in MiB, what it keeps more than after one."""
    answer = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, check=True, timeout=60)
    assert int(answer.stdout) < 2 * 19
