"""The authentication methods of the simulated company."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import requests

from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.sandbox import EMPLOYEES, get

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


@pytest.fixture
def own() -> Iterator[Sandbox]:
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


def test_the_key_is_no_bearer_token(served: Sandbox) -> None:
    for headers in ({"Authorization": f"Bearer {served.api_key}"}, {"x-api-key": "wrong"}, {"accept": "*/*"}):
        answer = get(served, EMPLOYEES, **headers)
        assert (answer.status_code, answer.json()) == (401, {"errors": None})


def token(sandbox: Sandbox, **form: str) -> requests.Response:
    data = {"client_id": sandbox.oauth.client_id, "client_secret": sandbox.oauth.client_secret, **form}
    return requests.post(f"{sandbox.base_url}/oauth/token", data=data, timeout=10)


def test_refresh_tokens_rotate_and_access_tokens_expire(own: Sandbox) -> None:
    own.oauth.access_token_lifetime = 0.2
    old = own.oauth.issue_tokens()["refresh_token"]
    new = token(own, grant_type="refresh_token", refresh_token=old).json()
    bearer = {"Authorization": f"Bearer {new['access_token']}"}
    assert get(own, "api_public/credentials", **bearer).status_code == 200
    time.sleep(0.25)
    assert get(own, "api_public/credentials", **bearer).status_code == 401
    dead = token(own, grant_type="refresh_token", refresh_token=old)
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")
    assert token(own, grant_type="refresh_token", refresh_token=new["refresh_token"]).status_code == 200
    assert (own.oauth.refreshes, own.oauth.invalid_grants) == (2, 1)


def test_a_code_serves_once(own: Sandbox) -> None:
    form = {"grant_type": "authorization_code", "code": own.oauth.issue_code()}
    uri = own.oauth.redirect_uri
    assert token(own, **form, redirect_uri=uri).status_code == 200
    assert token(own, **form, redirect_uri=uri).json()["error"] == "invalid_grant"


def test_a_wrong_client_is_refused(own: Sandbox) -> None:
    answer = token(own, grant_type="refresh_token", refresh_token="any", client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_lost_token_answer_has_spent_the_refresh_token(own: Sandbox) -> None:
    old = own.oauth.issue_tokens()["refresh_token"]
    own.token_faults = ["reset"]
    with pytest.raises(requests.ConnectionError):
        token(own, grant_type="refresh_token", refresh_token=old)
    assert own.oauth.refreshes == 1
    assert token(own, grant_type="refresh_token", refresh_token=old).json()["error"] == "invalid_grant"
