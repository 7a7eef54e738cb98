"""Fewer rows than the server counts, at the end of a read: it is told, and nothing is dropped for it."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.envelope import Page, PaginationMeta
from tap_factorialhr.listing import Listing, RowCount, Tally
from tap_factorialhr.reading import read
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.shelf import Asked, Shelf, drive
from tests.support.tap import config_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import RequestRecord
    from tests.support.tap import TapRunner

BOTH = pytest.mark.parametrize("by_number", [True, False])


def counted(shelf: Shelf, *, by_number: bool, seed: int | None = None, **known: Any) -> RowCount:
    """What a read that comes to its end says of how many rows came, and how many there are."""
    found: list[RowCount] = []

    def flow() -> Any:
        found.append((yield from read(Listing(shelf.limit, **known), by_number=by_number)))

    drive(flow(), shelf, None if seed is None else random.Random(seed))
    return found[0]


@BOTH
@pytest.mark.parametrize("side_by_side", [1, 8])
@pytest.mark.parametrize("filtered", [True, False])
def test_rows_that_the_server_counts_and_does_not_give_are_told(
    side_by_side: int, filtered: bool, by_number: bool
) -> None:
    def skip(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [row for row in answer["data"] if int(row["id"]) not in range(14, 17)]

    shelf = Shelf(list(range(1, 61)), limit=10, twist=skip)
    count = counted(shelf, by_number=by_number, side_by_side=side_by_side, filtered=filtered)
    assert (count.rows, count.total, count.is_short) == (57, 60, True)


@pytest.mark.parametrize("seed", [None, 1])
def test_a_row_that_is_added_at_the_end_is_none_that_did_not_come(seed: int | None) -> None:
    """Where the last page, as it may, has no cursor."""
    shelf = Shelf(list(range(1, 61)), limit=10)

    def add(answer: dict[str, Any], _: Asked) -> None:
        if answer["meta"]["has_next_page"] is False and shelf.ids[-1] == 60:
            answer["meta"]["end_cursor"] = None
            shelf.ids.append(61)

    shelf.twist = add
    count = counted(shelf, by_number=True, seed=seed, side_by_side=8)
    assert (count.rows, count.is_short) == (60, False)


@BOTH
@pytest.mark.parametrize("key", ["id", None])
@pytest.mark.parametrize("ignores", [frozenset[str](), frozenset({"after_id", "page"})])
@pytest.mark.parametrize("meta", [{"limit": None}, {}, {"limit": None, "end_cursor": None}, {"end_cursor": None}])
def test_a_row_that_is_hidden_of_all_that_are_in_one_answer_is_told(
    meta: dict[str, Any], ignores: frozenset[str], key: str | None, by_number: bool
) -> None:
    def hide(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [row for row in answer["data"] if row["id"] != "3"]
        answer["meta"] = {name: value for name, value in (answer["meta"] | meta).items() if name != "limit"} | meta

    shelf = Shelf([1, 2, 3, 4], limit=10, twist=hide, ignores=ignores)
    count = counted(shelf, by_number=by_number, key=key)
    assert (count.rows, count.distinct, count.total) == (3, 3, 4)


@BOTH
@pytest.mark.parametrize("size", [10, 3])
def test_a_row_that_comes_twice_does_not_stand_for_one_that_does_not_come(size: int, by_number: bool) -> None:
    def twice(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [{"id": "2"} if row["id"] == "3" else row for row in answer["data"]]

    count = counted(Shelf([1, 2, 3, 4, 5], limit=size, twist=twice), by_number=by_number)
    assert (count.rows, count.distinct, count.total, count.is_short) == (5, 4, 5, True)


@BOTH
def test_a_row_that_is_added_does_not_make_up_for_one_that_is_not_given(by_number: bool) -> None:
    """A target would be told to drop that one, if it had come before."""

    def hide(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [row for row in answer["data"] if row["id"] != "15"]

    shelf = Shelf(list(range(1, 36)), limit=10, twist=hide)
    shelf.change = lambda number: shelf.ids.append(36) if number == 3 else None
    assert counted(shelf, by_number=by_number) == RowCount(35, 36)


@BOTH
def test_an_empty_first_page_does_not_hide_that(by_number: bool) -> None:
    shelf = Shelf(list(range(1, 26)), limit=10)
    shelf.twist = lambda answer, asked: answer.update(data=[]) if "after_id" not in asked else None
    assert counted(shelf, by_number=by_number).is_short


@BOTH
@pytest.mark.parametrize("side_by_side", [1, 8])
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_rows_that_go_or_enter_during_the_read_are_not_short(
    side_by_side: int, filtered: bool, seed: int, by_number: bool
) -> None:
    """Whichever has been read, and in whatever order the pages come."""
    rng = random.Random(seed)
    shelf = Shelf(list(range(10, 610, 10)), limit=10)
    goes = seed % 2 == 0
    at = set(rng.sample(range(2, 12), 3))

    def change(number: int) -> None:
        if number in at and goes:
            shelf.ids.remove(rng.choice(shelf.ids))
        elif number in at:
            new = rng.choice(shelf.ids) + 1 if filtered else shelf.ids[-1] + 1
            shelf.ids = sorted({*shelf.ids, new})

    shelf.change = change
    count = counted(shelf, by_number=by_number, side_by_side=side_by_side, filtered=filtered, seed=seed)
    assert not count.is_short, count


@BOTH
@pytest.mark.parametrize("known", [{"counts_rows": False}, {"left_out": "total"}])
def test_without_a_total_of_rows_nothing_can_be_short(known: dict[str, Any], by_number: bool) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"]["total"] = 250
        answer["meta"].pop(known.get("left_out"), None)

    shelf = Shelf(list(range(1, 26)), limit=10, twist=twist)
    assert not counted(shelf, by_number=by_number, counts_rows=known.get("counts_rows", True)).is_short


@BOTH
def test_a_total_counts_where_the_limit_is_left_out(by_number: bool) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"]["total"] = 250
        del answer["meta"]["limit"]

    assert counted(Shelf(list(range(1, 26)), limit=10, twist=twist), by_number=by_number) == RowCount(25, 250)


@BOTH
@pytest.mark.parametrize("left_out", ["total", "limit", "nothing"])
def test_a_short_page_is_not_the_last_one_where_the_answer_does_not_say(by_number: bool, left_out: str) -> None:
    """The server skips a row of each page, as it does with rows that these credentials may not see."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = answer["data"][1:]
        answer["meta"].pop("has_next_page")
        answer["meta"].pop(left_out, None)

    assert counted(Shelf(list(range(1, 46)), limit=10, twist=twist), by_number=by_number).rows == 40


def teams_that_are_short(record: RequestRecord) -> Answer | None:
    """A first page without rows, which promises more; 20 teams come after it, and the server counts 25."""
    if record.resource != "teams/teams":
        return None
    after = record.get("after_id")
    rows = {"a": range(1, 11), "b": range(11, 21)}.get(after or "", range(0))
    cursor = {None: "a", "a": "b"}.get(after, "c")
    meta = {"total": 25, "limit": 10, "has_next_page": cursor != "c", "end_cursor": cursor}
    return Answer(body=json.dumps({"data": [{"id": str(one)} for one in rows], "meta": meta}).encode())


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_no_row_is_dropped_where_fewer_came_than_are_counted(tap: TapRunner, pagination: str) -> None:
    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = teams_that_are_short
        config = config_for(sandbox, pagination=pagination, emit_activate_version_messages=True)
        run = tap(config, catalog=tap.catalog("teams", "locations_locations", "locations"))
    assert run.code == 0, run.stderr
    assert len(run.records["teams"]) == 20
    assert "teams" not in {message["stream"] for message in run.of_type("ACTIVATE_VERSION")}
    (told,) = [line for line in run.stderr.splitlines() if "teams: 20 rows came where the server counts 25" in line]
    assert "nothing is dropped from its table" in told


def test_nor_of_what_hangs_off_rows_of_which_fewer_came(tap: TapRunner) -> None:
    with Sandbox(Company(employees=4)) as sandbox:

        def short(record: RequestRecord) -> Answer | None:
            if record.resource != "posts/posts":
                return None
            rows = [{"id": str(row["id"])} for row in sandbox.company.rows("posts/posts")[:1]]
            meta = {"total": 2, "limit": 1, "has_next_page": "after_id" not in dict(record.params), "end_cursor": "a"}
            return Answer(body=json.dumps({"data": [] if meta["has_next_page"] else rows, "meta": meta}).encode())

        sandbox.answer = short
        config = config_for(sandbox, emit_activate_version_messages=True, pagination="cursor")
        run = tap(config, catalog=tap.catalog("posts_comments", "locations"))
    assert run.code == 0, run.stderr
    assert {message["stream"] for message in run.of_type("ACTIVATE_VERSION")} == {"locations"}
    assert "posts_comments: 1 rows of its parent posts came where the server counts 2" in run.stderr


def teams_in_two_orders(record: RequestRecord) -> Answer | None:
    """150 teams: the page without a cursor begins with the newest, those after a cursor go up from there."""
    if record.resource != "teams/teams":
        return None
    after = record.get("after_id")
    numbers = range(150, 0, -1) if after is None else range(int(after) + 1, 151)
    first = 100 * (int(record.get("page") or "1") - 1)
    page = numbers[first : first + 100]
    meta = {"total": 150, "limit": 100, "has_next_page": len(numbers) > first + 100, "end_cursor": str(page[-1])}
    return Answer(body=json.dumps({"data": [{"id": str(one)} for one in page], "meta": meta}).encode())


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_rows_that_come_twice_do_not_stand_for_those_that_do_not_come(tap: TapRunner, pagination: str) -> None:
    """That rows are in the order of their ids is said of the API, and not seen."""
    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = teams_in_two_orders
        config = config_for(sandbox, pagination=pagination, emit_activate_version_messages=True)
        run = tap(config, catalog=tap.catalog("teams", "locations"))
    assert run.code == 0, run.stderr
    distinct = len({row["id"] for row in run.records["teams"]})
    assert distinct < 150
    assert "teams" not in {message["stream"] for message in run.of_type("ACTIVATE_VERSION")}
    assert f"teams: {distinct} rows came where the server counts 150" in run.stderr


KEYS = st.lists(st.lists(st.integers(1, 30) | st.sampled_from(["a", "b", "c"]), max_size=5, unique=True), max_size=6)


@given(KEYS)
def test_no_row_counts_as_repeated_that_has_not_come(pages: list[list[int | str]]) -> None:
    tally = Tally(Listing(5))
    for keys in pages:
        tally.add(Page([{"id": key} for key in keys], PaginationMeta()))
    keys = [str(key) for page in pages for key in page]
    assert tally.count.rows == len(keys)
    assert tally.count.distinct >= len(set(keys))
    if all(isinstance(key, int) for page in pages for key in page):
        assert tally.count.distinct == len(set(keys))


def test_rows_that_are_read_again_count_once() -> None:
    tally = Tally(Listing(5))

    def add(*keys: int) -> None:
        tally.add(Page([{"id": key} for key in keys], PaginationMeta()))

    add(3, 1)
    add(2, 4)
    tally.begin(2)
    add(2, 4)
    add(5, 6)
    assert (tally.count.rows, tally.count.distinct) == (6, 6)
    add(1, 7)
    assert (tally.count.rows, tally.count.distinct) == (8, 7)


def test_so_do_rows_of_pages_that_were_in_order_until_then() -> None:
    tally = Tally(Listing(100))
    for keys in (range(1, 101), range(51, 151), range(1, 3)):
        tally.add(Page([{"id": str(key)} for key in keys], PaginationMeta()))
    assert (tally.count.rows, tally.count.distinct) == (202, 150)


def test_a_key_beyond_64_bits_is_one_like_any_other() -> None:
    tally = Tally(Listing(100))
    for keys in ([1, 2], [2**70, 2**71], [2, 2**70]):
        tally.add(Page([{"id": str(key)} for key in keys], PaginationMeta()))
    assert (tally.count.rows, tally.count.distinct) == (6, 4)


def test_so_do_those_that_are_read_again_in_order() -> None:
    tally = Tally(Listing(100))
    for keys in (range(1, 101), range(101, 121)):
        tally.add(Page([{"id": str(key)} for key in keys], PaginationMeta()))
    tally.begin(100)
    for keys in (range(101, 151), range(1, 51)):
        tally.add(Page([{"id": str(key)} for key in keys], PaginationMeta()))
    assert (tally.count.rows, tally.count.distinct) == (200, 150)


def test_rows_in_order_take_little_memory_also_where_some_are_read_again() -> None:
    tally = Tally(Listing(100))

    def add(first: int) -> None:
        tally.add(Page([{"id": str(key)} for key in range(first, first + 100)], PaginationMeta()))

    tracemalloc.start()
    try:
        for first in range(1, 50_001, 100):
            add(first)
        tally.begin(40_000)
        for first in range(40_001, 60_001, 100):
            add(first)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tally.count.rows, tally.count.distinct) == (60_000, 60_000)
    assert taken < 1_000_000  # Bytes; a set of them takes four times as much.


def test_rows_without_a_key_leave_the_table_as_it_is(tap: TapRunner) -> None:
    """They are not in the table as what they are, so that nobody knows what is missing there."""
    body = json.dumps({"data": [{"id": "1"}, {"name": "a"}], "meta": {"total": 2, "limit": 100}}).encode()
    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = lambda record: Answer(body=body) if record.resource == "teams/teams" else None
        config = config_for(sandbox, emit_activate_version_messages=True)
        run = tap(config, catalog=tap.catalog("teams", "locations"))
    assert run.code == 0, run.stderr
    assert {message["stream"] for message in run.of_type("ACTIVATE_VERSION")} == {"locations"}
    assert "teams: 1 rows came without a value of the key id" in run.stderr
    assert "nothing is dropped from its table" in run.stderr
