"""The official SDK, `factorial-api-client`, with the iterator of its README.

The README's example says `client.employees.employee`; in the released package it is `client.employees.employees`.
"""

from __future__ import annotations

from factorial_api_client import FactorialClient

from benchmarks.competitors.measuring import API_KEY, measure


def read(address: str) -> int:
    """Iterate over all employees, each a typed object."""
    client = FactorialClient(api_key=API_KEY, base_url=address)
    return sum(1 for _ in client.employees.employees.paginate())


if __name__ == "__main__":
    measure(read)
