"""What is refused of a stream of many parents, values or days, whatever is refused and when: nothing is missing in
silence, and a tidy server fails no stream."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import walk as walk_module
from tap_factorialhr.axes import ChunkOfParents, Days, Value
from tap_factorialhr.client import LargeError, RefusedError, RejectedError, RetriableError, UnavailableError
from tap_factorialhr.consistency import PaginationError
from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import LeftOut, RowCount
from tap_factorialhr.partitions import Partition
from tap_factorialhr.walk import PagesError
from tests.support.partitions import BOTH, PARENTS, WINDOWS, FunctionClient, chunk, fetching, ids_of, page_of, partition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from tests.support.partitions import Answer


def child(parent: str) -> Answer:
    return {"data": [{"id": f"of {parent}", "parent_id": parent}], "meta": {"has_next_page": False}}


def of_parent(number: int) -> Partition:
    """The children of one parent, whose number a request has as well."""
    return Partition("a/b", (("part", str(number)),), (ChunkOfParents(PARENTS, (str(number),)),), filtered=True)


def refusing_half_way(name: str, value: str, status: str) -> Callable[[dict[str, str]], Answer]:
    """Two pages for each value of a parameter, but for one of which the second is refused."""

    def answer(asked: dict[str, str]) -> Answer:
        if asked[name] == value and (asked.get("page") == "2" or "after_id" in asked):
            raise RejectedError(status) if status == "HTTP 400" else UnavailableError(status)
        return page_of(asked, pages=2)

    return answer


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


# Whatever is refused

STATUS = {
    402: UnavailableError("HTTP 402"),
    403: UnavailableError("HTTP 403"),
    404: UnavailableError("HTTP 404"),
    410: UnavailableError("HTTP 410"),
    422: RejectedError("HTTP 422"),
}
statuses = st.sampled_from(list(STATUS))
parents = st.lists(st.none() | statuses, min_size=1, max_size=40)
before_a_look = st.sampled_from([2, 5, 100])


def refusals_before_a_look(most: int) -> AbstractContextManager[Any]:
    """With so many, it is looked whether it is the resource as a whole."""
    return patch.object(walk_module, "_REFUSALS", most)


class Company(FunctionClient):
    """One child of each parent; some parents are refused, and from some request on all of them."""

    def __init__(
        self, refused: list[int | None], ends_after: int | None, end: int, deleted: Mapping[int, int] | None = None
    ) -> None:
        super().__init__(lambda _: {})
        self.refused = refused
        self.deleted = deleted or {}  # Parents, and after how many answers they go.
        self.ends_after = ends_after
        self.end = end
        self.answered = 0
        self.has_ended = False
        self.counting = threading.Lock()

    def get(self, stream: str, path: str, params: tuple[tuple[str, str], ...], **how: Any) -> Page:
        del stream, path, how
        keys = [int(value) for name, value in params if name == PARENTS.parameter]
        with self.counting:
            if self.ends_after is not None and self.answered >= self.ends_after:
                self.has_ended = True
                raise STATUS[self.end]
            if status := next(filter(None, (self.refused[key] for key in keys)), None):
                raise STATUS[status]
            if any(self.answered >= self.deleted.get(key, self.answered + 1) for key in keys):
                raise STATUS[404]
            self.answered += 1
        data = [{"id": str(key), "parent_id": str(key)} for key in keys]
        return Page.from_response({"data": data, "meta": {"has_next_page": False}})


def chunks(count: int, size: int) -> list[Partition]:
    keys = [tuple(map(str, range(first, min(first + size, count)))) for first in range(0, count, size)]
    return [Partition("a/b", (), (ChunkOfParents(PARENTS, each),), filtered=True) for each in keys]


@given(parents, st.integers(1, 7), st.sampled_from([1, 8]), before_a_look)
def test_single_ones_are_left_out_and_counted_and_all_others_read(
    refused: list[int | None], size: int, concurrency: int, most: int
) -> None:
    with refusals_before_a_look(most), fetching(Company(refused, None, 403), concurrency=concurrency) as fetcher:
        reading = fetcher.walk("s", "id", chunks(len(refused), size))
        try:
            found = ids_of(reading)
        except RefusedError:
            assert all(refused[:most])
            return
    assert found == [str(key) for key, status in enumerate(refused) if status is None]
    assert found
    counts = Counter(f"HTTP {status}" for status in refused if status)
    assert reading.left_out.gone == {status: counts[status] for status in ("HTTP 404", "HTTP 410") if counts[status]}
    assert reading.left_out.gone + reading.left_out.refused == counts


@given(
    parents,
    st.tuples(st.integers(1, 7), st.sampled_from([1, 8]), before_a_look),
    st.dictionaries(st.integers(0, 39), st.integers(0, 30), max_size=9),
)
def test_parents_that_are_deleted_meanwhile_are_no_matter_of_access(
    refused: list[int | None], how: tuple[int, int, int], deleted: dict[int, int]
) -> None:
    size, concurrency, most = how
    refused[:1] = [None] * 12  # Some are there for good, and are read before the others.
    deleted = {key: after for key, after in deleted.items() if key >= 12}
    company = Company(refused, None, 403, deleted)
    with refusals_before_a_look(most), fetching(company, concurrency=concurrency) as fetcher:
        reading = fetcher.walk("s", "id", chunks(len(refused), size))
        found = {int(one) for one in ids_of(reading)}
    there = {key for key, status in enumerate(refused) if status is None}
    assert there - deleted.keys() <= found <= there
    missing = len(refused) - len(found)
    assert sum((reading.left_out.gone + reading.left_out.refused).values()) == missing


@given(parents, st.tuples(st.integers(1, 7), st.sampled_from([1, 8]), before_a_look), st.integers(0, 20), statuses)
def test_where_access_ends_the_stream_ends_well_only_with_all_that_could_ever_be_read(
    refused: list[int | None], how: tuple[int, int, int], ends_after: int, end: int
) -> None:
    size, concurrency, most = how
    company, taken = Company(refused, ends_after, end), list[str]()
    with refusals_before_a_look(most), fetching(company, concurrency=concurrency) as fetcher:
        try:
            for _, page, _ in fetcher.walk("s", "id", chunks(len(refused), size)):
                taken.extend(row["id"] for row in page.rows)
        except (RefusedError, PagesError):
            assert company.has_ended or all(refused[:most])
        else:
            assert taken == [str(key) for key, status in enumerate(refused) if status is None]
