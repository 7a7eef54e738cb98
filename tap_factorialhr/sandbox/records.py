"""What a test sees of a request, and the answer that it may give instead of the company's."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that came in.

    Attributes:
        method: Such as ``GET``.
        path: Without the query.
        resource: ``<domain>/<resource>``, empty for other paths.
        params: The query as it came, in order.
        headers: The names of the headers, in lower case; their values may be secrets.
        at: When it came (``time.monotonic()``).
    """

    method: str
    path: str
    resource: str
    params: tuple[tuple[str, str], ...]
    headers: tuple[str, ...]
    at: float

    def get(self, name: str) -> str | None:
        """The last value of a parameter."""
        return dict(self.params).get(name)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a test's own, given instead of the company's.

    Attributes:
        status: The HTTP status.
        body: The body as it is sent.
        headers: Further headers; ``content-type`` is JSON if not named.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def record_of(request: Request) -> RequestRecord:
    """What is noted of a request: nothing that may be a secret but what its query holds."""
    parts = request.path_params
    resource = f"{parts['domain']}/{parts['name']}" if "domain" in parts else ""
    params = tuple(parse_qsl(request.url.query, keep_blank_values=True))
    return RequestRecord(request.method, request.url.path, resource, params, tuple(request.headers), time.monotonic())
