"""Passwords: which are accepted, and how they are kept (argon2id) and checked."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from storage.errors import Invalid, say
from storage.secret import Secret

LEAST_LETTERS = 12
MOST_LETTERS = 1000

# Of the lists of leaked passwords, those of twelve letters and more that lead them; written small, without blanks.
_COMMON = frozenset(
    """
    password1234 password12345 password123456 passwordpassword passw0rd1234 p@ssword1234 p@ssw0rd1234 mypassword123
    123456789012 1234567890123 12345678901234 123456789123 123456123456 123123123123 121212121212 111222333444
    012345678901 098765432109 987654321098 qwertyuiop12 qwertyuiop123 qwertyuiop1234 qwertyuiopas qwertyuiop[]
    qwerty123456 qwerty1234567 qwertyqwerty 1q2w3e4r5t6y 1qaz2wsx3edc 1qaz2wsx3edc4rfv qazwsxedcrfv qazwsxedc123
    asdfghjkl123 asdfghjkl1234 zxcvbnm12345 abcdefghijkl abcdefghijklm abcd12345678 abc123abc123 a1b2c3d4e5f6
    iloveyou1234 iloveyou12345 iloveyouforever letmein12345 letmeinletmein welcome12345 welcome123456 welcomewelcome
    administrator administrator1 admin1234567 admin12345678 adminadmin12 adminadminadmin admin@123456 administrateur
    changeme1234 changemechangeme changeme12345 default12345 defaultpassword secret123456 secretsecret rootroot1234
    rootpassword postgres1234 postgrespassword postgres12345 postgrespostgres databasepassword databaseadmin
    superman1234 batman123456 football1234 baseball1234 basketball12 princess1234 sunshine1234 dragon123456
    monkey123456 shadow123456 master123456 michael12345 trustno1trustno1 starwars1234 whatever1234 computer1234
    internet1234 samsung12345 liverpool123 chelsea12345 arsenal12345 manchester123 correcthorsebatterystaple
    testtesttest test12345678 testpassword demo12345678 demodemodemo pghaven12345 pghavenpghaven pghavenadmin
    woaini1314520 woaini520520 5201314520131 1314520131452 1234qwerasdf 1234qwerasdfzxcv q1w2e3r4t5y6 zaq12wsxcde3
    """.split()  # noqa: SIM905 a list of words reads better as words
)

# 19 MiB: what OWASP names as the least.
_hasher = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)
# The C library keeps for every thread what a hash took in it. In one thread, one after the other, a storm of sign-ins
# takes these 19 MiB once.
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")


def check_strength(password: Secret, *, name: str) -> None:
    """Raise Invalid for a password that is short, common, or the account's own name."""
    text = password.reveal
    if len(text) < LEAST_LETTERS:
        raise Invalid(
            say("The password is too short: at least %(least)s characters.", least=LEAST_LETTERS),
            advice=say("A few words in a row are easy to remember."),
        )
    if len(text) > MOST_LETTERS:
        raise Invalid(say("The password is too long: at most %(most)s characters.", most=MOST_LETTERS))
    plain = "".join(text.split()).lower()
    if plain in _COMMON or len(set(plain)) < 5 or plain.strip("0123456789!") == name.lower():
        raise Invalid(
            say("This password is one of the first that anybody would try."),
            advice=say("A few words in a row are easy to remember."),
        )


def hashed(password: Secret) -> str:
    return _thread.submit(_hasher.hash, password.reveal).result()


def matches(password_hash: str | None, password: Secret) -> bool:
    """Whether the password is right. Without a hash (no such account) it takes as long, and is wrong."""
    return _thread.submit(_matches, password_hash, password.reveal[:MOST_LETTERS]).result()


def _matches(password_hash: str | None, password: str) -> bool:
    try:
        right = _hasher.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return right and password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(password_hash)


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash("the password of nobody")
