"""`tap-factorialhr login`: from the page in the browser to a session that runs renew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import filelock
import pytest
import requests
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.authorization import OUT_OF_BAND, AuthorizationRequest
from tap_factorialhr.commands.login import command
from tap_factorialhr.errors import SessionError
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support import browser
from tests.support.tap import TAP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tap import TapRunner

PROGRAM = f"{sys.executable} -P {browser.__file__}"
BROWSER = f"{PROGRAM} %s"
CATCH = "http://127.0.0.1/callback"


@pytest.fixture
def own() -> Iterator[Sandbox]:
    with Sandbox(Company(3)) as sandbox:
        yield sandbox


class Login:
    """The command as a process, for an OAuth application of a sandbox."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.file = folder / "session.json"
        self.config: dict[str, Any] = {
            "base_url": sandbox.base_url,
            "client_id": sandbox.oauth.client_id,
            "client_secret": sandbox.oauth.client_secret,
            "token_file": str(self.file),
        }
        self._config_file = folder / "login.json"

    def start(
        self, *options: str, browser: str = "", redirect_uri: str = CATCH, stdout: Any = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        self._config_file.write_text(json.dumps(self.config))
        env = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
        return subprocess.Popen(
            [
                *TAP,
                "login",
                "--config",
                str(self._config_file),
                "--redirect-uri",
                redirect_uri,
                "--wait",
                "50",
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=env | {"BROWSER": browser},
        )

    def run(self, *options: str, browser: str = BROWSER, redirect_uri: str = CATCH, typed: str = "") -> tuple[int, str]:
        """Run it to its end; gives the exit code and all that was said, in which no secret may stand."""
        process = self.start(*options, browser=browser, redirect_uri=redirect_uri)
        out, errors = process.communicate(typed, timeout=180)
        return self.judged(process.returncode, out + errors)

    def here(self, *options: str, redirect_uri: str = CATCH) -> tuple[int, str]:
        """The same in this process, which is faster. The first browser of a process is that of all others in it."""
        self._config_file.write_text(json.dumps(self.config))
        env = {"BROWSER": BROWSER, "DISPLAY": None, "WAYLAND_DISPLAY": None}
        given = [f"--config={self._config_file}", f"--redirect-uri={redirect_uri}", "--wait=50", *options]
        result = CliRunner(env=env).invoke(command, given)
        return self.judged(result.exit_code, result.output)

    def judged(self, code: int, said: str) -> tuple[int, str]:
        assert "Traceback" not in said
        secrets = [self.sandbox.oauth.client_secret]
        with contextlib.suppress(FileNotFoundError, ValueError):
            secrets += [value for name, value in self.kept.items() if name.endswith("_token")]
        assert not [secret for secret in secrets if secret in said]
        return code, said

    @property
    def kept(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    @property
    def exchanges(self) -> int:
        """How many token requests there were."""
        return sum(record.path == "/oauth/token" for record in self.sandbox.requests)


@pytest.fixture
def login(own: Sandbox, tmp_path: Path) -> Login:
    return Login(own, tmp_path)


def page_in(process: subprocess.Popen[str]) -> str:
    """The address that a process asks to open; it listens for the answer by then."""
    assert process.stdout
    return next(line.strip() for line in process.stdout if line.startswith("  http"))


def last_line(said: str) -> str:
    return said.strip().splitlines()[-1]


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_a_line(login: Login, number: signal.Signals) -> None:
    process = login.start()
    page_in(process)
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert login.judged(process.returncode, out + errors)[0] == 128 + number
    assert last_line(errors).startswith("Stopped. Nothing was exchanged")
    assert not login.file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_the_exchange_loses_no_tokens(login: Login, number: signal.Signals) -> None:
    process = login.start()
    page = page_in(process)
    login.sandbox.latency = 1.0
    threading.Thread(target=browser.press_by_http, args=(page, "allow"), daemon=True).start()
    for _ in range(600):
        if login.exchanges:
            break
        threading.Event().wait(0.05)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    code, said = login.judged(process.returncode, out + errors)
    assert code == 0, said
    assert "one moment" in said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_a_signal_while_another_process_has_the_session_ends_it(login: Login) -> None:
    process = login.start("--paste")
    page_in(process)
    with filelock.FileLock(f"{login.file}.lock"):
        assert process.stdin
        process.stdin.write("the-code\n")
        process.stdin.flush()
        for _ in range(300):
            threading.Event().wait(0.1)
            process.send_signal(signal.SIGINT)  # While it waits for the lock, at some time.
            if process.poll() is not None:
                break
        out, errors = process.communicate(timeout=60)
    assert login.judged(process.returncode, out + errors)[0] == 130
    assert not login.exchanges


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


@given(st.text())
def test_whatever_is_pasted_is_a_code_or_an_error_of_one_line(pasted: str) -> None:
    request = AuthorizationRequest("https://api.example/oauth/authorize", "the-client", OUT_OF_BAND)
    try:
        code, told = request.code_in(pasted), ""
    except SessionError as error:
        code, told = "", str(error)
    assert code in {"", pasted.strip()}
    assert len((code or told).splitlines()) == 1


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8910/callback?", "http://127.0.0.1:8910/callback?", "example.com/callback?", "?", ""]
)
def test_an_address_may_be_pasted_as_browsers_show_it(address: str) -> None:
    request = AuthorizationRequest("https://api.example/oauth/authorize", "c", "http://127.0.0.1:8910/callback")
    assert request.code_in(f"{address}code=the-code&state={request.state}") == "the-code"
    with pytest.raises(SessionError, match="does not belong to this login"):
        request.code_in(f"{address}code=the-code&state=another")


def test_a_signal_after_the_session_is_kept_says_that_it_is(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("tap_factorialhr.commands.login._say_what_to_set", interrupted)
    _, said = login.here()
    assert "Stopped. You are logged in, and the session is kept." in said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_tokens_that_could_not_be_kept_are_said_to_be_lost(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise SessionError("token_database cannot be written")

    monkeypatch.setattr("tap_factorialhr.session_store.SharedStore.save", gone)
    code, said = login.here()
    assert code == 1
    assert "cannot be written. The code is used up and its tokens are lost, so run login again" in said


def test_what_cannot_work_is_told_before_anybody_logs_in(login: Login, tmp_path: Path) -> None:
    code, said = login.here("--authorize-url", "javascript:alert(1)")
    assert code == 1
    assert "--authorize-url is no address" in last_line(said)
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
