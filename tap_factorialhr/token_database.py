"""The row of a PostgreSQL table that keeps the OAuth session, for machines that share nothing else.

Whoever has the row locked may renew; a process that dies lets go. Nothing that is raised shows a part of the URL.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from typing import TYPE_CHECKING, TypeVar

from tap_factorialhr.errors import ConfigError, NoRoomError, PlaceLostError, SessionError
from tap_factorialhr.watchdog import watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    import psycopg

    T = TypeVar("T")

TABLE = "factorialhr_sessions"
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    name text PRIMARY KEY,
    document text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now()
)"""
_LOCK = f"SELECT document FROM {TABLE} WHERE name = %s FOR UPDATE"  # noqa: S608 (the table's name is ours)
_INSERT = f"INSERT INTO {TABLE} (name) VALUES (%s) ON CONFLICT DO NOTHING"  # noqa: S608
_UPDATE = f"UPDATE {TABLE} SET document = %s, changed_at = now() WHERE name = %s"  # noqa: S608
_ROOM = 1 << 16
"""Characters that are tried: far more than a session needs."""
_ANSWER_SECONDS = 30.0
"""How long the database may take for anything but waiting for the lock."""
_CONNECTION = {
    "connect_timeout": "10",
    "application_name": "tap-factorialhr",
    # A database that has gone without a word is noticed.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_KEEPALIVE = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""The same, of this machine, for the database."""
_UNLIMITED = """
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')"""
"""Of a transaction that waits for the row, and holds it as long as a token request takes: its limits are ours."""
_NOT_CHANGED = "no row was changed"
_REASONS = (
    (_NOT_CHANGED, "a policy or a trigger of the table keeps it as it is"),
    ("password", "the password was not accepted, or there is none"),
    ('column "', "the table there is another one than the tap makes"),
    ("does not exist", "there is no such database, role or schema"),
    ("translate host name", "its host is not known"),
    ("resolve host", "its host is not known"),
    ("refused", "nothing takes connections there"),
    ("invalid integer value", "an option in its URL is no number"),
    ("timeout", "it does not answer in time"),
    ("certificate", "its TLS certificate was not accepted"),
    ("permission denied", "the role may not use the table"),
    ("read-only", "it is read-only"),
    ("no space", "it has no room left"),
    ("too many", "it takes no more connections"),
)


class TokenDatabase:
    """A place for one document in a row of a table, which is made when it is missing.

    Args:
        url: The database, as `postgresql://...`.
        row: Which row it is.
        token_name: The same, where the settings name it; without it, the row is that of a client_id, which no message
            shows.
        lock_seconds: How long to wait for another process that has it.

    Raises:
        ConfigError: The URL cannot be one of a PostgreSQL, or psycopg is not installed.
    """

    name = "the session in token_database"

    def __init__(self, url: str, *, row: str, token_name: str | None, lock_seconds: float) -> None:
        self._driver = _driver()
        self._parameters = {**_CONNECTION, **_parameters(self._driver, url), "client_encoding": "UTF8"}
        self._row = row
        named = (
            f"the token_name {token_name} (is it spelt right?)"
            if token_name
            else "this client_id, and token_name is not set"
        )
        self.absence = f"{self.name} does not exist for {named}"
        self._lock_seconds = lock_seconds
        self._connection: _Connection | None = None
        self._content: str | None = None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process from this row.

        Raises:
            SessionError: When the database cannot be reached, or another process does not let go of the row in time.
        """
        outer = self._connection
        self._connection = connection = self._try("cannot be reached", self._connect)
        self._content = None
        try:
            self._lock()
            yield
        finally:
            self._connection = outer
            connection.close()  # What was not committed is undone.

    def read(self) -> bytes | None:
        """What is in the row; None where nothing is.

        Raises:
            SessionError: It cannot be read.
        """
        return self._lock().encode() or None

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        """Try the connection, the right to write and the room, in the transaction that the row is written in.

        Raises:
            NoRoomError: It cannot be written.
        """
        self._lock()
        try:
            self._try("cannot be written", self._try_to_write, NoRoomError)
        except NoRoomError as error:
            raise NoRoomError(f"{error}, so that new tokens could not be kept") from None
        yield

    def write(self, content: bytes) -> None:
        """Put something into the row.

        Raises:
            PlaceLostError: The database did not say that it has it.
        """
        self._try("cannot be written", lambda: self._write(content.decode()), PlaceLostError)

    def _connect(self) -> _Connection:
        # pgbouncer knows no prepared statements where it shares connections.
        database = self._driver.connect(**self._parameters, prepare_threshold=None)
        # With a snapshot of before, the row could not be locked once another process has written it.
        database.isolation_level = self._driver.IsolationLevel.READ_COMMITTED
        connection = _Connection(database)
        try:
            with connection.answering(_ANSWER_SECONDS) as database:
                if database.execute("SELECT to_regclass(%s)", (TABLE,)).fetchone() == (None,):
                    self._create(database)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, database: psycopg.Connection) -> None:
        errors = self._driver.errors
        try:
            database.execute(_CREATE)
            database.commit()
        except (errors.DuplicateObject, errors.DuplicateTable, errors.UniqueViolation):
            database.rollback()  # IF NOT EXISTS does not see what another process was making in this instant.

    def _lock(self) -> str:
        """Have the row locked, which each commit lets go of; what is in it."""
        if self._content is None:
            self._content = self._try("cannot be read", self._locked)
        return self._content

    def _locked(self) -> str:
        milliseconds = str(max(int(self._lock_seconds * 1000), 1))
        with self._connected.answering(self._lock_seconds + _ANSWER_SECONDS) as database:
            database.execute(_UNLIMITED)
            database.execute("SELECT set_config('lock_timeout', %s, true)", (milliseconds,))
            # So that the database lets go of the row where this machine has gone without a word.
            for name, value in _KEEPALIVE.items():
                database.execute("SELECT set_config(%s, %s, false)", (name, value))
            row = database.execute(_LOCK, (self._row,)).fetchone()
            if row is None:
                database.execute(_INSERT, (self._row,))
                row = database.execute(_LOCK, (self._row,)).fetchone()
        return str(row[0]) if row else ""

    def _try_to_write(self) -> None:
        with self._connected.answering(_ANSWER_SECONDS) as database, database.transaction():
            self._update(database, os.urandom(_ROOM // 2).hex())
            raise self._driver.Rollback

    def _write(self, content: str) -> None:
        with self._connected.answering(_ANSWER_SECONDS) as database:
            self._update(database, content)
            database.commit()
        self._content = None

    def _update(self, database: psycopg.Connection, content: str) -> None:
        if database.execute(_UPDATE, (content, self._row)).rowcount != 1:
            raise self._driver.DatabaseError(_NOT_CHANGED)

    @property
    def _connected(self) -> _Connection:
        assert self._connection is not None, "within exclusive()"  # noqa: S101 (for the type checker)
        return self._connection

    def _try(self, what: str, do: Callable[[], T], kind: type[SessionError] = SessionError) -> T:
        # Raised outside of the handler: the driver's error, which may name the user, is not to be its context.
        try:
            return do()
        except self._driver.errors.LockNotAvailable:
            message = f"another process has held {self.name} for over {self._lock_seconds:.0f} seconds"
            problem = SessionError(f"{message}. Wait for it or end it, then run again")
        except (self._driver.Error, OSError, UnicodeError) as error:  # The last is of a host that cannot be one.
            problem = kind(f"{self.name} {what} ({_reason(error)})")
        raise problem


class _Connection:
    """A connection that is shut down where the database does not answer in time."""

    def __init__(self, database: psycopg.Connection) -> None:
        self._database = database
        # From the beginning, since there may be no descriptors left later on.
        self._socket = socket.socket(fileno=os.dup(database.fileno()))

    @contextlib.contextmanager
    def answering(self, seconds: float) -> Iterator[psycopg.Connection]:
        """The connection, for something that may take so long."""
        with watching(self._socket, seconds):
            yield self._database

    def close(self) -> None:
        """Close it; what was not committed is undone."""
        self._database.close()
        self._socket.close()


def _driver() -> ModuleType:
    try:
        import psycopg  # noqa: PLC0415 (an extra, and not needed without this setting)
    except ImportError:
        raise ConfigError(
            "token_database needs psycopg, which is not installed; install tap-factorialhr[postgres]"
        ) from None
    # It logs what it cannot undo with the user and the host.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    return psycopg


def _parameters(driver: ModuleType, url: str) -> dict[str, str]:
    if re.match(r"postgres(ql)?://", url):
        with contextlib.suppress(driver.Error):
            parameters = dict(driver.conninfo.conninfo_to_dict(url))
            if re.fullmatch(r"[0-9,]*", parameters.get("port", "")):
                return parameters
    raise ConfigError("token_database is no URL of a PostgreSQL: postgresql://user:password@host/database")


def _reason(error: Exception) -> str:
    """Why the database refused, without its words, which may name the user or quote the URL."""
    text = str(error).lower()
    known = next((reason for part, reason in _REASONS if part in text), None)
    code = getattr(error, "sqlstate", None)
    return known or (f"SQLSTATE {code}" if code else "the connection failed")
