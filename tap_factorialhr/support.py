"""How long a version of the API is supported, and what there is to say of the configured one.

The API gives a version each quarter, named by its day, and supports it for a year. A retired one is served with the
schema of the oldest that is supported, without an error (API notes, "Paths and versions").
"""

from __future__ import annotations

from datetime import date, timedelta

from tap_factorialhr import openapi

NOTICE = timedelta(days=60)
"""How long before the end of a version's support a run begins to say so."""
_FIRST_MONTHS = frozenset({1, 4, 7, 10})


def last_day(version: str) -> date | None:
    """The day on which the support of a version ends, a year after its own; None for what is no day."""
    try:
        day = date.fromisoformat(version)
        return day.replace(year=day.year + 1)
    except ValueError:
        return None


def note(version: str, today: date, newest: str | None = None) -> str | None:
    """What a run is to say of the configured version; None where there is nothing to say.

    Args:
        version: The configured version.
        today: The day of the run.
        newest: The newest version whose document the tap has; left out, it is looked up.
    """
    newest = newest or openapi.newest_version()
    end = last_day(version)
    upgrade = f"set api_version to {newest}" if version < newest else "upgrade the tap, which brings a newer one"
    if end is None or end.day != 1 or end.month not in _FIRST_MONTHS:
        return f"api_version {version} is none that is known: there is one a quarter; set api_version to {newest}"
    if version > newest:
        return (
            f"api_version {version} is newer than {newest}, the newest that this version of the tap knows: what is "
            "new in it is not read; upgrade the tap, or set api_version back"
        )
    if today > end:
        return (
            f"api_version {version} has had no support since {end}: the API answers as the oldest one "
            f"that has, without a word; {upgrade}"
        )
    if today >= end - NOTICE:
        return f"api_version {version} is supported until {end}, {(end - today).days} days from now; {upgrade}"
    return None
