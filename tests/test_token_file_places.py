"""Places that make it hard to keep a session: mounted files, full disks, no descriptors left."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_factorialhr.auth import make_authenticator
from tap_factorialhr.errors import SessionError
from tap_factorialhr.http_session import Session
from tap_factorialhr.oauth_session import OAuthSession
from tap_factorialhr.session_document import MOST_SEEN, SessionDocument
from tap_factorialhr.token_file import TokenFile
from tap_factorialhr.whole_writes import ROOM_IN_PLACE
from tests.support.descriptors import no_descriptors_left
from tests.support.http import exchange
from tests.support.oauth_server import OAuthServer, serving
from tests.support.processes import read_for_a_while

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = multiprocessing.get_context("forkserver")
LOGIN = {"refresh_token": "refresh-0", "client_id": "the-client", "client_secret": "the-secret"}


def run_once(server: OAuthServer, path: Path) -> int:
    """One run, as far as its session goes: a request, the session renewed where it has to be."""
    with Session(server.url, connections=2) as session:
        config = {**LOGIN, "token_file": str(path)}
        authenticator = make_authenticator(config, session=session, base_url=server.url, timeout=(5.0, 5.0))
        return exchange(authenticator, session, requests.Request("GET", f"{server.url}/x"))


def kept(path: Path) -> str:
    """The refresh token that is in the file."""
    token: str = json.loads(path.read_text())["refresh_token"]
    return token


@contextlib.contextmanager
def mounted(*arguments: str | Path) -> Iterator[None]:
    """Mount something as long as the block; the test is skipped where that cannot be done."""
    if subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(arguments[-1])], check=True)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that cannot be replaced, as one that is mounted."""
    path = tmp_path / "session.json"
    path.touch()
    replace = os.replace

    def refuse(source: Any, target: Any, **options: Any) -> None:
        if Path(target) == path:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        replace(source, target, **options)

    monkeypatch.setattr(os, "replace", refuse)
    return path


def write_session(path: Path, url: str) -> None:
    """What somebody put there before it was mounted."""
    made = {"access_token": "", "token_type": "Bearer", "created_at": "2999-01-01T00:00:00", "target_url": url}
    path.write_text(json.dumps({**LOGIN, **made}))
    path.chmod(0o600)


class TestMountedFile:
    def test_keeps_every_session(self, server: OAuthServer, tmp_path: Path) -> None:
        write_session(tmp_path / "outside.json", server.url)
        path = tmp_path / "session.json"
        path.touch()
        with mounted("--bind", tmp_path / "outside.json", path):
            for number in (1, 2, 3):
                assert run_once(server, path) == 200
                assert kept(path) == f"refresh-{number}"
                server.ends.clear()
        assert kept(tmp_path / "outside.json") == "refresh-3"
        assert server.refused == []

    def test_does_in_a_directory_that_is_read_only(self, server: OAuthServer, tmp_path: Path) -> None:
        write_session(tmp_path / "outside.json", server.url)
        folder = tmp_path / "folder"
        folder.mkdir()
        path = folder / "session.json"
        path.touch()
        with mounted("--bind", folder, folder), mounted("--bind", tmp_path / "outside.json", path):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            assert run_once(server, path) == 200
            assert kept(path) == "refresh-1"
            path = folder / "another.json"
            with pytest.raises(SessionError, match="directory must exist and be writable"):
                run_once(server, path)

    def test_is_renewed_once_between_containers_that_share_nothing_else(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside.json"
        results = CONTEXT.SimpleQueue()
        with serving(lifetime=2) as server, contextlib.ExitStack() as mounts:
            write_session(outside, server.url)
            readers = []
            for number in range(3):
                path = tmp_path / str(number) / "session.json"
                path.parent.mkdir()
                path.touch()
                mounts.enter_context(mounted("--bind", outside, path))
                config = {**LOGIN, "token_file": str(path)}
                readers += [
                    CONTEXT.Process(target=read_for_a_while, args=(config, server.url, 3.0, results)) for _ in range(2)
                ]
            for reader in readers:
                reader.start()
            outcomes = [results.get() for _ in readers]
            for reader in readers:
                reader.join(60)
        assert [one for one in outcomes if isinstance(one, str)] == []
        assert server.refused == []
        assert len(server.forms) > 1

    def test_that_cannot_be_replaced_is_written_in_place(self, server: OAuthServer, busy: Path) -> None:
        write_session(busy, server.url)
        inode = busy.stat().st_ino
        for number in (1, 2, 3):
            assert run_once(server, busy) == 200
            assert kept(busy) == f"refresh-{number}"
            server.ends.clear()
        assert busy.stat().st_ino == inode
        assert sorted(one.name for one in busy.parent.iterdir()) == ["session.json", "session.json.lock"]

    def test_a_longer_and_a_shorter_session_take_each_others_place(self, busy: Path) -> None:
        place = TokenFile(str(busy), lock_seconds=1)
        for content in (b'{"a": 1}', b'{"a": "%s"}' % (b"x" * 20_000), b"{}"):
            with place.exclusive():
                place.write(content)
                assert json.loads(place.read() or b"") == json.loads(content)


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b'See docs: set "refresh_token" there.',
        b"[]",
        b'{"bookmarks": {}, "target_url": "x"}',
        b" " * (1 << 20) + b"{}",
    ],
    ids=["nothing", "no JSON", "a list", "a state", "too much"],
)
def test_a_file_that_is_no_session_stays_as_it_is(server: OAuthServer, tmp_path: Path, held: bytes) -> None:
    """As where the path is mistyped."""
    path = tmp_path / "another.json"
    path.write_bytes(held)
    path.chmod(0o644)
    with pytest.raises(SessionError, match=r"another\.json (is|holds|lacks) "):
        run_once(server, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_bytes() == held


@pytest.mark.parametrize("changes", [{}, {"target_url": "https://other.example"}, {"created_at": "yesterday"}])
def test_a_session_is_closed_to_others_before_it_is_used_or_refused(
    server: OAuthServer, tmp_path: Path, changes: dict[str, str]
) -> None:
    path = tmp_path / "session.json"
    write_session(path, server.url)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    path.chmod(0o644)
    modes = []
    server.meanwhile = lambda: modes.append(stat.S_IMODE(path.stat().st_mode))
    with pytest.raises(SessionError, match=r"session\.json (belongs|has)") if changes else contextlib.nullcontext():
        run_once(server, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert modes == ([] if changes else [0o600])


@pytest.mark.parametrize("lacks", ["target_url", "refresh_token", "its end"])
def test_so_is_what_is_left_of_one(server: OAuthServer, tmp_path: Path, lacks: str) -> None:
    """Whoever mends it goes on with the secrets in it."""
    path = tmp_path / "session.json"
    write_session(path, server.url)
    whole = path.read_text()
    rest = {name: value for name, value in json.loads(whole).items() if name != lacks}
    path.write_text(whole[:-20] if lacks == "its end" else json.dumps(rest))
    path.chmod(0o644)
    with pytest.raises(SessionError, match=r"session\.json (is|lacks) "):
        run_once(server, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_room_in_place_is_enough_for_all_that_is_remembered() -> None:
    """It is held before the refresh token is used up, and the disk may be full by then."""
    session = OAuthSession(
        refresh_token="r" * 2000, client_id="c" * 100, client_secret="s" * 100, access_token="a" * 4000
    )
    digest = hashlib.sha256(b"").hexdigest()
    document = SessionDocument(session=session, target_url="https://api.factorialhr.com", seen=(digest,) * MOST_SEEN)
    assert len(document.to_json()) < ROOM_IN_PLACE


class TestDuringTheTokenRequest:
    def test_the_disk_fills(self, server: OAuthServer, tmp_path: Path) -> None:
        disk = tmp_path / "disk"
        disk.mkdir()
        with mounted("-t", "tmpfs", "-o", "size=512k", "none", disk):
            assert run_once(server, disk / "session.json") == 200

            def fill() -> None:
                with (disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(512))

            server.ends.clear()
            server.meanwhile = fill
            assert run_once(server, disk / "session.json") == 200
            assert kept(disk / "session.json") == "refresh-2"

            # Where there is no room for the next one, that is noticed before the token is used up.
            fill()
            server.ends.clear()
            with pytest.raises(SessionError, match=r"cannot be written \(No space.*room\. No token was used up"):
                run_once(server, disk / "session.json")
            assert kept(disk / "session.json") == server.refresh_token

    @pytest.mark.parametrize("is_mounted", [False, True])
    def test_file_descriptors_run_out(
        self, server: OAuthServer, tmp_path: Path, request: pytest.FixtureRequest, is_mounted: bool
    ) -> None:
        path = request.getfixturevalue("busy") if is_mounted else tmp_path / "session.json"
        write_session(path, server.url)
        with contextlib.ExitStack() as taken:
            server.meanwhile = lambda: taken.enter_context(no_descriptors_left())
            with Session(server.url, connections=2) as session:
                config = {**LOGIN, "token_file": str(path)}
                authenticator = make_authenticator(config, session=session, base_url=server.url, timeout=(5.0, 5.0))
                authenticator.authenticate_request(requests.Request("GET", f"{server.url}/x").prepare())
        assert kept(path) == "refresh-1"


@pytest.mark.parametrize("folder", ["/proc", "/dev/fd", "/sys", "/dev/null"])
def test_a_place_that_holds_no_files_is_noticed_at_once(server: OAuthServer, folder: str) -> None:
    began = time.monotonic()
    with pytest.raises(SessionError, match="directory must exist and be writable"):
        run_once(server, Path(folder) / "session.json")
    assert time.monotonic() - began < 5
    assert server.forms == []
