"""dlt's REST API source, its resource iterated over; no row is normalised or loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlt.sources.rest_api import rest_api_source

from benchmarks.competitors.measuring import API_KEY, PAGE_SIZE, PATH, VERSION, measure

if TYPE_CHECKING:
    from dlt.extract.source import DltSource


def source(address: str) -> DltSource:
    """The employees as the one resource of a source."""
    return rest_api_source(
        {
            "client": {
                "base_url": f"{address}/api/{VERSION}/resources/",
                "auth": {"type": "api_key", "name": "x-api-key", "api_key": API_KEY, "location": "header"},
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "total_path": None,
                    "has_more_path": "meta.has_next_page",
                },
            },
            "resources": [
                {
                    "name": "employees",
                    "primary_key": "id",
                    "endpoint": {"path": PATH, "params": {"limit": PAGE_SIZE}, "data_selector": "data"},
                },
            ],
        }
    )


def read(address: str) -> int:
    """Iterate over the one resource of the source."""
    return sum(1 for _ in source(address).resources["employees"])


if __name__ == "__main__":
    measure(read)
