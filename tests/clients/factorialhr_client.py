"""Read employees, leaves and shifts with the client `factorialhr`, in an environment of its own.

It is under the GPL: it runs as a program of its own, and nothing of it is copied. It knows version 2026-04-01 of the
API, in which ids are integers.

Takes a list in JSON on stdin, each with `base_url`, and `auth` with the name of one of the client's four classes and
its arguments (for `RefreshTokenAuthFile`, either those or the `file` alone, which is then read). Gives a list in JSON
on stdout: for each resource the rows, as the client's models write them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import factorialhr

ENDPOINTS = {
    "employees/employees": factorialhr.EmployeesEndpoint,
    "timeoff/leaves": factorialhr.LeavesEndpoint,
    "attendance/shifts": factorialhr.ShiftsEndpoint,
}


def authentication(name: str, **arguments: Any) -> Any:
    """One of the client's own authentication objects."""
    if arguments.keys() == {"file"}:
        found, _ = factorialhr.RefreshTokenAuthFile.from_file(Path(arguments["file"]))
        return found
    if "created_at" in arguments:
        arguments["created_at"] = datetime.fromisoformat(arguments["created_at"])
    return getattr(factorialhr, name)(**arguments)


async def read(base_url: str, auth: Any) -> dict[str, list[Any]]:
    """All rows of the three resources, through the client's own pagination and models."""
    async with factorialhr.ApiClient(base_url, auth=auth) as api:
        found = {name: await endpoint(api).all() for name, endpoint in ENDPOINTS.items()}
    return {name: [row.model_dump(mode="json") for row in response.data()] for name, response in found.items()}


if __name__ == "__main__":
    jobs = json.load(sys.stdin)
    json.dump([asyncio.run(read(job["base_url"], authentication(**job["auth"]))) for job in jobs], sys.stdout)
