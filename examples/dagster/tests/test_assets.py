"""What Dagster does with a partition that cannot be read, and with one that somebody stops."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from factorialhr_dagster import assets, settings

KNOWN = settings.Settings(
    {"acme": {}}, {"people": settings.Domain("people", ("*",), "nightly")}, {"nightly": "0 2 * * *"}
)


def events_of(patch: pytest.MonkeyPatch, ending: BaseException) -> list[dg.DagsterEvent]:
    """What is told of the step of a partition, each reading of which ends like this."""

    def load(*_: Any) -> Any:
        raise ending

    patch.setattr(assets, "load", load)
    patch.setattr(assets, "RETRIES", assets.RETRIES._replace(delay=0.01))
    done = dg.materialize(
        [assets.make_asset(KNOWN)],
        partition_key=assets.partition_key("acme", "people"),
        instance=dg.DagsterInstance.ephemeral(),
        raise_on_error=False,
    )
    assert not done.success
    return [event for event in done.all_events if event.step_key]


def types(events: list[dg.DagsterEvent]) -> list[str]:
    wanted = {"STEP_START", "STEP_RESTARTED", "STEP_UP_FOR_RETRY", "STEP_FAILURE"}
    return [event.event_type_value for event in events if event.event_type_value in wanted]


@pytest.mark.parametrize("error", [dg.Failure("the tap ended", metadata={"rows": 3}), OSError("no database")])
def test_what_fails_is_tried_again_twice(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    events = events_of(monkeypatch, error)
    assert types(events) == ["STEP_START", *["STEP_UP_FOR_RETRY", "STEP_RESTARTED"] * 2, "STEP_FAILURE"]
    told = events[-1].step_failure_data
    assert told.error is not None
    assert told.error.cause is not None
    assert str(error) in told.error.cause.message
    if isinstance(error, dg.Failure):  # what was moved until then is on the page
        assert told.user_failure_data is not None
        assert told.user_failure_data.metadata["rows"].value == 3


def test_what_is_stopped_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert types(events_of(monkeypatch, KeyboardInterrupt())) == ["STEP_START", "STEP_FAILURE"]
