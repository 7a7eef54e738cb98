"""One request: its session, time-outs and retries, and what each status means.

Safe to use from several threads. Nothing here logs or raises a body, a header or the value of a parameter.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import backoff
import requests
import urllib3

from tap_factorialhr import decoding
from tap_factorialhr.clock import Clock
from tap_factorialhr.envelope import EnvelopeError, Page
from tap_factorialhr.errors import CredentialsError, FactorialError, SessionError
from tap_factorialhr.http_session import is_untrusted, reason_of, refusal_of_proxy
from tap_factorialhr.throttle import Throttle
from tap_factorialhr.watchdog import LONGEST_ANSWER, EndlessError, read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backoff.types import Details

    from tap_factorialhr.authenticators import FactorialAuthenticator
    from tap_factorialhr.openapi import Params
    from tap_factorialhr.retry_policy import RetryPolicy

    Decode = Callable[[bytes | bytearray], Any]

logger = logging.getLogger("tap-factorialhr")

RETRIED = frozenset({408, 425})
OVERDUE = frozenset({408, 504})
UNAVAILABLE = frozenset({402, 403, 404, 410})
"""A product that is not bought, or rows that the credentials may not see (API notes, "Errors and limits")."""
GONE = frozenset({"HTTP 404", "HTTP 410"})
"""What an `UnavailableError` says where something is not there (any more)."""
LARGEST_BODY = 256 * 1024 * 1024
"""Bytes of one decoded answer at the most: unpaginated resources of large companies are the largest."""

LARGE_BODY = 1024 * 1024
"""Bytes from which on an answer is looked at for `MOST_VALUES` and `MOST_OBJECTS` before it is decoded."""
MOST_VALUES = 16_000_000
"""Values of one answer at the most: short ones need many times the memory of their text."""
MOST_OBJECTS = 4_000_000
"""Objects and arrays of one answer at the most, for the same reason."""
LARGEST_ERROR_BODY = 64 * 1024
"""Bytes of the answer to a failed request that are read: enough to find the parameter at fault."""
LARGE_TURN = 32 * 1024 * 1024
"""Bytes from which on the rest of an answer is read and decoded while no other thread does so with a large one."""


class RetriableError(FactorialError):
    """A request that may succeed when it is sent again.

    Attributes:
        retry_after: Seconds that the server asks to wait, None where it does not say.
        waits_for_turn: Whether it is but a matter of turns, which uses up no retry.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        """Take what happened, such as ``HTTP 503``, and the wait in seconds that was asked for."""
        super().__init__(reason)
        self.retry_after = retry_after
        self.waits_for_turn = False


class LimitedError(RetriableError):
    """More requests than the API takes."""

    def __init__(self, retry_after: float, *, waits_for_turn: bool) -> None:
        """Take the pause in seconds, and whether it uses up no retry."""
        super().__init__(f"HTTP {requests.codes.too_many_requests}", retry_after)
        self.waits_for_turn = waits_for_turn


class SlowError(RetriableError):
    """No answer within the time-out."""


class UnreachableError(RetriableError):
    """A server that no connection could be made to."""


class OverdueError(RetriableError):
    """The server itself says that it took too long."""


class LargeError(FactorialError):
    """An answer that is too large to be taken in."""


class RefusedError(FactorialError):
    """A request that the API does not answer, however often it is sent.

    Attributes:
        status: Why, such as ``HTTP 403``.
    """

    def __init__(self, status: str, message: str | None = None) -> None:
        """Take why, and what a person gets to see, where that is more."""
        super().__init__(message or status)
        self.status = status


class UnavailableError(RefusedError):
    """A resource that this company or these credentials have no access to (`UNAVAILABLE`)."""


class RejectedError(RefusedError):
    """A request that the API takes for wrong (400, 422 and the like)."""


class Client:
    """Sends the tap's requests, all of them reads."""

    def __init__(  # noqa: PLR0913 (each is needed, all by name)
        self,
        *,
        base_url: str,
        api_version: str,
        session: requests.Session,
        authenticator: FactorialAuthenticator,
        timeout: tuple[float, float],
        policy: RetryPolicy,
        concurrency: int = 1,
        parameters: Callable[[str], Iterable[str]] = lambda _: (),
    ) -> None:
        """Take what all requests share.

        Args:
            base_url: Where the API is.
            api_version: The version of the API.
            session: The HTTP session.
            authenticator: Puts the credentials on each request.
            timeout: Seconds to connect, and seconds between two reads.
            policy: When a failed request is sent again.
            concurrency: Requests in flight at the most.
            parameters: The names of the parameters that a resource knows, to tell which one an error is about.
        """
        self._session = session
        # What all requests have in common is prepared once: that takes a third of the time of a request.
        resources = f"{base_url.rstrip('/')}/api/{api_version}/resources/"
        self._common = session.prepare_request(requests.Request("GET", resources))
        self._authenticator = authenticator
        self._timeout = timeout
        self._policy = policy
        self._parameters = parameters
        self.throttle = Throttle(concurrency, first_pause=policy.first_wait, longest_pause=policy.longest_wait)
        self._clock = Clock()
        self._counting = threading.Lock()
        self._large = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()

    def get(
        self,
        stream: str,
        path: str,
        params: Params,
        *,
        retry_timeouts: bool = True,
        decode: Decode = decoding.decode_answer,
    ) -> Page:
        """Read one page of a resource.

        Args:
            stream: The stream it is for, named in logs and errors.
            path: ``<domain>/<resource>``.
            params: The query parameters, in order.
            retry_timeouts: Whether a time-out is tried again.
            decode: Decodes a body; raises ValueError where it is not JSON.

        Raises:
            UnavailableError: The resource is not there for these credentials.
            RejectedError: The API takes the request for wrong.
            SessionError: The credentials are not accepted.
            RetriableError: It went wrong until the tries or the time ran out.
        """
        used = 0

        def announce(details: Details) -> None:
            nonlocal used
            error, wait = details.get("exception"), details.get("wait", 0.0)
            waits_for_turn = isinstance(error, RetriableError) and error.waits_for_turn
            used += not waits_for_turn
            told = "waiting for its turn" if waits_for_turn else f"{used} of {self._policy.retries}"
            self._count(self.retries, stream)
            logger.warning("%s: %s, trying again in %.1f s (%s)", stream, error, wait, told)

        retrying = backoff.on_exception(
            self._policy.waits,
            RetriableError,
            max_time=self._policy.budget,
            jitter=None,
            giveup=lambda error: isinstance(error, SlowError) and not retry_timeouts,
            on_backoff=announce,
            logger=None,
        )
        try:
            return retrying(self._get)(stream, path, params, decode)
        except RetriableError as error:
            raise _given_up(stream, error, used) from None

    def is_answered(self, stream: str, path: str) -> bool:
        """Whether the server answers a request, whatever it says; a time-out is not tried again.

        Args:
            stream: The stream that it counts for.
            path: ``<domain>/<resource>``.

        Raises:
            FactorialError: No other request would be answered either.
        """
        try:
            self.get(stream, path, (), retry_timeouts=False)
        except RetriableError:
            return False
        except RefusedError:
            return True
        return True

    def _get(self, stream: str, path: str, params: Params, decode: Decode) -> Page:
        with ExitStack() as turn:
            with self.throttle.slot() as began:
                sent = time.monotonic()
                response, body = self._exchange(stream, self._request(path, params), turn)
                self._clock.compare(response.headers.get("Date"))
                if response.status_code == requests.codes.too_many_requests:
                    raise self._limited(response, began, sent)
                self._check_status(stream, path, params, response, body)
            self.throttle.note_good()
            if len(body) > LARGE_BODY:
                _check_values(stream, body)
            try:
                return Page.from_response(decode(body))
            except EnvelopeError as error:
                raise RetriableError(f"HTTP 200 without the API's envelope ({error})") from None
            except ValueError as error:
                raise RetriableError(f"HTTP 200 that is not JSON ({error})") from None

    def _limited(self, response: requests.Response, began: int, sent: float) -> LimitedError:
        asked = self._policy.asked(response.headers.get("Retry-After"))
        pause = self.throttle.note_limit(began, asked)
        in_turn = self._policy.waits_for_turn(
            asked=asked,
            others_answered=self.throttle.last_good > sent,
            limited_for=self.throttle.limited_for,
        )
        return LimitedError(pause, waits_for_turn=in_turn)

    def _exchange(
        self, stream: str, request: requests.PreparedRequest, turn: ExitStack
    ) -> tuple[requests.Response, bytearray]:
        """Send a request as the authentication method has it, and give the answer that counts."""
        try:
            with closing(self._authenticator.flow(request)) as flow:
                following = next(flow)
                while True:
                    response, body = self._send(stream, following, turn)
                    try:
                        following = flow.send(response)
                    except StopIteration:
                        return response, body
        except CredentialsError as error:
            raise SessionError(f"{stream}: {error}") from None

    def _send(
        self, stream: str, request: requests.PreparedRequest, turn: ExitStack
    ) -> tuple[requests.Response, bytearray]:
        self._count(self.requests, stream)
        try:
            with self._session.send(request, timeout=self._timeout, allow_redirects=False, stream=True) as response:
                return response, self._read(stream, response, turn)
        except requests.exceptions.SSLError as error:
            if not is_untrusted(error):
                if self.throttle.last_good:  # So the server does speak TLS, and this may be of one address alone.
                    raise RetriableError("the TLS connection failed") from None
                raise UnreachableError("no TLS connection to the server") from None
            raise FactorialError(
                f"{stream}: the server's TLS certificate could not be verified; check base_url, or name your CA in "
                "ca_bundle"
            ) from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise SlowError("no answer in time") from None
        except requests.exceptions.ConnectionError as error:
            if refusal := refusal_of_proxy(error):
                raise FactorialError(f"{stream}: {refusal[0]}; {refusal[1]}") from None
            if "timed out" in str(error).lower():  # requests hides a time-out while a body is read.
                raise SlowError("no answer in time") from None
            if isinstance(reason_of(error), urllib3.exceptions.NewConnectionError):
                raise UnreachableError("no connection to the server") from None
            raise RetriableError("the connection failed") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
            raise RetriableError("the connection broke") from None

    def _request(self, path: str, params: Params) -> requests.PreparedRequest:
        request = self._common.copy()
        request.url = f"{request.url}{path}" + (f"?{urlencode(params)}" if params else "")
        return request

    def _read(self, stream: str, response: requests.Response, turn: ExitStack) -> bytearray:
        """The decoded body, within bounds of size and time; of an error no more than its beginning."""
        body, seconds = bytearray(), LONGEST_ANSWER * self._timeout[1]
        try:
            if response.status_code != requests.codes.ok:
                read_body(response.raw, body, most=LARGEST_ERROR_BODY, seconds=seconds)
            elif not read_body(response.raw, body, most=LARGE_TURN, seconds=seconds):
                turn.enter_context(self._large)
                if not read_body(response.raw, body, most=LARGEST_BODY, seconds=seconds):
                    raise LargeError(
                        f"{stream}: an answer is larger than {LARGEST_BODY // 1024 // 1024} MiB, which the tap does "
                        "not take in; use smaller windows (window_days)"
                    )
        except EndlessError:
            raise SlowError("the answer does not come to its end in time") from None
        return body

    def _check_status(
        self, stream: str, path: str, params: Params, response: requests.Response, body: bytearray
    ) -> None:
        status = response.status_code
        if status == requests.codes.ok:
            return
        if status in UNAVAILABLE:
            raise UnavailableError(f"HTTP {status}")
        if (
            status in RETRIED
            or status >= requests.codes.internal_server_error
            or status < requests.codes.multiple_choices
        ):
            wait = self._policy.asked(response.headers.get("Retry-After"))
            if wait:
                self.throttle.pause(wait)
            raise (OverdueError if status in OVERDUE else RetriableError)(f"HTTP {status}", wait)
        if response.is_redirect or requests.codes.multiple_choices <= status < requests.codes.bad_request:
            raise FactorialError(
                f"{stream}: HTTP {status}, a redirect, which is not followed so that credentials stay with "
                "base_url's host; check base_url"
            )
        named = _named_parameter({*(name for name, _ in params), *self._parameters(path)}, body)
        raise RejectedError(
            f"HTTP {status}",
            f"{stream}: HTTP {status}, the API rejects the request"
            + (f" because of the parameter {named}" if named else "")
            + "; check api_version and the settings",
        )

    def _count(self, counter: Counter[str], stream: str) -> None:
        with self._counting:
            counter[stream] += 1


def _check_values(stream: str, body: bytearray) -> None:
    """Refuse an answer that would need far more memory than it is long."""
    if body.count(b",") > MOST_VALUES or body.count(b"{") + body.count(b"[") > MOST_OBJECTS:
        raise LargeError(
            f"{stream}: an answer holds more than {MOST_OBJECTS:,} objects or {MOST_VALUES:,} values, which the tap "
            "does not take in; use smaller windows (window_days)"
        )


def _given_up(stream: str, error: RetriableError, retries: int) -> RetriableError:
    """What a person gets to see of the last failure."""
    if isinstance(error, SlowError):
        return SlowError(f"{stream}: {error}; raise request_timeout, or try again later")
    told = f"{stream}: {error}, given up after {retries} {'retry' if retries == 1 else 'retries'}"
    if isinstance(error, UnreachableError):
        return UnreachableError(f"{told}; check base_url and the network, or try again later")
    kind = SlowError if isinstance(error, OverdueError) else RetriableError
    return kind(f"{told}; try again later")


def _named_parameter(names: Iterable[str], body: bytearray) -> str | None:
    """The parameter that the body of an error names as a whole word; the body itself is never shown."""
    words = set(re.findall(r"\w+", body[:10_000].decode("utf-8", "replace")))
    return max((name for name in names if name.removesuffix("[]") in words), key=len, default=None)
