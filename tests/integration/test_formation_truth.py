"""Formation end to end: simulated cabinet → agent → spool, against what the cabinet knows is true.

The oracle is the ledger, in which the cabinet writes down each cycle from the physics of its
cells, beyond the resolution of any register.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from agent.config import load_edge
from agent.delivery.spool import Spool
from agent.demo.compare import compare
from agent.demo.site_file import site_file
from agent.runtime.edge import running
from agent.wire import line as line_protocol
from agent.wire import message
from agent.wire.point import Field, Point
from collectors.simulated import ledger
from collectors.simulated.ledger import Cycle
from collectors.simulated.line import LineSpec, SimulatedLine
from tests.services.lini import Role
from tests.services.ports import free_port
from tests.services.waiting import eventually

CABINET = "formation-1"
# What rounding in the registers of a few records may add up to.
WITHIN = {"_ah": 5e-4, "_wh": 6e-3, "_percent": 0.08, "_mohm": 0.1, "_s": 0.1}
Told = Mapping[tuple[int, int], Point]


async def spooled(folder: Path) -> list[Point]:
    """Return every point that waits in the spool; nobody took any."""
    found: list[Point] = []
    after = 0
    async with Spool(folder / "lini-data" / "spool.db") as spool:
        while messages := await spool.peek("workshop", after, 200):
            after = messages[-1].seq
            for each in messages:
                lines = message.decode(each.payload).lines
                found += (line_protocol.parse(text) for text in lines)
    return found


def told_of(points: list[Point]) -> Told:
    """Return the summaries by the record that ended each; a doubled one fails."""
    cycles = [point for point in points if point.measurement == "formation_cycle"]
    found = {(int(point.fields["epoch"]), int(point.fields["seq"])): point for point in cycles}
    assert len(found) == len(cycles), "a cycle is told twice"
    return found


def expected(cycle: Cycle) -> dict[str, float]:
    """Return what is true of a complete cycle; only the second one begins empty."""
    values = dict(cycle.values)
    if cycle.cycle == 2:
        values["coulombic_percent"] = 100 * values["discharge_ah"] / values["charge_ah"]
        values["energy_percent"] = 100 * values["discharge_wh"] / values["charge_wh"]
    return values


def differences(cycle: Cycle, fields: Mapping[str, Field]) -> Iterator[str]:
    """Yield what differs between a complete cycle and its row."""
    about = {"complete": 1, "serial": cycle.serial, "interruptions": cycle.interruptions}
    for name, fact in about.items():
        if fields[name] != fact:
            yield f"{cycle}: {name} is {fields[name]}"
    for name, value in expected(cycle).items():
        within = next(each for suffix, each in WITHIN.items() if name.endswith(suffix))
        told = fields.get(name)
        if told is None and f"{name}:interrupted" in str(fields.get("quality")):
            continue  # a pulse in pieces
        if not isinstance(told, float) or abs(told - value) > within:
            yield f"{cycle}: {name} is {told}"
    if cycle.cycle == 1 and "coulombic_percent" in fields:
        yield f"{cycle}: an efficiency, though the cell was not empty"


def wrong(cycles: list[Cycle], told: Told) -> list[str]:
    """Return what differs between the truth and the rows."""
    found: list[str] = []
    for cycle in cycles:
        point = told.get((cycle.epoch, cycle.seq))
        if point is None:
            found.append(f"{cycle}: not told")
        elif cycle.complete:
            found += differences(cycle, point.fields)
        elif point.fields["complete"] or {"charge_ah", "capacity_ah"} & point.fields.keys():
            found.append(f"{cycle}: told as complete")
    return found


def configure(folder: Path, line: SimulatedLine) -> Path:
    """Write the configuration of an agent that watches the cabinet alone; return its path."""
    cabinet = [each for each in line.equipment if each.station == CABINET]
    text = site_file(cabinet, broker_port=free_port(), flush_s=0.2)
    path = folder / "lini.toml"
    path.write_text(text.replace("[page]", "[page]\nenabled = false"))
    return path


async def made(line: SimulatedLine, parts: int) -> None:
    """Wait until the cabinet has made so many parts."""
    await eventually(lambda: line.counts()[CABINET] >= parts, timeout_s=60, what=f"{parts} parts")


async def test_cycles_are_true_across_restarts_of_agent_and_machine(tmp_path: Path) -> None:
    """Interrupted and resumed steps are joined, once, whoever restarts in between."""
    truth, chance = tmp_path / "ledger.jsonl", random.Random(5)
    spec = LineSpec(seed=21, speed=0.001, formation_speed=12_000, parts=1500)
    stored = 0
    async with SimulatedLine(spec, ledger_path=truth) as line:
        path = configure(tmp_path, line)
        for run in range(4):
            async with running(path, load_edge(path)) as edge:
                await made(line, 370 * (run + 1) - chance.randrange(100))
                line.pause()
                waiting = line.counts()[CABINET] - stored
                await eventually(
                    lambda e=edge, n=waiting: e.line.records == n,  # type: ignore[misc]
                    timeout_s=60,
                    what="every part is stored",
                )
                assert edge.line.records_lost == 0
            stored = line.counts()[CABINET]
            if run % 2:
                line.restart_plc(CABINET)
            line.resume()
    points = await spooled(tmp_path)
    parts = list(ledger.read(truth))[:stored]
    assert compare(parts, points).is_proof
    last = (parts[-1].epoch, parts[-1].seq)
    cycles = [each for each in ledger.read_cycles(truth) if (each.epoch, each.seq) <= last]
    told = told_of(points)
    assert wrong(cycles, told) == []
    assert told.keys() == {(each.epoch, each.seq) for each in cycles}
    complete = [each for each in cycles if each.complete]
    assert len(complete) > 60
    assert sum(each.interruptions for each in complete) > 5
    assert {each.epoch for each in complete} >= {1, 2}
    assert {each.cycle for each in complete} == {1, 2}
    # The control: half of one percent, a step told as never interrupted, and a lost row are seen.
    one = next(each for each in complete if each.interruptions)
    values = {name: value * 1.005 for name, value in one.values.items()}
    assert wrong([replace(one, values=values)], told)
    assert wrong([replace(one, interruptions=0)], told)
    assert wrong([one], {key: each for key, each in told.items() if key != (one.epoch, one.seq)})


async def test_killing_the_agent_makes_no_cycle_wrong_or_double(tmp_path: Path) -> None:
    """Kill -9 between the memory of parts and the spool, at any moment: the ring is read again."""
    truth, chance = tmp_path / "ledger.jsonl", random.Random(6)
    spec = LineSpec(seed=22, speed=0.001, formation_speed=3000, parts=750)
    async with SimulatedLine(spec, ledger_path=truth) as line:
        agent = Role("run", configure(tmp_path, line))
        try:
            for run, parts in enumerate((100, 280, 460, 640)):
                line.pause()  # a busy machine starts slowly, and the ring is short
                agent.start()
                await eventually(
                    lambda n=run: (tmp_path / "run.log").read_text().count("watches") > n,  # type: ignore[misc]
                    timeout_s=60,
                    what="the agent runs",
                )
                line.resume()
                await made(line, parts + chance.randrange(90))
                agent.kill()
                await made(line, line.counts()[CABINET] + chance.randrange(20))
            await made(line, 750)
        finally:
            agent.kill()
        async with running(tmp_path / "lini.toml", load_edge(tmp_path / "lini.toml")) as edge:
            newest = line.counts()[CABINET]
            cabinet = edge.models[0]
            await eventually(
                lambda: cabinet.last_part is not None and cabinet.last_part.seq == newest,
                timeout_s=60,
                what="the newest part is stored",
            )
            assert edge.line.records_lost == 0
    points = await spooled(tmp_path)
    assert compare(ledger.read(truth), points).is_proof
    cycles, told = list(ledger.read_cycles(truth)), told_of(points)
    assert wrong(cycles, told) == []
    assert told.keys() == {(each.epoch, each.seq) for each in cycles}
    assert sum(each.complete for each in cycles) > 25


async def test_a_cycle_with_a_lost_record_is_incomplete(tmp_path: Path) -> None:
    """The ring is overwritten while the agent is off: what it missed is in no sum."""
    truth = tmp_path / "ledger.jsonl"
    spec = LineSpec(seed=23, speed=0.001, formation_speed=20_000, parts=2200)
    async with SimulatedLine(spec, ledger_path=truth) as line:
        path = configure(tmp_path, line)
        async with running(path, load_edge(path)) as edge:
            await made(line, 400)
            line.pause()
            await eventually(lambda: edge.line.records == line.counts()[CABINET], timeout_s=30)
        line.resume()
        await made(line, 1400)  # twice the ring
        line.pause()
        async with running(path, load_edge(path)) as edge:
            await eventually(lambda: edge.line.records_lost > 0, timeout_s=30)
            line.resume()
            await made(line, 2200)
            newest, cabinet = line.counts()[CABINET], edge.models[0]
            await eventually(
                lambda: cabinet.last_part is not None and cabinet.last_part.seq == newest,
                timeout_s=60,
                what="the newest part is stored",
            )
    points = await spooled(tmp_path)
    missing = {seq for *_, seq in compare(ledger.read(truth), points).missing}
    assert len(missing) > 50
    torn = {
        (part.serial, part.values["cycle"]) for part in ledger.read(truth) if part.seq in missing
    }
    told = told_of(points)
    cycles = list(ledger.read_cycles(truth))
    whole = [each for each in cycles if (each.serial, each.cycle) not in torn]
    assert wrong(whole, told) == []
    assert sum(each.complete for each in whole) > 30
    cut = [
        point for point in told.values() if (point.fields["serial"], point.fields["cycle"]) in torn
    ]
    assert len(cut) > 30
    assert {point.fields["complete"] for point in cut} == {0}
    assert not [point for point in cut if "coulombic_percent" in point.fields]
