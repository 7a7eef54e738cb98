"""Requests ahead of need: as many as allowed, fewer after 429s, and the same output as without them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.http import client_for
from tests.support.tap import Run, TapRunner, config_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import RequestRecord


def told(run: Run) -> list[dict[str, Any]]:
    """What a target is told, but for the times of the run."""
    messages = []
    for message in run.messages:
        record = {name: value for name, value in message.get("record", {}).items() if name != "_read_at"}
        messages.append({**message, "record": record, "time_extracted": None, "value": None})
    return messages


@pytest.mark.parametrize("pagination", ["offset", "cursor"])
def test_what_is_written_does_not_depend_on_concurrency(tap: TapRunner, pagination: str) -> None:
    with Sandbox(Company(employees=6)) as sandbox:
        config = config_for(sandbox, page_size=4, pagination=pagination)
        runs = [tap({**config, "concurrency": concurrency}) for concurrency in (1, 16)]
    assert [run.code for run in runs] == [0, 0]
    assert told(runs[0]) == told(runs[1])
    assert runs[0].state["bookmarks"].keys() == runs[1].state["bookmarks"].keys()


@pytest.mark.parametrize(("concurrency", "latency"), [(1, 0.002), (5, 0.02)])
def test_no_more_requests_are_in_flight_than_allowed(tap: TapRunner, concurrency: int, latency: float) -> None:
    with Sandbox(Company(employees=3), latency=latency) as sandbox:
        run = tap(config_for(sandbox, concurrency=concurrency))
        assert run.code == 0, run.stderr
        assert sandbox.most_at_once == concurrency


def test_the_children_of_many_parents_are_asked_for_side_by_side(tap: TapRunner) -> None:
    """The streams that come next have no part in that: they fill only the threads that are left idle."""
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def count(record: RequestRecord) -> None:
        at_once[record.resource] += 1
        most[record.resource] = max(most[record.resource], at_once[record.resource])
        threading.Timer(0.05, at_once.subtract, ([record.resource],)).start()

    with Sandbox(Company(employees=40), latency=0.05, before_request=count) as sandbox:
        run = tap(config_for(sandbox, concurrency=8))
        assert run.code == 0, run.stderr
    children = ("timeoff/policy_timelines", "contracts/contract_activity_periods", "tasks/task_files")
    assert all(most[child] >= 6 for child in children), most


def test_a_429_halves_the_requests_in_flight() -> None:
    with Sandbox(Company(employees=1)) as sandbox:
        answers = [Answer(429, b"", {"retry-after": "0"}), Answer(body=b'{"data": []}')]
        sandbox.answer = lambda _: answers.pop(0)
        client = client_for(sandbox.base_url, concurrency=8, max_retries=1)
        client.get("teams", "teams/teams", ())
        assert client.throttle.allowed == 4


def test_no_request_is_sent_during_the_pause_that_was_asked_for(tap: TapRunner) -> None:
    with Sandbox(Company(employees=30), latency=0.01) as sandbox:
        config = config_for(sandbox, page_size=1, concurrency=8)
        catalog = tap.catalog("employees")
        asked: list[float] = []

        def answer(_: RequestRecord) -> Answer | None:
            if len(sandbox.requests) < 10 or asked:
                return None
            asked.append(time.monotonic())
            return Answer(429, b"", {"retry-after": "2"})

        sandbox.answer = answer
        run = tap(config, catalog=catalog)
        assert run.code == 0, run.stderr
    # Those in flight when the API asked, and those that were on their way, come within a moment; then there is silence.
    later = [one.at for one in sandbox.requests if one.at > asked[0] + 0.5]
    assert min(later) >= asked[0] + 1.9
