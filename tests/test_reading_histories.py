"""Random histories of a listing while it is read: no row that is there all the time is ever lost.

The model has teeth: each check that a read by number rests on is taken away, and rows are lost.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import consistency
from tap_factorialhr.consistency import MissingPageError, PaginationError
from tests.support.shelf import Shelf, read_shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HISTORIES = int(os.environ.get("HISTORIES", "600"))
"""How many are tried of each kind; more, where a change to a way of reading is to be sure."""
MOST_PAGES = 12


@dataclass
class History:
    """What becomes of a listing from request to request.

    Attributes:
        shelf: The listing.
        rng: Decides.
        filtered: Whether rows may enter anywhere, and not at the end alone.
        always: The rows that have been there all the time.
    """

    shelf: Shelf
    rng: random.Random
    filtered: bool = False
    always: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.always = set(self.shelf.ids)
        self._events = {self.rng.randrange(2, 2 + MOST_PAGES): self.rng.randint(1, 3) for _ in range(4)}
        self._newest = 10_000
        self.shelf.change = self._change

    def _change(self, request: int) -> None:
        for _ in range(self._events.get(request, 0)):
            self.rng.choice([self._remove, self._add, self._swap])()

    def _remove(self) -> None:
        if self.shelf.ids:
            self.always.discard(gone := self.rng.choice(self.shelf.ids))
            self.shelf.ids.remove(gone)

    def _add(self) -> None:
        if self.filtered and self.rng.random() < 0.7:
            self.shelf.ids = sorted({*self.shelf.ids, self.rng.randrange(10_000)})
        else:
            self._newest += 1
            self.shelf.ids.append(self._newest)

    def _swap(self) -> None:
        """The total stays the same."""
        before = len(self.shelf.ids)
        self._remove()
        if len(self.shelf.ids) < before:
            self._add()


def random_shelf(rng: random.Random) -> Shelf:
    limit = rng.choice([1, 2, 3, 4, 5, 9])
    count = rng.randint(0, limit * MOST_PAGES)
    return Shelf(sorted(rng.sample(range(10_000), count)), limit=limit)


def lost(seed: int, shelf_of: Callable[[random.Random], Shelf] = random_shelf, **listing: Any) -> set[str]:
    """The rows that one history makes a read lose."""
    rng = random.Random(seed)
    history = History(shelf_of(rng), rng, filtered=listing.get("filtered", False))
    ahead = rng if seed % 3 else None
    try:
        found = set(read_shelf(history.shelf, rng=ahead, **listing))
    except PaginationError as error:
        # A page was promised, and then there was not one row left: said, and not taken for the end. Or rows have moved,
        # and there are no cursors to go on with.
        is_due = isinstance(error, MissingPageError) and not history.shelf.ids
        return set() if is_due or "no cursor" in str(error) else {"an error"}
    return {history.shelf.name(one) for one in history.always} - found


def shelf_without_cursors(rng: random.Random) -> Shelf:
    shelf = random_shelf(rng)
    shelf.twist = lambda answer, _: answer["meta"].update(end_cursor=None)
    return shelf


def losing(
    shelf_of: Callable[[random.Random], Shelf] = random_shelf, *, histories: int = HISTORIES, **listing: Any
) -> Iterator[int]:
    return (seed for seed in range(histories) if lost(seed, shelf_of, **listing))


def loses(shelf_of: Callable[[random.Random], Shelf] = random_shelf, **listing: Any) -> bool:
    """Whether any of many histories makes a read lose rows."""
    return next(losing(shelf_of, histories=10_000, **listing), None) is not None


@pytest.mark.parametrize("by_number", [True, False])
def test_no_row_of_a_whole_listing_is_lost(by_number: bool) -> None:
    assert list(losing(by_number=by_number)) == []


@pytest.mark.parametrize("key", ["id", None])
def test_no_row_of_a_filtered_listing_is_lost(key: str | None) -> None:
    assert list(losing(filtered=True, key=key)) == []


@pytest.mark.parametrize("filtered", [True, False])
def test_no_row_is_lost_without_cursors(filtered: bool) -> None:
    assert list(losing(shelf_without_cursors, filtered=filtered)) == []


@pytest.mark.parametrize("missing", ["total", "limit", "has_previous_page"])
def test_no_row_is_lost_at_a_server_that_says_less(missing: str) -> None:
    def terse(rng: random.Random) -> Shelf:
        shelf = random_shelf(rng)
        shelf.twist = lambda answer, _: answer["meta"].pop(missing)
        shelf.ignores = frozenset({"page"}) if rng.random() < 0.3 else frozenset()
        return shelf

    assert list(losing(terse)) == []


@pytest.mark.parametrize("name", ["uuid-{:05}", "{:x}", "{:05}"])
def test_no_row_is_lost_whatever_its_key_looks_like(name: str) -> None:
    def named(rng: random.Random) -> Shelf:
        shelf = random_shelf(rng)
        shelf.name = name.format
        return shelf

    assert list(losing(named)) == []


@given(st.randoms(use_true_random=False), st.booleans())
def test_no_row_is_lost_in_the_histories_that_hypothesis_thinks_of(rng: random.Random, filtered: bool) -> None:
    history = History(random_shelf(rng), rng, filtered)
    found = set(read_shelf(history.shelf, rng=rng, filtered=filtered))
    assert {str(one) for one in history.always} <= found


# Without a check, rows are lost


def test_without_the_second_look_at_the_first_page_rows_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency.Trail, "confirm", lambda _self, _first: None)
    assert loses(shelf_without_cursors)


def test_without_the_check_of_the_order_rows_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency.Trail, "_check_order", lambda _self, _keys: None)
    assert loses(shelf_without_cursors, filtered=True)


def test_with_the_middle_read_before_the_last_page_rows_are_lost() -> None:
    def middle_first(rng: random.Random) -> Shelf:
        shelf = shelf_without_cursors(rng)
        answer = shelf.get
        ready: dict[Any, Any] = {}

        def get(params: Any) -> Any:
            number = int(dict(params).get("page", 1))
            if not ready and number > 2:  # The last page is asked for, before all others but the first.
                for one in range(2, number):
                    asked = (("page", str(one)), ("limit", str(shelf.limit)))
                    ready[asked] = answer(asked)
            return ready.pop(params, None) or answer(params)

        shelf.get = get  # type: ignore[method-assign]
        return shelf

    assert loses(middle_first)


@pytest.mark.parametrize("filtered", [True, False])
def test_without_the_check_of_the_overlap_rows_are_lost(monkeypatch: pytest.MonkeyPatch, filtered: bool) -> None:
    monkeypatch.setattr(consistency.Trail, "add_overlapping", lambda self, page: self._extend(page) or page)
    assert loses(filtered=filtered)
