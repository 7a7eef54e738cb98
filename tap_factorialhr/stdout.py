"""Whole lines on standard output, whatever happens while they are written.

A run may be told to stop, or be ended, at any instant, also while the target is slow to read. A pipe takes at most
`PIPE_BUF` bytes in one piece, or as many as it can hold when it is empty (POSIX, `write`); a socket takes a part of its
buffer whenever it says that it can be written to, and more when it is empty. So lines go out in such pieces, none of
which ends within a line, and between two pieces the run may end. Other systems than Linux do not tell the writer how
full a pipe is: there a run that is ended while its target stands still can cut its last line.
"""

from __future__ import annotations

import array
import fcntl
import io
import os
import select
import socket
import stat
import sys
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_factorialhr.errors import FactorialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL = 0.2
"""Seconds between two looks at whether the run is to end."""
_DRAINING = 0.002
"""Seconds between two looks at whether what was written has been read."""


class UnwritableError(FactorialError):
    """Standard output takes no more."""


@contextmanager
def told(closed: str = "standard output was closed before all was written") -> Iterator[None]:
    """Tell in one line what keeps standard output from being written, as long as this lasts.

    Args:
        closed: What to say where nobody reads it any more.

    Raises:
        UnwritableError: Nobody reads it any more, or a disk is full.
    """
    try:
        yield
    except BrokenPipeError:
        # Told here, because click would end the process without a word.
        raise UnwritableError(closed) from None
    except OSError as error:
        raise UnwritableError(f"standard output cannot be written: {error.strerror or type(error).__name__}") from None


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
        if (channel := _channel(descriptor)) is not None:
            self._into(channel, lines)
        else:
            _all_of(descriptor, memoryview(lines))

    def _into(self, channel: _Channel, lines: bytes | bytearray) -> None:
        view, start = memoryview(lines), 0
        while start < len(lines):
            self._wait_until_writable(channel)
            room = channel.piece if channel.unread() else channel.capacity
            stop = lines.rfind(b"\n", start, start + room) + 1
            if not stop:
                self._wait_until_empty(channel)
                stop = lines.rfind(b"\n", start, start + channel.capacity) + 1
                stop = stop or lines.find(b"\n", start) + 1 or len(lines)
            _all_of(channel.descriptor, view[start:stop])
            start = stop

    def _wait_until_writable(self, channel: _Channel) -> None:
        poll = select.poll()
        poll.register(channel.descriptor, select.POLLOUT)
        self.check()
        while not poll.poll(_POLL * 1000):
            self.check()

    def _wait_until_empty(self, channel: _Channel) -> None:
        """A line that is longer than a piece waits until all is read; only one longer than that can be cut.

        Raises:
            BrokenPipeError: Nobody is there to read it.
        """
        poll = select.poll()
        poll.register(channel.descriptor, 0)  # For nothing but what is always told: that the other end is gone.
        while channel.unread():
            self.check()
            if poll.poll(_DRAINING * 1000):
                raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class _Channel:
    """A pipe or a socket.

    Attributes:
        descriptor: Its file descriptor.
        piece: Bytes that it takes at once whenever it can be written to.
        capacity: Bytes that it takes at once when it is empty.
        counter: The request, of `ioctl`, for the bytes that wait in it.
    """

    descriptor: int
    piece: int
    capacity: int
    counter: int

    def unread(self) -> int:
        """Bytes that the target has not taken out of it yet."""
        count = array.array("i", [0])
        fcntl.ioctl(self.descriptor, self.counter, count)
        return count[0]


def _channel(descriptor: int) -> _Channel | None:
    """What a descriptor is of, None where it takes all that is written (a file)."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode):
        get_size = getattr(fcntl, "F_GETPIPE_SZ", None)  # Where the system does not say, what each holds at least.
        capacity = fcntl.fcntl(descriptor, get_size) if get_size is not None else select.PIPE_BUF
        return _Channel(descriptor, select.PIPE_BUF, capacity, termios.FIONREAD)
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(descriptor)) as one:
            buffer = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        # Half of the buffer is for the system's own records of what is in it (socket(7)), and it can be written to
        # when at least a quarter is free.
        return _Channel(descriptor, buffer // 8, buffer // 2, termios.TIOCOUTQ)
    return None


def _all_of(descriptor: int, view: memoryview) -> None:
    # A signal ends a write early, and the rest is still to be written.
    while view:
        view = view[os.write(descriptor, view) :]
