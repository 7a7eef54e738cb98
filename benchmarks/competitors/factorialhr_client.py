"""`factorialhr`, with the call of its README, the larger time-out that it advises, and all rows made models.

It knows the API of 2026-04-01, in which ids are integers. It is under the AGPL, so it runs here, in an environment of
its own, and nowhere else.
"""

from __future__ import annotations

import asyncio

import factorialhr

from benchmarks.competitors.measuring import API_KEY, measure


async def read_all(address: str) -> int:
    """Fetch all employees, and take each as a typed object."""
    auth = factorialhr.ApiKeyAuth(API_KEY)
    async with factorialhr.ApiClient(address, auth=auth, timeout=300) as api:
        employees = await factorialhr.EmployeesEndpoint(api).all()
        return sum(1 for _ in employees.data())


def read(address: str) -> int:
    """Run it."""
    return asyncio.run(read_all(address))


if __name__ == "__main__":
    measure(read)
