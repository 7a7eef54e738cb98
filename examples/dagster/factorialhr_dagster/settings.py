"""Which companies and domains there are, and what of the environment reaches which process."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OWN = ("FACTORIALHR_", "WAREHOUSE_", "DAGSTER_", "TAP_", "TARGET_")


class SettingsError(ValueError):
    """A file of settings cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Domain:
    """A part of a company that is read by one run.

    Attributes:
        name: The key of the partition.
        streams: Patterns of stream names.
        schedule: The name of its schedule.
    """

    name: str
    streams: tuple[str, ...]
    schedule: str

    def names(self, stream: str) -> bool:
        """Whether one of its patterns names a stream."""
        return any(fnmatchcase(stream, pattern) for pattern in self.streams)


@dataclass(frozen=True)
class Settings:
    """What is to be read, and when.

    Attributes:
        companies: The settings of the tap for each company, without its secrets.
        domains: The domains by name, in the order in which they are asked for a stream.
        schedules: The cron expression of each schedule.
    """

    companies: Mapping[str, Mapping[str, Any]]
    domains: Mapping[str, Domain]
    schedules: Mapping[str, str]

    def domain_of(self, stream: str) -> str | None:
        """The domain that a stream belongs to: the first that names it."""
        return next((name for name, domain in self.domains.items() if domain.names(stream)), None)


def load(folder: Path = PROJECT) -> Settings:
    """Read ``companies.toml`` and ``domains.toml``.

    Raises:
        SettingsError: A name cannot be one of a partition and a schema, or a schedule is missing.
    """
    of_companies = tomllib.loads((folder / "companies.toml").read_text())
    of_domains = tomllib.loads((folder / "domains.toml").read_text())
    shared = of_companies.get("settings", {})
    companies = {name: {**shared, **own} for name, own in of_companies["companies"].items()}
    domains = {
        name: Domain(name, tuple(domain["streams"]), domain["schedule"])
        for name, domain in of_domains["domains"].items()
    }
    for name in (*companies, *domains):
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{name!r} is no name: small letters, digits and single underscores")
    for domain in domains.values():
        if domain.schedule not in of_domains["schedules"]:
            raise SettingsError(f"domains.toml: there is no schedule {domain.schedule!r}, as {domain.name} has it")
    return Settings(companies, domains, of_domains["schedules"])


def tap_environment(company: str, settings: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a company's tap: its own settings and secrets, and nobody else's.

    Args:
        company: Its name.
        settings: What ``companies.toml`` says.
        environment: Where ``FACTORIALHR_<COMPANY>__<SETTING>`` stands; that wins over the file.
    """
    prefix = f"FACTORIALHR_{company.upper()}__"
    given = {f"TAP_FACTORIALHR_{name.upper()}": _as_text(value) for name, value in settings.items()}
    given |= {
        f"TAP_FACTORIALHR_{name.removeprefix(prefix)}": value
        for name, value in environment.items()
        if name.startswith(prefix)
    }
    return {**_without_secrets(environment), **given}


def target_environment(company: str, warehouse: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the loader: the database, and the company's schema.

    Args:
        company: Its name, which is that of the schema.
        warehouse: The URL of the database, ``postgresql://...``.
        environment: Where ``TARGET_POSTGRES_<SETTING>`` may say more.
    """
    return {
        **_without_secrets(environment),
        "TARGET_POSTGRES_ADD_RECORD_METADATA": "true",
        "TARGET_POSTGRES_USE_COPY": "true",
        "TARGET_POSTGRES_VALIDATE_RECORDS": "false",
        **{name: value for name, value in environment.items() if name.startswith("TARGET_POSTGRES_")},
        "TARGET_POSTGRES_SQLALCHEMY_URL": re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", warehouse),
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": company,
    }


def warehouse_url() -> str:
    """The URL of the database that rows and states are kept in.

    Raises:
        SettingsError: ``WAREHOUSE_URL`` is not set.
    """
    url = os.environ.get("WAREHOUSE_URL")
    if not url:
        raise SettingsError("WAREHOUSE_URL is not set: the PostgreSQL for rows and states, postgresql://...")
    return url


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_OWN)}


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
