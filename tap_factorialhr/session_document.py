"""The OAuth session as it is kept from one run to the next: a JSON object, in a file or elsewhere.

It has the keys of the `factorialhr` Python client (see `KEYS`), so that either program goes on where the other one
stopped. The other keys are ours, and the other client reads past them: `expires_in` (in seconds), `made_from` (a
SHA-256 of the refresh token in the settings that the login came from), and `seen` (the same of others that came in
the settings before it). Keys that neither program knows stay where they are.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tap_factorialhr.errors import SessionError
from tap_factorialhr.oauth_session import (
    OAuthSession,
    is_secret_text,
    is_token_type,
    moment_or_none,
    seconds_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = (
    "refresh_token",
    "client_id",
    "client_secret",
    "access_token",
    "token_type",
    "created_at",
    "target_url",
)
"""What a document has to hold; the `factorialhr` client reads and writes exactly these."""
_SECRETS = frozenset({"refresh_token", "client_secret", "access_token"})
_REMNANT = re.compile(rb'"(?:%b)"\s*:\s*"' % "|".join(_SECRETS).encode())
"""What is left of a document that was cut: one of its secrets, or the beginning of one."""
_OURS = ("expires_in", "made_from", "seen")
MOST_SEEN = 100
"""How many refresh tokens of the settings are remembered."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SessionDocument:
    """A session with what is known of where it comes from.

    Attributes:
        session: The session.
        target_url: The server that its tokens belong to.
        made_from: Digest of the refresh token in the settings that it was made from; None where nobody knows.
        seen: Digests of others that were in the settings before, used up or refused; the latest last.
        others: Keys that are not ours, kept as they are.
    """

    session: OAuthSession
    target_url: str
    made_from: str | None = None
    seen: tuple[str, ...] = ()
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, content: bytes, *, place: str, base_url: str) -> SessionDocument:
        """Read a document.

        Args:
            content: JSON in UTF-8.
            place: Where it is, as errors name it.
            base_url: The server that its tokens have to belong to.

        Returns:
            The document.

        Raises:
            SessionError: It is no session, or one of another server; the error shows no value of it.
        """
        return _Parser(place).parse(content, base_url)

    def knows(self, refresh_token_digest: str) -> bool:
        """Whether a refresh token has come in the settings before."""
        return refresh_token_digest == self.made_from or refresh_token_digest in self.seen

    def is_no_newer_than(self, other: SessionDocument) -> bool:
        """Whether this is the other one, or one that the same login had before, as a copy that lags behind holds it."""
        mine, others = self.session, other.session
        if mine.refresh_token == others.refresh_token:
            return True
        is_older = bool(mine.created_at and others.created_at and mine.created_at < others.created_at)
        return is_older and (mine.client_id, self.made_from) == (others.client_id, other.made_from)

    def noting(self, refresh_token_digest: str) -> SessionDocument:
        """The same, with a refresh token of the settings that is of no use any more."""
        if self.knows(refresh_token_digest):
            return self
        return dataclasses.replace(self, seen=(*self.seen, refresh_token_digest)[-MOST_SEEN:])

    def made_from_now(self, refresh_token_digest: str) -> SessionDocument:
        """The same, come from a refresh token of the settings; what it was made from before is remembered."""
        seen = self.seen if self.made_from is None else (*self.seen, self.made_from)
        return dataclasses.replace(self, made_from=refresh_token_digest, seen=seen[-MOST_SEEN:])

    def to_json(self) -> bytes:
        """The document as JSON, in UTF-8."""
        session = self.session.dated()
        document = {
            **self.others,
            "refresh_token": session.refresh_token,
            "client_id": session.client_id,
            "client_secret": session.client_secret,
            "access_token": session.access_token,
            "token_type": session.token_type,
            "created_at": session.created_at.isoformat() if session.created_at else None,
            "target_url": self.target_url,
        }
        if session.expires_in is not None:
            seconds = float(session.expires_in)
            document["expires_in"] = int(seconds) if seconds.is_integer() else seconds
        if self.made_from is not None:
            document["made_from"] = self.made_from
        if self.seen:
            document["seen"] = list(self.seen)
        return json.dumps(document, indent=2).encode() + b"\n"


def holds_secrets(content: bytes) -> bool:
    """Whether this is a session, or what may be left of one: what has none of its secrets may be anything."""
    document = _json(content)
    if isinstance(document, dict):
        return not _SECRETS.isdisjoint(document)
    return document is _NOT_JSON and _REMNANT.search(content) is not None


_NOT_JSON = object()


@dataclasses.dataclass(frozen=True)
class _Parser:
    place: str

    def parse(self, content: bytes, base_url: str) -> SessionDocument:
        if not content.strip():
            raise self._unusable("is empty")
        document = _json(content)
        if document is _NOT_JSON:
            raise self._unusable("is not valid JSON")
        if not isinstance(document, dict):
            raise self._unusable("holds JSON, but not an object")
        session = self._session(document)
        self._check_server(document["target_url"], base_url)
        made_from, seen = document.get("made_from"), document.get("seen")
        return SessionDocument(
            session=session,
            target_url=document["target_url"],
            made_from=made_from if isinstance(made_from, str) else None,
            seen=tuple(one for one in seen if isinstance(one, str)) if isinstance(seen, list) else (),
            others={key: value for key, value in document.items() if key not in {*KEYS, *_OURS}},
        )

    def _session(self, document: Mapping[str, Any]) -> OAuthSession:
        if missing := [key for key in KEYS if key not in document]:
            raise self._unusable(f"lacks {', '.join(missing)}")
        wrong = [key for key in ("refresh_token", "client_id", "client_secret") if not is_secret_text(document[key])]
        if document["access_token"] != "" and not is_secret_text(document["access_token"]):
            wrong.append("access_token")
        if not is_token_type(document["token_type"]):
            wrong.append("token_type")
        if wrong:
            raise self._unusable(f"has something else than a string of visible characters in {', '.join(wrong)}")
        created_at = moment_or_none(document["created_at"])
        if created_at is None:
            raise self._unusable("has no ISO 8601 date and time in created_at")
        expires_in = seconds_or_none(document.get("expires_in"))
        if expires_in is None and document.get("expires_in") is not None:
            raise self._unusable("has no number of seconds in expires_in")
        return OAuthSession(
            refresh_token=document["refresh_token"],
            client_id=document["client_id"],
            client_secret=document["client_secret"],
            access_token=document["access_token"],
            token_type=document["token_type"],
            created_at=created_at,
            expires_in=expires_in,
        )

    def _check_server(self, target_url: object, base_url: str) -> None:
        """Keep tokens from any other server. The other client writes no port, so the host alone counts."""
        host = _host(target_url)
        if host is None:
            raise self._unusable("has no URL in target_url")
        if host != _host(base_url):
            message = f"{self.place} belongs to the host {host}, and base_url is {base_url}"
            raise SessionError(f"{message}. Keep each server's session apart, or set base_url to the server it is for")

    def _unusable(self, what: str) -> SessionError:
        advice = (
            "Mend it, or move it away and run tap-factorialhr login, or set refresh_token, client_id and "
            "client_secret, to have it made anew"
        )
        return SessionError(f"{self.place} {what}. {advice}")


def _json(content: bytes) -> object:
    # The error of the parser holds the whole text, so it must not be the context of another one.
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return _NOT_JSON
    return document


def _host(url: object) -> str | None:
    if not isinstance(url, str):
        return None
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host if host and host.isprintable() else None
