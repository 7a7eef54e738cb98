"""Pagination: the meta of an answer, and that nothing is lost between pages."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_factorialhr.client import RejectedError
from tap_factorialhr.envelope import EnvelopeError, Page, PaginationMeta
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.fetch import Fetcher, Pagination
from tap_factorialhr.partitions import Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_factorialhr.openapi import Params


class Shelf:
    """A list resource in memory, with the API's two ways of paging, that may change before each answer."""

    def __init__(self, ids: list[int], *, limit: int = 3) -> None:
        self.ids = sorted(ids)
        self.limit = limit
        self.asked: list[dict[str, str]] = []
        self.change: Callable[[int], None] = lambda _: None
        self.twist: Callable[[dict[str, Any], dict[str, str]], None] = lambda _meta, _params: None
        self.before: Callable[[dict[str, Any], dict[str, str]], None] = lambda _meta, _params: None
        self.ignore_page = False
        self.unpaginated = False
        self.hidden: set[int] = set()
        self.outside: set[int] = set()
        """Rows that a listing of a part leaves out."""
        self.name: Callable[[int], str] = str

    def get(self, stream: str, path: str, params: Params, **how: Any) -> Page:
        del stream, path, how
        asked = dict(params)
        self.asked.append(asked)
        assert len(self.asked) < 500, "the read goes round in circles"
        self.change(len(self.asked))
        size = len(self.ids) if self.unpaginated else self.limit
        if "after_id" in asked:
            after = int(base64.b64decode(asked["after_id"]))
            begin = sum(one <= after for one in self.ids)
        else:
            number = 1 if self.ignore_page else int(asked.get("page", 1))
            begin = (number - 1) * size
        rows = self.ids[begin : begin + size]
        meta: dict[str, Any] = {
            "limit": None if self.unpaginated else self.limit,
            "total": len(self.ids) + len(self.outside) * ("all" in asked),
            "has_next_page": begin + size < len(self.ids),
            "has_previous_page": begin > 0,
            "start_cursor": _cursor(rows[0]) if rows else None,
            "end_cursor": _cursor(rows[-1]) if rows else None,
        }
        self.twist(meta, asked)
        self.before(meta, asked)
        data = [{"id": self.name(one)} for one in rows if one not in self.hidden]
        return Page.from_response({"data": data, "meta": meta})

    def read(
        self,
        pagination: Pagination = "offset",
        concurrency: int = 1,
        *,
        reads: int = 1,
        is_part: bool = False,
        may_be_whole: bool = False,
        key: str | None = "id",
    ) -> list[int]:
        each = [Partition("a/b", filtered=is_part, unfiltered_params=(("all", "1"),) if may_be_whole else None)] * reads
        return list(map(int, self._read(pagination, concurrency, key, each)))

    def read_keys(self) -> list[str]:
        return self._read("offset", 1, "id", [Partition("a/b")])

    def _read(
        self, pagination: Pagination, concurrency: int, key: str | None, partitions: list[Partition]
    ) -> list[str]:
        fetcher = Fetcher(self, concurrency=concurrency, pagination=pagination, page_size=self.limit)  # type: ignore[arg-type]
        try:
            reading = fetcher.reading("shelf", key, partitions)
            return [row["id"] for _, page, _ in reading for row in page.rows]
        finally:
            fetcher.close()


def _cursor(row: int) -> str:
    return base64.b64encode(str(row).encode()).decode()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": [], "meta": {"limit": None}}, PaginationMeta()),
        ({"data": []}, PaginationMeta()),
        ({"data": None, "meta": None}, PaginationMeta()),
        ({"errors": None}, PaginationMeta()),
        ({"data": [], "meta": {"total": "7", "limit": 100}}, PaginationMeta(limit=100, total=7)),
        ({"data": [], "meta": {"total": -1, "limit": True}}, PaginationMeta()),
        (
            {"data": [], "meta": {"has_next_page": True, "has_previous_page": False, "end_cursor": 12}},
            PaginationMeta(has_next_page=True, has_previous_page=False, end_cursor="12"),
        ),
        ({"data": [], "meta": {"end_cursor": "", "has_next_page": None}}, PaginationMeta()),
    ],
)
def test_meta_reads_every_oddity(document: object, expected: PaginationMeta) -> None:
    assert PaginationMeta.from_response(document) == expected


@pytest.mark.parametrize("document", [[], None, "x", 3, {}, {"meta": {}}, {"errors": {"errors": ["x"]}}])
def test_what_is_no_envelope_is_an_error(document: object) -> None:
    with pytest.raises(EnvelopeError):
        Page.from_response(document)


@pytest.mark.parametrize("data", [{"id": 1}, "rows", [1], [None]])
def test_rows_that_are_no_objects_are_an_error(data: object) -> None:
    with pytest.raises(EnvelopeError):
        Page.from_response({"data": data})


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("pagination", ["offset", "cursor"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 30])
def test_every_row_once(pagination: Pagination, count: int, concurrency: int) -> None:
    shelf = Shelf(list(range(1, count + 1)))
    assert shelf.read(pagination, concurrency) == shelf.ids
    pages = max(1, -(-count // 3))
    # With offsets, the first and the last page are looked at twice, to be sure that nothing moved.
    assert len(shelf.asked) == pages + (min(pages - 1, 2) if pagination == "offset" else 0)


@pytest.mark.parametrize("boundary", range(2, 7))
def test_a_row_deleted_at_each_boundary_loses_no_other(boundary: int) -> None:
    shelf = Shelf(list(range(1, 21)))

    def delete(request: int) -> None:
        if request == boundary:
            shelf.ids.remove(2)

    shelf.change = delete
    assert set(range(1, 21)) - {2} <= set(shelf.read())


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("victim", [1, 2, 4, 7, 11, 13])
@pytest.mark.parametrize("request_number", range(2, 9))
def test_a_deletion_that_an_addition_makes_up_for_loses_no_other(
    request_number: int, victim: int, concurrency: int
) -> None:
    """The total stays the same, and no page overlaps with the one before it."""
    shelf = Shelf(list(range(1, 15)))

    def swap(request: int) -> None:
        if request == request_number:
            shelf.ids.remove(victim)
            shelf.ids.append(100)

    shelf.change = swap
    assert set(range(1, 15)) - {victim} <= set(shelf.read(concurrency=concurrency))


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("swapped", range(2, 9))
@pytest.mark.parametrize("noticed", [1, 2, 4])
def test_an_addition_that_is_deleted_again_hides_no_deletion(swapped: int, noticed: int, concurrency: int) -> None:
    shelf = Shelf(list(range(1, 25)))

    def change(request: int) -> None:
        if request == swapped:
            shelf.ids.remove(5)
            shelf.ids.append(100)
        elif request == swapped + noticed:
            shelf.ids.remove(100)

    shelf.change = change
    assert set(range(1, 25)) - {5} <= set(shelf.read(concurrency=concurrency))


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("request_number", range(2, 10))
def test_where_the_last_page_cannot_be_told_beforehand_nothing_is_lost(request_number: int, short: bool) -> None:
    """Without a limit in the meta, and where pages are shorter than it says."""
    shelf = Shelf(list(range(1, 25)))
    shelf.twist = lambda meta, _: meta.update(limit=2 * shelf.limit if short else None)

    def swap(request: int) -> None:
        if request == request_number:
            shelf.ids.remove(5)
            shelf.ids.append(100)

    shelf.change = swap
    assert set(range(1, 25)) - {5} <= set(shelf.read())


@pytest.mark.parametrize("request_number", range(2, 9))
def test_keys_that_are_no_numbers_can_enter_anywhere(request_number: int) -> None:
    shelf = Shelf(list(range(2, 41, 2)))
    shelf.name = "uuid-{:04}".format

    def swap(request: int) -> None:
        if request == request_number:
            shelf.ids = sorted({*shelf.ids, 31} - {8})

    shelf.change = swap
    assert {shelf.name(one) for one in range(2, 41, 2)} - {shelf.name(8)} <= set(shelf.read_keys())


@pytest.mark.parametrize("entered", range(11, 41, 2))
def test_a_row_that_enters_in_the_middle_where_none_should_is_noticed_by_the_order(entered: int) -> None:
    """The total hides the deletion, and the page on which the row is met again shows that something has moved."""
    shelf = Shelf(list(range(2, 41, 2)))

    def swap(request: int) -> None:
        if request == 4:
            shelf.ids.remove(4)
        elif request == 5:
            shelf.ids = sorted({*shelf.ids, entered})

    shelf.change = swap
    assert {*range(2, 41, 2)} - {4} <= set(shelf.read())


def test_rows_added_at_the_end_are_no_reason_to_read_all_again() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.change = lambda request: shelf.ids.append(30 + request) if request in {6, 9} else None
    assert shelf.read() == shelf.ids
    assert len(shelf.asked) < 20


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_rows_without_a_key_may_be_alike(pagination: Pagination) -> None:
    shelf = Shelf(list(range(1, 13)))
    shelf.name = lambda _: "7"
    assert shelf.read(pagination, key=None) == [7] * 12


def test_an_empty_answer_to_what_begins_again_is_no_end() -> None:
    shelf = Shelf(list(range(1, 25)))

    def empty(meta: dict[str, Any], asked: dict[str, str]) -> None:
        if "after_id" in asked and asked["after_id"] == _cursor(3):
            shelf.hidden = set(shelf.ids)
            meta.clear()
        else:
            shelf.hidden = set()

    shelf.before = empty
    shelf.change = lambda request: shelf.ids.append(100) if request == 5 else None
    assert set(range(1, 25)) <= set(shelf.read())


def test_an_empty_answer_to_what_begins_anew_is_no_end() -> None:
    """Neither the page that was promised nor the first one again: rows have come, so that there is no telling."""
    shelf = Shelf(list(range(1, 25)))

    def empty(meta: dict[str, Any], _: dict[str, str]) -> None:
        shelf.hidden = set(shelf.ids) if len(shelf.asked) in {3, 4} else set()
        if shelf.hidden:
            meta.clear()

    shelf.before = empty
    assert set(shelf.ids) <= set(shelf.read("cursor"))


def test_a_promised_page_whose_rows_have_gone_is_no_error() -> None:
    """The row that entered before it makes up for the last one in the total."""
    shelf = Shelf([0, 2, 46], limit=1)

    def swap(request: int) -> None:
        if request == 3:
            shelf.ids = [0, 1, 2]

    shelf.change = swap
    assert {0, 2} <= set(shelf.read(is_part=True))


def test_a_server_that_refuses_to_tell_the_row_after_a_page_is_read_by_cursor() -> None:
    shelf = Shelf(list(range(1, 31)))

    def refuse(_: dict[str, Any], asked: dict[str, str]) -> None:
        if "after_id" in asked and asked["limit"] == "1":
            raise RejectedError("HTTP 400")

    shelf.twist = refuse
    assert shelf.read(concurrency=8, is_part=True) == shelf.ids


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("entered", [9, 21, 29, 35, 37])
@pytest.mark.parametrize("request_number", [2, 3, 5, 8, 11, 14])
def test_a_deletion_that_a_row_entering_in_the_middle_makes_up_for_loses_no_other(
    request_number: int, entered: int, concurrency: int
) -> None:
    """As in a listing of changes: the total, the first and the last page all stay the same."""
    shelf = Shelf(list(range(2, 41, 2)), limit=2)

    def swap(request: int) -> None:
        if request == request_number:
            shelf.ids = sorted({*shelf.ids, entered} - {6})

    shelf.change = swap
    assert {*range(2, 41, 2)} - {6} <= set(shelf.read(concurrency=concurrency, is_part=True))


@pytest.mark.parametrize("request_number", [2, 3, 4, 6])
def test_without_a_key_nothing_is_lost_either(request_number: int) -> None:
    shelf = Shelf(list(range(2, 21, 2)))

    def swap(request: int) -> None:
        if request == request_number:
            shelf.ids = sorted({*shelf.ids, 17} - {4})

    shelf.change = swap
    assert {*range(2, 21, 2)} - {4} <= set(shelf.read(key=None, concurrency=8))


def test_a_long_part_is_read_side_by_side_each_page_with_the_row_after_it() -> None:
    shelf = Shelf(list(range(1, 31)))
    assert shelf.read(concurrency=8, is_part=True) == shelf.ids
    assert sorted(int(asked["page"]) for asked in shelf.asked if "page" in asked) == list(range(1, 11))
    assert len([asked for asked in shelf.asked if "after_id" in asked and asked["limit"] == "1"]) == 9


def test_a_part_that_holds_all_rows_is_read_as_the_whole() -> None:
    shelf = Shelf(list(range(1, 31)))
    assert shelf.read(concurrency=8, is_part=True, may_be_whole=True) == shelf.ids
    assert len(shelf.asked) == 10 + 2 + 1
    assert not any("after_id" in asked for asked in shelf.asked)


def test_a_part_that_holds_all_rows_is_read_by_cursor_where_the_whole_would_be() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.twist = lambda meta, _: meta.update(limit=None)
    assert shelf.read(concurrency=8, is_part=True, may_be_whole=True) == shelf.ids
    assert [asked for asked in shelf.asked if asked.get("page", "1") != "1"] == []


def test_a_part_that_does_not_hold_all_rows_is_sewn() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.outside = {31}
    assert shelf.read(concurrency=8, is_part=True, may_be_whole=True) == shelf.ids
    assert len([asked for asked in shelf.asked if "after_id" in asked and asked["limit"] == "1"]) == 9


@pytest.mark.parametrize("count", [1, 3])
def test_a_part_on_one_page_is_one_request(count: int) -> None:
    shelf = Shelf(list(range(1, count + 1)))
    assert shelf.read(concurrency=8, is_part=True, may_be_whole=True) == shelf.ids
    assert len(shelf.asked) == 1


def test_a_part_that_is_read_page_after_page_costs_no_request_more() -> None:
    shelf = Shelf(list(range(1, 31)))
    assert shelf.read(is_part=True) == shelf.ids
    assert len(shelf.asked) == 10


def test_a_part_without_cursors_is_guarded_like_the_whole() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.twist = lambda meta, _: meta.update(start_cursor=None, end_cursor=None)
    assert shelf.read(concurrency=8, is_part=True) == shelf.ids
    assert len(shelf.asked) == 12


@pytest.mark.parametrize("count", [4, 10])
def test_rows_that_move_all_the_time_are_read_by_cursor(count: int) -> None:
    shelf = Shelf(list(range(1, count + 1)))

    def swap(request: int) -> None:
        if request > 1:
            shelf.ids.remove(min(shelf.ids))
            shelf.ids.append(max(shelf.ids) + 1)

    shelf.change = swap
    kept = set(range(len(shelf.asked) + 8, count + 1))
    assert kept <= set(shelf.read())
    assert any("after_id" in asked for asked in shelf.asked)


def test_without_a_total_rows_could_move_unseen_and_the_read_goes_on_by_cursor() -> None:
    shelf = Shelf(list(range(1, 11)))
    shelf.twist = lambda meta, _: meta.pop("total")
    shelf.change = lambda request: shelf.ids.remove(2) if request == 2 else None
    assert set(range(3, 11)) <= set(shelf.read())
    assert [asked.get("page") for asked in shelf.asked] == ["1", None, None, None]


def test_ids_in_no_order_are_read_and_one_that_comes_twice_is_noticed() -> None:
    shelf = Shelf(list(range(1, 13)))
    names = {number: f"{number * 7919 % 1009:x}-uuid" for number in range(1, 14)}
    shelf.name = names.__getitem__
    assert shelf.read_keys() == [names[number] for number in shelf.ids]

    def add(request: int) -> None:
        if request == 4:  # An addition in front moves a row to a page where it comes again; the total hides it.
            shelf.ids = [13, *shelf.ids[:-1]]

    shelf.asked.clear()
    shelf.change = add
    assert {names[number] for number in range(1, 12)} <= set(shelf.read_keys())


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_a_page_without_rows_in_the_middle_is_not_the_last(pagination: Pagination) -> None:
    shelf = Shelf(list(range(1, 13)))
    shelf.hidden = {4, 5, 6}
    assert set(shelf.read(pagination)) == {1, 2, 3, 7, 8, 9, 10, 11, 12}


def test_a_server_that_does_not_go_to_the_last_page_is_read_all_the_same() -> None:
    shelf = Shelf(list(range(1, 16)))

    def refuse(_: dict[str, Any], asked: dict[str, str]) -> None:
        if asked.get("page") == "5" and len(shelf.asked) == 2:
            raise RejectedError("shelf: HTTP 400")

    shelf.twist = refuse
    assert shelf.read() == shelf.ids


def test_an_ignored_page_number_is_noticed_at_the_second_request(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(list(range(1, 11)))
    shelf.ignore_page = True
    assert shelf.read() == shelf.ids
    assert [asked.get("page") for asked in shelf.asked] == ["1", "4", None, None, None]
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1


@pytest.mark.parametrize("is_part", [True, False])
def test_of_an_ignored_page_number_the_stream_warns_once(is_part: bool, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.ignore_page = True
    assert shelf.read(reads=3, is_part=is_part, concurrency=8) == 3 * shelf.ids
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1
    shelf.asked.clear()
    shelf.read(reads=3, is_part=is_part)
    assert len([asked for asked in shelf.asked if int(asked.get("page", 1)) > 1]) == (0 if is_part else 1)


@pytest.mark.parametrize("count", [5, 30])
@pytest.mark.parametrize("is_whole", [True, False])
def test_an_ignored_page_number_is_noticed_in_a_part_that_may_be_whole(
    count: int, is_whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(list(range(1, count + 1)))
    shelf.ignore_page = True
    shelf.outside = set() if is_whole else {count + 1}
    assert shelf.read(concurrency=8, is_part=True, may_be_whole=True) == shelf.ids
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1


def test_unpaginated_resource_is_one_request() -> None:
    for pagination in ("offset", "cursor"):
        shelf = Shelf(list(range(1, 11)))
        shelf.unpaginated = True
        assert shelf.read(pagination) == shelf.ids
        assert len(shelf.asked) == 1


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_missing_total_is_no_obstacle(pagination: Pagination) -> None:
    shelf = Shelf(list(range(1, 11)))
    shelf.twist = lambda meta, _: meta.pop("total")
    assert shelf.read(pagination) == shelf.ids


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_promised_page_that_never_comes_is_an_error(pagination: Pagination) -> None:
    shelf = Shelf(list(range(1, 7)))
    shelf.twist = lambda meta, _: meta.update(has_next_page=True)
    with pytest.raises(FactorialError, match=r"shelf: .*next page"):
        shelf.read(pagination)


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
@pytest.mark.parametrize("with_total", [True, False])
def test_a_promised_page_that_is_empty_is_an_error_and_no_end(pagination: Pagination, with_total: bool) -> None:
    shelf = Shelf(list(range(1, 11)))

    def empty(meta: dict[str, Any], asked: dict[str, str]) -> None:
        shelf.hidden = set(shelf.ids) if asked.get("page") == "2" or "after_id" in asked else set()
        meta["has_next_page"] = not shelf.hidden
        if not with_total:
            meta.pop("total")

    shelf.before = empty
    with pytest.raises(FactorialError, match=r"shelf: .*next page"):
        shelf.read(pagination)


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_pages_that_come_round_again_with_new_cursors_are_an_error(pagination: Pagination) -> None:
    shelf = Shelf(list(range(1, 10)))

    def round_again(meta: dict[str, Any], _: dict[str, str]) -> None:
        meta.update(total=None, has_next_page=True)
        if len(shelf.asked) % 3 == 0:
            meta.update(end_cursor=_cursor(-len(shelf.asked)))

    shelf.twist = round_again
    with pytest.raises(FactorialError, match="shelf: the server repeats a page"):
        shelf.read(pagination)


def test_repeated_cursor_is_an_error() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.twist = lambda meta, _: meta.update(end_cursor=_cursor(3))
    with pytest.raises(FactorialError, match="shelf: the server repeats a"):
        shelf.read("cursor")


def test_growing_cursor_is_an_error() -> None:
    shelf = Shelf(list(range(1, 31)))
    shelf.twist = lambda meta, _: meta.update(end_cursor="x" * 5000)
    with pytest.raises(FactorialError, match="longer than"):
        shelf.read("cursor")


changes = st.dictionaries(
    st.integers(1, 12), st.lists(st.none() | st.integers(0, 44), min_size=1, max_size=3), max_size=6
)


@settings(max_examples=300)
@given(
    count=st.integers(0, 40),
    limit=st.integers(1, 7),
    changes=changes,
    pagination=st.sampled_from(["offset", "cursor"]),
    ahead=st.sampled_from([1, 4]),
)
def test_rows_that_exist_throughout_are_never_lost(
    count: int, limit: int, changes: dict[int, list[int | None]], pagination: Pagination, ahead: int
) -> None:
    """Rows are deleted (a number), added (None), or one for the other (0) before any answers, also those added."""
    shelf = Shelf(list(range(1, count + 1)), limit=limit)
    always = set(shelf.ids)
    newest = count

    def change(request: int) -> None:
        nonlocal newest
        for victim in changes.get(request, ()):
            if victim == 0 and shelf.ids:
                always.discard(shelf.ids.pop(0))
            if victim is None or victim == 0:
                newest += 1
                shelf.ids.append(newest)
            elif victim in shelf.ids:
                shelf.ids.remove(victim)
                always.discard(victim)

    shelf.change = change
    assert always <= set(shelf.read(pagination, ahead))


@settings(max_examples=300)
@given(
    ids=st.sets(st.integers(0, 60)),
    limit=st.integers(1, 5),
    changes=st.dictionaries(st.integers(1, 20), st.sets(st.integers(0, 60), min_size=1, max_size=3), max_size=6),
    pagination=st.sampled_from(["offset", "cursor"]),
    ahead=st.sampled_from([1, 4]),
    key=st.sampled_from(["id", None]),
)
def test_rows_that_stay_in_a_part_throughout_are_never_lost(
    *, ids: set[int], limit: int, changes: dict[int, set[int]], pagination: Pagination, ahead: int, key: str | None
) -> None:
    """Rows go and enter anywhere: each change takes out those that are there and puts in those that are not."""
    shelf = Shelf(list(ids), limit=limit)
    always = set(ids)

    def change(request: int) -> None:
        changed = changes.get(request, set())
        always.difference_update(changed)
        shelf.ids = sorted({*shelf.ids} ^ changed)

    shelf.change = change
    assert always <= set(shelf.read(pagination, ahead, is_part=True, key=key))


@settings(max_examples=300)
@given(
    inside=st.sets(st.integers(0, 30), min_size=4),
    outside=st.sets(st.integers(0, 30), max_size=3),
    limit=st.integers(1, 5),
    changes=st.dictionaries(
        st.integers(1, 14), st.lists(st.none() | st.integers(0, 34), min_size=1, max_size=3), max_size=6
    ),
)
def test_rows_of_a_part_that_may_be_all_are_never_lost(
    inside: set[int], outside: set[int], limit: int, changes: dict[int, list[int | None]]
) -> None:
    """A row that is left out is changed and enters (its number), one that is in goes, one is added (None)."""
    shelf = Shelf(list(inside), limit=limit)
    shelf.outside = outside - inside
    always, newest = set(inside), 30

    def change(request: int) -> None:
        nonlocal newest
        for number in changes.get(request, ()):
            if number is None:
                newest += 1
                shelf.ids.append(newest)
            elif number in shelf.outside:
                shelf.outside.discard(number)
                shelf.ids = sorted({*shelf.ids, number})
            elif number in shelf.ids:
                shelf.ids.remove(number)
                always.discard(number)

    shelf.change = change
    assert always <= set(shelf.read(concurrency=4, is_part=True, may_be_whole=True))
