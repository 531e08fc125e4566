"""The whole line on real sockets: the same parts each time, and every fault a test can ask for."""

import asyncio
import dataclasses
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin

from collectors.profile import shipped
from collectors.register import Register, Type
from collectors.simulated import ledger
from collectors.simulated.line import Endpoint, LineSpec, SimulatedLine
from collectors.simulated.welder import Welder

PROFILES = shipped()
DATA = ModbusClientMixin.DATATYPE
STATIONS = ["welder-1", "welder-2", "sorter-1", "formation-1", "chiller-1", "meter-1"]
FAST = LineSpec(speed=20_000, formation_speed=100_000, parts=150)


def endpoint(line: SimulatedLine, station: str) -> Endpoint:
    """Return where `station` is served."""
    return next(each for each in line.equipment if each.station == station)


async def client_of(at: Endpoint) -> AsyncModbusTcpClient:
    """Return a connected client."""
    client = AsyncModbusTcpClient(at.host, port=at.port, timeout=2, retries=0, reconnect_delay=0)
    assert await client.connect()
    return client


async def registers(client: AsyncModbusTcpClient, address: int, count: int) -> list[int]:
    """Return holding registers of device 1."""
    answer = await client.read_holding_registers(address, count=count, device_id=1)
    assert not answer.isError(), answer
    return list(answer.registers)


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait until `condition()`."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def run(spec: LineSpec, path: Path) -> list[ledger.Part]:
    """Return the parts of a whole run."""
    async with SimulatedLine(spec, ledger_path=path) as line, asyncio.timeout(60):
        await line.finished.wait()
        assert set(line.counts().values()) == {spec.parts}
    return list(ledger.read(path))


async def test_the_six_stations_are_served_each_with_its_profile() -> None:
    """Every machine but the meter has a port of its own; meter and chiller share a gateway."""
    async with SimulatedLine(LineSpec()) as line:
        assert [each.station for each in line.equipment] == STATIONS
        assert all(each.profile_name in PROFILES for each in line.equipment)
        assert len({each.port for each in line.equipment}) == 5
        chiller, meter = endpoint(line, "chiller-1"), endpoint(line, "meter-1")
        assert chiller.port == meter.port
        assert chiller.device_id != meter.device_id
        for station in STATIONS[:4]:
            client = await client_of(at := endpoint(line, station))
            identity = PROFILES[at.profile_name].identity
            assert identity is not None
            assert await registers(client, 0, 1) == [identity.value]
            client.close()


async def test_ports_can_be_asked_for() -> None:
    """With a first port given, the five ports follow one another."""
    base = await free_row_of_ports(5)
    async with SimulatedLine(LineSpec(), ports=base) as line:
        ports = [each.port for each in line.equipment]
        assert ports == [base, base + 1, base + 2, base + 3, base + 4, base + 4]


async def free_row_of_ports(count: int) -> int:
    """Return the first of `count` neighbouring ports that are free."""
    for base in range(21_000, 31_000, count):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no free ports")


async def test_one_seed_makes_the_same_parts_at_any_speed(tmp_path: Path) -> None:
    """Two runs differ in the times and in how the stations interleave, and in nothing else."""
    slower = dataclasses.replace(FAST, speed=7_000, formation_speed=40_000)
    other = dataclasses.replace(FAST, seed=2)
    one = comparable(await run(FAST, tmp_path / "one"))
    two = comparable(await run(slower, tmp_path / "two"))
    three = comparable(await run(other, tmp_path / "three"))
    assert one == two
    assert one != three
    assert len(one) == 4 * 150


def comparable(parts: list[ledger.Part]) -> list[ledger.Part]:
    """Return parts by station, without their times."""
    timeless = [dataclasses.replace(part, time_ms=0) for part in parts]
    return sorted(timeless, key=lambda part: (part.station, part.epoch, part.seq))


async def test_the_ring_shows_what_the_ledger_tells(tmp_path: Path) -> None:
    """Every part of every station, read and decoded by pymodbus, is the one written down."""
    async with SimulatedLine(FAST, ledger_path=tmp_path / "ledger") as line:
        async with asyncio.timeout(60):
            await line.finished.wait()
        truth = {(part.station, part.seq): part for part in ledger.read(tmp_path / "ledger")}
        for station in STATIONS[:4]:
            client = await client_of(at := endpoint(line, station))
            for seq in range(1, 151):
                found = await slot(client, at.profile_name, seq - 1)
                assert found == truth.pop((station, seq))
            client.close()
    assert not truth


async def slot(client: AsyncModbusTcpClient, profile_name: str, index: int) -> ledger.Part:
    """Return the part in one slot, by pymodbus's own conversion and nothing of Lini's."""
    profile = PROFILES[profile_name]
    records = profile.records
    assert records is not None
    words = await registers(client, records.address + index * records.stride, records.stride)
    low_first = profile.modbus.order == "CDAB"
    values = {each.name: converted(each, words, low_first=low_first) for each in records.registers}
    assert values["begin"] == values["end"]
    station = {value: name for name, value in by_port.items()}[client.comm_params.port]
    return ledger.Part(
        station=station,
        kind=records.kind,
        epoch=1,
        seq=values["begin"],
        time_ms=1000 * values["time_s"] + values["time_ms"],
        serial=values["serial"],
        result=values["result"],
        code=values["code"],
        tags={name: str(values[name]) for name in records.tags},
        values={each.name: values[each.name] for each in records.measured},
    )
