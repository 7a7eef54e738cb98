"""What can go wrong, as errors whose message is one line for the person who runs the tap.

A message says what is wrong, where, and what to do; it never holds a secret or a value of a row.
"""

from __future__ import annotations


class FactorialError(Exception):
    """Something that ends the run with one clear line and exit code 1."""


class ConfigError(FactorialError):
    """A setting, the catalog or the state cannot be used."""


class SessionError(FactorialError):
    """The authentication does not work (any more): credentials, tokens or the place where they are kept."""


class CredentialsError(SessionError):
    """The API does not accept the credentials of a request."""


class NoRoomError(SessionError):
    """The place where a session is kept cannot be written, which is found before new tokens are asked for."""


class PlaceLostError(SessionError):
    """The place where a session is kept went away while it was written to: what is there now is not known."""
