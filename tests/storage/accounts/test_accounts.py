"""Accounts, their sessions and tokens, and the set-up of the first admin."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from storage.accounts import passwords
from storage.accounts.accounts import Accounts, TooManyTries, WrongPassword
from storage.accounts.permissions import PERMISSIONS, Role, may
from storage.errors import Conflict, Denied, Invalid, NotFound, StorageError
from storage.locks.filelocks import FileLocks
from storage.secret import Secret
from tests.conftest import StandingClock

PASSWORD = Secret("seven herons on the pier")
OTHER = Secret("eight herons on the pier")
HERE = "10.0.0.1"


@pytest.fixture
def opened(tmp_path: Path, clock: StandingClock) -> Callable[[], Accounts]:
    """Opens the same folder again, as another process does."""
    return lambda: Accounts(tmp_path / "metadata", locks=FileLocks(tmp_path / "locks"), clock=clock, idle_seconds=3600)


@pytest.fixture
def accounts(opened: Callable[[], Accounts]) -> Accounts:
    accounts = opened()
    accounts.add("ana", Role.ADMIN, PASSWORD)
    return accounts


def test_a_right_password_opens_a_session_and_a_wrong_one_does_not(accounts: Accounts) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE)
    found = accounts.session(session_id)
    assert found and found[1].name == "ana"
    with pytest.raises(WrongPassword):
        accounts.sign_in("ana", OTHER, HERE)


def test_an_unknown_name_is_refused_in_the_same_words(accounts: Accounts) -> None:
    refusals = []
    for name in ("ana", "nobody", "../ana", "", "x" * 500):
        with pytest.raises(WrongPassword) as refused:
            accounts.sign_in(name, OTHER, HERE)
        refusals.append(str(refused.value))
    assert len(set(refusals)) == 1


def test_after_five_wrong_passwords_even_the_right_one_has_to_wait(accounts: Accounts, clock: StandingClock) -> None:
    for _ in range(5):
        with pytest.raises(WrongPassword):
            accounts.sign_in("ana", OTHER, HERE)
    with pytest.raises(TooManyTries) as refused:
        accounts.sign_in("ana", PASSWORD, HERE)
    assert refused.value.seconds == 1
    assert accounts.sign_in("ana", PASSWORD, "10.9.9.9"), "from another address it is open"
    clock.forward(seconds=1)
    assert accounts.sign_in("ana", PASSWORD, HERE)


def test_no_more_passwords_are_looked_at_when_many_are_tried_at_once(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, begin = [], threading.Barrier(16)

    def matches(_hash: str | None, password: Secret) -> bool:
        looked_at.append(password.reveal)
        time.sleep(0.2)  # as long as the others need to get here
        return False

    def attempt(number: int) -> None:
        begin.wait()
        with pytest.raises((WrongPassword, TooManyTries)):
            accounts.sign_in("ana", Secret(f"guess {number}"), HERE)

    monkeypatch.setattr(passwords, "matches", matches)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(attempt, range(16)))
    assert len(looked_at) == 5


def test_a_hash_of_old_parameters_is_made_anew_and_undoes_no_change(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = accounts.get("ana").password_hash
    monkeypatch.setattr(passwords, "is_outdated", lambda _hash: True)
    accounts.sign_in("ana", PASSWORD, HERE)
    assert accounts.get("ana").password_hash != before

    def meanwhile(_hash: str) -> bool:
        accounts.link("ana", "hub", "7")
        return True

    monkeypatch.setattr(passwords, "is_outdated", meanwhile)
    accounts.sign_in("ana", PASSWORD, HERE)
    assert accounts.get("ana").linked == {"hub": "7"}


def test_one_password_tried_on_account_after_account_has_to_wait(accounts: Accounts, clock: StandingClock) -> None:
    for number in range(30):
        with pytest.raises(WrongPassword):
            accounts.sign_in(f"somebody-{number}", OTHER, HERE)
    with pytest.raises(TooManyTries) as refused:
        accounts.sign_in("ana", PASSWORD, HERE)
    assert refused.value.seconds == 1
    assert accounts.sign_in("ana", PASSWORD, "10.9.9.9"), "from another address it is open"
    clock.forward(seconds=1)
    assert accounts.sign_in("ana", PASSWORD, HERE)


def test_a_hundred_tries_lock_nobody_out_for_good(accounts: Accounts, clock: StandingClock) -> None:
    refused = 0
    for _ in range(100):
        try:
            accounts.sign_in("ana", OTHER, HERE)
        except TooManyTries:
            refused += 1
        except WrongPassword:
            pass
    assert refused == 95
    clock.forward(minutes=15)
    assert accounts.sign_in("ana", PASSWORD, HERE)


def test_changing_the_password_counts_wrong_tries_in_the_same_place(accounts: Accounts) -> None:
    for _ in range(5):
        with pytest.raises(WrongPassword):
            accounts.change_password("ana", present=OTHER, new=Secret("nine herons on the pier"), address=HERE)
    with pytest.raises(TooManyTries):
        accounts.sign_in("ana", PASSWORD, HERE)


def test_a_session_is_dead_at_sign_out(accounts: Accounts) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE)
    accounts.sign_out(session_id)
    assert accounts.session(session_id) is None


def test_every_sign_in_has_an_id_of_its_own_that_lies_in_no_file(accounts: Accounts, tmp_path: Path) -> None:
    first, second = accounts.sign_in("ana", PASSWORD, HERE), accounts.sign_in("ana", PASSWORD, HERE)
    assert first != second
    kept = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file())
    assert first.encode() not in kept
    assert PASSWORD.reveal.encode() not in kept


def test_an_idle_session_ends(accounts: Accounts, clock: StandingClock) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE)
    clock.forward(minutes=59)
    assert accounts.session(session_id)
    clock.forward(minutes=59)
    assert accounts.session(session_id), "it was used meanwhile"
    clock.forward(minutes=61)
    assert accounts.session(session_id) is None


def test_a_page_that_polls_does_not_keep_a_session_open(accounts: Accounts, clock: StandingClock) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE)
    for _ in range(59):
        clock.forward(minutes=1)
        assert accounts.session(session_id, by_person=False)
    clock.forward(minutes=2)
    assert accounts.session(session_id, by_person=False) is None


def test_staying_signed_in_lasts_thirty_days_and_no_longer(accounts: Accounts, clock: StandingClock) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE, stay=True)
    clock.forward(days=29)
    assert accounts.session(session_id)
    clock.forward(days=1)
    assert accounts.session(session_id) is None


def test_no_session_lasts_longer_than_thirty_days_however_busy(accounts: Accounts, clock: StandingClock) -> None:
    session_id = accounts.sign_in("ana", PASSWORD, HERE)
    end = clock() + timedelta(days=30)
    while clock() < end - timedelta(minutes=45):
        clock.forward(minutes=45)
        assert accounts.session(session_id)
    clock.forward(minutes=45)
    assert accounts.session(session_id) is None


def test_a_new_password_ends_every_session_also_when_another_process_sets_it(
    accounts: Accounts, opened: Callable[[], Accounts]
) -> None:
    ids = [accounts.sign_in("ana", PASSWORD, HERE) for _ in range(3)]
    opened().reset_password("ana", OTHER)
    assert [accounts.session(one) for one in ids] == [None, None, None]
    with pytest.raises(WrongPassword):
        accounts.sign_in("ana", PASSWORD, HERE)
    assert accounts.sign_in("ana", OTHER, HERE)


def test_a_changed_role_is_true_at_the_next_request(accounts: Accounts, opened: Callable[[], Accounts]) -> None:
    accounts.add("ben", Role.ADMIN, PASSWORD)
    session_id = accounts.sign_in("ben", PASSWORD, HERE)
    opened().change_role("ben", Role.USER)
    found = accounts.session(session_id)
    assert found and found[1].role is Role.USER


def test_a_removed_account_leaves_no_session_and_no_token(accounts: Accounts) -> None:
    accounts.add("ben", Role.USER, PASSWORD)
    session_id, token = accounts.sign_in("ben", PASSWORD, HERE), accounts.create_token("ben")
    accounts.remove("ben")
    assert accounts.session(session_id) is None
    assert accounts.account_of_token(token) is None
    with pytest.raises(NotFound):
        accounts.get("ben")


def test_the_last_admin_can_neither_be_removed_nor_made_a_user(accounts: Accounts) -> None:
    accounts.add("ben", Role.USER, PASSWORD)
    with pytest.raises(Conflict, match="only admin"):
        accounts.remove("ana")
    with pytest.raises(Conflict, match="only admin"):
        accounts.change_role("ana", Role.USER)


@pytest.mark.parametrize("name", ["", "Ana", "../ana", "a/b", "-ana", "a" * 64, "an a"])
def test_a_name_that_cannot_be_in_a_path_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(Invalid):
        accounts.add(name, Role.USER, PASSWORD)


def test_a_name_is_given_once(accounts: Accounts) -> None:
    with pytest.raises(Conflict):
        accounts.add("ana", Role.USER, OTHER)
    assert accounts.get("ana").role is Role.ADMIN


def test_a_token_is_its_account_until_it_is_revoked(accounts: Accounts, clock: StandingClock, tmp_path: Path) -> None:
    text = accounts.create_token("ana")
    found = accounts.account_of_token(text)
    assert found and found.name == "ana"
    kept = b"".join(path.read_bytes() + path.name.encode() for path in tmp_path.rglob("*") if path.is_file())
    assert text.encode() not in kept
    (token,) = accounts.tokens_of("ana")
    assert text.startswith(token.prefix) and len(token.prefix) < 12
    assert token.last_used_at == clock()
    accounts.tokens.revoke("ana", token.key)
    assert accounts.account_of_token(text) is None


def test_a_token_of_somebody_else_cannot_be_revoked(accounts: Accounts) -> None:
    accounts.add("ben", Role.USER, PASSWORD)
    text = accounts.create_token("ana")
    (token,) = accounts.tokens_of("ana")
    with pytest.raises(NotFound):
        accounts.tokens.revoke("ben", token.key)
    assert accounts.account_of_token(text)


@pytest.mark.parametrize("text", ["", "pgh_", "pgh_x", "../../x", "x" * 10_000])
def test_a_made_up_token_is_nobody(accounts: Accounts, text: str) -> None:
    assert accounts.account_of_token(text) is None


# The first admin


def test_the_setup_token_lets_one_person_in_once(opened: Callable[[], Accounts]) -> None:
    accounts = opened()
    token = accounts.setup_token()
    assert accounts.needs_setup() and token
    with pytest.raises(Denied):
        accounts.complete_setup("not it", "ana", PASSWORD)
    assert accounts.complete_setup(token, "ana", PASSWORD).role is Role.ADMIN
    assert not accounts.needs_setup()
    assert accounts.setup_token() is None
    with pytest.raises(Conflict):
        accounts.complete_setup(token, "eve", PASSWORD)


def test_a_password_that_is_refused_does_not_use_the_token_up(opened: Callable[[], Accounts]) -> None:
    accounts = opened()
    token = accounts.setup_token() or ""
    with pytest.raises(Invalid):
        accounts.complete_setup(token, "ana", Secret("short"))
    assert accounts.complete_setup(token, "ana", PASSWORD)


def test_a_new_start_makes_the_token_before_worthless(opened: Callable[[], Accounts]) -> None:
    old = opened().setup_token() or ""
    accounts = opened()
    new = accounts.setup_token() or ""
    with pytest.raises(Denied):
        accounts.complete_setup(old, "ana", PASSWORD)
    assert accounts.complete_setup(new, "ana", PASSWORD)


def test_setup_is_closed_for_ever_even_when_the_accounts_are_gone(
    opened: Callable[[], Accounts], tmp_path: Path
) -> None:
    accounts = opened()
    accounts.complete_setup(accounts.setup_token() or "", "ana", PASSWORD)
    (tmp_path / "metadata" / "accounts" / "ana.json").unlink()
    assert not opened().needs_setup()


def test_of_many_at_once_one_becomes_admin(opened: Callable[[], Accounts]) -> None:
    token = opened().setup_token() or ""

    def attempt(number: int) -> bool:
        try:
            opened().complete_setup(token, f"person{number}", PASSWORD)
        except StorageError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert len(opened().all()) == 1


def test_admin_password_makes_the_account_admin_and_closes_setup(opened: Callable[[], Accounts]) -> None:
    accounts = opened()
    accounts.start(admin_password=PASSWORD)
    assert not accounts.needs_setup()
    assert accounts.sign_in("admin", PASSWORD, HERE)
    accounts.start(admin_password=OTHER)
    with pytest.raises(WrongPassword):
        accounts.sign_in("admin", OTHER, HERE)


# Permissions


def test_admins_may_everything_and_users_only_look() -> None:
    assert all(may(Role.ADMIN, permission) for permission in PERMISSIONS)
    assert {p for p in PERMISSIONS if may(Role.USER, p)} == {
        "see backups",
        "change their own account",
        "see usage logs",
    }


def test_an_account_does_not_print_its_hash(accounts: Accounts) -> None:
    assert "argon2" not in repr(accounts.get("ana"))


def test_an_account_is_linked_to_one_user_for_each_database_until_it_is_unlinked(accounts: Accounts) -> None:
    accounts.add("ben", Role.USER, PASSWORD)
    accounts.link("ben", "hub", "2")
    accounts.link("ben", "wiki", "9")
    accounts.link("ben", "hub", "3")
    assert accounts.get("ben").linked == {"hub": "3", "wiki": "9"}
    accounts.link("ben", "wiki", "")
    assert accounts.get("ben").linked == {"hub": "3"}


def test_of_a_removed_database_nobody_stays_linked(accounts: Accounts) -> None:
    for name in ("ben", "cleo"):
        accounts.add(name, Role.USER, PASSWORD)
        accounts.link(name, "hub", "2")
        accounts.link(name, "wiki", "3")
    accounts.unlink_all("hub")
    assert [account.linked for account in accounts.all()] == [{}, {"wiki": "3"}, {"wiki": "3"}]
