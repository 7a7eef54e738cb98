"""The authentication methods of the simulated company."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

import pytest
import requests

from tap_factorialhr.sandbox.oauth import OUT_OF_BAND
from tests.support.sandbox import EMPLOYEES, get

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import Sandbox


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


# --- the page


LOOPBACK = "http://127.0.0.1:4711/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The example of RFC 7636, appendix B."""


def page(sandbox: Sandbox, **changed: str | None) -> requests.Response:
    """The page that a request for a code leads to."""
    asked = {
        "response_type": "code",
        "client_id": sandbox.oauth.client_id,
        "redirect_uri": LOOPBACK,
        "state": "a state",
        **changed,
    }
    return requests.get(f"{sandbox.base_url}/oauth/authorize", params=asked, timeout=10, allow_redirects=False)


def press(sandbox: Sandbox, answer: requests.Response, decision: str) -> requests.Response:
    """Press a button of the page, with all that the form holds."""
    assert answer.status_code == 200
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', answer.text)
    form = {name: html.unescape(value) for name, value in fields} | {"decision": decision}
    url = f"{sandbox.base_url}/oauth/authorize"
    return requests.post(url, data=form, timeout=10, allow_redirects=False)


def sent_back(answer: requests.Response, to: str = LOOPBACK) -> dict[str, str]:
    """The parameters with which the browser is sent to the client."""
    assert answer.status_code == 302
    address, _, query = answer.headers["location"].partition("?")
    assert address == to
    return dict(parse_qsl(query))


def exchange(sandbox: Sandbox, code: str, redirect_uri: str = LOOPBACK, **form: str) -> requests.Response:
    return token(sandbox, grant_type="authorization_code", code=code, redirect_uri=redirect_uri, **form)


def test_a_code_comes_back_with_the_state_and_serves_once(own: Sandbox) -> None:
    back = sent_back(press(own, page(own), "allow"))
    assert back.keys() == {"code", "state"}
    assert back["state"] == "a state"
    access_token = exchange(own, back["code"]).json()["access_token"]
    assert get(own, EMPLOYEES, Authorization=f"Bearer {access_token}").status_code == 200
    assert exchange(own, back["code"]).json()["error"] == "invalid_grant"


def test_a_code_is_bound_to_its_redirect_uri_and_runs_out(own: Sandbox) -> None:
    code = sent_back(press(own, page(own), "allow"))["code"]
    assert exchange(own, code, "http://127.0.0.1:4712/callback").json()["error"] == "invalid_grant"
    own.oauth.code_lifetime = 0
    late = sent_back(press(own, page(own), "allow"))["code"]
    assert exchange(own, late).json()["error"] == "invalid_grant"
    assert exchange(own, code).status_code == 200


def test_a_code_that_was_asked_for_with_a_challenge_needs_its_verifier(own: Sandbox) -> None:
    pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code = sent_back(press(own, page(own, **pkce), "allow"))["code"]
    assert exchange(own, code).json()["error"] == "invalid_grant"
    assert exchange(own, code, code_verifier=VERIFIER[::-1]).json()["error"] == "invalid_grant"
    assert exchange(own, code, code_verifier=VERIFIER).status_code == 200
    plain = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}
    assert sent_back(page(own, **plain))["error"] == "invalid_request"


@pytest.mark.parametrize(("pkce", "error"), [("ignored", None), ("refused", "invalid_request")])
def test_a_server_need_not_know_of_challenges(own: Sandbox, pkce: Literal["ignored", "refused"], error: str) -> None:
    own.oauth.pkce = pkce
    answer = page(own, code_challenge=CHALLENGE, code_challenge_method="S256")
    if error:
        assert sent_back(answer) == {"error": error, "state": "a state"}
    else:
        assert exchange(own, sent_back(press(own, answer, "allow"))["code"]).status_code == 200


def test_who_denies_sends_no_code(own: Sandbox) -> None:
    assert sent_back(press(own, page(own), "deny")) == {"error": "access_denied", "state": "a state"}
    assert sent_back(page(own, response_type="token"))["error"] == "unsupported_response_type"


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "another"},
        {"redirect_uri": "https://attacker.example/callback"},
        {"redirect_uri": "http://127.0.0.1:4711/elsewhere"},
        {"redirect_uri": "http://127.0.0.1.attacker.example/callback"},
        {"redirect_uri": None},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_clients(own: Sandbox, changed: dict[str, str]) -> None:
    assert page(own, **changed).status_code == 400


def test_a_registered_address_elsewhere_is_taken_to_the_letter(own: Sandbox) -> None:
    own.oauth.redirect_uri = "https://app.example/callback?tenant=1"
    back = press(own, page(own, redirect_uri=own.oauth.redirect_uri, state=None), "allow")
    assert sent_back(back, "https://app.example/callback").keys() == {"tenant", "code"}
    assert page(own, redirect_uri="https://app.example:8443/callback?tenant=1").status_code == 400
    assert page(own).status_code == 400


def test_a_code_can_be_shown_to_be_copied(own: Sandbox) -> None:
    shown = press(own, page(own, redirect_uri=OUT_OF_BAND), "allow")
    code = re.search(r'<code id="code">([^<]+)</code>', shown.text)
    assert code
    assert exchange(own, code.group(1), OUT_OF_BAND).status_code == 200


def test_the_page_shows_no_foreign_markup(own: Sandbox) -> None:
    answer = page(own, state='"><script>alert(1)</script>')
    assert "<script>" not in answer.text
    assert sent_back(press(own, answer, "allow"))["state"] == '"><script>alert(1)</script>'
