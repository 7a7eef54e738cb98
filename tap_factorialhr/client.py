"""One request: its session, time-outs and retries, and what each status means.

Safe to use from several threads. Nothing here logs or raises a body, a header or the value of a parameter.
"""

from __future__ import annotations

import logging
import os
import random
import re
import ssl
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import backoff
import requests
import urllib3

from tap_factorialhr import decoding
from tap_factorialhr.envelope import EnvelopeError, Page
from tap_factorialhr.errors import ConfigError, FactorialError, SessionError
from tap_factorialhr.watchdog import LONGEST_ANSWER, WatchedAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from backoff.types import Details

    from tap_factorialhr.auth import FactorialAuthenticator
    from tap_factorialhr.pagination import Params

    Decode = Callable[[bytearray], Any]

logger = logging.getLogger("tap-factorialhr")

RETRIED = frozenset({408, 425, 429})
OVERDUE = frozenset({408, 504})
UNAVAILABLE = frozenset({402, 403, 404, 410})
"""A product that the company has not bought, or rows that the credentials may not see (API notes, "Errors")."""
GONE = frozenset({"HTTP 404", "HTTP 410"})
"""What an `UnavailableError` says where something is not there (any more)."""
LONGEST_WAIT = 60.0
"""Seconds between two tries at the most where the server does not ask for more."""
LONGEST_RETRY_AFTER = 300.0
"""Seconds of a ``Retry-After`` that are honoured at the most."""
RETRY_BUDGET = 1800.0
"""Seconds after the first try in which one request may be tried again."""
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

_CHUNK = 256 * 1024


class RetriableError(FactorialError):
    """A request that may succeed when it is sent again.

    Attributes:
        retry_after: Seconds that the server asks to wait, None where it does not say.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        """Take what happened, such as ``HTTP 503``, and the wait in seconds that was asked for."""
        super().__init__(reason)
        self.retry_after = retry_after


class SlowError(RetriableError):
    """No answer within the time-out."""


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
    """A resource that this company or these credentials have no access to (403, 404)."""


class RejectedError(RefusedError):
    """A request that the API takes for wrong (400, 422 and the like)."""


class Session(requests.Session):
    """An HTTP session to one server that keeps to the settings, whatever the environment or the server says.

    Of the environment, a proxy for HTTPS (it sees no more than an encrypted tunnel) and, where no ``ca_bundle`` is
    set, ``REQUESTS_CA_BUNDLE`` count. It is read once, here, where requests would read it again for every request.
    """

    def __init__(self, base_url: str, *, connections: int, ca_bundle: str | None = None) -> None:
        """Take the server, how many connections to keep, and the file of the certificates to trust.

        Raises:
            ConfigError: The certificates cannot be used, wherever they are named.
        """
        super().__init__()
        environment = self.merge_environment_settings(base_url, {}, stream=None, verify=None, cert=None)
        self.trust_env = False
        adapter = WatchedAdapter(pool_connections=2, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        # It logs requests with the values of their parameters, and headers that it cannot parse.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        if base_url.lower().startswith("https://"):
            self.proxies = environment["proxies"]
        named = "ca_bundle" if ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        self.verify = ca_bundle or environment["verify"]
        if isinstance(self.verify, str):
            _check_bundle(named, self.verify)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 (as requests has it)
        """Send a request and no other: no cookie is kept, and no redirect followed, nor looked for."""
        kwargs.pop("allow_redirects", None)
        options = {"verify": self.verify, "proxies": self.proxies, **kwargs}
        return self.get_adapter(request.url or "").send(request, **options)


def _check_bundle(name: str, path: str) -> None:
    if not os.path.exists(path):  # noqa: PTH110 (REQUESTS_CA_BUNDLE may be a folder)
        raise ConfigError(f"{name}: there is no such file")
    try:
        if os.path.isfile(path):  # noqa: PTH113
            ssl.create_default_context(cafile=path)
    except OSError:
        raise ConfigError(f"{name}: the file holds no certificates that can be read (PEM)") from None


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
        max_retries: int,
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
            max_retries: How often a failed request is sent again.
            concurrency: Requests in flight at the most.
            parameters: The names of the parameters that a resource knows, to tell which one an error is about.
        """
        self._session = session
        # What all requests have in common is prepared once: that takes a third of the time of a request.
        resources = f"{base_url.rstrip('/')}/api/{api_version}/resources/"
        self._common = session.prepare_request(requests.Request("GET", resources))
        self._authenticator = authenticator
        self._timeout = timeout
        self._max_retries = max_retries
        self._parameters = parameters
        self.throttle = Throttle(concurrency)
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
        patient: bool = True,
        decode: Decode = decoding.decode_answer,
    ) -> Page:
        """Read one page of a resource.

        Args:
            stream: The stream it is for, named in logs and errors.
            path: ``<domain>/<resource>``.
            params: The query parameters, in order.
            patient: Whether a time-out is tried again.
            decode: Decodes a body; raises ValueError where it is not JSON.

        Raises:
            UnavailableError: The resource is not there for these credentials.
            RejectedError: The API takes the request for wrong.
            SessionError: The credentials are not accepted.
            RetriableError: It went wrong until the tries or the time ran out.
        """

        def announce(details: Details) -> None:
            self._count(self.retries, stream)
            logger.warning(
                "%s: %s, trying again in %.1f s (%d of %d)",
                stream,
                details.get("exception"),
                details.get("wait", 0.0),
                details["tries"],
                self._max_retries,
            )

        tries = 1

        def note(details: Details) -> None:
            nonlocal tries
            tries = details["tries"]

        retrying = backoff.on_exception(
            _waits,
            RetriableError,
            max_tries=self._max_retries + 1,
            max_time=RETRY_BUDGET,
            jitter=None,
            giveup=lambda error: isinstance(error, SlowError) and not patient,
            on_backoff=announce,
            on_giveup=note,
            logger=None,
        )
        try:
            return retrying(self._get)(stream, path, params, decode)
        except SlowError as error:
            raise SlowError(f"{stream}: {error}; raise request_timeout, or try again later") from None
        except RetriableError as error:
            kind = SlowError if isinstance(error, OverdueError) else RetriableError
            raise kind(f"{stream}: {error}, given up after {tries - 1} retries; try again later") from None

    def _get(self, stream: str, path: str, params: Params, decode: Decode) -> Page:
        with ExitStack() as turn:
            with self.throttle.slot() as began:
                response, body = self._send(stream, path, params, turn)
                if response.status_code == requests.codes.unauthorized and self._authenticator.renew(response.request):
                    response, body = self._send(stream, path, params, turn)
                if response.status_code == requests.codes.too_many_requests:
                    self.throttle.slow_down(began)
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

    def _send(self, stream: str, path: str, params: Params, turn: ExitStack) -> tuple[requests.Response, bytearray]:
        self._count(self.requests, stream)
        try:
            request = self._request(path, params)
            with self._session.send(request, timeout=self._timeout, allow_redirects=False, stream=True) as response:
                return response, self._read(stream, response, turn)
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):  # Such as a connection that ends in the handshake.
                raise RetriableError("the TLS connection failed") from None
            raise FactorialError(
                f"{stream}: the server's TLS certificate could not be verified; check base_url, or name your CA in "
                "ca_bundle"
            ) from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise SlowError("no answer in time") from None
        except requests.exceptions.ConnectionError as error:
            if "timed out" in str(error).lower():  # requests hides a time-out while a body is read.
                raise SlowError("no answer in time") from None
            raise RetriableError("the connection failed") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
            raise RetriableError("the connection broke") from None

    def _request(self, path: str, params: Params) -> requests.PreparedRequest:
        request = self._common.copy()
        request.url = f"{request.url}{path}" + (f"?{urlencode(params)}" if params else "")
        return self._authenticator.authenticate_request(request)

    def _read(self, stream: str, response: requests.Response, turn: ExitStack) -> bytearray:
        """The decoded body, within bounds of size and time; of an error no more than its beginning."""
        body, has_turn = bytearray(), False
        deadline = time.monotonic() + LONGEST_ANSWER * self._timeout[1]
        # As it comes: a reader that waits until its chunk is full would not notice a body that drips.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if response.status_code != requests.codes.ok and len(body) > LARGEST_ERROR_BODY:
                break
            if len(body) > LARGE_TURN and not has_turn:
                turn.enter_context(self._large)
                has_turn, deadline = True, time.monotonic() + LONGEST_ANSWER * self._timeout[1]
            if len(body) > LARGEST_BODY:
                raise LargeError(
                    f"{stream}: an answer is larger than {LARGEST_BODY // 1024 // 1024} MiB, which the tap does not "
                    "take in; use smaller windows (window_days)"
                )
            if time.monotonic() > deadline:
                raise SlowError("the answer does not come to its end in time")
        return body

    def _check_status(
        self, stream: str, path: str, params: Params, response: requests.Response, body: bytearray
    ) -> None:
        status = response.status_code
        if status == requests.codes.ok:
            return
        if status == requests.codes.unauthorized:
            raise SessionError(
                f"{stream}: HTTP 401, the API does not accept the credentials; check api_key or access_token, "
                "or log in again"
            )
        if status in UNAVAILABLE:
            raise UnavailableError(f"HTTP {status}")
        if (
            status in RETRIED
            or status >= requests.codes.internal_server_error
            or status < requests.codes.multiple_choices
        ):
            wait = _retry_after(response.headers.get("Retry-After"))
            if status == requests.codes.too_many_requests or wait:
                self.throttle.pause(wait or 1.0)
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


class Throttle:
    """How many requests may be in flight, and from when on; shared by all threads.

    Each time that the API asks for less (a 429), half as many are allowed, and one more again after as many good
    answers as are allowed at the time.
    """

    def __init__(self, most: int) -> None:
        """Take how many requests may be in flight at the most."""
        self.allowed = most
        self._most = most
        self._in_flight = 0
        self._until = 0.0
        self._good = 0
        self._round = 0
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[int]:
        """Wait until a request may be sent; it is in flight for as long as this lasts.

        Yields:
            The round that it belongs to, for `slow_down`.
        """
        with self._changed:
            while (left := self._until - time.monotonic()) > 0 or self._in_flight >= self.allowed:
                self._changed.wait(left if left > 0 else None)
            self._in_flight += 1
            began = self._round
        try:
            yield began
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Let nothing be sent for this many seconds from now, if the pause is not longer already."""
        with self._changed:
            self._until = max(self._until, time.monotonic() + seconds)

    def slow_down(self, began: int) -> None:
        """Allow half as many requests, once for all those that were sent in the same round."""
        with self._changed:
            if began == self._round:
                self._round += 1
                self._good = 0
                self.allowed = max(1, self.allowed // 2)

    def note_good(self) -> None:
        """Count a good answer, and allow one more request when there have been enough of them."""
        with self._changed:
            if self.allowed == self._most:
                return
            self._good += 1
            if self._good >= self.allowed:
                self._good = 0
                self.allowed += 1
                self._changed.notify_all()


def _waits() -> Generator[float, Any, None]:
    """Seconds before each retry: twice as many each time, with jitter, and no less than the server asks for."""
    error = yield 0.0
    wait = 1.0
    while True:
        asked = getattr(error, "retry_after", None) or 0.0
        # Beyond what is asked for, a little of our own, so that not all threads come back in the same instant.
        error = yield max(asked, random.uniform(wait / 2, wait))  # noqa: S311
        wait = min(wait * 2, LONGEST_WAIT)


def _retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After``, which comes as seconds or as a date, capped."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 (NaN)


def _named_parameter(names: Iterable[str], body: bytearray) -> str | None:
    """The parameter that the body of an error names as a whole word; the body itself is never shown."""
    words = set(re.findall(r"\w+", body[:10_000].decode("utf-8", "replace")))
    return max((name for name in names if name.removesuffix("[]") in words), key=len, default=None)
