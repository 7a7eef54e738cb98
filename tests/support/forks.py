"""The tap as a process that is forked from one that has imported it, since the tests start it hundreds of times.

Such a start takes a hundredth of a second instead of half a one. The rest is as for any process: its folder, its
environment, pipes, an exit code. What Python reads when it starts (``PYTHON...``) is that of the process it comes from.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

from tap_factorialhr.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.warm"])


def run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """Run ``tap-factorialhr`` to its end.

    Returns:
        The exit code (of a signal its number, negative), and what it wrote to standard output and standard error.

    Raises:
        TimeoutError: It took longer.
    """
    with ExitStack() as stack:
        ends = [os.pipe(), os.pipe()]
        readers = [stack.enter_context(os.fdopen(reading, encoding="utf-8", newline="")) for reading, _ in ends]
        writers = [stack.enter_context(os.fdopen(writing, "wb")) for _, writing in ends]
        streams = [DupFd(writer.fileno()) for writer in writers]
        process = _CONTEXT.Process(target=_begin, args=([*arguments], folder, dict(environment), streams))
        process.start()
        for writer in writers:
            writer.close()
        with ThreadPoolExecutor(2) as pool:
            output = [pool.submit(reader.read) for reader in readers]
            process.join(seconds)
            if process.exitcode is None:
                process.kill()
                raise TimeoutError(f"the tap still runs after {seconds} s")
        return process.exitcode, output[0].result(), output[1].result()


def _begin(arguments: list[str], folder: Path, environment: dict[str, str], streams: list[Any]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream.detach(), number)
    sys.argv = ["tap-factorialhr", *arguments]
    main()
