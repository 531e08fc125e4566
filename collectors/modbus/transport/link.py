"""How the devices of a bus are reached: the kinds of connection, and how to open each."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from collectors.modbus.transport.frame import AsciiFramer, Framer, RtuFramer, TcpFramer
from collectors.modbus.transport.serial_port import open_port

_FAST_BAUD = 19200
_FAST_SILENCE_S = 0.00175  # the standard's fixed 3.5 characters above 19200 baud
_CONNECT_TIMEOUT_S = 3.0
_HANDSHAKE_TIMEOUT_S = 10.0  # a small PLC computes for seconds

OpenWire = Callable[[], asyncio.BufferedProtocol]


class Link(Protocol):
    """A kind of connection: how to open it, and what its frames look like."""

    @property
    def is_numbered(self) -> bool:
        """Whether an answer carries the number of its request, so that several may be asked."""

    @property
    def character_s(self) -> float:
        """Time one byte of a frame takes on the line, in s; 0.0 on a network."""

    @property
    def silence_s(self) -> float:
        """Quiet time the line needs between two frames, in s."""

    @property
    def is_paced(self) -> bool:
        """Whether bytes sent really take `character_s` each before they can be answered."""

    @property
    def echo(self) -> bool:
        """Whether the line returns what was sent, before the answer."""

    @property
    def last_retry_s(self) -> float:
        """The longest pause between two attempts to connect, in s."""

    def framer(self) -> Framer:
        """Return a new framer."""

    async def open(self, wire: OpenWire) -> asyncio.BaseTransport:
        """Open the connection; raises OSError, TimeoutError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLink:
    """Modbus TCP to one host."""

    host: str
    port: int = 502

    is_numbered: ClassVar = True
    character_s: ClassVar = 0.0
    silence_s: ClassVar = 0.0
    is_paced: ClassVar = False
    echo: ClassVar = False
    last_retry_s: ClassVar = 15.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def framer(self) -> Framer:
        return TcpFramer()

    async def open(self, wire: OpenWire) -> asyncio.BaseTransport:
        return await _connect(self.host, self.port, wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsLink(TcpLink):
    """Modbus/TCP Security: both sides show a certificate, and the device's names its host."""

    port: int = 802
    ca_file: Path
    cert_file: Path
    key_file: Path

    async def open(self, wire: OpenWire) -> asyncio.BaseTransport:
        # Made anew for each connection: certificates are replaced while the agent runs.
        return await _connect(self.host, self.port, wire, self.context())

    def context(self) -> ssl.SSLContext:
        """Return what both sides must show; raises OSError."""
        for path in (self.ca_file, self.cert_file, self.key_file):
            path.read_bytes()  # its error names the file, that of ssl does not
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialLine:
    """How characters go over a serial line, and what all serial lines have in common."""

    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    echo: bool = False

    data_bits: int = 8

    is_numbered: ClassVar = False
    characters_a_byte: ClassVar = 1

    @property
    def character_s(self) -> float:
        """Time of the characters that make one byte."""
        return self.characters_a_byte * self._bits / self.baud

    @property
    def silence_s(self) -> float:
        """3.5 characters, fixed above 19200 baud."""
        return _FAST_SILENCE_S if self.baud > _FAST_BAUD else 3.5 * self._bits / self.baud

    @property
    def _bits(self) -> int:
        """Bits of a character: start, data, parity, stop."""
        return 1 + self.data_bits + (self.parity != "N") + self.stop_bits

    def framer(self) -> Framer:
        return RtuFramer()


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuLink(SerialLine):
    """Modbus RTU on a serial port, best named by its stable `/dev/serial/by-id/…`."""

    port: Path

    last_retry_s: ClassVar = 2.5  # an adapter plugged in again is in use within 5 s

    def __str__(self) -> str:
        return str(self.port)

    @property
    def is_paced(self) -> bool:
        """A pseudo terminal has no baud rate: it answers before the last bit could have left."""
        return not self.port.resolve().is_relative_to("/dev/pts")

    async def open(self, wire: OpenWire) -> asyncio.BaseTransport:
        return open_port(
            self.port,
            wire(),
            baud=self.baud,
            data_bits=self.data_bits,
            parity=self.parity,
            stop_bits=self.stop_bits,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AsciiLink(RtuLink):
    """Modbus ASCII on a serial port: each byte as two characters."""

    data_bits: int = 7

    characters_a_byte: ClassVar = 2

    def framer(self) -> Framer:
        return AsciiFramer()


@dataclass(frozen=True, slots=True, kw_only=True)
class RtuOverTcpLink(SerialLine):
    """RTU frames through a transparent serial server; baud and parity are those set in it."""

    host: str
    port: int

    is_paced: ClassVar = False  # what arrives late or together is up to the network
    last_retry_s: ClassVar = 15.0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def open(self, wire: OpenWire) -> asyncio.BaseTransport:
        return await _connect(self.host, self.port, wire)


async def _connect(
    host: str, port: int, wire: OpenWire, context: ssl.SSLContext | None = None
) -> asyncio.BaseTransport:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S if context else _CONNECT_TIMEOUT_S):
        transport, _ = await loop.create_connection(wire, host, port, ssl=context)
    # A pulled cable sends nothing: only probes and unacknowledged bytes tell.
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
    return transport
