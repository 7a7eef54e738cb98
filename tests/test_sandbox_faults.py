"""What goes wrong on purpose in the simulated company, and what it notes of requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import requests

from tap_factorialhr.sandbox import Answer, Company, Faults, Sandbox
from tap_factorialhr.sandbox.faults import KINDS
from tests.support.sandbox import EMPLOYEES, get


def test_forbidden_missing_and_unknown(own: Sandbox) -> None:
    own.forbidden, own.missing = {"teams/teams"}, {"posts/posts"}
    assert get(own, "teams/teams").status_code == 403
    assert get(own, "posts/posts").status_code == 404
    assert get(own, "no/such").status_code == 404
    assert get(own, EMPLOYEES).status_code == 200


def what_came(sandbox: Sandbox) -> str:
    """What a client sees of one request."""
    try:
        answer = get(sandbox, "teams/teams")
    except requests.RequestException as error:
        return type(error).__name__
    if answer.status_code != 200:
        return str(answer.status_code)
    try:
        return "rows" if "data" in answer.json() else "no rows"
    except requests.JSONDecodeError:
        return "no JSON"


EXPECTED = {
    "reset": "ConnectionError",
    "cut": "ChunkedEncodingError",
    "timeout": "ConnectionError",
    "429-seconds": "429",
    "429-date": "429",
    "html": "no JSON",
    "half_json": "no JSON",
    "no_envelope": "no rows",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_hits_each_nth_request_alone(own: Sandbox, kind: str) -> None:
    own.fault_delay = 0.05
    own.faults = Faults(kind, every=3)
    seen = [what_came(own) for _ in range(6)]
    assert seen == ["rows", "rows", EXPECTED.get(kind, kind)] * 2


def test_mixed_faults_take_turns(own: Sandbox) -> None:
    own.fault_delay = 0.05
    own.faults = Faults("mixed", every=1)
    assert [what_came(own) for _ in KINDS] == [EXPECTED.get(kind, kind) for kind in KINDS]


def test_retry_after_in_both_forms(own: Sandbox) -> None:
    own.retry_after = 3
    own.faults = Faults(["429-seconds", "429-date"], every=1)
    assert get(own, EMPLOYEES).headers["retry-after"] == "3"
    moment = parsedate_to_datetime(get(own, EMPLOYEES).headers["retry-after"])
    assert 0 < (moment - datetime.now(UTC)).total_seconds() <= 3


def test_there_is_no_fault_of_that_name() -> None:
    with pytest.raises(ValueError, match="no fault"):
        Faults("explosion")


def test_an_answer_of_ones_own(own: Sandbox) -> None:
    own.answer = lambda record: Answer(200, b"[" * 10, {"x-test": record.resource})
    answer = get(own, EMPLOYEES)
    assert (answer.content, answer.headers["x-test"]) == (b"[" * 10, EMPLOYEES)


def test_requests_are_noted_without_the_values_of_headers(own: Sandbox) -> None:
    get(own, EMPLOYEES, ("limit", 3))
    (record,) = own.requests_for(EMPLOYEES)
    assert (record.method, record.params) == ("GET", (("limit", "3"),))
    assert "x-api-key" in record.headers
    assert own.api_key not in repr(record)


def test_requests_wait_side_by_side(own: Sandbox) -> None:
    own.latency = 2.0  # Longer than it takes eight threads to begin, on a machine that has other things to do.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: get(own, EMPLOYEES), range(8)))
    assert own.most_at_once == 8


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="no option"):
        Sandbox(Company(5), shortpages=True)
