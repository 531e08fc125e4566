"""Two uplinks of one agent: each has its broker, its policy and its place in the spool."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from agent.delivery.spool import Spool
from agent.demo.site_file import site_file
from agent.wire import line, message
from agent.wire.message import Commit
from agent.wire.point import Point
from collectors.simulated.line import LineSpec, SimulatedLine
from tests.services.lini import Role, run_once
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

AGENT = "demo"
OEM = """
[[uplink]]
name = "oem"
host = "127.0.0.1"
port = {port}

[uplink.share]
stations = ["welder-1"]
serial = "hashed"
secret_file = "share-secret"
round = {{ "*" = 1 }}

[uplink.share.fields]
weld = ["force", "seq"]
"""
pytestmark = pytest.mark.mosquitto


class Database:
    """Stands for sink and database behind a broker: keeps every row, and confirms it."""

    def __init__(self, client: aiomqtt.Client, uplink: str) -> None:
        self.rows: list[Point] = []
        self._client = client
        self._uplink = uplink

    def welds(self) -> dict[tuple[str, int], Point]:
        """Return the welds, by station and time."""
        found = [row for row in self.rows if row.measurement == "weld"]
        return {(row.tags["station"], row.time_ns): row for row in found}

    async def listen(self) -> None:
        await self._client.subscribe(message.data_topic(AGENT, self._uplink), qos=1)
        async for arrived in self._client.messages:
            assert isinstance(arrived.payload, bytes)
            told = message.decode(arrived.payload)
            self.rows += map(line.parse, told.lines)
            commit = Commit(epoch=told.header.epoch, ranges=((told.header.seq, told.header.seq),))
            topic = message.commit_topic(AGENT, self._uplink)
            await self._client.publish(topic, commit.encode(), qos=1)


@asynccontextmanager
async def database(broker: Mosquitto, uplink: str) -> AsyncIterator[Database]:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        made = Database(client, uplink)
        listening = asyncio.create_task(made.listen(), name=f"database of {uplink}")
        try:
            yield made
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def waiting(folder: Path) -> list[Point]:
    """Return the rows that wait for the OEM in the spool of a stopped agent."""
    async with Spool(folder / "lini-data/spool.db") as spool:
        messages = await spool.peek("oem", 0, 10_000)
    return [line.parse(text) for each in messages for text in message.decode(each.payload).lines]


async def test_one_uplink_is_down_and_the_other_gets_everything(tmp_path: Path) -> None:
    """What the down one is to get waits for it, filtered on the disk already, and then comes."""
    (tmp_path / "share-secret").write_text("0123456789abcdef" * 2)
    config = tmp_path / "lini.toml"
    oem = Mosquitto(tmp_path / "oem")  # down
    async with SimulatedLine(
        LineSpec(seed=5, speed=40, formation_speed=4000, parts=60),
        ledger_path=tmp_path / "truth.jsonl",
    ) as plant:
        with Mosquitto(tmp_path / "home") as home:
            text = site_file(plant.equipment, broker_port=home.port, flush_s=0.2)
            text = text.replace("[page]", "[page]\nenabled = false")
            config.write_text(text + OEM.format(port=oem.port))
            async with database(home, "workshop") as workshop:
                with Role("run", config) as agent:
                    await eventually(plant.finished.is_set, timeout_s=60)
                    made = plant.counts()["welder-1"]
                    await eventually(
                        lambda: sum(at == "welder-1" for at, _ in workshop.welds()) >= made,
                        timeout_s=30,
                    )
                    assert agent.stop() == 0
                waited = await waiting(tmp_path)
                assert len(waited) >= made
                assert {row.measurement for row in waited} == {"weld"}
                with oem:
                    async with database(oem, "oem") as customer:
                        with Role("run", config) as agent:
                            await eventually(lambda: len(customer.welds()) >= made, timeout_s=30)
                            assert agent.stop() == 0
    everything, shared = workshop.welds(), customer.welds()
    assert {row.measurement for row in customer.rows} == {"weld"}
    assert {row.measurement for row in workshop.rows} > {"weld", "telemetry"}  # control
    assert shared.keys() == {key for key in everything if key[0] == "welder-1"}
    for key, row in shared.items():
        whole = everything[key]
        assert row.fields["force"] == round(float(whole.fields["force"]), 1)
        assert row.fields["seq"] == whole.fields["seq"]
        assert row.fields.keys() == {"force", "seq", "serial"}
    serials = {
        (whole.fields["serial"], shared[key].fields["serial"])
        for key, whole in everything.items()
        if key in shared
    }
    assert len(serials) == len({each for each, _ in serials}) == len({each for _, each in serials})
    assert {each for each, _ in serials}.isdisjoint(each for _, each in serials)


def test_a_policy_without_its_secret_starts_no_agent(tmp_path: Path) -> None:
    config = tmp_path / "lini.toml"
    config.write_text(_site() + OEM.format(port=1))
    done = run_once("run", "-c", config)
    assert done.returncode == 2
    assert "share-secret: the secret cannot be read" in done.stderr
    (tmp_path / "share-secret").write_text("short")
    assert "could be guessed" in run_once("run", "-c", config).stderr


def test_what_leaves_is_explained_offline_and_without_the_secret(tmp_path: Path) -> None:
    """Stations, rows, fields with type and rounding, serials, and a line of each as it leaves."""
    config = tmp_path / "lini.toml"
    config.write_text(_site() + OEM.format(port=1))
    done = run_once("share", "explain", "oem", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert "stations  welder-1" in text
    assert "not of    chiller-1, pi-1" in text
    assert "force   float  rounded to 0.1" in text
    assert "serial  str    hashed" in text
    (example,) = (each[4:] for each in text.splitlines() if each.startswith("  > "))
    row = line.parse(example)
    assert row.measurement == "weld"
    assert row.fields.keys() == {"force", "seq", "serial"}
    assert row.fields["force"] == 3.1
    assert not (tmp_path / "lini-data").exists()

    whole = run_once("share", "explain", "workshop", "-c", config).stdout
    assert "everything leaves" in whole
    assert "\ntelemetry, with the tags" in whole
    wrong = run_once("share", "explain", "nobody", "-c", config)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "choose one of: workshop, oem" in wrong.stderr


def _site() -> str:
    return """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"

[page]
enabled = false

[[bus]]
name = "plc"
host = "127.0.0.1"
port = 9

[[station]]
name = "welder-1"
bus = "plc"
profile = "spot-welder-plc"

[[station]]
name = "chiller-1"
bus = "plc"
device_id = 2
profile = "smc-hrs-chiller"

[[uplink]]
name = "workshop"
host = "127.0.0.1"
"""
