"""What is in the API document of the default version, counted by hand: with another one, these change, here alone."""

from __future__ import annotations

STREAMS = 169
FIELDS = 2032
"""Those at the top of rows, of all streams."""
CHANGED_SINCE = 19
"""Streams that can be asked for what changed since a day, by a filter that can be trusted."""
