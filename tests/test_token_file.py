"""The saved session: what is written comes back, and what cannot be used is said in one line."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import stat
import threading
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.errors import ConfigError, SessionError
from tap_factorialhr.oauth_session import LOG_IN_AGAIN, OAuthSession, digest
from tap_factorialhr.session_document import KEYS
from tap_factorialhr.session_store import SharedStore
from tap_factorialhr.token_file import TokenFile

BASE_URL = "https://api.example"
SETTINGS = OAuthSession("SECRET-refresh-0", "client", "SECRET-client")


def a_file(path: Path, settings: OAuthSession | None = None, lock_seconds: float = 2.0) -> SharedStore:
    return SharedStore(TokenFile(str(path), lock_seconds=lock_seconds), base_url=BASE_URL, settings=settings)


def content(**changes: Any) -> dict[str, Any]:
    """What the `factorialhr` client writes."""
    return {
        "refresh_token": "SECRET-refresh-9",
        "client_id": "client",
        "client_secret": "SECRET-client",
        "access_token": "SECRET-access-9",
        "created_at": datetime.now(UTC).isoformat(),
        "token_type": "Bearer",
        "target_url": BASE_URL,
        **changes,
    }


def written(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session.json"


def problem(path: Path, settings: OAuthSession | None = None) -> str:
    """The one line that says why a file cannot be used."""
    with pytest.raises((SessionError, ConfigError)) as caught:
        a_file(path, settings).open()
    # pytest names the directory after the test's parameters.
    shown = "".join(traceback.format_exception(caught.value)).replace(str(path.parent), "")
    assert "SECRET" not in shown
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None or "SECRET" not in repr(vars(caught.value.__context__))
    return str(caught.value)


class TestSession:
    def test_shows_no_secret(self) -> None:
        session = OAuthSession("SECRET-a", "client", "SECRET-b", "SECRET-c")
        assert "SECRET" not in f"{session!r}{session}"

    @pytest.mark.parametrize(
        ("age", "expires_in", "is_stale"),
        [
            (0, None, False),
            (3500, None, False),
            (3541, None, True),
            (7100, 7200, False),
            (7141, 7200, True),
            (1.7, 2, False),
            (1.9, 2, True),
            (-3600, 2, False),
            (1e9, None, True),
        ],
    )
    def test_is_renewed_shortly_before_its_end(self, age: float, expires_in: float | None, *, is_stale: bool) -> None:
        now = datetime(2026, 10, 1, tzinfo=UTC)
        made = now - timedelta(seconds=age)
        session = dataclasses.replace(SETTINGS, access_token="a", created_at=made, expires_in=expires_in)
        assert session.is_stale(now) is is_stale

    def test_of_unknown_age_is_good_until_refused(self) -> None:
        assert SETTINGS.is_stale(datetime.now(UTC))
        assert not dataclasses.replace(SETTINGS, access_token="a").is_stale(datetime.now(UTC))


class TestBadFiles:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"", "is empty"),
            (b" \n", "is empty"),
            (b'{"refresh_token": "SECRET', "not valid JSON"),
            (b'{"refresh_token": "SECRET"} x', "not valid JSON"),
            (b"\xff\xfe\x00SECRET", "not valid JSON"),
            (b"[" * 100_000, "not valid JSON"),
            (b"9" * 10_000, "not valid JSON"),
            (b"[]", "not an object"),
            (b'"SECRET"', "not an object"),
            (b"null", "not an object"),
            (b" " * (1 << 20) + b"{}", "too large"),
            (b"{}", ", ".join(KEYS)),
        ],
    )
    def test_content(self, path: Path, text: bytes, said: str) -> None:
        path.write_bytes(text)
        path.chmod(0o600)
        assert said in problem(path, SETTINGS if b"{}" not in text else None)

    @pytest.mark.parametrize("key", KEYS)
    def test_a_missing_key_is_named(self, path: Path, key: str) -> None:
        document = content()
        del document[key]
        assert f"lacks {key}." in problem(written(path, document))

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("value", [None, 7, ["SECRET"], "SECRET\n", "SECRET\ud800é", {"SECRET": 1}])
    def test_a_value_of_another_kind_is_named(self, path: Path, key: str, value: object) -> None:
        assert key in problem(written(path, content(**{key: value})))

    @pytest.mark.parametrize("key", ["refresh_token", "client_id", "client_secret", "token_type"])
    def test_an_empty_value_is_named(self, path: Path, key: str) -> None:
        assert key in problem(written(path, content(**{key: ""})))

    @pytest.mark.parametrize(
        "created_at", ["yesterday", "", "2026-13-01T00:00:00", "1790000000", "0001-01-01T00:00:00+23:59"]
    )
    def test_a_bad_date(self, path: Path, created_at: str) -> None:
        assert "ISO 8601" in problem(written(path, content(created_at=created_at)))

    @pytest.mark.parametrize("expires_in", ["soon", -1, 0, True, [], "SECRET"])
    def test_a_bad_lifetime(self, path: Path, expires_in: object) -> None:
        assert "expires_in" in problem(written(path, content(expires_in=expires_in)))

    @pytest.mark.parametrize("url", ["https://demo.example", "https://api.example.evil.example", "http://[::1]"])
    def test_tokens_of_another_server(self, path: Path, url: str) -> None:
        assert "belongs to the host" in problem(written(path, content(target_url=url)))

    @pytest.mark.parametrize("url", ["", "nonsense", "https://[", "//"])
    def test_a_target_that_is_no_url(self, path: Path, url: str) -> None:
        assert "target_url" in problem(written(path, content(target_url=url)))

    def test_over_a_week_old_loses_to_another_login_in_the_settings(self, path: Path) -> None:
        old = (datetime.now(UTC) - timedelta(days=8)).isoformat()
        written(path, content(created_at=old))
        assert a_file(path, SETTINGS).open().refresh_token == SETTINGS.refresh_token


class TestBadPlaces:
    def test_neither_file_nor_settings(self, path: Path) -> None:
        assert "does not exist" in problem(path)
        assert not path.exists()

    def test_a_symbolic_link_is_not_followed(self, path: Path, tmp_path: Path) -> None:
        target = written(tmp_path / "elsewhere.json", content())
        before = target.read_bytes()
        path.symlink_to(target)
        assert "symbolic link" in problem(path, SETTINGS)
        assert target.read_bytes() == before

    def test_nor_one_that_leads_nowhere(self, path: Path, tmp_path: Path) -> None:
        path.symlink_to(tmp_path / "nowhere.json")
        assert "symbolic link" in problem(path, SETTINGS)
        assert not (tmp_path / "nowhere.json").exists()

    def test_nor_one_in_place_of_the_lock_or_the_spare_file(self, path: Path, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (tmp_path / "session.json.tmp").symlink_to(victim)
        a_file(path, SETTINGS).open()
        assert victim.read_text() == "mine"
        (tmp_path / "session.json.lock").unlink()
        (tmp_path / "session.json.lock").symlink_to(victim)
        assert "lock" in problem(path, SETTINGS)
        assert victim.read_text() == "mine"

    def test_a_directory(self, path: Path) -> None:
        path.mkdir()
        assert "no regular file" in problem(path, SETTINGS)

    def test_a_named_pipe_does_not_hold_the_run_up(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        assert "no regular file" in problem(path, SETTINGS)

    def test_a_directory_that_is_not_there(self, path: Path) -> None:
        assert "directory must exist" in problem(path / "session.json", SETTINGS)
        assert not path.exists()

    def test_a_file_in_place_of_the_directory(self, path: Path) -> None:
        path.write_text("x")
        assert "directory must exist" in problem(path / "session.json", SETTINGS)

    def test_a_place_where_no_new_file_can_be_made(self, path: Path) -> None:
        written(path, content())
        path.with_name("session.json.tmp").mkdir()
        assert "new tokens could not be kept" in problem(path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable to root")
    def test_a_directory_without_permission(self, path: Path) -> None:
        written(path, content())
        path.parent.chmod(0o500)
        try:
            assert "directory must" in problem(path)
        finally:
            path.parent.chmod(0o700)

    @pytest.mark.parametrize("name", ["a\0b", "\ud800", "/", "x/", "~nobody-at-all/x"])
    def test_no_path_at_all(self, name: str) -> None:
        with pytest.raises(ConfigError, match="token_file"):
            TokenFile(name, lock_seconds=1)

    def test_a_name_that_is_too_long(self, path: Path) -> None:
        assert "token_file" in problem(path.with_name("x" * 300), SETTINGS)

    def test_a_lock_that_is_never_let_go(self, path: Path) -> None:
        written(path, content())
        with filelock.FileLock(f"{path}.lock"), pytest.raises(SessionError, match="another process has held"):
            a_file(path, lock_seconds=0.1).open()


MEND = (
    "Mend it, or move it away and run tap-factorialhr login, or set refresh_token, client_id and "
    "client_secret, to have it made anew"
)
NOT_VISIBLE = "has something else than a string of visible characters"


class TestWords:
    """What is said of a file, word for word, since it is what a person has to go by."""

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            (
                {"refresh_token": "", "client_id": " x", "client_secret": 5, "access_token": None, "token_type": "a b"},
                f"{NOT_VISIBLE} in refresh_token, client_id, client_secret, access_token, token_type",
            ),
            ({"created_at": "yesterday"}, "has no ISO 8601 date and time in created_at"),
            ({"expires_in": 0}, "has no number of seconds in expires_in"),
            ({"target_url": 5}, "has no URL in target_url"),
        ],
    )
    def test_of_a_value(self, path: Path, changes: dict[str, Any], says: str) -> None:
        assert problem(written(path, content(**changes))) == f"token_file {path} {says}. {MEND}"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b" ", "is empty"),
            (b"x", "is not valid JSON"),
            (b"[]", "holds JSON, but not an object"),
            (b"{}", f"lacks {', '.join(KEYS)}"),
        ],
    )
    def test_of_the_whole(self, path: Path, text: bytes, says: str) -> None:
        path.write_bytes(text)
        path.chmod(0o600)
        assert problem(path) == f"token_file {path} {says}. {MEND}"

    def test_of_another_server(self, path: Path) -> None:
        assert problem(written(path, content(target_url="https://demo.example:8443/x"))) == (
            f"token_file {path} belongs to the host demo.example, and base_url is {BASE_URL}. Keep each server's "
            "session apart, or set base_url to the server it is for"
        )

    def test_of_no_file(self, path: Path) -> None:
        says = f"token_file {path} does not exist; there is no refresh_token to make it from. {LOG_IN_AGAIN}"
        assert problem(path) == says

    def test_of_a_link(self, path: Path) -> None:
        path.symlink_to(path.with_name("elsewhere"))
        says = "is a symbolic link, which is not followed. Name the file itself"
        assert problem(path) == f"token_file {path} {says}"

    def test_of_a_directory(self, path: Path) -> None:
        path.mkdir()
        assert problem(path) == f"token_file {path} is no regular file"

    def test_of_far_too_much(self, path: Path) -> None:
        path.write_bytes(b" " * (1 << 20) + b"{}")
        path.chmod(0o600)
        says = "is far too large for a session. Name another file, or move it away"
        assert problem(path) == f"token_file {path} {says}"

    def test_of_a_place_that_is_not_there(self, path: Path) -> None:
        missing = path / "session.json"
        assert problem(missing) == f"token_file {missing}: its directory must exist and be writable"

    def test_of_a_lock_that_cannot_be_made(self, path: Path) -> None:
        path.with_name("session.json.lock").mkdir()
        assert problem(path, SETTINGS) == (
            f"token_file {path}: the lock session.json.lock cannot be made there (Is a directory). The directory must "
            "exist and be writable"
        )

    def test_of_a_lock_that_is_held(self, path: Path) -> None:
        written(path, content())
        with filelock.FileLock(f"{path}.lock"), pytest.raises(SessionError) as caught:
            a_file(path, lock_seconds=0.1).open()
        assert str(caught.value) == (
            f"another process has held the lock {path}.lock for over 0 seconds. Wait for it or end it, then run again"
        )

    def test_of_no_room(self, path: Path) -> None:
        written(path, content())
        path.with_name("session.json.tmp").mkdir()
        assert problem(path) == (
            f"token_file {path} cannot be written (Is a directory), so that new tokens could not be kept. "
            "Its directory must be writable, and have room. No token was used up"
        )

    def test_of_no_path(self) -> None:
        with pytest.raises(ConfigError, match=r"^token_file is not the path of a file$"):
            TokenFile("x/", lock_seconds=1)

    def test_of_a_file_that_was_open_to_others(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        written(path, content()).chmod(0o644)
        a_file(path).open()
        says = "was open to other users; it is now its owner's alone (mode 0600)"
        assert caplog.messages == [f"token_file {path} {says}"]


class TestPermissions:
    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o777])
    def test_a_file_open_to_others_is_mended(self, path: Path, mode: int, caplog: pytest.LogCaptureFixture) -> None:
        written(path, content()).chmod(mode)
        a_file(path).open()
        a_file(path).open()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "SECRET" not in caplog.text

    def test_the_owner_alone_from_the_first_byte(self, path: Path) -> None:
        """Another thread looks at every file in the directory all the while."""
        modes, done = set(), threading.Event()

        def watch() -> None:
            while not done.is_set():
                for entry in os.scandir(path.parent):
                    try:
                        modes.add((entry.name, stat.S_IMODE(os.lstat(entry.path).st_mode)))
                    except FileNotFoundError:
                        continue

        before = os.umask(0)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            file = a_file(path, SETTINGS)
            session = file.open()
            for _ in range(50):
                with file.exclusive():
                    file.save(session)
        finally:
            os.umask(before)
            done.set()
            watcher.join()
        assert ("session.json", 0o600) in modes
        assert {mode for _, mode in modes} == {0o600}


class TestWhoWins:
    def test_a_missing_file_is_made_from_the_settings(self, path: Path) -> None:
        with_access = dataclasses.replace(SETTINGS, access_token="SECRET-access-0")
        session = a_file(path, with_access).open()
        document = json.loads(path.read_text())
        assert {key: document[key] for key in ("refresh_token", "access_token", "target_url")} == {
            "refresh_token": "SECRET-refresh-0",
            "access_token": "SECRET-access-0",
            "target_url": BASE_URL,
        }
        assert document["made_from"] == digest("SECRET-refresh-0")
        assert session == a_file(path).open()
        assert not session.is_stale(datetime.now(UTC))

    def test_without_an_access_token_either_client_begins_with_a_refresh(self, path: Path) -> None:
        a_file(path, SETTINGS).open()
        document = json.loads(path.read_text())
        # What the other client compares: an hour after created_at is past.
        assert datetime.fromisoformat(document["created_at"]) + timedelta(hours=1) <= datetime.now(UTC)
        assert a_file(path).open().is_stale(datetime.now(UTC))

    def test_the_other_clients_file_wins_and_learns_where_it_comes_from(self, path: Path) -> None:
        written(path, content())
        file = a_file(path, SETTINGS)
        session = file.open()
        assert session.refresh_token == "SECRET-refresh-9"
        with file.exclusive():
            file.save(session)
        assert json.loads(path.read_text())["made_from"] == digest(SETTINGS.refresh_token)
        login = dataclasses.replace(SETTINGS, refresh_token="SECRET-refresh-50")
        assert a_file(path, login).open().refresh_token == "SECRET-refresh-50"

    def test_another_application_in_the_settings_wins(self, path: Path) -> None:
        written(path, content(client_id="other"))
        assert a_file(path, SETTINGS).open().client_id == "client"

    def test_unknown_keys_stay(self, path: Path) -> None:
        written(path, content(note={"a": [1, None]}))
        file = a_file(path)
        session = file.open()
        with file.exclusive():
            file.save(dataclasses.replace(session, access_token="SECRET-access-10"))
        document = json.loads(path.read_text())
        assert (document["note"], document["access_token"]) == ({"a": [1, None]}, "SECRET-access-10")

    def test_what_the_file_was_made_from_outlives_a_run_with_older_settings(self, path: Path) -> None:
        older = a_file(path, SETTINGS)
        older.open()
        newer = a_file(path, dataclasses.replace(SETTINGS, refresh_token="SECRET-refresh-50"))
        renew(newer, "SECRET-refresh-51")
        renew(older, "SECRET-refresh-52")
        assert json.loads(path.read_text())["made_from"] == digest("SECRET-refresh-50")

    def test_a_left_over_spare_file_is_no_obstacle(self, path: Path) -> None:
        path.with_name("session.json.tmp").write_text("half a sess")
        a_file(path, SETTINGS).open()
        assert not path.with_name("session.json.tmp").exists()

    def test_a_naive_date_is_utc(self, path: Path) -> None:
        written(path, content(created_at="2999-01-02T03:04:05"))
        assert a_file(path).open().created_at == datetime(2999, 1, 2, 3, 4, 5, tzinfo=UTC)


def renew(file: SharedStore, refresh_token: str) -> None:
    """Take the best session, and put into the file what comes of it."""
    with file.exclusive():
        file.save(dataclasses.replace(file.load()[0], refresh_token=refresh_token))


TEXT = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SESSIONS = st.builds(
    OAuthSession,
    refresh_token=TEXT,
    client_id=TEXT,
    client_secret=TEXT,
    access_token=TEXT,
    token_type=st.sampled_from(["Bearer", "MAC", "x-y"]),
    created_at=st.datetimes(datetime(1971, 1, 1), datetime(2900, 1, 1), timezones=ZONES),  # noqa: DTZ001 - bounds
    expires_in=st.none() | st.floats(0.001, 1e9) | st.integers(1, 10**9),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(SESSIONS)
def test_a_session_comes_back_as_it_was_written(session: OAuthSession) -> None:
    with TemporaryDirectory() as directory:
        file = a_file(Path(directory) / "s.json")
        with file.exclusive():
            file.save(session)
        assert file.load() == (session,)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_session_or_a_clear_error(text: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "s.json"
        path.write_bytes(text)
        with pytest.raises(SessionError):
            a_file(path).open()


@given(st.dictionaries(st.sampled_from([*KEYS, "expires_in", "made_from"]), JSON))
def test_any_values_are_a_session_or_a_clear_error(changes: dict[str, Any]) -> None:
    with TemporaryDirectory() as directory:
        path = written(Path(directory) / "s.json", content(**changes))
        try:
            session = a_file(path, SETTINGS).open()
        except SessionError:
            pass
        else:
            assert isinstance(session.is_stale(datetime.now(UTC)), bool)
            assert a_file(path).open() == session
