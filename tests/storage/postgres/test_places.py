from __future__ import annotations

from pathlib import Path

import pytest

from storage.postgres import places

CHECKOUT, HOME = Path("/srv/my tools/pghaven"), Path("/home/ada")


@pytest.mark.parametrize(
    ("is_root", "reachable", "place"),
    [
        (False, True, CHECKOUT / ".pghaven"),
        (False, False, HOME / ".local/share/pghaven"),
        (True, True, CHECKOUT / ".pghaven"),
        (True, False, Path("/var/lib/pghaven")),
    ],
)
def test_the_private_folder_is_in_the_checkout_unless_the_server_could_not_reach_it(
    is_root: bool, reachable: bool, place: Path
) -> None:
    assert places.choose_private_folder(CHECKOUT, is_root=is_root, reachable=reachable, home=HOME) == place


def test_a_shared_private_folder_holds_a_server_of_its_own_for_each_checkout() -> None:
    shared = Path("/var/lib/pghaven")
    assert places.embedded_folder(CHECKOUT / ".pghaven", CHECKOUT) == CHECKOUT / ".pghaven" / "embedded"
    first, second = (places.embedded_folder(shared, Path(name)) for name in ("/a/pghaven", "/b/pghaven"))
    assert first.parent == second.parent == shared
    assert first != second


def test_a_folder_below_a_closed_one_cannot_be_reached(tmp_path: Path) -> None:
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert not places.reachable_by_others(inner)
    assert not places.reachable_by_others(inner / "not there yet")


def test_what_is_made_for_the_server_can_be_passed_through_and_what_was_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    made = places.make_passable_folder(tmp_path / "there" / "a" / "b")
    assert [oct(folder.stat().st_mode)[-3:] for folder in (made, made.parent, made.parent.parent)] == [
        "755",
        "755",
        "700",
    ]
