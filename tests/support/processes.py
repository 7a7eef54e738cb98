"""What a process of its own does in the tests of sessions that several share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests

from tap_factorialhr.auth import make_authenticator
from tap_factorialhr.http_session import Session
from tests.support.http import exchange

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue


def read_for_a_while(config: dict[str, Any], base_url: str, seconds: float, results: SimpleQueue[Any]) -> None:
    """One run of a tap, as far as its session goes: how many requests were answered, or what went wrong."""
    good = 0
    try:
        with Session(base_url, connections=1) as session:
            end = time.monotonic() + seconds
            authenticator = make_authenticator(config, session=session, base_url=base_url, timeout=(10.0, 10.0))
            while time.monotonic() < end:
                assert exchange(authenticator, session, requests.Request("GET", f"{base_url}/x")) == 200
                good += 1
                time.sleep(0.1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test has to hear of it
        results.put(repr(error))
    else:
        results.put(good)
