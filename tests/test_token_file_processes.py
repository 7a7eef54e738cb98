"""The saved session between real processes: shared by many, and killed at any instant.

`TAP_FACTORIALHR_TEST_SECONDS` says how long the sixteen processes run (3 by default; 60 for the long version).
"""

from __future__ import annotations

import dataclasses
import errno
import json
import multiprocessing
import os
import random
import signal
import stat
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import whole_writes
from tap_factorialhr.oauth_session import OAuthSession
from tap_factorialhr.session_store import SharedStore
from tap_factorialhr.token_file import TokenFile
from tests.support.oauth_server import serving
from tests.support.processes import read_for_a_while

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from pathlib import Path
    from types import FrameType

    from tests.conftest import Figure

SECONDS = float(os.environ.get("TAP_FACTORIALHR_TEST_SECONDS", "3"))
PROCESSES = 16
# Each process is forked from one that has no threads, holds no lock, and has done the slow imports.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.processes", __name__])
# Where no server runs in this process, a bare fork is ten times as fast.
FORK = multiprocessing.get_context("fork")

BASE_URL = "https://api.example"
LOGIN = OAuthSession("refresh-0", "the-client", "the-secret")


def kept_in(path: str, settings: OAuthSession | None = None) -> SharedStore:
    return SharedStore(TokenFile(path, lock_seconds=5), base_url=BASE_URL, settings=settings)


def test_sixteen_processes_share_a_file_without_one_invalid_grant(tmp_path: Path, figure: Figure) -> None:
    path = tmp_path / "session.json"
    config = {
        "refresh_token": "refresh-0",
        "client_id": "the-client",
        "client_secret": "the-secret",
        "token_file": str(path),
    }
    results: SimpleQueue[Any] = CONTEXT.SimpleQueue()
    began = time.monotonic()
    with serving(lifetime=2) as server:
        readers = [
            CONTEXT.Process(target=read_for_a_while, args=(config, server.url, SECONDS, results))
            for _ in range(PROCESSES)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(SECONDS + 60)
        assert {reader.exitcode for reader in readers} == {0}
        outcomes = [results.get() for _ in readers]
        refreshes = len(server.forms)
    lasted = time.monotonic() - began
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == []
    assert server.refused == []
    assert all(good > 0 for good in outcomes)
    # One refresh for all of them each time: sixteen that renew for themselves would need sixteen times as many.
    # `created_at` comes in whole seconds, so a token of two seconds may seem to last but one, less the leeway.
    assert SECONDS / 2 - 1 <= refreshes <= lasted / 0.8 + 2
    kept = json.loads(path.read_text())
    assert kept["refresh_token"] == f"refresh-{refreshes}"
    figure(f"{PROCESSES} processes, {SECONDS:.0f} s: {refreshes} refreshes, {len(server.reads)} reads")


def numbered(number: int) -> OAuthSession:
    """A session whose halves belong together, long enough that writing it takes a moment."""
    filler = f"{number}-" + "x" * 100_000
    return dataclasses.replace(
        LOGIN, refresh_token=f"r{filler}", access_token=f"a{filler}", created_at=datetime.now(UTC)
    )


def write_without_end(path: str) -> None:
    file = kept_in(path)
    number = int((file.open().access_token or "a0-")[1:].split("-")[0])
    while True:
        number += 1
        with file.exclusive():
            file.save(numbered(number))


def refuse_to_replace(*_: object) -> None:
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def write_and_die_at(path: str, line: int, is_mounted: bool) -> None:
    """Write session 1, and be killed before the given line that runs as it is written."""
    if is_mounted:
        os.replace = refuse_to_replace  # type: ignore[assignment]
    file = kept_in(path)
    file.open()
    left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != whole_writes.__file__:  # Nothing else touches a file.
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    with file.exclusive():
        sys.settrace(trace)
        file.save(numbered(1))
        sys.settrace(None)


@pytest.mark.parametrize("is_mounted", [False, True], ids=["replaced", "in place"])
def test_killed_at_each_line_of_writing_leaves_the_old_or_the_new_session(
    tmp_path: Path, figure: Figure, is_mounted: bool
) -> None:
    path = tmp_path / "session.json"
    left: list[str] = []
    exitcode: int | None = -signal.SIGKILL
    while exitcode == -signal.SIGKILL:
        path.unlink(missing_ok=True)
        kept_in(str(path), numbered(0)).open()
        writer = FORK.Process(target=write_and_die_at, args=(str(path), len(left) + 1, is_mounted))
        writer.start()
        writer.join()
        exitcode = writer.exitcode
        session = kept_in(str(path)).open()
        assert session.access_token[1:] == session.refresh_token[1:]
        left.append(session.access_token[1])
    assert exitcode == 0
    assert left == sorted(left), "once the new session is there, it stays"
    assert left.count("0") > 10
    assert left.count("1") > 1
    figure(f"killed at each of {len(left) - 1} lines")


def test_killed_at_any_instant_leaves_a_whole_session(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    file = kept_in(str(path), numbered(0))
    file.open()
    chance = random.Random(2)
    seen = []
    for _ in range(12):
        before = path.read_bytes()
        writer = CONTEXT.Process(target=write_without_end, args=(str(path),))
        writer.start()
        while path.read_bytes() == before:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        left = kept_in(str(path)).open()
        assert left.access_token[1:] == left.refresh_token[1:]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        seen.append(int(left.access_token[1:].split("-")[0]))
    assert seen == sorted(set(seen)), "every writer got on, and nothing old came back"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["session.json", "session.json.lock"]
