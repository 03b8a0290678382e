"""How sizes, numbers, times and ages are written, in the reader's language and the instance's time zone.

Each has a plain form for labels (`size_text`, `moment_text`, ...) and one for pages, with the exact value in its title.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from flask import Flask
from flask_babel import get_locale, gettext, ngettext
from markupsafe import Markup

from storage.clock import from_text, to_text
from webapp.current import storage

if TYPE_CHECKING:
    from storage.opening import Storage

NO_BREAK = "\u00a0"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

# (English, Chinese) patterns of Babel; the Chinese ones as the mock and the seeds write them.
_MOMENT = ("EEE d MMM y, HH:mm", "y年M月d日 HH:mm")
_MOMENT_THIS_YEAR = ("EEE d MMM, HH:mm", "M月d日EEE HH:mm")
_DAY = ("EEE d MMM y", "y年M月d日EEE")
_DAY_THIS_YEAR = ("EEE d MMM", "M月d日EEE")


def install(app: Flask, storage_: Storage) -> None:
    filters: dict[str, Callable[..., object]] = {
        "size": size,
        "size_text": size_text,
        "number": number,
        "duration": duration,
        "age": age,
        "moment": moment,
        "moment_text": moment_text,
        "moment_there": moment_there,
        "day_text": day_text,
        "clock_time": clock_time,
    }
    for name, write in filters.items():
        app.add_template_filter(write, name)
    app.add_template_global(storage_.clock, "now")
    app.add_template_global(local, "local")
    app.add_template_global(zone_text, "zone_text")


def number(value: int | float) -> str:
    return format_decimal(value, locale=get_locale())


def size_text(value: int | None) -> str:
    """1.4 GB, decimal units, two figures where the first stands alone; '' for what is not known."""
    if value is None:
        return ""
    amount, unit = float(abs(value)), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    figures = "#,##0.#" if unit > 1 and amount < 9.95 else "#,##0"
    sign = "−" if value < 0 else ""
    return f"{sign}{format_decimal(amount, figures, locale=get_locale())}{NO_BREAK}{_UNITS[unit]}"


def size(value: int | None) -> Markup:
    if value is None:
        return Markup("")
    exact = ngettext("%(bytes)s byte", "%(bytes)s bytes", value, bytes=number(value))
    return Markup('<span title="{exact}">{text}</span>').format(exact=exact, text=size_text(value))


def duration(value: float | timedelta | None) -> str:
    """2 min 13 s; two units at most, the smaller left out when it is nothing."""
    if value is None:
        return ""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    whole = int(max(0, seconds) + 0.5)
    if whole == 0:
        return _nb(gettext("under 1 s"))
    if whole < 60:
        return _nb(gettext("%(seconds)s s", seconds=whole))
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        if not rest:
            return _nb(gettext("%(minutes)s min", minutes=minutes))
        return _nb(gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest))
    if whole < 48 * 3600:
        hours, rest = divmod(whole // 60, 60)
        if not rest:
            return _nb(gettext("%(hours)s h", hours=hours))
        return _nb(gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=rest))
    days, rest = divmod(whole // 3600, 24)
    words = ngettext("%(num)s day", "%(num)s days", days)
    return _nb(gettext("%(days)s %(hours)s h", days=words, hours=rest) if rest and days < 10 else words)


def age(value: datetime | timedelta | float | str | None) -> str:
    """How long ago, in one unit that says enough: 40 s, 12 min, 7 h, 2 days 11 h."""
    if value is None:
        return ""
    if isinstance(value, str):
        value = from_text(value)
    if isinstance(value, datetime):
        value = storage().clock() - value
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value or 0)
    if seconds < 60:
        return duration(max(0.0, seconds))
    if seconds < 3600:
        return duration(int(seconds) // 60 * 60)
    if seconds < 48 * 3600:
        return duration(int(seconds) // 3600 * 3600)
    return duration(seconds)


def local(value: datetime | str) -> datetime:
    """A moment in the time zone of this instance."""
    read = from_text(value) if isinstance(value, str) else value
    assert read is not None
    return read.astimezone(ZoneInfo(storage().settings.time_zone))


def moment_text(value: datetime | str | None, seconds: bool = False) -> str:
    """Sun 22 Nov, 13:14; with the year when it is not this one."""
    if value is None:
        return ""
    here = local(value)
    pattern = _chosen(_MOMENT_THIS_YEAR if here.year == local(storage().clock()).year else _MOMENT)
    return format_datetime(here, pattern + (":ss" if seconds else ""), locale=get_locale())


def moment_there(value: datetime) -> str:
    """The same for a time of another zone, as the clocks there show it."""
    pattern = _chosen(_MOMENT_THIS_YEAR if value.year == local(storage().clock()).year else _MOMENT)
    # Babel would convert it to the zone of this instance.
    return format_datetime(value.replace(tzinfo=None), pattern, locale=get_locale())


def moment(value: datetime | str | None, seconds: bool = False) -> Markup:
    return _time_element(value, moment_text(value, seconds)) if value else Markup("")


def clock_time(value: datetime | str | None) -> Markup:
    """13:14:05"""
    return _time_element(value, local(value).strftime("%H:%M:%S")) if value else Markup("")


def day_text(value: date | datetime | str | None) -> str:
    """Sun 22 Nov; a date is taken as it is, a moment by the day it is here."""
    if value is None:
        return ""
    day = value if isinstance(value, date) and not isinstance(value, datetime) else local(value).date()
    pattern = _chosen(_DAY_THIS_YEAR if day.year == local(storage().clock()).year else _DAY)
    return format_date(day, pattern, locale=get_locale())


def zone_text() -> str:
    """Europe/Berlin (UTC+1)"""
    name = storage().settings.time_zone
    offset = local(storage().clock()).utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds()) // 60
    if not minutes and name == "UTC":
        return name
    hours, rest = divmod(abs(minutes), 60)
    return f"{name} (UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''})"


def _time_element(value: datetime | str, text: str) -> Markup:
    exact = local(value).astimezone(UTC)
    return Markup('<time datetime="{machine}" title="{utc} UTC">{text}</time>').format(
        machine=to_text(exact), utc=exact.strftime("%Y-%m-%d %H:%M:%S"), text=text
    )


def _chosen(patterns: tuple[str, str]) -> str:
    return patterns[1] if str(get_locale()).startswith("zh") else patterns[0]


def _nb(text: str) -> str:
    return text.replace(" ", NO_BREAK)
