"""A guard that is no timing: the calls that the main thread makes for each row, counted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tests.support.tap import config_for

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Figure
    from tests.support.tap import TapRunner

MOST_CALLS = 20
"""Calls per employee, of 54 fields, six of them dates; a look at each field on its own would be more than 54."""


CALLS_OF_A_HASH = 14
"""Calls for each value that is hashed: to take it, to make its text and its hash, and to put that in its place."""


def calls_of(tap: TapRunner, employees: int, **settings: Any) -> int:
    """The calls that a sync of one stream costs this thread."""
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    with Sandbox(Company(employees=employees)) as sandbox:
        config = config_for(sandbox, concurrency=1, **settings)
        run = TapFactorialHR(config=config, catalog=tap.catalog("employees"))
        sys.setprofile(count)
        try:
            run.sync_all()
        finally:
            sys.setprofile(None)
        run.sync_run.fetcher.close()
    return calls


def test_a_row_costs_few_calls(tap: TapRunner, capfdbinary: pytest.CaptureFixture[bytes], figure: Figure) -> None:
    few, many = 200, 800
    calls_of(tap, few)  # What is made once is made by now.
    calls = (calls_of(tap, many) - calls_of(tap, few)) / (many - few)
    assert capfdbinary.readouterr().out.count(b'"RECORD"') == 2 * few + many
    figure(f"{calls:.1f} calls per row")
    assert calls <= MOST_CALLS


def test_dropping_costs_no_call_and_hashing_those_of_the_hashes(
    tap: TapRunner, capfdbinary: pytest.CaptureFixture[bytes], figure: Figure
) -> None:
    few, many = 100, 300
    hashing = {"hash_classes": ["user.name"], "hash_key": "a key of nobody's"}
    calls = []
    for settings in ({}, {"drop_classes": ["user.contact", "user.financial", "special_category"]}, hashing):
        calls_of(tap, few, **settings)
        calls.append((calls_of(tap, many, **settings) - calls_of(tap, few, **settings)) / (many - few))
    plain, dropping, hashed = calls
    assert capfdbinary.readouterr().out.count(b'"RECORD"') == 3 * (2 * few + many)
    figure(f"{plain:.1f} calls per row, {dropping:.1f} with 16 fields dropped, {hashed:.1f} with 6 hashed")
    assert dropping < plain + 1
    assert hashed < plain + 6 * CALLS_OF_A_HASH
