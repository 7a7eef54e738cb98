"""A session that is renewed, refused or lost, against a server whose refresh tokens serve once."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError

from tap_factorialhr import auth, token_endpoint
from tap_factorialhr.auth import TOKEN_POLICY, UNUSED_POLICY
from tap_factorialhr.errors import CredentialsError
from tap_factorialhr.http_session import Session
from tap_factorialhr.oauth_session import LOG_IN_AGAIN, OAuthSession
from tap_factorialhr.token_endpoint import Lost, Outcome, Refused, Renewed, TokenEndpoint, TryLater
from tap_factorialhr.watchdog import TunnelError
from tests.support.authentication import AT_ONCE, CLIENT, LOGIN, SECRETS, failure, make, prepared, read, rejecting
from tests.support.oauth_server import Fault, OAuthServer

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("short_pauses")


class TestRefresh:
    def test_first_request_gets_an_access_token(self, server: OAuthServer) -> None:
        authenticator = make(LOGIN, server.url)
        assert server.forms == []
        assert [read(authenticator, server.url) for _ in range(3)] == [200, 200, 200]
        assert server.forms == [{"grant_type": "refresh_token", **LOGIN}]
        assert server.token_headers[0]["Content-Type"] == "application/x-www-form-urlencoded"

    def test_a_given_access_token_serves_until_it_is_refused(self, server: OAuthServer) -> None:
        server.ends["access-0"] = time.monotonic() + 3600
        authenticator = make({**LOGIN, "access_token": "access-0"}, server.url)
        assert read(authenticator, server.url) == 200
        assert server.forms == []
        server.ends.clear()
        assert read(authenticator, server.url) == 200
        assert len(server.forms) == 1

    def test_tokens_of_two_seconds_are_used_and_renewed_in_time(self, server: OAuthServer) -> None:
        server.lifetime = 2
        authenticator = make(LOGIN, server.url)
        end = time.monotonic() + 2.4
        statuses = []
        while time.monotonic() < end:
            statuses.append(read(authenticator, server.url))
            time.sleep(0.02)
        assert set(statuses) == {200}
        assert 2 <= len(server.forms) <= 5

    def test_a_refused_access_token_is_renewed_once_by_many_threads(self, server: OAuthServer) -> None:
        authenticator = make(LOGIN, server.url)
        read(authenticator, server.url)
        server.ends.clear()
        start = threading.Barrier(16)

        def one(_: int) -> int:
            start.wait()
            return read(authenticator, server.url)

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(one, range(16))) == {200}
        assert len(server.forms) == 2

    def test_a_thread_that_was_refused_earlier_takes_the_current_token(self, server: OAuthServer) -> None:
        authenticator = make(LOGIN, server.url)
        flows = [authenticator.flow(prepared(f"{server.url}/x")) for _ in range(2)]
        assert [next(flow).headers["Authorization"] for flow in flows] == ["Bearer access-1"] * 2
        assert [rejecting(flow) for flow in flows] == ["Bearer access-2"] * 2
        assert len(server.forms) == 2

    def test_a_request_that_is_refused_twice_is_not_sent_a_third_time(self, server: OAuthServer) -> None:
        authenticator = make(LOGIN, server.url)
        flow = authenticator.flow(prepared(f"{server.url}/x"))
        next(flow)
        rejecting(flow)
        with pytest.raises(CredentialsError, match="HTTP 401"):
            rejecting(flow)

    @pytest.mark.parametrize(
        "extra",
        [
            {"created_at": 1_000_000_000},
            {"created_at": 99_999_999_999},
            {"created_at": "2001-02-03T04:05:06Z"},
            {"created_at": None, "expires_in": None},
            {"created_at": [], "expires_in": "soon"},
            {"created_at": 1e300, "expires_in": -1},
            {"token_type": None},
        ],
    )
    def test_odd_answers_and_clocks(self, server: OAuthServer, extra: dict[str, Any]) -> None:
        server.extra = extra
        authenticator = make(LOGIN, server.url)
        assert [read(authenticator, server.url) for _ in range(3)] == [200, 200, 200]
        assert len(server.forms) == 1

    def test_an_answer_without_refresh_token_keeps_the_old_one(self, server: OAuthServer) -> None:
        server.extra = {"refresh_token": None}
        authenticator = make(LOGIN, server.url)
        flow = authenticator.flow(prepared(f"{server.url}/x"))
        next(flow)
        server.number = 0
        rejecting(flow)
        assert [form["refresh_token"] for form in server.forms] == ["refresh-0", "refresh-0"]

    def test_a_token_may_be_of_another_type(self, server: OAuthServer) -> None:
        server.extra = {"token_type": "MAC"}
        request = make(LOGIN, server.url).authenticate_request(prepared(f"{server.url}/x"))
        assert request.headers["Authorization"] == "MAC access-1"

    def test_a_netrc_does_not_count(self, server: OAuthServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        read(make(LOGIN, server.url), server.url)
        assert "Authorization" not in server.token_headers[0]

    def test_renewing_tells_no_secret_to_the_log(self, server: OAuthServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        server.faults = [Fault(503)]
        authenticator = make(LOGIN, server.url)
        read(authenticator, server.url)
        assert "trying again in" in caplog.text
        assert not [secret for secret in SECRETS if secret in caplog.text + repr(vars(authenticator))]


class TestRefused:
    def test_a_used_refresh_token(self, server: OAuthServer) -> None:
        server.number = 5
        authenticator = make(LOGIN, server.url)
        assert "refused the refresh token" in (message := failure(authenticator, server.url))
        assert "log in again" in message
        failure(authenticator, server.url)
        assert len(server.forms) == 1, "a refused token is not offered again"

    def test_a_wrong_client_secret(self, server: OAuthServer) -> None:
        message = failure(make({**LOGIN, "client_secret": "wrong"}, server.url), server.url)
        assert "client_id or client_secret" in message
        assert len(server.forms) == 1

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (Fault(307, headers=(("Location", "http://127.0.0.1:1/oauth/token"),)), "redirect"),
            (Fault(404), "base_url"),
            (Fault(401), "client_secret"),
            (Fault(400, b'{"error": "invalid_request"}'), "invalid_request"),
            (Fault(400, b'{"error": "SECRET-BODY"}'), "HTTP 400"),
            (Fault(400, b'{"error": ["SECRET-BODY"]}'), "HTTP 400"),
            (Fault(403, b"[" * 100_000), "HTTP 403"),
        ],
    )
    def test_other_refusals_end_at_once(self, server: OAuthServer, fault: Fault, said: str) -> None:
        server.faults = [fault]
        assert said in failure(make(LOGIN, server.url), server.url)
        assert len(server.forms) == 1

    def test_too_many_requests_waits_as_told(self, server: OAuthServer) -> None:
        server.faults = [Fault(429, headers=(("Retry-After", "1"),))]
        began = time.monotonic()
        assert read(make(LOGIN, server.url), server.url) == 200
        assert time.monotonic() - began >= 1

    @pytest.mark.parametrize("retry_after", [None, "1"])
    def test_a_rate_limit_that_lasts_is_waited_out(
        self, server: OAuthServer, monkeypatch: pytest.MonkeyPatch, retry_after: str | None
    ) -> None:
        monkeypatch.setattr(auth, "UNUSED_POLICY", replace(UNUSED_POLICY, first_wait=0.01))
        monkeypatch.setattr(token_endpoint, "_LIMIT_SECONDS", 0.2)
        server.faults = [Fault(429, headers=(("Retry-After", retry_after),) if retry_after else ())] * 4
        began = time.monotonic()
        assert read(make(LOGIN, server.url), server.url) == 200
        assert time.monotonic() - began >= 4 * float(retry_after or 0.2)
        assert server.refused == []

    def test_a_rate_limit_of_a_minute_is_within_the_policy(self) -> None:
        asked = UNUSED_POLICY.retries * token_endpoint._LIMIT_SECONDS
        assert asked > 60
        assert TOKEN_POLICY.asked("60") == 60

    def test_an_endless_answer_is_given_up(self, server: OAuthServer) -> None:
        server.faults = [Fault(200, b" " * (3 << 20))]
        assert "may have been used up" in failure(make(LOGIN, server.url), server.url)


LOST = [
    Fault(500),
    Fault(503),
    Fault(408),
    Fault(200, b"<html>SECRET-BODY"),
    Fault(200, b'{"access_token": "access-1'),
    Fault(200, b'{"access_token": "access\\n1", "refresh_token": "SECRET-BODY"}'),
    Fault(200, b"x" * 100, cut=True),
    Fault(200, b"[" * 100_000),
]


class TestLostAnswers:
    @pytest.mark.parametrize("fault", LOST)
    def test_one_more_try(self, server: OAuthServer, fault: Fault) -> None:
        server.faults = [fault]
        assert read(make(LOGIN, server.url), server.url) == 200
        assert len(server.forms) == 2

    @pytest.mark.parametrize("fault", LOST)
    def test_never_a_third(self, server: OAuthServer, fault: Fault) -> None:
        server.faults = [fault, fault]
        authenticator = make(LOGIN, server.url)
        for _ in range(2):
            message = failure(authenticator, server.url)
            assert "may have been used up" in message
            assert "log in again" in message
        assert len(server.forms) == 2

    def test_renewed_unheard(self, server: OAuthServer) -> None:
        server.faults = [Fault(200, b"x" * 100, cut=True, renews=True)]
        message = failure(make(LOGIN, server.url), server.url)
        assert "was lost" in message
        assert "log in again" in message
        assert [form["refresh_token"] for form in server.forms] == ["refresh-0", "refresh-0"]

    def test_timeout(self, server: OAuthServer) -> None:
        server.faults = [Fault(silence=0.5), Fault(silence=0.5)]
        authenticator = make(LOGIN, server.url, timeout=(2.0, 0.1))
        assert "timed out" in failure(authenticator, server.url)

    def test_an_answer_that_drips_comes_to_an_end(self, server: OAuthServer) -> None:
        server.faults = [Fault(body=b"x" * 2_000, drip=0.01)] * 2
        authenticator = make(LOGIN, server.url, timeout=(2.0, 0.2))
        began = time.monotonic()
        assert "does not end" in failure(authenticator, server.url)
        assert time.monotonic() - began < 10

    def test_a_server_that_was_never_reached_has_used_nothing_up(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        message = failure(make(LOGIN, url), url)
        assert "no connection" in message
        assert "used up" not in message

    @pytest.mark.parametrize("status", [503, 400])
    def test_another_program_has_renewed_meanwhile(self, server: OAuthServer, tmp_path: Path, status: int) -> None:
        """A client without our lock writes the file while our request is under way."""
        path = tmp_path / "session.json"
        authenticator = make({**LOGIN, "token_file": str(path)}, server.url)
        server.faults = [Fault(status, b'{"error": "invalid_grant"}', silence=0.3)]

        def meanwhile() -> None:
            while not server.forms:
                time.sleep(0.01)
            answer = server.renew()
            kept = json.loads(path.read_text()) | {k: answer[k] for k in ("access_token", "refresh_token")}
            path.write_text(json.dumps(kept | {"created_at": datetime.now(UTC).isoformat()}))

        other = threading.Thread(target=meanwhile)
        other.start()
        assert read(authenticator, server.url) == 200
        other.join()
        assert len(server.forms) == 1
        assert server.reads[-1]["Authorization"] == "Bearer access-1"


ENDPOINT = "The token endpoint answered with"
NOT_RENEWED = "The session could not be renewed: "
WAS_LOST = (
    ", and the answer to a token request was lost. The refresh token may have been used up. Run again; if it is "
    f"refused: {LOG_IN_AGAIN}"
)


class TestWhatIsSaid:
    """Word for word, since it is what a person has to go by."""

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (
                Fault(400, b'{"error": "invalid_grant"}'),
                f"Factorial refused the refresh token: it was used before, or has run out. {LOG_IN_AGAIN}",
            ),
            *(
                (fault, "Factorial refused client_id or client_secret. Check both against the OAuth application")
                for fault in (
                    Fault(401),
                    Fault(400, b'{"error": "invalid_client"}'),
                    Fault(400, b'{"error": "unauthorized_client"}'),
                )
            ),
            (Fault(302), f"{ENDPOINT} HTTP 302, a redirect, which is not followed. Check base_url"),
            (Fault(404), f"{ENDPOINT} HTTP 404. Check base_url: there is no token endpoint on that server"),
            *(
                (
                    Fault(400, json.dumps({"error": code}).encode()),
                    f"{ENDPOINT} HTTP 400 ({code}). Check base_url, client_id and client_secret. {LOG_IN_AGAIN}",
                )
                for code in ("invalid_request", "unsupported_grant_type", "invalid_scope")
            ),
            (
                Fault(403, b'["invalid_request"]'),
                f"{ENDPOINT} HTTP 403. Check base_url, client_id and client_secret. {LOG_IN_AGAIN}",
            ),
        ],
    )
    def test_of_a_refusal(self, server: OAuthServer, fault: Fault, says: str) -> None:
        server.faults = [fault]
        assert failure(make(LOGIN, server.url), server.url) == says

    @pytest.mark.parametrize(
        ("fault", "what"),
        [
            (Fault(503), "the token endpoint answered with HTTP 503"),
            (Fault(200, b"[]"), "the token endpoint's answer holds no usable tokens"),
            (Fault(200, b'{"access_token": "a", "token_type": "x y"}'), "the token endpoint's answer holds no usable"),
            (Fault(200, b"x" * 100, cut=True), "the answer was cut off (ProtocolError)"),
            (Fault(200, b" " * (3 << 20)), "the token endpoint's answer does not end"),
        ],
    )
    def test_of_an_answer_that_is_lost(self, server: OAuthServer, fault: Fault, what: str) -> None:
        server.faults = [fault, fault]
        message = failure(make(LOGIN, server.url), server.url)
        assert message.startswith(f"{NOT_RENEWED}{what}")
        assert message.endswith(WAS_LOST)

    def test_of_a_server_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auth, "UNUSED_POLICY", AT_ONCE)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        later = "Run again later; the tokens are as they were"
        assert failure(make(LOGIN, url), url) == f"{NOT_RENEWED}there is no connection to the server. {later}"

    def test_of_an_answer_that_does_not_come(self, server: OAuthServer) -> None:
        server.faults = [Fault(silence=0.3), Fault(silence=0.3)]
        message = failure(make(LOGIN, server.url, timeout=(2.0, 0.05)), server.url)
        assert message == f"{NOT_RENEWED}the token endpoint's answer timed out{WAS_LOST}"

    def test_of_what_is_tried_again(self, server: OAuthServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "tap-factorialhr")
        server.faults = [Fault(503)]
        assert read(make(LOGIN, server.url), server.url) == 200
        assert [message for message in caplog.messages if "session" in message] == [
            "Renewing the session: the token endpoint answered with HTTP 503; trying again in 0.0 s",
            "The session was renewed",
        ]


APPLICATION = OAuthSession("", client_id=CLIENT["client_id"], client_secret=CLIENT["client_secret"])


class TestTheFirstTokens:
    def endpoint(self, server: OAuthServer) -> TokenEndpoint:
        session = Session(server.url, connections=1)
        return TokenEndpoint(f"{server.url}/", session=session, timeout=(2.0, 2.0), policy=AT_ONCE)

    @pytest.mark.parametrize("verifier", ["the-verifier", None])
    def test_come_for_a_code(self, server: OAuthServer, verifier: str | None) -> None:
        server.faults = [Fault(200, b'{"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 60}')]
        outcome = self.endpoint(server).exchange(
            APPLICATION, code="the-code", redirect_uri="http://127.0.0.1/back", verifier=verifier
        )
        assert isinstance(outcome, Renewed)
        assert (outcome.session.access_token, outcome.session.refresh_token) == ("access-1", "refresh-1")
        assert outcome.session.expires_in == 60
        expected = {
            "grant_type": "authorization_code",
            "code": "the-code",
            "redirect_uri": "http://127.0.0.1/back",
            **CLIENT,
        }
        assert server.forms == [expected | ({"code_verifier": verifier} if verifier else {})]
        assert server.token_headers[0]["Accept"] == "application/json"

    def test_do_not_come_for_a_code_that_was_used(self, server: OAuthServer) -> None:
        server.faults = [Fault(400, b'{"error": "invalid_grant"}')]
        outcome = self.endpoint(server).exchange(
            APPLICATION, code="the-code", redirect_uri="http://127.0.0.1/back", verifier=None
        )
        assert outcome == Refused(
            "Factorial refused the code: it was used before, has run out, or belongs to another application or "
            "redirect URI",
            "Run login again; the redirect URI has to be the one that is registered",
        )

    @pytest.mark.parametrize(("headers", "seconds"), [((("Retry-After", "7"),), 7.0), ((), 15.0)])
    def test_have_to_be_waited_for_where_there_were_too_many_requests(
        self, server: OAuthServer, headers: tuple[tuple[str, str], ...], seconds: float
    ) -> None:
        server.faults = [Fault(429, headers=headers)]
        outcome = self.endpoint(server).refresh(dataclasses.replace(APPLICATION, refresh_token="refresh-0"))
        assert outcome == TryLater("the token endpoint answered with HTTP 429", seconds)


class Failing(requests.Session):
    """Sends nothing, and fails as it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def post(self, *_: Any, **__: Any) -> requests.Response:
        raise self.error


def refused_by_a_proxy(status: int) -> requests.exceptions.ProxyError:
    error = TunnelError(HTTPConnection("proxy.example"), "the proxy makes no tunnel")
    error.status = status
    return requests.exceptions.ProxyError(MaxRetryError(HTTPConnectionPool("a.example"), "/", error))


NO_CONNECTION = TryLater("there is no connection to the server")
CUT_OFF = Lost("the token endpoint's answer was cut off (ConnectionError)")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (
            requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"),
            Refused(
                "the server's TLS certificate was not accepted",
                "Check base_url, and name the CA bundle if your network needs one of its own",
            ),
        ),
        (requests.exceptions.SSLError("EOF"), Lost("the TLS connection to the token endpoint failed")),
        *(
            (error("x"), Refused("the token endpoint's address is not usable", "Check base_url"))
            for error in (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
        ),
        (requests.ConnectTimeout(), NO_CONNECTION),
        (requests.exceptions.ProxyError(), NO_CONNECTION),
        (refused_by_a_proxy(503), NO_CONNECTION),
        (
            refused_by_a_proxy(407),
            Refused("the proxy wants a login (HTTP 407)", "Put user and password into HTTPS_PROXY"),
        ),
        (requests.ReadTimeout("x"), Lost("the token endpoint's answer timed out")),
        (requests.ConnectionError(), CUT_OFF),
        (requests.ConnectionError("x"), CUT_OFF),
        (OSError(), Lost("the answer was cut off (OSError)")),
    ],
)
def test_whether_the_server_may_have_seen_it_is_what_counts(error: Exception, outcome: Outcome) -> None:
    endpoint = TokenEndpoint("https://a.example", session=Failing(error), timeout=(2.0, 2.0), policy=AT_ONCE)
    assert endpoint.refresh(APPLICATION) == outcome


class TestTheEndOfARun:
    def test_begins_no_renewal(self, server: OAuthServer) -> None:
        authenticator = make(LOGIN, server.url)
        authenticator.settle(-1.0)
        assert failure(authenticator, server.url) == "The run is over"
        assert server.forms == []

    def test_sees_one_that_is_under_way_to_its_end(self, server: OAuthServer, caplog: pytest.LogCaptureFixture) -> None:
        authenticator = make(LOGIN, server.url)
        server.faults = [Fault(200, b'{"access_token": "access-1", "refresh_token": "refresh-1"}', silence=0.2)]
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(authenticator.authenticate_request, prepared(f"{server.url}/x"))
            while not server.forms:
                time.sleep(0.005)
            authenticator.settle(0.01)  # Too short: it is left to itself.
            assert not sent.done()
            assert "did not end in time: its new tokens may be lost" in caplog.messages[-1]
            authenticator.settle(10.0)
            assert sent.result(10).headers["Authorization"] == "Bearer access-1"
        assert failure(authenticator, server.url) == "The run is over"

    def test_keeps_the_first_reason(self, server: OAuthServer) -> None:
        server.number = 5
        authenticator = make(LOGIN, server.url)
        before = failure(authenticator, server.url)
        authenticator.settle(1.0)
        assert failure(authenticator, server.url) == before
