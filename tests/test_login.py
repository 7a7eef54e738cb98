"""`tap-factorialhr login`: from the page in the browser to a session that runs renew."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.authorization import OUT_OF_BAND, AuthorizationRequest
from tap_factorialhr.errors import SessionError
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support import browser
from tests.support.login import BROWSER, PROGRAM, Login, last_line, page_in
from tests.support.tap import TAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tap import TapRunner


@pytest.fixture
def own() -> Iterator[Sandbox]:
    with Sandbox(Company(3)) as sandbox:
        yield sandbox


@pytest.fixture
def login(own: Sandbox, tmp_path: Path) -> Login:
    return Login(own, tmp_path)


# --- the way it should go


@pytest.mark.parametrize("pkce", ["checked", "ignored", "refused"])
def test_a_login_makes_the_session_that_runs_go_on_with(login: Login, tap: TapRunner, pkce: Any) -> None:
    login.sandbox.oauth.pkce = pkce
    code, said = login.run()
    assert code == 0, said
    assert f"token_file     {login.file}" in said
    assert login.file.stat().st_mode & 0o077 == 0
    assert [line for line in said.splitlines() if len(line) > 80 and not line.startswith("  ")] == []
    asked = [dict(record.params) for record in login.sandbox.requests if record.path == "/oauth/authorize"]
    assert "code_challenge" in asked[0]
    assert ("without" in said) == (pkce == "refused")
    login.sandbox.oauth.expire_access_tokens()
    config = {"base_url": login.sandbox.base_url, "token_file": str(login.file)}
    run = tap(config, catalog=tap.catalog("teams"))
    assert run.code == 0, run.stderr
    assert len(run.records["teams"]) == 6
    assert login.sandbox.oauth.refreshes == 1


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="there is no Chromium with its driver here")
def test_a_real_browser_goes_through_the_page(login: Login) -> None:
    code, said = login.run("--wait=170", browser=f"{PROGRAM} --chromium %s")
    assert code == 0, said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_the_settings_may_come_from_the_environment_and_the_file_from_an_option(login: Login) -> None:
    env = {
        "TAP_FACTORIALHR_BASE_URL": login.sandbox.base_url,
        "TAP_FACTORIALHR_CLIENT_ID": login.sandbox.oauth.client_id,
        "TAP_FACTORIALHR_CLIENT_SECRET": login.sandbox.oauth.client_secret,
    }
    done = subprocess.run(
        [*TAP, "login", "--token-file", str(login.file), "--redirect-uri", "http://127.0.0.1/callback"],
        capture_output=True,
        text=True,
        env=os.environ | env | {"BROWSER": BROWSER},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_old_credentials_in_the_settings_are_named_and_do_not_come_back(login: Login, tap: TapRunner) -> None:
    old = login.sandbox.oauth.issue_tokens()
    login.config |= {"refresh_token": old["refresh_token"]}
    code, said = login.here()
    assert code == 0, said
    assert "Take out of them, since the session takes its place: refresh_token\n" in said
    run = tap(login.config, catalog=tap.catalog("teams"))
    assert run.code == 0, run.stderr
    assert login.sandbox.oauth.refreshes == 0  # The new session was good, and the old token was not tried.


def test_a_code_can_be_pasted(login: Login) -> None:
    process = login.start(redirect_uri=OUT_OF_BAND)
    shown = re.search(r'<code id="code">([^<]+)</code>', browser.press_by_http(page_in(process), "allow"))
    assert shown
    out, errors = process.communicate(f"  {shown.group(1)} \n", timeout=30)
    code, said = login.judged(process.returncode, out + errors)
    assert code == 0, said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_a_code_can_be_pasted_where_the_browser_does_not_come_back(login: Login) -> None:
    """As from another machine, whose browser looks for the address there and finds nothing."""
    process = login.start()
    asked = {name: values[0] for name, values in parse_qs(urlsplit(page_in(process)).query).items()}
    issued = login.sandbox.oauth.issue_code(asked["redirect_uri"], asked["code_challenge"])
    address = f"{asked['redirect_uri']}?code={issued}&state={asked['state']}\n"
    out, errors = process.communicate(f"\n{address}", timeout=30)
    code, said = login.judged(process.returncode, out + errors)
    assert code == 0, said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


@pytest.mark.parametrize("is_own", [True, False])
def test_an_address_can_be_pasted_and_has_to_be_of_this_login(login: Login, is_own: bool) -> None:
    login.sandbox.oauth.redirect_uri = "https://app.example/callback"
    process = login.start(redirect_uri="https://app.example/callback")
    state = parse_qs(urlsplit(page_in(process)).query)["state"][0]
    issued = login.sandbox.oauth.issue_code()
    address = f"https://app.example/callback?code={issued}&state={state if is_own else 'another'}\n"
    out, errors = process.communicate(address, timeout=30)
    code, said = login.judged(process.returncode, out + errors)
    assert (code, login.exchanges, login.file.exists()) == ((0, 1, True) if is_own else (1, 0, False)), said
    assert is_own or "does not belong to this login" in last_line(said)


def test_a_browser_that_is_gone_has_brought_its_code(login: Login) -> None:
    process = login.start(browser="'a quote that stays open %s")
    asked = parse_qs(urlsplit(page_in(process)).query)
    back = urlsplit(asked["redirect_uri"][0])
    answer = urlencode({"code": login.sandbox.oauth.issue_code(back.geturl()), "state": asked["state"][0]})
    for target in ("http://[x/callback?code=any", f"{back.geturl()}?{answer}"):  # the latter as for a proxy
        with socket.create_connection((back.hostname or "", back.port or 0)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {back.netloc}\r\n\r\n".encode())
            time.sleep(0.1)
    out, errors = process.communicate(timeout=30)
    code, said = login.judged(process.returncode, out + errors)
    assert (code, login.exchanges) == (0, 1), said


# --- what can go wrong


def test_who_denies_is_told_so(login: Login) -> None:
    code, said = login.run(browser=f"{PROGRAM} --deny %s")
    assert (code, login.exchanges) == (1, 0)
    assert "access_denied" in last_line(said)
    assert not login.file.exists()


def test_an_answer_with_another_state_is_not_exchanged(login: Login) -> None:
    process = login.start()
    back = parse_qs(urlsplit(page_in(process)).query)["redirect_uri"][0]
    code = login.sandbox.oauth.issue_code(back)
    elsewhere = back.replace("/callback", "/favicon.ico")
    assert requests.get(elsewhere, params={"code": code, "state": "any"}, timeout=10).status_code == 404
    assert requests.get(back, timeout=10).status_code == 404
    assert requests.get(back, params={"code": code, "state": "another"}, timeout=10).status_code == 200
    out, errors = process.communicate(timeout=30)
    assert login.judged(process.returncode, out + errors)[0] == 1
    assert "its state is another one" in last_line(errors)
    assert (login.exchanges, login.file.exists()) == (0, False)


def test_a_refused_code_is_one_line(login: Login) -> None:
    login.sandbox.oauth.code_lifetime = 0
    code, said = login.here()
    assert (code, login.exchanges) == (1, 1)
    assert "refused the code" in last_line(said)
    assert not login.file.exists()


def test_a_wrong_secret_is_one_line(login: Login) -> None:
    login.config["client_secret"] = "wrong"
    code, said = login.here()
    assert code == 1
    assert "refused client_id or client_secret" in last_line(said)
    assert not login.file.exists()


def test_a_lost_answer_is_one_line(login: Login) -> None:
    login.sandbox.token_faults = ["reset"]
    code, said = login.here()
    assert code == 1
    assert "A code serves once, so run login again" in last_line(said)
    assert not login.file.exists()


def test_a_port_in_use_is_one_line(login: Login) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = login.here(redirect_uri=f"http://127.0.0.1:{port}/callback")
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in last_line(said)
    assert len(said.strip().splitlines()) == 1


def test_a_session_that_is_still_good_is_replaced_on_demand_alone(login: Login) -> None:
    assert login.here()[0] == 0
    before = login.file.read_bytes()
    code, said = login.here()
    assert code == 1
    assert "There is a session already" in last_line(said)
    assert len(said.strip().splitlines()) == 1
    assert login.file.read_bytes() == before
    assert login.here("--replace")[0] == 0
    assert login.kept["access_token"] != json.loads(before)["access_token"]
    over = login.kept | {"created_at": "2020-01-01T00:00:00+00:00", "note": "mine"}
    login.file.write_text(json.dumps(over))
    assert login.here()[0] == 0
    assert login.kept["note"] == "mine"


def test_what_is_no_session_is_left_as_it_is(login: Login) -> None:
    login.file.write_text("a letter")
    code, said = login.here("--replace")
    assert code == 1
    assert "is not valid JSON" in last_line(said)
    assert login.file.read_text() == "a letter"
    assert login.exchanges == 0


def test_a_place_that_cannot_be_written_is_told_before_anybody_logs_in(login: Login, tmp_path: Path) -> None:
    login.config["token_file"] = str(tmp_path / "nowhere" / "session.json")
    code, said = login.here()
    assert code == 1
    assert "its directory must exist" in last_line(said)
    assert login.sandbox.requests == []


def test_nobody_comes_back(login: Login) -> None:
    code, said = login.here("--wait", "1", "--no-browser")
    assert code == 1
    assert "No answer came back within 1 seconds" in last_line(said)


@pytest.mark.parametrize("arguments", [[], ["--paste"]])
def test_without_standard_input_it_is_one_line(login: Login, tmp_path: Path, arguments: list[str]) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(login.config))
    command = " ".join([*TAP, "login", "--no-browser", "--wait", "1", *arguments, "--config", str(config)])
    done = subprocess.run(["sh", "-c", f"{command} <&-"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "unexpected" not in done.stderr
    assert ("No code was pasted" if arguments else "No answer came back") in last_line(done.stderr)


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "token_file"])
def test_what_is_missing_is_named_where_nobody_can_be_asked(login: Login, missing: str) -> None:
    del login.config[missing]
    code, said = login.here()
    assert code == 1
    assert f"{missing} is not set" in last_line(said)
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("address", ["callback", "http://[::1", "http://127.0.0.1:99999/x"])
def test_a_redirect_uri_that_is_no_address_is_one_line(login: Login, address: str) -> None:
    code, said = login.here(redirect_uri=address)
    assert code == 1
    assert "--redirect-uri is no address" in last_line(said)


# --- on a terminal


def test_help_fits_a_terminal_of_80_columns() -> None:
    done = subprocess.run([*TAP, "login", "--help"], capture_output=True, text=True, timeout=30, check=True)
    assert max(map(len, done.stdout.splitlines())) <= 80
    overview = subprocess.run([*TAP, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert re.search(r"^ +login +Log in", overview, re.MULTILINE)


# --- what is pasted


ANYTHING = st.text(st.characters())  # also bytes that are no text, as a terminal of another encoding gives them


@given(ANYTHING | st.builds("?code={}&state={}".format, ANYTHING, ANYTHING))
def test_whatever_is_pasted_is_a_code_or_an_error_of_one_line(pasted: str) -> None:
    request = AuthorizationRequest("https://api.example/oauth/authorize", "the-client", OUT_OF_BAND)
    try:
        code, told = request.code_in(pasted), ""
    except SessionError as error:
        code, told = "", str(error)
    assert code in {"", pasted.strip().strip("\"'<>")}
    assert len((code or told).splitlines()) == 1
    assert code.isascii()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8910/callback?",
        "http://127.0.0.1:8910/callback?",
        "example.com/callback?",
        "?",
        "",
        "http://127.0.0.1:8910/callback#",
    ],
)
def test_an_address_may_be_pasted_as_browsers_show_it(address: str) -> None:
    request = AuthorizationRequest("https://api.example/oauth/authorize", "c", "http://127.0.0.1:8910/callback")
    for form in ("{}", "<{}>", '"{}"', " '{}'\n"):
        assert request.code_in(form.format(f"{address}code=the-code&state={request.state}")) == "the-code"
    with pytest.raises(SessionError, match="does not belong to this login"):
        request.code_in(f"{address}code=the-code&state=another")


def test_tokens_that_could_not_be_kept_are_said_to_be_lost(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise SessionError("token_database cannot be written")

    monkeypatch.setattr("tap_factorialhr.session_store.SharedStore.save", gone)
    code, said = login.here()
    assert code == 1
    assert "cannot be written. The code is used up and its tokens are lost, so run login again" in said


def test_what_cannot_work_is_told_before_anybody_logs_in(login: Login, tmp_path: Path) -> None:
    for page in ("javascript:alert(1)", "http://[", "https://", "https://a.example/#/login"):
        code, said = login.here("--authorize-url", page)
        assert code == 1
        assert "--authorize-url is no address" in last_line(said)
    for address in ("http://[", "nowhere"):
        code, said = login.here("--paste", redirect_uri=address)
        assert code == 1
        assert "--redirect-uri is no address" in last_line(said)
    for seconds in ("nan", "inf", "0", "1e10"):
        assert login.here("--wait", seconds)[0] == 2
    login.config["ca_bundle"] = str(tmp_path / "missing.pem")
    code, said = login.here()
    assert code == 1
    assert "ca_bundle: there is no such file" in last_line(said)
    assert "Open this page" not in said
    assert not login.sandbox.requests


def test_a_full_disk_is_one_line(login: Login) -> None:
    with Path("/dev/full").open("w") as full:
        process = login.start("--paste", stdout=full)
        _, errors = process.communicate("", timeout=60)
    assert process.returncode == 1
    assert "standard output cannot be written: No space left on device" in last_line(errors)


def test_each_request_is_another_one() -> None:
    one, other = (AuthorizationRequest("https://api.example/oauth/authorize", "c", OUT_OF_BAND) for _ in range(2))
    assert one.state != other.state
    assert one.verifier != other.verifier
    assert one.verifier
    assert re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", one.verifier)  # RFC 7636, section 4.1
    assert one.state not in repr(one)
    assert one.verifier not in repr(one)
