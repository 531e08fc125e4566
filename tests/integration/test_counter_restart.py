"""A counter through stops and power cuts of the real agent: its total goes on, nothing hangs back."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.wire import line, message
from agent.wire.point import Field
from collectors.profile import load
from collectors.simulated.memory import Memory
from collectors.simulated.server import TcpServer
from tests.services.lini import Role
from tests.services.ports import free_port
from tests.services.waiting import eventually

PROFILE = """
title = { id = "Contoh", en = "Example" }
family = "meter"
maker = "Nobody"
source = "this test"
grade = "bronze"

[groups]
live = 0.05

[[registers]]
name = "made"
address = 0
type = "uint16"
rollover = { wrap = 65536, max_step = 1000 }

[[registers]]
name = "temperature"
address = 1
type = "int16"
scale = 0.1
unit = "°C"
compress = { swinging_door = 0.5 }
"""
SITE = """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"
profiles = "profiles"
data = "data"
flush_s = 0.1

[page]
enabled = false

[[bus]]
name = "plc"
host = "127.0.0.1"
port = {port}

[[station]]
name = "press-1"
bus = "plc"
profile = "press"

[[uplink]]
name = "workshop"
host = "127.0.0.1"
port = {nobody}
"""


@dataclass(frozen=True)
class Site:
    """A machine and the agent that watches it; nobody takes its messages, so the spool has all."""

    folder: Path
    machine: Memory
    agent: Role

    def rows(self, measurement: str) -> list[dict[str, Field]]:
        """Return the fields of each time as the database would have them, oldest first.

        For when no agent runs.
        """
        with closing(sqlite3.connect(self.folder / "data" / "spool.db")) as spool:
            payloads = [row[0] for row in spool.execute("SELECT payload FROM message ORDER BY id")]
        rows: dict[int, dict[str, Field]] = {}
        for text in (each for payload in payloads for each in message.decode(payload).lines):
            point = line.parse(text)
            if point.measurement == measurement:
                rows.setdefault(point.time_ns, {}).update(point.fields)
        return [fields for _, fields in sorted(rows.items())]

    async def remembered(self, count: int, total: int) -> None:
        """Wait until the counter stands so on the disk."""
        path = self.folder / "data" / "learned.json"

        def is_there() -> bool:
            if not path.is_file():
                return False
            facts = json.loads(path.read_text())["counters"]["press-1"]
            return bool(facts == {"made": [count, total]})

        await eventually(is_there, timeout_s=20, what=f"{count} and {total} on the disk")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "press.toml").write_text(PROFILE)
    machine = Memory(load(tmp_path / "profiles" / "press.toml"))
    async with TcpServer({1: machine}, host="127.0.0.1") as server:
        (tmp_path / "lini.toml").write_text(SITE.format(port=server.port, nobody=free_port()))
        site = Site(tmp_path, machine, Role("run", tmp_path / "lini.toml"))
        yield site
        site.agent.kill()


def set_(site: Site, made: int, temperature: float) -> None:
    site.machine.set("made", made)
    site.machine.set("temperature", temperature)


async def polled(site: Site) -> None:
    """Wait until the machine was read twice more: once after all that was set before."""
    reads: list[int] = []
    real = site.machine.read

    def read(function: int, address: int, count: int) -> object:
        reads.append(address)
        return real(function, address, count)

    site.machine.read = read  # type: ignore[method-assign, assignment]
    await eventually(lambda: len(reads) >= 2, timeout_s=20, what="two reads")
    site.machine.read = real  # type: ignore[method-assign]


async def test_totals_go_on_after_a_stop_and_nothing_was_held_back(site: Site) -> None:
    """SIGTERM: the last value of a standing curve is stored, and the counts are on the disk."""
    set_(site, made=65_530, temperature=20.0)
    site.agent.start()
    await polled(site)
    set_(site, made=4, temperature=20.3)
    await polled(site)
    assert site.agent.stop() == 0
    last = site.rows("telemetry")[-1]
    assert (last["made_total"], last["temperature"]) == (65_540, 20.3)
    await site.remembered(4, 65_540)
    set_(site, made=9, temperature=20.3)
    site.agent.start()
    await polled(site)
    assert site.agent.stop() == 0
    assert site.rows("telemetry")[-1]["made_total"] == 65_545
    assert site.rows("event") == []


async def test_a_power_cut_after_a_reset_does_not_take_the_total_back(site: Site) -> None:
    """The counter has passed its old count before the agent is back; the reset is told once."""
    set_(site, made=5, temperature=20.0)
    site.agent.start()
    await polled(site)
    set_(site, made=2, temperature=20.0)
    await site.remembered(2, 7)
    site.agent.kill()
    set_(site, made=6, temperature=20.0)
    site.agent.start()
    await polled(site)
    assert site.agent.stop() == 0
    totals = [row["made_total"] for row in site.rows("telemetry") if "made_total" in row]
    assert totals[-1] == 11
    assert totals == sorted(totals, key=int)
    (reset,) = site.rows("event")
    assert reset == {"detail": "made", "before": 5, "after": 2}
