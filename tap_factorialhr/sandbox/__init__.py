"""A simulated Factorial company: the server of the tests and of the demo, and for anybody's own trials.

It behaves as the API notes say, shares only the API document with the tap, and needs the extra ``sandbox``.

    with Sandbox(Company(employees=50)) as sandbox:
        requests.get(f"{sandbox.base_url}/api/2026-10-01/resources/teams/teams", ...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_factorialhr.sandbox.company import Company
    from tap_factorialhr.sandbox.faults import Faults
    from tap_factorialhr.sandbox.server import Answer, RequestRecord, Sandbox

__all__ = ["Answer", "Company", "Faults", "RequestRecord", "Sandbox"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    """Import the parts when they are used: the command line has to start without the extra to say so."""
    if name == "Company":
        from tap_factorialhr.sandbox import company  # noqa: PLC0415 - see above

        return company.Company
    if name == "Faults":
        from tap_factorialhr.sandbox import faults  # noqa: PLC0415 - see above

        return faults.Faults
    if name in __all__:
        from tap_factorialhr.sandbox import server  # noqa: PLC0415 - see above

        return getattr(server, name)
    raise AttributeError(name)
