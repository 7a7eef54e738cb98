"""Singer messages on stdout: records a page at a time, everything else through the SDK's msgspec writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.contrib.msgspec import MsgSpecWriter

from tap_factorialhr.stdout import Stdout

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from singer_sdk.singerlib import Message

_encoder = msgspec.json.Encoder(decimal_format="number")
_END = b"}\n"


class MessageWriter(MsgSpecWriter):
    """Writes whole lines only, from the main thread only."""

    def __init__(self) -> None:
        """Write to standard output."""
        super().__init__()
        self.stdout = Stdout()

    def write_message(self, message: Message) -> None:
        """Write any message."""
        self.stdout.write(bytes(self.format_message(message)))

    def write_records(
        self,
        stream: str,
        records: Iterable[dict[str, Any]],
        *,
        time_extracted: datetime,
        version: int | None,
    ) -> None:
        """Write one RECORD message per record, all of them at once.

        Args:
            stream: The stream's name, or its alias.
            records: The records.
            time_extracted: When they were read.
            version: The version of the table for ACTIVATE_VERSION, None without.
        """
        head: dict[str, Any] = {
            "type": "RECORD",
            "stream": stream,
            "time_extracted": time_extracted.isoformat(),
        }
        if version is not None:
            head["version"] = version
        begin = _encoder.encode(head)[:-1] + b',"record":'
        lines = bytearray()
        for record in records:
            lines += begin
            _encoder.encode_into(record, lines, -1)
            lines += _END
        self.stdout.write(lines)
