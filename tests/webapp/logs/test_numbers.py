"""How the numbers of a log are written: short, and exact in the title."""

from __future__ import annotations

from decimal import Decimal

import pytest
from flask import Flask

from webapp.formats import NO_BREAK
from webapp.logs import numbers

EXACT = "0.123456789012345"


def written(app: Flask, language: str, write: object, *arguments: object) -> str:
    with app.test_request_context(headers={"Accept-Language": language}):
        assert callable(write)
        return str(write(*arguments)).replace(NO_BREAK, " ")


def test_a_price_has_four_places_and_all_of_them_in_the_title(app: Flask) -> None:
    assert written(app, "en", numbers.price, Decimal(EXACT)) == f'<span title="{EXACT}">0.1235</span>'
    assert written(app, "en", numbers.price, Decimal("0E-15")) == '<span title="0.000000000000000">0.0000</span>'
    assert written(app, "en", numbers.price, None) == ""


def test_a_price_that_is_almost_nothing_is_not_shown_as_nothing(app: Flask) -> None:
    least = Decimal("0.000000000000001")
    assert ">&lt;0.0001<" in written(app, "en", numbers.price, least)
    assert ">&lt;$0.01<" in written(app, "en", numbers.money, least, "USD")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_sum_has_the_short_sign_of_its_currency_in_every_language(app: Flask, language: str) -> None:
    assert ">$123,459.55<" in written(app, language, numbers.money, Decimal("123459.546913578024691"), "USD")
    assert ">1.50<" in written(app, language, numbers.money, Decimal("1.5"), "")


def test_many_tokens_are_written_short_as_each_language_counts(app: Flask) -> None:
    assert written(app, "en", numbers.compact, 9_999) == "9,999"
    assert written(app, "en", numbers.compact, 412_600_000) == '<span title="412,600,000">412.6M</span>'
    assert ">4.1亿<" in written(app, "zh", numbers.compact, Decimal(412_600_000))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 ms"), (999, "999 ms"), (6_200, "6.2 s"), (133_000, "2 min 13 s"), (None, "")]
)
def test_a_duration_is_as_exact_as_it_is_short(app: Flask, value: int | None, text: str) -> None:
    assert written(app, "en", numbers.milliseconds, value) == text
