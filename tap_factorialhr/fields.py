"""What is known of each field beside its type: privacy class, format, unit, and what it refers to.

The facts are data, reviewed field by field: ``fields/<domain>.json`` holds, by resource and field, a class alone or
an object with more; ``fields/classes.json`` holds the classes there are. Fields inside objects, and inside lists of
objects, are named with dots (``lines.amount``); a list of plain values has the line of its items. A field without
an entry has been reviewed by nobody: that is for the caller to take strictly.

Classes and references were decided by what the official SDK says of each field in its docstrings; units are there
only where that, the name (``_in_cents``, ``_minutes``) or the API notes ("Values") say so. Formats: API notes, the
table of files, and names with one meaning (``created_at``, ``_on``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTS = Path(__file__).with_name("fields")
CLASSES = FACTS / "classes.json"
NOT_PERSONAL = "system"
"""The class above all that is no personal data."""
PERSON = "user.unique_id"
"""The class of the ids of people, and of what refers to them."""


class Reference(NamedTuple):
    """A field of another stream that a field holds a value of."""

    stream: str
    key: str


class Field(msgspec.Struct, frozen=True):
    """What is known of one field.

    Attributes:
        privacy_class: A data category of fideslang, or an extension of ours.
        special: Whether it is of the special categories of GDPR Article 9, or of Article 10.
        format: ``date``, ``date-time`` or ``time``, for text that is one.
        unit: What a number counts, such as ``cents``, ``minutes`` or ``percent``.
        refers_to: The field of another stream that this one holds a value of.
        is_reference: Whether it names a row, also one of no stream, or one that may be of several streams. A number
            that a person has elsewhere, such as that of the payroll, is ``user.unique_id`` but no reference.
    """

    privacy_class: str
    special: bool = False
    format: str | None = None
    unit: str | None = None
    refers_to: Reference | None = None
    is_reference: bool = False


class _Entry(msgspec.Struct, rename={"privacy_class": "class"}, forbid_unknown_fields=True):
    """One line of the data that holds more than a class."""

    privacy_class: str
    special: bool = False
    format: str | None = None
    unit: str | None = None
    refers_to: str | None = None
    reference: bool | None = None  # Said only where neither `refers_to` nor the class tells.


class _Classes(msgspec.Struct, forbid_unknown_fields=True):
    """The file of the classes."""

    taxonomy: list[str]
    extensions: dict[str, str]
    special: list[str]


_ENTRIES = msgspec.json.Decoder(dict[str, dict[str, str | _Entry]])


def of_resource(path: str) -> Mapping[str, Field]:
    """What is known of the fields of a resource.

    Args:
        path: ``<domain>/<resource>``.

    Returns:
        The facts by name, dotted where nested; empty for a resource that nobody has reviewed. What is said of an
        object with declared fields holds for all that is in it: the nearest class above all of them (``system``
        where personal and other data are mixed), and special only where all of it is.
    """
    domain, _, resource = path.partition("/")
    return _domain(domain).get(resource, {})


def find(path: str, name: str) -> Field | None:
    """What is known of one field.

    Args:
        path: ``<domain>/<resource>``.
        name: The field, dotted where nested.

    Returns:
        The facts, or None for a field that nobody has reviewed, as a newer API document may bring.
    """
    return of_resource(path).get(name)


def known_classes() -> frozenset[str]:
    """All classes: the data categories of fideslang and our extensions."""
    classes = _classes()
    return frozenset((*classes.taxonomy, *classes.extensions))


def extensions() -> Mapping[str, str]:
    """What each class that fideslang lacks is for, by class."""
    return _classes().extensions


def special_classes() -> tuple[str, ...]:
    """The classes that are special by themselves, with all that is below them."""
    return tuple(_classes().special)


def covers(wider: str, privacy_class: str) -> bool:
    """Whether a class is another one or stands above it.

    >>> covers("user.financial", "user.financial.bank_account")
    True
    """
    return privacy_class == wider or privacy_class.startswith(f"{wider}.")


@cache
def _classes() -> _Classes:
    return msgspec.json.decode(CLASSES.read_bytes(), type=_Classes)


@cache
def _domain(domain: str) -> dict[str, dict[str, Field]]:
    """The facts of all resources of a domain, by resource and field."""
    try:
        raw = (FACTS / f"{domain}.json").read_bytes()
    except FileNotFoundError:
        return {}
    return {
        resource: _with_objects({name: _field(entry) for name, entry in entries.items()})
        for resource, entries in _ENTRIES.decode(raw).items()
    }


def _field(entry: str | _Entry) -> Field:
    if isinstance(entry, str):
        entry = _Entry(entry)
    refers_to = Reference(*entry.refers_to.split(".")) if entry.refers_to else None
    special = entry.special or _is_special(entry.privacy_class)
    is_reference = entry.reference
    if is_reference is None:
        is_reference = refers_to is not None or covers(PERSON, entry.privacy_class)
    return Field(entry.privacy_class, special, entry.format, entry.unit, refers_to, is_reference)


@cache
def _is_special(privacy_class: str) -> bool:
    return any(covers(special, privacy_class) for special in _classes().special)


def _with_objects(leaves: dict[str, Field]) -> dict[str, Field]:
    """The facts of leaves and of the objects around them."""
    inside: dict[str, list[Field]] = {}
    for name, leaf in leaves.items():
        parts = name.split(".")
        for depth in range(1, len(parts)):
            inside.setdefault(".".join(parts[:depth]), []).append(leaf)
    return {**leaves, **{name: _of_all(fields) for name, fields in inside.items()}}


def _of_all(fields: list[Field]) -> Field:
    """What holds for every one of several fields."""
    shared, *others = (field.privacy_class.split(".") for field in fields)
    for other in others:
        length = next((i for i, (one, two) in enumerate(zip(shared, other, strict=False)) if one != two), None)
        shared = shared[: min(len(shared), len(other)) if length is None else length]
    return Field(".".join(shared) or NOT_PERSONAL, all(field.special for field in fields))
