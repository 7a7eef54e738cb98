"""The OAuth session as a value, and the file that keeps it from one run to the next.

The file is JSON with the keys of the `factorialhr` Python client (see `KEYS`), so that either program goes on
where the other one stopped. Two more keys are ours, and the other client reads past them: `expires_in` (in
seconds) and `made_from` (a SHA-256 of the refresh token in the settings that the file was made from). Keys
that neither program knows stay where they are.

A refresh token serves once (API notes, section Authentication). So whoever renews holds a lock beside the
file, reads the file again under it, and has the new tokens on disk before the first of them is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import math
import os
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import filelock

from tap_factorialhr.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOGGER = logging.getLogger(__name__)

KEYS = (
    "refresh_token",
    "client_id",
    "client_secret",
    "access_token",
    "token_type",
    "created_at",
    "target_url",
)
"""What a token file has to hold; the `factorialhr` client reads and writes exactly these."""

ACCESS_TOKEN_SECONDS = 3600.0
"""How long an access token lives when nobody says (API notes: the prose says an hour)."""
REFRESH_TOKEN_SECONDS = 7 * 24 * 3600.0
"""How long a refresh token lives (API notes: a week)."""
LEEWAY_SECONDS = 60.0
"""How long before its end an access token is renewed; a short-lived one, a tenth of its life before."""

LOG_IN_AGAIN = (
    "To log in again, authorise the OAuth application in Factorial once more, exchange the code for tokens "
    "and put the new refresh_token into the settings (docs/authentication.md)"
)

_OWNER_ONLY = 0o600
_OTHERS = 0o077
_LARGEST_FILE = 1 << 20
_ROOM = 1 << 16
"""Bytes that must be free beside the token file: far more than a session needs."""
# RFC 6749, appendix A: visible ASCII, and spaces inside. Anything else would break a header, and the error of
# the library that sends the header would show the value.
_SECRET = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TOKEN_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def is_secret_text(value: object) -> bool:
    """Whether a value can be a key, a token, an id or a secret: visible ASCII, no space at either end."""
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


def is_token_type(value: object) -> bool:
    """Whether a value can stand before the token in the `Authorization` header."""
    return isinstance(value, str) and _TOKEN_TYPE.fullmatch(value) is not None


def seconds_or_none(value: object) -> float | None:
    """A lifetime in seconds from JSON (a number, or one in a string); `None` for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def moment_or_none(value: object) -> datetime | None:
    """A point in time in UTC from ISO 8601, taken as UTC without a zone; `None` for what cannot be one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class OAuthSession:
    """Everything that one OAuth login consists of at one point in time.

    Attributes:
        refresh_token: Buys the next session, once.
        client_id: The OAuth application's id.
        client_secret: The OAuth application's secret.
        access_token: What requests carry; empty when there is none yet.
        token_type: Stands before the access token in the header.
        created_at: When the tokens were made, in UTC; `None` when nobody knows (they came from the settings).
        expires_in: Lifetime of the access token in seconds; `None` when nobody said.
    """

    refresh_token: str
    client_id: str
    client_secret: str
    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105 - the scheme, no secret
    created_at: datetime | None = None
    expires_in: float | None = None

    def __repr__(self) -> str:
        """Say how old the session is, and nothing that opens a door."""
        return f"OAuthSession(created_at={self.created_at}, expires_in={self.expires_in}, tokens=***)"

    @property
    def authorization(self) -> str:
        """The value of the `Authorization` header."""
        return f"{self.token_type} {self.access_token}"

    def is_stale(self, now: datetime) -> bool:
        """Whether the access token is missing, has run out or is about to.

        One of unknown age is good until the server says otherwise.
        """
        if not self.access_token:
            return True
        if self.created_at is None:
            return False
        lifetime = self.expires_in or ACCESS_TOKEN_SECONDS
        # A tenth, so that a token of two seconds is used at all.
        return (now - self.created_at).total_seconds() >= lifetime - min(LEEWAY_SECONDS, lifetime / 10)

    def is_over(self, now: datetime) -> bool:
        """Whether the refresh token is known to have run out."""
        return self.created_at is not None and (now - self.created_at).total_seconds() >= REFRESH_TOKEN_SECONDS


def digest(refresh_token: str) -> str:
    """What a token file says about the settings it was made from: enough to compare, useless otherwise."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


class TokenFile:
    """A session shared by runs and processes through one file.

    Args:
        path: Where the file is; `~` is the home directory. The lock lies beside it, as `<path>.lock`.
        base_url: The server that the tokens belong to; goes into the file as `target_url`.
        settings: The session that the settings describe, or `None` when the file stands alone.
        lock_seconds: How long to wait for another process that is renewing.

    Raises:
        ConfigError: When `path` cannot be the path of a file.
    """

    def __init__(self, path: str, *, base_url: str, settings: OAuthSession | None, lock_seconds: float) -> None:
        self._path = _usable_path(path)
        self._lock_path = self._path.with_name(self._path.name + ".lock")
        self._spare_path = self._path.with_name(self._path.name + ".tmp")
        self._base_url = base_url.rstrip("/")
        self._settings = settings
        self._lock_seconds = lock_seconds
        self._made_from = digest(settings.refresh_token) if settings else None
        self._unknown_keys: dict[str, Any] = {}
        self._untried: OAuthSession | None = None
        self._has_adopted = False

    def open(self) -> OAuthSession:
        """The session to begin with: the file's, or else the settings', which are then in the file.

        Raises:
            ConfigError: When there is neither a file nor a refresh token in the settings.
            SessionError: When the file cannot be used, or could not be written later on.
        """
        with self.exclusive():
            document = self._read()
            if document is not None and not self._settings_win(document):
                session = self._adopt(document)
                self.prepare()
                return session
            if self._settings is None:
                message = f"token_file {self._path} does not exist, and there is no refresh_token to make it from"
                raise ConfigError(f"{message}. {LOG_IN_AGAIN}")
            self._unknown_keys = _unknown(document or {})
            session = _with_date(self._settings)
            self.save(session)
            return session

    def load(self) -> OAuthSession | None:
        """The session as the file has it now; `None` when the file has gone.

        Raises:
            SessionError: When the file cannot be used any more.
        """
        document = self._read()
        return None if document is None else self._adopt(document)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process that uses this file from renewing meanwhile.

        Raises:
            SessionError: When the lock cannot be made, or another process does not let go of it in time.
        """
        if not self._path.parent.is_dir():
            # The lock would make the directory, open to others, and a mistyped path would go unnoticed.
            raise SessionError(f"token_file {self._path}: its directory must exist and be writable")
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
                f"token_file {self._path}: the lock {self._lock_path.name} cannot be made there "
                f"({_reason(error)}). The directory must exist and be writable"
            )
        if problem:
            raise SessionError(problem)
        try:
            yield
        finally:
            lock.release()

    def save(self, session: OAuthSession) -> None:
        """Put a session into the file, whole or not at all, for its owner alone. To be called under the lock.

        Raises:
            SessionError: When it cannot be written.
        """
        document = {**self._unknown_keys, **_document(session, self._base_url)}
        if session.expires_in is not None:
            seconds = float(session.expires_in)
            document["expires_in"] = int(seconds) if seconds.is_integer() else seconds
        if self._made_from is not None:
            document["made_from"] = self._made_from
        problem = None
        try:
            self._write(json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            problem = _reason(error)
        if problem:
            raise SessionError(f"token_file {self._path} cannot be written ({problem})")

    def _settings_win(self, document: Mapping[str, Any]) -> bool:
        """Whether the settings bring a login that this file does not come from."""
        if self._settings is None:
            return False
        made_from = document.get("made_from")
        if isinstance(made_from, str):
            return made_from != digest(self._settings.refresh_token)
        # Another client's file does not say what it was made from. Our refresh token may be its ancestor,
        # which is used up, so the file wins, unless it belongs to another application or has run out.
        if document.get("refresh_token") == self._settings.refresh_token:
            return False
        created_at = moment_or_none(document.get("created_at"))
        is_over = created_at is not None and datetime.now(UTC) - created_at >= timedelta(seconds=REFRESH_TOKEN_SECONDS)
        return is_over or document.get("client_id") != self._settings.client_id

    def _adopt(self, document: Mapping[str, Any]) -> OAuthSession:
        """Make a session of the file's content, and remember what else is in there."""
        session = self._session(document)
        self._unknown_keys = _unknown(document)
        made_from = document.get("made_from")
        if isinstance(made_from, str):
            self._made_from = made_from
        elif self._settings:
            self._made_from = digest(self._settings.refresh_token)
            if session.refresh_token != self._settings.refresh_token and not self._has_adopted:
                self._untried = self._settings
        self._has_adopted = True
        if self._settings and session.client_id == self._settings.client_id:
            # A secret that was mistyped or replaced is mended in the settings; the tokens stay the file's.
            session = dataclasses.replace(session, client_secret=self._settings.client_secret)
        return session

    def _session(self, document: Mapping[str, Any]) -> OAuthSession:
        if missing := [key for key in KEYS if key not in document]:
            raise self._unusable(f"lacks {', '.join(missing)}")
        wrong = [key for key in ("refresh_token", "client_id", "client_secret") if not is_secret_text(document[key])]
        if document["access_token"] != "" and not is_secret_text(document["access_token"]):
            wrong.append("access_token")
        if not is_token_type(document["token_type"]):
            wrong.append("token_type")
        if wrong:
            raise self._unusable(f"has something else than a string of visible characters in {', '.join(wrong)}")
        created_at = moment_or_none(document["created_at"])
        if created_at is None:
            raise self._unusable("has no ISO 8601 date and time in created_at")
        expires_in = seconds_or_none(document.get("expires_in"))
        if expires_in is None and document.get("expires_in") is not None:
            raise self._unusable("has no number of seconds in expires_in")
        self._check_server(document["target_url"])
        return OAuthSession(
            refresh_token=document["refresh_token"],
            client_id=document["client_id"],
            client_secret=document["client_secret"],
            access_token=document["access_token"],
            token_type=document["token_type"],
            created_at=created_at,
            expires_in=expires_in,
        )

    def _check_server(self, target_url: object) -> None:
        """Keep tokens from any other server. The other client writes no port, so the host alone counts."""
        host = _host(target_url)
        if host is None:
            raise self._unusable("has no URL in target_url")
        if host != _host(self._base_url):
            message = f"token_file {self._path} belongs to the host {host}, and base_url is {self._base_url}"
            raise SessionError(f"{message}. Use one token file per server, or set base_url to the server it is for")

    def _unusable(self, what: str) -> SessionError:
        advice = "Mend it, or move it away and set refresh_token, client_id and client_secret to have it made anew"
        return SessionError(f"token_file {self._path} {what}. {advice}")

    def _read(self) -> dict[str, Any] | None:
        """The file's content as an object, `None` without a file."""
        content = self._content()
        if content is None:
            return None
        if not content.strip():
            raise self._unusable("is empty")
        document = _parsed(content)
        if document is _NOT_JSON:
            raise self._unusable("is not valid JSON")
        if not isinstance(document, dict):
            raise self._unusable("holds JSON, but not an object")
        return document

    def _content(self) -> bytes | None:
        # O_NONBLOCK: a named pipe at this path must not hold the run up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                what = "is a symbolic link, which is not followed. Name the file itself"
                raise SessionError(f"token_file {self._path} {what}") from None
            raise SessionError(f"token_file {self._path} cannot be read ({_reason(error)})") from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SessionError(f"token_file {self._path} is no regular file")
            if status.st_mode & _OTHERS:
                self._close_to_others(descriptor)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise SessionError(f"token_file {self._path} cannot be read ({_reason(error)})") from None
        finally:
            os.close(descriptor)
        if len(content) > _LARGEST_FILE:
            raise self._unusable("is far too large for a session")
        return content

    def _close_to_others(self, descriptor: int) -> None:
        try:
            os.fchmod(descriptor, _OWNER_ONLY)
        except OSError as error:
            message = f"token_file {self._path} is open to other users, and that cannot be changed"
            raise SessionError(f"{message} ({_reason(error)}). It must belong to who runs the tap") from None
        LOGGER.warning("token_file %s was open to other users; it is now its owner's alone (mode 0600)", self._path)

    def fallback(self) -> OAuthSession | None:
        """The settings' login, where another program wrote the file and may have lost what it was made from.

        Such a file is used first, since the settings' token may be its ancestor, which is used up.
        """
        settings, self._untried = self._untried, None
        return None if settings is None else _with_date(settings)

    def prepare(self) -> None:
        """Find out whether new tokens could be kept, while no token hangs on it. To be called under the lock.

        Raises:
            SessionError: They could not.
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
            message = f"token_file {self._path} could not be written later on ({_reason(error)})"
            raise SessionError(f"{message}. Its directory must be writable, and have room") from None

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


_NOT_JSON = object()


def _parsed(content: bytes) -> object:
    # The error of the parser holds the whole text, so it must not be the context of another one.
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return _NOT_JSON
    return document


def _usable_path(path: str) -> Path:
    try:
        usable = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
        os.fsencode(usable)
    except (RuntimeError, ValueError):
        raise ConfigError("token_file is not the path of a file") from None
    if not usable.name or "\0" in path or path.endswith(os.sep):
        raise ConfigError("token_file is not the path of a file")
    return usable


def _unknown(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in {*KEYS, "expires_in", "made_from"}}


def _document(session: OAuthSession, base_url: str) -> dict[str, Any]:
    created_at = session.created_at or datetime.now(UTC)
    return {
        "refresh_token": session.refresh_token,
        "client_id": session.client_id,
        "client_secret": session.client_secret,
        "access_token": session.access_token,
        "token_type": session.token_type,
        "created_at": created_at.isoformat(),
        "target_url": base_url,
    }


def _with_date(session: OAuthSession) -> OAuthSession:
    """Date a session from the settings, since a file has to say when it was made.

    Without an access token it is dated an hour back, so that the other client too begins with a refresh.
    """
    age = 0.0 if session.access_token else ACCESS_TOKEN_SECONDS
    return dataclasses.replace(session, created_at=datetime.now(UTC) - timedelta(seconds=age))


def _host(url: object) -> str | None:
    if not isinstance(url, str):
        return None
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host if host and host.isprintable() else None


def _reason(error: Exception) -> str:
    """Why the system refused, in its own words, without the path that the message already has."""
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
