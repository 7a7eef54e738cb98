"""Which company and domain is what, and who gets to see which secret."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from factorialhr_dagster import settings
from factorialhr_dagster.transfer import PIPELINE

if TYPE_CHECKING:
    from pathlib import Path


def test_every_stream_of_the_tap_has_a_domain_and_every_pattern_a_stream() -> None:
    known = settings.load()
    found = subprocess.run([PIPELINE / "tap-factorialhr", "--discover"], capture_output=True, text=True, check=True)
    streams = [entry["tap_stream_id"] for entry in json.loads(found.stdout)["streams"]]
    assert len(streams) > 100
    assert all(known.domain_of(stream) for stream in streams)
    assert known.domain_of("contracts") == known.domain_of("contracts_contract_versions") == "people"
    assert known.domain_of("payroll_integrations_base_codes") == "pay"
    assert known.domain_of("a_stream_of_tomorrow") == "rest"
    for domain in known.domains.values():
        for pattern in domain.streams:
            alone = settings.Domain("one", (pattern,), "nightly")
            assert any(alone.names(stream) for stream in streams), f"{domain.name}: {pattern}"


def test_a_tap_sees_the_secrets_of_its_company_alone() -> None:
    environment = {
        "PATH": "/bin",
        "FACTORIALHR_ACME__API_KEY": "key of acme",
        "FACTORIALHR_ACME_NORTH__API_KEY": "key of acme_north",
        "WAREHOUSE_URL": "postgresql://secret",
        "DAGSTER_POSTGRES_URL": "postgresql://secret",
        "TAP_FACTORIALHR_API_KEY": "key of nobody",
        "TARGET_POSTGRES_PASSWORD": "of the target",
    }
    assert settings.tap_environment("acme", {"concurrency": 4, "start_date": "2026-01-01"}, environment) == {
        "PATH": "/bin",
        "TAP_FACTORIALHR_API_KEY": "key of acme",
        "TAP_FACTORIALHR_CONCURRENCY": "4",
        "TAP_FACTORIALHR_START_DATE": "2026-01-01",
    }
    of_target = settings.target_environment("acme", "postgresql://user@host/rows", environment)
    assert of_target["TARGET_POSTGRES_SQLALCHEMY_URL"] == "postgresql+psycopg://user@host/rows"
    assert of_target["TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"] == "acme"
    assert not any("key of" in value for value in of_target.values())


@pytest.mark.parametrize(
    ("companies", "domains", "told"),
    [
        ("[companies.'Acme']", "[domains.a]\nstreams=['*']\nschedule='s'", "'Acme' is no name"),
        ("[companies.a__b]", "[domains.a]\nstreams=['*']\nschedule='s'", "'a__b' is no name"),
        ("[companies.a]", "[domains.a]\nstreams=['*']\nschedule='daily'", "no schedule 'daily', as a has it"),
    ],
)
def test_files_that_make_no_sense_are_told(tmp_path: Path, companies: str, domains: str, told: str) -> None:
    (tmp_path / "companies.toml").write_text(companies)
    (tmp_path / "domains.toml").write_text(f"[schedules]\ns='0 2 * * *'\n{domains}")
    with pytest.raises(settings.SettingsError, match=told):
        settings.load(tmp_path)
