"""`tap-factorialhr check`: what the credentials can read, as a table or as JSON."""

from __future__ import annotations

import logging
import shutil
import sys
import textwrap
from collections import Counter
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

import click
import msgspec

from tap_factorialhr import checks, stdout, support
from tap_factorialhr.access import EMPTY, FAILED, READABLE, Access
from tap_factorialhr.commands import meltano
from tap_factorialhr.commands.options import CONTEXT, config_option, plain_errors
from tap_factorialhr.tap import NOTHING_SELECTED, TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_factorialhr.access import Finding

CANNOT_READ = 3
"""The exit code where a selected stream cannot be read."""
UNKNOWN = "nothing can be read, and the API does not know the credentials: does base_url belong to them"
WIDTH = 80
"""Columns of the table at the most, so that it reads well in a log as well."""
_RESULT, _ROWS = 15, 11


@click.command("check", context_settings=CONTEXT)
@config_option
@click.option("--catalog", type=click.File("rb"), metavar="FILE", help="The selected streams; all without it.")
@click.option("--state", hidden=True, expose_value=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(config: Any, catalog: IO[str] | None, *, as_json: bool) -> int:  # noqa: ANN401 (a private type of the SDK)
    """Show what the credentials can read.

    Sends one request for each selected stream, side by side (a few where the first part of a stream is refused), and
    shows which can be read, which are forbidden or not there, which are empty, how many rows the API promises, and
    which fields are null in all rows of the first page: fields that the credentials may not see look like that.

    Exit code: 0 where a run can read all of them, 3 where it cannot, 1 where settings or credentials are wrong.
    """
    with plain_errors():
        tap = _tap(config, checks.load_json("--catalog", catalog))
        run = tap.sync_run
        select = meltano.select_patterns(catalog.name if catalog else None)
        streams = [
            stream
            for stream in tap.own_streams
            if (stream.selected if select is None else meltano.is_selected(stream.name, select))
        ]
        access = Access(run, page_size=int(tap.config["page_size"]), check=tap.check_interrupted)
        try:
            whose = access.whose()
            found = list(_counted(access.examine(streams, int(tap.config["concurrency"])), len(streams)))
        finally:
            tap.settle()
    order = {stream.name: place for place, stream in enumerate(streams)}
    found.sort(key=lambda finding: order[finding.stream])
    # A server of another environment answers with empty lists, and to nobody's credentials.
    is_unknown = bool(found) and whose == {} and all(finding.outcome not in {READABLE, FAILED} for finding in found)
    version = str(tap.config["api_version"])
    about = {
        "credentials": whose or None,
        "api_version": version,
        "supported_until": str(support.last_day(version) or "") or None,
        "warnings": [
            *filter(None, [support.note(version, run.started_at.date())]),
            *([] if streams else [NOTHING_SELECTED]),
            *([UNKNOWN] if is_unknown else []),
        ],
    }
    with stdout.told():
        click.echo(_as_json(about, found) if as_json else "\n".join(_lines(about, found)))
    return 0 if all(finding.is_good for finding in found) and not is_unknown else CANNOT_READ


def _tap(config: Any, entries: Any) -> TapFactorialHR:  # noqa: ANN401
    """The tap with these settings and this catalog, made without a word.

    Raises:
        ConfigError: Something is wrong with them.
    """
    checks.check_catalog(entries)
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        return TapFactorialHR.from_option(config, catalog=entries)
    finally:
        logging.disable(before)


def _counted(findings: Iterable[Finding], number: int) -> Iterator[Finding]:
    """The same, with a bar on a terminal, and elsewhere a line that says what is going on."""
    with click.progressbar(
        findings, length=number, label=f"Looking at {_streams(number)}", file=sys.stderr, width=24, show_eta=False
    ) as shown:
        yield from shown


def _as_json(about: Mapping[str, Any], found: Sequence[Finding]) -> str:
    streams = [{**asdict(finding), "can_be_read": finding.is_good} for finding in found]
    return msgspec.json.format(msgspec.json.encode({**about, "streams": streams}), indent=2).decode()


def _lines(about: Mapping[str, Any], found: Sequence[Finding]) -> Iterator[str]:
    if found:
        yield from _table(found)
        yield ""
        yield from _footnotes(found)
    whose: Mapping[str, Any] = about["credentials"] or {}
    told = ", ".join(f"{name} {_printable(value)}" for name, value in whose.items() if value is not None)
    yield from _wrapped(f"Credentials: {told or 'the API does not say whose they are'}.")
    end = about["supported_until"]
    yield f"API version: {about['api_version']}" + (f", supported until {end}." if end else ".")
    for warning in about["warnings"]:
        yield from _wrapped(f"Warning: {warning}.")


def _table(found: Sequence[Finding]) -> Iterator[str]:
    name = max(len(finding.stream) for finding in found)
    yield f"{'stream':<{name}}  {'result':<{_RESULT}} {'rows':>{_ROWS}}"
    for finding in found:
        line = f"{finding.stream:<{name}}  {finding.outcome:<{_RESULT}}"
        if finding.note and not _rows(finding) and len(line) + len(finding.note) < WIDTH:
            yield f"{line} {finding.note}"
            continue
        yield f"{line} {_rows(finding):>{_ROWS}}".rstrip()
        yield from _wrapped(finding.note, "    ")
        if finding.null_fields:
            yield from _wrapped(f"null in all {finding.rows}: {', '.join(finding.null_fields)}", "    ")


def _rows(finding: Finding) -> str:
    if finding.outcome not in {READABLE, EMPTY}:
        return ""
    count = max(finding.rows, finding.total or 0)
    is_least = finding.has_next_page and count == finding.rows
    return f"{count:,}{'+' if is_least else ''}{' *' if finding.is_part else ''}"


def _printable(value: str | int) -> str:
    """What came from the server, without what a terminal would obey."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(value))


def _footnotes(found: Sequence[Finding]) -> Iterator[str]:
    counts = Counter(finding.outcome for finding in found)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    yield from _wrapped(f"{_streams(len(found))}: {told}.")
    if any("+" in _rows(finding) for finding in found):
        yield from _wrapped("+ or more: the API does not say how many.")
    if any(finding.is_part for finding in found):
        yield from _wrapped("* of one part: of the last days, or of some rows of a parent.")


def _streams(number: int) -> str:
    return f"{number} stream{'' if number == 1 else 's'}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    width = min(WIDTH, shutil.get_terminal_size().columns)
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
