"""A session that is kept from one run to the next: which one is used, and that none is lost."""

from __future__ import annotations

import dataclasses
import json
import shutil
import stat
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr import auth, session_store
from tap_factorialhr.errors import ConfigError, PlaceLostError, SessionError
from tap_factorialhr.oauth_session import OAuthSession, digest
from tap_factorialhr.session_store import SharedStore
from tap_factorialhr.token_endpoint import Outcome, TokenEndpoint
from tests.support.authentication import CLIENT, LOGIN, failure, make, prepared, read
from tests.support.oauth_server import Fault, OAuthServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("short_pauses")


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

    @pytest.mark.parametrize("faults", [[], [Fault(503)]], ids=["at once", "after a lost answer"])
    def test_a_file_of_another_program_that_is_refused_gives_way_to_the_login_of_the_settings(
        self, server: OAuthServer, tmp_path: Path, faults: list[Fault]
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
        server.faults = list(faults)
        assert read(make({**LOGIN, "token_file": str(path)}, server.url), server.url) == 200
        expected = ["refresh-used"] * (1 + len(faults)) + ["refresh-0"]
        assert [form["refresh_token"] for form in server.forms] == expected
        kept = json.loads(path.read_text())
        assert (kept["refresh_token"], kept["made_from"]) == ("refresh-1", digest("refresh-0"))
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        assert len(server.forms) == len(expected)

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

    def test_a_mistyped_refresh_token_in_the_settings_costs_no_session(
        self, server: OAuthServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "session.json"
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        mistyped = {**LOGIN, "refresh_token": "refresh-O", "token_file": str(path)}
        assert read(make(mistyped, server.url), server.url) == 200
        assert server.refused == ["refresh-O"]
        assert "refused the refresh token" in caplog.text
        assert json.loads(path.read_text())["refresh_token"] == "refresh-1"
        for config in (mistyped, {**LOGIN, "token_file": str(path)}, {"token_file": str(path)}):
            server.ends.clear()
            assert read(make(config, server.url), server.url) == 200
        assert server.refused == ["refresh-O"], "it is not tried again"
        assert json.loads(path.read_text())["refresh_token"] == "refresh-4"

    @pytest.mark.parametrize(
        "fault", [Fault(503), Fault(401), Fault(404), Fault(200, b"x" * 100, cut=True)], ids=lambda fault: fault.status
    )
    def test_the_old_session_stays_until_the_new_one_has_been_renewed(
        self, server: OAuthServer, tmp_path: Path, fault: Fault
    ) -> None:
        path = tmp_path / "session.json"
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        before = path.read_bytes()
        server.faults = [fault, fault]
        failure(make({**LOGIN, "refresh_token": "refresh-new", "token_file": str(path)}, server.url), server.url)
        assert path.read_bytes() == before
        server.faults = []
        assert read(make({**LOGIN, "token_file": str(path)}, server.url), server.url) == 200

    def test_the_session_of_another_application_is_neither_used_nor_lost(
        self, server: OAuthServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "session.json"
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        before = path.read_bytes()
        other = {"refresh_token": "refresh-used", "client_id": "another", "client_secret": "x", "token_file": str(path)}
        server.faults = [Fault(400, b'{"error": "invalid_grant"}')]
        assert "refused the refresh token" in failure(make(other, server.url), server.url)
        assert path.read_bytes() == before
        assert len(server.reads) == 1

    def test_machines_with_different_settings_go_on_with_one_session(self, server: OAuthServer, tmp_path: Path) -> None:
        path = str(tmp_path / "session.json")
        older = {**LOGIN, "token_file": path}
        read(make(older, server.url), server.url)
        server.number = 41
        newer = {**older, "refresh_token": "refresh-41"}
        for config in (newer, older, newer, older, {"token_file": path}):
            server.ends.clear()
            assert read(make(config, server.url), server.url) == 200
        assert server.refused == []
        assert server.number == 46

    def test_a_new_login_with_an_access_token_is_used_and_kept_once_it_is_renewed(
        self, server: OAuthServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "session.json"
        read(make({**LOGIN, "token_file": str(path)}, server.url), server.url)
        server.number = 41
        server.ends = {"access-41": time.monotonic() + 3600}
        newer = {**LOGIN, "refresh_token": "refresh-41", "access_token": "access-41", "token_file": str(path)}
        authenticator = make(newer, server.url)
        assert read(authenticator, server.url) == 200
        assert server.reads[-1]["Authorization"] == "Bearer access-41"
        server.ends.clear()
        assert read(authenticator, server.url) == 200
        assert json.loads(path.read_text())["refresh_token"] == "refresh-42"

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
        told = failure(authenticator, server.url)
        assert "cannot be written (Is a directory), so that new tokens could not be kept" in told
        assert told.endswith("No token was used up")
        assert (server.forms, server.reads) == ([], [])

    def test_nor_is_that_said_where_a_request_before_may_have_used_one_up(
        self, server: OAuthServer, tmp_path: Path
    ) -> None:
        authenticator = make({**LOGIN, "token_file": str(tmp_path / "session.json")}, server.url)

        def spoil() -> None:
            (tmp_path / "session.json.tmp").unlink()
            (tmp_path / "session.json.tmp").mkdir()

        server.faults, server.meanwhile = [Fault(503)], spoil
        told = failure(authenticator, server.url)
        assert "cannot be written (Is a directory), so that new tokens could not be kept" in told
        assert "The refresh token may have been used up. Run again; if it is refused: " in told
        assert "No token was used up" not in told
        assert len(server.forms) == 1

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


class Shelf:
    """A place that is out of reach for a number of writes."""

    name = "the shelf"
    absence = "the shelf is empty"

    def __init__(self, *, lost: int = 0) -> None:
        self.content: bytes | None = None
        self.lost = lost
        self.meanwhile: Callable[[], None] = lambda: None

    def exclusive(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self) -> bytes | None:
        return self.content

    def room(self) -> AbstractContextManager[None]:
        return nullcontext()

    def write(self, content: bytes) -> None:
        if self.lost:
            self.lost -= 1
            self.meanwhile()
            raise PlaceLostError("the shelf is gone")
        self.content = content

    def kept(self) -> str:
        token: str = json.loads(self.content or b"{}")["refresh_token"]
        return token


class Waits:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return 1000.0 + sum(self.slept)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    monkeypatch.setattr(session_store, "time", waits)
    return waits


def renewed(number: int) -> OAuthSession:
    return OAuthSession(f"refresh-{number}", "client", "secret", access_token=f"access-{number}")


class TestAPlaceThatIsLost:
    def store(self, shelf: Shelf, lost: int) -> SharedStore:
        store = SharedStore(shelf, base_url="https://api.example/", settings=renewed(0))
        store.open()
        shelf.lost = lost
        return store

    def test_is_waited_for_and_gets_what_has_been_renewed(self, waits: Waits, caplog: pytest.LogCaptureFixture) -> None:
        shelf = Shelf()
        self.store(shelf, lost=3).save(renewed(1))
        assert shelf.kept() == "refresh-1"
        assert json.loads(shelf.content or b"")["target_url"] == "https://api.example"
        first = waits.slept[0]
        assert waits.slept == [first, 2 * first, 4 * first]
        seconds = session_store.KEEP_TRYING_SECONDS
        assert caplog.messages == [f"the shelf is gone; trying again for {seconds:.0f} seconds"]

    def test_is_given_up_in_the_end(self, waits: Waits) -> None:
        shelf = Shelf()
        with pytest.raises(PlaceLostError, match=r"^the shelf is gone$"):
            self.store(shelf, lost=10_000).save(renewed(1))
        assert shelf.kept() == "refresh-0"
        longest = max(waits.slept)
        assert waits.slept.count(longest) > 1
        assert 0 <= sum(waits.slept) - session_store.KEEP_TRYING_SECONDS < longest

    def test_keeps_the_other_login_that_it_holds_when_it_is_back(
        self, waits: Waits, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf, other = Shelf(), Shelf()
        SharedStore(other, base_url="https://api.example/", settings=renewed(7)).open()
        store = self.store(shelf, lost=1)
        shelf.meanwhile = lambda: vars(shelf).update(content=other.content)
        store.save(renewed(1))
        assert shelf.kept() == "refresh-7"
        assert len(waits.slept) == 1
        assert caplog.messages[1:] == ["the shelf is that of another login by now, and stays"]

    def test_that_has_lost_what_was_kept_gets_what_has_been_renewed(
        self, waits: Waits, caplog: pytest.LogCaptureFixture
    ) -> None:
        shelf = Shelf()
        store = self.store(shelf, lost=1)
        shelf.content = json.dumps(json.loads(shelf.content or b"") | {"note": "of somebody else"}).encode()
        shelf.meanwhile = lambda: vars(shelf).update(content=None)
        store.load()
        store.save(renewed(1))
        assert shelf.kept() == "refresh-1"
        assert json.loads(shelf.content or b"")["note"] == "of somebody else"
        assert len(caplog.messages) == len(waits.slept) == 1

    def test_that_has_gone_back_in_time_gets_what_has_been_renewed(
        self, waits: Waits, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As a standby that had not caught up, and took the place of a database that is gone."""
        shelf = Shelf()
        store = self.store(shelf, lost=0)
        long_ago = shelf.content
        store.save(dataclasses.replace(renewed(1), created_at=datetime.now(UTC)))
        store.load()
        shelf.lost, shelf.meanwhile = 1, lambda: vars(shelf).update(content=long_ago)
        store.save(renewed(2))
        assert shelf.kept() == "refresh-2"
        assert len(caplog.messages) == len(waits.slept) == 1

    def test_may_hold_what_was_written_already(self, waits: Waits, caplog: pytest.LogCaptureFixture) -> None:
        shelf, other = Shelf(), Shelf()
        self.store(other, lost=0).save(renewed(1))
        store = self.store(shelf, lost=1)
        shelf.meanwhile = lambda: vars(shelf).update(content=other.content)
        store.save(renewed(1))
        assert len(caplog.messages) == len(waits.slept) == 1


class TestWhereASessionIsKept:
    def test_what_a_login_brings_is_used_by_the_next_run(self, server: OAuthServer, tmp_path: Path) -> None:
        config = {"token_file": str(tmp_path / "session.json"), **CLIENT}
        store = auth.session_store(config, base_url=server.url, timeout=(2.0, 2.0))
        with store.exclusive():
            store.save(OAuthSession("refresh-0", CLIENT["client_id"], CLIENT["client_secret"]))
        assert json.loads((tmp_path / "session.json").read_text())["target_url"] == server.url
        assert read(make(config, server.url), server.url) == 200
        assert server.forms[0]["refresh_token"] == "refresh-0"

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            ({}, "neither token_file nor token_database is set: there is no place to keep the session in"),
            (
                {"token_file": "x", "token_database": "postgresql://x/y"},
                "token_file and token_database are two places for one session. Leave one out",
            ),
        ],
    )
    def test_settings_that_name_no_place_are_an_error(self, config: dict[str, str], says: str) -> None:
        with pytest.raises(ConfigError) as caught:
            auth.session_store(config, base_url="https://api.example", timeout=(2.0, 2.0))
        assert str(caught.value) == says
