"""The authentication methods, against a local server whose refresh tokens serve once."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import stat
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_factorialhr import auth
from tap_factorialhr.auth import make_authenticator
from tap_factorialhr.authenticators import ApiKeyAuthenticator, FactorialAuthenticator, Flow
from tap_factorialhr.errors import ConfigError, CredentialsError, FactorialError, SessionError
from tap_factorialhr.http_session import Session
from tap_factorialhr.oauth_session import OAuthSession, digest
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.token_endpoint import Outcome, TokenEndpoint
from tests.support.http import exchange
from tests.support.oauth_server import Fault, OAuthServer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT = (2.0, 2.0)
CLIENT = {"client_id": "the-client", "client_secret": "the-secret"}
LOGIN = {"refresh_token": "refresh-0", **CLIENT}
UNUSABLE: list[tuple[str, object]] = [
    *((name, value) for name in auth.SETTINGS for value in ("", 7, 1.5)),
    *(
        (name, value)
        for name in auth.SETTINGS
        if name != "token_file"  # a path may have spaces and accents
        for value in ("SECRET\n", " SECRET", "SECRET\r\nx: y", "SECRETé", "SECRET\ud800")
    ),
    *(("token_file", value) for value in ("a\0b", "a/", "/", "a\ud800", "~nobody-at-all/x")),
]
SECRETS = ("refresh-0", "refresh-1", "access-0", "access-1", "the-secret", "SECRET-BODY")


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "TOKEN_POLICY", RetryPolicy(retries=1, first_wait=0.01, longest_asked=30.0))


def make(config: dict[str, Any], base_url: str, timeout: tuple[float, float] = TIMEOUT) -> FactorialAuthenticator:
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


class TestWhichMethod:
    def test_api_key_goes_into_its_own_header(self, server: OAuthServer) -> None:
        with pytest.raises(CredentialsError, match="HTTP 401"):
            read(make({"api_key": "the-key"}, server.url), server.url)
        assert server.reads[0]["x-api-key"] == "the-key"
        assert "Authorization" not in server.reads[0]

    def test_access_token_is_used_as_it_is(self, server: OAuthServer) -> None:
        config = {"access_token": "access-0", "token_type": "Other"}
        with pytest.raises(CredentialsError, match="HTTP 401"):
            read(make(config, server.url), server.url)
        assert [sent["Authorization"] for sent in server.reads] == ["Other access-0"]
        assert server.forms == []

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({}, ["api_key", "access_token", "refresh_token", "client_id", "client_secret", "token_file"]),
            ({"token_type": "Bearer"}, ["api_key", "token_file"]),
            ({"api_key": "k", "access_token": "a"}, ["api_key", "access_token"]),
            ({"api_key": "k", **LOGIN}, ["api_key", "refresh_token", "client_id", "client_secret"]),
            ({"api_key": "k", "token_file": "f"}, ["api_key", "token_file"]),
            ({"api_key": "k", "client_id": "f"}, ["api_key", "client_id"]),
            ({"access_token": "a", "token_file": "f"}, ["access_token", "token_file"]),
            ({"access_token": "a", "client_id": "i"}, ["client_id", "refresh_token"]),
            ({"client_id": "i", "client_secret": "s"}, ["client_id and client_secret", "refresh_token"]),
            ({"refresh_token": "r"}, ["client_id and client_secret"]),
            ({"refresh_token": "r", "client_id": "i"}, ["client_secret"]),
            ({"refresh_token": "r", "client_secret": "s", "token_file": "f"}, ["client_id"]),
        ],
    )
    def test_mixtures_and_halves_name_the_settings(self, config: dict[str, str], named: list[str]) -> None:
        with pytest.raises(ConfigError) as caught:
            make(config, "https://a.example")
        assert [name for name in named if name not in str(caught.value)] == []

    @pytest.mark.parametrize(("name", "value"), UNUSABLE)
    def test_values_that_cannot_be_sent_name_the_setting(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError, match=rf"^{name}\s") as caught:
            make({name: value}, "https://a.example")
        assert "SECRET" not in str(caught.value)

    @pytest.mark.parametrize("token_type", ["", "two words", "a\r\nb", 3])
    def test_a_token_type_that_is_no_word(self, token_type: object) -> None:
        with pytest.raises(ConfigError, match=r"^token_type\s"):
            make({"access_token": "a", "token_type": token_type}, "https://a.example")

    def test_nulls_are_as_good_as_absent(self) -> None:
        config = dict.fromkeys(auth.SETTINGS) | {"api_key": "k"}
        assert isinstance(make(config, "https://a.example"), ApiKeyAuthenticator)

    @pytest.mark.parametrize(
        "url",
        ["https://b.example/x", "http://a.example/x", "https://a.example:444/x", "https://a.example.b/x", "/x"],
    )
    def test_no_other_server_gets_credentials(self, url: str) -> None:
        request = requests.PreparedRequest()
        request.url, request.headers = url, requests.structures.CaseInsensitiveDict()
        with pytest.raises(FactorialError):
            make({"api_key": "k"}, "https://a.example").authenticate_request(request)
        assert not request.headers

    @pytest.mark.parametrize("url", ["https://a.example/x", "https://a.example:443/x", "https://A.example/x"])
    def test_the_same_server_in_another_spelling(self, url: str) -> None:
        request = make({"api_key": "k"}, "https://a.EXAMPLE/").authenticate_request(prepared(url))
        assert request.headers["x-api-key"] == "k"

    def test_a_host_beyond_ascii(self) -> None:
        request = make({"api_key": "k"}, "https://bücher.example").authenticate_request(
            prepared("https://bücher.example/x")
        )
        assert request.headers["x-api-key"] == "k"


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
        assert "trying once more" in caplog.text
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


class TestWithTokenFile:
    def test_new_tokens_are_in_the_file_before_they_are_used(self, server: OAuthServer, tmp_path: Path) -> None:
        path = tmp_path / "session.json"
        authenticator = make({**LOGIN, "token_file": str(path)}, server.url)
        assert json.loads(path.read_text())["refresh_token"] == "refresh-0"
        authenticator.authenticate_request(prepared(f"{server.url}/x"))
        kept = json.loads(path.read_text())
        assert server.reads == []
        assert {k: kept[k] for k in ("access_token", "refresh_token", "target_url", "expires_in")} == {
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "target_url": server.url,
            "expires_in": 7200,
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_file_of_another_program_that_is_refused_gives_way_to_the_login_of_the_settings(
        self, server: OAuthServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "session.json"
        theirs = {
            "refresh_token": "refresh-used",
            "client_id": LOGIN["client_id"],
            "access_token": "access-old",
            "client_secret": LOGIN["client_secret"],
            "token_type": "Bearer",
            "target_url": server.url,
            "created_at": (datetime.now(UTC) - timedelta(days=2)).isoformat(),
        }
        path.write_text(json.dumps(theirs))
        path.chmod(0o600)
        assert read(make({**LOGIN, "token_file": str(path)}, server.url), server.url) == 200
        assert [form["refresh_token"] for form in server.forms] == ["refresh-used", "refresh-0"]
        kept = json.loads(path.read_text())
        assert (kept["refresh_token"], kept["made_from"]) == ("refresh-1", digest("refresh-0"))
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        assert len(server.forms) == 2

    @pytest.mark.parametrize("again", [LOGIN, {}, CLIENT], ids=["settings", "file alone", "client only"])
    def test_the_next_run_goes_on_with_the_file(
        self, server: OAuthServer, tmp_path: Path, again: dict[str, str]
    ) -> None:
        path = str(tmp_path / "session.json")
        read(make({**LOGIN, "token_file": path}, server.url), server.url)
        authenticator = make({**again, "token_file": path}, server.url)
        assert read(authenticator, server.url) == 200
        assert len(server.forms) == 1
        server.ends.clear()
        assert read(authenticator, server.url) == 200
        assert server.forms[1]["refresh_token"] == "refresh-1"

    def test_a_new_login_in_the_settings_wins(self, server: OAuthServer, tmp_path: Path) -> None:
        path = str(tmp_path / "session.json")
        read(make({**LOGIN, "token_file": path}, server.url), server.url)
        server.number = 41
        config = {**LOGIN, "refresh_token": "refresh-41", "token_file": path}
        assert read(make(config, server.url), server.url) == 200
        assert server.forms[-1]["refresh_token"] == "refresh-41"
        assert read(make(config, server.url), server.url) == 200
        assert len(server.forms) == 2

    def test_a_mistyped_client_secret_is_mended_in_the_settings(self, server: OAuthServer, tmp_path: Path) -> None:
        path = str(tmp_path / "session.json")
        failure(make({**LOGIN, "client_secret": "wrong", "token_file": path}, server.url), server.url)
        assert read(make({**LOGIN, "token_file": path}, server.url), server.url) == 200

    def test_a_refresh_token_over_a_week_old(self, server: OAuthServer, tmp_path: Path) -> None:
        path = tmp_path / "session.json"
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        kept = json.loads(path.read_text())
        kept["created_at"] = (datetime.now(UTC) - timedelta(days=7, minutes=1)).isoformat()
        path.write_text(json.dumps(kept))
        with pytest.raises(SessionError, match=r"over a week ago.*log in again"):
            make({"token_file": str(path)}, server.url)
        kept["created_at"] = (datetime.now(UTC) - timedelta(days=6, hours=23)).isoformat()
        path.write_text(json.dumps(kept))
        assert read(make({"token_file": str(path)}, server.url), server.url) == 200

    def test_a_place_that_cannot_be_written_is_noticed_before_the_token_is_used_up(
        self, server: OAuthServer, tmp_path: Path
    ) -> None:
        authenticator = make({**LOGIN, "token_file": str(tmp_path / "session.json")}, server.url)
        (tmp_path / "session.json.tmp").mkdir()
        assert "could not be written" in failure(authenticator, server.url)
        assert (server.forms, server.reads) == ([], [])

    def test_new_tokens_that_cannot_be_kept_end_the_run(
        self, server: OAuthServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        authenticator = make({**LOGIN, "token_file": str(folder / "session.json")}, server.url)
        refresh = TokenEndpoint.refresh

        def refresh_while_the_folder_goes(endpoint: TokenEndpoint, current: OAuthSession) -> Outcome:
            outcome = refresh(endpoint, current)
            shutil.rmtree(folder)
            return outcome

        monkeypatch.setattr(TokenEndpoint, "refresh", refresh_while_the_folder_goes)
        for _ in range(2):
            message = failure(authenticator, server.url)
            assert "cannot be written" in message
            assert "run ends" in message
        assert len(server.forms) == 1
        assert server.reads == []

    def test_a_token_renewed_by_another_run_is_used(self, server: OAuthServer, tmp_path: Path) -> None:
        config = {**LOGIN, "token_file": str(tmp_path / "session.json")}
        first, second = make(config, server.url), make(config, server.url)
        assert read(first, server.url) == 200
        assert read(second, server.url) == 200
        server.ends.clear()
        assert read(second, server.url) == 200
        assert read(first, server.url) == 200
        assert len(server.forms) == 2
