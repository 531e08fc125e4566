"""A bad link to a server on this machine: slow, or cut again and again."""

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 512
_BUFFER = 4_096  # a link of a few kB/s has no megabytes on their way


class Link:
    """Forwards a loopback port to `target`, with `bits_s` each way; None: as fast as it can.

    With `flap_s` all connections are cut about that often, at moments drawn from `seed`. A
    connection whose first bytes hold `hangs_up_at` is closed without a word.
    """

    def __init__(
        self,
        target: int,
        *,
        bits_s: int | None = None,
        flap_s: float | None = None,
        hangs_up_at: bytes | None = None,
        seed: int = 1,
    ) -> None:
        self.port = 0
        self.connections = 0
        self.cuts = 0  # that met a connection
        self._target = target
        self._bits_s = bits_s
        self._flap_s = flap_s
        self._hangs_up_at = hangs_up_at
        self._chance = random.Random(seed)
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._flapping: asyncio.Task[None] | None = None
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_BUFFER)
        self.port = self._server.sockets[0].getsockname()[1]
        if self._flap_s is not None:
            self._flapping = asyncio.create_task(self._flap(self._flap_s), name="link flaps")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.close()
        if self._flapping is not None:
            self._flapping.cancel()
            await asyncio.gather(self._flapping, return_exceptions=True)
        serving = [*self._open]
        self.cut()
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every connection, with what is on its way in it."""
        self.cuts += bool(self._open)
        for writers in self._open.values():
            for writer in writers:
                writer.transport.abort()

    async def _flap(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s * self._chance.uniform(0.5, 1.5))
            self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        writers = self._open[task] = [writer]
        try:
            far = await asyncio.open_connection("127.0.0.1", self._target, limit=_BUFFER)
            writers.append(far[1])
            first = await reader.read(_CHUNK)
            if self._hangs_up_at is None or self._hangs_up_at not in first:
                far[1].write(first)
                await asyncio.gather(self._carry(reader, far[1]), self._carry(far[0], writer))
        except OSError:
            pass
        finally:
            del self._open[task]
            for each in writers:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if self._bits_s is not None:
                    await asyncio.sleep(len(data) * 8 / self._bits_s)
                writer.write(data)
                await writer.drain()
        writer.close()
