"""What the process that taps are forked from has imported and read already, so that no fork needs to."""

from __future__ import annotations

import email.policy  # noqa: F401 (imported by others when they need it, as what follows is)
import gc

from tap_factorialhr import (  # noqa: F401
    auth,
    oauth_session,
    openapi,
    token_database,
    token_file,
    whole_writes,
)
from tests.support import forks  # noqa: F401

_ = openapi.load().resources
gc.freeze()  # Else the first collection in a fork would write to the memory of all this, and so copy it.
