"""One row in, one record out: declared and selected fields only, each in the type that its schema declares.

What to do with a value follows from the schema alone, so it is worked out once per stream (`Shaper`); per row
and field there is then a look at the value's class, and a call only where that is not right already.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import repeat
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tap_factorialhr.openapi import is_id, only_kind
from tap_factorialhr.privacy.policy import Treatment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_factorialhr.openapi import JsonSchema
    from tap_factorialhr.privacy.rows import RowPrivacy

    Breadcrumb = tuple[str, ...]
    Selected = Callable[[Breadcrumb], bool]
    Reader = Callable[[Any], Any]
    Picker = Callable[[dict[str, Any]], dict[str, Any]]
    Values = Callable[[dict[str, Any]], tuple[Any, ...]]

# A value that its declared type has no room for raises one of these: ValueError what the readers here find out,
# OverflowError a time stamp that leaves the calendar on its way to UTC, TypeError an unhashable value where a
# reader has a cache.
_UNREADABLE = (ValueError, OverflowError, TypeError)

_MAX_DEPTH = 64  # Far beyond any real value; the decoders and encoders of targets give up from some hundreds on.
_MAX_EXPONENT = 308  # Of a double, which is what most readers of JSON make of a number.
_MAX_UNKNOWN = 1000  # A server that makes up names must not fill the memory with them.
_MAX_NAMED = 50

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME_STAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)? ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def column(rows: Iterable[Any], name: str) -> list[Any]:
    """The values of one field in rows that are dictionaries, or structs; None where a row lacks it."""
    return [row.get(name) if row.__class__ is dict else getattr(row, name) for row in rows]


class Field(NamedTuple):
    """How one field of an object is read.

    Attributes:
        name: Its name.
        full_name: The same, dotted where the object is nested.
        right: The class of the values that need no reading, None where all do.
        typed: The type of the values that need no reading once a decoder has made them, None where all do.
        read: Reads a value that is not null, and raises when it cannot.
    """

    name: str
    full_name: str
    right: type | None
    typed: type | None
    read: Reader


def _by_class(fields: list[Field]) -> list[tuple[Values, frozenset[type], list[Field]]]:
    """The fields whose values mostly need no reading, by the class of such values.

    One look at the classes of all of them at once costs a fraction of one look per field.
    """
    groups: list[tuple[Values, frozenset[type], list[Field]]] = []
    for right in (str, int, bool):
        group = [field for field in fields if field.right is right]
        if group:
            # Named twice where it is one field alone, since one name would give a value and not a tuple.
            values = itemgetter(group[0].name, *(field.name for field in group))
            groups.append((values, frozenset({right, type(None)}), group))
    return groups


class Shaper:
    """Makes records of rows, and keeps count of what could not be kept.

    Attributes:
        unknown: The names of fields met that the schema does not declare, dotted where nested.
        unreadable: How many values became null since they are not of the declared type, per field (dotted).
        fields: How each field of a record is read, in the order of the schema.
        left_out: The names of the fields that are not selected.
    """

    def __init__(
        self, schema: JsonSchema, selected: Selected = lambda _: True, privacy: RowPrivacy | None = None
    ) -> None:
        """Compile a schema.

        Args:
            schema: JSON Schema of a row, as `openapi.Document.schema` makes it; with ``privacy``, as its ``source``
                does.
            selected: Whether the field with an SDK breadcrumb (``("properties", "city")``) is selected. Not asked
                for what lies inside a field that is not, nor for the fields of objects in arrays, as the SDK's
                catalog has no entries for those: they come with their array.
            privacy: What is dropped, which then counts as not selected, and what is hashed; None for nothing.
        """
        self._privacy = privacy
        self.unknown: set[str] = set()
        self.unreadable: Counter[str] = Counter()
        self.fields = list(self._fields(schema["properties"], "", (), selected))
        self.left_out = sorted(schema["properties"].keys() - {field.name for field in self.fields})
        self._shape = self._object(self.fields, set(schema["properties"]), "")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make the record of a row.

        Args:
            row: A decoded row. It is not changed, and the record may share parts of it.

        Returns:
            A new dictionary with every declared and selected field in the schema's order; None for a field that
            the row lacks (API notes, "Values": optional ones can be missing), so that all records of a stream
            have the same columns.

        Raises:
            ValueError: It is no object.
        """
        shaped: dict[str, Any] = self._shape(row)
        return shaped

    def shape_all(self, rows: list[Any]) -> list[Any]:
        """Make the records of rows that are all dictionaries, or all structs of `typed`, which it changes in place."""
        if rows and rows[0].__class__ is dict:
            return list(map(self._shape, rows))
        for field in self.fields:
            if field.typed is None:
                self._read_column(rows, field)
        for name in self.left_out:
            # What is not set is not written. Not a loop, which would cost twice as much.
            deque(map(setattr, rows, repeat(name), repeat(msgspec.UNSET)), maxlen=0)
        return rows

    def _read_column(self, rows: list[Any], field: Field) -> None:
        name, read = field.name, field.read
        for row in rows:
            value = getattr(row, name)
            if value is not None:
                try:
                    setattr(row, name, read(value))
                except _UNREADABLE:
                    self.unreadable[field.full_name] += 1
                    setattr(row, name, None)

    def warnings(self) -> Iterator[str]:
        """What to tell the user after the last row: names and counts, never a value."""
        for path, count in sorted(self.unreadable.items()):
            values = "1 value was" if count == 1 else f"{count} values were"
            yield f"{values} not of the declared type and became null in field {path}"
        if self.unknown:
            plain = sorted(name for name in self.unknown if name.replace(".", "_").isidentifier())[:_MAX_NAMED]
            rest = len(self.unknown) - len(plain)
            more = [f"{rest} more"] if rest else []  # What is no plain name may be a person's.
            told = " and ".join([*([", ".join(plain)] if plain else []), *more])
            yield f"fields left out, as this version of the API document does not know them: {told}"

    def _object(self, fields: list[Field], known: set[str], path: str) -> Reader:
        """A reader of objects with some fields, of those that are known."""
        pick = self._picker([field.name for field in fields], known, path)
        groups = _by_class(fields)
        others = [field for field in fields if field.right is None]
        unreadable = self.unreadable

        def read_all(record: dict[str, Any], chosen: list[Field]) -> None:
            for name, full_name, right, _, read in chosen:
                value = record[name]
                if value.__class__ is not right and value is not None:
                    try:
                        record[name] = read(value)
                    except _UNREADABLE:
                        unreadable[full_name] += 1
                        record[name] = None

        def shape(row: Any) -> dict[str, Any]:  # noqa: ANN401 (whatever the API sends)
            if row.__class__ is not dict:
                raise ValueError("a row that is not an object")
            record = pick(row)
            for values, right, group in groups:
                if not right.issuperset(map(type, values(record))):
                    read_all(record, group)
            read_all(record, others)
            return record

        return shape

    def _picker(self, names: list[str], known: set[str], path: str) -> Picker:
        """What gives the fields of these names, in their order, and notes those that are not known."""
        empty = dict.fromkeys(names)

        def pick_all(row: dict[str, Any]) -> dict[str, Any]:
            record = empty | row
            if len(record) > len(names):
                self._note_unknown(path, row.keys() - known, known)
                for name in row.keys() - empty.keys():
                    del record[name]
            return record

        def pick_some(row: dict[str, Any]) -> dict[str, Any]:
            if not known.issuperset(row):
                self._note_unknown(path, row.keys() - known, known)
            get = row.get
            return {name: get(name) for name in names}

        return pick_all if len(names) == len(known) else pick_some

    def _fields(
        self, properties: dict[str, JsonSchema], path: str, breadcrumb: Breadcrumb, selected: Selected | None
    ) -> Iterator[Field]:
        """How the selected fields of an object are read; ``selected`` is None where all are."""
        for name, schema in properties.items():
            crumb = (*breadcrumb, "properties", name)
            if self._treatment(path + name) is not Treatment.DROP and (selected is None or selected(crumb)):
                reader = self._reader(name, schema, path + name, crumb, selected)
                right = None if self._treatment(path + name) is Treatment.HASH else _right_class(schema)
                yield Field(name, path + name, right, date if reader is _date else right, reader)

    def _array(self, read: Reader, path: str) -> Reader:
        unreadable = self.unreadable

        def shape(values: Any) -> list[Any]:  # noqa: ANN401 (whatever the API sends)
            if values.__class__ is not list:
                raise ValueError
            shaped = []
            for value in values:
                try:
                    shaped.append(None if value is None else read(value))
                except _UNREADABLE:
                    unreadable[path] += 1
                    shaped.append(None)
            return shaped

        return shape

    def _treatment(self, path: str) -> Treatment:
        return self._privacy.treatment(path) if self._privacy else Treatment.KEEP

    def _reader(
        self, name: str, schema: JsonSchema, path: str, breadcrumb: Breadcrumb, selected: Selected | None
    ) -> Reader:
        """What reads a value that is not null, and raises when it cannot."""
        match only_kind(schema):
            case "object" if schema.get("properties"):
                known, inside = set(schema["properties"]), f"{path}."
                return self._object(
                    list(self._fields(schema["properties"], inside, breadcrumb, selected)), known, inside
                )
            case "array":
                return self._array(self._reader(name, schema.get("items") or {}, path, breadcrumb, None), path)
        reader = _reader_of_values(name, schema)
        if self._privacy and self._privacy.keyed_hash and self._treatment(path) is Treatment.HASH:
            return self._privacy.keyed_hash.after(reader)
        return reader

    def _note_unknown(self, path: str, names: Iterable[str], known: set[str]) -> None:
        """Note names once: they are known to the object's reader from then on, and cost nothing in later rows."""
        for name in names:
            if len(self.unknown) < _MAX_UNKNOWN:
                self.unknown.add(path + name)
                known.add(name)


def _right_class(schema: JsonSchema) -> type | None:
    """The class of the values that need no reading, None where all do."""
    match only_kind(schema):
        case "string" if schema.get("format") not in _STRINGS:
            return str
        case "integer":
            return int
        case "boolean":
            return bool
        case _:
            return None


def _reader_of_values(name: str, schema: JsonSchema) -> Reader:  # noqa: PLR0911 (one return per kind)
    """What reads the values of a field that is neither a list nor an object with declared fields."""
    match only_kind(schema):
        case "object":
            return _open_object
        case "string" if is_id(name):
            return _identifier
        case "string":
            return _STRINGS.get(schema.get("format"), _string)
        case "integer":
            return _integer
        case "number":
            return _number
        case "boolean":
            return _boolean
        case _:
            return _anything


def _identifier(value: Any) -> str:  # noqa: ANN401
    """An id's exact digits. Not from a float, whose digits past 2^53 are another id's."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int:
        return str(value)
    if value.__class__ is Decimal:
        return str(_integer(value))
    raise ValueError


def _string(value: Any) -> str:  # noqa: ANN401
    """Text; a number or a boolean as JSON writes it."""
    kind = value.__class__
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    return str(_number(value))


def _integer(value: Any) -> int:  # noqa: ANN401
    kind = value.__class__
    if kind is int:
        return int(value)
    if kind is str and _INTEGER.fullmatch(text := value.strip()):
        return int(text)  # ValueError beyond the interpreter's limit of digits.
    if kind is float and value.is_integer():
        return int(value)
    if kind is Decimal and _number(value) == value.to_integral_value():
        return int(value)
    raise ValueError


def _number(value: Any) -> int | float | Decimal:  # noqa: ANN401
    """A number as it is, or exactly what a string says."""
    kind = value.__class__
    if kind is str and _NUMBER.fullmatch(text := value.strip()):
        return int(text) if _INTEGER.fullmatch(text) else _number(Decimal(text))
    if (
        kind is int
        or (kind is float and isfinite(value))
        or (kind is Decimal and value.is_finite() and -_MAX_EXPONENT <= value.adjusted() <= _MAX_EXPONENT)
    ):
        number: int | float | Decimal = value
        return number
    raise ValueError


_BOOLEANS: dict[Any, bool] = {"true": True, "false": False, 1: True, 0: False}


def _boolean(value: Any) -> bool:  # noqa: ANN401
    kind = value.__class__
    if kind is bool or kind is int:
        known = _BOOLEANS.get(value)
    elif kind is str:
        known = _BOOLEANS.get(value.strip().lower())
    else:
        known = None
    if known is None:
        raise ValueError
    return known


@lru_cache(maxsize=4096)
def _date(value: Any) -> str:  # noqa: ANN401
    """A day as written. That of a time stamp is not moved into another zone: who wrote it meant that day."""
    if value.__class__ is not str:
        raise ValueError
    text = value.strip()
    if not _DATE.fullmatch(text):
        _moment(text)
        text = text[:10]
    date.fromisoformat(text)
    return text


_UTC_LENGTH = len("2024-10-06T00:00:00.000Z")


def _time_stamp(value: Any) -> str:  # noqa: ANN401
    """A moment in the one form of fixed width whose order as text is the order in time."""
    if value.__class__ is not str:
        raise ValueError
    if (  # The API's own form (API notes, "Values"). The hyphen tells it from a week's date, 24:00 is tomorrow.
        len(value) == _UTC_LENGTH
        and value[23] == "Z"
        and value[19] == "."
        and value[10] == "T"
        and value[7] == "-"
        and value[11:13] != "24"
    ):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            pass  # Not that form after all.
        else:
            return f"{value[:23]}000+00:00"
    return _moment(value.strip()).astimezone(UTC).isoformat(timespec="microseconds")


def _moment(text: str) -> datetime:
    """A time stamp or a date, in UTC where it names no zone. Whatever is finer than a microsecond is cut off."""
    if not _TIME_STAMP.fullmatch(text):
        raise ValueError
    day, clock = text[:10], text[11:].upper().replace(" ", "")
    moment = datetime.fromisoformat(f"{day}T{clock}" if clock else day)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _open_object(value: Any) -> dict[str, Any]:  # noqa: ANN401
    if value.__class__ is not dict:
        raise ValueError
    whole: dict[str, Any] = _anything(value)
    return whole


def _anything(value: Any, depth: int = _MAX_DEPTH) -> Any:  # noqa: ANN401
    """A value as it is, once it is sure that every target can read it."""
    kind = value.__class__
    if kind is dict or kind is list:
        if not depth:
            raise ValueError
        for inner in value.values() if kind is dict else value:
            _anything(inner, depth - 1)
    elif kind is Decimal or kind is float:
        _number(value)
    return value


_STRINGS: dict[Any, Reader] = {"date": _date, "date-time": _time_stamp}
