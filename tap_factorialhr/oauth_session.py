"""The OAuth session as a value: what one login consists of at one point in time.

How long tokens live, and what the token endpoint answers: API notes, section Authentication.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCESS_TOKEN_SECONDS = 3600.0
"""How long an access token lives when nobody says (API notes: the prose says an hour)."""
REFRESH_TOKEN_SECONDS = 7 * 24 * 3600.0
"""How long a refresh token lives (API notes: a week)."""
LEEWAY_SECONDS = 60.0
"""How long before its end an access token is renewed; a short-lived one, a tenth of its life before."""

LOG_IN_AGAIN = (
    "To log in again, run tap-factorialhr login, or put a new refresh_token into the settings (docs/authentication.md)"
)

_CLOCK_TOLERANCE_SECONDS = 60.0
# RFC 6749, appendix A: visible ASCII, and spaces inside. Anything else would break a header, and the error of
# the library that sends the header would show the value.
_SECRET = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TOKEN_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def is_secret_text(value: object) -> bool:
    """Whether a value can be a key, a token, an id or a secret: visible ASCII, no space at either end."""
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


def is_token_type(value: object) -> bool:
    """Whether a value can stand before the token in the `Authorization` header."""
    return isinstance(value, str) and _TOKEN_TYPE.fullmatch(value) is not None


def seconds_or_none(value: object) -> float | None:
    """A lifetime in seconds from JSON (a number, or one in a string); `None` for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def moment_or_none(value: object) -> datetime | None:
    """A point in time in UTC from ISO 8601, taken as UTC without a zone; `None` for what cannot be one."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def digest(refresh_token: str) -> str:
    """What is kept of a refresh token to know it again: enough to compare, useless otherwise."""
    return hashlib.sha256(refresh_token.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class OAuthSession:
    """Everything that one OAuth login consists of at one point in time.

    Attributes:
        refresh_token: Buys the next session, once.
        client_id: The OAuth application's id.
        client_secret: The OAuth application's secret.
        access_token: What requests carry; empty when there is none yet.
        token_type: Stands before the access token in the header.
        created_at: When the tokens were made, in UTC; `None` when nobody knows (they came from the settings).
        expires_in: Lifetime of the access token in seconds; `None` when nobody said.
    """

    refresh_token: str
    client_id: str
    client_secret: str
    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105 - the scheme, no secret
    created_at: datetime | None = None
    expires_in: float | None = None

    def __repr__(self) -> str:
        """Say how old the session is, and nothing that opens a door."""
        return f"OAuthSession(created_at={self.created_at}, expires_in={self.expires_in}, tokens=***)"

    @property
    def authorization(self) -> str:
        """The value of the `Authorization` header."""
        return f"{self.token_type} {self.access_token}"

    def is_stale(self, now: datetime) -> bool:
        """Whether the access token is missing, has run out or is about to.

        One of unknown age is good until the server says otherwise.
        """
        if not self.access_token:
            return True
        if self.created_at is None:
            return False
        lifetime = self.expires_in or ACCESS_TOKEN_SECONDS
        # A tenth, so that a token of two seconds is used at all.
        return (now - self.created_at).total_seconds() >= lifetime - min(LEEWAY_SECONDS, lifetime / 10)

    def is_over(self, now: datetime) -> bool:
        """Whether the refresh token is known to have run out."""
        return self.created_at is not None and (now - self.created_at).total_seconds() >= REFRESH_TOKEN_SECONDS

    def dated(self) -> OAuthSession:
        """The same with a date, which what is kept has to have.

        Without an access token it is an hour back, so that every program that goes by it begins with a refresh.
        """
        if self.created_at is not None:
            return self
        age = 0.0 if self.access_token else ACCESS_TOKEN_SECONDS
        return dataclasses.replace(self, created_at=datetime.now(UTC) - timedelta(seconds=age))

    def renewed_by(self, answer: Mapping[str, Any], sent_at: datetime) -> OAuthSession | None:
        """The session after the token endpoint has answered.

        Args:
            answer: The JSON object of its answer.
            sent_at: When the request was sent, in UTC.

        Returns:
            The new session; None where the answer holds no usable tokens.
        """
        access_token = answer.get("access_token")
        # OAuth allows an answer without a refresh token; the old one then goes on serving.
        refresh_token = answer.get("refresh_token") or self.refresh_token
        token_type = _spelt(answer.get("token_type") or "Bearer")
        if not (is_secret_text(access_token) and is_secret_text(refresh_token) and is_token_type(token_type)):
            return None
        renewed = dataclasses.replace(
            self,
            refresh_token=refresh_token,
            access_token=str(access_token),
            token_type=token_type,
            created_at=_created_at(answer.get("created_at")) or sent_at,
            expires_in=seconds_or_none(answer.get("expires_in")),
        )
        return renewed if _is_plausible(renewed) else dataclasses.replace(renewed, created_at=sent_at)


def _is_plausible(renewed: OAuthSession) -> bool:
    """Whether the server's date fits our clock.

    If not, ours counts: a token that seems to have run out on arrival would be renewed at every request.
    """
    now = datetime.now(UTC)
    if renewed.created_at is None or renewed.is_stale(now):
        return False
    return (renewed.created_at - now).total_seconds() < _CLOCK_TOLERANCE_SECONDS


def _spelt(token_type: Any) -> Any:  # noqa: ANN401 (whatever JSON can hold)
    """A token's type, whose case means nothing (RFC 6749, section 5.1), as the API is known to take it."""
    return "Bearer" if str(token_type).lower() == "bearer" else token_type


def _created_at(value: object) -> datetime | None:
    """The answer's `created_at`: epoch seconds, or ISO 8601."""
    seconds = seconds_or_none(value)
    if seconds is None:
        return moment_or_none(value)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
