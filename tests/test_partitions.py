"""What a resource's rows are divided into, and how a partition is divided further where it is refused or too slow."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import openapi
from tap_factorialhr.axes import Parents, Scope, SettingValues, SyncWindow, Values, Windows
from tap_factorialhr.partitions import Partition, Partitions
from tap_factorialhr.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_factorialhr.axes import Axis

TODAY = date(2026, 3, 6)
WINDOWS = Windows(start="from", end="to", days=7, ahead=0)
PARENTS = Parents(resource="a/parents", parameter="ids[]", field="parent_id", chunk=80, label=("name", "parent"))
VALUES = Values(parameter="kind", values=("x", "y", "z"), field="kind")
SETTING = SettingValues(setting="uuids", parameter="uuid", field="uuid")


def partitions_of(
    *axes: Axis, parents: Mapping[str, str | None] | None = None, days: int = 20, since: date | None = None
) -> list[Partition]:
    sync = SyncWindow(today=TODAY, settled=TODAY, start=TODAY - timedelta(days=days), values={"uuids": ["u", "v"]})
    scope = Scope(
        listed=openapi.ListResource("a/b", {}, "Row"), sync=sync, since=since, parents=lambda _: parents or {"1": None}
    )
    return list(Partitions(Resource(path="a/b", axes=axes), scope, incremental=True))


def test_a_partition_is_one_slice_of_each_axis() -> None:
    found = partitions_of(PARENTS, VALUES, parents=dict.fromkeys(map(str, range(100))))
    assert [(len(one.params), one.params[-1]) for one in found] == [
        (count, ("kind", kind)) for count in (81, 21) for kind in "xyz"
    ]


def test_rows_get_what_each_axis_knows() -> None:
    (partition, *_) = partitions_of(PARENTS, VALUES, SETTING, parents={"7": None})
    rows = [{"id": "1"}, {"id": "2", "kind": "own", "parent_id": "own"}]
    partition.complete(rows)
    assert rows == [
        {"id": "1", "parent_id": "7", "kind": "x", "uuid": "u"},
        {"id": "2", "parent_id": "own", "kind": "own", "uuid": "u"},
    ]


def test_a_row_among_several_parents_is_told_by_a_label_that_one_parent_has() -> None:
    (partition,) = partitions_of(PARENTS, parents={"1": "Ada", "2": "Bob", "3": "Bob", "4": None})
    known, unknown = {"parent": "Ada"}, {"parent": "Bob"}
    assert not partition.is_ambiguous([known])
    assert partition.is_ambiguous([known, unknown])
    partition.complete([known])
    assert known["parent_id"] == "1"
    for single in partition.one_by_one():
        assert not single.is_ambiguous([unknown, {}])


def test_the_bookmark_moves_with_the_last_partition_of_each_window() -> None:
    found = partitions_of(WINDOWS, PARENTS, parents=dict.fromkeys(map(str, range(100))))
    assert [one.bookmark for one in found] == [None, "2026-02-20", None, "2026-02-27", None, "2026-03-06"]


def alone(partition: Partition) -> Iterator[Partition]:
    """What is left where everything is refused, and split as long as it can be."""
    if parts := partition.split():
        for part in parts:
            yield from alone(part)
    else:
        yield partition


@given(
    st.lists(st.sampled_from([WINDOWS, PARENTS, VALUES, SETTING]), unique=True, min_size=1),
    st.integers(1, 90),
    st.integers(0, 30),
)
def test_what_is_refused_is_split_down_to_one_slice_of_each_axis(axes: list[Axis], parents: int, days: int) -> None:
    axes.sort(key=lambda axis: axis is not WINDOWS)  # Windows come first.
    keys = list(map(str, range(parents)))
    for partition in partitions_of(*axes, parents=dict.fromkeys(keys), days=days):
        found = list(alone(partition))
        assert all(one.can_be_left_out and not one.split() for one in found)
        asked = [[value for name, value in one.params if name == "ids[]"] for one in found]
        wanted = [value for name, value in partition.params if name == "ids[]"]
        assert [key for keys in asked for key in keys] == wanted
        assert all(len(keys) <= 1 for keys in asked)
        assert [one.bookmark for one in found] == [None] * (len(found) - 1) + [partition.bookmark]


@given(st.integers(0, 40), st.integers(1, 9))
def test_shorter_windows_have_the_same_days_and_bookmarks_that_end_them(days: int, longest: int) -> None:
    for partition in partitions_of(WINDOWS, days=days):
        assert partition.window is not None
        parts = partition.up_to(timedelta(days=longest))
        windows = [one.window for one in parts if one.window]
        assert windows[0].first == partition.window.first
        assert windows[-1].last == partition.window.last
        for earlier, later in pairwise(windows):
            assert later.first - earlier.last == timedelta(days=1)
        assert all(window.length <= timedelta(days=longest) for window in windows)
        assert [one.bookmark for one in parts] == [min(window.last, TODAY).isoformat() for window in windows]


@given(st.integers(0, 40), st.integers(-3, 40))
def test_days_before_the_bookmark_are_read_again_but_none_before_the_first_day(start: int, bookmark: int) -> None:
    """A whole read does not bring those, so that a target would drop them."""
    since = TODAY - timedelta(days=bookmark)
    (window, *_) = [one.window for one in partitions_of(WINDOWS, days=start, since=since)] or [None]
    first = max(since - timedelta(days=15), min(since, TODAY - timedelta(days=start)))
    assert window is None or window.first == first
    assert window is not None or since > TODAY


def test_a_resource_in_one_listing_can_be_neither_split_nor_left_out() -> None:
    (partition,) = partitions_of()
    assert (partition.split(), partition.can_be_left_out, partition.can_halve) == ((), False, False)


@pytest.mark.parametrize("days", [0, 1, 6, 7, 20])
def test_windows_leave_no_day_out(days: int) -> None:
    read = set()
    for partition in partitions_of(WINDOWS, days=days):
        assert partition.window is not None
        read |= {partition.window.first + timedelta(days=day) for day in range(partition.window.length.days + 1)}
    assert read == {TODAY - timedelta(days=day) for day in range(days + 1)}
