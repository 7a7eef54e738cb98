"""What Dagster is given."""

from __future__ import annotations

import dagster as dg

from factorialhr_dagster import settings
from factorialhr_dagster.assets import make_asset
from factorialhr_dagster.overview import make_overview
from factorialhr_dagster.schedules import make_schedules, make_sensor

known = settings.load()
asset = make_asset(known)
job = dg.define_asset_job(
    "load", selection=[asset], description="Reads one domain of one company; materialize several side by side."
)
overview = make_overview(known)
overview_job = dg.define_asset_job("overview", selection=[overview])

defs = dg.Definitions(
    assets=[asset, overview],
    jobs=[job, overview_job],
    schedules=[
        *make_schedules(known, job.name),
        dg.ScheduleDefinition(
            name="hourly_overview",
            job=overview_job,
            cron_schedule="5 * * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
    ],
    sensors=[make_sensor(known, job.name)],
    # A run has one step: a process for it beside the run's own would only be one more that can be left over.
    executor=dg.in_process_executor,
)
