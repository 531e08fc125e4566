"""The whole line on real sockets: the same parts each time, and every fault a test can ask for."""

import asyncio
import contextlib
import dataclasses
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.exceptions import ModbusIOException

from collectors.profile import shipped
from collectors.record import Result
from collectors.register import Register, Type
from collectors.simulated import ledger
from collectors.simulated.line import Endpoint, LineSpec, SimulatedLine
from collectors.simulated.welder import Welder

PROFILES = shipped()
DATA = ModbusClientMixin.DATATYPE
STATIONS = [
    "welder-1",
    "welder-2",
    "laser-1",
    "sorter-1",
    "formation-1",
    "chiller-1",
    "meter-1",
]
PLCS = STATIONS[:5]
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
        while not condition():  # noqa: ASYNC110 - a condition on counts has no event
            await asyncio.sleep(0.005)


async def run(spec: LineSpec, path: Path) -> list[ledger.Part]:
    """Return the parts of a whole run."""
    async with SimulatedLine(spec, ledger_path=path) as line, asyncio.timeout(60):
        await line.finished.wait()
        assert set(line.counts().values()) == {spec.parts}
    return list(ledger.read(path))


async def test_the_seven_stations_are_served_each_with_its_profile() -> None:
    """Every machine but the meter has a port of its own; meter and chiller share a gateway."""
    async with SimulatedLine(LineSpec()) as line:
        assert [each.station for each in line.equipment] == STATIONS
        assert all(each.profile_name in PROFILES for each in line.equipment)
        assert len({each.port for each in line.equipment}) == 6
        chiller, meter = endpoint(line, "chiller-1"), endpoint(line, "meter-1")
        assert chiller.port == meter.port
        assert chiller.device_id != meter.device_id
        for station in PLCS:
            client = await client_of(at := endpoint(line, station))
            identity = PROFILES[at.profile_name].identity
            assert identity is not None
            assert await registers(client, 0, 1) == [identity.value]
            client.close()


async def test_ports_can_be_asked_for() -> None:
    """With a first port given, the six ports follow one another."""
    for base in range(21_000, 31_000, 97):
        with contextlib.suppress(OSError):  # somebody has one of these six
            async with SimulatedLine(LineSpec(), ports=base) as line:
                ports = [each.port for each in line.equipment]
            break
    assert ports == [base, *range(base + 1, base + 6), base + 5]


async def test_a_line_that_cannot_open_leaves_nothing_behind() -> None:
    """When the last port is taken, the servers that were open already are closed again."""
    async with SimulatedLine(LineSpec()) as line:
        taken = endpoint(line, "meter-1").port
        with pytest.raises(OSError, match="in use"):
            await SimulatedLine(LineSpec(), ports=taken - 5).__aenter__()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", taken - 5)


async def test_one_seed_makes_the_same_parts_at_any_speed(tmp_path: Path) -> None:
    """Two runs differ in the times and in how the stations interleave, and in nothing else."""
    slower = dataclasses.replace(FAST, speed=7_000, formation_speed=40_000)
    other = dataclasses.replace(FAST, seed=2)
    one = comparable(await run(FAST, tmp_path / "one"))
    two = comparable(await run(slower, tmp_path / "two"))
    three = comparable(await run(other, tmp_path / "three"))
    assert one == two
    assert one != three
    assert len(one) == 5 * 150


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
        for station in PLCS:
            client = await client_of(at := endpoint(line, station))
            for seq in range(1, 151):
                made = shown(truth.pop((station, seq)), at)
                assert await part_at(client, at, seq - 1) == made
            client.close()
    assert not truth


def shown(part: ledger.Part, at: Endpoint) -> ledger.Part:
    """Return what a machine shows of a part; what follows from that is Lini's to compute."""
    records = PROFILES[at.profile_name].records
    assert records is not None
    names = {each.name for each in records.measured}
    values = {name: value for name, value in part.values.items() if name in names}
    return dataclasses.replace(part, values=values)


async def part_at(client: AsyncModbusTcpClient, at: Endpoint, index: int) -> ledger.Part:
    """Return the part in one slot, by pymodbus's own conversion and nothing of Lini's."""
    profile = PROFILES[at.profile_name]
    records = profile.records
    assert records is not None
    words = await registers(client, records.address + index * records.stride, records.stride)
    low_first = profile.modbus.order == "CDAB"
    values = {each.name: converted(each, words, low_first=low_first) for each in records.registers}
    assert values["begin"] == values["end"]
    return ledger.Part(
        station=at.station,
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


def converted(register: Register, words: list[int], *, low_first: bool) -> Any:
    """Return the value of a register in a slot; None for a sentinel."""
    own = words[register.address : register.address + register.words]
    if register.type is Type.STRING:
        return struct.pack(f">{len(own)}H", *own).rstrip(b"\0").decode()
    if register.type is Type.ENUM:
        return register.values[str(own[0])]
    raw = ModbusClientMixin.convert_from_registers(
        own,
        ModbusClientMixin.DATATYPE[register.type.upper()],
        word_order="little" if low_first else "big",
    )
    if raw in register.sentinels:
        return None
    assert isinstance(raw, (int, float))
    value = raw * register.scale + register.offset
    return int(value) if register.is_whole else round(value, register.digits or 0)


async def test_the_comparison_with_the_ring_would_see_one_wrong_word(tmp_path: Path) -> None:
    """Control: a single register of a slot that is off by one is another part."""
    spec = dataclasses.replace(FAST, parts=1)
    async with SimulatedLine(spec, ledger_path=tmp_path / "ledger") as line:
        async with asyncio.timeout(60):
            await line.finished.wait()
        truth = next(part for part in ledger.read(tmp_path / "ledger") if part.kind == "weld")
        client = await client_of(at := endpoint(line, truth.station))
        assert await part_at(client, at, 0) == truth
        force = truth.values["force"]
        assert isinstance(force, float)
        line._plcs[truth.station].memory.write_slot(0, {"force": force + 0.1})
        assert await part_at(client, at, 0) != truth
        client.close()


async def test_channels_show_what_their_cells_do() -> None:
    """A charging channel has a positive current, a discharging one a negative, a resting none."""
    async with SimulatedLine(LineSpec()) as line:
        client = await client_of(endpoint(line, "formation-1"))
        words = [await registers(client, 20_000 + 96 * read, 96) for read in range(10)]
        client.close()
    flat = [word for block in words for word in block]
    signs: dict[int, set[int]] = {1: set(), 2: set(), 3: set()}
    for start in range(0, len(flat), 16):
        state, current = flat[start], struct.unpack(">h", struct.pack(">H", flat[start + 4]))[0]
        if state in signs:
            signs[state].add((current > 0) - (current < 0))
    assert signs == {1: {1}, 2: {-1}, 3: {0}}


async def test_a_paused_line_makes_nothing_and_shows_everything(tmp_path: Path) -> None:
    """While paused, counts and ledger stand still and every part is at its ring's head."""
    spec = LineSpec(speed=300, formation_speed=5000)
    async with SimulatedLine(spec, ledger_path=tmp_path / "ledger") as line:
        await until(lambda: min(line.counts().values()) > 20)
        line.pause()
        counts = line.counts()
        await asyncio.sleep(0.1)  # time for the parts that must not be made
        assert line.counts() == counts
        assert len(list(ledger.read(tmp_path / "ledger"))) == sum(counts.values())
        client = await client_of(endpoint(line, "welder-1"))
        low, high = await registers(client, 42, 2)
        assert low + (high << 16) == counts["welder-1"]
        client.close()
        line.resume()
        await until(lambda: all(line.counts()[name] > counts[name] for name in counts))


async def test_a_restarted_plc_begins_a_new_epoch(tmp_path: Path) -> None:
    """After a power cycle the sequence begins at 1 again, and the ledger says in which epoch."""
    async with SimulatedLine(LineSpec(speed=500), ledger_path=tmp_path / "ledger") as line:
        await until(lambda: line.counts()["welder-1"] >= 10)
        line.restart_plc("welder-1")
        made = line.counts()["welder-1"]
        await until(lambda: line.counts()["welder-1"] >= made + 10)
    parts = [part for part in ledger.read(tmp_path / "ledger") if part.station == "welder-1"]
    assert [part.seq for part in parts if part.epoch == 1] == list(range(1, made + 1))
    assert [part.seq for part in parts if part.epoch == 2][:10] == list(range(1, 11))


async def test_a_frozen_plc_still_answers_and_the_others_go_on() -> None:
    """In STOP one machine makes nothing, over the same connection, until it is in RUN again."""
    async with SimulatedLine(LineSpec(speed=500)) as line:
        client = await client_of(endpoint(line, "welder-1"))
        await until(lambda: line.counts()["welder-1"] >= 5)
        line.freeze("welder-1")
        before, words = line.counts(), await registers(client, 0, 44)
        await until(lambda: line.counts()["welder-2"] > before["welder-2"] + 20)
        assert await registers(client, 0, 44) == words
        assert line.counts()["welder-1"] == before["welder-1"]
        line.pause()
        line.resume()  # does not wake what is in STOP
        assert line.counts()["welder-1"] == before["welder-1"]
        line.thaw("welder-1")
        await until(lambda: line.counts()["welder-1"] > before["welder-1"])
        client.close()


async def test_an_unplugged_machine_is_gone_and_goes_on_making_parts() -> None:
    """Without its cable the port is closed; plugged in again, it is the same port."""
    async with SimulatedLine(LineSpec(speed=500)) as line:
        at = endpoint(line, "sorter-1")
        client = await client_of(at)
        await line.unplug("sorter-1")
        await until(lambda: not client.connected)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(at.host, at.port)
        made = line.counts()["sorter-1"]
        await until(lambda: line.counts()["sorter-1"] > made + 20)
        await line.plug("sorter-1")
        client.close()
        client = await client_of(at)
        assert await registers(client, 0, 1) == [201]
        client.close()


async def test_an_unplugged_device_leaves_its_gateway_standing() -> None:
    """With the meter's cable pulled, the gateway says so for the meter; the chiller answers."""
    async with SimulatedLine(LineSpec()) as line:
        meter = endpoint(line, "meter-1")
        client = await client_of(meter)
        await line.unplug("meter-1")
        gone = await client.read_input_registers(0, count=2, device_id=meter.device_id)
        assert gone.exception_code == 11
        assert await registers(client, 0, 1)
        await line.plug("meter-1")
        back = await client.read_input_registers(0, count=2, device_id=meter.device_id)
        assert not back.isError()
        client.close()


async def test_the_meter_can_be_on_a_serial_line() -> None:
    """With `meter_on_rtu` the meter is read through a serial port, and silent when unplugged."""
    async with SimulatedLine(LineSpec(meter_on_rtu=True)) as line:
        at = endpoint(line, "meter-1")
        assert (at.transport, at.port) == ("rtu", 0)
        client = AsyncModbusSerialClient(at.path, baudrate=9600, timeout=0.3, retries=0)
        await client.connect()
        answer = await client.read_input_registers(0, count=2, device_id=at.device_id)
        volts = client.convert_from_registers(answer.registers, DATA.FLOAT32)
        assert isinstance(volts, float)
        assert 205 < volts < 235
        await line.unplug("meter-1")
        with pytest.raises(ModbusIOException):
            await client.read_input_registers(0, count=2, device_id=at.device_id)
        client.close()


async def test_a_line_is_cheap_beside_an_agent(tmp_path: Path) -> None:
    """One core makes far more than 300 parts/s: a part costs under 1 ms of CPU time."""
    spec = dataclasses.replace(FAST, parts=500)
    before = time.process_time()
    parts = await run(spec, tmp_path / "ledger")
    assert (time.process_time() - before) / len(parts) < 0.001


async def test_an_error_of_the_caller_comes_out_as_it_is() -> None:
    """What is raised inside `async with` is not wrapped, and the line is closed."""
    with pytest.raises(KeyError):
        async with SimulatedLine(LineSpec()) as line:
            raise KeyError
    at = line.equipment[0]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(at.host, at.port)


async def test_a_machine_that_breaks_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a machine ends the line with that error, instead of a quiet standstill."""

    def broken(_self: Welder, _module: int) -> None:
        raise ValueError("a value that does not fit")

    monkeypatch.setattr(Welder, "_load", broken)
    with pytest.raises(ExceptionGroup) as raised:
        async with SimulatedLine(LineSpec()):
            await asyncio.Event().wait()
    assert raised.group_contains(ValueError, match="does not fit")


def test_a_ledger_cut_off_by_a_kill_is_read_up_to_there(tmp_path: Path) -> None:
    """The last line of a killed run may be half: it is no part, and no error."""
    part = ledger.Part(
        station="s",
        kind="weld",
        epoch=1,
        seq=1,
        time_ms=1,
        serial="",
        result=Result.OK,
        code="none",
        tags={"program": "1"},
        values={"force": 30.5, "resistance": None},
    )
    path = tmp_path / "ledger"
    with ledger.Ledger(path) as file:
        file.append(part)
        file.append(part)
    path.write_bytes(path.read_bytes()[:-9])
    assert list(ledger.read(path)) == [part]
