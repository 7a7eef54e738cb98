"""Whole lines on standard output, whatever happens while they are written.

A run may be told to stop, or be ended, at any instant, also while the target is slow to read. A pipe takes at most
`PIPE_BUF` bytes in one piece, or as many as it can hold when it is empty (POSIX, `write`). So lines go out in such
pieces, none of which ends within a line, and between two pieces the run may end. Other systems than Linux do not tell
the writer how full a pipe is: there a run that is ended while its target stands still can cut its last line.
"""

from __future__ import annotations

import array
import fcntl
import io
import os
import select
import stat
import sys
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL = 0.2
"""Seconds between two looks at whether the run is to end."""
_DRAINING = 0.002
"""Seconds between two looks at whether the pipe is empty."""


class Stdout:
    """Standard output, written to from the main thread only.

    Attributes:
        check: Called where no line is half written; raises to end the run.
    """

    def __init__(self) -> None:
        """Begin with no reason to end."""
        self.check: Callable[[], None] = lambda: None

    def write(self, lines: bytes | bytearray) -> None:
        """Write whole lines.

        Args:
            lines: Their bytes, the last line's end included.

        Raises:
            BrokenPipeError: Nobody reads any more.
            OSError: It cannot be written, as when a disk is full.
        """
        try:
            descriptor = sys.stdout.fileno()
        except (AttributeError, io.UnsupportedOperation):  # Put in place by a test.
            sys.stdout.buffer.write(lines)
            return
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            self._into_pipe(descriptor, lines)
        else:
            _all_of(descriptor, memoryview(lines))

    def _into_pipe(self, descriptor: int, lines: bytes | bytearray) -> None:
        view, start, capacity = memoryview(lines), 0, _capacity(descriptor)
        while start < len(lines):
            self._wait_until_writable(descriptor)
            room = select.PIPE_BUF if _unread(descriptor) else capacity
            stop = lines.rfind(b"\n", start, start + room) + 1
            if not stop:
                self._wait_until_empty(descriptor)
                stop = lines.rfind(b"\n", start, start + capacity) + 1 or lines.find(b"\n", start) + 1 or len(lines)
            _all_of(descriptor, view[start:stop])
            start = stop

    def _wait_until_writable(self, descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        self.check()
        while not poll.poll(_POLL * 1000):
            self.check()

    def _wait_until_empty(self, descriptor: int) -> None:
        """A line that is longer than a piece waits for the whole pipe; only one longer than that can be cut."""
        while _unread(descriptor):
            self.check()
            time.sleep(_DRAINING)


def _all_of(descriptor: int, view: memoryview) -> None:
    # A signal ends a write early, and the rest is still to be written.
    while view:
        view = view[os.write(descriptor, view) :]


def _unread(descriptor: int) -> int:
    """Bytes that the target has not taken out of the pipe yet."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


def _capacity(descriptor: int) -> int:
    """Bytes that the pipe holds; where the system does not say, what each holds at least."""
    get_size = getattr(fcntl, "F_GETPIPE_SZ", None)
    return fcntl.fcntl(descriptor, get_size) if get_size is not None else select.PIPE_BUF
