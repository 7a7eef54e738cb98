"""The file that keeps the OAuth session from one run to the next: its lock, whole writes, permissions."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from tap_factorialhr.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER = logging.getLogger(__name__)

_OWNER_ONLY = 0o600
_OTHERS = 0o077
_LARGEST_FILE = 1 << 20
_ROOM = 1 << 16
"""Bytes that must be free beside the token file: far more than a session needs."""


class TokenFile:
    """A place for one document that processes share through one file. The lock lies beside it, as `<path>.lock`.

    Args:
        path: Where the file is; `~` is the home directory.
        lock_seconds: How long to wait for another process that has it.

    Raises:
        ConfigError: When `path` cannot be the path of a file.
    """

    def __init__(self, path: str, *, lock_seconds: float) -> None:
        self._path = _usable_path(path)
        self._lock_path = self._path.with_name(self._path.name + ".lock")
        self._spare_path = self._path.with_name(self._path.name + ".tmp")
        self._lock_seconds = lock_seconds

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"token_file {self._path}"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process from this file.

        Raises:
            SessionError: When the lock cannot be made, or another process does not let go of it in time.
        """
        if not self._path.parent.is_dir():
            # The lock would make the directory, open to others, and a mistyped path would go unnoticed.
            raise SessionError(f"{self.name}: its directory must exist and be writable")
        lock = filelock.FileLock(self._lock_path, timeout=self._lock_seconds, mode=_OWNER_ONLY)
        problem = None
        try:
            lock.acquire()
        except filelock.Timeout:
            problem = (
                f"another process has held the lock {self._lock_path} for over {self._lock_seconds:.0f} "
                "seconds. Wait for it or end it, then run again"
            )
        except (OSError, NotImplementedError, RuntimeError) as error:
            problem = (
                f"{self.name}: the lock {self._lock_path.name} cannot be made there "
                f"({_reason(error)}). The directory must exist and be writable"
            )
        if problem:
            raise SessionError(problem)
        try:
            yield
        finally:
            lock.release()

    def read(self) -> bytes | None:
        """The file's content, closed to others where it was open to them; None without a file.

        Raises:
            SessionError: It cannot be read, or is no file that could be a session.
        """
        # O_NONBLOCK: a named pipe at this path must not hold the run up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise SessionError(
                    f"{self.name} is a symbolic link, which is not followed. Name the file itself"
                ) from None
            raise SessionError(f"{self.name} cannot be read ({_reason(error)})") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SessionError(f"{self.name} is no regular file")
            if status.st_mode & _OTHERS:
                self._close_to_others(descriptor)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise SessionError(f"{self.name} cannot be read ({_reason(error)})") from None
        finally:
            os.close(descriptor)
        if len(content) > _LARGEST_FILE:
            raise SessionError(f"{self.name} is far too large for a session. Name another file, or move it away")
        return content

    def _close_to_others(self, descriptor: int) -> None:
        try:
            os.fchmod(descriptor, _OWNER_ONLY)
        except OSError as error:
            message = f"{self.name} is open to other users, and that cannot be changed"
            raise SessionError(f"{message} ({_reason(error)}). It must belong to who runs the tap") from None
        LOGGER.warning("%s was open to other users; it is now its owner's alone (mode 0600)", self.name)

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """Find out whether something could be written, while no token hangs on it.

        Raises:
            SessionError: It could not.
        """
        try:
            try:
                with os.fdopen(self._open_spare(), "wb") as file:
                    file.write(bytes(_ROOM))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                self._spare_path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{self.name} could not be written later on ({_reason(error)})"
            raise SessionError(f"{message}. Its directory must be writable, and have room") from None
        yield

    def write(self, content: bytes) -> None:
        """Put something into the file, whole or not at all, for its owner alone.

        Raises:
            SessionError: When it cannot be written.
        """
        problem = None
        try:
            self._write(content)
        except OSError as error:
            problem = _reason(error)
        if problem:
            raise SessionError(f"{self.name} cannot be written ({problem})")

    def _write(self, content: bytes) -> None:
        descriptor = self._open_spare()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._spare_path.replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._spare_path.unlink()
            raise
        self._sync_directory()

    def _open_spare(self) -> int:
        """A new, empty file beside the token file.

        One that is there was left by a process that was killed as it wrote: only who has the lock writes.
        """
        with contextlib.suppress(FileNotFoundError):
            self._spare_path.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._spare_path, flags, _OWNER_ONLY)

    def _sync_directory(self) -> None:
        """Have the new name on disk too. Some file systems cannot; the file itself is written by then."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _usable_path(path: str) -> Path:
    try:
        usable = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
        os.fsencode(usable)
    except (RuntimeError, ValueError):
        raise ConfigError("token_file is not the path of a file") from None
    if not usable.name or "\0" in path or path.endswith(os.sep):
        raise ConfigError("token_file is not the path of a file")
    return usable


def _reason(error: Exception) -> str:
    """Why the system refused, in its own words, without the path that the message already has."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
