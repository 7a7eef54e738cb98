"""A guard that is no timing: the calls that the main thread makes for each row, counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tests.conftest import config_for

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Figure, TapRunner

MOST_CALLS = 20
"""Calls per employee, of 54 fields, six of them dates; a look at each field on its own would be more than 54."""


def calls_of(tap: TapRunner, employees: int) -> int:
    """The calls that a sync of one stream costs this thread."""
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    with Sandbox(Company(employees=employees)) as sandbox:
        config = config_for(sandbox, concurrency=1)
        run = TapFactorialHR(config=config, catalog=tap.catalog(config, "employees"))
        sys.setprofile(count)
        try:
            run.sync_all()
        finally:
            sys.setprofile(None)
        run.sync_run.fetcher.close()
    return calls


def test_a_row_costs_few_calls(tap: TapRunner, capfdbinary: pytest.CaptureFixture[bytes], figure: Figure) -> None:
    few, many = 500, 2_500
    calls_of(tap, few)  # What is made once is made by now.
    calls = (calls_of(tap, many) - calls_of(tap, few)) / (many - few)
    assert capfdbinary.readouterr().out.count(b'"RECORD"') == 2 * few + many
    figure(f"{calls:.1f} calls per row")
    assert calls <= MOST_CALLS
