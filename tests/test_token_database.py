"""The session in a database: the rules of the file, a real PostgreSQL, and what becomes of it when that goes away."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tap_factorialhr import auth, session_store, token_database
from tap_factorialhr.errors import ConfigError, SessionError
from tap_factorialhr.oauth_session import digest
from tests.support.authentication import AT_ONCE, CLIENT, LOGIN, failure, make, read
from tests.support.descriptors import no_descriptors_left
from tests.support.oauth_server import Fault, OAuthServer, serving
from tests.support.processes import read_for_a_while

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Figure

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.processes"])


pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_store, "KEEP_TRYING_SECONDS", 20.0)


def kept(database: str) -> dict[str, dict[str, Any]]:
    """What the table holds, by the names of the sessions."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT name, document FROM factorialhr_sessions").fetchall()
    return {name: json.loads(document) if document else {} for name, document in rows}


def change(database: str, **changes: Any) -> None:
    with psycopg.connect(database) as connection:
        document = {**kept(database)["the-client"], **changes}
        connection.execute("UPDATE factorialhr_sessions SET document = %s", (json.dumps(document),))


class TestAsTheFile:
    def test_new_tokens_are_there_before_they_are_used(self, server: OAuthServer, database: str) -> None:
        authenticator = make({**LOGIN, "token_database": database}, server.url)
        assert kept(database)["the-client"]["refresh_token"] == "refresh-0"
        authenticator.settle(0)
        authenticator = make(
            {"token_database": database, "client_id": "the-client", "client_secret": "the-secret"}, server.url
        )
        assert read(authenticator, server.url) == 200
        document = kept(database)["the-client"]
        assert (document["refresh_token"], document["access_token"]) == ("refresh-1", "access-1")
        assert document["made_from"] == digest("refresh-0")
        assert document["target_url"] == server.url

    def test_a_name_tells_sessions_apart(self, server: OAuthServer, database: str) -> None:
        for name in ("one company", "another"):
            server.number = 0
            config = {**LOGIN, "token_database": database, "token_name": name}
            assert read(make(config, server.url), server.url) == 200
        assert {name: one["refresh_token"] for name, one in kept(database).items()} == {
            "one company": "refresh-1",
            "another": "refresh-1",
        }
        server.ends.clear()
        assert read(make({"token_database": database, "token_name": "another"}, server.url), server.url) == 200

    def test_a_mistyped_refresh_token_in_the_settings_costs_no_session(
        self, server: OAuthServer, database: str
    ) -> None:
        good = {**LOGIN, "token_database": database}
        read(make(good, server.url), server.url)
        for config in ({**good, "refresh_token": "refresh-O"}, good, {**good, "refresh_token": "refresh-O"}):
            server.ends.clear()
            assert read(make(config, server.url), server.url) == 200
        assert server.refused == ["refresh-O"]

    def test_a_new_login_in_the_settings_wins(self, server: OAuthServer, database: str) -> None:
        read(make({**LOGIN, "token_database": database}, server.url), server.url)
        server.number = 41
        newer = {**LOGIN, "refresh_token": "refresh-41", "token_database": database}
        for config in (newer, {**LOGIN, "token_database": database}):
            server.ends.clear()
            assert read(make(config, server.url), server.url) == 200
        assert server.refused == []

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"target_url": "https://another.example"}, "belongs to the host another.example"),
            ({"refresh_token": 7}, "refresh_token"),
            ({"created_at": "2001-01-01T00:00:00"}, "over a week ago"),
        ],
    )
    def test_what_cannot_be_used_is_one_clear_line(
        self, server: OAuthServer, database: str, changes: dict[str, Any], says: str
    ) -> None:
        make({**LOGIN, "token_database": database}, server.url)
        change(database, **changes)
        with pytest.raises(SessionError, match=says):
            make({"token_database": database, "token_name": "the-client"}, server.url)

    def test_a_lost_answer_is_asked_for_once_more(self, server: OAuthServer, database: str) -> None:
        authenticator = make({**LOGIN, "token_database": database}, server.url)
        server.faults = [Fault(503)]
        assert read(authenticator, server.url) == 200
        server.ends.clear()
        server.faults = [Fault(200, b"x" * 100, cut=True)] * 2
        assert "may have been used up" in failure(authenticator, server.url)
        assert kept(database)["the-client"]["refresh_token"] == "refresh-1"

    def test_nothing_is_kept_and_nothing_is_given(self, server: OAuthServer, database: str) -> None:
        with pytest.raises(ConfigError, match=r"for the token_name acme-es \(is it spelt right\?\); there is no ref"):
            make({"token_database": database, "token_name": "acme-es", **CLIENT}, server.url)
        with pytest.raises(ConfigError, match="does not exist for this client_id, and token_name is not set") as caught:
            make({"token_database": database, **CLIENT}, server.url)
        assert CLIENT["client_id"] not in str(caught.value)

    @pytest.mark.parametrize(
        ("config", "says"),
        [
            (
                {"token_database": "postgresql:///x", "token_file": "x", **LOGIN},
                "token_file and token_database are two",
            ),
            ({"token_name": "x", **LOGIN}, "token_name can only be used with token_database"),
            ({"token_database": "postgresql:///x"}, "needs token_name or client_id"),
            (
                {"token_database": "postgresql:///x", "access_token": "a", "client_id": "i"},
                "two authentication methods",
            ),
            ({"token_database": "mysql://SECRET@x/y", **LOGIN}, "is no URL of a PostgreSQL"),
            ({"token_database": "postgresql://u:SECRET@host:port/y", **LOGIN}, "is no URL of a PostgreSQL"),
            ({"token_database": "postgresql://u:SECRET@host/y?never=heard", **LOGIN}, "is no URL of a PostgreSQL"),
        ],
    )
    def test_settings_that_do_not_go_together(self, config: dict[str, str], says: str) -> None:
        with pytest.raises(ConfigError, match=says) as caught:
            make(config, "https://a.example")
        assert "SECRET" not in repr(caught.value) + repr(caught.value.__context__)

    def test_a_host_that_cannot_be_one(self) -> None:
        with pytest.raises(SessionError, match="token_database cannot be reached") as caught:
            make({"token_database": "postgresql://u:SECRET@a..b/y", **LOGIN}, "https://a.example")
        assert "SECRET" not in repr(caught.value) + repr(caught.value.__context__)

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(ConfigError, match=r"install tap-factorialhr\[postgres\]"):
            make({"token_database": "postgresql:///x", **LOGIN}, "https://a.example")


class TestManyProcesses:
    def test_machines_that_start_together_make_the_table_once(self, database: str) -> None:
        start = threading.Barrier(12)

        def first_run() -> None:
            place = token_database.TokenDatabase(database, row="ours", token_name="ours", lock_seconds=30)
            start.wait()
            with place.exclusive():
                place.write(b"{}")

        with ThreadPoolExecutor(start.parties) as machines:
            for _ in range(8):
                for run in [machines.submit(first_run) for _ in range(start.parties)]:
                    run.result()
                with psycopg.connect(database) as connection:
                    connection.execute("DROP TABLE factorialhr_sessions")

    def test_a_dozen_machines_renew_once_between_them(self, tmp_path: Path, database: str, figure: Figure) -> None:
        results = CONTEXT.SimpleQueue()
        with serving(lifetime=2) as server:
            config = {**LOGIN, "token_database": database}
            readers = [
                CONTEXT.Process(
                    target=in_a_folder_of_its_own, args=(tmp_path / str(number), config, server.url, results)
                )
                for number in range(12)
            ]
            for reader in readers:
                reader.start()
            outcomes = [results.get() for _ in readers]
            for reader in readers:
                reader.join(60)
        assert [one for one in outcomes if isinstance(one, str)] == []
        assert server.refused == []
        assert kept(database)["the-client"]["refresh_token"] == server.refresh_token
        assert len(server.forms) > 1
        figure(f"12 processes: {len(server.forms)} refreshes, {sum(outcomes)} reads, none refused")

    def test_a_process_that_is_killed_lets_go(self, database: str) -> None:
        """Killed at random moments, but for those in which the server has renewed and nobody has its answer yet."""
        chance = random.Random(3)
        with serving() as server:
            config = {**LOGIN, "token_database": database}
            make(config, server.url)
            for _ in range(5):
                server.ends.clear()
                before = server.number
                victim = CONTEXT.Process(target=renew_and_wait, args=(config, server.url))
                victim.start()
                while server.number == before:
                    time.sleep(0.001)
                # From here on the answer is on its way; a kill before it is stored may cost the tokens.
                while kept(database)["the-client"]["refresh_token"] != server.refresh_token:
                    time.sleep(0.001)
                time.sleep(chance.uniform(0, 0.01))
                os.kill(victim.pid or 0, signal.SIGKILL)
                victim.join()
                server.ends.clear()
                assert read(make(config, server.url), server.url) == 200
            assert server.refused == []

    def test_a_process_that_is_killed_while_it_waits_for_the_answer_lets_go_at_once(self, database: str) -> None:
        with serving() as server:
            config = {**LOGIN, "token_database": database}
            make(config, server.url)
            server.faults = [Fault(503, silence=30)]
            victim = CONTEXT.Process(target=renew_and_wait, args=(config, server.url))
            victim.start()
            while not server.forms:
                time.sleep(0.001)
            os.kill(victim.pid or 0, signal.SIGKILL)
            victim.join()
            began = time.monotonic()
            assert read(make(config, server.url), server.url) == 200
            assert time.monotonic() - began < 10
            assert server.refused == []

    def test_a_process_that_does_not_let_go_is_named(
        self, server: OAuthServer, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = {**LOGIN, "token_database": database}
        authenticator = make(config, server.url, timeout=(0.2, 0.2))
        monkeypatch.setattr(auth, "TOKEN_POLICY", AT_ONCE)
        with psycopg.connect(database) as other:
            other.execute("SELECT * FROM factorialhr_sessions FOR UPDATE")
            place = authenticator._store._place  # type: ignore[attr-defined]
            place._lock_seconds = 0.2
            assert "another process has held the session in token_database" in failure(authenticator, server.url)
        assert server.forms == []


def in_a_folder_of_its_own(folder: Path, config: dict[str, Any], url: str, results: Any) -> None:
    folder.mkdir()
    os.chdir(folder)
    read_for_a_while(config, url, 3.0, results)
    shutil.rmtree(folder)


def renew_and_wait(config: dict[str, Any], url: str) -> None:
    read(make(config, url, timeout=(30.0, 30.0)), url)
    time.sleep(60)


class Gate:
    """A way to the database that can be closed: a relay in front of its socket."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._frozen: set[socket.socket] = set()
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                if not self.is_open:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._relay, args=(source, target), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source in self._frozen or target in self._frozen:
                    continue
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def shut(self) -> None:
        """Cut all connections, and take no new ones."""
        self.is_open = False
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def freeze(self) -> None:
        """Let nothing through the connections that there are, without a word; new ones are as good as ever."""
        self._frozen.update(self._open)

    def open_in(self, seconds: float) -> None:
        threading.Timer(seconds, lambda: setattr(self, "is_open", True)).start()

    def close(self) -> None:
        self.shut()
        self._listening.close()


@pytest.fixture
def gate(postgres: str) -> Iterator[Gate]:
    folder = psycopg.conninfo.conninfo_to_dict(postgres)["host"]
    gate = Gate(f"{folder}/.s.PGSQL.5432")
    yield gate
    gate.close()


@pytest.fixture
def through(gate: Gate, database: str) -> str:
    """The database by way of the gate."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    return f"postgresql://postgres:SECRET-BODY@127.0.0.1:{gate.port}/{name}"


class TestDatabaseAway:
    def test_before(self, server: OAuthServer, gate: Gate, through: str) -> None:
        gate.shut()
        with pytest.raises(SessionError, match="the session in token_database cannot be reached") as caught:
            make({**LOGIN, "token_database": through}, server.url)
        assert "SECRET" not in repr(caught.value) + repr(caught.value.__context__)
        assert server.forms == []

    def test_before_a_renewal(self, server: OAuthServer, gate: Gate, through: str) -> None:
        authenticator = make({**LOGIN, "token_database": through}, server.url)
        gate.shut()
        assert "cannot be reached" in failure(authenticator, server.url)
        assert server.forms == []

    @pytest.mark.parametrize("seconds", [0.0, 1.0])
    def test_while_the_token_is_used_up(
        self, server: OAuthServer, gate: Gate, through: str, database: str, seconds: float
    ) -> None:
        authenticator = make({**LOGIN, "token_database": through}, server.url)

        def cut() -> None:
            gate.shut()
            gate.open_in(seconds)

        server.meanwhile = cut
        assert read(authenticator, server.url) == 200
        assert kept(database)["the-client"]["refresh_token"] == "refresh-1"
        assert len(server.forms) == 1

    def test_without_a_word(
        self, server: OAuthServer, gate: Gate, through: str, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authenticator = make({**LOGIN, "token_database": through}, server.url)
        monkeypatch.setattr(token_database, "_ANSWER_SECONDS", 0.5)
        server.meanwhile = gate.freeze
        assert read(authenticator, server.url) == 200
        assert kept(database)["the-client"]["refresh_token"] == "refresh-1"

    def test_and_it_does_not_come_back(
        self, server: OAuthServer, gate: Gate, through: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session_store, "KEEP_TRYING_SECONDS", 0.5)
        authenticator = make({**LOGIN, "token_database": through}, server.url)
        server.meanwhile = gate.shut
        message = failure(authenticator, server.url)
        assert "the new tokens would be lost" in message
        assert "log in again" in message
        assert len(server.forms) == 1

    def test_another_machine_got_hold_of_the_row_meanwhile(
        self, server: OAuthServer, gate: Gate, through: str, database: str
    ) -> None:
        """It cannot renew with a token that is used up; what it leaves does not stand in the way of the new tokens."""
        authenticator = make({**LOGIN, "token_database": through}, server.url)

        def cut() -> None:
            server.meanwhile = lambda: None
            gate.shut()
            change(database, seen=["0" * 64])
            gate.open_in(0.5)

        server.meanwhile = cut
        assert read(authenticator, server.url) == 200
        document = kept(database)["the-client"]
        assert (document["refresh_token"], document["seen"]) == ("refresh-1", ["0" * 64])

    def test_another_login_that_was_kept_meanwhile_stays(
        self, server: OAuthServer, gate: Gate, through: str, database: str
    ) -> None:
        authenticator = make({**LOGIN, "token_database": through}, server.url)

        def cut() -> None:
            gate.shut()
            change(database, refresh_token="refresh-of-another-login")
            gate.open_in(0.5)

        server.meanwhile = cut
        assert read(authenticator, server.url) == 200
        assert kept(database)["the-client"]["refresh_token"] == "refresh-of-another-login"

    def test_after(self, server: OAuthServer, gate: Gate, through: str) -> None:
        authenticator = make({**LOGIN, "token_database": through}, server.url)
        assert read(authenticator, server.url) == 200
        gate.shut()
        assert read(authenticator, server.url) == 200


class TestDatabaseThatDoesNotTakeIt:
    @pytest.mark.parametrize(
        ("spoil", "says"),
        [
            ("ALTER DATABASE {name} SET default_transaction_read_only = on", "cannot be read (it is read-only)"),
            (
                "ALTER TABLE factorialhr_sessions ADD CHECK (length(document) < 2000)",
                "cannot be written (SQLSTATE 23514), so that new tokens could not be kept. No token was used up",
            ),
        ],
        ids=["read-only", "no room"],
    )
    def test_is_noticed_before_the_token_is_used_up(
        self, server: OAuthServer, database: str, spoil: str, says: str
    ) -> None:
        authenticator = make({**LOGIN, "token_database": database}, server.url)
        name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
        with psycopg.connect(database) as connection:
            connection.execute(spoil.format(name=name))
        assert failure(authenticator, server.url) == f"the session in token_database {says}"
        assert server.forms == []

    def test_is_tried_again_where_that_is_noticed_too_late(self, server: OAuthServer, database: str) -> None:
        authenticator = make({**LOGIN, "token_database": database}, server.url)
        with psycopg.connect(database) as connection:
            connection.execute("""
                CREATE FUNCTION refuse_for_a_second() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NEW.document LIKE '%refresh-1%'
                        AND NOT EXISTS (SELECT FROM began WHERE at < clock_timestamp() - interval '1 second')
                    THEN RAISE EXCEPTION 'not now'; END IF;
                    RETURN NEW;
                END $$""")
            connection.execute("CREATE TABLE began AS SELECT clock_timestamp() AS at")
            connection.execute(
                "CREATE TRIGGER refuse BEFORE UPDATE ON factorialhr_sessions "
                "FOR EACH ROW EXECUTE FUNCTION refuse_for_a_second()"
            )
        began = time.monotonic()
        assert read(authenticator, server.url) == 200
        assert time.monotonic() - began < 15
        assert kept(database)["the-client"]["refresh_token"] == "refresh-1"

    def test_a_role_that_may_not_make_the_table(self, server: OAuthServer, database: str) -> None:
        name = f"role_{time.monotonic_ns()}"
        with psycopg.connect(database) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN")
            connection.execute("REVOKE CREATE ON SCHEMA public FROM public")
        url = database.replace("postgres:@", f"{name}:@")
        assert url != database
        with pytest.raises(SessionError, match="the role may not use the table") as caught:
            make({**LOGIN, "token_database": url}, server.url)
        assert name not in str(caught.value)
        with psycopg.connect(database) as connection:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


def test_file_descriptors_run_out(server: OAuthServer, database: str) -> None:
    authenticator = make({**LOGIN, "token_database": database}, server.url)
    with contextlib.ExitStack() as taken:
        server.meanwhile = lambda: taken.enter_context(no_descriptors_left())
        with contextlib.suppress(OSError):
            read(authenticator, server.url)
    assert kept(database)["the-client"]["refresh_token"] == "refresh-1"
