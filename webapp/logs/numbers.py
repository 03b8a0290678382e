"""How the numbers of a usage log are written: prices, durations in milliseconds, counts of tokens."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_compact_decimal, format_decimal, get_currency_symbol
from flask_babel import get_locale, gettext
from markupsafe import Markup

from webapp.formats import NO_BREAK, duration, number
from webapp.logs.blueprint import bp

_LEAST = Decimal("0.0001")


@bp.app_template_filter()
def price(value: Decimal | None) -> Markup:
    """0.0431, with all of its digits in the title."""
    if value is None:
        return Markup("")
    if 0 < value < _LEAST:
        return _exact("<" + format_decimal(_LEAST, "0.0000", locale=get_locale()), value)
    return _exact(format_decimal(value, "#,##0.0000", locale=get_locale()), value)


@bp.app_template_filter()
def money(value: Decimal | int, currency: str, places: int = 2) -> Markup:
    """$1,204.17, with all digits in the title; a sum that is less than its last place says so."""
    value = Decimal(value)
    least = Decimal(1).scaleb(-places)
    pattern = f"#,##0.{'0' * places}"
    sign, shown = ("<", least) if 0 < value < least else ("", value)
    # The short sign also where a language would write US$: there is little room, and one currency in all of a log.
    symbol = get_currency_symbol(currency, locale="en") if currency else ""
    return _exact(sign + symbol + format_decimal(shown, pattern, locale=get_locale()), value)


@bp.app_template_filter()
def compact(value: Decimal | int) -> Markup:
    """412.6M, 4.1亿: with the number itself in the title."""
    if -10_000 < value < 10_000:
        return Markup(number(int(value)))  # noqa: S704
    text = format_compact_decimal(value, locale=get_locale(), fraction_digits=1)
    return Markup('<span title="{exact}">{text}</span>').format(exact=number(int(value)), text=text)


@bp.app_template_filter()
def milliseconds(value: int | None) -> str:
    """300 ms, 6.2 s, 2 min 13 s."""
    if value is None:
        return ""
    if value < 1000:
        return gettext("%(milliseconds)s ms", milliseconds=value).replace(" ", NO_BREAK)
    if value < 60_000:
        seconds = format_decimal(Decimal(value) / 1000, "0.0", locale=get_locale())
        return gettext("%(seconds)s s", seconds=seconds).replace(" ", NO_BREAK)
    return duration(value / 1000)


def _exact(text: str, value: Decimal) -> Markup:
    return Markup('<span title="{exact}">{text}</span>').format(exact=f"{value:f}", text=text)
