"""The session in a database whose defaults, rules or encoding are other than usual."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest

from tap_factorialhr.errors import SessionError
from tests.support.authentication import LOGIN, failure, make, read

if TYPE_CHECKING:
    from tests.support.oauth_server import OAuthServer

pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.mark.parametrize(
    "default",
    [
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_isolation = 'serializable'",
        "statement_timeout = '300ms'",
        "idle_in_transaction_session_timeout = '300ms'",
        "transaction_timeout = '300ms'",
    ],
)
def test_machines_wait_for_the_one_that_renews_whatever_the_defaults(
    server: OAuthServer, database: str, default: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {default}".encode())
    config = {**LOGIN, "token_database": database}
    machines = [make(config, server.url, timeout=(10.0, 10.0)) for _ in range(3)]
    server.meanwhile = lambda: time.sleep(0.8)
    with ThreadPoolExecutor(len(machines)) as pool:
        assert list(pool.map(lambda machine: read(machine, server.url), machines)) == [200] * len(machines)
    assert server.refused == []
    assert len(server.forms) == 1


def test_an_encoding_that_says_nothing_of_characters(server: OAuthServer, postgres: str) -> None:
    name = f"ascii_{time.monotonic_ns()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0".encode())
    config = {**LOGIN, "token_database": postgres.replace("/postgres?", f"/{name}?")}
    for _ in range(2):
        assert read(make(config, server.url), server.url) == 200
        server.ends.clear()


SKIP = """
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER skip BEFORE UPDATE ON factorialhr_sessions FOR EACH ROW EXECUTE FUNCTION skip()"""


def test_a_row_that_nobody_may_change_is_noticed_before_the_token_is_used_up(
    server: OAuthServer, database: str
) -> None:
    authenticator = make({**LOGIN, "token_database": database}, server.url)
    with psycopg.connect(database) as connection:
        connection.execute(SKIP.encode())
    assert failure(authenticator, server.url) == (
        "the session in token_database cannot be written (a policy or a trigger of the table keeps it as it is), so "
        "that new tokens could not be kept. No token was used up"
    )
    assert server.forms == []


def test_nor_is_a_session_taken_for_kept_that_is_not(server: OAuthServer, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE factorialhr_sessions (name text PRIMARY KEY, document text DEFAULT '')")
        connection.execute("ALTER TABLE factorialhr_sessions ADD changed_at timestamptz")
        connection.execute(SKIP.encode())
    with pytest.raises(SessionError, match="keeps it as it is"):
        make({**LOGIN, "token_database": database}, server.url)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT document FROM factorialhr_sessions").fetchall()
    assert json.dumps(rows) in ("[]", '[[""]]')
