"""The SDK's own tests, over all streams, against the simulated company.

What they check of each attribute is what the schema of a record says of it, and that is checked for whole records.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tests.support.tap import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# The class is made, and its tests named, before any fixture runs: only the port has to be known by then.
SANDBOX = Sandbox(Company(employees=5, untidy=True), port=_free_port())

StandardTests = get_tap_test_class(
    TapFactorialHR,
    config=config_for(SANDBOX),
    parse_env_config=False,
    suite_config=SuiteConfig(ignore_no_records=False),
    include_stream_attribute_tests=False,
)


class TestTap(StandardTests):  # type: ignore[misc, valid-type]
    """All that the SDK checks."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def company(cls) -> Iterator[Sandbox]:
        """The company, served for as long as the class runs."""
        with SANDBOX:
            yield SANDBOX
