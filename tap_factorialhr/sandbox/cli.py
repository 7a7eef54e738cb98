"""The command ``factorialhr-sandbox``: serve a simulated company until stopped."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import click

from tap_factorialhr import openapi

REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - the sandbox's own, known to all
_NO_EXTRA = "the sandbox needs its extra: pip install 'tap-factorialhr[sandbox]'"


@click.command(context_settings={"show_default": True})
@click.option("--employees", type=click.IntRange(min=1), default=50, help="How many people the company has.")
@click.option("--seed", type=int, default=1, help="Another seed gives another company.")
@click.option("--integer-ids", is_flag=True, help="Ids as integers, as before version 2026-07-01.")
@click.option("--untidy", is_flag=True, help="Now and then break the promises of the API document.")
@click.option("--host", default="127.0.0.1", help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8899, help="0 takes a free one.")
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, help="Seconds before each answer.")
@click.option("--fault", multiple=True, metavar="KIND", help="What goes wrong; repeatable, 'mixed' for all.")
@click.option("--fault-every", type=click.IntRange(min=1), default=10, help="Which requests the fault hits.")
@click.option("--fault-delay", type=click.FloatRange(min=0), default=5.0, help="Seconds of a 'timeout'.")
@click.option("--forbidden", multiple=True, metavar="DOMAIN/RESOURCE", help="Answers 403; repeatable.")
@click.option("--missing", multiple=True, metavar="DOMAIN/RESOURCE", help="Answers 404; repeatable.")
@click.option(
    "--access-token-lifetime",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    help="Seconds that an access token lives.",
)
@click.option(
    "--redirect-uri",
    default="http://127.0.0.1/callback",
    metavar="URI",
    help="Where codes are sent; one on the loopback address goes with every port.",
)
def command(**options: Any) -> None:  # noqa: ANN401 - the options above
    """Serve a simulated Factorial company until stopped with Ctrl-C."""
    for name in (*options["forbidden"], *options["missing"]):
        if name not in openapi.load().resources:
            raise click.BadParameter(f"there is no resource {name!r}")
    serve(**options)


def serve(  # noqa: PLR0913 - one argument an option
    *,
    employees: int,
    seed: int,
    integer_ids: bool,
    untidy: bool,
    host: str,
    port: int,
    latency: float,
    fault: tuple[str, ...],
    fault_every: int,
    fault_delay: float,
    forbidden: tuple[str, ...],
    missing: tuple[str, ...],
    access_token_lifetime: float,
    redirect_uri: str,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        click.ClickException: The extra is not installed, the port is taken, or there is no such fault.
    """
    try:
        from tap_factorialhr.sandbox.company import Company  # noqa: PLC0415 - the extra may be missing
        from tap_factorialhr.sandbox.faults import Faults  # noqa: PLC0415 - as above
        from tap_factorialhr.sandbox.server import Sandbox  # noqa: PLC0415 - as above
    except ImportError as error:
        raise click.ClickException(_NO_EXTRA) from error
    try:
        faults = Faults(fault, fault_every) if fault else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    sandbox = Sandbox(
        Company(employees, seed, integer_ids=integer_ids, untidy=untidy),
        port=port,
        host=host,
        latency=latency,
        faults=faults,
        fault_delay=fault_delay,
        forbidden=forbidden,
        missing=missing,
        access_token_lifetime=access_token_lifetime,
    )
    sandbox.oauth.redirect_uri = redirect_uri
    sandbox.oauth.add_refresh_token(REFRESH_TOKEN)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with sandbox:
            click.echo(_greeting(sandbox, employees))
            stop.wait()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _greeting(sandbox: Any, employees: int) -> str:  # noqa: ANN401 - its type needs the extra
    """What a person needs to try it."""
    oauth = sandbox.oauth
    url = f"{sandbox.base_url}/api/{openapi.DEFAULT_VERSION}/resources/employees/employees?limit=2"
    return "\n".join(
        (
            f"A company of {employees} employees at {sandbox.base_url}",
            f"  API key        {sandbox.api_key}",
            f"  client id      {oauth.client_id}",
            f"  client secret  {oauth.client_secret}",
            f"  refresh token  {REFRESH_TOKEN}  (good once: each refresh gives a new one)",
            f"  access token   {oauth.issue_access_token()}  (does not expire)",
            f"  code           {oauth.issue_code()}  (good once, redirect URI {oauth.redirect_uri})",
            f"  log in at      {sandbox.base_url}/oauth/authorize",
            f"  integrations   {', '.join(sandbox.company.integration_uuids)}",
            f"Try: curl -H 'x-api-key: {sandbox.api_key}' '{url}'",
        )
    )


def main() -> None:
    """Run the command; what is wrong with its options is one line on stderr and exit code 1."""
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
