"""What became of the streams of a run: which were skipped, which failed, and what that makes of the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from singer_sdk import metrics

from tap_factorialhr.errors import FactorialError
from tap_factorialhr.progress import Progress, points, summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from tap_factorialhr.listing import LeftOut

logger = logging.getLogger("tap-factorialhr")


class Report:
    """The outcome of each stream, told as it goes and at the end.

    Attributes:
        progress: How far the streams are, for a person to see.
        skipped: Streams that these credentials cannot read, and why.
        failed: Streams that could not be read, and why.
        fails_at_once: Whether what these credentials cannot read ends the run.
    """

    def __init__(self, *, on_forbidden: str) -> None:
        """Begin with no outcome; ``on_forbidden`` is the setting of that name: ``skip`` or ``fail``."""
        self.progress = Progress()
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.fails_at_once = on_forbidden == "fail"

    def skip(self, stream: str, reason: str) -> None:
        """Go on without a stream that these credentials cannot read.

        Raises:
            FactorialError: ``on_forbidden`` is ``fail``.
        """
        if self.fails_at_once:
            raise FactorialError(
                f"{stream}: {reason}, these credentials cannot read it; deselect it, or set on_forbidden to skip"
            )
        logger.warning("%s: skipped, %s; these credentials cannot read it", stream, reason)
        self.skipped[stream] = reason
        self.progress.give_up(stream, f"skipped, {reason}")

    def leave_out(self, stream: str, left_out: LeftOut) -> None:
        """Go on although a part of a stream's rows could not be read.

        Args:
            stream: The stream.
            left_out: Which part.

        Raises:
            FactorialError: ``on_forbidden`` is ``fail``, and there is more to it than parents that have gone.
        """
        if self.fails_at_once and left_out.refused:
            raise FactorialError(
                f"{stream}: a part of its rows cannot be read ({left_out}); deselect it, or set on_forbidden to skip"
            )
        logger.warning("%s: without a part of its rows (%s)", stream, left_out)
        self.progress.give_up(stream, f"without a part, {left_out}")

    def doubt(self, stream: str, rows: int, total: int, *, parent: str | None = None) -> None:
        """Go on although fewer rows came than the server counts.

        Args:
            stream: The stream.
            rows: Those that came.
            total: Those that the server counts.
            parent: The parent whose rows they are, None where they are its own.
        """
        logger.warning(
            "%s: %d rows%s came where the server counts %d; these credentials may not see the others, or the server "
            "did not give them: nothing is dropped from its table",
            stream,
            rows,
            f" of its parent {parent}" if parent else "",
            total,
        )

    def fail(self, stream: str, reason: str) -> None:
        """Go on without a stream, and fail at the end."""
        told = reason if reason.startswith(f"{stream}: ") else f"{stream}: {reason}"
        logger.error("%s", told)
        self.failed[stream] = told
        self.progress.give_up(stream, "failed")

    def close(self, requests: Mapping[str, int], retries: Mapping[str, int]) -> None:
        """Tell what each stream took and what went wrong.

        Args:
            requests: Requests sent, by stream.
            retries: Those of them that were sent again.
        """
        self.progress.close()
        took = self.progress.streams.values(), requests, retries
        for point in points(*took):
            metrics.log(metrics.get_metrics_logger(), point)
        logger.info("\n%s", summary(*took))
        for stream, reason in self.skipped.items():
            logger.warning("skipped: %s (%s)", stream, reason)
        for reason in self.failed.values():
            logger.error("failed: %s", reason)

    def conclude(self, asked_for: AbstractSet[str]) -> None:
        """Judge the run.

        Args:
            asked_for: The streams that were to be read, and that had something to read.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        if self.failed:
            count = f"{len(self.failed)} streams" if len(self.failed) > 1 else "1 stream"
            raise FactorialError(f"{count} failed, the first: {next(iter(self.failed.values()))}")
        if asked_for and self.skipped.keys() >= asked_for:
            raise FactorialError(
                "not one selected stream could be read; check what the credentials may see, and base_url"
            )
