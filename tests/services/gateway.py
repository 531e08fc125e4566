"""The write API of InfluxDB 2 in front of InfluxDB 1.6.7, with faults on demand.

Runs in a thread of its own, so that neither a blocked nor a stopped test can stall it. It gives
`/api/v2/write` (bucket → database[/retention policy]), `/health` and `/ping`; `/query` passes.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import BasicAuth, ClientSession, ClientTimeout, web

from tests.services.influxdb import Influx
from tests.services.ports import free_port


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one write. With `written` the lines land in the database first."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    written: bool = False
    hang: bool = False  # no answer until the client gives up
    reset: bool = False  # the connection is cut in place of the answer


class Gateway:
    """An InfluxDB 2 in miniature at `url`, for one `token` (change it to rotate it)."""

    def __init__(self, influx: Influx, *, token: str = "test-token") -> None:  # noqa: S107 - of a test
        self.influx = influx
        self.token = token
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.writes: list[bytes] = []  # the body of every write that came, as line protocol
        self._faults: deque[Fault] = deque()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="gateway")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the gateway did not start in 10 s")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def fail(self, fault: Fault, *, times: int = 1) -> None:
        """Let the next `times` writes go wrong (after those already asked for)."""
        self._faults.extend([fault] * times)

    def heal(self) -> None:
        """Forget the faults that have not happened yet."""
        self._faults.clear()

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=64 * 2**20)
        app.add_routes(
            [
                web.post("/api/v2/write", self._write),
                web.get("/health", self._health),
                web.route("*", "/ping", self._ping),
                web.route("*", "/query", self._query),
            ]
        )
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        auth = BasicAuth("admin", "admin") if self.influx.auth else None
        try:
            async with ClientSession(self.influx.url, auth=auth) as self._upstream:
                await web.TCPSite(runner, "127.0.0.1", self.port).start()
                self._ready.set()
                await self._over.wait()
                await runner.cleanup()
        finally:
            await runner.cleanup()

    async def _write(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Token {self.token}":
            return _error(401, "unauthorized", "unauthorized access")
        body = await request.read()
        self.writes.append(body)
        fault = self._faults.popleft() if self._faults else None
        if fault is None:
            return await self._forward(request, body)
        if fault.written:
            answer = await self._forward(request, body)
            if answer.status != 204:
                raise RuntimeError(f"the write before a fault was refused: {answer.text}")
        if fault.hang:
            await asyncio.Event().wait()
        if fault.reset:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=fault.status, headers=fault.headers, text=fault.body)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        database, _, policy = request.query["bucket"].partition("/")
        params = {"db": database, "precision": request.query.get("precision", "ns")}
        if policy:
            params["rp"] = policy
        # The server above has unpacked the body: its Content-Encoding must not go along.
        async with self._upstream.post(
            "/write", params=params, data=body, timeout=ClientTimeout(total=60)
        ) as answer:
            text = await answer.text()
            return web.Response(status=answer.status, text=text)

    async def _query(self, request: web.Request) -> web.Response:
        async with self._upstream.request(
            request.method, "/query", params=request.query, data=await request.post()
        ) as answer:
            return web.Response(
                status=answer.status, body=await answer.read(), content_type="application/json"
            )

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"name": "influxdb", "status": "pass", "checks": []})

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers={"X-Influxdb-Version": "1.6.7"})


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
