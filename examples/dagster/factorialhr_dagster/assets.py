"""The asset: a company's domain in the warehouse. One partition is one run of the tap."""

import os
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import dagster as dg

from factorialhr_dagster import settings, warehouse
from factorialhr_dagster.checks import gone_empty
from factorialhr_dagster.settings import Settings
from factorialhr_dagster.transfer import Transfer, TransferError, transfer

CHECK = "no_stream_went_empty"
RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For an API or a database that is away for a while; a worker that dies is the business of run_retries.

Not the asset's own ``retry_policy``: Dagster obeys that also where somebody stops a run, which would then read on.
"""


def partitions(known: Settings) -> dg.MultiPartitionsDefinition:
    """Companies by domains."""
    return dg.MultiPartitionsDefinition(
        {
            "company": dg.StaticPartitionsDefinition(sorted(known.companies)),
            "domain": dg.StaticPartitionsDefinition(list(known.domains)),
        }
    )


def partition_key(company: str, domain: str) -> dg.MultiPartitionKey:
    """The key of one partition."""
    return dg.MultiPartitionKey({"company": company, "domain": domain})


def make_asset(known: Settings) -> dg.AssetsDefinition:
    """The asset for the companies and domains there are."""
    by_partition = partitions(known)
    with warnings.catch_warnings():
        # Checks by partition are young in Dagster. Without them one company's alert would be gone with the next run of
        # another.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        check = dg.AssetCheckSpec(
            CHECK,
            asset="factorialhr",
            description="Every stream that used to have rows has some.",
            partitions_def=by_partition,
        )

    @dg.asset(
        partitions_def=by_partition,
        check_specs=[check],
        kinds={"postgres", "singer"},
        description="A company's domain: tap-factorialhr into target-postgres, a schema per company.",
    )
    def factorialhr(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster looks at it
        key = cast("dg.MultiPartitionKey", context.partition_key).keys_by_dimension
        try:
            return load(context, known, warehouse.Partition(key["company"], key["domain"]))
        except Exception as error:
            raise dg.RetryRequested(
                max_retries=RETRIES.max_retries, seconds_to_wait=RETRIES.calculate_delay(context.retry_number + 1)
            ) from error

    return factorialhr


def load(
    context: dg.AssetExecutionContext, known: Settings, partition: warehouse.Partition
) -> dg.MaterializeResult[None]:
    """Read a partition from where it was left.

    Raises:
        dagster.Failure: The transfer failed; its state is kept, and a retry goes on from there.
    """
    url = settings.warehouse_url()
    moved = Transfer()
    began = time.monotonic()
    with warehouse.opened(url, partition) as database:
        had_rows = database.had_rows()
        state = database.state()
        context.log.info("%s: %s", partition, "goes on from its last state" if state else "is read for the first time")
        try:
            transfer(
                moved,
                selects=lambda stream: known.domain_of(stream) == partition.domain,
                state=state,
                save_state=database.save_state,
                tap_environment=settings.tap_environment(
                    partition.company, known.companies[partition.company], os.environ
                ),
                target_environment=settings.target_environment(partition.company, url, os.environ),
            )
        except TransferError as error:
            raise dg.Failure(str(error), metadata=_metadata(moved, time.monotonic() - began)) from None
        finally:
            database.save_reads(context.run.run_id, moved.reads)
    for one in moved.reads:
        if one.reason:
            context.log.warning("%s: %s, %s", one.stream, one.outcome, one.reason)
    return dg.MaterializeResult(
        metadata=_metadata(moved, time.monotonic() - began),
        check_results=[_check(gone_empty(moved.reads, had_rows, moved.whole, datetime.now(UTC)))],
    )


def _metadata(moved: Transfer, seconds: float) -> Mapping[str, dg.MetadataValue]:
    """Numbers, of which Dagster draws a plot over time, and a table of the streams."""
    reads = moved.reads
    return {
        "rows": dg.MetadataValue.int(sum(one.rows for one in reads)),
        "requests": dg.MetadataValue.int(sum(one.requests for one in reads)),
        "retries": dg.MetadataValue.int(sum(one.retries for one in reads)),
        "skipped_streams": dg.MetadataValue.int(sum(one.outcome == "skipped" for one in reads)),
        "seconds": dg.MetadataValue.float(round(seconds, 1)),
        "states": dg.MetadataValue.int(moved.states),
        "streams": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "stream": one.stream,
                        "rows": one.rows,
                        "requests": one.requests,
                        "retries": one.retries,
                        "seconds": one.seconds,
                        "outcome": one.outcome,
                        "reason": one.reason,
                    }
                )
                for one in reads
            ],
            schema=dg.TableSchema(
                columns=[
                    dg.TableColumn("stream"),
                    dg.TableColumn("rows", "int"),
                    dg.TableColumn("requests", "int"),
                    dg.TableColumn("retries", "int"),
                    dg.TableColumn("seconds", "float"),
                    dg.TableColumn("outcome"),
                    dg.TableColumn("reason"),
                ]
            ),
        ),
    }


def _check(empty: Mapping[str, str]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not empty,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(f"{stream}: {told}" for stream, told in empty.items()) or None,
        metadata={"empty_streams": len(empty), "streams": dg.MetadataValue.json(dict(empty))},
    )
