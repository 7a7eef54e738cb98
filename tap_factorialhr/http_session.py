"""The HTTP session: to one server, by the settings alone, whatever the environment or the server says."""

from __future__ import annotations

import logging
import os
import re
import ssl
import stat
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import requests
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.util import Url, parse_url

from tap_factorialhr.errors import ConfigError
from tap_factorialhr.watchdog import TunnelError, WatchedAdapter

LONGEST_CONNECT = 30.0
"""Seconds to connect at the most, however long an answer may take."""
_NO_PATH = re.compile("-----|://|[@=]")
_PROXY_MAY_RECOVER = frozenset({requests.codes.request_timeout, 425, requests.codes.too_many_requests})


def connect_and_read_seconds(request_timeout: float) -> tuple[float, float]:
    """How long to wait for a connection, and for each part of an answer.

    Args:
        request_timeout: Seconds, as the setting has them.
    """
    return min(float(request_timeout), LONGEST_CONNECT), float(request_timeout)


def reason_of(error: requests.RequestException) -> object:
    """What urllib3 says of the last try, None where there was none."""
    return getattr(error.args[0], "reason", None) if error.args else None


def is_untrusted(error: requests.exceptions.SSLError) -> bool:
    """Whether TLS failed for the server's certificate, and not as a connection fails that ends in the handshake."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


class Session(requests.Session):
    """An HTTP session to one server that keeps to the settings, and says who it is.

    Of the environment, a proxy for HTTPS (it sees no more than an encrypted tunnel) and, where no ``ca_bundle`` is
    set, ``REQUESTS_CA_BUNDLE`` count. It is read once, here, where requests would read it again for every request.

    Args:
        base_url: The server.
        connections: How many connections to keep.
        ca_bundle: The file of the certificates to trust; `~` is the home directory.

    Raises:
        ConfigError: The certificates cannot be used, wherever they are named, or the proxy of the environment.
    """

    def __init__(self, base_url: str, *, connections: int, ca_bundle: str | None = None) -> None:
        super().__init__()
        environment = self.merge_environment_settings(base_url, {}, stream=None, verify=None, cert=None)
        self.trust_env = False
        self.headers["User-Agent"] = f"tap-factorialhr/{version('tap-factorialhr')}"
        adapter = WatchedAdapter(pool_connections=2, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        # It logs requests with the values of their parameters, and headers that it cannot parse.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        if base_url.lower().startswith("https://"):
            self.proxies = environment["proxies"]
            _check_proxy(select_proxy(base_url, self.proxies))
        named = "ca_bundle" if ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        # A shell leaves the `~` of a file of settings as it is.
        self.verify = os.path.expanduser(ca_bundle) if ca_bundle else environment["verify"]  # noqa: PTH111 (an unknown user's stays)
        if isinstance(self.verify, str):
            _check_bundle(named, self.verify)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 (as requests has it)
        """Send a request and no other: no cookie is kept, and no redirect followed, nor looked for."""
        kwargs.pop("allow_redirects", None)
        options = {"verify": self.verify, "proxies": self.proxies, **kwargs}
        return self.get_adapter(request.url or "").send(request, **options)


def refusal_of_proxy(error: requests.RequestException) -> tuple[str, str] | None:
    """Tell a proxy that will not let requests through from a connection that may work later.

    Args:
        error: What a request was answered with by the HTTP library.

    Returns:
        What is wrong and what to do, without the proxy's address; None where it is something else.
    """
    reason = reason_of(error)
    reason = getattr(reason, "original_error", reason)
    status = reason.status if isinstance(reason, TunnelError) else None
    if status == requests.codes.proxy_authentication_required:
        return "the proxy wants a login (HTTP 407)", "put user and password into HTTPS_PROXY"
    if status is None or status >= requests.codes.internal_server_error or status in _PROXY_MAY_RECOVER:
        return None
    return (
        f"the proxy does not let requests to base_url's host through (HTTP {status})",
        "check HTTPS_PROXY, name the host in NO_PROXY, or ask who runs the proxy",
    )


def _check_proxy(address: str | None) -> None:
    if address is None:
        return
    try:
        parts = parse_url(prepend_scheme_if_needed(address, "http"))  # type: ignore[no-untyped-call] # as requests does
    except (ValueError, TypeError):
        parts = Url()
    schemes = {"http", "https"} | ({"socks4", "socks4a", "socks5", "socks5h"} if find_spec("socks") else set())
    if not parts.host or parts.scheme not in schemes:
        raise ConfigError("HTTPS_PROXY, or ALL_PROXY, is no address of an HTTP proxy; it looks like http://host:port")


def _check_bundle(name: str, path: str) -> None:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 (REQUESTS_CA_BUNDLE may be a folder)
        if not is_folder:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"{name}: the file holds no certificates that can be read (PEM)") from None
    except (OSError, ValueError) as error:
        raise ConfigError(_unusable(name, path, error)) from None
    if is_folder and name == "ca_bundle":
        raise ConfigError(f"{name} is a folder; name the file with the certificates")


def _unusable(name: str, path: str, error: OSError | ValueError) -> str:
    # The certificates themselves, say, or the URL of a database with its password.
    if not path.isprintable() or _NO_PATH.search(path):
        return f"{name} is not the path of a file; name the file with the certificates"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{name}: there is no such file" + (f", {path}" if os.sep in path else "")  # Else perhaps a key.
    reason = (isinstance(error, OSError) and error.strerror) or type(error).__name__
    return f"{name}: {path} cannot be read ({reason}); it must be readable to who runs the tap"
