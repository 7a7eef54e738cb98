"""The connections of the sandbox, noted so that they can be broken on purpose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Connections:
    """The open connections, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[Any, asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Uvicorn's protocol, with each connection noted as long as it is open."""
        transports = self._transports

        class Protocol(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self.client, None)
                super().connection_lost(exc)

        return Protocol

    async def drop(self, scope: Scope, delay: float = 0) -> None:
        """Close the connection of a request without an answer, after so many seconds."""
        if delay:
            await asyncio.sleep(delay)
        if transport := self._transports.get(scope.get("client")):
            transport.abort()

    async def cut(self, scope: Scope, send: Send, response: Response) -> None:
        """Announce a whole body, send half of it, and close."""
        headers = [(name, value) for name, value in response.raw_headers]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        half = bytes(response.body)[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(0)
        if transport := self._transports.get(scope.get("client")):
            transport.close()


class DroppedResponse(Response):
    """No answer: the connection is closed."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Close the connection."""
        await self._connections.drop(scope)


class CutResponse(Response):
    """Half an answer."""

    def __init__(self, connections: Connections, whole: Response) -> None:
        super().__init__()
        self._connections = connections
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send half, and close."""
        await self._connections.cut(scope, send, self._whole)
