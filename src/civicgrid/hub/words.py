"""How pages say things: dates and numbers as they are written in the United Kingdom, and translations."""

from __future__ import annotations

import datetime as dt
import gettext
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

LANGUAGES = {"en": "English", "cy": "Cymraeg"}
LONDON = ZoneInfo("Europe/London")


def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language; English is the text in the templates itself."""
    return gettext.translation("civicgrid", Path(__file__).parent / "translations", [language], fallback=True)


def day(value: dt.date | dt.datetime | float | str | None) -> str:
    """24 November 2026."""
    moment = _moment(value)
    return f"{moment.day} {moment:%B %Y}" if moment else ""


def time(value: dt.datetime | float | str | None) -> str:
    """24 November 2026 at 2:05pm, in London."""
    moment = _moment(value)
    if not isinstance(moment, dt.datetime):
        return day(value)
    hour = moment.hour % 12 or 12
    return f"{day(moment)} at {hour}:{moment:%M}{'am' if moment.hour < 12 else 'pm'}"


def number(value: float | None) -> str:
    """12,345."""
    return "" if value is None else f"{value:,}"


def ago(value: float | None, now: dt.datetime) -> str:
    """How long ago a moment was, in its largest unit."""
    if value is None:
        return "never"
    seconds = max(0, int(now.timestamp() - value))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "less than a minute ago"


def plain(value: object) -> str:
    """The name of a state or role as words."""
    return str(value).replace("_", " ")


def _moment(value: Any) -> dt.date | dt.datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        value = dt.datetime.fromtimestamp(value, dt.UTC)
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value) if "T" in value else dt.date.fromisoformat(value)
    return value.astimezone(LONDON) if isinstance(value, dt.datetime) and value.tzinfo else value


FILTERS: dict[str, Callable[..., Any]] = {"day": day, "time": time, "number": number, "ago": ago, "plain": plain}
