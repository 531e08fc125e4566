"""The kinds of connection: serial ports that are pulled and come back, TLS, ASCII, serial servers."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.errors import BusDownError
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import AsciiFramer
from collectors.modbus.transport.link import AsciiLink, RtuLink, RtuOverTcpLink, TlsLink
from tests.services.adapter import Adapter
from tests.services.certificates import Authority, KeyPair
from tests.services.libmodbus import pty_pair
from tests.services.rogue import (
    good,
    holding,
    next_request,
    own_addresses,
    rogue,
    rtu_frame,
    rtu_request,
    tcp_frame,
    words,
)


async def test_a_pulled_adapter_is_told_at_once_and_found_again_within_5_s(tmp_path: Path) -> None:
    """The stable name is a link, as in /dev/serial/by-id: behind it is another port then."""
    adapter = Adapter(tmp_path / "usb-adapter")
    adapter.plug()
    loop = asyncio.get_running_loop()
    async with Bus("rs485", RtuLink(port=adapter.path, baud=115200)) as bus:
        assert words(await bus.read(holding(7, 1), 1)) == [7]
        pending = asyncio.create_task(bus.read(holding(100, 1), 30))
        await asyncio.sleep(0)  # it waits for its answer
        adapter.pull()
        with pytest.raises(BusDownError, match="broke"):
            async with asyncio.timeout(10):
                await pending
        for _ in range(8):  # away for long: the pauses have grown as far as they do
            bus._retry_at = 0.0
            with pytest.raises(BusDownError, match="no connection to"):
                await bus.read(holding(7, 1), 1)
        assert bus.retry_at - loop.time() < 5
        adapter.plug()
        bus._retry_at = 0.0
        assert words(await bus.read(holding(7, 1), 1)) == [7]
        assert bus.generation == 2
        adapter.pull()


async def test_a_port_is_not_shared_with_another_program(tmp_path: Path) -> None:
    adapter = Adapter(tmp_path / "usb-adapter")
    adapter.plug()
    link = RtuLink(port=adapter.path, baud=115200)
    async with Bus("first", link) as first, Bus("second", link) as second:
        await first.read(holding(7, 1), 1)
        with pytest.raises(BusDownError, match="no connection"):
            await second.read(holding(7, 1), 1)
    adapter.pull()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def tls_device(keys: KeyPair) -> AsyncIterator[int]:
    """Serve one register that holds 42 to those whose certificate the authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys.cert, keys.key)
    context.load_verify_locations(keys.ca)
    context.verify_mode = ssl.CERT_REQUIRED

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                transaction, request = await next_request(reader)
                writer.write(tcp_frame(transaction, 1, good(request.count, 42)))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def tls(port: int, keys: KeyPair) -> TlsLink:
    host = "127.0.0.1"
    return TlsLink(host=host, port=port, ca_file=keys.ca, cert_file=keys.cert, key_file=keys.key)


async def test_modbus_security_reads_through_tls_with_certificates_on_both_sides(
    authority: Authority,
) -> None:
    async with (
        tls_device(authority.issue("device")) as port,
        Bus("plc", tls(port, authority.issue("agent")), window=2) as bus,
    ):
        reads = (bus.read(holding(address, 2), 5) for address in range(4))
        assert [words(each) for each in await asyncio.gather(*reads)] == [[42, 42]] * 4
        assert bus.counts.connects == 1


async def test_a_device_whose_certificate_another_authority_signed_is_not_read(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger").issue("device")
    async with (
        tls_device(stranger) as port,
        Bus("plc", tls(port, authority.issue("agent"))) as bus,
    ):
        with pytest.raises(BusDownError, match="CERTIFICATE_VERIFY_FAILED"):
            await bus.read(holding(0, 1), 5)


async def test_a_device_reads_nobody_without_a_certificate_it_trusts(
    authority: Authority, tmp_path: Path
) -> None:
    """The control of the mutual part: the device refuses us, and we say so."""
    stranger = Authority(tmp_path / "stranger").issue("agent")
    keys = KeyPair(cert=stranger.cert, key=stranger.key, ca=authority.ca)
    async with tls_device(authority.issue("device")) as port, Bus("plc", tls(port, keys)) as bus:
        with pytest.raises(BusDownError):
            await bus.read(holding(0, 1), 5)


def test_tls_older_than_1_2_is_not_spoken(authority: Authority) -> None:
    context = tls(802, authority.issue("agent")).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_missing_certificate_is_told_with_its_name(
    authority: Authority, tmp_path: Path
) -> None:
    keys = KeyPair(cert=tmp_path / "agent.crt", key=tmp_path / "agent.key", ca=authority.ca)
    async with Bus("plc", tls(1, keys)) as bus:
        with pytest.raises(BusDownError, match=r"agent\.crt"):
            await bus.read(holding(0, 1), 1)


async def test_rtu_frames_through_a_serial_server() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = rtu_request(await reader.readexactly(8))
            frame = rtu_frame(1, own_addresses(request))
            writer.write(frame[:4])
            await asyncio.sleep(0.01)  # as a serial server sends a frame in pieces
            writer.write(frame[4:])

    async with rogue(script) as port:
        link = RtuOverTcpLink(host="127.0.0.1", port=port, baud=115200)
        async with Bus("server", link, window=4) as bus:
            assert bus.window == 1
            reads = (bus.read(holding(address, 2), 5) for address in range(4))
            values = [words(each) for each in await asyncio.gather(*reads)]
    assert values == [[n, n + 1] for n in range(4)]


async def test_ascii_on_a_serial_port() -> None:
    """Noise, a lower-case answer of another device and a wrong LRC come before the answer."""
    with pty_pair() as (near, far):
        device = os.open(far, os.O_RDWR | os.O_NOCTTY)
        loop = asyncio.get_running_loop()
        asked: list[bytes] = []

        def answer() -> None:
            asked.append(os.read(device, 64))
            address = int(asked[-1][5:9], 16)
            right = ascii_frame(1, good(1, address))
            wrong = ascii_frame(1, good(1, 666))[:-4] + b"00\r\n"
            os.write(device, b"\xff:01" + ascii_frame(2, good(1, 666)).lower() + wrong + right)

        loop.add_reader(device, answer)
        try:
            async with Bus("old", AsciiLink(port=near, parity="E")) as bus:
                values = [words(await bus.read(holding(n, 1), 2))[0] for n in (7, 8)]
        finally:
            loop.remove_reader(device)
            os.close(device)
    assert values == [7, 8]
    assert asked[0] == AsciiFramer().pack(holding(7, 1), 0)


def ascii_frame(device_id: int, pdu: bytes) -> bytes:
    body = bytes([device_id]) + pdu
    return b":%s\r\n" % (body + bytes([-sum(body) & 0xFF])).hex().upper().encode()
