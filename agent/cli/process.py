"""What every long-running command needs: a log, and an end when it is asked to end."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress

from collectors.errors import LiniError

_FORMAT = "%(levelname)s %(message)s"  # systemd's journal has its own clock
_LOUD = ("aiomqtt", "amqtt", "pymodbus", "transitions", "aiohttp.access")


def set_up_log(*, verbose: bool = False, quiet: bool = False) -> None:
    """Log to stderr: what people act on; with `verbose`, what developers read too.

    With `quiet` only errors: a screen shows the rest.
    """
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.CRITICAL)


def run(work: Coroutine[None, None, None]) -> None:
    """Run `work` until it is done, or until SIGTERM or Ctrl-C ends it in good order.

    Raises the LiniError that ended it, out of whatever group of tasks it came from.
    """
    try:
        with suppress(asyncio.CancelledError):
            asyncio.run(_until_stopped(work))
    except BaseExceptionGroup as group:
        raise _first_told(group) or group from None


async def _until_stopped(work: Coroutine[None, None, None]) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await task


def _first_told(error: BaseException) -> LiniError | None:
    """Return the first error for people in a group, however deep."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(_first_told, error.exceptions)), None)
    return error if isinstance(error, LiniError) else None
