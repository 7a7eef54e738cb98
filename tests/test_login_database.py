"""`tap-factorialhr login` keeps the session in a database where the settings say so."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner

from tap_factorialhr.commands.login import command
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support import browser

if TYPE_CHECKING:
    from tests.support.tap import TapRunner

BROWSER = f"{sys.executable} -P {browser.__file__} %s"


def test_a_login_makes_a_session_in_the_database_that_runs_go_on_with(tap: TapRunner, database: str) -> None:
    with Sandbox(Company(3)) as sandbox:
        config = {
            "base_url": sandbox.base_url,
            "client_id": sandbox.oauth.client_id,
            "client_secret": sandbox.oauth.client_secret,
            "token_database": database,
        }
        file = tap.file("login.json", json.dumps(config))
        options = [f"--config={file}", "--redirect-uri=http://127.0.0.1/callback", "--wait=50"]
        done = CliRunner(env={"BROWSER": BROWSER}).invoke(command, options)
        assert done.exit_code == 0, done.output
        assert "token_database as it is" in done.output
        assert "client_id has to stay" in done.output
        assert database not in done.output
        sandbox.oauth.expire_access_tokens()
        run = tap(config, catalog=tap.catalog("teams"))
        assert run.code == 0, run.stderr
        assert len(run.records["teams"]) == 6
        assert sandbox.oauth.refreshes == 1
        again = CliRunner(env={"BROWSER": BROWSER}).invoke(command, options)
        assert again.exit_code == 1
        assert "There is a session already" in again.output
