"""The partitions of a stream: in order, and what becomes of those that cannot be read as they are."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import reading
from tap_factorialhr.axes import ChunkOfParents, Days
from tap_factorialhr.client import LargeError, RejectedError, SlowError, UnavailableError
from tap_factorialhr.envelope import Page
from tap_factorialhr.partitions import Partition
from tap_factorialhr.walk import PagesError
from tests.support.partitions import BOTH, PARENTS, WINDOWS, FunctionClient, chunk, fetching, ids_of, page_of, partition
from tests.support.shelf import Shelf

if TYPE_CHECKING:
    from tap_factorialhr.walk import Pagination
    from tests.support.partitions import Answer, Asked

LAST = {"has_next_page": False}


class ShelfClient(FunctionClient):
    """Answers as a listing does that has both ways of paging."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(lambda _: {})
        self.shelf = shelf

    def respond(self, asked: Asked) -> Page:
        return self.shelf.get(tuple(one for one in asked.params.items() if one[0] != "part"))


@BOTH
def test_partitions_come_in_order_and_each_with_its_end(concurrency: int) -> None:
    client = FunctionClient(lambda asked: page_of(asked, pages=int(asked["part"])))
    with fetching(client, concurrency=concurrency, pagination="cursor") as fetcher:
        walk = fetcher.walk("s", "id", [partition(2), partition(1), partition(3)])
        taken = [(part.always[0][1], page.rows[0]["id"], last) for part, page, last in walk]  # type: ignore[index]
    assert taken == [
        ("2", "1", False),
        ("2", "2", True),
        ("1", "1", True),
        ("3", "1", False),
        ("3", "2", False),
        ("3", "3", True),
    ]


def test_a_listing_of_many_pages_is_read_in_chains_side_by_side(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tap-factorialhr")
    shelf = Shelf(list(range(1, 61)), limit=5)
    with fetching(ShelfClient(shelf), concurrency=4, page_size=5) as fetcher:
        assert ids_of(fetcher.walk("s", "id", [partition(1, filtered=True)])) == [str(one) for one in shelf.ids]
    assert caplog.messages == []
    assert {"page", "after_id"} <= {name for asked in shelf.asked for name in asked}
    assert sum("page" in asked for asked in shelf.asked) > 2
    assert len(shelf.asked) <= 60 / 5 + 3


def test_a_chain_that_breaks_off_is_read_to_its_end_another_way() -> None:
    def refuse_once(_: Any, asked: dict[str, str]) -> None:
        if "after_id" in asked and sum("after_id" in one for one in shelf.asked) == 1:
            raise RejectedError("HTTP 400")

    shelf = Shelf(list(range(1, 61)), limit=5, twist=refuse_once)
    with fetching(ShelfClient(shelf), concurrency=4, page_size=5) as fetcher:
        assert ids_of(fetcher.walk("s", "id", [partition(1, filtered=True)])) == [str(one) for one in shelf.ids]


def test_a_chain_ends_where_the_listing_does() -> None:
    """Rows have gone since the first page said how many there are: the cursor of the last row is not followed."""
    shelf = Shelf(list(range(1, 61)), limit=5)
    shelf.change = lambda request: vars(shelf).update(ids=shelf.ids[:32]) if request == 2 else None
    with fetching(ShelfClient(shelf), concurrency=4, page_size=5) as fetcher:
        found = ids_of(fetcher.walk("s", "id", [partition(1, filtered=True)]))
    assert found == [str(one) for one in range(1, 33)]


def test_an_empty_partition_is_a_page_without_rows() -> None:
    client = FunctionClient(lambda _: {"data": [], "meta": {"total": 0}})
    with fetching(client, concurrency=1) as fetcher:
        assert [(len(page.rows), last) for _, page, last in fetcher.walk("s", "id", [partition(1)])] == [(0, True)]


# What has no key


@BOTH
@pytest.mark.parametrize("kind", ["refused", "slow", "ambiguous"])
def test_rows_without_a_key_come_once_where_a_listing_is_read_again_in_parts(kind: str, concurrency: int) -> None:
    """A target cannot tell them from those that came before."""
    days = Days(WINDOWS, date(2026, 1, 1), date(2026, 1, 2))
    parents = ChunkOfParents(PARENTS, ("1", "2"))

    class Client(FunctionClient):
        def get(self, stream: str, path: str, params: tuple[tuple[str, str], ...], **how: Any) -> Page:
            del stream, path, how
            asked = dict(params)
            keys = [value for name, value in params if name == PARENTS.parameter]
            is_whole = len(keys) == 2 and asked["from"] != asked["to"]
            second = asked.get("page") == "2" or "after_id" in asked
            if is_whole and second and kind == "refused":
                raise UnavailableError("HTTP 403")
            if is_whole and second and kind == "slow":
                raise SlowError("no answer")
            dates = ("2026-01-01", "2026-01-02")[asked["from"] > "2026-01-01" : 1 + (asked["to"] > "2026-01-01")]
            rows: list[dict[str, Any]] = [{"parent_id": key, "day": day} for key in keys for day in dates]
            if is_whole and second and kind == "ambiguous":
                rows = [{**row, "parent_id": None} for row in rows]
            half = len(rows) // 2 if is_whole else len(rows)
            meta = {"total": len(rows), "limit": half, "has_next_page": is_whole and not second, "end_cursor": "x"}
            return Page.from_response({"data": rows[half:] if second else rows[:half], "meta": meta})

    with fetching(Client(lambda _: {}), concurrency=concurrency, pagination="cursor") as fetcher:
        walk = fetcher.walk("s", None, [Partition("a/b", (), (days, parents), filtered=True)], only_once=True)
        rows = [(row["parent_id"], row["day"]) for _, page, _ in walk for row in page.rows]
    assert sorted(rows) == [(key, day) for key in "12" for day in ("2026-01-01", "2026-01-02")]


@BOTH
@pytest.mark.parametrize("pagination", ["offset", "cursor"])
@pytest.mark.parametrize("has_cursors", [True, False])
@pytest.mark.parametrize("limit", [1, 5])
def test_nor_do_they_come_twice_where_a_page_that_was_promised_comes_empty_once(
    pagination: Pagination, concurrency: int, has_cursors: bool, limit: int
) -> None:
    def twist(answer: dict[str, Any], asked: dict[str, str]) -> None:
        if len(shelf.asked) == 3:
            answer.update(data=[], meta={**answer["meta"], "has_next_page": False})
        if not has_cursors and "page" in asked:
            answer["meta"]["end_cursor"] = None

    shelf = Shelf(list(range(1, 4 * limit + 1)), limit=limit, twist=twist)
    with fetching(ShelfClient(shelf), concurrency=concurrency, pagination=pagination, page_size=limit) as fetcher:
        found = ids_of(fetcher.walk("s", None, [partition(1, filtered=True)], only_once=True))
    assert found == [str(one) for one in shelf.ids]


@BOTH
@pytest.mark.parametrize("filtered", [True, False])
def test_a_row_that_enters_what_has_been_read_is_none_that_is_missing_of_a_part(
    concurrency: int, filtered: bool
) -> None:
    """It was not in that part before; of all rows it can have been there all the time, and not been given."""
    shelf = Shelf(list(range(10, 310, 10)), limit=5)
    shelf.change = lambda number: shelf.ids.insert(1, 11) if number == 4 else None
    with fetching(ShelfClient(shelf), concurrency=concurrency, pagination="cursor", page_size=5) as fetcher:
        walk = fetcher.walk("s", "id", [partition(1, filtered=filtered)])
        assert len(ids_of(walk)) == 30
    assert walk.short.is_short != filtered


# Listings of many pages


@pytest.mark.parametrize("planned", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("kind", ["filtered", "unfiltered", "no cursors"])
def test_requests_that_are_named_in_parts_are_each_sent_once(
    planned: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twist(answer: dict[str, Any], _: dict[str, str]) -> None:
        if kind == "no cursors":
            answer["meta"]["end_cursor"] = None

    monkeypatch.setattr(reading, "_PLANNED", planned)
    client = ShelfClient(Shelf(list(range(1, 1201)), limit=10, twist=twist))
    with fetching(client, concurrency=8, page_size=10) as fetcher:
        found = ids_of(fetcher.walk("s", "id", [partition(1, filtered=kind == "filtered")]))
    assert list(dict.fromkeys(found)) == [str(one) for one in range(1, 1201)]
    times = Counter(asked.params["page"] for asked in client.asked if "page" in asked.params)
    assert times.pop("1") <= 2  # It is looked at again at the end, and without cursors the last one as well.
    assert kind != "no cursors" or times.pop("120") == 2
    assert set(times.values()) == {1}


# What takes too long, or does not say whose it is


@BOTH
@pytest.mark.parametrize(
    ("error", "says"),
    [(SlowError("no answer"), "no answer in time for"), (LargeError("too large"), "too large an answer for")],
)
def test_a_window_that_cannot_be_read_is_halved_and_those_that_follow_too(
    error: Exception, says: str, concurrency: int, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(asked: dict[str, str]) -> Answer:
        first, last = (date.fromisoformat(asked[name]) for name in ("from", "to"))
        if (last - first).days >= 4:
            raise error
        return {"data": [{"id": str(day)} for day in range(first.toordinal(), last.toordinal() + 1)], "meta": LAST}

    first = date(2026, 1, 1)
    windows = [Days(WINDOWS, date(2026, 1, one), date(2026, 1, one + 9)) for one in (1, 11)]
    partitions = [Partition("a/b", (("part", "1"),), (one,), bookmark=str(one.last)) for one in windows]
    client = FunctionClient(answer)
    with fetching(client, concurrency=concurrency, page_size=100) as fetcher:
        taken = list(fetcher.walk("s", "id", partitions))
    days = [row["id"] for _, page, _ in taken for row in page.rows]
    assert days == [str(first.toordinal() + one) for one in range(20)]
    bookmarks = [part.bookmark for part, _, last in taken if last]
    assert bookmarks == sorted(bookmarks, key=str)
    assert bookmarks[-1] == "2026-01-20"
    assert {*caplog.messages} == {f"s: {says} a window of days, halving it and those that follow"}
    if concurrency == 1:
        assert len(client.asked) - len(taken) <= 3  # What the first window taught is not learnt again.


def test_a_single_day_that_cannot_be_read_is_an_error() -> None:
    def answer(_: dict[str, str]) -> Answer:
        raise SlowError("no answer")

    day = Days(WINDOWS, date(2026, 1, 1), date(2026, 1, 1))
    with fetching(FunctionClient(answer), concurrency=1) as fetcher, pytest.raises(SlowError):
        ids_of(fetcher.walk("s", "id", [Partition("a/b", (("part", "1"),), (day,))]))


@BOTH
def test_rows_that_do_not_say_whose_they_are_are_read_parent_by_parent(concurrency: int) -> None:
    client = FunctionClient(lambda _: {"data": [{"id": "1"}], "meta": {}})
    with fetching(client, concurrency=concurrency, page_size=100) as fetcher:
        taken = list(fetcher.walk("s", "id", [chunk(1, 3)]))
    for part, page, _ in taken:
        part.complete(page.rows)
    assert [row["parent_id"] for _, page, _ in taken for row in page.rows] == ["1", "2", "3"]


# Page numbers that a server ignores


@pytest.mark.parametrize("filtered", [True, False])
def test_that_page_numbers_are_ignored_is_said_once_and_none_is_asked_for_again(
    filtered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tap-factorialhr")
    client = ShelfClient(Shelf(list(range(1, 31)), limit=3, ignores=frozenset({"page"})))
    with fetching(client, concurrency=8, page_size=3) as fetcher:
        for number in range(3):
            client.asked.clear()
            found = ids_of(fetcher.walk("s", "id", [partition(number, filtered=filtered)]))
            assert found == [str(one) for one in range(1, 31)]
            assert any(int(one.params.get("page", 1)) > 1 for one in client.asked) == (number == 0)
    says = "s: the server ignores the page number, going on by cursor"
    assert [(one.levelname, one.message) for one in caplog.records] == [("WARNING", says)]


def test_that_page_numbers_are_not_trusted_any_more_is_told_to_those_who_look(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tap-factorialhr")
    refused: list[str] = []

    def refuse(_: dict[str, Any], asked: dict[str, str]) -> None:
        if "after_id" in asked and not refused:
            refused.append(asked["after_id"])
            raise RejectedError("HTTP 400")

    with fetching(ShelfClient(Shelf(list(range(1, 71)), limit=7, twist=refuse)), concurrency=8, page_size=7) as fetcher:
        assert set(ids_of(fetcher.walk("s", "id", [partition(1)]))) == {str(one) for one in range(1, 71)}
    says = "s: the server does not give the page after a cursor, going on by cursor"
    assert [(one.levelname, one.message) for one in caplog.records] == [("INFO", says)]


def test_pages_that_lead_nowhere_by_number_are_no_matter_of_the_setting() -> None:
    client = FunctionClient(lambda asked: page_of({**asked, "page": "1", "after_id": "0"}, pages=2))
    with (
        fetching(client, concurrency=1) as fetcher,
        pytest.raises(PagesError, match=r"^s: the server repeats a cursor; try again$"),
    ):
        ids_of(fetcher.walk("s", "id", [partition(1)]))


@BOTH
def test_pages_that_lead_nowhere_name_the_stream_and_what_to_do(concurrency: int) -> None:
    client = FunctionClient(lambda asked: page_of({**asked, "page": "1", "after_id": "0"}, pages=2))
    with (
        fetching(client, concurrency=concurrency, pagination="cursor") as fetcher,
        pytest.raises(PagesError, match=r"^s: the server repeats a page; try again, or set pagination to offset$"),
    ):
        ids_of(fetcher.walk("s", "id", [partition(1)]))
