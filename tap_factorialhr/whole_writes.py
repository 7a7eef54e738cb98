"""Writing a small file whole or not at all, with all that this needs held from before on.

What is held (room on the disk, descriptors) is there when it is written, whatever happens to the machine meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

_OWNER_ONLY = 0o600
_ROOM = 1 << 16
"""Bytes that are held for a file that takes another's place: far more than a session needs."""
ROOM_IN_PLACE = 1 << 14
"""The same where a file is written in place; it is that long from then on."""


class Writer(Protocol):
    """What is held to write a file. What goes wrong is raised as `OSError`."""

    def write(self, content: bytes) -> None:
        """Writes the file, once; it is on the disk when this returns."""

    def close(self) -> None:
        """Lets go of what is held, and leaves nothing behind."""


def writer(path: Path) -> Writer:
    """Hold all that is needed to write a file, by a way that has just been tried.

    A second file beside it (``<path>.tmp``) takes its place. Where that cannot be, because the file is mounted by
    itself (as containers do, with a directory that may be read-only), it is written in place, by one write that is far
    too small to be cut in two.

    Args:
        path: The file, which need not be there. Nobody else may write it meanwhile.

    Returns:
        What to write with, and to close.

    Raises:
        OSError: It cannot be written.
    """
    try:
        replacing = _Replacing(path)
    except OSError as error:
        if error.errno == errno.EROFS and path.exists():
            return _InPlace(path)
        raise
    try:
        if replacing.works():
            return replacing
    except BaseException:
        replacing.close()
        raise
    replacing.close()
    return _InPlace(path)


class _Replacing:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._spare_path = path.with_name(path.name + ".tmp")
        self._directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._spare = self._new_spare()
        except BaseException:
            os.close(self._directory)
            raise

    def works(self) -> bool:
        """Try it with what is in the file already; whether it can be done, where only this way cannot."""
        content = _content(self._path)
        if content is not None:
            _write_all(self._spare, content)
            os.fsync(self._spare)
            if content != _content(self._path):  # A program that knows no lock: nothing to be tried on.
                raise OSError(errno.EAGAIN, "it is being written by another program")
            try:
                os.replace(self._spare_path, self._path)  # noqa: PTH105 (as it is done in the end)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return False
                raise
            os.close(self._spare)
            self._spare = -1
            self._spare = self._new_spare()
        _write_all(self._spare, bytes(_ROOM))
        os.fsync(self._spare)
        return True

    def write(self, content: bytes) -> None:
        os.lseek(self._spare, 0, os.SEEK_SET)
        _write_all(self._spare, content)
        os.ftruncate(self._spare, len(content))
        os.fsync(self._spare)
        os.replace(self._spare_path, self._path)  # noqa: PTH105
        # Have the new name on disk too. Some file systems cannot; the file itself is written by then.
        with contextlib.suppress(OSError):
            os.fsync(self._directory)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._spare_path.unlink()
        for descriptor in (self._spare, self._directory):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _new_spare(self) -> int:
        """A new, empty file. One that is there was left by a process that was killed as it wrote."""
        with contextlib.suppress(FileNotFoundError):
            self._spare_path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._spare_path, flags, _OWNER_ONLY)


class _InPlace:
    """Writes over what is there; what is left of it becomes spaces, which are nothing to JSON."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(self._file).st_size
            os.lseek(self._file, size, os.SEEK_SET)
            _write_all(self._file, b" " * (ROOM_IN_PLACE - size))
            os.fsync(self._file)
        except BaseException:
            os.close(self._file)
            raise

    def write(self, content: bytes) -> None:
        before = os.pread(self._file, os.fstat(self._file).st_size, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        _write_all(self._file, content.ljust(len(before.rstrip())))
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
