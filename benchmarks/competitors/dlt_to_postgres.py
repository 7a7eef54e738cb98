"""dlt's REST API source into PostgreSQL, merged on the key: one run of a pipeline, as its own documentation has it."""

from __future__ import annotations

import sys

import dlt

from benchmarks.competitors.dlt_rest_api import source


def load(address: str, url: str, schema: str) -> None:
    """Move the employees from the address into that schema of the database."""
    pipeline = dlt.pipeline(schema, destination=dlt.destinations.postgres(url), dataset_name=schema)
    pipeline.run(source(address), write_disposition="merge").raise_on_failed_jobs()


if __name__ == "__main__":
    load(*sys.argv[1:4])
