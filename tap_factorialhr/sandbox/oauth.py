"""The OAuth server of the company: codes, access tokens that expire, refresh tokens that rotate.

Tokens and their lifetimes are as the API notes say, section "Authentication". What those leave open of codes is as the
standards have it: RFC 6749 (a code is bound to the redirect URI that it was asked for with), RFC 7636 (PKCE), RFC 8252
(a client on the loopback interface takes whatever port is free).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_WEEK = 7 * 24 * 3600
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
"""The redirect URI that asks for the code to be shown, for the user to copy: a convention, and no RFC's."""
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


class OAuthError(Exception):
    """A request that is refused, with OAuth's own word for it."""

    def __init__(self, error: str, status: int = 400) -> None:
        """Take the value of ``error`` in the answer and its HTTP status."""
        super().__init__(error)
        self.error = error
        self.status = status


@dataclass(frozen=True, slots=True)
class Code:
    """What a code is bound to.

    Attributes:
        redirect_uri: Where it was sent to.
        challenge: The PKCE challenge that it was asked for with (S256), empty without.
        until: When it runs out (``time.monotonic()``).
    """

    redirect_uri: str
    challenge: str
    until: float


@dataclass(slots=True)
class OAuth:
    """Codes and tokens, and how often they were asked for (API notes, "Authentication").

    Attributes:
        client_id: The only client.
        client_secret: Its secret.
        redirect_uri: The redirect URI that is registered for the client.
        any_loopback_port: Whether a registered redirect URI on the loopback interface goes with every port.
        pkce: What becomes of a PKCE challenge: it is ``checked``, ``ignored`` (as RFC 6749 has it of parameters that a
            server does not know), or ``refused``.
        code_lifetime: Seconds.
        access_token_lifetime: Seconds.
        refresh_token_lifetime: Seconds.
        refreshes: How many refreshes were granted.
        invalid_grants: How many token requests came with a code or refresh token that is dead.
    """

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - the sandbox's own, known to all
    redirect_uri: str = "http://127.0.0.1/callback"
    any_loopback_port: bool = True
    pkce: Literal["checked", "ignored", "refused"] = "checked"
    code_lifetime: float = 600
    access_token_lifetime: float = 3600
    refresh_token_lifetime: float = _WEEK
    refreshes: int = 0
    invalid_grants: int = 0
    _access: dict[str, float | None] = field(default_factory=dict)
    _refresh: dict[str, float] = field(default_factory=dict)
    _codes: dict[str, Code] = field(default_factory=dict)

    def knows_redirect(self, redirect_uri: str) -> bool:
        """Whether a code may be sent there."""
        if redirect_uri in {self.redirect_uri, OUT_OF_BAND}:
            return True
        return self.any_loopback_port and _any_port(redirect_uri) == _any_port(self.redirect_uri) is not None

    def check_authorization(self, asked: Mapping[str, str]) -> None:
        """See that a code can be given, for a client and a redirect URI that are known.

        Args:
            asked: The parameters of the authorisation request.

        Raises:
            OAuthError: It is not to be given.
        """
        if asked.get("response_type") != "code":
            raise OAuthError("unsupported_response_type")
        if "code_challenge" not in asked or self.pkce == "ignored":
            return
        if self.pkce == "refused" or asked.get("code_challenge_method") != "S256" or not asked["code_challenge"]:
            raise OAuthError("invalid_request")

    def issue_code(self, redirect_uri: str | None = None, challenge: str = "") -> str:
        """A code that serves once, for the registered redirect URI where no other is named."""
        code = secrets.token_urlsafe(16)
        kept = "" if self.pkce == "ignored" else challenge
        self._codes[code] = Code(redirect_uri or self.redirect_uri, kept, time.monotonic() + self.code_lifetime)
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

    def expire_access_tokens(self) -> None:
        """Make every access token worthless, while refresh tokens stay good."""
        self._access.clear()

    def accepts(self, token: str) -> bool:
        """Whether an access token is good now."""
        until = self._access.get(token, 0.0)
        return until is None or until > time.monotonic()

    def grant(self, form: Mapping[str, str]) -> dict[str, Any]:
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
                self._spend_code(form)
            case _:
                raise OAuthError("unsupported_grant_type")
        return self.issue_tokens()

    def _spend_refresh_token(self, token: str) -> None:
        if self._refresh.pop(token, 0.0) <= time.monotonic():
            self.invalid_grants += 1
            raise OAuthError("invalid_grant")

    def _spend_code(self, form: Mapping[str, str]) -> None:
        code = self._codes.get(form.get("code", ""))
        is_good = (
            code is not None
            and code.until > time.monotonic()
            and form.get("redirect_uri") == code.redirect_uri
            and (not code.challenge or hmac.compare_digest(challenge_of(form.get("code_verifier", "")), code.challenge))
        )
        if not is_good:
            self.invalid_grants += 1
            raise OAuthError("invalid_grant")
        del self._codes[form["code"]]


def challenge_of(verifier: str) -> str:
    """The PKCE challenge of a verifier, by the method S256 (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _any_port(uri: str) -> str | None:
    """A redirect URI on the loopback interface without its port; None for any other (RFC 8252, section 7.3)."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return None
    return parts._replace(netloc=host).geturl() if parts.scheme == "http" and host in _LOOPBACK else None
