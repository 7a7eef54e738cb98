"""Answers that leave it in doubt whether there are more rows: what is in doubt is asked, or is an error."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tap_factorialhr.consistency import PaginationError
from tap_factorialhr.listing import Listing
from tap_factorialhr.reading import Prefetch, read
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.shelf import Asked, Shelf, drive, read_shelf
from tests.support.tap import config_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_factorialhr.sandbox import RequestRecord
    from tests.support.tap import TapRunner

BOTH = pytest.mark.parametrize("by_number", [True, False])

ROWS = [str(one) for one in range(1, 26)]


def twisted(twist: Callable[[dict[str, Any]], Any], only_first: bool = False) -> Shelf:
    def change(answer: dict[str, Any], asked: Asked) -> None:
        if not only_first or "after_id" not in asked:
            twist(answer["meta"])

    return Shelf(list(range(1, 26)), limit=10, twist=change)


@BOTH
@pytest.mark.parametrize("said", [None, "true", "false", 0, "", [], {}])
def test_a_next_page_that_is_not_said_to_be_or_not_to_be_is_asked_for(said: object, by_number: bool) -> None:
    shelf = twisted(lambda meta: meta.update(has_next_page=said))
    assert read_shelf(shelf, by_number=by_number, side_by_side=8) == ROWS


@BOTH
@pytest.mark.parametrize(
    "left_out", [("has_next_page",), ("has_next_page", "total"), ("has_next_page", "limit", "total")]
)
@pytest.mark.parametrize("count", [10, 20, 25])
def test_nor_is_one_of_which_nothing_is_said(left_out: tuple[str, ...], count: int, by_number: bool) -> None:
    """Also where the last page is full, so that one more is asked for, which is empty."""
    shelf = twisted(lambda meta: [meta.pop(name) for name in left_out])
    shelf.ids = shelf.ids[:count]
    assert read_shelf(shelf, by_number=by_number) == ROWS[:count]


@BOTH
def test_a_first_page_that_says_it_is_all_is_held_against_the_total(by_number: bool) -> None:
    shelf = twisted(lambda meta: meta.update(has_next_page=False), only_first=True)
    assert read_shelf(shelf, by_number=by_number) == ROWS


@BOTH
@pytest.mark.parametrize("filtered", [True, False])
def test_so_is_a_later_page_that_says_it_is_the_last(by_number: bool, filtered: bool) -> None:
    """One request more finds out: here every page says so, and there are four."""
    shelf = twisted(lambda meta: meta.update(has_next_page=False))
    shelf.ids = list(range(1, 36))
    assert read_shelf(shelf, by_number=by_number, filtered=filtered) == [str(one) for one in shelf.ids]


@BOTH
def test_a_total_that_counts_rows_which_are_not_shown_is_borne_out_by_an_empty_answer(by_number: bool) -> None:
    shelf = twisted(lambda meta: meta.update(total=250))
    assert read_shelf(shelf, by_number=by_number) == ROWS


@BOTH
def test_a_total_that_the_rest_does_not_bear_out_is_an_error(by_number: bool) -> None:
    shelf = twisted(lambda meta: meta.update(total=250, has_next_page=False))
    shelf.ids = shelf.ids[:10]
    with pytest.raises(PaginationError, match="promised a next page and gave none"):
        read_shelf(shelf, by_number=by_number)


@BOTH
def test_where_total_and_limit_count_something_else_they_are_no_contradiction(by_number: bool) -> None:
    shelf = twisted(lambda meta: meta.update(total=250))
    shelf.ids = shelf.ids[:10]
    assert read_shelf(shelf, by_number=by_number, counts_rows=False) == ROWS[:10]
    assert len(shelf.asked) == 1


@BOTH
@pytest.mark.parametrize("meta", [{}, {"total": 25}, {"total": 25, "limit": 10, "has_next_page": False}])
def test_where_it_is_in_doubt_and_there_is_no_cursor_it_is_an_error(meta: dict[str, Any], by_number: bool) -> None:
    def change(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"] = meta

    with pytest.raises(PaginationError, match="leaves it in doubt whether there are more rows"):
        read_shelf(Shelf(list(range(1, 26)), limit=10, twist=change), by_number=by_number)


def test_of_the_last_of_pages_without_total_and_cursor_it_has_to_be_said_that_it_is() -> None:
    def change(answer: dict[str, Any], asked: Asked) -> None:
        answer["meta"] = {"has_next_page": True} if asked["page"] == "1" else {}

    with pytest.raises(PaginationError, match="does not say whether there is a next page"):
        read_shelf(Shelf(list(range(1, 26)), limit=10, twist=change))


@BOTH
def test_rows_that_are_told_of_and_not_given_are_an_error(by_number: bool) -> None:
    shelf = Shelf([1, 2, 3], twist=lambda answer, _: answer.update(data=[]))
    with pytest.raises(PaginationError, match="tells of rows and gives none"):
        read_shelf(shelf, by_number=by_number)


@BOTH
@pytest.mark.parametrize("ignores", [True, False])
@pytest.mark.parametrize("meta", [{}, {"limit": 10}])
def test_a_short_page_that_says_nothing_is_the_only_one_if_there_is_no_second(
    meta: dict[str, Any], by_number: bool, ignores: bool
) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        if ignores:
            answer["data"] = [{"id": str(one)} for one in (1, 2, 3)]
        answer["meta"] = meta

    shelf = Shelf([1, 2, 3], limit=10, twist=twist)
    assert read_shelf(shelf, by_number=by_number) == ["1", "2", "3"]
    assert len(shelf.asked) == 2


@BOTH
@pytest.mark.parametrize("meta", [{}, {"limit": 10}])
@pytest.mark.parametrize("short", ["first", "later"])
def test_a_short_page_that_says_nothing_is_an_error_if_there_may_be_more(
    meta: dict[str, Any], by_number: bool, short: str
) -> None:
    """Also in the middle of pages that said so and gave cursors."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        if short == "first" or answer["data"][0]["id"] in {"31", "30"}:
            answer["data"], answer["meta"] = answer["data"][:9], meta

    with pytest.raises(PaginationError, match="leaves it in doubt"):
        read_shelf(Shelf(list(range(1, 96)), limit=10, twist=twist), by_number=by_number)


@BOTH
@pytest.mark.parametrize("said", [{"has_next_page": False}, {"has_next_page": None}])
def test_pages_that_call_themselves_all_there_is_and_count_more_are_read_on(
    said: dict[str, Any], by_number: bool
) -> None:
    shelf = twisted(lambda meta: meta.update({"limit": None, **said}))
    shelf.ids = list(range(1, 96))
    assert read_shelf(shelf, by_number=by_number, side_by_side=8) == [str(one) for one in shelf.ids]


@BOTH
@pytest.mark.parametrize("key", ["id", None])
@pytest.mark.parametrize("meta", [{}, {"limit": 10}, {"limit": 10, "total": 3}, {"limit": 10, "total": 2}])
def test_a_server_that_ignores_cursors_has_no_more_than_a_short_page(
    meta: dict[str, Any], key: str | None, by_number: bool
) -> None:
    """Nothing says that it is the last one, and what is asked for to be sure is the same page."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"] = {**meta, "end_cursor": answer["meta"]["end_cursor"]}

    shelf = Shelf([1, 2, 3], limit=10, twist=twist, ignores=frozenset({"after_id"}))
    pages = drive(read(Listing(10, key=key), by_number=by_number), shelf)
    assert [row["id"] for page in pages for row in page.rows] == ["1", "2", "3"]
    assert len(pages) == len(shelf.asked) == 2  # The end is seen by a page of its own.


@BOTH
def test_rows_without_a_key_that_are_alike_are_no_page_that_comes_again(by_number: bool) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["data"] = [{"name": "x"} for _ in answer["data"][:5]]
        answer["meta"] = {"limit": 10, "end_cursor": answer["meta"]["end_cursor"]}

    shelf = Shelf(list(range(1, 29)), limit=10, twist=twist)
    pages = drive(read(Listing(10, key=None), by_number=by_number), shelf)
    assert sum(len(page.rows) for page in pages) == 15


@BOTH
def test_nor_more_than_a_full_page_where_the_total_says_so(by_number: bool) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"] = {"limit": 3, "total": 3, "end_cursor": answer["meta"]["end_cursor"]}

    shelf = Shelf([1, 2, 3], limit=3, twist=twist, ignores=frozenset({"after_id"}))
    assert read_shelf(shelf, by_number=by_number) == ["1", "2", "3"]


@BOTH
@pytest.mark.parametrize("count", [5, 10, 15, 25])
def test_a_total_that_is_too_low_loses_no_row_where_nothing_says_that_a_page_is_the_last(
    by_number: bool, count: int
) -> None:
    shelf = twisted(lambda meta: meta.update(has_next_page=None, total=meta["total"] - count % 10 - 1))
    shelf.ids = shelf.ids[:count]
    assert read_shelf(shelf, by_number=by_number) == ROWS[:count]


@BOTH
@pytest.mark.parametrize("meta", [{"limit": None}, {"limit": None, "total": 3}, {"has_next_page": False}])
def test_what_is_short_or_whole_beyond_doubt_is_one_request(meta: dict[str, Any], by_number: bool) -> None:
    shelf = Shelf([1, 2, 3], limit=10, twist=lambda answer, _: answer.update(meta=meta))
    assert read_shelf(shelf, by_number=by_number) == ["1", "2", "3"]
    assert len(shelf.asked) == 1


@pytest.mark.parametrize("pages", [4, 12])
def test_a_page_in_the_middle_that_says_it_is_the_last_is_not_believed(pages: int) -> None:
    def change(answer: dict[str, Any], asked: Asked) -> None:
        if asked.get("page") not in {None, "1"}:
            answer["meta"]["has_next_page"] = False

    shelf = Shelf(list(range(1, pages * 10 + 1)), limit=10, twist=change)
    for filtered in (True, False):
        found = read_shelf(shelf, filtered=filtered, side_by_side=8)
        assert list(dict.fromkeys(found)) == [str(one) for one in shelf.ids]


@pytest.mark.parametrize("said", [{}, {"total": 95}, {"has_next_page": False}])
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("ways", [{"by_number": False}, {"side_by_side": 1}, {"side_by_side": 8}])
@given(number=st.integers(1, 15), count=st.integers(1, 130), has_cursor=st.booleans())
@example(number=2, count=95, has_cursor=False)
@example(number=3, count=35, has_cursor=True)
def test_one_answer_that_says_less_than_the_others_costs_no_row(
    said: dict[str, Any], ways: dict[str, Any], filtered: bool, *, number: int, count: int, has_cursor: bool
) -> None:
    """What it says that cannot be held against another answer is believed: that the first page is the last one."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        if len(shelf.asked) == number and answer["data"]:
            end = {"end_cursor": answer["meta"]["end_cursor"]} if has_cursor else {}
            answer["meta"] = said | end

    shelf = Shelf(list(range(1, count + 1)), limit=10, twist=twist)
    assume(number > 1 or "has_next_page" not in said)
    try:
        found = read_shelf(shelf, filtered=filtered, **ways)
    except PaginationError:
        assert number <= len(shelf.asked)
    else:
        assert set(found) == {str(one) for one in shelf.ids}


@BOTH
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("side_by_side", [1, 8])
@pytest.mark.parametrize("goes", range(2, 5))
def test_a_row_that_goes_is_no_error_where_a_last_page_has_neither_total_nor_cursor(
    goes: int, side_by_side: int, filtered: bool, by_number: bool
) -> None:
    """The total of a page before is one too many then, for a page too many."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        if not answer["meta"]["has_next_page"]:
            answer["meta"] = {"limit": 10, "has_next_page": False}

    shelf = Shelf(list(range(1, 42)), limit=10, twist=twist)
    shelf.change = lambda number: shelf.ids.remove(40) if number == goes else None
    found = read_shelf(shelf, by_number=by_number, side_by_side=side_by_side, filtered=filtered)
    assert set(found) == {str(one) for one in shelf.ids} | (set(found) & {"40"})


@BOTH
@pytest.mark.parametrize("side_by_side", [1, 8])
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("number", range(2, 8))
@pytest.mark.parametrize("times", [1, 2, 500])
def test_that_there_are_no_rows_at_all_is_not_believed_in_the_middle(
    by_number: bool, *, times: int, number: int, filtered: bool, side_by_side: int
) -> None:
    """So credentials are answered that are another server's: it may be another one that answers for a moment."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        if number <= len(shelf.asked) < number + times:
            answer.update(data=[], meta={"limit": 10, "total": 0, "has_next_page": False, "end_cursor": None})

    shelf = Shelf(list(range(1, 96)), limit=10, twist=twist)
    try:
        found = read_shelf(shelf, by_number=by_number, side_by_side=side_by_side, filtered=filtered)
    except PaginationError:
        assert times > 1
    else:
        assert set(found) == {str(one) for one in shelf.ids}


def test_no_row_comes_again_where_a_last_page_does_not_say_so_and_nothing_comes_after_it() -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        if not answer["data"] or answer["data"][-1]["id"] == "95":
            answer["meta"] = {"end_cursor": answer["meta"]["end_cursor"]}

    shelf = Shelf(list(range(1, 96)), limit=10, twist=twist)
    assert read_shelf(shelf, side_by_side=8) == [str(one) for one in shelf.ids]


@pytest.mark.parametrize("number", range(2, 7))
def test_where_other_pages_have_cursors_it_is_asked_for_again(number: int) -> None:
    def twist(answer: dict[str, Any], _: Asked) -> None:
        if len(shelf.asked) == number:
            answer["meta"] = {}

    shelf = Shelf(list(range(1, 96)), limit=10, twist=twist)
    assert set(read_shelf(shelf, filtered=True, side_by_side=8)) == {str(one) for one in range(1, 96)}


@pytest.mark.parametrize("filtered", [True, False])
def test_nothing_after_it_is_not_believed_where_it_has_neither_word_nor_cursor(filtered: bool) -> None:
    def twist(answer: dict[str, Any], asked: Asked) -> None:
        if len(shelf.asked) == 3:
            answer["meta"] = {}
        elif len(shelf.asked) > 3 and "after_id" in asked:
            answer.update(data=[], meta={"has_next_page": False})

    shelf = Shelf(list(range(1, 96)), limit=10, twist=twist)
    with pytest.raises(PaginationError):
        read_shelf(shelf, filtered=filtered, side_by_side=8)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": None, "meta": {}},
        {"data": [], "errors": {"errors": ["Forbidden"]}},
        {"data": [{"id": "1"}] * 100},
        {"data": [{"id": "1"}] * 100, "meta": {"total": 250, "limit": 100}},
        {"data": [], "meta": {"total": 250, "limit": 100, "has_next_page": False}},
    ],
)
def test_no_table_is_emptied_by_an_answer_that_is_in_doubt(tap: TapRunner, answer: dict[str, Any]) -> None:
    def partial(record: RequestRecord) -> Answer | None:
        return Answer(body=json.dumps(answer).encode()) if record.resource == "teams/teams" else None

    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = partial
        config = config_for(sandbox, max_retries=0)
        run = tap(config, catalog=tap.catalog("teams", "locations_locations"))
    assert run.code == 1
    assert "teams" in run.stderr
    assert "Traceback" not in run.stderr
    assert not [message for message in run.of_type("ACTIVATE_VERSION") if message["stream"] == "teams"]


class Clamping(Shelf):
    """Gives the last page for each number after it."""

    def _place(self, asked: Asked) -> int:
        last = (len(self.ids) - 1) // self.limit * self.limit
        return min(super()._place(asked), last) if "page" in asked else super()._place(asked)


@pytest.mark.parametrize("total", [10**12, 10**30])
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("kind", [Shelf, Clamping])
@pytest.mark.parametrize("cursors", [True, False])
def test_a_total_that_cannot_be_is_not_counted_up_to(
    total: int, filtered: bool, kind: type[Shelf], cursors: bool
) -> None:
    """Neither in time nor in memory, whichever way it is read."""

    def twist(answer: dict[str, Any], _: Asked) -> None:
        answer["meta"]["total"] = total
        answer["meta"].pop("end_cursor" if not cursors else "nothing", None)

    shelf = kind(list(range(1, 96)), limit=5, twist=twist)
    flow, named = read(Listing(5, filtered=filtered, side_by_side=8), by_number=True), [0]

    def watched() -> Any:
        with suppress(StopIteration):
            step = next(flow)
            while True:
                if isinstance(step, Prefetch):
                    named.append(len(step.requests))
                answer = yield step
                step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)

    if cursors:
        assert {row["id"] for page in drive(watched(), shelf) for row in page.rows} == {str(one) for one in shelf.ids}
    else:
        with pytest.raises(PaginationError, match="promises a next page and gives no cursor for it"):
            drive(watched(), shelf)
    assert max(named) <= 2002


def in_silence(*numbers: int) -> Callable[[dict[str, Any], Asked], None]:
    """Has the requests of these numbers answered as an empty result has been seen to be, and a 401 as well."""
    asked: list[Asked] = []

    def twist(answer: dict[str, Any], one: Asked) -> None:
        asked.append(one)
        if len(asked) in numbers:
            answer.update(data=[], meta={})

    return twist


@BOTH
def test_an_answer_without_rows_or_a_word_on_them_is_asked_for_once_more(by_number: bool) -> None:
    shelf = Shelf(list(range(1, 26)), limit=10, twist=in_silence(1))
    assert read_shelf(shelf, by_number=by_number) == ROWS


def test_in_the_way_it_was_asked_for() -> None:
    """Not every server knows the other one, or gives cursors."""

    def twist(answer: dict[str, Any], asked: Asked) -> None:
        silent(answer, asked)
        answer["meta"].pop("end_cursor", None)

    silent = in_silence(1)
    shelf = Shelf(list(range(1, 26)), limit=10, twist=twist, ignores=frozenset({"after_id"}))
    assert read_shelf(shelf, by_number=True) == ROWS


def test_nor_does_a_bookmark_pass_rows_that_one_such_answer_hides(tap: TapRunner) -> None:
    """Asked for from the start date on, which is no part that others make whole."""
    asked: list[RequestRecord] = []

    def silent_at_first(record: RequestRecord) -> Answer | None:
        if record.resource != "employees/employees":
            return None
        asked.append(record)
        return None if asked[1:] else Answer(body=b'{"errors": null}')

    with Sandbox(Company(employees=5)) as sandbox:
        sandbox.answer = silent_at_first
        run = tap(config_for(sandbox, start_date="2015-01-01"), catalog=tap.catalog("employees", "locations"))
    assert run.code == 0, run.stderr
    assert "updated_at_gteq" in dict(asked[0].params)
    assert len(run.records["employees"]) == 5


@pytest.mark.parametrize("status", [403, 404])
def test_a_stream_that_is_refused_by_then_is_skipped(tap: TapRunner, status: int) -> None:
    """Not one row of it has come."""
    asked: list[str] = []

    def refuse(record: RequestRecord) -> Answer | None:
        if record.resource != "teams/teams":
            return None
        asked.append(record.resource)
        return Answer(status) if asked[1:] else Answer(body=b'{"errors": null}')

    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = refuse
        run = tap(config_for(sandbox), catalog=tap.catalog("teams", "locations"))
    assert run.code == 0, run.stderr
    assert f"skipped: teams (HTTP {status})" in run.stderr


@pytest.mark.parametrize("status", [403, 404])
def test_but_not_where_rows_were_promised_before(tap: TapRunner, status: int) -> None:
    """The first page holds rows that are not for these credentials, and access ends after it."""
    meta = {"total": 150, "limit": 100, "has_next_page": True, "end_cursor": "100"}
    first = json.dumps({"data": [], "meta": meta}).encode()

    def answer(record: RequestRecord) -> Answer | None:
        if record.resource != "teams/teams":
            return None
        return Answer(status) if "after_id" in dict(record.params) else Answer(body=first)

    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = answer
        run = tap(config_for(sandbox), catalog=tap.catalog("teams", "locations"))
    assert run.code == 1
    assert f"teams: HTTP {status}, after a part of its rows had come" in run.stderr


@BOTH
@pytest.mark.parametrize(("is_one_of_many", "requests"), [(False, 2), (True, 1)])
def test_and_believed_then(is_one_of_many: bool, requests: int, by_number: bool) -> None:
    """Of one of the parts of a resource at once: there can be thousands of them, and many may have no rows."""
    shelf = Shelf([], twist=in_silence(*range(9)))
    assert read_shelf(shelf, by_number=by_number, filtered=is_one_of_many, is_one_of_many=is_one_of_many) == []
    assert len(shelf.asked) == requests


@BOTH
@pytest.mark.parametrize("meta", [{"total": 0}, {"has_next_page": False}, {"limit": None}])
def test_at_once_where_it_says_anything(meta: dict[str, Any], by_number: bool) -> None:
    shelf = Shelf([], twist=lambda answer, _: answer.update(meta=meta))
    assert read_shelf(shelf, by_number=by_number) == []
    assert len(shelf.asked) == 1
