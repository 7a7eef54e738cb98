"""The command line: ``tap-factorialhr``."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
import warnings

# What follows takes half a second to import, in which Ctrl-C is to end the run without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import click  # noqa: E402

from tap_factorialhr import commands, environment  # noqa: E402
from tap_factorialhr.errors import FactorialError  # noqa: E402
from tap_factorialhr.tap import Interrupted, TapFactorialHR  # noqa: E402

logger = logging.getLogger("tap-factorialhr")


def main() -> None:
    """Run the tap; whatever goes wrong becomes one line on stderr and an exit code that is not 0."""
    # What a run that ends early leaves open ends with the process, and Meltano asks for warnings (PYTHONWARNINGS).
    warnings.simplefilter("ignore", ResourceWarning)
    _open_closed_streams()
    if sys.stdout is None:
        logger.error("standard output is closed; send it to a target or to a file")
        code = 1
    else:
        code = run(sys.argv[1:])
    # Requests may still be in flight: what they have to say would come after the last word.
    logging.disable()
    logging.shutdown()
    sys.stderr.flush()
    with contextlib.suppress(OSError, AttributeError):  # Nobody reads it any more, or it was closed from the start.
        sys.stdout.flush()
    # The run does not wait for the threads of requests, and a closed pipe is not told twice.
    os._exit(code)


def _open_closed_streams() -> None:
    """Let no file or connection get the number of a standard stream that the process was started without."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Gets the lowest number that is free, which is this one.
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (a descriptor, for as long as the process lives)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (a descriptor, for as long as the process lives)


def run(arguments: list[str]) -> int:
    """Run the tap with arguments of the command line.

    Returns:
        The exit code.
    """
    command = singer = None
    try:
        environment.check_log_level(TapFactorialHR.name)
        singer = TapFactorialHR.cli  # Each look at it is another command, and one more handler of the log.
        command, rest = commands.choose(singer, arguments)
        name = TapFactorialHR.name if command.name == TapFactorialHR.name else f"{TapFactorialHR.name} {command.name}"
        code = command.main(rest, prog_name=name, standalone_mode=False)
    except FactorialError as error:
        logger.error("%s", error)  # noqa: TRY400 (one line, no traceback)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Interrupted as error:
        of_run = "; what was written is in the state" if command is singer else ""
        logger.warning("stopped by signal %d%s", error.args[0], of_run)
        return 128 + int(error.args[0])
    except Exception as error:  # noqa: BLE001 (the message may hold a value of a row: only where it happened is told)
        logger.error(  # noqa: TRY400
            "unexpected %s at %s; please report it", type(error).__name__, _place(error)
        )
    else:
        return code if isinstance(code, int) else 0  # What the SDK told click to exit with.
    return 1


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-4:]))  # noqa: PTH119


if __name__ == "__main__":
    main()
