"""`tap-factorialhr login` for an OAuth application of a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from tap_factorialhr.commands.login import command
from tests.support import browser
from tests.support.tap import TAP

if TYPE_CHECKING:
    from pathlib import Path

    from tap_factorialhr.sandbox import Sandbox

PROGRAM = f"{sys.executable} -P {browser.__file__}"
BROWSER = f"{PROGRAM} %s"
CATCH = "http://127.0.0.1/callback"


class Login:
    """The command as a process, for an OAuth application of a sandbox."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.file = folder / "session.json"
        self.config: dict[str, Any] = {
            "base_url": sandbox.base_url,
            "client_id": sandbox.oauth.client_id,
            "client_secret": sandbox.oauth.client_secret,
            "token_file": str(self.file),
        }
        self._config_file = folder / "login.json"

    def start(
        self, *options: str, browser: str = "", redirect_uri: str = CATCH, **process: Any
    ) -> subprocess.Popen[str]:
        self._config_file.write_text(json.dumps(self.config))
        env = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
        return subprocess.Popen(
            [
                *TAP,
                "login",
                "--config",
                str(self._config_file),
                "--redirect-uri",
                redirect_uri,
                "--wait",
                "50",
                *options,
            ],
            text=True,
            env=env | {"BROWSER": browser},
            **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | process,
        )

    def run(self, *options: str, browser: str = BROWSER, redirect_uri: str = CATCH, typed: str = "") -> tuple[int, str]:
        """Run it to its end; gives the exit code and all that was said, in which no secret may stand."""
        process = self.start(*options, browser=browser, redirect_uri=redirect_uri)
        out, errors = process.communicate(typed, timeout=180)
        return self.judged(process.returncode, out + errors)

    def here(self, *options: str, redirect_uri: str = CATCH) -> tuple[int, str]:
        """The same in this process, which is faster. The first browser of a process is that of all others in it."""
        self._config_file.write_text(json.dumps(self.config))
        env = {"BROWSER": BROWSER, "DISPLAY": None, "WAYLAND_DISPLAY": None}
        given = [f"--config={self._config_file}", f"--redirect-uri={redirect_uri}", "--wait=50", *options]
        result = CliRunner(env=env).invoke(command, given)
        return self.judged(result.exit_code, result.output)

    def judged(self, code: int, said: str) -> tuple[int, str]:
        assert "Traceback" not in said
        secrets = [self.sandbox.oauth.client_secret]
        with contextlib.suppress(FileNotFoundError, ValueError):
            secrets += [value for name, value in self.kept.items() if name.endswith("_token")]
        assert not [secret for secret in secrets if secret in said]
        return code, said

    @property
    def kept(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content

    @property
    def exchanges(self) -> int:
        """How many token requests there were."""
        return sum(record.path == "/oauth/token" for record in self.sandbox.requests)


def page_in(process: subprocess.Popen[str]) -> str:
    """The address that a process asks to open; it listens for the answer by then."""
    assert process.stdout
    return next(line.strip() for line in process.stdout if line.startswith("  http"))


def last_line(said: str) -> str:
    return said.strip().splitlines()[-1]
