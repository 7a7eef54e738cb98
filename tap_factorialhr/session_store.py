"""Where the OAuth session is kept, and which one is to be used: the same rules for every place.

A refresh token serves once (API notes, section Authentication). So whoever renews has the place to itself, reads
again what is kept there, and has the new tokens there before the first of them is used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from tap_factorialhr.errors import ConfigError, NoRoomError, PlaceLostError, SessionError
from tap_factorialhr.oauth_session import LOG_IN_AGAIN, OAuthSession, digest
from tap_factorialhr.session_document import SessionDocument

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


logger = logging.getLogger("tap-factorialhr")

KEEP_TRYING_SECONDS = 60.0
"""How long to try to keep new tokens in a place that has gone away."""
NOTHING_USED_UP = "No token was used up"
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
"""Less than a run has after a signal, so that the place is tried once more before its end."""


class SessionStore(Protocol):
    """What renewing needs of the place where a session is kept.

    All but `open` and `exclusive` are called within `exclusive`.
    """

    def open(self) -> OAuthSession:
        """The session to begin with; that a new one could be kept is seen to."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keeps everybody else who shares the session from renewing it."""

    def load(self) -> Sequence[OAuthSession]:
        """The sessions that may be used, the best first; empty where nothing is kept (any more)."""

    def room(self) -> AbstractContextManager[None]:
        """Holds all that saving needs, while a refresh token is used up; raises `NoRoomError` before that."""

    def save(self, session: OAuthSession) -> None:
        """Keeps a new session; when this returns, it will not be lost."""

    def note_refused(self, session: OAuthSession) -> None:
        """Takes note that a session's refresh token is of no use, so that it is not tried again."""


class Place(Protocol):
    """One place for one document, such as a file. What is raised is `SessionError`, naming the place."""

    @property
    def name(self) -> str:
        """How messages name it, without a secret."""

    @property
    def absence(self) -> str:
        """What messages say where nothing is there, without a secret."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keeps every other process from it."""

    def read(self) -> bytes | None:
        """What is there; None where nothing is."""

    def room(self) -> AbstractContextManager[None]:
        """Tries whether `write` would work, and holds what it needs; raises `NoRoomError` where it would not."""

    def write(self, content: bytes) -> None:
        """Puts something there, whole or not at all; a place that may come back raises `PlaceLostError`."""


class MemoryStore:
    """A session that nobody else shares and that ends with the run.

    Args:
        session: The one to begin with.
    """

    def __init__(self, session: OAuthSession) -> None:
        self._given = self._session = session

    def open(self) -> OAuthSession:
        """The session of the settings."""
        return self._session

    def exclusive(self) -> AbstractContextManager[None]:
        """Nobody else can renew this session."""
        return contextlib.nullcontext()

    def load(self) -> Sequence[OAuthSession]:
        """The latest session."""
        return (self._session,)

    def room(self) -> AbstractContextManager[None]:
        """There is always room for one session."""
        return contextlib.nullcontext()

    def save(self, session: OAuthSession) -> None:
        """Remember the session until the end of the run, and warn of what that means."""
        if self._session is self._given:
            logger.warning(
                "The refresh_token of the settings has served now, and nothing keeps the one that came for it: "
                "the next run, check or test needs another login. Set token_file or token_database"
            )
        self._session = session

    def note_refused(self, session: OAuthSession) -> None:
        """There is no other one to take its place."""


class SharedStore:
    """A session that runs and processes share through a place that stays.

    Who wins: what is kept there, unless the settings bring a refresh token that has not come before. That one is tried
    first, and what is kept stays until it has been renewed.

    Args:
        place: Where it is kept.
        base_url: The server that the tokens belong to.
        settings: The session that the settings describe, or None where what is kept stands alone.
    """

    def __init__(self, place: Place, *, base_url: str, settings: OAuthSession | None) -> None:
        self._place = place
        self._base_url = base_url.rstrip("/")
        self._settings = settings
        self._document: SessionDocument | None = None

    def open(self) -> OAuthSession:
        """See before any request that there is a session, and that a new one could be kept.

        Where nothing is kept, what the settings bring is.

        Returns:
            The session to begin with.

        Raises:
            ConfigError: Nothing is kept, and there is no refresh token in the settings.
            SessionError: What is kept cannot be used, or the place cannot be written.
        """
        try:
            return self._open()
        except NoRoomError as error:
            raise SessionError(f"{error}. {NOTHING_USED_UP}") from None

    def _open(self) -> OAuthSession:
        with self.exclusive():
            if sessions := self.load():
                with self.room():
                    return sessions[0]
            if self._settings is None:
                message = f"{self._place.absence}; there is no refresh_token to make it from"
                raise ConfigError(f"{message}. {LOG_IN_AGAIN}")
            session = self._settings.dated()
            with self.room():
                self.save(session)
            return session

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep every other process that uses this place from renewing meanwhile.

        Raises:
            SessionError: The place cannot be had, or not in time.
        """
        return self._place.exclusive()

    def load(self) -> Sequence[OAuthSession]:
        """The sessions that may be used now, the best first; empty where nothing is kept.

        Raises:
            SessionError: What is kept cannot be used (any more).
        """
        content = self._place.read()
        if content is None:
            self._document = None
            return ()
        document = SessionDocument.parse(content, place=self._place.name, base_url=self._base_url)
        self._document = document
        kept, settings = document.session, self._settings
        if settings is None:
            return (kept,)
        if kept.client_id == settings.client_id:
            # A secret that was mistyped or replaced is mended in the settings; the tokens stay those that are kept.
            kept = dataclasses.replace(kept, client_secret=settings.client_secret)
        if kept.client_id != settings.client_id:
            # Another application's session may be another company's: it does not stand in for that of the settings.
            return (settings,)
        if document.knows(digest(settings.refresh_token)) or kept.refresh_token == settings.refresh_token:
            return (kept,)
        if kept.is_over(datetime.now(UTC)):
            return (settings,)
        # Another client's document does not say what it was made from. The settings' token may be its ancestor, which
        # is used up, so it is tried last.
        return (kept, settings) if document.made_from is None else (settings, kept)

    @property
    def kept(self) -> OAuthSession | None:
        """The session that `load` found kept, whatever the settings bring."""
        return self._document.session if self._document else None

    def room(self) -> AbstractContextManager[None]:
        """Hold all that saving needs.

        Raises:
            NoRoomError: It could not be saved.
        """
        return self._place.room()

    def save(self, session: OAuthSession) -> None:
        """Keep a session, whole or not at all.

        Raises:
            SessionError: It cannot be written.
        """
        try:
            self._write(self._with(session))
        except PlaceLostError as error:
            self._write_later(session, error)

    def note_refused(self, session: OAuthSession) -> None:
        """Let other runs not try the settings' refresh token, where it was refused and another one stands in for it."""
        settings = self._settings
        if settings is None or session.refresh_token != settings.refresh_token:
            return
        # Where it cannot be written, the next run tries it once more.
        with contextlib.suppress(SessionError):
            self.load()  # A program that does not know our lock may have written meanwhile.
            document, origin = self._document, digest(settings.refresh_token)
            if document and document.session.client_id == settings.client_id and not document.knows(origin):
                self._write(document.noting(origin))

    def _with(self, session: OAuthSession) -> SessionDocument:
        """What is kept, with another session."""
        before = self._document
        document = (
            dataclasses.replace(before, session=session, target_url=self._base_url)
            if before
            else SessionDocument(session=session, target_url=self._base_url)
        )
        if self._settings is not None and not document.knows(origin := digest(self._settings.refresh_token)):
            document = document.made_from_now(origin)
        return document

    def _write_later(self, session: OAuthSession, error: PlaceLostError) -> None:
        """Wait for the place to come back, since the tokens that were kept there before are used up by now."""
        logger.warning("%s; trying again for %.0f seconds", error, KEEP_TRYING_SECONDS)
        before = self._document
        deadline = time.monotonic() + KEEP_TRYING_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(SessionError), self.exclusive():
                self.load()
                self._document = self._document or before  # What is not there any more is told by what was.
                if self._document is None or (before and self._document.is_no_newer_than(before)):
                    self._write(self._with(session))
                elif self._document.session.refresh_token != session.refresh_token:
                    logger.warning("%s is that of another login by now, and stays", self._place.name)
                return
        raise error

    def _write(self, document: SessionDocument) -> None:
        self._place.write(document.to_json())
        self._document = document
