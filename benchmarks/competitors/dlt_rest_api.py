"""dlt's REST API source, its resource iterated over; no row is normalised or loaded."""

from __future__ import annotations

from dlt.sources.rest_api import rest_api_source

from benchmarks.competitors.measuring import API_KEY, PAGE_SIZE, PATH, VERSION, measure


def read(address: str) -> int:
    """Iterate over the one resource of the source."""
    source = rest_api_source(
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
    return sum(1 for _ in source.resources["employees"])


if __name__ == "__main__":
    measure(read)
