"""Devices for the bench, in a process of their own so that their cost is not ours.

`python -m tests.bench.device tcp DELAY_S` serves every device id and address on a free port;
`python -m tests.bench.device rtu BAUD` is device 1 at the far end of a pseudo terminal, and keeps
to the times of a real line: characters take 11 bits, and 3.5 characters lie before each answer.
Each prints where it is to be reached, and ends when its standard input is closed.
"""

import asyncio
import os
import select
import struct
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

from pymodbus.framer import FramerRTU

SILENT_ID = 13  # never answers
DEAF_AFTER = 60_000  # a read at this address closes the connection, its answer unsent
_SPIN_S = 0.002


def registers(address: int, count: int) -> bytes:
    """Return what the registers hold: their own address, small enough for every profile."""
    return struct.pack(f">{count}H", *(n % 1000 for n in range(address, address + count)))


def silence_s(baud: int) -> float:
    """Return the standard's silence before a frame."""
    return 0.00175 if baud > 19200 else 3.5 * 11 / baud


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run a device while the context lasts; yield its port or path."""
    command = [sys.executable, "-m", "tests.bench.device", *arguments]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


class _Tcp(asyncio.Protocol):
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._buffer = b""
        self._answers: dict[tuple[int, int], bytes] = {}
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 12:
            request, self._buffer = self._buffer[:12], self._buffer[12:]
            device, function, address, count = struct.unpack_from(">BBHH", request, 6)
            if device == SILENT_ID:
                continue
            if address >= DEAF_AFTER:
                self._transport.abort()
                return
            key = (address, count)
            body = self._answers.get(key)
            if body is None:
                body = self._answers[key] = registers(address, count)
            head = struct.pack(">HBBB", 3 + len(body), device, function, len(body))
            answer = request[:4] + head + body
            if self._delay_s:
                asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve_tcp(delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Tcp(delay_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


def _serve_rtu(baud: int) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    print(os.ttyname(theirs), flush=True)
    character_s = 11 / baud
    while ours in select.select([ours, sys.stdin], [], [])[0]:
        start = time.perf_counter()
        request = os.read(ours, 256)
        device, function, address, count = struct.unpack_from(">BBHH", request)
        body = bytes([device, function, 2 * count]) + registers(address, count)
        answer = body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
        characters = len(request) + len(answer)
        _wait_until(start + characters * character_s + silence_s(baud))
        os.write(ours, answer)


def _wait_until(moment: float) -> None:
    """Sleep most of the time and spin for the rest: a sleep ends too late to be a UART."""
    while (left := moment - time.perf_counter()) > 0:
        if left > _SPIN_S:
            time.sleep(left - _SPIN_S)


if __name__ == "__main__":
    kind, value = sys.argv[1:]
    if kind == "tcp":
        asyncio.run(_serve_tcp(float(value)))
    else:
        _serve_rtu(int(value))
