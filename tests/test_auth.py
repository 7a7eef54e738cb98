"""Which authentication method the settings describe, and where credentials go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from tap_factorialhr import auth
from tap_factorialhr.authenticators import ApiKeyAuthenticator
from tap_factorialhr.errors import ConfigError, CredentialsError, FactorialError
from tests.support.authentication import LOGIN, failure, make, prepared, read
from tests.support.oauth_server import Fault, OAuthServer

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("status", [201, 203])
def test_tokens_are_tokens_whichever_status_says_that_they_are(server: OAuthServer, status: int) -> None:
    """The refresh token has been used up by then, so that to turn them down would lose the session."""
    server.status = status
    assert read(make(LOGIN, server.url), server.url) == 200


@pytest.mark.parametrize("ending", ["short", "unclosed", "open"])
def test_tokens_are_taken_however_their_answer_ends(server: OAuthServer, ending: str) -> None:
    """As above: the object is whole, whatever the headers had said of what comes after it."""
    server.ending = ending
    assert read(make(LOGIN, server.url, timeout=(2.0, 0.5)), server.url) == 200
    assert len(server.forms) == 1


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("length", [1, 40, -1])
def test_a_part_of_the_tokens_is_none(server: OAuthServer, length: int) -> None:
    whole = json.dumps({"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 60}).encode()
    part = whole[:length]
    server.faults = [Fault(body=part + b" " * len(part), cut=True)] * 2
    assert "the answer was cut off" in failure(make(LOGIN, server.url), server.url)


def test_a_refresh_token_that_nothing_follows_is_told_when_it_has_served(
    server: OAuthServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also a check uses it up, and the run after that would be the first to say so."""
    authenticator = make(LOGIN, server.url)
    for _ in range(2):
        read(authenticator, server.url)
        server.ends.clear()
    told = [message for message in caplog.messages if "Set token_file or token_database" in message]
    assert len(told) == 1
    caplog.clear()
    read(
        make({**LOGIN, "refresh_token": server.refresh_token, "token_file": str(tmp_path / "s")}, server.url),
        server.url,
    )
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.parametrize("spelling", ["bearer", "BEARER"])
def test_the_type_of_a_token_has_no_case(server: OAuthServer, spelling: str) -> None:
    """The API is known to take `Bearer` (API notes), and OAuth lets the token endpoint say it in any case."""
    server.extra = {"token_type": spelling}
    assert read(make(LOGIN, server.url), server.url) == 200
