"""Read resources with the official client, `factorial-api-client`, in an environment of its own.

Takes a list in JSON on stdin, each with `base_url`; `api_key` or `token`; `reads`, which for each `<domain>/<resource>`
lists the arguments of each listing. Gives a list in JSON on stdout: for each resource the rows, as the client's models
write them, or the error.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Any, get_args, get_type_hints

from factorial_api_client import FactorialClient
from factorial_api_client import client as endpoints


def rows(client: Any, resource: str, listings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows of a resource, through the client's own pagination and models."""
    domain, _, name = resource.partition("/")
    reader = getattr(getattr(client, domain), name)
    hints = get_type_hints(getattr(endpoints, f"get_api_2026_10_01_resources_{domain}_{name}")._get_kwargs)
    return [
        row.to_dict()
        for arguments in listings
        for row in reader.paginate(**{key: fitting(value, hints[key]) for key, value in arguments.items()})
    ]


def fitting(value: Any, hint: Any) -> Any:
    """A value in the type that the client wants: it takes members of enumerations, and no plain strings for them."""
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(value)
    return value


def read(asked: dict[str, Any]) -> dict[str, Any]:
    """What one of the items asks for."""
    login = {name: asked[name] for name in ("api_key", "token") if name in asked}
    client = FactorialClient(base_url=asked["base_url"], **login)
    found: dict[str, Any] = {}
    for resource, listings in asked["reads"].items():
        try:
            found[resource] = rows(client, resource, listings)
        except Exception as error:  # noqa: BLE001 - each resource is told of, whatever goes wrong with one
            found[resource] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    json.dump([read(asked) for asked in json.load(sys.stdin)], sys.stdout)
