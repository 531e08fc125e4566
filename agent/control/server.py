"""The agent's end of the socket: one request a connection, within limits, and always an answer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import to_json

from agent.control.requests import REQUESTS, Request
from collectors.errors import LiniError

NAME = "lini.sock"
MOST_BYTES = 2_000_000  # of a request: a CSV file of ten thousand rows
_REQUEST_S = 5.0
_ANSWER_S = 30.0
_MOST_AT_ONCE = 8

_COMPLAINTS: dict[type[Exception], str] = {
    asyncio.LimitOverrunError: f"the request is longer than {MOST_BYTES} bytes",
    asyncio.IncompleteReadError: "the request ended before its line did",
    TimeoutError: "it took too long",
}

Answer = Callable[[Request], Awaitable[object]]


class ControlError(LiniError):
    """The socket cannot be made: commands will not find this agent."""


@asynccontextmanager
async def listening(
    path: Path, answer: Answer, *, request_s: float = _REQUEST_S
) -> AsyncIterator[None]:
    """Answer on the socket at `path`, for this user alone, while the context lasts.

    What an agent left there when it was killed is replaced: call this only when no other can run.
    """
    counter = _Counter(answer, request_s)
    server = await asyncio.start_unix_server(counter.serve, sock=_bound(path), limit=MOST_BYTES)
    try:
        yield
    finally:
        server.close()
        await counter.close()
        _remove(path)


class _Counter:
    """The connections that are open."""

    def __init__(self, answer: Answer, request_s: float) -> None:
        self._answer = answer
        self._request_s = request_s
        self._serving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio calls this in a task of its own
        if self._is_closed:  # it came in the moment the agent left
            writer.transport.abort()
            return
        self._serving.add(task)
        try:
            writer.write(await self._line(reader) + b"\n")
            async with asyncio.timeout(_ANSWER_S):
                await writer.drain()
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            self._serving.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def close(self) -> None:
        self._is_closed = True
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        if len(self._serving) > _MOST_AT_ONCE:
            return _refusal("too many commands at once", "try again in a moment")
        try:
            async with asyncio.timeout(self._request_s):
                request = REQUESTS.validate_json(await reader.readuntil())
            async with asyncio.timeout(_ANSWER_S):
                return to_json({"answer": await self._answer(request)})
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError, TimeoutError) as error:
            return _refusal(_COMPLAINTS[type(error)], "ask for less, or try again in a moment")
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'request'}: {each['msg']}"
                for each in error.errors(include_url=False, include_input=False)[:20]
            )
            return _refusal(f"the request is not understood: {told}")
        except LiniError as error:
            return _refusal(error.what, error.hint)


def _refusal(what: str, hint: str = "") -> bytes:
    return to_json({"what": what, "hint": hint})


def _bound(path: Path) -> socket.socket:
    """Return a socket bound to `path`, which only this user may open."""
    bound = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    before = os.umask(0o177)
    try:
        _remove(path)
        # Through the folder's descriptor: a socket's own path may have no more than 107 bytes.
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")
    except OSError as error:
        bound.close()
        raise ControlError(f"{path}: {error.strerror}", "check the rights of the folder") from error
    finally:
        os.umask(before)
        os.close(folder)
    return bound


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
