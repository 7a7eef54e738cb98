"""The asset that shows each company over time: what its runs read in the last day, and what has not been read."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from factorialhr_dagster import settings, warehouse
from factorialhr_dagster.settings import Settings

CHECK = "every_partition_was_read"
DAY = timedelta(days=1)
LATE = timedelta(hours=26)
"""How old the last whole read of a partition may be: that of every day, and time for the queue."""


def make_overview(known: Settings) -> dg.AssetsDefinition:
    """The asset for the companies and domains there are.

    A plot of the asset `factorialhr` has the runs of all partitions in one line; here each company has its own.
    """

    @dg.asset(
        check_specs=[
            dg.AssetCheckSpec(
                CHECK, asset="companies", description=f"Each partition was read to its end in the last {LATE}."
            )
        ],
        deps=[dg.AssetDep("factorialhr", partition_mapping=dg.AllPartitionMapping())],
        kinds={"postgres"},
        description="What each company's runs read in the last 24 hours.",
    )
    def companies() -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster looks at it
        now = datetime.now(UTC)
        url = settings.warehouse_url()
        last = warehouse.last_reads(url)
        late = [
            str(partition)
            for company in known.companies
            for domain in known.domains
            if now - last.get(partition := warehouse.Partition(company, domain), datetime.min.replace(tzinfo=UTC))
            > LATE
        ]
        return dg.MaterializeResult(
            metadata={
                f"{company}: {name}": value
                for company, totals in warehouse.totals(url, now - DAY).items()
                for name, value in totals.items()
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=CHECK,
                    passed=not late,
                    description=f"not read: {', '.join(late)}" if late else None,
                    metadata={"late_partitions": len(late)},
                )
            ],
        )

    return companies
