"""What is refused of a stream of many parents, whatever is refused and when: nothing is missing in silence."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import walk
from tap_factorialhr.axes import ChunkOfParents, Parents
from tap_factorialhr.client import RefusedError, RejectedError, UnavailableError
from tap_factorialhr.envelope import Page
from tap_factorialhr.partitions import Partition
from tap_factorialhr.walk import PagesError
from tests.support.partitions import FunctionClient, fetching, ids_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

PARENTS = Parents(resource="a/parents", parameter="parent[]", field="parent_id", chunk=7)

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
    return patch.object(walk, "_REFUSALS", most)


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
