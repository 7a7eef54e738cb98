"""The HTTP session: to one server, by the settings alone, whatever the environment or the server says."""

from __future__ import annotations

import logging
import os
import ssl
from typing import Any

import requests

from tap_factorialhr.errors import ConfigError
from tap_factorialhr.watchdog import WatchedAdapter


class Session(requests.Session):
    """An HTTP session to one server that keeps to the settings.

    Of the environment, a proxy for HTTPS (it sees no more than an encrypted tunnel) and, where no ``ca_bundle`` is
    set, ``REQUESTS_CA_BUNDLE`` count. It is read once, here, where requests would read it again for every request.

    Args:
        base_url: The server.
        connections: How many connections to keep.
        ca_bundle: The file of the certificates to trust.

    Raises:
        ConfigError: The certificates cannot be used, wherever they are named.
    """

    def __init__(self, base_url: str, *, connections: int, ca_bundle: str | None = None) -> None:
        super().__init__()
        environment = self.merge_environment_settings(base_url, {}, stream=None, verify=None, cert=None)
        self.trust_env = False
        adapter = WatchedAdapter(pool_connections=2, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        # It logs requests with the values of their parameters, and headers that it cannot parse.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        if base_url.lower().startswith("https://"):
            self.proxies = environment["proxies"]
        named = "ca_bundle" if ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
        self.verify = ca_bundle or environment["verify"]
        if isinstance(self.verify, str):
            _check_bundle(named, self.verify)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 (as requests has it)
        """Send a request and no other: no cookie is kept, and no redirect followed, nor looked for."""
        kwargs.pop("allow_redirects", None)
        options = {"verify": self.verify, "proxies": self.proxies, **kwargs}
        return self.get_adapter(request.url or "").send(request, **options)


def _check_bundle(name: str, path: str) -> None:
    if not os.path.exists(path):  # noqa: PTH110 (REQUESTS_CA_BUNDLE may be a folder)
        raise ConfigError(f"{name}: there is no such file")
    try:
        if os.path.isfile(path):  # noqa: PTH113
            ssl.create_default_context(cafile=path)
    except OSError:
        raise ConfigError(f"{name}: the file holds no certificates that can be read (PEM)") from None
