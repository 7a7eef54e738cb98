"""Machines with all kinds of settings share one kept session: in whatever order they run, it is never lost."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.authenticators import RefreshTokenAuthenticator
from tap_factorialhr.errors import SessionError
from tap_factorialhr.oauth_session import OAuthSession, digest
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.session_document import SessionDocument
from tap_factorialhr.session_store import SharedStore
from tap_factorialhr.token_endpoint import Lost, Refused, Renewed, TokenEndpoint, TryLater
from tests.support.authentication import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.token_endpoint import Outcome

BASE_URL = "https://api.example"
LOGINS = ("login-0", "login-1", "login-2")
MISTYPED = ("mistyped-0", "mistyped-1")
AT_ONCE = RetryPolicy(retries=1, first_wait=0.0, longest_wait=0.0)


class Shelf:
    """A place in memory."""

    name = "the shelf"
    absence = "the shelf is empty"

    def __init__(self) -> None:
        self.content: bytes | None = None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        yield

    @contextlib.contextmanager
    def room(self) -> Iterator[None]:
        yield

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content


class Server(TokenEndpoint):
    """Each login can be renewed once, and each renewal once more; what is said of it may get lost before that."""

    def __init__(self) -> None:
        self.good = set(LOGINS)
        self.number = 0
        self.refused: Counter[str] = Counter()
        self.failures: list[Outcome] = []

    def refresh(self, current: OAuthSession) -> Outcome:
        if self.failures:
            return self.failures.pop()
        if current.refresh_token not in self.good:
            self.refused[current.refresh_token] += 1
            return Refused("refused", "log in again", is_token=True)
        self.good.remove(current.refresh_token)
        self.number += 1
        self.good.add(token := f"renewed-{self.number}")
        return Renewed(
            dataclasses.replace(
                current, refresh_token=token, access_token=f"a{self.number}", created_at=datetime.now(UTC)
            )
        )


def run(shelf: Shelf, server: Server, refresh_token: str | None) -> bool:
    """One run whose first request is refused, so that the session has to be renewed; whether it was."""
    settings = OAuthSession(refresh_token, "client", "secret") if refresh_token else None
    store = SharedStore(shelf, base_url=BASE_URL, settings=settings)
    answer = requests.Response()
    answer.status_code = 401
    try:
        authenticator = RefreshTokenAuthenticator(BASE_URL, store, server, lost=AT_ONCE, unused=AT_ONCE)
        flow = authenticator.flow(prepared(f"{BASE_URL}/x"))
        next(flow)
        flow.send(answer)
    except SessionError:
        return False
    return True


TOKENS = st.sampled_from([*LOGINS, *MISTYPED, None])
FAILURES = st.lists(st.sampled_from([Lost("lost"), TryLater("later")]), max_size=2)


@given(st.lists(st.tuples(TOKENS, FAILURES), max_size=12))
def test_a_session_that_is_kept_outlives_all_settings(runs: list[tuple[str | None, list[Outcome]]]) -> None:
    shelf, server = Shelf(), Server()
    assert run(shelf, server, "login-0")
    server.refused.clear()
    known = {"login-0"}
    for refresh_token, failures in runs:
        server.failures = list(failures)
        was_renewed = run(shelf, server, refresh_token)
        assert was_renewed or len(failures) > 1, "two in a row are the end of a run, and of nothing else"
        document = SessionDocument.parse(shelf.content or b"", place="it", base_url=BASE_URL)
        assert document.session.refresh_token in server.good
        if was_renewed and refresh_token:
            if refresh_token in set(LOGINS) - known:
                assert refresh_token not in server.good, "a new login is taken"
                assert document.made_from == digest(refresh_token)
            known.add(refresh_token)
    # What is of no use is offered once, not by every run.
    assert set(server.refused) <= set(MISTYPED)
    assert all(count == 1 for count in server.refused.values())
