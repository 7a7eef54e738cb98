"""An answer that says nothing at all, where a stream is read in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.tap import config_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import RequestRecord
    from tests.support.tap import TapRunner

ONE_WINDOW = ("attendance/shifts", "attendance_shifts")
ONE_CHUNK = ("compensations/additional_compensations", "compensations_additional_compensations")
BY_PARENT = ("tasks/task_files", "tasks_task_files")


@pytest.mark.parametrize(
    ("path", "stream", "is_asked_again"), [(*ONE_WINDOW, True), (*ONE_CHUNK, True), (*BY_PARENT, False)]
)
def test_is_asked_for_once_more_unless_there_is_a_part_for_each_parent(
    tap: TapRunner, path: str, stream: str, is_asked_again: bool
) -> None:
    asked: list[RequestRecord] = []

    def silent_at_first(record: RequestRecord) -> Answer | None:
        if record.resource != path:
            return None
        asked.append(record)
        return None if asked[1:] else Answer(body=b'{"errors": null}')

    with Sandbox(Company(employees=5)) as sandbox:
        config = config_for(sandbox, concurrency=1, start_date="2026-01-01")
        everything = tap(config, catalog=tap.catalog(stream, "teams")).records[stream]
        sandbox.answer = silent_at_first
        run = tap(config, catalog=tap.catalog(stream, "teams"))
    assert run.code == 0, run.stderr
    assert everything
    assert (run.records[stream] == everything) is is_asked_again
