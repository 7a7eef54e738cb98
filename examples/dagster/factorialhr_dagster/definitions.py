"""What Dagster is given."""

from __future__ import annotations

import dagster as dg

from factorialhr_dagster import settings
from factorialhr_dagster.assets import make_asset
from factorialhr_dagster.schedules import make_schedules, make_sensor

known = settings.load()
asset = make_asset(known)
job = dg.define_asset_job(
    "load", selection=[asset], description="Reads one domain of one company; materialize several side by side."
)

defs = dg.Definitions(
    assets=[asset],
    jobs=[job],
    schedules=make_schedules(known, job.name),
    sensors=[make_sensor(known, job.name)],
    # A run has one step: a process for it beside the run's own would only be one more that can be left over.
    executor=dg.in_process_executor,
)
