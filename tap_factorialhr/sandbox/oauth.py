"""The OAuth server of the company: codes, access tokens that expire, refresh tokens that rotate."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

_WEEK = 7 * 24 * 3600


class OAuthError(Exception):
    """A token request that is refused, with OAuth's own word for it."""

    def __init__(self, error: str, status: int = 400) -> None:
        """Take the value of ``error`` in the answer and its HTTP status."""
        super().__init__(error)
        self.error = error
        self.status = status


@dataclass(slots=True)
class OAuth:
    """Codes and tokens, and how often they were asked for (API notes, "Authentication").

    Attributes:
        client_id: The only client.
        client_secret: Its secret.
        redirect_uri: What a code was asked for with.
        access_token_lifetime: Seconds.
        refresh_token_lifetime: Seconds.
        refreshes: How many refreshes were granted.
        invalid_grants: How many token requests came with a code or refresh token that is dead.
    """

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox's own, known to all
    redirect_uri: str = "http://127.0.0.1/callback"
    access_token_lifetime: float = 3600
    refresh_token_lifetime: float = _WEEK
    refreshes: int = 0
    invalid_grants: int = 0
    _access: dict[str, float | None] = field(default_factory=dict)
    _refresh: dict[str, float] = field(default_factory=dict)
    _codes: set[str] = field(default_factory=set)

    def issue_code(self) -> str:
        """A code that serves once."""
        code = secrets.token_urlsafe(16)
        self._codes.add(code)
        return code

    def issue_access_token(self, lifetime: float | None = None) -> str:
        """An access token; without a lifetime (seconds) it never expires, as a company token does."""
        token = secrets.token_urlsafe(24)
        self._access[token] = None if lifetime is None else time.monotonic() + lifetime
        return token

    def issue_tokens(self) -> dict[str, Any]:
        """A new pair of tokens, as the answer of a token request."""
        refresh = secrets.token_urlsafe(24)
        self._refresh[refresh] = time.monotonic() + self.refresh_token_lifetime
        return {
            "access_token": self.issue_access_token(self.access_token_lifetime),
            "token_type": "Bearer",
            "expires_in": int(self.access_token_lifetime),
            "refresh_token": refresh,
            "scope": "read",
            "created_at": int(time.time()),
        }

    def add_refresh_token(self, token: str) -> None:
        """Make a refresh token of one's own choice valid."""
        self._refresh[token] = time.monotonic() + self.refresh_token_lifetime

    def revoke(self) -> None:
        """Make every token and code worthless."""
        self._access.clear()
        self._refresh.clear()
        self._codes.clear()

    def expire_access_tokens(self) -> None:
        """Make every access token worthless, while refresh tokens stay good."""
        self._access.clear()

    def accepts(self, token: str) -> bool:
        """Whether an access token is good now."""
        until = self._access.get(token, 0.0)
        return until is None or until > time.monotonic()

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """Answer a token request.

        Raises:
            OAuthError: It is refused.
        """
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            raise OAuthError("invalid_client", 401)
        match form.get("grant_type"):
            case "refresh_token":
                self._spend_refresh_token(form.get("refresh_token", ""))
                self.refreshes += 1
            case "authorization_code":
                self._spend_code(form.get("code", ""), form.get("redirect_uri", ""))
            case _:
                raise OAuthError("unsupported_grant_type")
        return self.issue_tokens()

    def _spend_refresh_token(self, token: str) -> None:
        if self._refresh.pop(token, 0.0) <= time.monotonic():
            self.invalid_grants += 1
            raise OAuthError("invalid_grant")

    def _spend_code(self, code: str, redirect_uri: str) -> None:
        if code not in self._codes or redirect_uri != self.redirect_uri:
            self.invalid_grants += 1
            raise OAuthError("invalid_grant")
        self._codes.discard(code)
