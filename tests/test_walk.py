"""The partitions of a stream: in order, and what becomes of those that cannot be read as they are."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import reading
from tap_factorialhr.axes import ChunkOfParents, Days, Parents, Value, Windows
from tap_factorialhr.client import LargeError, RefusedError, RejectedError, RetriableError, SlowError, UnavailableError
from tap_factorialhr.consistency import PaginationError
from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import LeftOut, RowCount
from tap_factorialhr.partitions import Partition
from tap_factorialhr.walk import PagesError
from tests.support.partitions import FunctionClient, fetching, ids_of, page_of, partition
from tests.support.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.partitions import Answer, Asked

PARENTS = Parents(resource="a/parents", parameter="parent[]", field="parent_id", chunk=80)
WINDOWS = Windows(start="from", end="to")

BOTH = pytest.mark.parametrize("concurrency", [1, 8])

LAST = {"has_next_page": False}


def child(parent: str) -> Answer:
    return {"data": [{"id": f"of {parent}", "parent_id": parent}], "meta": LAST}


def of_parent(number: int) -> Partition:
    """The children of one parent, whose number a request has as well."""
    return Partition("a/b", (("part", str(number)),), (ChunkOfParents(PARENTS, (str(number),)),), filtered=True)


def chunk(first: int, last: int, **more: Any) -> Partition:
    keys = tuple(map(str, range(first, last + 1)))
    return Partition("a/b", (("part", "1"),), (ChunkOfParents(PARENTS, keys),), filtered=True, **more)


def refusing_half_way(name: str, value: str, status: str) -> Callable[[dict[str, str]], Answer]:
    """Two pages for each value of a parameter, but for one of which the second is refused."""

    def answer(asked: dict[str, str]) -> Answer:
        if asked[name] == value and (asked.get("page") == "2" or "after_id" in asked):
            raise RejectedError(status) if status == "HTTP 400" else UnavailableError(status)
        return page_of(asked, pages=2)

    return answer


class ShelfClient(FunctionClient):
    """Answers as a listing does that has both ways of paging."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(lambda _: {})
        self.shelf = shelf

    def respond(self, asked: Asked) -> Page:
        return self.shelf.get(tuple(one for one in asked.params.items() if one[0] != "part"))


class Refusing(FunctionClient):
    """Refuses every request in which one of these parents is named; otherwise one child of each."""

    def __init__(self, *gone: int, error: Exception | None = None) -> None:
        super().__init__(lambda _: {})
        self.gone = set(map(str, gone))
        self.error = error or UnavailableError("HTTP 404")

    def get(self, stream: str, path: str, params: tuple[tuple[str, str], ...], **how: Any) -> Any:
        parents = [value for name, value in params if name == PARENTS.parameter]
        self.answer = lambda _: {
            "data": [row for parent in parents for row in child(parent)["data"]],
            "meta": {"has_next_page": False},
        }
        if self.gone & set(parents):
            self.asked.append(None)  # type: ignore[arg-type]
            raise self.error
        return super().get(stream, path, params, **how)


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
    client = FunctionClient(lambda _: {"data": [], "meta": {}})
    with fetching(client, concurrency=1) as fetcher:
        assert [(len(page.rows), last) for _, page, last in fetcher.walk("s", "id", [partition(1)])] == [(0, True)]


# What is refused


@BOTH
@pytest.mark.parametrize("gone", [(1,), (80,), (17, 18, 160), (240,)])
def test_of_a_chunk_of_parents_only_those_that_are_refused_are_left_out(
    gone: tuple[int, ...], concurrency: int
) -> None:
    client = Refusing(*gone)
    with fetching(client, concurrency=concurrency) as fetcher:
        walk = fetcher.walk("s", "id", [chunk(1, 80), chunk(81, 160), chunk(161, 240)])
        assert ids_of(walk) == [f"of {one}" for one in range(1, 241) if one not in gone]
    assert walk.left_out.gone == {"HTTP 404": len(gone)}
    # Two requests for each time that eighty can be halved, and one to see that access has not ended.
    assert len(client.asked) <= 3 + len(gone) * 2 * 7 + 1


def test_in_windows_too() -> None:
    client = Refusing(3)
    days = [Days(WINDOWS, date(2026, month, 1), date(2026, month, 15)) for month in (1, 2)]
    partitions = [
        Partition("a/b", (("part", "1"),), (one, *chunk(1, 9).slices), filtered=True, bookmark=str(one.last))
        for one in days
    ]
    with fetching(client, concurrency=8) as fetcher:
        walk = fetcher.walk("s", "id", partitions)
        taken = [(part, page, last) for part, page, last in walk]
    assert [row["id"] for _, page, _ in taken for row in page.rows] == 2 * [
        f"of {one}" for one in range(1, 10) if one != 3
    ]
    assert walk.left_out.gone == {"HTTP 404": 2}
    assert [part.bookmark for part, _, _ in taken if part.bookmark] == ["2026-01-15", "2026-02-15"]


@pytest.mark.parametrize("error", [UnavailableError("HTTP 404"), RejectedError("HTTP 422")])
def test_where_all_are_refused_it_is_the_resource_and_a_hundred_are_enough_to_know(error: Exception) -> None:
    client = Refusing(*range(5000), error=error)
    with fetching(client, concurrency=1) as fetcher:
        partitions = (
            Partition("a/b", (("part", "1"),), (ChunkOfParents(PARENTS, (str(one),)),)) for one in range(5000)
        )
        with pytest.raises(type(error)):
            ids_of(fetcher.walk("s", "id", partitions))
    assert len(client.asked) == 100


@pytest.mark.parametrize("error", [UnavailableError("HTTP 404"), RejectedError("HTTP 422")])
def test_also_where_there_is_but_one(error: Exception) -> None:
    with fetching(Refusing(1, error=error), concurrency=1) as fetcher, pytest.raises(type(error)):
        ids_of(fetcher.walk("s", "id", [chunk(1, 1)]))


def test_a_hundred_that_are_refused_after_one_that_was_not_say_nothing_of_the_resource() -> None:
    client = Refusing(*range(1, 300))
    with fetching(client, concurrency=8) as fetcher:
        partitions = (Partition("a/b", (("part", "1"),), (ChunkOfParents(PARENTS, (str(one),)),)) for one in range(301))
        walk = fetcher.walk("s", "id", partitions)
        assert ids_of(walk) == ["of 0", "of 300"]
    assert walk.left_out.gone == {"HTTP 404": 299}


def test_parents_that_are_gone_take_no_place_of_others() -> None:
    """After more failures than pages may wait, there are still as many requests in flight as before."""
    together = threading.Barrier(4)
    numbers: set[int] = set()

    def answer(asked: dict[str, str]) -> Answer:
        number = int(asked["parent[]"])
        if 0 < number <= 40:
            raise UnavailableError("HTTP 404")
        is_again = number in numbers  # At the end one is, alone.
        numbers.add(number)
        if number and not is_again:
            together.wait(timeout=10)  # Breaks where fewer come at the same time.
        return child(str(number))

    with fetching(FunctionClient(answer), concurrency=4, page_size=100) as fetcher:
        walk = fetcher.walk("s", "id", [chunk(number, number) for number in range(81)])
        assert len(ids_of(walk)) == 41
    assert walk.left_out.gone == {"HTTP 404": 40}


def test_a_listing_of_no_parent_that_is_refused_is_the_resource() -> None:
    def answer(_: dict[str, str]) -> Answer:
        raise UnavailableError("HTTP 403")

    with fetching(FunctionClient(answer), concurrency=8) as fetcher, pytest.raises(UnavailableError, match="HTTP 403"):
        ids_of(fetcher.walk("s", "id", [partition(1)]))


@BOTH
@pytest.mark.parametrize("status", ["HTTP 403", "HTTP 402", "HTTP 400"])
def test_a_parent_that_is_refused_half_way_fails_the_stream_when_the_others_have_been_read(
    concurrency: int, status: str
) -> None:
    answer = refusing_half_way("part", "2", status)
    taken: list[str] = []
    told = f"s: {status}, after a part of its rows had come"
    with fetching(FunctionClient(answer), concurrency=concurrency) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in (1, 2, 3)])
        with pytest.raises(PagesError, match=told):
            taken.extend(dict(part.params)["part"] for part, page, _ in walk if page.rows)
    assert set(taken) == {"1", "2", "3"}


@pytest.mark.parametrize("status", ["HTTP 404", "HTTP 410"])
@pytest.mark.parametrize("which", ["2", "3"])
def test_a_parent_that_goes_half_way_is_left_out(status: str, which: str) -> None:
    answer = refusing_half_way("part", which, status)
    with fetching(FunctionClient(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in (1, 2, 3)])
        assert ids_of(walk)
    assert walk.left_out.gone == {status: 1}


@pytest.mark.parametrize("status", ["HTTP 403", "HTTP 404", "HTTP 400"])
def test_a_value_does_not_go_half_way(status: str) -> None:
    answer = refusing_half_way("kind", "b", status)
    values = [Value("kind", one, None) for one in "abc"]
    with fetching(FunctionClient(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [Partition("a/b", (), (one,)) for one in values])
        with pytest.raises(PagesError, match=f"s: {status}, after a part of its rows had come"):
            ids_of(walk)


REFUSED = UnavailableError("HTTP 403")
GONE = UnavailableError("HTTP 404")
REJECTED = RejectedError("HTTP 422")
LOST = "s: HTTP 4.., after a part of its rows had come"


def ending(first: int, error: Exception, again: Exception | None) -> FunctionClient:
    """Parents from one on are refused, and the others when they are asked for again."""
    seen: set[str] = set()

    def answer(asked: dict[str, str]) -> Answer:
        is_again = asked["part"] in seen
        seen.add(asked["part"])
        if int(asked["part"]) >= first:
            raise error
        if again and is_again:
            raise again
        return page_of(asked, pages=1)

    return FunctionClient(answer)


@BOTH
@pytest.mark.parametrize("again", [None, REFUSED, GONE, REJECTED])
@pytest.mark.parametrize("error", [REFUSED, GONE, REJECTED])
def test_access_that_ends_between_parents_fails_the_stream(
    concurrency: int, error: RefusedError, again: RefusedError | None
) -> None:
    """One of those that could be read is asked for again: where it can be still, the others are refused for good."""
    with fetching(ending(5, error, again), concurrency=concurrency) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in range(1, 9)])
        if again:
            with pytest.raises(PagesError, match=LOST):
                ids_of(walk)
        else:
            assert ids_of(walk)
    assert walk.left_out == LeftOut(
        gone=Counter({error.status: 4} if error is GONE else {}),
        refused=Counter({} if error is GONE else {error.status: 4}),
    )


@pytest.mark.parametrize("status", ["HTTP 403", "HTTP 404"])
def test_access_that_ends_within_the_first_parent_fails_the_stream(status: str) -> None:
    def answer(asked: dict[str, str]) -> Answer:
        if asked["part"] != "1" or asked.get("page") == "2" or "after_id" in asked:
            raise UnavailableError(status)
        return page_of(asked, pages=2)

    with fetching(FunctionClient(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in (1, 2, 3)])
        with pytest.raises(PagesError, match=LOST):
            ids_of(walk)


@pytest.mark.parametrize("again", [LargeError("too large"), PaginationError("nowhere")])
def test_an_answer_that_cannot_be_used_is_one(again: Exception) -> None:
    with fetching(ending(5, REFUSED, again), concurrency=1) as fetcher:
        assert ids_of(fetcher.walk("s", "id", [of_parent(one) for one in range(1, 9)]))


@pytest.mark.parametrize("again", [None, GONE])
def test_that_access_has_ended_is_found_after_a_hundred_refusals(again: RefusedError | None) -> None:
    """Where it has not, it is asked again after each further hundred, and at the end."""
    client = ending(2, GONE, again)
    with fetching(client, concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in range(1, 252)])
        if again:
            with pytest.raises(PagesError, match=LOST):
                ids_of(walk)
        else:
            assert ids_of(walk) == ["1"]
    assert len(client.asked) == (1 + 100 + 1 if again else 251 + 3)


@pytest.mark.parametrize("status", ["HTTP 404", "HTTP 403"])
def test_a_value_that_is_refused_has_not_gone(status: str) -> None:
    def answer(asked: dict[str, str]) -> Answer:
        if asked["kind"] == "b":
            raise UnavailableError(status)
        return page_of(asked, pages=1)

    values = [Value("kind", one, None) for one in "abc"]
    with fetching(FunctionClient(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [Partition("a/b", (), (one,)) for one in values])
        assert ids_of(walk)
    assert walk.left_out == LeftOut(refused=Counter({status: 1}))


@pytest.mark.parametrize("status", ["HTTP 404", "HTTP 410"])
def test_nor_has_what_is_refused_by_a_value_of_a_parent_but_by_days_of_one_that_may_be(status: str) -> None:
    parent = ChunkOfParents(PARENTS, ("1",))
    assert not Partition("a/b", (), (Value("kind", "b", None), parent)).is_gone(status)
    assert Partition("a/b", (), (Days(WINDOWS, date(2026, 1, 1), date(2026, 1, 2)), parent)).is_gone(status)
    assert not Partition("a/b", (), (Days(WINDOWS, date(2026, 1, 1), date(2026, 1, 2)),)).is_gone(status)


def test_whether_a_window_is_still_there_is_asked_with_patience() -> None:
    """It is not read in halves where it is too slow, so a time-out is tried again."""
    patience: list[tuple[str, bool]] = []

    class Client(FunctionClient):
        def get(self, stream: str, path: str, params: tuple[tuple[str, str], ...], **how: Any) -> Page:
            patience.append((dict(params)["from"], how["retry_timeouts"]))
            return super().get(stream, path, params, **how)

    def answer(asked: dict[str, str]) -> Answer:
        if asked["from"] == "2026-02-01":
            raise RejectedError("HTTP 422")
        return page_of(asked, pages=1)

    days = [Days(WINDOWS, date(2026, month, 1), date(2026, month, 15)) for month in (1, 2)]
    with fetching(Client(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [Partition("a/b", (("part", "1"),), (one,)) for one in days])
        assert ids_of(walk)
    assert patience[0] == ("2026-01-01", False)
    assert patience[-1] == ("2026-01-01", True)


def test_where_it_is_not_answered_whether_access_ended_the_stream_fails() -> None:
    seen: set[str] = set()

    def answer(asked: dict[str, str]) -> Answer:
        is_again = asked["part"] in seen
        seen.add(asked["part"])
        if int(asked["part"]) > 2:
            raise UnavailableError("HTTP 403")
        if is_again:
            raise RetriableError("s: HTTP 500, given up")
        return page_of(asked, pages=1)

    with fetching(FunctionClient(answer), concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [of_parent(one) for one in range(1, 5)])
        with pytest.raises(RetriableError, match="HTTP 500"):
            ids_of(walk)


def test_what_is_left_out_adds_up_and_is_told() -> None:
    one, other = LeftOut(), LeftOut()
    assert (bool(one), str(one)) == (False, "")
    one.add("HTTP 404", is_gone=True)
    assert (bool(one), bool(other + one), str(one)) == (True, True, "1 times HTTP 404")
    for _ in range(2):
        other.add("HTTP 403", is_gone=False)
    other.add("HTTP 404", is_gone=False)
    both = one + other
    assert (both.gone, both.refused) == ({"HTTP 404": 1}, {"HTTP 403": 2, "HTTP 404": 1})
    assert (bool(other), str(both)) == (True, "2 times HTTP 404, 2 times HTTP 403")
    assert RowCount(3, 5) + RowCount(4, 7) == RowCount(7, 12)


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
        walk = fetcher.walk("s", None, [Partition("a/b", (), (days, parents), filtered=True)])
        rows = [(row["parent_id"], row["day"]) for _, page, _ in walk for row in page.rows]
    assert sorted(rows) == [(key, day) for key in "12" for day in ("2026-01-01", "2026-01-02")]


# Listings of many pages


@pytest.mark.parametrize("planned", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("kind", ["chains", "last page first", "no cursors"])
def test_requests_that_are_named_in_parts_are_each_sent_once(
    planned: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twist(answer: dict[str, Any], _: dict[str, str]) -> None:
        if kind == "no cursors":
            answer["meta"]["end_cursor"] = None

    monkeypatch.setattr(reading, "_PLANNED", planned)
    client = ShelfClient(Shelf(list(range(1, 1201)), limit=10, twist=twist))
    with fetching(client, concurrency=8, page_size=10) as fetcher:
        found = ids_of(fetcher.walk("s", "id", [partition(1, filtered=kind == "chains")]))
    assert list(dict.fromkeys(found)) == [str(one) for one in range(1, 1201)]
    times = Counter(asked.params["page"] for asked in client.asked if "page" in asked.params)
    assert times.pop("1") <= 2  # It is looked at again at the end.
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
    client = FunctionClient(lambda asked: page_of({**asked, "page": "1"}, pages=10))
    with fetching(client, concurrency=1) as fetcher:
        walk = fetcher.walk("s", "id", [partition(one, filtered=filtered) for one in range(3)])
        assert ids_of(walk) == [str(one) for one in range(1, 11)] * 3
    says = "s: the server answers with the first page again, going on by cursor"
    assert [(one.levelname, one.message) for one in caplog.records] == ([] if filtered else [("WARNING", says)])
    assert [one for one in client.asked if int(one.params.get("page", 1)) > 1] == client.asked[1 : 1 if filtered else 2]


def test_that_rows_have_moved_is_told_to_those_who_look(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tap-factorialhr")
    totals = iter([9])
    client = FunctionClient(lambda asked: page_of(asked, pages=next(totals, 10)))
    with fetching(client, concurrency=1) as fetcher:
        assert ids_of(fetcher.walk("s", "id", [partition(1)]))[:10] == [str(one) for one in range(1, 11)]
    says = "s: the last page cannot be told beforehand, going on by cursor"
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
