"""The token request: the only request of the tap that is not a GET, and what its answers mean.

A refresh token serves once (API notes, section Authentication), so this is the one request that must never be repeated
blindly: when its answer is lost, the old token may be dead and the new one unknown.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import requests
import urllib3.exceptions

from tap_factorialhr.http_session import is_untrusted, reason_of, refusal_of_proxy
from tap_factorialhr.oauth_session import LOG_IN_AGAIN, OAuthSession
from tap_factorialhr.watchdog import EndlessError, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_factorialhr.retry_policy import RetryPolicy

_LARGEST_ANSWER = 1 << 20
_LIMIT_SECONDS = 15.0
"""How long to wait where there are too many token requests and the server does not say: limits count by the minute."""
_EARLY_STATUSES = frozenset({requests.codes.request_timeout, 425})


@dataclasses.dataclass(frozen=True, slots=True)
class Renewed:
    """There are new tokens.

    Attributes:
        session: The session that they make.
    """

    session: OAuthSession


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """There are none, and asking again would not change that.

    Attributes:
        what: What happened, without a full stop.
        advice: What to do about it.
        is_token: It is the refresh token that was refused, and another one may do.
    """

    what: str
    advice: str
    is_token: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """The server may have renewed the session, and we do not have the tokens.

    Attributes:
        what: What happened, without a full stop.
        can_repeat: Asking again may help.
    """

    what: str
    can_repeat: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class TryLater:
    """The refresh token has not been used up.

    Attributes:
        what: What happened, without a full stop.
        asked: Seconds that the server asks to wait, None where it does not say.
    """

    what: str
    asked: float | None = None


_REFRESH_TOKEN_REFUSED = Refused(
    "Factorial refused the refresh token: it was used before, or has run out", LOG_IN_AGAIN, is_token=True
)
_CODE_REFUSED = Refused(
    "Factorial refused the code: it was used before, has run out, or belongs to another application or redirect URI",
    "Run login again; the redirect URI has to be the one that is registered",
)

Outcome: TypeAlias = Renewed | Refused | Lost | TryLater


class TokenEndpoint:
    """Asks for new tokens.

    Args:
        base_url: The server, whose `/oauth/token` it is.
        session: The HTTP session to send with.
        timeout: Seconds to wait for a connection and for each part of the answer.
        policy: Says which `Retry-After` is honoured.
    """

    def __init__(
        self, base_url: str, *, session: requests.Session, timeout: tuple[float, float], policy: RetryPolicy
    ) -> None:
        self._url = f"{base_url.rstrip('/')}/oauth/token"
        self._session = session
        self._timeout = timeout
        self._policy = policy

    def refresh(self, current: OAuthSession) -> Outcome:
        """Ask once for new tokens.

        Args:
            current: The session whose refresh token is handed in.

        Returns:
            What came of it; no exception, since one of the HTTP library would carry the secrets.
        """
        grant = {"grant_type": "refresh_token", "refresh_token": current.refresh_token}
        return self._ask(grant, current, _REFRESH_TOKEN_REFUSED)

    def exchange(self, application: OAuthSession, *, code: str, redirect_uri: str, verifier: str | None) -> Outcome:
        """Exchange a code for the first tokens of a session. A code serves once.

        Args:
            application: Holds client id and secret; of its tokens none is used.
            code: What came of the login in the browser.
            redirect_uri: The one that the code was asked for with.
            verifier: What the PKCE challenge was made from (RFC 7636), None where there was none.

        Returns:
            What came of it; no exception, as with `refresh`.
        """
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if verifier:
            grant["code_verifier"] = verifier
        return self._ask(grant, application, _CODE_REFUSED)

    def _ask(self, grant: Mapping[str, str], current: OAuthSession, refused: Refused) -> Outcome:
        form = {**grant, "client_id": current.client_id, "client_secret": current.client_secret}
        sent_at = datetime.now(UTC)
        body = bytearray()
        try:
            with self._session.post(
                self._url,
                data=form,
                headers={"Accept": "application/json"},
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                lost = self._read(response, into=body)
        except requests.RequestException as error:
            return _no_answer(error)
        except OSError as error:
            return _cut_off(error)
        answer = _object(body)
        if requests.codes.ok <= response.status_code < requests.codes.multiple_choices:
            # Tokens that have come are taken, however their answer ended: an object of JSON shows by itself that it is
            # whole, and the refresh token before them is used up.
            renewed = current.renewed_by(answer, sent_at)
            return Renewed(renewed) if renewed else lost or Lost("the token endpoint's answer holds no usable tokens")
        asked = self._policy.asked(response.headers.get("Retry-After"))
        return lost or _failed(response.status_code, answer.get("error"), asked, refused)

    def _read(self, response: requests.Response, *, into: bytearray) -> Lost | None:
        """Read the body of an answer; what is wrong where it did not come to its end."""
        try:
            is_whole = read_body(response.raw, into, most=_LARGEST_ANSWER, seconds=self._timeout[1])
        except EndlessError:
            is_whole = False
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return _cut_off(error)
        return None if is_whole else Lost("the token endpoint's answer does not end", can_repeat=False)


def _cut_off(error: Exception) -> Lost:
    return Lost(f"the answer was cut off ({type(error).__name__})")


def _object(body: bytearray) -> Mapping[str, Any]:
    """The JSON object in a body; an empty one when there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _no_answer(error: requests.RequestException) -> Outcome:
    """What a request without an answer means: whether the server may have seen it is what counts."""
    if isinstance(error, requests.exceptions.SSLError):
        if not is_untrusted(error):  # Perhaps after the request was sent: nothing tells.
            return Lost("the TLS connection to the token endpoint failed")
        return Refused(
            "the server's TLS certificate was not accepted",
            "Check base_url, and name the CA bundle if your network needs one of its own",
        )
    reason = reason_of(error)
    if refusal := refusal_of_proxy(error):
        what, advice = refusal
        return Refused(what, f"{advice[:1].upper()}{advice[1:]}")
    never_sent = isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError) or isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
    )
    if never_sent:
        return TryLater("there is no connection to the server")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return Refused("the token endpoint's address is not usable", "Check base_url")
    what = "timed out" if isinstance(error, requests.Timeout) else f"was cut off ({type(error).__name__})"
    return Lost(f"the token endpoint's answer {what}")


def _failed(status: int, code: object, asked: float | None, refused: Refused) -> Outcome:
    """What a status other than that of success means. Of the body, OAuth's error code alone is read."""
    what = f"the token endpoint answered with HTTP {status}"
    if status >= requests.codes.internal_server_error or status in _EARLY_STATUSES:
        return Lost(what)
    if status == requests.codes.too_many_requests:
        return TryLater(what, _LIMIT_SECONDS if asked is None else asked)
    return _refused(status, code, what, refused)


def _refused(status: int, code: object, what: str, refused: Refused) -> Refused:
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        return Refused(f"{what}, a redirect, which is not followed", "Check base_url")
    if code == "invalid_grant":
        return refused
    # Tuples, since whatever JSON can hold may stand here, and not all of it can be looked up in a set.
    if code in ("invalid_client", "unauthorized_client") or status == requests.codes.unauthorized:
        return Refused("Factorial refused client_id or client_secret", "Check both against the OAuth application")
    if status == requests.codes.not_found:
        return Refused(what, "Check base_url: there is no token endpoint on that server")
    known = ("invalid_request", "unsupported_grant_type", "invalid_scope")
    detail = f" ({code})" if isinstance(code, str) and code in known else ""
    return Refused(f"{what}{detail}", f"Check base_url, client_id and client_secret. {LOG_IN_AGAIN}")
