"""The main job, with real parts: simulated machines → agent → Mosquitto → sink → InfluxDB.

The oracle is the truth ledger, which the machines write before a part is visible in a register.
"""

import random
import statistics
from collections import Counter

import pytest

from agent.demo.compare import compare
from collectors.record import Result
from collectors.simulated import ledger
from collectors.simulated.line import LineSpec, SimulatedLine
from dashboards.build import dashboards
from tests.services.grafana import Row, run_panel
from tests.services.lini import Role
from tests.services.mosquitto import Mosquitto
from tests.services.plant import Plant, made_more
from tests.services.waiting import eventually


def the_dashboards_tell_the_truth(plant: Plant) -> None:
    """Check that what Grafana would show are the figures of the ledger."""
    parts = list(ledger.read(plant.truth))
    counted = [part for part in parts if part.result in {Result.OK, Result.NG}]
    boards = dashboards("en")
    since, until = min(part.time_ms for part in parts), max(part.time_ms for part in parts)

    def shown(board: str, panel: str, **choice: str) -> list[Row]:
        window = (since - 60_000, until + 60_000)
        return run_panel(plant.database, boards[board], panel, choice, *window)

    quality = {row["station"]: row for row in shown("01-line-status", "First-pass yield and PPM")}
    for station in {part.station for part in counted}:
        results = [part.result for part in counted if part.station == station]
        assert quality[station]["n"] == len(results)
        assert quality[station]["ng"] == results.count(Result.NG)
        assert quality[station]["fpy"] == pytest.approx(results.count(Result.OK) / len(results))
    rejected = Counter(part.code for part in counted if part.result is Result.NG)
    reasons = Counter[str]()
    for row in shown("01-line-status", "Rejects by reason"):
        reasons[row["code"]] += row["n"]  # cells and formation steps share a code
    assert reasons == rejected
    stored = {row["station"]: row for row in shown("01-line-status", "Missing records")}
    assert {station: row["stored"] for station, row in stored.items()} == Counter(
        part.station for part in parts
    )
    for station in ("welder-1", "welder-2"):
        currents = [
            value
            for part in counted
            if part.station == station
            and isinstance(value := part.values["current"], float)
            and not is_misread(part)
        ]
        row = shown("02-welding", "Capability: ${char:text}", char="current", station=station)[0]
        assert row["n"] == len(currents)
        assert row["mean"] == pytest.approx(statistics.mean(currents))
        assert row["sigma"] == pytest.approx(statistics.stdev(currents))
    bad_welds = [part for part in counted if part.kind == "weld" and part.result is Result.NG]
    table = shown("02-welding", "The last 50 rejected welds", char="current")
    assert {row["serial"] for row in table} <= {part.serial for part in bad_welds}
    assert len(table) >= min(1, len(bad_welds))


def is_misread(weld: ledger.Part) -> bool:
    """Whether power, voltage and current of a spot weld contradict each other."""
    volts, kiloamperes, power = (weld.values[name] for name in ("voltage", "current", "power"))
    assert isinstance(volts, float)
    assert isinstance(kiloamperes, float)
    assert isinstance(power, float)
    return abs(power - volts * kiloamperes) > 0.06 * volts * kiloamperes


def the_doubtful_are_marked(plant: Plant) -> None:
    """Check that the welds whose values contradict each other are marked, and no others."""
    spot_welds = [part for part in ledger.read(plant.truth) if "resistance" in part.values]
    told = {
        (row["station"], row["seq"]): row["quality"]
        for row in plant.database.query(
            'SELECT "station", "seq", "quality" FROM "weld" WHERE "quality" =~ /implausible/'
        )
    }
    expected = {(part.station, part.seq) for part in spot_welds if is_misread(part)}
    assert expected, "no weld was misread: this proves nothing"
    assert told.keys() == expected
    for quality in told.values():
        assert {each.partition(":")[0] for each in quality.split()} >= {
            "power",
            "voltage",
            "current",
        }


@pytest.mark.mosquitto
@pytest.mark.influxdb
async def test_every_part_of_a_fast_line_is_in_the_database_once(plant: Plant) -> None:
    """Some thousand welds, cells and formation steps, field by field."""
    spec = LineSpec(seed=17, speed=40, formation_speed=4000, parts=600)
    async with SimulatedLine(spec, ledger_path=plant.truth) as line:
        plant.configure(line.equipment)
        with plant.sink, plant.agent:
            await eventually(line.finished.is_set, timeout_s=60)
            await plant.proof(made=sum(line.counts().values()))
            assert plant.agent.stop() == 0
            assert plant.sink.stop() == 0
    the_dashboards_tell_the_truth(plant)
    the_doubtful_are_marked(plant)
    assert plant.database.count("bus", "load_percent")
    assert plant.database.count("device", "polls")
    results = {part.result.value for part in ledger.read(plant.truth)}
    assert results >= {"OK", "NG", "TEST"}, "the line is too tame to prove anything"


@pytest.mark.mosquitto
@pytest.mark.influxdb
async def test_killing_agent_sink_and_broker_midway_changes_nothing(plant: Plant) -> None:
    """Kill -9 of each, several times, while parts are made; the ring and the spool hold them."""
    chance = random.Random(11)
    spec = LineSpec(seed=8, speed=15, formation_speed=1500, parts=400)
    async with SimulatedLine(spec, ledger_path=plant.truth) as line:
        plant.configure(line.equipment)
        with plant.sink, plant.agent:
            victims: list[Role | Mosquitto] = [plant.agent, plant.sink, plant.broker] * 2
            for victim in victims:
                await made_more(line, 150)
                victim.kill()
                await made_more(line, chance.randrange(5, 60))
                victim.start()
            assert not line.finished.is_set(), "all parts were made before the last kill"
            await eventually(line.finished.is_set, timeout_s=60)
            await plant.proof(made=sum(line.counts().values()))


@pytest.mark.mosquitto
@pytest.mark.influxdb
async def test_control_a_part_that_is_not_in_the_database_is_found_missing(plant: Plant) -> None:
    """Shows that the proof above would fail: one row deleted, one value changed."""
    spec = LineSpec(seed=9, speed=40, formation_speed=4000, parts=20)
    async with SimulatedLine(spec, ledger_path=plant.truth) as line:
        plant.configure(line.equipment)
        with plant.sink, plant.agent:
            await eventually(line.finished.is_set, timeout_s=60)
            await plant.proof(made=sum(line.counts().values()))
    points = list(plant.stored())
    assert compare(ledger.read(plant.truth), points[1:]).missing
    assert compare(ledger.read(plant.truth), [*points, points[0]]).doubled
    weld = next(
        point for point in points if point.measurement == "weld" and point.fields.get("current")
    )
    weld.fields["current"] += 0.001  # type: ignore[index, operator]
    assert compare(ledger.read(plant.truth), points).different
