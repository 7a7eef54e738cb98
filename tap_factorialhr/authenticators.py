"""The authentication methods, each as a flow: a request with credentials out, its answer in, perhaps once more.

Facts about headers are from the API notes, section Authentication.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import requests
from singer_sdk.authenticators import APIAuthenticatorBase

from tap_factorialhr.errors import ConfigError, CredentialsError, NoRoomError, SessionError
from tap_factorialhr.oauth_session import LOG_IN_AGAIN, OAuthSession
from tap_factorialhr.session_store import NOTHING_USED_UP
from tap_factorialhr.token_endpoint import Lost, Outcome, Refused, Renewed, TokenEndpoint, TryLater

if TYPE_CHECKING:
    from tap_factorialhr.retry_policy import RetryPolicy
    from tap_factorialhr.session_store import SessionStore

logger = logging.getLogger("tap-factorialhr")

Flow: TypeAlias = Generator[requests.PreparedRequest, requests.Response, None]
"""Yields a request to be sent and is sent its answer, until it ends: then the last answer counts."""


class FactorialAuthenticator(APIAuthenticatorBase):
    """Puts credentials on requests to one server, and on no others.

    Args:
        base_url: The server that the credentials are for.
    """

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._origin = _origin(_as_sent(base_url))

    def flow(self, request: requests.PreparedRequest) -> Flow:
        """The way of one request: sent with credentials, and once more with others where it was not accepted.

        Args:
            request: The request; its headers are changed.

        Yields:
            The request to send; what is sent in is its answer, of which the status is enough.

        Raises:
            CredentialsError: The server does not accept the credentials.
            SessionError: The request goes to another server, or the session cannot be renewed.
        """
        response = yield self.authenticate_request(request)
        if response.status_code == requests.codes.unauthorized and self._renew(request):
            response = yield self.authenticate_request(request)
        if response.status_code == requests.codes.unauthorized:
            raise CredentialsError(
                "HTTP 401, the API does not accept the credentials; check api_key or access_token, or log in again"
            )

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

    def settle(self, seconds: float) -> None:
        """At the end of a run: begin no renewal any more, and see one that is under way to its end.

        Args:
            seconds: How long to wait for that at the most.
        """

    def _renew(self, rejected: requests.PreparedRequest) -> bool:  # noqa: ARG002 - for those that can renew
        """Get other credentials than a rejected request carried; whether there are any."""
        return False

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


class RefreshTokenAuthenticator(FactorialAuthenticator):
    """An OAuth session, renewed when it is about to run out and when the server does not accept it.

    Threads renew it once between them, and so do processes that share the store.

    Args:
        base_url: The server that the credentials are for.
        store: Where the session is kept.
        endpoint: Where it is renewed.
        lost: When a token request is sent again whose answer was lost.
        unused: The same of one that has used nothing up.

    Raises:
        SessionError: When the session that is kept cannot be used.
    """

    def __init__(
        self, base_url: str, store: SessionStore, endpoint: TokenEndpoint, *, lost: RetryPolicy, unused: RetryPolicy
    ) -> None:
        super().__init__(base_url)
        self._store = store
        self._endpoint = endpoint
        self._lost = lost
        self._unused = unused
        self._lock = threading.Lock()
        self._failure: str | None = None
        self._current = store.open()
        _check_age(self._current)

    def settle(self, seconds: float) -> None:
        """Let a renewal that is under way come to its end, since the server has used up the old tokens by then."""
        if self._lock.acquire(timeout=max(seconds, 0.0)):
            self._failure = self._failure or "The run is over"
            self._lock.release()
        else:
            logger.warning(
                "The session was being renewed, and that did not end in time: its new tokens may be lost. If the next "
                "run is refused: %s",
                LOG_IN_AGAIN,
            )

    def _renew(self, rejected: requests.PreparedRequest) -> bool:
        with self._lock:
            # Another thread may have renewed the session since the request was sent.
            if rejected.headers.get("Authorization") == self._current.authorization:
                self._replace_current()
        return True

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
            with self._store.exclusive():
                renewal = Renewal(self._store, self._endpoint, self._current, lost=self._lost, unused=self._unused)
                self._current = renewal.run()
        except SessionError as error:
            self._failure = str(error)
            raise


class Renewal:
    """One renewal, from the session that does not do any more to one that does. Needs the store to itself.

    Args:
        store: Where the session is kept.
        endpoint: Where it is renewed.
        stale: The session that does not do any more.
        lost: When a token request is sent again whose answer was lost.
        unused: The same of one that has used nothing up.
    """

    def __init__(
        self,
        store: SessionStore,
        endpoint: TokenEndpoint,
        stale: OAuthSession,
        *,
        lost: RetryPolicy,
        unused: RetryPolicy,
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._stale = stale
        self._policies = {Lost: lost, TryLater: unused}
        self._failed: Counter[tuple[str, type]] = Counter()
        self._refused: dict[str, Refused] = {}
        self._was_lost = False

    def run(self) -> OAuthSession:
        """Use what others have renewed, or else renew.

        Returns:
            The new session, which is kept.

        Raises:
            SessionError: There is none to be had.
        """
        # What is kept is looked at before every attempt: a program that does not know our lock may have renewed it.
        while session := self._next():
            if self._is_good(session):
                return session
            match outcome := self._ask(session):
                case Renewed(renewed):
                    return renewed
                case Refused(is_token=True):
                    self._refuse(session, outcome)
                case Refused():
                    raise SessionError(self._farewell(outcome))
                case Lost() | TryLater():
                    self._was_lost = self._was_lost or isinstance(outcome, Lost)
                    self._wait(session, outcome)
        raise SessionError(self._farewell(next(reversed(self._refused.values()))))

    def _next(self) -> OAuthSession | None:
        """The best session that has not been refused."""
        sessions = self._store.load() or (self._stale,)
        return next((one for one in sessions if one.refresh_token not in self._refused), None)

    def _is_good(self, session: OAuthSession) -> bool:
        return session.authorization != self._stale.authorization and not session.is_stale(datetime.now(UTC))

    def _ask(self, session: OAuthSession) -> Outcome:
        _check_age(session)
        try:
            with self._store.room():
                outcome = self._endpoint.refresh(session)
                if isinstance(outcome, Renewed):
                    self._keep(outcome.session)
        except NoRoomError as error:
            # Of this attempt nothing has been sent, but one before it may have reached the server.
            raise SessionError(f"{error}. {self._doubt() if self._was_lost else NOTHING_USED_UP}") from None
        return outcome

    def _keep(self, session: OAuthSession) -> None:
        try:
            self._store.save(session)
        except SessionError as error:
            message = f"{error}, so the new tokens would be lost and the run ends. The old ones are used up"
            raise SessionError(f"{message}. Make the place writable. {LOG_IN_AGAIN}") from None
        logger.info("The session was renewed")

    def _refuse(self, session: OAuthSession, outcome: Refused) -> None:
        self._refused[session.refresh_token] = outcome
        self._store.note_refused(session)
        if self._next():
            logger.warning("%s; going on with the other one that is known", outcome.what)

    def _wait(self, session: OAuthSession, outcome: Lost | TryLater) -> None:
        """Wait until the next attempt.

        Raises:
            SessionError: There is to be none, and nobody else has renewed meanwhile.
        """
        kind = type(outcome)
        self._failed[session.refresh_token, kind] += 1
        asked = outcome.asked if isinstance(outcome, TryLater) else None
        wait = self._policies[kind].wait(self._failed[session.refresh_token, kind], asked=asked)
        following = self._next()
        if following and following.refresh_token != session.refresh_token:
            return
        if wait is None or (isinstance(outcome, Lost) and not outcome.can_repeat):
            raise SessionError(self._farewell(outcome))
        logger.warning("Renewing the session: %s; trying again in %.1f s", outcome.what, wait)
        time.sleep(wait)

    def _farewell(self, outcome: Refused | Lost | TryLater) -> str:
        if isinstance(outcome, Refused) and not self._was_lost:
            return f"{outcome.what[:1].upper()}{outcome.what[1:]}. {outcome.advice}"
        if not self._was_lost:
            return f"The session could not be renewed: {outcome.what}. Run again later; the tokens are as they were"
        message = f"The session could not be renewed: {outcome.what}, and the answer to a token request was lost"
        return f"{message}. {self._doubt()}"

    @staticmethod
    def _doubt() -> str:
        return f"The refresh token may have been used up. Run again; if it is refused: {LOG_IN_AGAIN}"


def _check_age(current: OAuthSession) -> None:
    now = datetime.now(UTC)
    if current.is_stale(now) and current.is_over(now):
        message = f"The refresh token was made at {current.created_at}, over a week ago, and has run out"
        raise SessionError(f"{message}. {LOG_IN_AGAIN}")


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
