"""The file that keeps the OAuth session from one run to the next: its lock and its permissions."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from tap_factorialhr.errors import ConfigError, NoRoomError, SessionError
from tap_factorialhr.session_document import holds_secrets
from tap_factorialhr.whole_writes import Writer, writer

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tap-factorialhr")

_OWNER_ONLY = 0o600
_OTHERS = 0o077
_LARGEST_FILE = 1 << 20
_POLL = 0.05
"""Seconds between two looks at a lock."""


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
        self._lock_seconds = lock_seconds
        self._held: Writer | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"token_file {self._path}"

    @property
    def absence(self) -> str:
        """What messages say where there is no file."""
        return f"{self.name} does not exist"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process from this file.

        Raises:
            SessionError: When the lock cannot be made, or another process does not let go of it in time.
        """
        deadline = time.monotonic() + self._lock_seconds
        with self._lock_beside(), self._lock_of_file(deadline):
            yield

    @contextlib.contextmanager
    def _lock_beside(self) -> Iterator[None]:
        """The lock that holds for all who see the same directory: the file itself is another one after each write."""
        if not self._path.parent.is_dir():
            # The lock would make the directory, open to others, and a mistyped path would go unnoticed.
            raise SessionError(f"{self.name}: its directory must exist and be writable")
        lock = filelock.FileLock(self._lock_path, timeout=self._lock_seconds, mode=_OWNER_ONLY)
        try:
            # Here, since some places refuse files in a way that is taken for a lock that somebody holds.
            os.close(os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_ONLY))
        except OSError as error:
            if error.errno == errno.EROFS and self._path.exists():
                yield  # Nobody can replace the file there, so the lock of the file itself does.
                return
            raise self._no_lock(error) from None
        try:
            lock.acquire()
        except filelock.Timeout:
            raise self._held_by_another() from None
        except (OSError, NotImplementedError, RuntimeError) as error:
            raise self._no_lock(error) from None
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _lock_of_file(self, deadline: float) -> Iterator[None]:
        """The lock that holds for all who see the same file, where it is mounted in several directories."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # There is none yet, or none that can be used, which reading it tells.
            yield
            return
        try:
            while not _is_locked(descriptor):
                if time.monotonic() > deadline:
                    raise self._held_by_another()
                time.sleep(_POLL)
            yield
        finally:
            os.close(descriptor)

    def _no_lock(self, error: Exception) -> SessionError:
        message = f"{self.name}: the lock {self._lock_path.name} cannot be made there ({_reason(error)})"
        return SessionError(f"{message}. The directory must exist and be writable")

    def _held_by_another(self) -> SessionError:
        return SessionError(
            f"another process has held the lock {self._lock_path} for over {self._lock_seconds:.0f} "
            "seconds. Wait for it or end it, then run again"
        )

    def read(self) -> bytes | None:
        """The file's content; a session that was open to others is closed to them. None without a file.

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
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(_LARGEST_FILE + 1)
            # Not before it is looked at: a mistyped path may be that of a file that others are to read.
            if status.st_mode & _OTHERS and len(content) <= _LARGEST_FILE and holds_secrets(content):
                self._close_to_others(descriptor)
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
        logger.warning("%s was open to other users; it is now its owner's alone (mode 0600)", self.name)

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """Try what `write` does, and hold all that it needs (room on the disk, descriptors) until the block ends.

        Raises:
            NoRoomError: It cannot be written.
        """
        try:
            held = writer(self._path)
        except OSError as error:
            message = f"{self.name} cannot be written ({_reason(error)}), so that new tokens could not be kept"
            raise NoRoomError(f"{message}. Its directory must be writable, and have room") from None
        self._held = held
        try:
            yield
        finally:
            self._held = None
            held.close()

    def write(self, content: bytes) -> None:
        """Put something into the file, whole or not at all, for its owner alone.

        Raises:
            SessionError: When it cannot be written.
        """
        if self._held is None:
            with self.room():
                self.write(content)
            return
        try:
            self._held.write(content)
        except OSError as error:
            raise SessionError(f"{self.name} cannot be written ({_reason(error)})") from None


def _is_locked(descriptor: int) -> bool:
    """Whether the lock of an open file is ours now; a file that cannot be locked is left to the lock beside it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


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
