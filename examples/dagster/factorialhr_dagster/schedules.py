"""When partitions are read: the schedules of domains.toml, and a new company at once."""

from collections.abc import Iterator

import dagster as dg

from factorialhr_dagster.assets import partition_key
from factorialhr_dagster.settings import Settings

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The states of a run that is in the queue or going on."""


def make_schedules(known: Settings, job: str) -> list[dg.ScheduleDefinition]:
    """A schedule for each name in ``domains.toml``; a partition that is still being read is left alone."""
    return [_schedule(name, cron, known, job) for name, cron in known.schedules.items()]


def _schedule(name: str, cron: str, known: Settings, job: str) -> dg.ScheduleDefinition:
    domains = [domain.name for domain in known.domains.values() if domain.schedule == name]

    @dg.schedule(
        name=name,
        cron_schedule=cron,
        job_name=job,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Reads {', '.join(domains)} of every company.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        under_way = _under_way(context.instance)
        # Domain by domain, so that no company's runs stand in the queue one behind the other.
        for domain in domains:
            for company in known.companies:
                key = partition_key(company, domain)
                if key not in under_way:
                    yield dg.RunRequest(partition_key=key)

    return tick


def make_sensor(known: Settings, job: str) -> dg.SensorDefinition:
    """Reads what has never been read, once: all of it in a new installation, and a new company."""

    @dg.sensor(
        job_name=job,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads a company that is new in companies.toml, and a domain that is new in domains.toml.",
    )
    def first_read(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        read = context.instance.get_materialized_partitions(dg.AssetKey("factorialhr"))
        for domain in known.domains:
            for company in known.companies:
                key = partition_key(company, domain)
                if key not in read:
                    # The run key makes it one request, whatever becomes of the run: a schedule tries again.
                    yield dg.RunRequest(run_key=f"first read of {key}", partition_key=key)

    return first_read


def _under_way(instance: dg.DagsterInstance) -> set[str]:
    """The keys of the partitions that are in the queue or being read."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return {key for run in runs if (key := run.tags.get("dagster/partition"))}
