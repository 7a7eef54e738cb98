"""A simulated Factorial company: the server of the tests and of the demo, and for anybody's own trials.

It behaves as the API notes say, shares only the API document with the tap, and needs the extra ``sandbox``.

    with Sandbox(Company(employees=50)) as sandbox:
        requests.get(f"{sandbox.base_url}/api/2026-10-01/resources/teams/teams", ...)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_factorialhr.sandbox.company import Company
    from tap_factorialhr.sandbox.faults import Faults
    from tap_factorialhr.sandbox.records import Answer, RequestRecord
    from tap_factorialhr.sandbox.server import Sandbox

__all__ = ["Answer", "Company", "Faults", "RequestRecord", "Sandbox"]


_MODULES = {
    "Answer": "records",
    "Company": "company",
    "Faults": "faults",
    "RequestRecord": "records",
    "Sandbox": "server",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    """Import the parts when they are used: the command line has to start without the extra to say so."""
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{module}"), name)
