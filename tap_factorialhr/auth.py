"""The authentication methods: API key, access token, refresh token, refresh token that is kept.

`make_authenticator` reads the settings and says which one it is; `session_store` says where its session is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_factorialhr.authenticators import (
    AccessTokenAuthenticator,
    ApiKeyAuthenticator,
    FactorialAuthenticator,
    RefreshTokenAuthenticator,
)
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.oauth_session import OAuthSession, is_secret_text, is_token_type
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.session_store import MemoryStore, SharedStore
from tap_factorialhr.token_database import TokenDatabase
from tap_factorialhr.token_endpoint import TokenEndpoint
from tap_factorialhr.token_file import TokenFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

SETTINGS = (
    "api_key",
    "access_token",
    "refresh_token",
    "client_id",
    "client_secret",
    "token_file",
    "token_database",
    "token_name",
)
"""The settings that decide on the authentication method; `token_type` only goes with them."""

TOKEN_POLICY = RetryPolicy(retries=1, first_wait=0.5, longest_wait=0.5, longest_asked=60.0)
"""A token request whose answer was lost is sent again once, since a refresh token serves once."""
UNUSED_POLICY = RetryPolicy(retries=5)
"""One that used nothing up, since it was not sent or was one too many, is sent again as other requests are."""

_PLACES = ("token_file", "token_database")
_METHODS = (
    "api_key; or access_token; or refresh_token with client_id and client_secret (and a token_file or a token_database "
    "to keep the session in); or a token_file or token_database that holds one"
)


def make_authenticator(
    config: Mapping[str, Any],
    *,
    session: requests.Session,
    base_url: str,
    timeout: tuple[float, float],
) -> FactorialAuthenticator:
    """The one authentication method that the settings describe. Sends nothing.

    Args:
        config: The tap's settings; read are those in `SETTINGS` and `token_type`.
        session: The HTTP session for the token request.
        base_url: The server that the credentials are for.
        timeout: Seconds to wait for a connection, and for each part of the answer to the token request.

    Returns:
        The authenticator.

    Raises:
        ConfigError: When the settings describe no authentication method, or more than one, or half of one.
        SessionError: When the session that is kept cannot be used, or its refresh token is too old.
    """
    given = _given(config)
    _check_mixture(given)
    if "api_key" in given:
        return ApiKeyAuthenticator(base_url, given["api_key"])
    if "refresh_token" not in given and not place_of(given):
        return AccessTokenAuthenticator(base_url, given["access_token"], given["token_type"])
    store = _store(given, base_url=base_url, timeout=timeout)
    endpoint = TokenEndpoint(base_url, session=session, timeout=timeout, policy=TOKEN_POLICY)
    return RefreshTokenAuthenticator(base_url, store, endpoint, lost=TOKEN_POLICY, unused=UNUSED_POLICY)


def session_store(config: Mapping[str, Any], *, base_url: str, timeout: tuple[float, float]) -> SharedStore:
    """Where the settings have the OAuth session kept from one run to the next.

    A session that was just got from a login is kept by ``with store.exclusive(): store.save(session)``. The refresh
    token in the settings, where there is one, counts as used up from then on.

    Args:
        config: The tap's settings; read are those in `SETTINGS` and `token_type`.
        base_url: The server that the session is for.
        timeout: Seconds to wait for a connection, and for each part of the answer to a token request: other processes
            that are renewing are waited for accordingly.

    Returns:
        The store, of which nothing has been read yet.

    Raises:
        ConfigError: The settings name no such place.
    """
    given = _given(config)
    _check_place(given)
    if not place_of(given):
        raise ConfigError("neither token_file nor token_database is set: there is no place to keep the session in")
    store = _store(given, base_url=base_url, timeout=timeout)
    assert isinstance(store, SharedStore)  # noqa: S101 (for the type checker)
    return store


def _given(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings of authentication that have a value, each one checked."""
    given = {name: config[name] for name in SETTINGS if config.get(name) is not None}
    for name, value in given.items():
        _check_setting(name, value)
    token_type = config.get("token_type", "Bearer")
    if not is_token_type(token_type):
        raise ConfigError("token_type must be one word, such as Bearer")
    return {**given, "token_type": token_type}


def _check_setting(name: str, value: object) -> None:
    if value == "":
        raise ConfigError(f"{name} is empty: give it a value or leave it out")
    if name == "token_file":
        if not isinstance(value, str):
            raise ConfigError("token_file must be the path of a file")
    elif not is_secret_text(value):
        message = f"{name} must be a string of visible ASCII characters, without spaces or line ends around it"
        raise ConfigError(message)


def _check_mixture(given: Mapping[str, Any]) -> None:
    names = ", ".join(name for name in SETTINGS if name in given)
    if not names:
        raise ConfigError(f"No credentials are set. Set one of: {_METHODS}")
    if "api_key" in given and names != "api_key":
        raise ConfigError(f"More than one authentication method is set ({names}). Set only one of: {_METHODS}")
    _check_place(given)
    if "refresh_token" in given:
        if missing := [name for name in ("client_id", "client_secret") if name not in given]:
            raise ConfigError(f"refresh_token needs {' and '.join(missing)} as well")
    elif place := place_of(given):
        if "access_token" in given:
            message = f"access_token and {place} are two authentication methods"
            raise ConfigError(f"{message}. Leave one out, or add refresh_token, client_id and client_secret")
    elif "api_key" not in given and (extra := [name for name in ("client_id", "client_secret") if name in given]):
        message = (
            f"{' and '.join(extra)} can only be used with refresh_token, token_file or token_database, and none is set"
        )
        raise ConfigError(f"{message}. Set one of: {_METHODS}")


def _check_place(given: Mapping[str, str]) -> None:
    """Check that the settings of the place where a session is kept go together."""
    if all(name in given for name in _PLACES):
        raise ConfigError("token_file and token_database are two places for one session. Leave one out")
    if "token_name" in given and "token_database" not in given:
        raise ConfigError("token_name can only be used with token_database, which is not set")
    if "token_database" in given and "token_name" not in given and "client_id" not in given:
        raise ConfigError("token_database needs token_name or client_id as well, to tell sessions apart")


def place_of(settings: Mapping[str, Any]) -> str | None:
    """The name of the setting that says where the session is kept; None where none does."""
    return next((name for name in _PLACES if settings.get(name)), None)


def _store(given: Mapping[str, str], *, base_url: str, timeout: tuple[float, float]) -> MemoryStore | SharedStore:
    settings = None
    if "refresh_token" in given:
        settings = OAuthSession(
            refresh_token=given["refresh_token"],
            client_id=given["client_id"],
            client_secret=given["client_secret"],
            access_token=given.get("access_token", ""),
            token_type=given["token_type"],
        )
    # Whoever holds the lock sends two requests as a rule, and waits for a rate limit at the most.
    lock_seconds = 2 * (sum(timeout) + TOKEN_POLICY.longest_asked)
    if "token_file" in given:
        file = TokenFile(given["token_file"], lock_seconds=lock_seconds)
        return SharedStore(file, base_url=base_url, settings=settings)
    if "token_database" in given:
        token_name = given.get("token_name")
        row = token_name or given["client_id"]
        database = TokenDatabase(given["token_database"], row=row, token_name=token_name, lock_seconds=lock_seconds)
        return SharedStore(database, base_url=base_url, settings=settings)
    if settings is None:  # pragma: no cover - `_check_mixture` has seen to that
        raise ConfigError(f"No credentials are set. Set one of: {_METHODS}")
    return MemoryStore(settings)
