"""The login in the browser: the request for a code, and what comes back of it.

Of all this the API notes say that a code comes of it and is exchanged at `/oauth/token` with its redirect URI, and no
more. The rest is standard: RFC 6749 (the page's address and parameters, `state`, errors) and RFC 7636 (PKCE).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from tap_factorialhr.errors import SessionError

if TYPE_CHECKING:
    from collections.abc import Mapping

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
"""The redirect URI that asks for the code to be shown, for the user to copy: a convention, and no RFC's."""

_ERRORS = {
    "access_denied": "the request was denied on the page, or by a policy",
    "invalid_request": "the request lacks something, or has something that is not supported",
    "invalid_scope": "the application may not ask for this",
    "server_error": "the server has a problem; try again later",
    "temporarily_unavailable": "the server is busy; try again later",
    "unauthorized_client": "the application may not ask for a code",
    "unsupported_response_type": "the server gives no codes",
}
"""The errors that can come back (RFC 6749, section 4.1.2.1), in a person's words."""


class ChallengeRefusedError(SessionError):
    """The server may not take a PKCE challenge; it may take the request without."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One request for a code, which no answer to another one fits.

    Attributes:
        page: The address of the page on which the user lets the application in.
        client_id: The OAuth application's id.
        redirect_uri: Where the code is sent.
        verifier: What the PKCE challenge is made from; None for a request without.
        state: What the answer has to bring back.
    """

    page: str
    client_id: str
    redirect_uri: str
    verifier: str | None = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
        }
        if self.verifier:
            digest = hashlib.sha256(self.verifier.encode()).digest()
            asked["code_challenge"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            asked["code_challenge_method"] = "S256"
        return f"{self.page}{'&' if urlsplit(self.page).query else '?'}{urlencode(asked)}"

    def code_of(self, answer: Mapping[str, str]) -> str:
        """The code that an answer brings.

        Args:
            answer: The parameters with which the browser came back.

        Raises:
            ChallengeRefusedError: It is an error that may be for the PKCE challenge.
            SessionError: It is another error, or the answer to another request.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(errors="replace"), self.state.encode()):
            raise SessionError(
                "The answer that came back does not belong to this login: its state is another one. Nothing was "
                "exchanged. Run login again, and use the page that it opens"
            )
        if error := answer.get("error"):
            told = f"{error}, {_ERRORS[error]}" if error in _ERRORS else "an error that OAuth does not know"
            kind = ChallengeRefusedError if self.verifier and error == "invalid_request" else SessionError
            raise kind(f"Factorial gave no code: {told}")
        if not (code := answer.get("code", "")) or not code.isascii():
            raise SessionError("The answer that came back holds no code. Run login again")
        return code

    def code_in(self, pasted: str) -> str:
        """The code in what a user pasted: the code itself, or the whole address that the browser was sent to.

        Raises:
            ChallengeRefusedError: As `code_of` does, of an address.
            SessionError: There is none, or it belongs to another request.
        """
        text = pasted.strip().strip("\"'<>")
        if not text:
            raise SessionError("No code was pasted. Run login again")
        # Of an address, browsers show the scheme, or not, and some leave out more of its beginning.
        query = text.partition("?")[2].partition("#")[0] or text.partition("#")[2] or text
        answer = dict(parse_qsl(query))
        if answer.keys() & {"code", "error", "state"}:
            return self.code_of(answer)
        if not text.isascii() or any(letter.isspace() or not letter.isprintable() for letter in text) or "://" in text:
            raise SessionError("What was pasted is neither a code nor an address with one. Run login again")
        return text
