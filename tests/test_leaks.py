"""Secrets and people's data stay where they belong, and credentials go to one server only."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.numbers import STREAMS
from tests.support.tap import Run, TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PERSON = "Markerita Leakington"
SECRETS = {name: f"SECRET-{name}-marker" for name in ("api_key", "client_id", "client_secret", "access_token")}
DEBUG = {"LOGLEVEL": "DEBUG", "TAP_FACTORIALHR_LOGLEVEL": "DEBUG"}
WAYS = ("api_key", "access_token", "refresh_token", "token_file")


@pytest.fixture
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=4, untidy=True)) as sandbox:
        sandbox.api_key = SECRETS["api_key"]
        sandbox.oauth.client_id = SECRETS["client_id"]
        sandbox.oauth.client_secret = SECRETS["client_secret"]
        for row in sandbox.company.rows("employees/employees"):
            sandbox.company.touch("employees/employees", row["id"], first_name=PERSON)
        yield sandbox


def settings_for(sandbox: Sandbox, way: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The settings of an authentication method, and all secrets that belong to it."""
    config = config_for(sandbox, max_retries=0)
    del config["api_key"]
    if way == "api_key":
        return {**config, "api_key": sandbox.api_key}, [sandbox.api_key]
    tokens = sandbox.oauth.issue_tokens()
    if way == "access_token":
        return {**config, "access_token": tokens["access_token"]}, [tokens["access_token"]]
    oauth = {
        "refresh_token": tokens["refresh_token"],
        "client_id": sandbox.oauth.client_id,
        "client_secret": sandbox.oauth.client_secret,
    }
    if way == "token_file":
        oauth["token_file"] = str(folder / "tokens.json")
    return {**config, **oauth}, [tokens["access_token"], *list(oauth.values())[:3]]


def secrets_of_file(folder: Path) -> list[str]:
    file = folder / "tokens.json"
    if not file.exists():
        return []
    session = json.loads(file.read_text())
    return [session[name] for name in ("access_token", "refresh_token", "client_id", "client_secret")]


def shown(run: Run) -> str:
    """What a run shows to others than the target: its log, and its states."""
    states = [line for line in run.stdout.splitlines() if '"STATE"' in line[:40]]
    return "\n".join([run.stderr, *states])


def assert_nothing_leaks(text: str, secrets: list[str]) -> None:
    for value in [*secrets, *SECRETS.values(), PERSON]:
        assert value not in text


ODD_ROW = {"id": "1", "never_heard_of": PERSON, "birthday_on": PERSON}
ODD_VALUES = Answer(200, json.dumps({"data": [ODD_ROW]}).encode())
ANSWERS = {
    "a good one": (None, 0),
    "401": (Answer(401, PERSON.encode()), 1),
    "403": (Answer(403, PERSON.encode()), 1),
    "422": (Answer(422, json.dumps({"errors": PERSON}).encode()), 1),
    "500": (Answer(500, PERSON.encode(), {"x-person": PERSON}), 1),
    "html": (Answer(200, f"<html>{PERSON}</html>".encode()), 1),
    "odd values": (ODD_VALUES, 0),
    "a redirect": (Answer(302, b"", {"location": f"http://127.0.0.2:9/?name={PERSON.split(maxsplit=1)[0]}"}), 1),
}


@pytest.mark.parametrize(
    ("way", "case"),
    [*((way, "a good one") for way in WAYS), *(("api_key", case) for case in [*ANSWERS][1:]), ("token_file", "401")],
)
def test_nothing_leaks_whatever_the_answer(tap: TapRunner, company: Sandbox, way: str, case: str) -> None:
    config, secrets = settings_for(company, way, tap.folder)
    answer, code = ANSWERS[case]
    catalog = tap.catalog("employees", "contracts_contract_activity_periods")
    company.answer = lambda record: answer if record.resource == "employees/employees" else None
    run = tap(config, catalog=catalog, **DEBUG)
    expected = 0 if case == "403" else code  # The other stream can be read.
    assert run.code == expected, run.stderr[-1500:]
    assert "Traceback" not in run.stderr
    assert_nothing_leaks(shown(run), [*secrets, *secrets_of_file(tap.folder)])
    ids = [row["id"] for row in company.company.rows("contracts/contracts")]
    assert not [one for one in ids if str(one) in run.stderr]
    if case == "a good one":
        assert run.records["employees"][0]["first_name"] == PERSON


def test_nothing_leaks_where_an_expression_of_the_user_fails(tap: TapRunner, company: Sandbox) -> None:
    config, secrets = settings_for(company, "api_key", tap.folder)
    config["stream_maps"] = {"employees": {"number": "int(first_name)"}}
    run = tap(config, catalog=tap.catalog("employees"), **DEBUG)
    assert run.code == 1
    assert "Traceback" not in run.stderr
    assert_nothing_leaks(shown(run), secrets)


@pytest.mark.parametrize("option", ["--about", "--discover", "--test"])
def test_nothing_leaks_through_the_other_commands(tap: TapRunner, company: Sandbox, option: str) -> None:
    config, secrets = settings_for(company, "refresh_token", tap.folder)
    catalog = tap.catalog("employees") if option == "--test" else None
    run = tap(config, option, catalog=catalog, **DEBUG)
    assert run.code == 0, run.stderr[-1500:]
    assert_nothing_leaks(run.stderr if option == "--test" else run.stdout + run.stderr, secrets)


MARKER = "SECRET-of-a-wrong-setting"


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": [MARKER]},
        {"api_key": f"{MARKER}\nx"},
        {"api_key": "key", "access_token": MARKER},
        {"refresh_token": MARKER},
        {"refresh_token": MARKER, "client_id": MARKER, "client_secret": {"is": MARKER}},
        {"access_token": MARKER, "page_size": MARKER},
        {"base_url": f"https://user:{MARKER}@localhost"},
        {"token_file": "wrong.json"},
    ],
)
def test_wrong_settings_are_not_repeated(tap: TapRunner, settings: dict[str, Any]) -> None:
    tap.file("wrong.json", {"refresh_token": {"is": MARKER}, "client_secret": MARKER})
    (tap.folder / "wrong.json").chmod(0o600)
    run = tap(settings, **DEBUG)
    assert (run.code, run.stdout) == (1, "")
    assert MARKER not in run.stderr
    assert "Traceback" not in run.stderr


def test_the_process_list_shows_no_secret(tap: TapRunner, company: Sandbox) -> None:
    config, secrets = settings_for(company, "refresh_token", tap.folder)
    company.latency = 1.0
    process = subprocess.Popen(
        tap.command(config), cwd=tap.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not company.requests and process.poll() is None:
            time.sleep(0.02)
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    finally:
        process.kill()
        process.wait()
    assert "tap_factorialhr" in line
    assert_nothing_leaks(line, secrets)


@contextlib.contextmanager
def recording(context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """Another server, that notes what it is asked and with which headers."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {dict(self.headers)}")
            body = b'{"data": [], "meta": {"has_next_page": false}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (the name that the server calls)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{'https' if context else 'http'}://localhost:{server.server_address[1]}", seen
        server.shutdown()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(tap: TapRunner, company: Sandbox, status: int) -> None:
    config, _ = settings_for(company, "api_key", tap.folder)
    with recording() as (url, seen):
        company.answer = lambda _: Answer(status, b"", {"location": url})
        run = tap(config, catalog=tap.catalog("teams"))
        assert run.code == 1
        assert "redirect" in run.stderr.splitlines()[-1]
        assert seen == []


def test_a_redirect_to_no_address_is_told_as_one(tap: TapRunner, company: Sandbox) -> None:
    config, _ = settings_for(company, "api_key", tap.folder)
    company.answer = lambda _: Answer(302, b"", {"location": "http://["})
    run = tap(config, catalog=tap.catalog("teams"))
    assert run.code == 1
    assert "redirect" in run.stderr.splitlines()[-1]


def test_neither_netrc_nor_a_proxy_gets_in_between(tap: TapRunner, company: Sandbox) -> None:
    config, _ = settings_for(company, "refresh_token", tap.folder)
    tap.file(".netrc", "machine 127.0.0.1 login somebody password else\n")
    (tap.folder / ".netrc").chmod(0o600)
    catalog = tap.catalog("teams")
    with recording() as (proxy, seen):
        everywhere = {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}
        run = tap(config, catalog=catalog, HOME=str(tap.folder), **everywhere)
        assert run.code == 0, run.stderr
        assert seen == []
    assert run.records["teams"]


def test_all_requests_of_a_full_sync_are_reads_but_for_the_tokens(tap: TapRunner, company: Sandbox) -> None:
    config, secrets = settings_for(company, "token_file", tap.folder)
    run = tap(config, **DEBUG)
    assert run.code == 0, run.stderr[-1500:]
    assert {(one.method, one.path) for one in company.requests if one.method != "GET"} == {("POST", "/oauth/token")}
    assert len({one.resource for one in company.requests if one.resource}) == STREAMS
    assert_nothing_leaks(shown(run), [*secrets, *secrets_of_file(tap.folder)])


def test_tls_is_verified_and_a_bundle_of_the_settings_counts(tap: TapRunner, certificate: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    # Only its certificate, as one would name it.
    bundle = tap.file(
        "ca.pem",
        re.sub(r"-----BEGIN PRIVATE.*?-----END PRIVATE KEY-----\n", "", Path(certificate).read_text(), flags=re.DOTALL),
    )
    with recording(context) as (url, seen):
        config = {"base_url": url, "api_key": "key", "max_retries": 3}
        catalog = tap.catalog("teams")
        refused = tap(config, catalog=catalog, PYTHONHTTPSVERIFY="0")
        assert refused.code == 1
        assert "teams: the server's TLS certificate could not be verified" in refused.stderr.splitlines()[-1]
        assert "trying again" not in refused.stderr
        assert seen == []

        trusted = tap({**config, "ca_bundle": bundle}, catalog=catalog)
        assert trusted.code == 0, trusted.stderr
        assert len(seen) == 1

        import certifi  # noqa: PLC0415 (comes with requests)

        others = {"REQUESTS_CA_BUNDLE": certifi.where(), "CURL_CA_BUNDLE": certifi.where()}
        named = tap({**config, "ca_bundle": bundle}, catalog=catalog, **others)
        assert named.code == 0, named.stderr
        narrowed = tap({**config, "ca_bundle": certifi.where()}, catalog=catalog, REQUESTS_CA_BUNDLE=bundle)
        assert narrowed.code == 1
        assert len(seen) == 2


def test_a_handshake_that_breaks_off_is_tried_again(tap: TapRunner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listening.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        config = {"base_url": f"https://localhost:{listening.getsockname()[1]}", "api_key": "key", "max_retries": 1}
        run = tap(config, catalog=tap.catalog("teams"))
        listening.shutdown(socket.SHUT_RDWR)
    assert run.code == 1
    assert "given up after 1 retry" in run.stderr.splitlines()[-1]
    assert "certificate" not in run.stderr


def test_a_bundle_without_certificates_is_one_clear_line(tap: TapRunner) -> None:
    run = tap({"api_key": "key", "ca_bundle": tap.file("empty.pem", "nothing")})
    assert run.code == 1
    assert "ca_bundle: the file holds no certificates" in run.stderr.splitlines()[-1]
