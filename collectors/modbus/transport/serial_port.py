"""A serial port as a transport of asyncio.

pymodbus's own hands each frame to the event loop once more before it is written, and knows of a
pulled adapter only by pyserial's words.
"""

import asyncio
import os
import select
from pathlib import Path

from serial import Serial, SerialException


def open_port(
    path: Path,
    protocol: asyncio.BufferedProtocol,
    *,
    baud: int,
    data_bits: int,
    parity: str,
    stop_bits: int,
) -> "SerialTransport":
    """Open the port for this process alone and connect `protocol` to it; raises OSError."""
    try:
        port = Serial(
            str(path),
            baudrate=baud,
            bytesize=data_bits,
            parity=parity,
            stopbits=stop_bits,
            timeout=0,
            exclusive=True,
        )
    except SerialException as error:
        raise OSError(error.errno, str(error)) from error
    return SerialTransport(port, protocol)


class SerialTransport(asyncio.Transport):
    """Tells its protocol what comes, and when the port is gone."""

    def __init__(self, port: Serial, protocol: asyncio.BufferedProtocol) -> None:
        super().__init__({"pipe": port})
        self._port = port
        self._protocol = protocol
        self._fd: int = port.fileno()
        self._is_closing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._read)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send at once. What the port does not take is lost: such a request times out."""
        if self._is_closing:
            return
        try:
            os.write(self._fd, data)
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def _read(self) -> None:
        try:
            count = os.readv(self._fd, [self._protocol.get_buffer(-1)])
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if count:
            self._protocol.buffer_updated(count)
        elif _is_gone(self._fd):
            self._end(ConnectionResetError("the serial port is gone"))

    def _end(self, error: Exception | None) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._loop.remove_reader(self._fd)
        self._port.close()
        self._loop.call_soon(self._protocol.connection_lost, error)


def _is_gone(fd: int) -> bool:
    """Whether an empty read means a pulled adapter, and not that others were quicker."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
