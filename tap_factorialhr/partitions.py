"""The partitions of a stream: one listing each, for one slice of each axis that the resource is read along."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import TYPE_CHECKING

from tap_factorialhr.axes import Days, Slice
from tap_factorialhr.client import GONE
from tap_factorialhr.dates import EPOCH
from tap_factorialhr.resources import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, timedelta

    from tap_factorialhr.axes import Scope
    from tap_factorialhr.envelope import Row
    from tap_factorialhr.openapi import Params
    from tap_factorialhr.resources import Resource

LEAST_LOOKBACK = 1
"""Days before the bookmark that changes are asked for from, at least: the filter takes a day, and where that is one of
the company's time zone, west of UTC it begins up to twelve hours after the bookmark's (API notes, "What changed
since": whose day it is, nobody says)."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One listing of a resource, all pages of it, and what its rows get.

    Attributes:
        path: ``<domain>/<resource>``.
        always: What is asked for whatever the slices are.
        slices: Which of the resource's rows it lists: one slice of each axis.
        filtered: Whether it lists a part of the resource's rows, which a row can enter anywhere when it is changed.
        bookmark: Where the stream's bookmark may move when all rows up to here are written.
    """

    path: str
    always: Params = ()
    slices: tuple[Slice, ...] = ()
    filtered: bool = False
    bookmark: str | None = None

    @property
    def params(self) -> Params:
        """What is asked for, but for pagination."""
        return (*self.always, *(param for one in self.slices for param in one.params))

    def complete(self, rows: Iterable[Row]) -> None:
        """Give rows, in place, what they do not carry themselves."""
        for one in self.slices:
            one.complete(rows)

    # Where its rows do not say whose they are

    def is_ambiguous(self, rows: Iterable[Row]) -> bool:
        """Whether a row does not say to which of several parents it belongs."""
        return any(one.is_ambiguous(rows) for one in self.slices)

    def one_by_one(self) -> tuple[Partition, ...]:
        """The same rows with one parent each, in which none is ambiguous."""
        return self._in_turn(product(*(one.one_by_one() for one in self.slices)))

    @property
    def is_one_of_many(self) -> bool:
        """Whether there may be thousands of the kind, of which many have no rows."""
        return any(one.is_one_of_many for one in self.slices)

    # Where it is refused

    @property
    def can_be_left_out(self) -> bool:
        """Whether the others can be read without it, where the API refuses what it asks for."""
        return bool(self.slices)

    def is_gone(self, status: str) -> bool:
        """Whether a refusal says that what its rows belong to is not there (any more), and nothing of access."""
        belongs_to = [one.may_go for one in self.slices if not isinstance(one, Days)]
        return status in GONE and bool(belongs_to) and all(belongs_to)

    def split(self) -> tuple[Partition, ...]:
        """Smaller ones to read instead, where it is refused, to find what exactly is; none where it is one already."""
        for index, one in enumerate(self.slices):
            if parts := one.split():
                return self._instead(index, parts)
        return ()

    # Where it takes too long

    @property
    def window(self) -> Days | None:
        """The days that it lists, None where it is not by days."""
        return next((one for one in self.slices if isinstance(one, Days)), None)

    @property
    def can_halve(self) -> bool:
        """Whether it can be split into shorter windows."""
        return self.window is not None and self.window.first < self.window.last

    def halves(self) -> tuple[Partition, ...]:
        """The same rows in two windows of half as many days."""
        window = self.window
        assert window is not None  # noqa: S101 (for the type checker)
        earlier, later = window.halves()
        first, second = self._instead(self.slices.index(window), (earlier, later))
        return replace(first, bookmark=min(self.bookmark, earlier.last.isoformat()) if self.bookmark else None), second

    def up_to(self, length: timedelta) -> list[Partition]:
        """The same rows in windows that are no longer."""
        if self.window is None or self.window.length <= length:
            return [self]
        return [partition for half in self.halves() for partition in half.up_to(length)]

    def _instead(self, index: int, parts: Iterable[Slice]) -> tuple[Partition, ...]:
        """The same with others in the place of one of its slices; the bookmark moves after the last."""
        before, after = self.slices[:index], self.slices[index + 1 :]
        return self._in_turn((*before, part, *after) for part in parts)

    def _in_turn(self, slices: Iterable[tuple[Slice, ...]]) -> tuple[Partition, ...]:
        partitions = [replace(self, slices=each, bookmark=None) for each in slices]
        return (*partitions[:-1], replace(partitions[-1], bookmark=self.bookmark))


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of a resource, made one by one as they are asked for.

    Attributes:
        resource: How it is read.
        scope: What its slices follow from.
        incremental: Whether only changes are asked for.
    """

    resource: Resource
    scope: Scope
    incremental: bool

    def __iter__(self) -> Iterator[Partition]:
        """Give the partitions in the order of their days."""
        changed_since = self._changed_since()
        whole = Partition(
            self.resource.path,
            tuple(self._always(changed_since)),
            filtered=not self.resource.is_one_listing or changed_since is not None,
        )
        slices = product(*(axis.slices(self.scope) for axis in self.resource.axes))
        partitions = (replace(whole, slices=one_of_each) for one_of_each in slices)
        for window, those in groupby(partitions, key=lambda partition: partition.window):
            if window is None:
                yield from those
            else:
                *before, last = those
                yield from before
                yield replace(last, bookmark=self._reached(window))

    def _reached(self, window: Days) -> str:
        return min(window.last, self.scope.sync.settled).isoformat()

    def _always(self, changed_since: date | None) -> Iterator[tuple[str, str]]:
        """What is asked for whatever the slices are, with the changes since a day."""
        resource, sync = self.resource, self.scope.sync
        for name, value in resource.always.items():
            values = texts(value) or self.scope.listed.parameters[name].values
            yield from ((name, one) for one in values)
        if resource.today:
            yield resource.today, sync.today.isoformat()
        if resource.since:
            yield resource.since, (sync.start or EPOCH).isoformat()
        if resource.changed_since and changed_since:
            yield resource.changed_since, changed_since.isoformat()

    def _changed_since(self) -> date | None:
        if not (self.resource.changed_since and self.incremental):
            return None
        sync = self.scope.sync
        return self.scope.before_bookmark(max(sync.lookback or 0, LEAST_LOOKBACK)) or sync.start
