"""Welds of an ultrasonic generator that has no list of them: a bit, and the values of the last."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config import load_edge
from agent.demo.site_file import site_file
from agent.model.points import record_point
from agent.model.station import StationModel
from agent.runtime.edge import running
from agent.wire import line
from agent.wire.schema import Schema
from collectors.profile import shipped
from collectors.record import Result
from collectors.simulated.line import Endpoint
from collectors.simulated.memory import Memory
from collectors.simulated.server import TcpServer
from tests.services.ports import free_port
from tests.services.waiting import eventually

PROFILE = shipped()["km-ds400"]


class Generator:
    """The registers of a K&M DS400, as it fills them."""

    def __init__(self) -> None:
        self.memory = Memory(PROFILE)
        self.memory.set("run", value=True)
        self.welds = 0

    def begin(self) -> None:
        """Begin a weld: what stands in the registers is no weld any more."""
        self.memory.set("weld_ready", value=False)

    def end(self, energy: int) -> None:
        """Show a finished weld."""
        self.welds += 1
        self.memory.write_slot(
            0, {"amplitude": 75, "energy": energy, "ultrasound_period": 480, "quality_result": 1}
        )
        self.memory.set("work_count", self.welds)
        self.memory.set("weld_ready", value=True)


@pytest.fixture
def generator() -> Generator:
    return Generator()


@pytest.fixture
async def model(tmp_path: Path, generator: Generator) -> AsyncIterator[StationModel]:
    """Return what a running agent knows of the generator; nobody takes what it publishes."""
    async with TcpServer({1: generator.memory}, host="127.0.0.1", port=0) as server:
        at = Endpoint(
            station="welder-9",
            profile_name="km-ds400",
            transport="tcp",
            device_id=1,
            host="127.0.0.1",
            port=server.port,
        )
        path = tmp_path / "lini.toml"
        text = site_file([at], broker_port=free_port())
        path.write_text(text.replace("[page]", "[page]\nenabled = false"))
        async with running(path, load_edge(path)) as edge:
            yield edge.models[0]


async def test_each_weld_of_the_generator_is_a_record(
    generator: Generator, model: StationModel
) -> None:
    """Energy, amplitude and time of each; neither good nor rejected, as nobody says which."""
    await eventually(lambda: "weld_ready" in model.registers(), what="the generator is read")
    for number, energy in enumerate((130, 649, 130), start=1):
        generator.begin()
        await eventually(lambda: not model.registers()["weld_ready"].value, what="the bit is 0")
        generator.end(energy)
        await eventually(lambda n=number: model.parts.stored == n, what="a weld is stored")  # type: ignore[misc]
        weld = model.last_part
        assert weld is not None
        assert weld.seq == number
        assert weld.result is Result.UNKNOWN
        assert weld.values == {
            "energy": float(energy),
            "amplitude": 75.0,
            "ultrasound_period": 480,
            "quality_result": 1,
        }
    assert model.parts.lost == 0


async def test_a_generator_without_programs_makes_rows_of_the_schema(
    generator: Generator, model: StationModel
) -> None:
    """The tag for the program is there and empty: it would be another series without it."""
    await eventually(lambda: "weld_ready" in model.registers(), what="the generator is read")
    generator.end(250)
    await eventually(lambda: model.parts.stored == 1, what="a weld is stored")
    assert model.last_part is not None
    point = Schema.of([PROFILE]).coerce(record_point(model.last_part, PROFILE))
    assert point.tags["program"] == ""
    assert ",program=-," in line.encode(point)
    assert "ok" not in point.fields
