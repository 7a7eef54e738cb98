"""A row comes out in the shape of its schema, whatever came in."""

from __future__ import annotations

import copy
import json
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import openapi
from tap_factorialhr.decoding import decode
from tap_factorialhr.records import Shaper

encoder = msgspec.json.Encoder(decimal_format="number")


def one(*types: str, **more: Any) -> dict[str, Any]:
    return {"type": [*types, "null"], **more}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": one("string"),
        "team_ids": one("array", items=one("string")),
        "name": one("string"),
        "hours": one("integer"),
        "amount": one("number"),
        "active": one("boolean"),
        "updated_at": one("string", format="date-time"),
        "born_on": one("string", format="date"),
        "tags": one("array", items=one("string")),
        "address": one(
            "object",
            properties={"city": one("string"), "geo": one("object", properties={"lat": one("number")})},
        ),
        "lines": one("array", items=one("object", properties={"tax_id": one("string"), "cents": one("integer")})),
        "extra": one("object"),
        "anything": {},
    },
}
FIELDS = list(SCHEMA["properties"])


def shaped(field: str, value: Any) -> tuple[Any, dict[str, int]]:
    """What one field's value becomes, and the counts of what could not be read."""
    shape = Shaper(SCHEMA)
    return shape({field: value})[field], dict(shape.unreadable)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("id", "18446744073709550", "18446744073709550"),
        ("id", 18446744073709551, "18446744073709551"),
        ("id", 2**64 + 1, "18446744073709551617"),
        ("id", Decimal("18446744073709551.0"), "18446744073709551"),
        ("id", Decimal("1E+3"), "1000"),
        ("id", "0007", "0007"),
        ("team_ids", [1, "2", None, 2**53 + 1], ["1", "2", None, "9007199254740993"]),
        ("team_ids", [], []),
        ("name", "Zoë\n\x00 👩‍🚀", "Zoë\n\x00 👩‍🚀"),
        ("name", 8, "8"),
        ("name", Decimal("8.50"), "8.50"),
        ("name", 0.1, "0.1"),
        ("name", True, "true"),
        ("name", False, "false"),
        ("hours", 4000, 4000),
        ("hours", " -12 ", -12),
        ("hours", "+12", 12),
        ("hours", Decimal("12.0"), 12),
        ("hours", 12.0, 12),
        ("amount", 12, 12),
        ("amount", Decimal("0.10"), Decimal("0.10")),
        ("amount", 0.5, 0.5),
        ("amount", "12", 12),
        ("amount", "12.30", Decimal("12.30")),
        ("amount", "-1e3", Decimal(-1000)),
        ("active", True, True),
        ("active", "TRUE", True),
        ("active", "false", False),
        ("active", 0, False),
        ("active", 1, True),
        ("updated_at", "2024-10-06T00:00:00.000Z", "2024-10-06T00:00:00.000000+00:00"),
        ("updated_at", "2024-10-06T00:00:00Z", "2024-10-06T00:00:00.000000+00:00"),
        ("updated_at", "2024-10-06t01:30:00.5+02:00", "2024-10-05T23:30:00.500000+00:00"),
        ("updated_at", "2024-10-06 01:30:00 -0200", "2024-10-06T03:30:00.000000+00:00"),
        ("updated_at", "2024-10-06T01:30:00.1234567z", "2024-10-06T01:30:00.123456+00:00"),
        ("updated_at", "2024-10-06T01:30:00", "2024-10-06T01:30:00.000000+00:00"),
        ("updated_at", "2024-10-06T01:30", "2024-10-06T01:30:00.000000+00:00"),
        ("updated_at", "2024-10-06", "2024-10-06T00:00:00.000000+00:00"),
        ("born_on", "2024-02-29", "2024-02-29"),
        ("born_on", "2024-10-06T23:30:00-05:00", "2024-10-06"),
        ("born_on", "2024-10-06T00:00:00.000Z", "2024-10-06"),
        ("tags", ["a", 1], ["a", "1"]),
        ("address", {"city": "Vic", "geo": {"lat": "1.5"}}, {"city": "Vic", "geo": {"lat": Decimal("1.5")}}),
        ("address", {}, {"city": None, "geo": None}),
        ("lines", [{"tax_id": 5, "cents": "7"}, None], [{"tax_id": "5", "cents": 7}, None]),
        ("extra", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("anything", [1, "a", {"b": Decimal("1.10")}], [1, "a", {"b": Decimal("1.10")}]),
        ("anything", 5, 5),
    ],
)
def test_a_value_is_read_as_its_declared_type(field: str, value: Any, expected: Any) -> None:
    record, unreadable = shaped(field, value)
    assert (record, type(record)) == (expected, type(expected))
    assert not unreadable


UNREADABLE: dict[str, list[Any]] = {
    "id": [1.0, True, Decimal("1.5"), Decimal("1E+999999999"), [1], {}],
    "team_ids": [1, "1", {"1": 1}, True],
    "name": [[], {"a": 1}, float("nan"), Decimal("Infinity")],
    "hours": [
        *("", "1.5", "1_000", "٣", "x", "9" * 5000, True, [], {}),
        *(1.5, float("inf"), Decimal("1.5"), Decimal("1E+999999999"), Decimal("NaN")),
    ],
    "amount": [
        *("", "1,5", "1 000", "nan", "inf", "0x1", "1e9999", True, [], {}),
        *(float("nan"), Decimal("1E+400"), Decimal("sNaN")),
    ],
    "active": ["yes", "", 2, -1, 1.0, Decimal(1), [], {}],
    "updated_at": [
        *(1728172800, 1728172800.5, "1728172800", "", "08:00", True, [], {}),
        *("2024-02-30", "2024-10-06T25:00:00Z", "2024-W40-7T00:00:00.000Z", "20241006T000000Z"),
        *("0000-01-01T00:00:00.000Z", "12024-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"),
    ],
    "born_on": [
        *("2023-02-29", "06/10/2024", "20241006", "2024-W40-7", "0000-10-06", 20241006, True, [], {}),
        *("2024-10-06T25:00:00Z", "2024-10-06 or so"),
    ],
    "address": ["Vic", 1, ["Vic"], True],
    "lines": [{}, "a", 1],
    "extra": [[], "a", 1],
    "anything": [float("nan"), [Decimal("1E+400")]],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in UNREADABLE for value in UNREADABLE[field]])
def test_what_cannot_be_read_becomes_null_and_is_counted(field: str, value: Any) -> None:
    assert shaped(field, value) == (None, {field: 1})


@pytest.mark.parametrize("field", FIELDS)
def test_null_is_null_in_every_field_and_counts_for_nothing(field: str) -> None:
    assert shaped(field, None) == (None, {})


def test_each_unreadable_element_is_counted_under_its_field() -> None:
    shape = Shaper(SCHEMA)
    record = shape(
        {
            "team_ids": [1, 2.0, {}, "4"],
            "address": {"city": [], "geo": {"lat": "north"}},
            "lines": [{"cents": "x"}, "y", {"cents": True}],
        }
    )
    assert record["team_ids"] == ["1", None, None, "4"]
    assert record["address"] == {"city": None, "geo": {"lat": None}}
    assert record["lines"] == [{"tax_id": None, "cents": None}, None, {"tax_id": None, "cents": None}]
    assert shape.unreadable == {
        "team_ids": 2,
        "address.city": 1,
        "address.geo.lat": 1,
        "lines.cents": 2,
        "lines": 1,
    }


def test_fields_come_in_the_schemas_order_and_missing_ones_are_null() -> None:
    record = Shaper(SCHEMA)({"name": "a", "id": 1})
    assert list(record) == FIELDS
    assert record == dict.fromkeys(FIELDS) | {"name": "a", "id": "1"}


def test_a_time_stamp_without_a_zone_is_in_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC+5")
    time.tzset()
    try:
        assert shaped("updated_at", "2026-01-02T03:04:05") == ("2026-01-02T03:04:05.000000+00:00", {})
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("kind", "values"), [("integer", [1, 2, 10**20]), ("number", [1, 2.5]), ("boolean", [True, False])]
)
def test_a_list_keeps_what_is_right_in_it(kind: str, values: list[Any]) -> None:
    shape = Shaper({"properties": {"list": one("array", items=one(kind))}})
    assert shape({"list": values}) == {"list": values}
    assert not shape.unreadable


def test_a_complete_row_in_the_schemas_order_is_not_the_record_itself() -> None:
    row = dict.fromkeys(FIELDS) | {"name": "a"}
    record = Shaper(SCHEMA)(row)
    assert record == row
    assert record is not row


def test_unknown_fields_are_left_out_and_named_dotted() -> None:
    shape = Shaper(SCHEMA)
    for _ in range(2):
        record = shape({"id": 1, "new": 1, "address": {"street": "x"}, "lines": [{"vat": 1}], "extra": {"free": 1}})
    assert "new" not in record
    assert record["address"] == {"city": None, "geo": None}
    assert record["extra"] == {"free": 1}
    assert shape.unknown == {"new", "address.street", "lines.vat"}


def test_deselected_fields_are_left_out_nested_ones_too() -> None:
    deselected = {
        ("properties", "name"),
        ("properties", "address", "properties", "geo"),
        ("properties", "lines"),
    }
    asked = []

    def selected(breadcrumb: tuple[str, ...]) -> bool:
        asked.append(breadcrumb)
        return breadcrumb not in deselected

    shape = Shaper(SCHEMA, selected)
    record = shape({"name": [], "address": {"city": "Vic", "geo": {"lat": "x"}}, "lines": [{"odd": 1}]})
    assert list(record) == [field for field in FIELDS if field not in {"name", "lines"}]
    assert record["address"] == {"city": "Vic"}
    assert not shape.unknown  # Known, but not wanted.
    assert not shape.unreadable
    assert ("properties", "address", "properties", "city") in asked
    assert ("properties", "address", "properties", "geo", "properties", "lat") not in asked


def test_a_deselected_object_is_dropped_whole() -> None:
    record = Shaper(SCHEMA, lambda crumb: crumb[:2] != ("properties", "address"))({"address": {"city": "Vic"}})
    assert "address" not in record


def test_warnings_name_fields_and_counts_and_never_a_value() -> None:
    shape = Shaper(SCHEMA)
    for _ in range(3):
        shape({"hours": "SECRET", "address": {"city": ["SECRET"], "odd": "SECRET"}, "new": "SECRET"})
    shape({"amount": "SECRET"})
    lines = list(shape.warnings())
    assert lines == [
        "3 values were not of the declared type and became null in field address.city",
        "1 value was not of the declared type and became null in field amount",
        "3 values were not of the declared type and became null in field hours",
        "fields left out, as this version of the API document does not know them: address.odd, new",
    ]
    assert not list(Shaper(SCHEMA).warnings())


def test_names_made_up_by_a_server_neither_fill_the_memory_nor_break_the_log() -> None:
    shape = Shaper(SCHEMA)
    for number in range(2000):
        shape({f"\x1b[2J\n{number}" + "x" * 10_000: 1, f"new_{number}": 1})
    [line] = shape.warnings()
    assert len(shape.unknown) == 1000
    assert line.isprintable()
    assert len(line) < 10_000
    assert line.endswith(" and 950 more")


def test_a_name_that_may_be_a_person_is_counted_and_not_shown() -> None:
    shape = Shaper(SCHEMA)
    shape({"jane.roe@example.com": 1, "new_field": 2})
    [line] = shape.warnings()
    assert line.endswith(": new_field and 1 more")


@pytest.mark.parametrize(("depth", "readable"), [(64, True), (65, False), (5000, False)])
def test_open_values_nested_beyond_what_targets_can_read_are_unreadable(depth: int, *, readable: bool) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    record, unreadable = shaped("anything", value)
    assert (record is value) == readable
    assert unreadable == ({} if readable else {"anything": 1})


def test_a_row_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="not an object"):
        Shaper(SCHEMA)([1])  # type: ignore[arg-type]


def test_several_types_at_once_are_open() -> None:
    schema = {"type": "object", "properties": {"value": {"type": ["integer", "string", "null"]}}}
    shape = Shaper(schema)
    assert [shape({"value": value})["value"] for value in (1, "1")] == [1, "1"]


def test_every_schema_of_the_document_has_a_shape() -> None:
    document = openapi.load()
    for resource in document.resources:
        schema = document.schema(resource)
        assert Shaper(schema)({}) == dict.fromkeys(schema["properties"])


# What a row may hold: JSON as `decode` hands it out, and floats, which another decoder would hand out.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
LIKELY = st.sampled_from(
    ["1", "-1.5", "true", "2024-10-06", "2024-10-06T00:00:00.000Z", "2024-10-06T00:00:00+02:00", "nan", "٣", ""]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**53)
    | st.floats()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | TEXT
    | LIKELY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["city", "geo", "lat", "tax_id", "cents", "odd"]), inner, max_size=4)
    ),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), VALUES)

IS: dict[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float | Decimal) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
FORMAT = {
    None: re.compile(".*", re.DOTALL),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"),
}


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value has a schema's shape; written anew here, so that it is not the shaper judging itself."""
    if value is None or not schema:
        return True
    kind = next(name for name in schema["type"] if name != "null")
    if not IS[kind](value):
        return False
    if kind == "array":
        return all(conforms(element, schema["items"]) for element in value)
    if kind == "object" and "properties" in schema:
        properties = schema["properties"]
        return list(value) == list(properties) and all(conforms(value[name], properties[name]) for name in value)
    return kind != "string" or FORMAT[schema.get("format")].fullmatch(value) is not None


@given(ROWS)
def test_any_row_comes_out_in_the_shape_of_its_schema(row: dict[str, Any]) -> None:
    before = copy.deepcopy(row)
    shape = Shaper(SCHEMA)
    record = shape(row)
    assert list(record) == FIELDS
    for name, schema in SCHEMA["properties"].items():
        assert conforms(record[name], schema), name
        lost = record[name] is None and row.get(name) is not None
        assert lost == (shape.unreadable[name] > 0 and not isinstance(record[name], list))
    assert ("unknown" in shape.unknown) == ("unknown" in row)
    assert repr(row) == repr(before)  # By text, as NaN differs from itself.


@given(ROWS)
def test_what_came_out_can_be_written_and_read_again_exactly(row: dict[str, Any]) -> None:
    record = Shaper(SCHEMA)(row)
    again = Shaper(SCHEMA)
    written = decode(encoder.encode(record))
    assert json.loads(encoder.encode(record)).keys() == record.keys()
    # JSON has one kind of number with a point, so floats come back as decimals: of the same digits.
    assert encoder.encode(again(written)) == encoder.encode(record) or _same(again(written), record)
    assert not again.unreadable
    assert not again.unknown


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, Decimal) and isinstance(right, float):
        return float(left) == right
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


@given(st.integers())
def test_an_id_keeps_its_digits_on_the_whole_way(number: int) -> None:
    row = decode(b'{"id": %d, "team_ids": [%d, "%d"]}' % (number, number, number))
    record = json.loads(encoder.encode(Shaper(SCHEMA)(row)))
    assert (record["id"], record["team_ids"]) == (str(number), [str(number)] * 2)


@given(st.integers(min_value=10**15, max_value=10**60), st.integers(min_value=1, max_value=40))
def test_an_amount_keeps_its_digits_on_the_whole_way(digits: int, places: int) -> None:
    literal = f"{Decimal(digits).scaleb(-places):f}" if digits < 10**28 else f"{digits}.{'1' * places}"
    row = decode(b'{"amount": %s, "anything": [%s]}' % (literal.encode(), literal.encode()))
    written = encoder.encode(Shaper(SCHEMA)(row))
    record = json.loads(written, parse_float=Decimal, parse_int=Decimal)
    assert record["amount"] == record["anything"][0] == Decimal(literal)


MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.builds(timezone, st.integers(-23 * 60, 23 * 60).map(lambda minutes: timedelta(minutes=minutes))),
)


def as_written(moment: datetime, style: str) -> str:
    """A moment in one of the forms that servers write."""
    in_utc = moment.astimezone(UTC)
    match style:
        case "offset":
            return moment.isoformat()
        case "spaced":
            return f"{moment:%H:%M:%S.%f %z}".join((f"{moment.year:04}-{moment:%m-%d} ", ""))
        case "bare":
            return in_utc.replace(tzinfo=None).isoformat()
        case _:
            return in_utc.isoformat().replace("+00:00", "Z")


@given(MOMENTS, MOMENTS, st.sampled_from(["offset", "spaced", "bare", "zulu"]))
def test_time_stamps_keep_the_moment_and_sort_as_text(first: datetime, second: datetime, style: str) -> None:
    shape = Shaper(SCHEMA)
    texts = [
        shape({"updated_at": as_written(first, style)})["updated_at"],
        shape({"updated_at": as_written(second, "offset")})["updated_at"],
    ]
    assert [datetime.fromisoformat(text) for text in texts] == [first, second]
    assert (texts[0] < texts[1]) == (first < second)
    assert {len(text) for text in texts} == {32}


@given(MOMENTS, st.integers(0, 23), st.sampled_from("0123456789-:.,TWZ+ ٣"))
def test_the_short_way_for_the_apis_own_form_agrees_with_the_long_one(moment: datetime, place: int, char: str) -> None:
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    assert shaped("updated_at", text) == (f"{text[:-1]}000+00:00", {})
    spoilt = text[:place] + char + text[place + 1 :]
    assert shaped("updated_at", spoilt) == shaped("updated_at", f" {spoilt} ")  # Spaces lead the long way.


@given(st.dates(), st.times(), st.sampled_from(["", "Z", "+14:00", "-11:00"]))
def test_the_day_of_a_time_stamp_is_not_moved(day: Any, time: Any, zone: str) -> None:
    assert shaped("born_on", f"{day.isoformat()}T{time.isoformat()}{zone}") == (day.isoformat(), {})
    assert shaped("born_on", day.isoformat()) == (day.isoformat(), {})
