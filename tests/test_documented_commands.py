"""The commands of README.md and docs/ do what they say: run as they are written, in the order of the page.

Each page runs in one shell, in an empty folder, with a simulated company in the place of Factorial. What it installs
comes from `.wheels`, and the tap from a wheel made of this checkout. A block after a comment `<!-- not run: why -->`
is left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts.meltano import OWN
from scripts.plugin_definition import NEXT_STEPS
from scripts.wheels import FOLDER as WHEELS
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.numbers import STREAMS
from tests.support.postgres import empty_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROJECT = Path(__file__).resolve().parent.parent
UV = PROJECT / ".venv-uv" / "bin" / "uv"
PAGES = ("README.md", *(f"docs/{path.name}" for path in sorted((PROJECT / "docs").glob("*.md"))))
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<why>[^\n]+?) -->\n+)?^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$",
    flags=re.MULTILINE | re.DOTALL,
)
MOST_NOT_RUN = 5

pytestmark = pytest.mark.xdist_group("commands")


def blocks(page: str, language: str = "sh") -> Iterator[tuple[str, str | None]]:
    """The blocks of a page in one language, and why one is not run."""
    yield from blocks_of((PROJECT / page).read_text(), language)


def blocks_of(text: str, language: str = "sh") -> Iterator[tuple[str, str | None]]:
    """The same of a text."""
    for found in BLOCK.finditer(text):
        if found["language"] == language:
            lines = found["code"].splitlines()
            yield "\n".join(line.removeprefix(found["indent"]) for line in lines), found["why"]


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, folder: Path, sandbox: Sandbox, postgres: str) -> None:
        self.folder = folder
        self.postgres = postgres
        (home := folder / "home").mkdir()
        (dist := folder / "dist").mkdir()
        build = [str(UV), "build", "--quiet", "--wheel", "--out-dir", str(dist), str(PROJECT)]
        offline = {
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": f"{WHEELS},{dist}",
            "UV_CACHE_DIR": str(WHEELS / "cache"),
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_REQUIRE_VIRTUALENV": "1",  # nothing gets into the machine's own Python
        }
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith((*OWN, "UV_", "PIP_", "VIRTUAL"))
        }
        subprocess.run(build, env=kept | offline, check=True)
        self.environment = {
            **kept,
            **offline,
            "HOME": str(home),
            "PATH": f"{home}/.local/bin:{UV.parent}:/usr/local/bin:/usr/bin:/bin",
            "NO_COLOR": "1",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "TAP_FACTORIALHR_BASE_URL": sandbox.base_url,
            "TAP_FACTORIALHR_API_KEY": sandbox.api_key,
            "TAP_FACTORIALHR_INTEGRATION_UUIDS": json.dumps(sandbox.company.integration_uuids),
            "TARGET_POSTGRES_SQLALCHEMY_URL": postgres.replace("postgresql://", "postgresql+psycopg://"),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def read(self, page: str, where: Path) -> str:
        """Run the blocks of a page one after the other; what they printed."""
        return self.run(blocks(page), where)

    def run(self, found: Iterable[tuple[str, str | None]], where: Path) -> str:
        """The same with blocks."""
        script = "\n".join(f"echo '--- block {n}'\n{code}" for n, (code, why) in enumerate(found) if not why)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=where,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=5)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, company: Sandbox, postgres: str) -> Iterator[Reader]:
    with empty_database(postgres) as url:
        yield Reader(tmp_path_factory.mktemp("reader"), company, url)


@pytest.fixture(scope="module")
def readme(reader: Reader) -> str:
    return reader.read("README.md", reader.folder)


def test_the_readme_leads_to_a_table(reader: Reader, company: Sandbox, readme: str) -> None:
    names = {str(row["full_name"]) for row in company.company.rows("employees/employees")}
    assert len(names) >= 3
    for name in names:
        assert name in readme
    messages = (reader.folder / "people" / "messages.jsonl").read_text().splitlines()
    assert sum('"type":"SCHEMA"' in line for line in messages) == STREAMS


@pytest.mark.usefixtures("readme")
def test_the_page_on_loaders_goes_on_from_there(reader: Reader, company: Sandbox) -> None:
    printed = reader.read("docs/loaders.md", reader.folder / "people")
    employees = {str(row["id"]) for row in company.company.rows("employees/employees")}
    with psycopg.connect(reader.postgres) as connection:
        found = connection.execute("SELECT id FROM factorialhr.employees").fetchall()
        tables = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'factorialhr'"
        ).fetchone()
    assert {row[0] for row in found} == employees
    assert tables == (2,)
    lines = (reader.folder / "people" / "output" / "employees.jsonl").read_text().splitlines()
    assert {json.loads(line)["id"] for line in lines} == employees
    assert lines[-1] in printed


@pytest.mark.usefixtures("readme")
def test_so_do_the_next_steps_of_the_plugin_definition(reader: Reader) -> None:
    steps = list(blocks_of(NEXT_STEPS))
    assert len(steps) == 2
    assert "Plugin configuration is valid" in reader.run(steps, reader.folder / "people")


def test_the_other_pages_by_themselves(reader: Reader, tmp_path: Path) -> None:
    for page in set(PAGES) - {"README.md", "docs/loaders.md"}:
        (folder := tmp_path / page.replace("/", "-")).mkdir()
        reader.read(page, folder)


def test_few_blocks_are_not_run() -> None:
    left_out = [(page, code) for page in PAGES for code, why in blocks(page) if why]
    assert len(left_out) <= MOST_NOT_RUN, left_out


@pytest.mark.parametrize("page", PAGES)
def test_python_in_a_page_runs(page: str) -> None:
    for code, why in blocks(page, "python"):
        if not why:
            subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
