"""The command `tap-factorialhr login`: from an OAuth application to a session that is kept."""

from __future__ import annotations

import contextlib
import io
import math
import os
import select
import signal
import sys
import threading
import time
import webbrowser
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from tap_factorialhr import stdout
from tap_factorialhr.auth import TOKEN_POLICY, place_of, session_store
from tap_factorialhr.authorization import OUT_OF_BAND, AuthorizationRequest, ChallengeRefusedError
from tap_factorialhr.commands.loopback import LoopbackListener, is_loopback
from tap_factorialhr.commands.options import (
    CONTEXT,
    ENDING,
    config_option,
    meltano_options,
    plain_errors,
    settings_of,
)
from tap_factorialhr.errors import ConfigError, NoRoomError, SessionError
from tap_factorialhr.http_session import Session, connect_and_read_seconds
from tap_factorialhr.oauth_session import REFRESH_TOKEN_SECONDS, OAuthSession
from tap_factorialhr.session_store import NOTHING_USED_UP
from tap_factorialhr.token_endpoint import Lost, Refused, Renewed, TokenEndpoint, TryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from tap_factorialhr.session_store import SharedStore

REDIRECT_URI = "http://127.0.0.1:8910/callback"
_LONGEST_WAIT = 24 * 60 * 60
"""Seconds to wait for the browser at the most."""
_APART = 0.5
"""Seconds between two signals at the least: one terminal that is closed sends several."""
_NOTHING = "Nothing was exchanged, and what is kept is as it was"
_IN_DOUBT = "The code may be used up by now, and what is kept is as it was: run login again"
_KEPT = "You are logged in, and the session is kept"
_OTHER_CREDENTIALS = ("api_key", "access_token", "refresh_token")
"""The settings that a session takes the place of."""
_CLIENT = ("client_id", "client_secret")
"""The settings that say which OAuth application it is."""
_QUESTIONS = {
    "client_id": "Client id of the OAuth application",
    "client_secret": "Client secret",
    "token_file": "File to keep the session in",
}
"""The settings that are asked for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of the command say.

    Attributes:
        redirect_uri: The OAuth application's redirect URI.
        page: The address of the authorisation page, None for the usual one.
        paste: Whether the code is pasted rather than caught.
        browser: Whether to open a browser.
        pkce: Whether to send a PKCE challenge.
        replace: Whether a session that is kept and still good may be replaced.
        wait: Seconds to wait for the browser to come back.
    """

    redirect_uri: str
    page: str | None
    paste: bool
    browser: bool
    pkce: bool
    replace: bool
    wait: float


@dataclass
class Progress:
    """How far a login has come.

    Attributes:
        told: What whoever stops it is told.
        is_exchanging: Whether the server has the code, and its answer is waited for.
        signals: The numbers of the signals that have come.
    """

    told: str = _NOTHING
    is_exchanging: bool = False
    signals: list[int] = field(default_factory=list)


@click.command("login", context_settings=CONTEXT)
@config_option
@click.option("--token-file", metavar="FILE", help="Where to keep the session, if the settings do not say.")
@click.option("--client-id", metavar="ID", help="The OAuth application, if the settings do not say.")
@click.option(
    "--redirect-uri",
    metavar="URI",
    default=REDIRECT_URI,
    show_default=True,
    help=(
        "The redirect URI that is registered for the OAuth application. On http://127.0.0.1 or "
        "http://localhost the code is caught there; with any other, the address that the browser "
        f"ends at is pasted. {OUT_OF_BAND} has the code shown."
    ),
)
@click.option("--paste", is_flag=True, help="Paste the code, or the address with it, rather than catch it.")
@click.option("--no-browser", is_flag=True, help="Print the address of the page, and open nothing.")
@click.option("--no-pkce", is_flag=True, help="Send no PKCE challenge, for a server that takes none.")
@click.option("--authorize-url", metavar="URL", help="The page to log in on.  [default: /oauth/authorize of base_url]")
@click.option("--replace", is_flag=True, help="Replace a session that is still good.")
@click.option(
    "--wait",
    type=click.IntRange(1, _LONGEST_WAIT),
    default=300,
    metavar="SECONDS",
    help="How long to wait for the browser to come back.  [default: 300]",
)
@meltano_options
def command(
    config: Any,  # noqa: ANN401 (a private type of the SDK)
    token_file: str | None,
    client_id: str | None,
    **options: Any,  # noqa: ANN401 (the options above)
) -> int:
    """Log in to Factorial with OAuth, and keep the session where the settings say.

    Opens the page on which you let your OAuth application in, takes the code that comes of it, exchanges it for tokens
    and writes them to token_file or token_database, from which every run renews them. It needs client_id and
    client_secret; where the settings leave them out, those of the session that is kept there are taken, however old it
    is. Asks for what is missing then. A secret is never shown, nor taken from the command line.
    """
    progress = Progress()
    try:
        with plain_errors(), _interruptible(progress):
            given = {"token_file": token_file, "client_id": client_id}
            settings = settings_of(config) | {name: value for name, value in given.items() if value is not None}
            chosen = Options(
                redirect_uri=options["redirect_uri"],
                page=options["authorize_url"],
                paste=options["paste"],
                browser=not options["no_browser"],
                pkce=not options["no_pkce"],
                replace=options["replace"],
                wait=options["wait"],
            )
            _log_in(_with_answers(settings, chosen), chosen, progress)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nStopped. {progress.told}.", err=True)
        return 128 + (progress.signals[0] if progress.signals else signal.SIGINT)
    return 0


def _say(text: str, *, nl: bool = True) -> None:
    with stdout.told():
        click.echo(text, nl=nl)


# What the settings leave out


def _with_answers(settings: Mapping[str, Any], options: Options) -> dict[str, Any]:
    """The settings with what is kept of the OAuth application, and with what the user adds.

    Nothing is asked that is of no use: the place is looked at first, as soon as it is known.

    Raises:
        ConfigError: Something is missing, and there is nobody to ask.
        SessionError: There is a session already, or what is kept is none, or a new one could not be kept.
    """
    settings = dict(settings)
    if not place_of(settings):
        _ask(settings, "token_file")
    elif settings.get("token_database") and not settings.get("token_name"):
        _ask(settings, "client_id")  # The session is found by it.
    kept = _looked_at(settings, options)
    if kept and settings.get("client_id") in {None, "", kept.client_id}:  # A secret is that of one application.
        missing = [name for name in _CLIENT if not settings.get(name)]
        settings |= {name: getattr(kept, name) for name in missing}
        if missing:
            _say(f"Logging in with the OAuth application of the session that is kept there: {kept.client_id}")
    _ask(settings, *_CLIENT)
    return settings


def _looked_at(settings: Mapping[str, Any], options: Options) -> OAuthSession | None:
    """The session that is kept in the place of the settings, where a new one may take its place."""
    # A refresh token in them needs the whole client, which is still looked for.
    known = {**settings, "refresh_token": None, **{name: settings.get(name) or None for name in _CLIENT}}
    store = _store(known)
    with store.exclusive():
        _check_place(store, options)
        with _room(store):
            return store.kept


def _ask(settings: dict[str, Any], *names: str) -> None:
    """Have the user add those of the settings that are missing."""
    asked = [name for name in names if not settings.get(name)]
    if asked and not sys.stdin.isatty():
        missing = [name for name in _QUESTIONS if not settings.get(name)]
        if place_of(settings):
            missing = [name for name in missing if name != "token_file"]
        raise ConfigError(_nobody_to_ask(missing))
    for name in asked:
        answer: str = click.prompt(_QUESTIONS[name], hide_input=name == "client_secret")
        settings[name] = answer.strip()


def _nobody_to_ask(missing: list[str]) -> str:
    options = {name: f"--{name.replace('_', '-')}" for name in missing if name != "client_secret"}
    if len(missing) == 1:
        told, given = f"{missing[0]} is not set, and there is nobody to ask: set it", list(options.values())
    else:
        names = f"{', '.join(missing[:-1])} and {missing[-1]}"
        told = f"{names} are not set, and there is nobody to ask: set them"
        given = [f"{name} as {option}" for name, option in options.items()]
    return f"{told} in the settings" + (f", or give {' and '.join(given)}" if given else "")


# The login


def _log_in(settings: Mapping[str, Any], options: Options, progress: Progress) -> None:
    """Go all the way, and note how far it has come."""
    # A refresh token in the settings counts as used up from now on.
    store = _store(settings)
    application = OAuthSession("", settings["client_id"], settings["client_secret"])
    with Session(settings["base_url"], connections=1, ca_bundle=settings.get("ca_bundle")) as session:
        with _listener(options) as listener:
            request, code = _code(settings, options, listener)
        timeout = connect_and_read_seconds(settings["request_timeout"])
        endpoint = TokenEndpoint(settings["base_url"], session=session, timeout=timeout, policy=TOKEN_POLICY)
        with store.exclusive():
            _check_place(store, options)  # Somebody else may have logged in meanwhile.
            # Whoever presses Ctrl-C in there would lose the tokens: the server has used up the code by then.
            with _room(store), _held_back(progress):
                progress.told, progress.is_exchanging = _IN_DOUBT, True
                outcome = endpoint.exchange(
                    application, code=code, redirect_uri=request.redirect_uri, verifier=request.verifier
                )
                progress.is_exchanging = False
                new = _session(outcome)
                try:
                    store.load()
                    store.save(new)
                    _check_kept(store, new)
                except SessionError as error:
                    raise SessionError(
                        f"{error}. The code is used up and its tokens are lost, so run login again"
                    ) from None
                progress.told = _KEPT
    try:
        _say_what_to_set(settings)
    except stdout.UnwritableError as error:
        raise stdout.UnwritableError(f"{error}. {_KEPT}") from None


@contextlib.contextmanager
def _room(store: SharedStore) -> Iterator[None]:
    """Hold all that keeping a session needs.

    Raises:
        SessionError: It could not be kept.
    """
    try:
        with store.room():
            yield
    except NoRoomError as error:
        raise SessionError(f"{error}. {NOTHING_USED_UP}") from None


def _check_kept(store: SharedStore, new: OAuthSession) -> None:
    """See that it is the new session that is kept.

    Raises:
        SessionError: Another one has been stored while the place was away.
    """
    if store.kept is None or store.kept.refresh_token != new.refresh_token:
        raise SessionError("Another login has been stored meanwhile, and stays")


def _store(settings: Mapping[str, Any]) -> SharedStore:
    timeout = connect_and_read_seconds(settings["request_timeout"])
    return session_store(settings, base_url=settings["base_url"], timeout=timeout)


def _check_place(store: SharedStore, options: Options) -> None:
    """See that a new session takes no good one's place, unless it is to.

    Raises:
        SessionError: It would, or what is kept is no session.
    """
    store.load()
    kept = store.kept
    if kept and not options.replace and kept.created_at and not kept.is_over(datetime.now(UTC)):
        made = kept.created_at
        until = made + timedelta(seconds=REFRESH_TOKEN_SECONDS)
        raise SessionError(
            f"There is a session already, made {made:%Y-%m-%d %H:%M} UTC and good until {until:%Y-%m-%d %H:%M} at "
            "least. To log in all the same, and put the new session in its place, add --replace"
        )


def _listener(options: Options) -> LoopbackListener | nullcontext[None]:
    if options.redirect_uri == OUT_OF_BAND or not is_loopback(options.redirect_uri) or options.paste:
        return nullcontext()
    return LoopbackListener(options.redirect_uri)


def _code(
    settings: Mapping[str, Any], options: Options, listener: LoopbackListener | None
) -> tuple[AuthorizationRequest, str]:
    """Have the user let the application in.

    Returns:
        The request for the code, and the code.

    Raises:
        SessionError: There is none.
    """
    page = options.page or f"{str(settings['base_url']).rstrip('/')}/oauth/authorize"
    _check_page(page)
    redirect_uri = listener.redirect_uri if listener else options.redirect_uri
    if listener and _can_paste():
        listener.take_lines(sys.stdin)
    request = AuthorizationRequest(page, settings["client_id"], redirect_uri)
    if options.pkce:
        try:
            return request, _answered(request, options, listener)
        except ChallengeRefusedError:
            _say("The server refuses the request, perhaps its PKCE challenge; now without.")
    request = AuthorizationRequest(page, settings["client_id"], redirect_uri, verifier=None)
    return request, _answered(request, options, listener)


def _check_page(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_page = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.fragment
    except ValueError:
        is_page = False
    if not is_page:
        raise ConfigError("--authorize-url is no address of a page; it looks like https://... and has no #")


def _answered(request: AuthorizationRequest, options: Options, listener: LoopbackListener | None) -> str:
    is_opened = options.browser and _can_open_a_browser()
    _say(
        "The page to log in on opens in your browser. If it does not, open it yourself:"
        if is_opened
        else "Open this page in a browser, and let the application in:"
    )
    _say(f"\n  {request.url}\n")
    if is_opened:
        # In a thread, because some browsers come back when they are closed.
        threading.Thread(target=_open, args=(request.url,), daemon=True).start()
    if listener:
        _say(f"Waiting for the answer on {listener.redirect_uri}")
        if listener.takes_lines:
            _say("(or paste here the address at which the browser ends up)")
        answer = listener.wait(options.wait)
        return request.code_in(answer) if isinstance(answer, str) else request.code_of(answer)
    if request.redirect_uri == OUT_OF_BAND:
        question = "Paste the code that the page shows"
    else:
        question = "Paste the address at which the browser ends up, or the code in it"
    _say(f"{question}: ", nl=False)
    pasted = sys.stdin.readline()
    if not pasted.endswith("\n") or not sys.stdin.isatty():
        _say("")  # What is said next begins on a line of its own: no terminal has ended this one.
    return request.code_in(pasted)


def _can_paste() -> bool:
    """Whether something may come on standard input: it is not at its end, and there to be read.

    Reading would stop the process where it is in the background of a terminal.
    """
    try:
        if sys.stdin.isatty():
            return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
        source = sys.stdin.buffer
        if not select.select([source], [], [], 0)[0]:
            return True  # Nothing has come as yet, not even the end.
        return isinstance(source, io.BufferedReader) and source.peek(1) != b""
    except (OSError, ValueError):
        return False


def _can_open_a_browser() -> bool:
    """Whether there is a browser with a window: one in this terminal would be in the way."""
    if os.environ.get("BROWSER") or sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(url: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError, ValueError):  # The last of a BROWSER with an open quote.
        webbrowser.open(url)


def _session(outcome: Renewed | Refused | Lost | TryLater) -> OAuthSession:
    """The session that the token endpoint gave.

    Raises:
        SessionError: It gave none.
    """
    match outcome:
        case Renewed(session):
            return session
        case Refused(what, advice):
            raise SessionError(f"{what[:1].upper()}{what[1:]}. {advice}")
        case Lost(what) | TryLater(what):
            raise SessionError(f"The code could not be exchanged: {what}. A code serves once, so run login again")


# What is said at the end


def _say_what_to_set(settings: Mapping[str, Any]) -> None:
    place = place_of(settings) or ""
    base_url = str(settings["base_url"])
    shown = {
        "base_url": base_url if urlsplit(base_url).hostname != "api.factorialhr.com" else None,
        place: os.path.abspath(os.path.expanduser(settings[place])) if place == "token_file" else "as it is",  # noqa: PTH100, PTH111
        "token_name": settings.get("token_name"),
    }
    is_named_by_client = place == "token_database" and not settings.get("token_name")
    _say("Logged in. The session is kept, and stays good while a run comes once a week.\n")
    _say("Settings for the tap:")
    for name, value in shown.items():
        if value:
            _say(f"  {name:<14} {value}")
    if others := [name for name in _OTHER_CREDENTIALS if settings.get(name)]:
        _say(f"\nTake out of them, since the session takes its place: {', '.join(others)}")
    _say("\nclient_id and client_secret are kept with the session, and may stay in them.")
    if is_named_by_client:
        _say("client_id has to stay, since the session is found by it.")


# Ctrl-C


@contextlib.contextmanager
def _interruptible(progress: Progress) -> Iterator[None]:
    """Have Ctrl-C and the like raise `KeyboardInterrupt`, so that what was begun is closed and a line is said."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a handler's signature)
        progress.signals.append(number)
        raise KeyboardInterrupt

    with _handled(stop):
        yield


@contextlib.contextmanager
def _held_back(progress: Progress) -> Iterator[None]:
    """Have Ctrl-C and the like wait for the end of the block; one more, a moment later, does not wait for an answer."""
    heeded_from = math.inf

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a handler's signature)
        nonlocal heeded_from
        progress.signals.append(number)
        if progress.is_exchanging and time.monotonic() >= heeded_from:
            raise KeyboardInterrupt
        heeded_from = min(heeded_from, time.monotonic() + _APART)
        once_more = " Once more, and its answer is not waited for." if progress.is_exchanging else ""
        with contextlib.suppress(OSError):  # The terminal may be what has gone.
            click.echo(f"\nThe code is being exchanged; one moment.{once_more}", err=True)

    with _handled(note):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # `nohup` has it that a terminal that goes away is no reason to end.
    taken = [number for number in ENDING if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
