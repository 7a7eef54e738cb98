"""The fixtures that the tests share; what they are made of is in `tests.support`."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings

from tap_factorialhr import auth
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support import documents
from tests.support.authentication import AT_ONCE
from tests.support.oauth_server import OAuthServer, serving
from tests.support.postgres import empty_database, passing_postgres
from tests.support.tap import TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The certificates of the machine are no matter of the tests, and to read them is a quarter of a start of the tap.
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)

Figure: TypeAlias = "Callable[[str], None]"

# The same examples everywhere, and no example fails for being slow: a busy machine is not a broken tap. A search with
# other examples: pytest --hypothesis-profile=search. `make mutants` has few of them for each mutant.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=20)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)  # `make mutants` runs the tests without xdist
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: twice the cores, for tests wait a lot, for a signal, a delay or another process."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture
def tap(tmp_path: Path) -> TapRunner:
    return TapRunner(tmp_path)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=12, untidy=True)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    """A tidy company of thirty that the tests of a module share."""
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """The same for one test alone, which changes it."""
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    """A token endpoint."""
    with serving() as running:
        yield running


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token requests are tried again at once."""
    monkeypatch.setattr(auth, "TOKEN_POLICY", AT_ONCE)
    monkeypatch.setattr(auth, "UNUSED_POLICY", AT_ONCE)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that many tests share."""
    with passing_postgres() as url:
        yield url


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The URL of an empty database, which one test has for itself."""
    with empty_database(postgres) as url:
        yield url


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return config_for(sandbox)


@pytest.fixture
def document() -> dict[str, Any]:
    """Our API document as the next version, to be changed."""
    return documents.vendored(documents.NEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with our API document alone."""
    return documents.folder_of_ours(tmp_path)


@pytest.fixture
def bring_in(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> documents.Importer:
    """What brings a changed document into that folder."""
    return documents.Importer(documents.NEXT, tmp_path / "new.json", folder, capsys)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a certificate for localhost and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not there to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *arguments.split(), *files], check=True, capture_output=True)
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return str(both)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Shows a figure at the end of the tests' output."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured, whether they passed or not."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [
        (report.nodeid, text)
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for nodeid, text in sorted(figures):
            terminalreporter.line(f"{nodeid.rpartition('::')[2]}: {text}")
