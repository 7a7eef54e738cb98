"""The four ways in: API key, access token, refresh token, refresh token kept in a file.

`make_authenticator` reads the settings and says which way it is; the tap holds the one authenticator it gets.
All facts about headers, the token request and lifetimes are from the API notes, section Authentication.

A refresh token serves once, so the token request is the one request that must never be repeated blindly: when
its answer is lost, the old token may be dead and the new one unknown. That logic is in
`RefreshTokenAuthenticator`, once, whether the session lives in memory or in a file (`TokenStore`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
import time
from abc import abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from singer_sdk.authenticators import APIAuthenticatorBase

from tap_factorialhr.errors import ConfigError, SessionError
from tap_factorialhr.token_file import (
    LOG_IN_AGAIN,
    OAuthSession,
    TokenFile,
    is_secret_text,
    is_token_type,
    moment_or_none,
    seconds_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

LOGGER = logging.getLogger(__name__)

SETTINGS = ("api_key", "access_token", "refresh_token", "client_id", "client_secret", "token_file")
"""The settings that decide on the way in; `token_type` only goes with them."""

RETRY_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
_LARGEST_ANSWER = 1 << 20
_CLOCK_TOLERANCE_SECONDS = 60.0
_EARLY_STATUSES = frozenset({requests.codes.request_timeout, 425})
_WAYS = (
    "api_key; or access_token; or refresh_token with client_id and client_secret (and a token_file to keep "
    "the session in); or a token_file that exists"
)


class FactorialAuthenticator(APIAuthenticatorBase):
    """Puts credentials on requests to one server, and on no others.

    Args:
        base_url: The server that the credentials are for.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._origin = _origin(_as_sent(base_url))

    def authenticate_request(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the credentials on a request, in place.

        Args:
            request: The prepared request; its URL must be on the server of `base_url`.

        Returns:
            The same request.

        Raises:
            SessionError: When the request goes to another server, or the session cannot be renewed.
        """
        if _origin(request.url or "") != self._origin:
            raise SessionError("A request to another server than base_url was stopped: it would carry the credentials")
        name, value = self._header()
        request.headers[name] = value
        return request

    def renew(self, rejected: requests.PreparedRequest) -> bool:  # noqa: ARG002 - for those that can renew
        """After a 401, get other credentials than the rejected request carried, if there are any.

        Args:
            rejected: The request that was answered with 401.

        Returns:
            True when it is worth sending the request again, once.

        Raises:
            SessionError: When there should be new credentials but they cannot be had.
        """
        return False

    def settle(self, seconds: float) -> None:
        """At the end of a run: begin no renewal any more, and see one that is under way to its end.

        Args:
            seconds: How long to wait for that at the most.
        """

    @abstractmethod
    def _header(self) -> tuple[str, str]:
        """Name and value of the header that carries the credentials."""


class ApiKeyAuthenticator(FactorialAuthenticator):
    """An API key, in the header `x-api-key` (as a Bearer token it would get a 401)."""

    def __init__(self, base_url: str, api_key: str) -> None:
        super().__init__(base_url)
        self._api_key = api_key

    def _header(self) -> tuple[str, str]:
        return "x-api-key", self._api_key


class AccessTokenAuthenticator(FactorialAuthenticator):
    """An access token, used as it is until it runs out."""

    def __init__(self, base_url: str, access_token: str, token_type: str) -> None:
        super().__init__(base_url)
        self._authorization = f"{token_type} {access_token}"

    def _header(self) -> tuple[str, str]:
        return "Authorization", self._authorization


class TokenStore(Protocol):
    """Where the session is kept, and who may renew it."""

    def open(self) -> OAuthSession:
        """The session to begin with."""

    def load(self) -> OAuthSession | None:
        """The session as it is kept now; `None` when nothing is kept."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keeps everybody else who shares the session from renewing it."""

    def fallback(self) -> OAuthSession | None:
        """The settings' login, where the one that is kept may not come from it; each is given once."""

    def prepare(self) -> None:
        """Makes sure, as far as that goes, that a new session could be kept."""

    def save(self, session: OAuthSession) -> None:
        """Keeps a new session; when this returns, it will not be lost."""


class TokenMemory:
    """A session that nobody else shares and that ends with the run."""

    def __init__(self, session: OAuthSession) -> None:
        self._session = session

    def open(self) -> OAuthSession:
        """The session of the settings."""
        return self._session

    def load(self) -> OAuthSession | None:
        """The latest session."""
        return self._session

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else can renew this session."""
        yield

    def fallback(self) -> OAuthSession | None:
        """There is no other login."""
        return None

    def prepare(self) -> None:
        """There is always room for one session."""

    def save(self, session: OAuthSession) -> None:
        """Remember the session until the end of the run."""
        self._session = session


class RefreshTokenAuthenticator(FactorialAuthenticator):
    """An OAuth session, renewed when it is about to run out and after a 401.

    Threads renew it once between them, and so do processes that share a token file.

    Args:
        base_url: The server, whose `/oauth/token` renews the session.
        store: Where the session is kept.
        session: The HTTP session for the token request.
        timeout: Seconds to wait for a connection and for each part of the answer.

    Raises:
        SessionError: When the stored session cannot be used.
        ConfigError: When there is no session to begin with.
    """

    def __init__(
        self, base_url: str, store: TokenStore, *, session: requests.Session, timeout: tuple[float, float]
    ) -> None:
        super().__init__(base_url)
        self._client = TokenClient(base_url, session=session, timeout=timeout)
        self._store = store
        self._lock = threading.Lock()
        self._failure: str | None = None
        self._current = store.open()
        _check_age(self._current)

    def renew(self, rejected: requests.PreparedRequest) -> bool:
        """After a 401, renew the session, unless that has happened since the request was sent.

        Args:
            rejected: The request that was answered with 401.

        Returns:
            True: there are other credentials now.

        Raises:
            SessionError: When the session cannot be renewed.
        """
        with self._lock:
            if rejected.headers.get("Authorization") == self._current.authorization:
                self._replace_current()
        return True

    def settle(self, seconds: float) -> None:
        """Let a renewal that is under way come to its end, since the server has used up the old tokens by then."""
        if self._lock.acquire(timeout=max(seconds, 0.0)):
            self._failure = self._failure or "The run is over"
            self._lock.release()

    def _header(self) -> tuple[str, str]:
        # Without the lock: one reference is read, and most requests find it fresh.
        current = self._current
        if self._failure or current.is_stale(datetime.now(UTC)):
            with self._lock:
                if self._failure or self._current.is_stale(datetime.now(UTC)):
                    self._replace_current()
                current = self._current
        return "Authorization", current.authorization

    def _replace_current(self) -> None:
        """Get another session than the current one, or fail now and for the rest of the run."""
        if self._failure:
            # A token that was refused or lost is not offered again, whatever other threads ask for.
            raise SessionError(self._failure)
        try:
            self._current = self._another_than(self._current)
        except SessionError as error:
            self._failure = str(error)
            raise

    def _another_than(self, stale: OAuthSession) -> OAuthSession:
        with self._store.exclusive():
            kept = self._store.load() or stale
            if kept.authorization != stale.authorization and not kept.is_stale(datetime.now(UTC)):
                return kept
            return self._refreshed(kept)

    def _refreshed(self, current: OAuthSession) -> OAuthSession:
        """Renew, in two tries at most. To be called with the store to ourselves."""
        was_lost = False
        failure = _Failure("")
        for is_last in (False, True):
            _check_age(current)
            self._store.prepare()
            outcome = self._client.refresh(current)
            if isinstance(outcome, OAuthSession):
                self._keep(outcome)
                return outcome
            failure = outcome
            was_lost = was_lost or outcome.is_lost
            # A program that does not know our lock may have renewed meanwhile.
            kept = self._store.load()
            if kept and kept.refresh_token != current.refresh_token:
                if not kept.is_stale(datetime.now(UTC)):
                    return kept
                current, was_lost = kept, False
            elif outcome.is_refused and (other := self._store.fallback()):
                current, was_lost = other, False
                continue
            elif not outcome.is_worth_a_try:
                break
            if not is_last:
                LOGGER.warning("Renewing the session: %s; trying once more", outcome.what)
                time.sleep(max(outcome.pause, RETRY_PAUSE_SECONDS))
        raise SessionError(_farewell(failure, was_lost=was_lost))

    def _keep(self, session: OAuthSession) -> None:
        try:
            self._store.save(session)
        except SessionError as error:
            message = f"{error}, so the new tokens would be lost and the run ends. The old ones are used up"
            raise SessionError(f"{message}. Make the place writable. {LOG_IN_AGAIN}") from None
        LOGGER.info("The session was renewed")


@dataclasses.dataclass(frozen=True, slots=True)
class _Failure:
    """Why there are no new tokens.

    Attributes:
        what: What happened, without a full stop.
        advice: What to do about it, when it is certain.
        is_lost: The server may have renewed the session, and we do not have the tokens.
        is_worth_a_try: Asking again may help.
        is_refused: The refresh token is of no use, and another one may be.
        pause: Seconds to wait before that, where the server said so.
    """

    what: str
    advice: str = ""
    is_lost: bool = False
    is_worth_a_try: bool = False
    is_refused: bool = False
    pause: float = 0.0


class TokenClient:
    """Sends the token request: the only request of the tap that is not a GET.

    Args:
        base_url: The server.
        session: The HTTP session to send with.
        timeout: Seconds to wait for a connection and for each part of the answer.
    """

    def __init__(self, base_url: str, *, session: requests.Session, timeout: tuple[float, float]) -> None:
        self._url = f"{base_url.rstrip('/')}/oauth/token"
        self._session = session
        self._timeout = timeout

    def refresh(self, current: OAuthSession) -> OAuthSession | _Failure:
        """Ask once for new tokens.

        Args:
            current: The session whose refresh token is handed in.

        Returns:
            The new session, or why there is none.
        """
        form = {
            "grant_type": "refresh_token",
            "client_id": current.client_id,
            "client_secret": current.client_secret,
            "refresh_token": current.refresh_token,
        }
        sent_at = datetime.now(UTC)
        # No exception of `requests` gets out of here: it carries the request, and that the secrets.
        try:
            with self._session.post(
                self._url,
                data=form,
                headers={"Accept": "application/json"},
                auth=_no_auth,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = _body(response, self._timeout[1])
                status = response.status_code
                pause = response.headers.get("Retry-After", "")
        except requests.RequestException as error:
            return _no_answer(error)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return _Failure(f"the answer was cut off ({type(error).__name__})", is_lost=True, is_worth_a_try=True)
        if body is None:
            return _Failure("the token endpoint's answer does not end", is_lost=True)
        answer = _object(body)
        if status != requests.codes.ok:
            return _refused(status, answer, pause)
        return _session(answer, current, sent_at)


def make_authenticator(
    config: Mapping[str, Any],
    *,
    session: requests.Session,
    base_url: str,
    timeout: tuple[float, float],
) -> FactorialAuthenticator:
    """The one way in that the settings describe. Sends nothing.

    Args:
        config: The tap's settings; read are those in `SETTINGS` and `token_type`.
        session: The HTTP session for the token request.
        base_url: The server that the credentials are for.
        timeout: Seconds to wait for a connection, and for each part of the answer to the token request.

    Returns:
        The authenticator.

    Raises:
        ConfigError: When the settings describe no way in, or more than one, or half of one.
        SessionError: When the token file cannot be used, or its refresh token is too old.
    """
    given = {name: config[name] for name in SETTINGS if config.get(name) is not None}
    for name, value in given.items():
        _check_setting(name, value)
    token_type = config.get("token_type", "Bearer")
    if not is_token_type(token_type):
        raise ConfigError("token_type must be one word, such as Bearer")
    _check_mixture(given)
    if "api_key" in given:
        return ApiKeyAuthenticator(base_url, given["api_key"])
    if "refresh_token" not in given and "token_file" not in given:
        return AccessTokenAuthenticator(base_url, given["access_token"], token_type)
    store = _store(given, token_type, base_url=base_url, timeout=timeout)
    return RefreshTokenAuthenticator(base_url, store, session=session, timeout=timeout)


def _check_setting(name: str, value: object) -> None:
    if value == "":
        raise ConfigError(f"{name} is empty: give it a value or leave it out")
    if name == "token_file":
        if not isinstance(value, str):
            raise ConfigError("token_file must be the path of a file")
    elif not is_secret_text(value):
        message = f"{name} must be a string of visible ASCII characters, without spaces or line ends around it"
        raise ConfigError(message)


def _check_mixture(given: Mapping[str, Any]) -> None:
    names = ", ".join(given)
    if not given:
        raise ConfigError(f"No credentials are set. Set one of: {_WAYS}")
    if "api_key" in given and len(given) > 1:
        raise ConfigError(f"More than one way in is set ({names}). Set only one of: {_WAYS}")
    if "refresh_token" in given:
        if missing := [name for name in ("client_id", "client_secret") if name not in given]:
            raise ConfigError(f"refresh_token needs {' and '.join(missing)} as well")
    elif "token_file" in given:
        if "access_token" in given:
            message = "access_token and token_file are two ways in"
            raise ConfigError(f"{message}. Leave one out, or add refresh_token, client_id and client_secret")
    elif "api_key" not in given and (extra := [name for name in ("client_id", "client_secret") if name in given]):
        message = f"{' and '.join(extra)} can only be used with refresh_token or token_file, and neither is set"
        raise ConfigError(f"{message}. Set one of: {_WAYS}")


def _store(
    given: Mapping[str, str], token_type: str, *, base_url: str, timeout: tuple[float, float]
) -> TokenMemory | TokenFile:
    settings = None
    if "refresh_token" in given:
        settings = OAuthSession(
            refresh_token=given["refresh_token"],
            client_id=given["client_id"],
            client_secret=given["client_secret"],
            access_token=given.get("access_token", ""),
            token_type=token_type,
        )
    if "token_file" in given:
        # Whoever holds the lock sends two requests at most.
        lock_seconds = 2 * sum(timeout) + LONGEST_PAUSE_SECONDS
        return TokenFile(given["token_file"], base_url=base_url, settings=settings, lock_seconds=lock_seconds)
    if settings is None:  # pragma: no cover - `_check_mixture` has seen to that
        raise ConfigError(f"No credentials are set. Set one of: {_WAYS}")
    return TokenMemory(settings)


def _check_age(current: OAuthSession) -> None:
    now = datetime.now(UTC)
    if current.is_stale(now) and current.is_over(now):
        message = f"The refresh token was made at {current.created_at}, over a week ago, and has run out"
        raise SessionError(f"{message}. {LOG_IN_AGAIN}")


def _farewell(failure: _Failure, *, was_lost: bool) -> str:
    what = failure.what[:1].upper() + failure.what[1:]
    if failure.advice and not was_lost:
        return f"{what}. {failure.advice}"
    if not was_lost:
        return f"The session could not be renewed: {failure.what}. Run again later; the tokens are as they were"
    message = f"The session could not be renewed: {failure.what}, and the answer to a token request was lost"
    return f"{message}. The refresh token may have been used up. Run again; if it is refused: {LOG_IN_AGAIN}"


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep `requests` from taking a password for this server out of a `.netrc`."""
    return request


def _body(response: requests.Response, seconds: float) -> bytes | None:
    """The answer's body; `None` when it is larger than any token answer, or does not end in so many seconds."""
    body, deadline = bytearray(), time.monotonic() + seconds
    while chunk := response.raw.read1(1 << 14, decode_content=True):
        body += chunk
        if len(body) > _LARGEST_ANSWER or time.monotonic() > deadline:
            return None
    return bytes(body)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty one when there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _no_answer(error: requests.RequestException) -> _Failure:
    """What a request without an answer means: whether the server may have seen it is what counts."""
    if isinstance(error, requests.exceptions.SSLError):
        return _Failure(
            "the server's TLS certificate was not accepted",
            "Check base_url, and name the CA bundle if your network needs one of its own",
        )
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never_sent = isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError) or isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
    )
    if never_sent:
        return _Failure("there is no connection to the server", is_worth_a_try=True)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return _Failure("the token endpoint's address is not usable", "Check base_url")
    what = "timed out" if isinstance(error, requests.Timeout) else f"was cut off ({type(error).__name__})"
    return _Failure(f"the token endpoint's answer {what}", is_lost=True, is_worth_a_try=True)


def _refused(status: int, answer: Mapping[str, Any], retry_after: str) -> _Failure:
    """What a status other than 200 means. The body is read for OAuth's error code and never shown."""
    what = f"the token endpoint answered with HTTP {status}"
    if status >= requests.codes.internal_server_error or status in _EARLY_STATUSES:
        return _Failure(what, is_lost=True, is_worth_a_try=True)
    if status == requests.codes.too_many_requests:
        pause = seconds_or_none(retry_after) or 0.0
        return _Failure(what, is_worth_a_try=True, pause=min(pause, LONGEST_PAUSE_SECONDS))
    return _refused_for_good(status, answer.get("error"), what)


def _refused_for_good(status: int, code: object, what: str) -> _Failure:
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        return _Failure(f"{what}, a redirect, which is not followed", "Check base_url")
    if code == "invalid_grant":
        what = "Factorial refused the refresh token: it was used before, or has run out"
        return _Failure(what, LOG_IN_AGAIN, is_refused=True)
    # Tuples, since whatever JSON can hold may stand here, and not all of it can be looked up in a set.
    if code in ("invalid_client", "unauthorized_client") or status == requests.codes.unauthorized:
        return _Failure("Factorial refused client_id or client_secret", "Check both against the OAuth application")
    if status == requests.codes.not_found:
        return _Failure(what, "Check base_url: there is no token endpoint on that server")
    known = {"invalid_request", "unsupported_grant_type", "invalid_scope"}
    detail = f" ({code})" if isinstance(code, str) and code in known else ""
    return _Failure(f"{what}{detail}", f"Check base_url, client_id and client_secret. {LOG_IN_AGAIN}")


def _session(answer: Mapping[str, Any], current: OAuthSession, sent_at: datetime) -> OAuthSession | _Failure:
    """The session in an answer of status 200."""
    access_token = answer.get("access_token")
    # OAuth allows an answer without a refresh token; the old one then goes on serving.
    refresh_token = answer.get("refresh_token") or current.refresh_token
    token_type = answer.get("token_type") or "Bearer"
    if not (is_secret_text(access_token) and is_secret_text(refresh_token) and is_token_type(token_type)):
        return _Failure("the token endpoint's answer holds no usable tokens", is_lost=True, is_worth_a_try=True)
    renewed = dataclasses.replace(
        current,
        refresh_token=refresh_token,
        access_token=str(access_token),
        token_type=token_type,
        created_at=_created_at(answer.get("created_at")) or sent_at,
        expires_in=seconds_or_none(answer.get("expires_in")),
    )
    return renewed if _is_plausible(renewed) else dataclasses.replace(renewed, created_at=sent_at)


def _is_plausible(renewed: OAuthSession) -> bool:
    """Whether the server's date fits our clock.

    If not, ours counts: a token that seems to have run out on arrival would be renewed at every request.
    """
    now = datetime.now(UTC)
    if renewed.created_at is None or renewed.is_stale(now):
        return False
    return (renewed.created_at - now).total_seconds() < _CLOCK_TOLERANCE_SECONDS


def _created_at(value: object) -> datetime | None:
    """The answer's `created_at`: epoch seconds, or ISO 8601."""
    seconds = seconds_or_none(value)
    if seconds is None:
        return moment_or_none(value)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _as_sent(base_url: str) -> str:
    """The URL in the form in which requests carry it (a host beyond ASCII in its encoded form, for one)."""
    try:
        return requests.Request("GET", base_url).prepare().url or ""
    except (requests.RequestException, ValueError):
        return ""


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port that a URL leads to."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    if default is None or not parts.hostname:
        raise ConfigError("base_url is no URL that requests can be sent to")
    return parts.scheme, parts.hostname, parts.port or default
