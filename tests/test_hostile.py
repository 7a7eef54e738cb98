"""Answers that mean harm: each is read right or ends in a clear error, within bounds of memory and time."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import client as client_module
from tap_factorialhr.client import RetriableError, SlowError
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.sandbox import Answer
from tests.support.http import client_for, head, serving_bytes

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tap_factorialhr.sandbox import RequestRecord, Sandbox
    from tests.conftest import Figure
    from tests.support.tap import TapRunner


_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
PEAK = (sys.executable, "-c", _PEAK)
"""Runs a command and prints the most memory that it held, in KiB, as its last line."""


def test_a_body_without_end_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGEST_BODY", 4 << 20)
    sent = [0]

    def answer(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 2147483648"))
        while True:
            sent[0] += connection.send(b" " * 65536)

    with serving_bytes(answer) as url, pytest.raises(FactorialError, match="teams: an answer is larger than 4 MiB"):
        client_for(url).get("teams", "teams/teams", ())
    assert sent[0] < 64 << 20


def test_the_body_of_an_error_is_not_read_to_its_end() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 2147483648", status="503 Busy"))
        while True:
            connection.sendall(b"x" * 65536)

    with serving_bytes(answer) as url, pytest.raises(RetriableError, match="teams: HTTP 503"):
        client_for(url).get("teams", "teams/teams", ())


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGEST_BODY", 4 << 20)
    packed = gzip.compress(bytes(256 << 20), compresslevel=1)

    def answer(connection: socket.socket) -> None:
        connection.sendall(head(f"Content-Length: {len(packed)}", "Content-Encoding: gzip") + packed)

    tracemalloc.start()
    try:
        with serving_bytes(answer) as url, pytest.raises(FactorialError, match="larger than 4 MiB"):
            client_for(url).get("teams", "teams/teams", ())
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_packed_answer_is_read() -> None:
    packed = gzip.compress(b'{"data": [{"id": "1"}], "meta": {}}')

    def answer(connection: socket.socket) -> None:
        connection.sendall(head(f"Content-Length: {len(packed)}", "Content-Encoding: gzip") + packed)

    with serving_bytes(answer) as url:
        assert client_for(url).get("teams", "teams/teams", ()).rows == [{"id": "1"}]


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_comes_to_an_end(framing: str) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head(framing) + (b"186A0\r\n" if "chunked" in framing else b""))
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    with serving_bytes(answer) as url:
        began = time.monotonic()
        with pytest.raises(SlowError, match="teams: the answer does not come to its end in time"):
            client_for(url, timeout=0.3).get("teams", "teams/teams", ())
        assert 1.0 < time.monotonic() - began < 5


@pytest.mark.parametrize("part", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["a header that drips", "1xx"])
def test_headers_without_end_come_to_an_end(part: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " if part == b"x" else part)
        while True:
            connection.sendall(part)
            time.sleep(0.05)

    with serving_bytes(answer) as url:
        began = time.monotonic()
        with pytest.raises(SlowError, match="teams: no answer in time"):
            client_for(url, timeout=0.3).get("teams", "teams/teams", ())
        assert 1.0 < time.monotonic() - began < 5


def test_an_interim_answer_is_none() -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(head(status="103 Early Hints"))

    with serving_bytes(answer) as url, pytest.raises(RetriableError, match="teams: HTTP 103"):
        client_for(url).get("teams", "teams/teams", ())


def test_cookies_are_neither_kept_nor_sent_back() -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        body = b'{"data": [], "meta": {}}'
        connection.sendall(
            head("Set-Cookie: a=" + "b" * 3000, f"Content-Length: {len(body)}", "Connection: close") + body
        )

    with serving_bytes(answer, seen) as url:
        client = client_for(url)
        for _ in range(3):
            client.get("teams", "teams/teams", ())
    assert len(seen) == 3
    assert not any(b"cookie" in request.lower() for request in seen)


def test_an_answer_of_far_more_values_than_bytes_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_OBJECTS", 400_000)
    body = b'{"data":[' + b",".join([b"{}"] * 500_000) + b'],"meta":{}}'

    def answer(connection: socket.socket) -> None:
        connection.sendall(head(f"Content-Length: {len(body)}") + body)

    with serving_bytes(answer) as url, pytest.raises(FactorialError, match="holds more than 400,000 objects"):
        client_for(url).get("teams", "teams/teams", ())


def test_an_answer_of_far_more_numbers_than_a_list_needs_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_VALUES", 600_000)
    body = b'{"data":[{"id":"1","numbers":[' + b",".join([b"1"] * 700_000) + b']}],"meta":{}}'

    def answer(connection: socket.socket) -> None:
        connection.sendall(head(f"Content-Length: {len(body)}") + body)

    with serving_bytes(answer) as url, pytest.raises(FactorialError, match="600,000 values"):
        client_for(url).get("teams", "teams/teams", ())


def test_one_large_answer_at_a_time_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGE_TURN", 1000)
    large = b'{"data": [{"id": "1"}], "meta": {}' + b" " * 3000 + b"}"
    began, may_end = threading.Event(), threading.Event()
    bodies = [large, large, b'{"data": [], "meta": {}}']

    def answer(connection: socket.socket) -> None:
        body = bodies.pop(0)
        is_first = len(bodies) == 2
        connection.sendall(head(f"Content-Length: {len(body)}", "Connection: close") + body[:2000])
        if is_first:
            began.set()
            may_end.wait(20)
        connection.sendall(body[2000:])

    with serving_bytes(answer) as url, ThreadPoolExecutor(3) as pool:
        client = client_for(url, concurrency=3)
        first = pool.submit(client.get, "teams", "teams/teams", ())
        assert began.wait(20)
        time.sleep(0.2)  # It has got so far that it has the turn.
        second = pool.submit(client.get, "teams", "teams/teams", ())
        while len(bodies) > 1:
            time.sleep(0.01)
        third = pool.submit(client.get, "teams", "teams/teams", ())
        assert third.result(20).rows == []
        assert not first.done()
        assert not second.done()
        may_end.set()
        assert [one.result(20).rows for one in (first, second)] == [[{"id": "1"}]] * 2


def test_the_rows_of_a_large_answer_need_little_more_than_their_text(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], figure: Figure
) -> None:
    """As objects they would need five times as much."""
    row = b'{"id":"%d","name":"x","description":"' + b"y" * 100 + b'","company_id":"1","employee_ids":["1","2","3"]}'
    body = b'{"data":[' + b",".join(row % number for number in range(100_000)) + b'],"meta":{"limit":null}}'
    peaks = []
    tap.wrapper = PEAK
    for content in (b'{"data":[],"meta":{}}', body):
        sandbox.answer = lambda _, content=content: Answer(body=content)
        try:
            run = tap({**config, "concurrency": 1}, catalog=tap.catalog("teams"))
        finally:
            sandbox.answer = None
        assert run.code == 0, run.stderr[-500:]
        peaks.append(int(run.stderr.splitlines()[-1]) * 1024)
    assert run.stdout.count('"RECORD"') == 100_000
    figure(f"{len(body) >> 20} MiB of text, {(peaks[1] - peaks[0]) >> 20} MiB of memory")
    assert peaks[1] - peaks[0] < 2.5 * len(body)


def envelope(row: str) -> bytes:
    return f'{{"data": [{row}], "meta": {{"has_next_page": false, "total": 1, "limit": 100}}}}'.encode()


READ_RIGHT = {
    "a million characters": (envelope('{"id": "1", "name": "' + "x" * 1_000_000 + '"}'), "x" * 1_000_000),
    "control characters and NUL": (
        envelope(r'{"id": "1", "name": "a\u0000\u001b[31m\n\u2028b"}'),
        "a\0\x1b[31m\n\u2028b",
    ),
    "half a character": (envelope(r'{"id": "1", "name": "a\ud800b"}'), "a\ufffdb"),
    "a key twice": (envelope('{"id": "1", "name": "first", "name": "last"}'), "last"),
    "a number past doubles": (envelope('{"id": "1", "name": "ok", "company_id": 1e400}'), "ok"),
    "text in place of a list": (envelope('{"id": "1", "name": "ok", "employee_ids": "none"}'), "ok"),
}
REFUSED = {
    "deep nesting": b'{"data": ' + b"[" * 200_000,
    "deep nesting in a field": envelope('{"id": "1", "name": ' + "[" * 50_000 + "]" * 50_000 + "}"),
    "not UTF-8": b'{"data": [{"id": "1", "name": "\xff\xfe"}], "meta": {}}',
    "rows that are no objects": b'{"data": [1, null, "x"], "meta": {}}',
}


def run_teams(tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], body: Callable[[RequestRecord], bytes]) -> Any:
    catalog = tap.catalog("teams")
    sandbox.answer = lambda record: Answer(200, body(record)) if record.resource == "teams/teams" else None
    try:
        return tap({**config, "max_retries": 0}, catalog=catalog)
    finally:
        sandbox.answer = None


@pytest.mark.parametrize("case", READ_RIGHT)
def test_odd_values_are_read_right(tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], case: str) -> None:
    body, name = READ_RIGHT[case]
    run = run_teams(tap, sandbox, config, lambda _: body)
    assert run.code == 0, run.stderr[-1000:]
    # Each message is one line, whatever a value holds.
    lines = run.stdout.encode("utf-8", "surrogateescape").split(b"\n")[:-1]
    assert [message["record"]["name"] for message in map(json.loads, lines) if message["type"] == "RECORD"] == [name]


def test_rows_without_a_key_are_told(tap: TapRunner, sandbox: Sandbox, config: dict[str, Any]) -> None:
    rows = '{"name": "a"}, {"id": null, "name": "b"}, {"id": "3", "name": "c"}'
    run = run_teams(tap, sandbox, config, lambda _: envelope(rows))
    assert len(run.records["teams"]) == 3
    assert "teams: 2 rows came without a value of the key id" in run.stderr


def test_rows_that_a_catalog_gives_no_key_lack_none(tap: TapRunner, config: dict[str, Any]) -> None:
    stream = "project_management_projects"
    catalog = tap.catalog(stream)
    (entry,) = [one for one in catalog["streams"] if one["tap_stream_id"] == stream]
    entry["key_properties"] = []
    for part in entry["metadata"]:
        if part["breadcrumb"] == ["properties", "id"]:
            part["metadata"] = {"inclusion": "available", "selected": False}
        if not part["breadcrumb"]:
            part["metadata"]["table-key-properties"] = []
    run = tap(config, catalog=catalog)
    assert run.code == 0, run.stderr
    assert run.records[stream]
    assert "without a value of the key" not in run.stderr


def test_an_id_of_no_known_kind_ends_no_run(tap: TapRunner, sandbox: Sandbox, config: dict[str, Any]) -> None:
    sandbox.answer = lambda record: (
        Answer(200, envelope('{"id": ["1"]}')) if record.resource == "finance/contacts" else None
    )
    try:
        run = tap(config, catalog=tap.catalog("finance_contacts"))
    finally:
        sandbox.answer = None
    assert run.code == 0, run.stderr
    assert "became null in field id" in run.stderr


def test_null_characters_are_replaced_where_that_is_asked_for(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any]
) -> None:
    row = r'{"id": "1", "name": "a\u0000b", "description": "\\u0000 \\\u0000", "employee_ids": ["\u0000"]}'
    records = {}
    for wanted in (False, True):
        run = run_teams(tap, sandbox, {**config, "replace_null_characters": wanted}, lambda _: envelope(row))
        assert run.code == 0, run.stderr[-1000:]
        (record,) = run.records["teams"]
        records[wanted] = [record[name] for name in ("name", "description", "employee_ids")]
    assert records[False] == ["a\0b", "\\u0000 \\\0", ["\0"]]
    assert records[True] == ["a\ufffdb", "\\u0000 \\\ufffd", ["\ufffd"]]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_clear_line(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], case: str
) -> None:
    run = run_teams(tap, sandbox, config, lambda _: REFUSED[case])
    assert run.code == 1
    assert "teams: HTTP 200" in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert "RECORD" not in run.stdout


def test_a_cursor_that_grows_is_followed_no_further_than_its_bound(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any]
) -> None:
    def body(record: RequestRecord) -> bytes:
        cursor = (record.get("after_id") or "c") * 2
        row = {"id": str(len(cursor))}
        return json.dumps({"data": [row], "meta": {"has_next_page": True, "end_cursor": cursor}}).encode()

    run = run_teams(tap, sandbox, {**config, "pagination": "cursor"}, body)
    assert run.code == 1
    assert "teams: the server's cursor is longer than" in run.stderr.splitlines()[-1]
    assert "cccc" not in run.stderr
