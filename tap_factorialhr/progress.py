"""What a person sees of a long run, on stderr: how far it is, and at the end what each stream took.

A live bar where stderr is a terminal, else a line every few seconds and one per stream. Names, counts and times only.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from singer_sdk.metrics import Metric, Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

logger = logging.getLogger("tap-factorialhr")

INTERVAL = 5.0
"""Seconds between two lines about the same stream in a log."""
_WORTH_A_RATE = 0.5
"""Seconds from which on rows per second say anything."""


@dataclass(slots=True)
class StreamProgress:
    """How far one stream is.

    Attributes:
        name: The stream's name.
        rows: Rows written.
        total: Rows in all, None where nobody knows beforehand.
        seconds: How long its turn took; None while it lasts.
        outcome: Why it was not read to its end, empty otherwise.
        began: When its turn began, on the clock `time.monotonic`.
    """

    name: str
    rows: int = 0
    total: int | None = None
    seconds: float | None = None
    outcome: str = ""
    began: float = 0.0

    def __str__(self) -> str:
        """One line, such as ``teams: 1,200 of 4,800 rows, 600 rows/s, 6 s left``."""
        seconds = self.seconds if self.seconds is not None else monotonic() - self.began
        speed = self.rows / seconds if seconds else 0.0
        if self.seconds is not None:
            how_fast = f", {speed:,.0f} rows/s" if seconds >= _WORTH_A_RATE else ""
            return f"{self.name}: {self.rows:,} row{'' if self.rows == 1 else 's'} in {seconds:.1f} s{how_fast}"
        of_all = f" of {self.total:,}" if self.total else ""
        left = f", {max(self.total - self.rows, 0) / speed:,.0f} s left" if self.total and speed else ""
        return f"{self.name}: {self.rows:,}{of_all} rows, {speed:,.0f} rows/s{left}"


class Progress:
    """The progress of all streams, told as it goes."""

    def __init__(self) -> None:
        """Begin with no stream, telling nothing."""
        self.streams: dict[str, StreamProgress] = {}
        self._shown = _Lines()
        self._closing = ExitStack()

    def start(self, streams: int) -> None:
        """Show a live bar, where there is a terminal to show it on; ``streams`` is how many are to be read."""
        if sys.stderr.isatty():
            self._shown = self._closing.enter_context(_bars(streams))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._closing.close()

    @contextmanager
    def turn_of(self, stream: str) -> Iterator[None]:
        """The stream is read for as long as this lasts."""
        current = self.streams[stream] = StreamProgress(stream, began=monotonic())
        self._shown.begin(current)
        try:
            yield
        except BaseException:
            current.outcome = "not finished"
            raise
        finally:
            current.seconds = monotonic() - current.began
            self._shown.end(current)

    def expect(self, stream: str, total: int | None) -> None:
        """Note how many rows there are in all, if that is known."""
        if current := self.streams.get(stream):
            current.total = total

    def advance(self, stream: str, rows: int) -> None:
        """Count rows that have been written."""
        if current := self.streams.get(stream):
            current.rows += rows
            self._shown.advance(current)

    def give_up(self, stream: str, reason: str) -> None:
        """Note why a stream was not read to its end."""
        if current := self.streams.get(stream):
            current.outcome = reason


class _Lines:
    """For a log: a line about a stream every few seconds, and one at its end."""

    def __init__(self) -> None:
        self._said = 0.0

    def begin(self, current: StreamProgress) -> None:
        self._said = current.began

    def advance(self, current: StreamProgress) -> None:
        if monotonic() - self._said >= INTERVAL:
            self._said = monotonic()
            logger.info("%s", str(current))

    def end(self, current: StreamProgress) -> None:
        if not current.outcome:
            logger.info("%s", str(current))


class _Bars(_Lines):
    """For a terminal: a bar for the stream whose turn it is, and one for all of them."""

    def __init__(self, bars: Bars, streams: int) -> None:
        super().__init__()
        self._bars = bars
        self._all = bars.add_task("all streams", total=streams, told="")
        self._task: TaskID | None = None

    def begin(self, current: StreamProgress) -> None:
        self._task = self._bars.add_task(current.name, total=None, told="")

    def advance(self, current: StreamProgress) -> None:
        if self._task is not None:
            told = str(current).partition(": ")[2]
            self._bars.update(self._task, completed=current.rows, total=current.total, told=told)

    def end(self, current: StreamProgress) -> None:
        super().end(current)
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._bars.advance(self._all)


@contextmanager
def _bars(streams: int) -> Iterator[_Bars]:
    """Bars at the foot of the terminal, with log lines passing above them."""
    from rich.console import Console  # noqa: PLC0415 (costs time, and only a terminal needs it)
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    terminal = sys.stderr
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is terminal
    ]
    with Bars(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        for handler in handlers:
            handler.setStream(sys.stderr)  # rich's, which draws the bars anew below each line
        try:
            yield _Bars(bars, streams)
        finally:
            for handler in handlers:
                handler.setStream(terminal)


def points(
    streams: Iterable[StreamProgress], requests: Mapping[str, int], retries: Mapping[str, int]
) -> Iterator[Point[int]]:
    """The table at the end of a run for programs, as metrics of the SDK: one for each stream.

    Args:
        streams: As for `summary`.
        requests: As for `summary`.
        retries: As for `summary`.

    Yields:
        The metric ``http_request_count``, with all the rest of a line of the table as its tags: ``rows``, ``retries``,
        ``seconds``, ``outcome`` (``read``, or the beginning of what the table says, such as ``skipped``, ``failed``,
        ``without a part``, ``not finished`` or ``not written``) and ``reason``, which is empty where there is none.
    """
    of_streams = {one.name: one for one in streams}
    for name in dict.fromkeys((*of_streams, *requests)):
        one = of_streams.get(name)
        outcome, _, reason = (one.outcome if one else "not written").partition(", ")
        tags = {
            "stream": name,
            "rows": one.rows if one else 0,
            "retries": retries.get(name, 0),
            "seconds": round(one.seconds or 0.0, 3) if one else 0.0,
            "outcome": outcome or "read",
            "reason": reason,
            "pid": os.getpid(),
        }
        yield Point("counter", Metric.HTTP_REQUEST_COUNT, requests.get(name, 0), tags)


def summary(streams: Iterable[StreamProgress], requests: Mapping[str, int], retries: Mapping[str, int]) -> str:
    """The table at the end of a run.

    Args:
        streams: The streams that had their turn.
        requests: Requests sent, by stream; those for the keys of a parent count for the parent's stream, and those
            sent ahead for a stream whose turn never came are shown as well.
        retries: Those of them that were sent again.

    Returns:
        Its lines, with a line for all streams at the end.
    """
    of_streams = {one.name: one for one in streams}
    lines = [("stream", "rows", "requests", "retries", "seconds", "")]
    for name in dict.fromkeys((*of_streams, *requests)):
        one = of_streams.get(name)
        lines.append(
            (
                name,
                f"{one.rows:,}" if one else "",
                f"{requests.get(name, 0):,}",
                f"{retries.get(name, 0):,}",
                f"{one.seconds or 0.0:.1f}" if one else "",
                one.outcome if one else "not written",
            )
        )
    lines.append(
        (
            "1 stream" if len(of_streams) == 1 else f"{len(of_streams)} streams",
            f"{sum(one.rows for one in of_streams.values()):,}",
            f"{sum(requests.values()):,}",
            f"{sum(retries.values()):,}",
            f"{sum(one.seconds or 0.0 for one in of_streams.values()):.1f}",
            "",
        )
    )
    # Not rich's: to import it for this alone would take as long as to read 3,000 rows.
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *map(str.rjust, numbers, widths), outcome]).rstrip()
        for name, *numbers, outcome in lines
    )
