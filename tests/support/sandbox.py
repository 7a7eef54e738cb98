"""Reading the simulated company as a careful client does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from tap_factorialhr.openapi import DEFAULT_VERSION
from tap_factorialhr.sandbox import queries

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import Sandbox

Params = list[tuple[str, str]]
EMPLOYEES = "employees/employees"


def get(sandbox: Sandbox, resource: str, *params: tuple[str, Any], **headers: str) -> requests.Response:
    url = f"{sandbox.base_url}/api/{DEFAULT_VERSION}/resources/{resource}"
    return requests.get(url, params=params, headers=headers or {"x-api-key": sandbox.api_key}, timeout=10)


def read(sandbox: Sandbox, resource: str, mode: str, *params: tuple[str, Any], limit: int = 7) -> list[dict[str, Any]]:
    """All pages, as a careful client reads them."""
    rows: list[dict[str, Any]] = []
    step: Params = []
    for number in range(2, 1000):
        body = get(sandbox, resource, ("limit", limit), *step, *params).json()
        rows += body["data"]
        if not body["meta"]["has_next_page"]:
            return rows
        step = [("page", str(number))] if mode == "page" else [("after_id", body["meta"]["end_cursor"])]
    raise AssertionError("no end")


def openers(resource: str) -> Params:
    names = [*queries.OPENS.get(resource, ()), *queries.SHOWS.get(resource, ())]
    closed = [("only_active", "false")] if resource == "finance/cost_center_memberships" else []
    return [*((name, "true") for name in names), *closed]
