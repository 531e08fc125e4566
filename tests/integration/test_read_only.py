"""The engine only reads, and acknowledges where allowed: shown for each frame of the whole run."""

import ast
from pathlib import Path

import pytest

import collectors
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import (
    Acknowledgement,
    AsciiFramer,
    Framer,
    QueueRequest,
    Request,
    RtuFramer,
    TcpFramer,
)
from collectors.modbus.transport.link import RtuLink, TcpLink
from collectors.register import Table
from collectors.simulated.server import PtyServer, TcpServer
from tests.services.capture import TOLD, Functions, allowing, function_of, pdu_in
from tests.services.twin import TwinMemory

ASKED = [Request(1, Table.HOLDING, 0, 4), Request(1, Table.INPUT, 1000, 2)]


async def test_what_leaves_a_bus_is_seen_there_and_at_the_device(
    sent: Functions, asked_of_devices: Functions
) -> None:
    """The proof that the two captures would see a write: they see every read."""
    before = sent.total()
    memories = {1: TwinMemory(1)}
    async with (
        TcpServer(memories, host="127.0.0.1") as network,
        PtyServer(memories) as serial,
        Bus("plc", TcpLink(host="127.0.0.1", port=network.port)) as plc,
        Bus("rs485", RtuLink(port=Path(serial.path), baud=115200)) as rs485,
    ):
        for bus in (plc, rs485):
            for request in ASKED:
                await bus.read(request, 2)
    assert sent.total() - before == len(ASKED) * 2
    assert asked_of_devices == {3: 2, 4: 2}


@pytest.mark.parametrize("framer", [TcpFramer(), RtuFramer(), AsciiFramer()])
def test_control_a_write_would_be_seen(framer: Framer) -> None:
    """And is harmless only for the register, and for the time, that a test allows."""

    def seen(request: Request) -> int:
        return function_of(pdu_in(framer, framer.pack(request, 1)))

    assert seen(Request(1, Table.HOLDING, 41, 4)) == 3
    assert seen(QueueRequest(1, 41)) == 24
    write = Acknowledgement(1, 41, 4)
    assert seen(write) == 6
    with allowing(41):
        assert seen(write) == TOLD
        assert seen(Acknowledgement(1, 42, 4)) == 6
    assert seen(write) == 6


def test_bytes_leave_the_engine_at_one_place_only() -> None:
    """So the capture there sees them all; the serial port is the transport below it."""
    callers = [
        path.name
        for path in (Path(collectors.__path__[0]) / "modbus").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"write", "writelines", "writev", "send", "sendall", "sendto"}
    ]
    assert sorted(callers) == ["serial_port.py", "wire.py"]
