"""What stands in the fields of a row: names that look like names, dates that follow each other."""

from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from tap_factorialhr.sandbox import words

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tap_factorialhr.sandbox.shapes import Shape

Maker: TypeAlias = "Callable[[Random, int, int], Any]"
"""Takes a source of chance, the number of the row and that of the employee it is about; gives a value."""

_DAY_MINUTES = 24 * 60
_RARE = ("deleted_", "archived_", "discarded_", "terminat", "inactive", "locked_at", "rejected_reason")
_MOMENTS = ("_at", "_since")


def stamp(moment: datetime) -> str:
    """A moment in the API's form, such as ``2024-10-06T00:00:00.000Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@cache
def day(ordinal: int) -> str:
    """A date in the API's form, such as ``2024-10-06``."""
    return date.fromordinal(ordinal).isoformat()


def first_name(employee: int) -> str:
    """The first name of the employee of that number."""
    return words.FIRST_NAMES[(employee * 7 + employee // 49) % len(words.FIRST_NAMES)]


def last_name(employee: int) -> str:
    """The last name of the employee of that number."""
    return words.LAST_NAMES[(employee * 11 + employee // 43) % len(words.LAST_NAMES)]


def full_name(employee: int) -> str:
    """First and last name."""
    return f"{first_name(employee)} {last_name(employee)}"


def email(employee: int) -> str:
    """An address at example.com that no other employee has."""
    plain = unicodedata.normalize("NFKD", full_name(employee)).encode("ascii", "ignore").decode().lower()
    return f"{plain.replace(' ', '.')}.{employee}@example.com"


_PEOPLE: dict[str, Callable[[int], str]] = {
    "first_name": first_name,
    "last_name": last_name,
    "full_name": full_name,
    "preferred_name": first_name,
    "birth_name": last_name,
    "contact_name": lambda employee: full_name(employee + 1),
    "beneficiary_name": full_name,
    "email": email,
    "login_email": email,
    "work_email": email,
    "communications_email": email,
    "personal_email": lambda employee: "home." + email(employee),
    "employee_name": full_name,
    "employee_full_name": full_name,
    "employee_first_name": first_name,
    "employee_last_name": last_name,
    "approver_full_name": lambda employee: full_name(employee // 8),
    "manager_full_name": lambda employee: full_name(employee // 8),
    "author": lambda employee: full_name(employee // 8),
}

_CHOICES: dict[str, tuple[Any, ...]] = {
    "city": words.CITIES,
    "state": words.CITIES,
    "birthplace": words.CITIES,
    "place_of_birth": words.CITIES,
    "country": words.COUNTRIES,
    "country_code": words.COUNTRIES,
    "country_of_birth": words.COUNTRIES,
    "nationality": words.COUNTRIES,
    "job_title": words.JOB_TITLES,
    "legal_name": tuple(f"{name} S.L." for name in words.COMPANIES),
    "legal_entity_name": tuple(f"{name} S.L." for name in words.COMPANIES),
    "merchant_name": tuple(f"{name} Comercio" for name in words.COMPANIES),
    "bank_name": tuple(f"Banco {name}" for name in words.COMPANIES),
    "leave_type_name": words.LEAVE_TYPES,
    "gender": ("male", "female", "other"),
    "pronouns": ("she/her", "he/him", "they/them"),
    "identifier_type": ("dni", "nie", "passport"),
    "timezone": ("Europe/Madrid", "Europe/Lisbon", "Atlantic/Canary"),
    "half_day": (None, None, None, "beginning_of_day", "end_of_day", "beggining_of_day"),
    "in_source": ("desktop", "mobile", "api"),
    "out_source": ("desktop", "mobile", "api"),
    "salary_frequency": ("yearly", "monthly", "weekly"),
    "working_hours_frequency": ("week", "day"),
    "working_week_days": ("monday,tuesday,wednesday,thursday,friday",),
    "working_hours": (4000, 3750, 2000),
    "salary_amount": (2400000, 3150000, 4200050),
    "percentage": (100.0, 50.0, 33.33),
    "inputed_time": ("8.5", 8, 7.25),
    "valuable_type": ("Employee",),
    "attachable_type": ("Employee",),
    "codeable_type": ("Employee",),
    "target_type": ("Employee",),
    "sent_by_type": ("Employee",),
    "resource_syncable_type": ("Employee",),
    "content_type": ("application/pdf", "image/png"),
    "extension": ("pdf", "png"),
    "filename": ("contract.pdf", "payslip ä.pdf", "scan 1.png"),
    "logo": ("https://example.com/logo.png",),
    "locale": ("en", "es"),
    "role": ("admin",),
    "weekday": ("monday", "tuesday", "wednesday", "thursday", "friday"),
    "clock_in": ("08:00", "08:30:00", "09:15"),
    "clock_out": ("16:00", "17:30:00", "18:05"),
    "space": ("employee_my_documents", "company_public"),
    "description": (*words.NOTES, *words.THINGS),
    "observations": words.NOTES,
    "note": words.NOTES,
    "notes": words.NOTES,
    "text": words.NOTES,
    "reason": words.NOTES,
    "content": words.NOTES,
    "color": ("#07a2ad", "#ff355e"),
    "latitude": (41.3874, 40.4168, 38.7223),
    "longitude": (2.1686, -3.7038, -9.1393),
    "start_month": (1,),
    "end_month": (12,),
    "start_day": (1,),
    "end_day": (31,),
}

_NAMES: dict[str, tuple[str, ...]] = {
    "teams/teams": words.TEAMS,
    "timeoff/leave_types": words.LEAVE_TYPES,
    "locations/locations": tuple(f"{city} office" for city in words.CITIES),
    "job_catalog/roles": words.JOB_TITLES,
    "job_catalog/levels": ("Junior", "Middle", "Senior", "Lead"),
}


def name_of(resource: str, number: int) -> str:
    """The name of a resource's row of that number: names in turn, with a number as soon as they repeat."""
    names = _NAMES.get(resource, words.THINGS)
    again, index = divmod(number, len(names))
    return names[index] if not again else f"{names[index]} {again + 1}"


def of(resource: str, name: str, shape: Shape, today: date) -> Maker:
    """The maker of a field that holds no id."""
    if shape.values:
        return _choice(shape.values)
    if name in _PEOPLE and shape.kind == "string" and resource != "api_public/credentials":
        person = _PEOPLE[name]
        return lambda _rng, _number, employee: person(employee)
    if name in {"name", "title", "label"} and shape.kind == "string":
        return lambda _rng, number, _employee: name_of(resource, number)
    if name in _CHOICES and shape.kind not in {"object", "array"}:
        return _choice(_fitting(_CHOICES[name], shape.kind))
    return _by_kind(name, shape, today)


def _fitting(values: tuple[Any, ...], kind: str) -> tuple[Any, ...]:
    if kind in {"string", "unknown"}:
        return values
    return tuple(value for value in values if isinstance(value, int | float)) or (0,)


def _choice(values: tuple[Any, ...]) -> Maker:
    count = len(values)
    return lambda rng, _number, _employee: values[int(rng.random() * count)]


def _by_kind(name: str, shape: Shape, today: date) -> Maker:  # noqa: PLR0911 - one line a kind
    match shape.kind:
        case "string":
            return _string(name, shape.format, today)
        case "integer":
            return _integer(name)
        case "number":
            return lambda rng, _number, _employee: round(rng.random() * 100, 2)
        case "boolean":
            if name in {"active", "enabled", "attendable", "workable", "visible", "assigned"}:
                return lambda rng, _number, _employee: rng.random() < 0.9  # noqa: PLR2004 - mostly so
            return lambda rng, _number, _employee: rng.random() < 0.3  # noqa: PLR2004 - mostly not
        case "array" | "object":
            return _nested(name, shape, today)
        case _:
            return lambda rng, _number, _employee: rng.choice((1, "1.5", {"value": 2}))


def _integer(name: str) -> Maker:
    if name == "age_number":
        return lambda rng, _number, _employee: 20 + int(rng.random() * 45)
    if name in {"position", "order"} or name.endswith("number"):
        return lambda _rng, number, _employee: number + 1
    if "year" in name:
        return lambda rng, _number, _employee: 2020 + int(rng.random() * 7)
    top = 500_000 if "cents" in name or "amount" in name else 480
    return lambda rng, _number, _employee: int(rng.random() * top)


def _string(name: str, format_: str | None, today: date) -> Maker:  # noqa: C901, PLR0911 - one line a form
    last = today.toordinal()
    if format_ == "date-time" or (format_ is None and name.endswith(_MOMENTS)):
        return lambda rng, _number, _employee: (
            f"{day(last - 40 - int(rng.random() * 900))}T{int(rng.random() * 24):02d}:00:00.000Z"
        )
    if name in {"birthday_on", "date_of_birth"}:
        return lambda rng, _number, _employee: day(last - 20 * 365 - int(rng.random() * 14_000))
    if format_ == "date" or name.endswith(("_on", "_date")) or name == "date":
        return lambda rng, _number, _employee: day(last - 30 - int(rng.random() * 900))
    if format_ == "time" or name.endswith("time"):
        return lambda rng, _number, _employee: f"{int(rng.random() * 24):02d}:30"
    if "currency" in name:
        return _choice(words.CURRENCIES)
    if "email" in name:
        return lambda _rng, _number, employee: email(employee)
    if name.endswith("url") or name == "link":
        return lambda _rng, number, _employee: f"https://example.com/{name}/{number}"
    if "address" in name:
        return lambda rng, _number, _employee: f"{rng.choice(words.STREETS)}, {int(rng.random() * 200) + 1}"
    if "phone" in name or name == "contact_number":
        return lambda rng, _number, _employee: f"+34 600 {int(rng.random() * 1_000_000):06d}"
    if name.endswith(("number", "code", "iban", "bic", "tin", "siret", "identifier", "_id")):
        return lambda rng, _number, _employee: f"{int(rng.random() * 10**9):09d}"
    if name.endswith(("cost", "days", "units", "total", "rate", "balance", "amount", "decimal", "allowance")):
        return lambda rng, _number, _employee: f"{rng.random() * 100:.2f}"
    return _choice(tuple(f"{thing}" for thing in words.THINGS))


def _nested(name: str, shape: Shape, today: date) -> Maker:
    """Objects and lists: one of a few that are made once, because making them anew tells no more."""
    made: list[Any] = []

    def make(rng: Random, number: int, employee: int) -> Any:  # noqa: ANN401 - a JSON value
        if not made:
            made.extend(_tree(name, shape, today, rng, count) for count in (1, 2, 0, 1, 2))
        return made[(number + employee) % len(made)]

    return make


def _tree(name: str, shape: Shape, today: date, rng: Random, count: int) -> Any:  # noqa: ANN401 - a JSON value
    if shape.kind == "array":
        item = shape.item
        return [_tree(name, item, today, rng, 1) for _ in range(count)] if item else []
    if shape.kind == "object":
        return {key: _tree(key, inner, today, rng, count) for key, inner in shape.fields.items()}
    if shape.values:
        return rng.choice(shape.values)
    if name.endswith(("_id", "_ids")) or name == "id":
        return str(18446744073700000 + int(rng.random() * 9000))
    return of("", name, shape, today)(rng, int(rng.random() * 50), int(rng.random() * 50))


def is_rare(name: str) -> bool:
    """Whether a field stands for something that happened to few rows: deleted, archived, terminated."""
    return name.startswith(_RARE) or name in {"syncable_deleted_at", "parent_id"}


def later(text: str, minutes: int, latest: str) -> str:
    """A time stamp some minutes after another, but not after ``latest``."""
    moment = datetime.fromisoformat(text) + timedelta(minutes=minutes)
    return min(stamp(moment), latest)


def noon(today: date) -> datetime:
    """Midday UTC."""
    return datetime.combine(today, time(12), UTC)
