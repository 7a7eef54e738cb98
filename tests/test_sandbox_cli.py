"""The command `factorialhr-sandbox`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
import requests

from tap_factorialhr.openapi import DEFAULT_VERSION
from tap_factorialhr.sandbox.cli import REFRESH_TOKEN
from tests.support.sandbox import EMPLOYEES


def run(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tap_factorialhr.sandbox.cli import main; main()", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_stopped(stop: signal.Signals) -> None:
    process = run("--employees", "12", "--port", "0", "--forbidden", "teams/teams")
    try:
        assert process.stdout
        greeting = "".join(process.stdout.readline() for _ in range(10))
        found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert found, greeting
        assert REFRESH_TOKEN in greeting
        url = f"{found.group()}/api/{DEFAULT_VERSION}/resources"
        headers = {"x-api-key": "sandbox-api-key"}
        body = requests.get(f"{url}/{EMPLOYEES}", headers=headers, timeout=10).json()
        assert body["meta"]["total"] == 12
        assert requests.get(f"{url}/teams/teams", headers=headers, timeout=10).status_code == 403
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=5)
        assert (process.returncode, rest, errors) == (0, "", "")
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--employees", "0"], "employees"),
        (["--fault", "explosion"], "explosion"),
        (["--forbidden", "no/such"], "no/such"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_bad_options_are_one_line(options: list[str], word: str) -> None:
    process = run("--port", "0", *options)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, len(errors.splitlines())) == (1, "", 1)
    assert word in errors


def test_without_the_extra_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from tap_factorialhr.sandbox.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, "--port", "0"], capture_output=True, text=True, timeout=10, check=False
    )
    assert process.returncode == 1
    assert process.stderr == "Error: the sandbox needs its extra: pip install 'tap-factorialhr[sandbox]'\n"
