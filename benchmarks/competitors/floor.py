"""The bare floor: as many connections as asked for, and rows that are decoded and dropped.

Less than this no reader in Python can do that gives out rows as dictionaries.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import urllib3

from benchmarks.competitors.measuring import API_KEY, PAGE_SIZE, PATH, VERSION, measure


def read(address: str) -> int:
    """Read the first page, which says how many there are, and then the others side by side."""
    connections = int(sys.argv[2])
    pool = urllib3.PoolManager(maxsize=connections, headers={"x-api-key": API_KEY})
    decode = msgspec.json.Decoder().decode

    def page(number: int) -> Any:  # noqa: ANN401 (JSON)
        url = f"{address}/api/{VERSION}/resources/{PATH}?limit={PAGE_SIZE}&page={number}"
        return decode(pool.request("GET", url).data)

    first = page(1)
    pages = -(-first["meta"]["total"] // PAGE_SIZE)
    rows = len(first["data"])
    with ThreadPoolExecutor(connections) as threads:
        return rows + sum(len(later["data"]) for later in threads.map(page, range(2, pages + 1)))


if __name__ == "__main__":
    measure(read)
