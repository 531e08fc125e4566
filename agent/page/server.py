"""Where the page listens."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from collectors.errors import LiniError

_FURTHER_PORTS = 20
_LAST_PORT = 65_535
_SHUTDOWN_S = 0.5


class PageError(LiniError):
    """The page cannot listen where it should: choose another address or port."""


@asynccontextmanager
async def serve(
    app: web.Application, *, host: str, port: int, search: bool = False
) -> AsyncIterator[str]:
    """Serve `app` and yield its URL; leaving takes at most a second, whoever is connected.

    With `search`, a taken port leads to the next free one (at most 20 further); `port` 0 takes
    any. Raises PageError when no address can be had.
    """
    runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_S, access_log=None)
    await runner.setup()
    try:
        last = min(port + _FURTHER_PORTS, _LAST_PORT) if search else port
        await _listen(runner, host, range(port, last + 1))
        yield _url(host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, ports: range) -> None:
    for port in ports:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            if error.errno != errno.EADDRINUSE:
                raise PageError(
                    f"the page cannot listen on {host}, port {port}: {error.strerror}",
                    "use an address of this machine and a port from 1024 to 65535",
                ) from error
        else:
            return
    taken = f"port {ports[0]}" if len(ports) == 1 else f"every port from {ports[0]} to {ports[-1]}"
    raise PageError(
        f"{taken} on {host} is taken by another program",
        "stop that program, or give the page another port",
    )


def _url(host: str, port: int) -> str:
    shown = "localhost" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"
