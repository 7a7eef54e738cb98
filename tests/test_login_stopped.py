"""`tap-factorialhr login` that is stopped, or that another one was faster than: nothing is lost, and it is said."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import filelock
import pytest

from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.session_store import SharedStore
from tap_factorialhr.stdout import UnwritableError
from tests.support import browser
from tests.support.login import Login, last_line, page_in

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tap_factorialhr.oauth_session import OAuthSession


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Login]:
    with Sandbox(Company(3)) as sandbox:
        yield Login(sandbox, tmp_path)


def exchanging(login: Login, *, seconds: float) -> subprocess.Popen[str]:
    """A login whose code is being exchanged, with a server that takes so long to answer."""
    process = login.start()
    page = page_in(process)
    login.sandbox.latency = seconds
    threading.Thread(target=browser.press_by_http, args=(page, "allow"), daemon=True).start()
    for _ in range(600):
        if login.exchanges:
            break
        threading.Event().wait(0.05)
    return process


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
    process = exchanging(login, seconds=1.0)
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


def test_a_signal_after_the_session_is_kept_says_that_it_is(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("tap_factorialhr.commands.login._say_what_to_set", interrupted)
    _, said = login.here()
    assert "Stopped. You are logged in, and the session is kept." in said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait_for_an_endpoint_that_does_not_answer(
    login: Login, number: signal.Signals
) -> None:
    process = exchanging(login, seconds=60.0)
    process.send_signal(number)
    assert process.stderr
    told = iter(process.stderr.readline, "")
    assert any("one moment" in line for line in told)
    threading.Event().wait(0.7)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert last_line(errors).startswith("Stopped. The code may be used up by now")
    assert not login.file.exists()


def test_a_terminal_that_is_closed_meanwhile_loses_no_tokens(login: Login) -> None:
    """It sends SIGHUP more than once, and nothing can be said to it any more."""
    process = exchanging(login, seconds=1.0)
    assert process.stderr
    process.stderr.close()
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
        threading.Event().wait(0.05)
    assert process.wait(timeout=30) == 0
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_while_the_session_is_written_no_signal_ends_it(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    save = SharedStore.save

    def slow_save(store: SharedStore, session: OAuthSession) -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.7)
        signal.raise_signal(signal.SIGINT)
        save(store, session)

    monkeypatch.setattr(SharedStore, "save", slow_save)
    code, said = login.here()
    assert code == 0
    assert "one moment" in said
    assert "Once more" not in said
    assert login.sandbox.oauth.accepts(login.kept["access_token"])


def test_one_whose_session_is_not_the_one_that_is_kept_says_so(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    save = SharedStore.save

    def another_wins(store: SharedStore, session: OAuthSession) -> None:
        save(store, dataclasses.replace(session, refresh_token="of-another"))

    monkeypatch.setattr(SharedStore, "save", another_wins)
    code, said = login.here()
    assert code == 1
    assert last_line(said).endswith(
        "Another login has been stored meanwhile, and stays. The code is used up and its tokens are lost, so run login "
        "again"
    )


def test_nobody_who_reads_the_end_is_told_that_the_session_is_kept(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(_: Any) -> None:
        raise UnwritableError("standard output was closed before all was written")

    monkeypatch.setattr("tap_factorialhr.commands.login._say_what_to_set", closed)
    code, said = login.here()
    assert code == 1
    assert last_line(said).endswith("before all was written. You are logged in, and the session is kept")


def test_one_of_two_logins_at_once_does_not_take_the_place_of_the_other_one(login: Login) -> None:
    """It ends before its code is used up, so that nothing is lost."""
    first, second = login.start(), login.start()
    pages = [page_in(first), page_in(second)]
    for process, page in zip((first, second), pages, strict=True):
        browser.press_by_http(page, "allow")
        process.wait(timeout=60)
    assert first.communicate()[1] == ""
    assert first.returncode == 0
    errors = second.communicate()[1]
    assert second.returncode == 1
    assert "There is a session already" in last_line(errors)
    assert login.exchanges == 1
    assert login.sandbox.oauth.accepts(login.kept["access_token"])
