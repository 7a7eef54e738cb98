"""What shows that rows have moved between pages, what is said of it, and from where the read goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.consistency import (
    IgnoredPageError,
    MissingPageError,
    Resume,
    ShiftedPagesError,
    Trace,
    Trail,
    check_promise,
    check_rest,
)
from tap_factorialhr.envelope import Page
from tap_factorialhr.pagination import PaginationMeta

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[Trail], Any]

LIMIT = 3
NONE_CAME = "^the server promised a next page and gave none$"


def page(*ids: Any, total: int | None = 12, last: bool = False, **meta: Any) -> Page:
    """A page of three rows at most, whose cursor is its last id."""
    end = {"end_cursor": f"after {ids[-1]}"} if ids else {}
    return Page(
        [{"id": one} for one in ids],
        PaginationMeta(**{"limit": LIMIT, "total": total, "has_next_page": not last, **end, **meta}),
    )


def trail(*ids: Any, key: str | None = "id", **meta: Any) -> Trail:
    return Trail(page(*(ids or (1, 2, 3)), **meta), key=key, page_size=LIMIT)


# The first page


def test_the_first_page_says_what_can_be_told_of_the_rest() -> None:
    first = trail(1, 2, 3)
    assert (first.is_counted, first.pages, first.total) == (True, 4, 12)
    assert first.sure == Resume("after 3", 3)


@pytest.mark.parametrize("missing", ["total", "limit"])
def test_without_total_or_limit_one_page_more_is_all_that_is_known(missing: str) -> None:
    first = trail(1, 2, 3, **{missing: None})
    assert not first.is_counted
    assert first.pages == 2


def test_a_first_page_that_promises_no_other_is_all_that_is_known() -> None:
    assert trail(1, 2, 3, last=True).pages == 1


def test_without_a_cursor_it_would_begin_again() -> None:
    assert trail(1, 2, 3, end_cursor=None).sure == Resume(None, 0)


# What does not fit


def after_guard(number: int) -> Trail:
    """A trail whose last page ended with a row of that number."""
    began = trail(1, 2, 3)
    began.guard(page(10, 11, number, last=True))
    return began


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (lambda began: began.add(page(4, 5, 6, total=11)), "the total changed"),
        (lambda began: began.add(page(4, 5, 6, total=13)), "the total changed"),
        (lambda began: began.add(page(4, 5, 6, total=None)), "the total changed"),
        (lambda began: began.guard(page(10, 11, 12, total=13)), "the total changed"),
        (lambda began: began.add(page(3, 4, 5)), "a page does not begin after the last one ended"),
        (lambda began: began.add(page(4, 6, 5)), "a page does not begin after the last one ended"),
        (lambda began: began.add(page("x", "y")), "a page does not begin after the last one ended"),
        (lambda began: began.add(page(4, 5, 6, last=True)), "the rows read are not as many as the total"),
        (lambda began: began.add_last(page(11, 12, 13, last=True)), "the last page changed during the read"),
        (lambda began: began.confirm(page(1, 2, 4)), "the first page changed during the read"),
        (lambda began: began.add_overlapping(page(4, 5, 6)), "a page does not hold the last row before it"),
        (lambda began: began.add_overlapping(page(3, None)), "a page does not hold the last row before it"),
        (lambda began: began.add_following(page()), "a page that was promised has no rows"),
    ],
)
def test_what_does_not_fit_is_said_and_the_read_goes_on_after_the_first_page(check: Check, reason: str) -> None:
    with pytest.raises(ShiftedPagesError, match=f"^{reason}") as error:
        check(after_guard(12))
    assert error.value.resume == Resume("after 3", 3)
    assert not isinstance(error.value, IgnoredPageError)


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (lambda began: began.add(page(4, 5, 6, has_previous_page=False)), "the server ignores the page number"),
        (lambda began: began.guard(page(1, 2, 3)), "the server answers with the first page again"),
        (
            lambda began: began.add_overlapping(page(1, 2, 3)),
            "the server answers with the first page again",
        ),
    ],
)
def test_a_page_number_that_is_ignored_is_told_from_rows_that_moved(check: Check, reason: str) -> None:
    with pytest.raises(IgnoredPageError, match=f"^{reason}$") as error:
        check(trail(1, 2, 3))
    assert error.value.resume == Resume("after 3", 3)


def test_a_page_without_rows_says_nothing_of_the_page_number() -> None:
    began = trail(1, 2, 3)
    began.add(page(has_previous_page=False))
    began.add(page(7, 8, 9))


def test_of_a_page_that_overlaps_those_rows_count_that_come_after_the_last_one() -> None:
    began = trail(1, 2, 3)
    rest = began.add_overlapping(page(2, 3, 4))
    assert rest.rows == [{"id": 4}]
    assert began.sure == Resume("after 4", 4)
    began.add_following(page(5, 6, 7))
    assert began.sure == Resume("after 7", 7)
    with pytest.raises(ShiftedPagesError, match=r"^a page does not hold the last row before it$") as error:
        began.add_overlapping(page(8, 9))
    assert error.value.resume == Resume("after 7", 7)


def test_a_page_with_a_row_that_has_no_id_holds_nothing_for_certain() -> None:
    with pytest.raises(ShiftedPagesError, match=r"^a page does not hold the last row before it$"):
        trail("a", "b", "c").add_overlapping(page("c", None))


def test_a_page_may_overlap_by_all_its_rows() -> None:
    began = trail(1, 2, 3)
    assert len(began.add_overlapping(page(2, 3)).rows) == 0
    assert began.add_overlapping(page(3, 4)).rows == [{"id": 4}]


def test_a_page_of_a_chain_that_comes_again_is_noticed() -> None:
    began = trail(1, 2, 3)
    began.add_following(page(4, 5, 6))
    with pytest.raises(ShiftedPagesError, match=r"^a page comes twice$"):
        began.add_following(page(4, 5, 6))


def test_without_a_cursor_it_is_sure_up_to_the_last_one() -> None:
    began = trail(1, 2, 3)
    began.add_following(page(4, 5, 6, end_cursor=None))
    assert began.sure == Resume("after 3", 3)


def test_keys_in_no_order_may_come_once() -> None:
    began = trail("c", "a", "b")
    began.add(page("f", "d", "e"))
    with pytest.raises(ShiftedPagesError, match=r"^an id comes twice$"):
        began.add(page("g", "f"))


def test_rows_without_a_key_are_told_by_all_that_is_in_them() -> None:
    began = trail("a", "a", "a", key=None)
    began.add(page("b", "b", "b"))
    began.add(page("b", "b", "b"))
    began.confirm(page("a", "a", "a"))
    with pytest.raises(ShiftedPagesError):
        began.confirm(page("a", "a", "b"))


def test_pages_that_fit_are_silent() -> None:
    began = trail(1, 2, 3)
    assert began.guard(page(10, 11, 12, last=True))
    began.add(page(4, 5, 6))
    began.add(page(7, 8, 9))
    began.add_last(page(10, 11, 12, last=True))
    began.confirm(page(1, 2, 3))


@pytest.mark.parametrize("other", [page(10, 11, 12), page(last=True), page()])
def test_one_that_is_not_the_last_is_no_sentinel(other: Page) -> None:
    assert not trail(1, 2, 3).guard(other)


# Pages that were promised


def empty(*, total: int | None, promises_more: bool) -> Trace:
    return Trace(PaginationMeta(limit=LIMIT, total=total, has_next_page=promises_more), 0, [])


@pytest.mark.parametrize(
    ("total", "places", "is_right"),
    [(10, 1, True), (10, 9, True), (10, 10, False), (10, 0, False), (None, 1, False)],
)
def test_a_page_without_rows_in_the_middle_hides_places_that_the_total_has(
    total: int | None, places: int, is_right: bool
) -> None:
    check(empty(total=total, promises_more=True), before=10, rows=1, places=places, is_right=is_right)


@pytest.mark.parametrize(
    ("before", "total", "rows", "is_right"),
    [
        (10, 6, 6, True),
        (10, 5, 6, True),
        (10, 7, 6, False),
        (10, 10, 10, False),
        (None, 6, 6, False),
        (10, None, 6, False),
    ],
)
def test_a_page_without_rows_at_the_end_is_right_where_rows_have_gone(
    before: int | None, total: int | None, rows: int, is_right: bool
) -> None:
    check(empty(total=total, promises_more=False), before=before, rows=rows, places=0, is_right=is_right)


def check(page: Trace, *, before: int | None, rows: int, places: int, is_right: bool) -> None:
    last = Trace(PaginationMeta(limit=LIMIT, total=before, has_next_page=True), LIMIT, [1, 2, 3])
    if is_right:
        check_promise(page, last, rows, places)
    else:
        with pytest.raises(MissingPageError, match=NONE_CAME):
            check_promise(page, last, rows, places)


def test_an_empty_page_by_number_is_held_against_the_places_before_it() -> None:
    began = trail(1, 2, 3, total=7)
    began.add(page(total=7))  # Six places of seven.
    with pytest.raises(MissingPageError, match=NONE_CAME):
        began.add(page(total=7))


@pytest.mark.parametrize("rest", [page(4), page(4, total=None), page(total=3)])
def test_the_rest_may_be_rows_or_nothing_where_all_have_come(rest: Page) -> None:
    check_rest(rest, 3)


@pytest.mark.parametrize("total", [4, None])
def test_a_rest_that_does_not_come_is_missed(total: int | None) -> None:
    with pytest.raises(MissingPageError, match=NONE_CAME):
        check_rest(page(total=total), 3)
