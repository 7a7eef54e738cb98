"""How the pages of a listing are asked for, and what is done where rows move meanwhile: one example each."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tap_factorialhr.client import RejectedError, UnavailableError
from tap_factorialhr.consistency import PaginationError
from tests.support.shelf import Asked, Shelf, cursor, read_shelf

BOTH = pytest.mark.parametrize("by_number", [True, False])
SEEDS = range(9)
"""Page after page (0), and eight ways in which requests that are sent side by side may come."""


def ids(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


def one_to(last: int) -> list[int]:
    return list(range(1, last + 1))


def order(seed: int) -> random.Random | None:
    return random.Random(seed) if seed else None


def leave_out(name: str) -> Any:
    return lambda answer, _: answer["meta"].pop(name)


# What is asked for


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("filtered", [True, False])
@BOTH
def test_what_fits_on_one_page_is_one_request(count: int, filtered: bool, by_number: bool) -> None:
    shelf = Shelf(one_to(count))
    assert read_shelf(shelf, by_number=by_number, filtered=filtered) == ids(*one_to(count))
    assert len(shelf.asked) == 1


@pytest.mark.parametrize("count", [4, 6, 7, 30])
def test_by_cursor_there_is_a_request_for_each_page(count: int) -> None:
    shelf = Shelf(one_to(count))
    assert read_shelf(shelf, by_number=False) == ids(*one_to(count))
    assert shelf.pages_asked == ["next"] * -(-count // 3)


@pytest.mark.parametrize("filtered", [True, False])
def test_pages_are_read_in_chains_side_by_side_each_of_which_ends_with_a_row_of_the_next(filtered: bool) -> None:
    """Of 40 pages, at 4 requests at once: each chain a page by number and others by cursor, and 41 requests in all."""
    shelf = Shelf(one_to(4000), limit=100)
    assert read_shelf(shelf, filtered=filtered, side_by_side=8) == ids(*one_to(4000))
    assert shelf.pages_asked == [1, *(one for number in range(2, 42, 5) for one in (number, *["next"] * 4))]
    assert {asked["limit"] for asked in shelf.asked if asked.get("page", "1") != "1"} == {"99"}


@pytest.mark.parametrize("count", [400, 901, 1000, 2000, 9900])
@pytest.mark.parametrize("at_once", [2, 4, 8, 16])
def test_chains_take_one_request_more_than_there_are_pages(count: int, at_once: int) -> None:
    shelf = Shelf(one_to(count), limit=100)
    assert read_shelf(shelf, side_by_side=at_once) == ids(*one_to(count))
    assert len(shelf.asked) <= -(-count // 100) + 1


@pytest.mark.parametrize("filtered", [True, False])
def test_long_chains_are_not_read_since_they_would_wait_in_memory(filtered: bool) -> None:
    shelf = Shelf(one_to(20_000), limit=100)
    assert read_shelf(shelf, filtered=filtered, side_by_side=8) == ids(*one_to(20_000))
    assert shelf.pages_asked[:5] == [1, 2, "next", 4, "next"]
    assert len(shelf.asked) == 203


@pytest.mark.parametrize("count", [4, 9])
@pytest.mark.parametrize("filtered", [True, False])
def test_a_listing_of_few_pages_is_read_by_cursor(count: int, filtered: bool) -> None:
    """Side by side they would come no sooner, and take more requests."""
    shelf = Shelf(one_to(count))
    assert read_shelf(shelf, filtered=filtered, side_by_side=8) == ids(*one_to(count))
    assert shelf.pages_asked == [1, *["next"] * (-(-count // 3) - 1)]


@pytest.mark.parametrize("filtered", [True, False])
def test_a_listing_that_is_read_page_after_page_costs_no_request_more(filtered: bool) -> None:
    shelf = Shelf(one_to(30))
    assert read_shelf(shelf, filtered=filtered) == ids(*one_to(30))
    assert shelf.pages_asked == [1, *["next"] * 9]


@BOTH
def test_what_is_not_paginated_is_one_request(by_number: bool) -> None:
    shelf = Shelf(one_to(10), ignores=frozenset({"limit", "page"}))
    assert read_shelf(shelf, by_number=by_number) == ids(*one_to(10))
    assert len(shelf.asked) == 1


# Where page numbers cannot be trusted from the beginning


@pytest.mark.parametrize("missing", ["total", "limit"])
@pytest.mark.parametrize("filtered", [True, False])
def test_without_total_or_limit_rows_could_move_unseen(missing: str, filtered: bool) -> None:
    shelf = Shelf(one_to(30), twist=leave_out(missing))
    assert read_shelf(shelf, filtered=filtered) == ids(*one_to(30))
    assert shelf.pages_asked == [1, *["next"] * 9]


@pytest.mark.parametrize("key", [None, "id"])
def test_where_ids_are_not_in_order_rows_could_enter_anywhere(key: str | None) -> None:
    shelf = Shelf(one_to(12), name="uuid-{:04}".format)
    assert read_shelf(shelf, key=key) == [f"uuid-{one:04}" for one in one_to(12)]
    assert shelf.pages_asked == [1, "next", "next", "next"]


@BOTH
def test_rows_without_a_key_may_be_alike(by_number: bool) -> None:
    shelf = Shelf(one_to(12), name=lambda _: "7")
    assert read_shelf(shelf, key=None, by_number=by_number) == ["7"] * 12


def test_a_server_that_ignores_the_page_number_is_found_out_at_the_second_request() -> None:
    shelf, notes = Shelf(one_to(10), ignores=frozenset({"page"})), list[str]()
    assert read_shelf(shelf, side_by_side=8, notes=notes) == ids(*one_to(10))
    assert shelf.pages_asked[:2] == [1, 2]
    assert notes == ["the server ignores the page number"]


def test_it_is_found_out_by_the_rows_too() -> None:
    shelf, notes = Shelf(one_to(10), ignores=frozenset({"page"}), twist=leave_out("has_previous_page")), list[str]()
    assert read_shelf(shelf, side_by_side=8, notes=notes) == ids(*one_to(10))
    assert notes == ["the server answers with the first page again"]


@pytest.mark.parametrize("ignored", ["page", "limit"])
@pytest.mark.parametrize("filtered", [True, False])
def test_chains_of_a_server_that_ignores_what_they_rest_on_are_given_up(ignored: str, filtered: bool) -> None:
    def seven_rows(answer: dict[str, Any], asked: Asked) -> None:
        if ignored == "limit" and asked.get("page", "1") != "1":  # Always whole pages, whatever is asked for.
            begin = (int(asked["page"]) - 1) * 7
            answer["data"] = [{"id": str(one)} for one in range(begin + 1, begin + 8)]

    shelf, notes = Shelf(one_to(35), limit=7, twist=seven_rows), list[str]()
    shelf.ignores = frozenset({"page"}) if ignored == "page" else frozenset()
    assert read_shelf(shelf, filtered=filtered, side_by_side=8, notes=notes) == ids(*one_to(35))
    assert len(notes) == 1


@pytest.mark.parametrize("filtered", [True, False])
def test_a_server_that_does_not_go_to_the_last_page_is_read_by_cursor(filtered: bool) -> None:
    def refuse(_: Any, asked: Asked) -> None:
        if asked.get("page") == "5":
            raise RejectedError("HTTP 400")

    shelf = Shelf(one_to(15), twist=refuse)
    assert read_shelf(shelf, filtered=filtered) == ids(*one_to(15))


@pytest.mark.parametrize("last", ["1", "4"])
@pytest.mark.parametrize("filtered", [True, False])
def test_a_server_that_refuses_pages_by_number_is_read_by_cursor(filtered: bool, last: str) -> None:
    def refuse(_: Any, asked: Asked) -> None:
        if asked.get("page", "1") > last:
            raise RejectedError("HTTP 400")

    shelf, notes = Shelf(one_to(63), limit=7, twist=refuse), list[str]()
    assert read_shelf(shelf, filtered=filtered, side_by_side=8, notes=notes) == ids(*one_to(63))
    assert notes == ["the server refuses a page by number"]


def test_a_server_that_refuses_a_cursor_between_pages_by_number_is_asked_again_from_there() -> None:
    refused = list[int]()

    def refuse(_: Any, asked: Asked) -> None:
        if "after_id" in asked and not refused:
            refused.append(1)
            raise RejectedError("HTTP 400")

    shelf, notes = Shelf(one_to(70), limit=7, twist=refuse), list[str]()
    assert read_shelf(shelf, filtered=True, side_by_side=8, notes=notes) == ids(*one_to(70))
    assert notes == ["the server does not give the page after a cursor"]


# Without cursors


def without_cursors(answer: dict[str, Any], _: Asked) -> None:
    answer["meta"].update(start_cursor=None, end_cursor=None)


@pytest.mark.parametrize("filtered", [True, False])
def test_a_server_without_cursors_is_read_by_number(filtered: bool) -> None:
    shelf = Shelf(one_to(30), twist=without_cursors)
    assert read_shelf(shelf, filtered=filtered) == ids(*one_to(30))
    assert shelf.pages_asked == [1, 10, *range(2, 10), 10, 1]


def test_a_server_without_cursors_and_totals_is_read_page_after_page() -> None:
    def without_totals(answer: dict[str, Any], asked: Asked) -> None:
        without_cursors(answer, asked)
        answer["meta"].pop("total")

    shelf = Shelf(one_to(10), twist=without_totals)
    assert read_shelf(shelf) == ids(*one_to(10))
    assert shelf.pages_asked == [1, 2, 3, 4, 1]


def test_ids_in_no_order_are_read_and_one_that_comes_twice_is_noticed() -> None:
    """A row in front moves others to pages where they come again, and the total hides it, since one has gone."""
    names = {number: f"{number * 7919 % 1009:x}-uuid" for number in one_to(13)}
    shelf = Shelf(one_to(12), name=names.__getitem__, twist=without_cursors)
    assert read_shelf(shelf) == [names[number] for number in one_to(12)]

    def swap(request: int) -> None:
        if request == 4:
            shelf.ids = [13, *one_to(11)]

    shelf, notes = Shelf(one_to(12), name=names.__getitem__, change=swap, twist=without_cursors), list[str]()
    with pytest.raises(PaginationError, match="no cursor for it"):  # It would go on by cursor, and there is none.
        read_shelf(shelf, notes=notes)
    assert notes == ["an id comes twice"]


# Where rows move meanwhile


def delete_and_add(shelf: Shelf, request: int, gone: int, added: int) -> None:
    """One row goes and one enters before that request, so that the total stays the same."""

    def change(number: int) -> None:
        if number == request:
            shelf.ids = sorted({*shelf.ids, added} - {gone})

    shelf.change = change


@pytest.mark.parametrize(
    ("request_number", "gone", "added", "says"),
    [
        *((number, 2, 21, "the last page changed during the read") for number in range(3, 8)),
        (2, 2, 21, "the first page changed during the read"),
        *((number, 20, 5, "a page does not begin after the last one ended") for number in range(4, 8)),
        (3, 20, 5, "the last page changed during the read"),
        *((number, 20, None, "the total changed") for number in range(2, 8)),
        (8, 20, 21, "the last page changed during the read"),
        (9, 2, 21, "the first page changed during the read"),
    ],
)
def test_without_cursors_it_is_an_error_where_rows_move(
    request_number: int, gone: int, added: int | None, says: str
) -> None:
    """One goes, another enters, so that the total does not tell, and all between them are moved."""
    shelf, notes = Shelf([number for number in one_to(20) if number != 5], twist=without_cursors), list[str]()

    def change(number: int) -> None:
        if number == request_number:
            shelf.ids = sorted({*shelf.ids, *([added] if added else [])} - {gone})

    shelf.change = change
    with pytest.raises(PaginationError, match="no cursor"):
        read_shelf(shelf, notes=notes)
    assert notes == [says]


@pytest.mark.parametrize("side_by_side", [1, 8])
@pytest.mark.parametrize("limit", [4, 8])
@pytest.mark.parametrize("request_number", range(2, 6))
def test_a_row_that_enters_among_those_of_an_unfiltered_listing_hides_no_other(
    request_number: int, limit: int, side_by_side: int
) -> None:
    """Ids need not become visible in their order, and the total hides it, since the last row has gone."""
    shelf = Shelf([number for number in one_to(24) if number != 11], limit=limit)
    delete_and_add(shelf, request_number, gone=24, added=11)
    assert {*ids(*one_to(23))} - {"11"} <= set(read_shelf(shelf, side_by_side=side_by_side))


def test_chains_go_on_by_cursor_from_the_last_row_that_fitted() -> None:
    shelf, notes = Shelf(one_to(90), limit=9), list[str]()

    def remove(number: int) -> None:
        if number == 6:
            shelf.ids = shelf.ids[3:]

    shelf.change = remove
    found = read_shelf(shelf, filtered=True, side_by_side=4, notes=notes)
    assert set(ids(*range(4, 91))) <= set(found)
    assert notes == ["a page does not hold the last row before it"]
    assert len(shelf.asked) < 20
    assert len(found) < 100


def test_rows_that_enter_or_go_within_the_overlap_cost_nothing() -> None:
    """Chains of three pages overlap by three rows: one may go without a gap, and any number may enter."""
    shelf, notes = Shelf(list(range(2, 182, 2)), limit=9), list[str]()

    def change(number: int) -> None:
        if number == 3:
            shelf.ids = sorted({*shelf.ids, 5, 7} - {8})
        elif number == 7:
            shelf.ids.remove(10)

    shelf.change = change
    found = read_shelf(shelf, filtered=True, side_by_side=4, notes=notes)
    assert {*ids(*range(2, 182, 2))} - {"8", "10"} <= set(found)
    assert notes == []
    assert len(found) == len(set(found))


@pytest.mark.parametrize("count", [7, 10, 20])
def test_rows_that_move_all_the_time_are_read_by_cursor(count: int) -> None:
    shelf = Shelf(one_to(count))

    def swap(number: int) -> None:
        if number > 1:
            shelf.ids = [*shelf.ids[1:], shelf.ids[-1] + 1]

    shelf.change = swap
    found = set(read_shelf(shelf))
    kept = {*one_to(count)} & {*shelf.ids}
    assert "next" in shelf.pages_asked
    assert set(ids(*kept)) <= found


@pytest.mark.parametrize("victim", [1, 2, 4, 7, 11, 13])
@pytest.mark.parametrize("request_number", range(2, 9))
def test_a_row_that_goes_while_one_is_added_loses_no_other(request_number: int, victim: int) -> None:
    for seed in SEEDS:
        shelf = Shelf(one_to(14))
        delete_and_add(shelf, request_number, victim, 100)
        assert set(ids(*one_to(14))) - {str(victim)} <= set(read_shelf(shelf, rng=order(seed)))


@pytest.mark.parametrize("entered", [9, 21, 29, 37])
@pytest.mark.parametrize("request_number", [2, 3, 5, 8, 11, 14])
@pytest.mark.parametrize("key", ["id", None])
def test_a_row_that_goes_while_one_enters_a_filtered_listing_loses_no_other(
    request_number: int, entered: int, key: str | None
) -> None:
    for seed in SEEDS:
        shelf = Shelf(list(range(2, 41, 2)), limit=2)
        delete_and_add(shelf, request_number, 6, entered)
        assert {*ids(*range(2, 41, 2))} - {"6"} <= set(read_shelf(shelf, filtered=True, rng=order(seed), key=key))


# Promises that a server breaks


@pytest.mark.parametrize("with_total", [True, False])
@BOTH
def test_a_promised_page_that_is_empty_is_an_error_and_no_end(by_number: bool, with_total: bool) -> None:
    def empty(answer: dict[str, Any], asked: Asked) -> None:
        if asked.get("page", "1") != "1" or "after_id" in asked:
            answer["data"], answer["meta"]["has_next_page"] = [], False
        if not with_total:
            answer["meta"].pop("total")

    with pytest.raises(PaginationError, match="promised a next page and gave none"):
        read_shelf(Shelf(one_to(10), twist=empty), by_number=by_number)


@BOTH
def test_a_page_that_is_promised_for_ever_is_an_error(by_number: bool) -> None:
    shelf = Shelf(one_to(6), twist=lambda answer, _: answer["meta"].update(has_next_page=True))
    with pytest.raises(PaginationError, match="next page"):
        read_shelf(shelf, by_number=by_number)


@pytest.mark.parametrize("times", [1, 2])
def test_an_empty_answer_in_between_is_no_end_where_the_next_try_brings_rows(times: int) -> None:
    """The one to a page that was promised, and the one to what is begun again: rows have come, so both are wrong."""
    shelf = Shelf(one_to(24))

    def empty(answer: dict[str, Any], _: Asked) -> None:
        if 3 <= len(shelf.asked) < 3 + times:
            answer.update(data=[], meta={})

    shelf.twist = empty
    assert set(ids(*shelf.ids)) <= set(read_shelf(shelf, by_number=False))


def test_a_promised_page_whose_rows_have_gone_is_no_error() -> None:
    shelf = Shelf([0, 2, 46], limit=1)
    delete_and_add(shelf, 3, gone=46, added=1)
    assert {"0", "2"} <= set(read_shelf(shelf, filtered=True))


@BOTH
def test_a_page_without_rows_in_the_middle_is_not_the_last(by_number: bool) -> None:
    def hide(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [row for row in answer["data"] if row["id"] not in {"4", "5", "6"}]

    found = read_shelf(Shelf(one_to(12), twist=hide), by_number=by_number)
    assert set(found) == set(ids(1, 2, 3, *range(7, 13)))


@BOTH
def test_a_server_that_repeats_itself_is_an_error(by_number: bool) -> None:
    shelf = Shelf(one_to(30), twist=lambda answer, _: answer["meta"].update(end_cursor=cursor(3), total=None))
    with pytest.raises(PaginationError, match="the server repeats a"):
        read_shelf(shelf, by_number=by_number)


def test_pages_that_come_round_again_with_new_cursors_are_an_error() -> None:
    shelf = Shelf(one_to(9))

    def round_again(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"].update(total=None, has_next_page=True)
        if len(shelf.asked) % 3 == 0:
            answer["meta"].update(end_cursor=cursor(-len(shelf.asked)))

    shelf.twist = round_again
    with pytest.raises(PaginationError, match="the server repeats a page"):
        read_shelf(shelf, by_number=False)


def test_a_cursor_that_grows_without_end_is_an_error() -> None:
    shelf = Shelf(one_to(30), twist=lambda answer, _: answer["meta"].update(end_cursor="x" * 5000))
    with pytest.raises(PaginationError, match="longer than"):
        read_shelf(shelf, by_number=False)


@pytest.mark.parametrize("has_next_page", [True, None])
@pytest.mark.parametrize("by_number", [True, False])
def test_rows_without_a_key_that_come_again_for_ever_are_given_up(by_number: bool, has_next_page: bool | None) -> None:
    """By a server that ignores cursors, and gives another one each time."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"] |= {"has_next_page": has_next_page, "end_cursor": f"cursor-{len(shelf.asked)}"}

    shelf = Shelf([1, 2, 3], limit=3, twist=twist, ignores=frozenset({"after_id", "page"}))
    with pytest.raises(PaginationError, match="repeats a page"):
        read_shelf(shelf, by_number=by_number, key=None)


@pytest.mark.parametrize(("rows", "is_error"), [(10, True), (9, False), (25, False)])
@pytest.mark.parametrize("by_number", [True, False])
def test_a_full_page_without_a_word_on_others_is_not_all_because_the_second_is_refused(
    rows: int, is_error: bool, by_number: bool
) -> None:
    def refuse(answer: dict[str, Any], asked: Asked) -> None:
        if asked.get("page") == "2":
            raise UnavailableError("HTTP 403")
        answer["data"] = [{"id": str(one)} for one in shelf.ids]
        answer["meta"] = {}

    shelf = Shelf(list(range(1, rows + 1)), limit=10, twist=refuse)
    if is_error:
        with pytest.raises(PaginationError, match="leaves it in doubt"):
            read_shelf(shelf, by_number=by_number)
    else:
        assert len(read_shelf(shelf, by_number=by_number)) == rows
