"""The tap's authentication against a server whose refresh tokens serve once: what several test files use."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_factorialhr.auth import make_authenticator
from tap_factorialhr.errors import SessionError
from tap_factorialhr.http_session import Session
from tap_factorialhr.retry_policy import RetryPolicy
from tests.support.http import exchange

if TYPE_CHECKING:
    from tap_factorialhr.authenticators import FactorialAuthenticator, Flow

CLIENT = {"client_id": "the-client", "client_secret": "the-secret"}
LOGIN = {"refresh_token": "refresh-0", **CLIENT}
AT_ONCE = RetryPolicy(retries=1, first_wait=0.01, longest_asked=30.0)
"""Stands in for the tap's policy of token requests where a test should not wait."""
SECRETS = ("refresh-0", "refresh-1", "access-0", "access-1", "the-secret", "SECRET-BODY")


def make(config: dict[str, Any], base_url: str, timeout: tuple[float, float] = (2.0, 2.0)) -> FactorialAuthenticator:
    session = Session(base_url, connections=2)
    return make_authenticator(config, session=session, base_url=base_url, timeout=timeout)


def read(authenticator: FactorialAuthenticator, base_url: str) -> int:
    """One request as the tap sends it; its status."""
    with requests.Session() as session:
        return exchange(authenticator, session, requests.Request("GET", f"{base_url}/api/x"))


def rejecting(flow: Flow) -> str:
    """What a request carries the second time, after its first answer was a 401."""
    answer = requests.Response()
    answer.status_code = 401
    return flow.send(answer).headers["Authorization"]


def failure(authenticator: FactorialAuthenticator, base_url: str) -> str:
    """The error of a request that cannot be sent, and proof that it says no secret on the way."""
    with pytest.raises(SessionError) as caught:
        read(authenticator, base_url)
    shown = "".join(traceback.format_exception(caught.value)) + repr(_chain(caught.value))
    assert not [secret for secret in SECRETS if secret in shown]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _chain(error: BaseException | None) -> list[str]:
    said = []
    while error is not None:
        said.append(repr(error) + repr(getattr(error, "request", None)) + repr(getattr(error, "doc", None)))
        error = error.__cause__ or error.__context__
    return said


def prepared(url: str) -> requests.PreparedRequest:
    return requests.Request("GET", url).prepare()
