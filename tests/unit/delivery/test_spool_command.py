"""`lini spool`: the same answers from a running agent and from the file it left."""

import asyncio
from pathlib import Path

import pytest

from agent.cli.spool import export, list_, status
from agent.control.server import listening
from agent.delivery.entry import Limits
from agent.delivery.outbox import Outbox, UplinkSpec
from agent.delivery.spool import Spool
from agent.runtime.spool_watch import SpoolWatch
from agent.wire.schema import Schema
from collectors.errors import FixTheFileError
from collectors.record import Event
from collectors.sample import StationId
from tests.unit.delivery.spool_conformance import draft

CONFIG = """
[agent]
name = "pi"
site = "s"
line = "l"
data = "data"
min_free_mb = 0
[[uplink]]
name = "oem"
host = "127.0.0.1"
[[bus]]
name = "b"
host = "127.0.0.1"
[[station]]
name = "w"
profile = "spot-welder-plc"
bus = "b"
"""
DAY_NS = 1_700_000_000 * 10**9


def _printed(config: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    status(config=config)
    list_("oem", limit=3, after=20, config=config)
    export("oem", folder / "rows", after=28, config=config)
    return capsys.readouterr().out.replace(str(folder), "")


def _happened(event: Event) -> None:
    raise AssertionError(event)


async def test_a_running_and_a_stopped_agent_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How much waits, which messages, and their rows in a file; nothing leaves the spool."""
    config = tmp_path / "lini.toml"
    config.write_text(CONFIG)
    for name in ("running", "stopped"):
        (tmp_path / name).mkdir()
    path = tmp_path / "data" / "spool.db"
    async with Spool(path, clock=lambda: DAY_NS) as spool:
        await spool.append([draft(f"a b={n}i {DAY_NS + n * 10**9}") for n in range(30)])
        outbox = Outbox(
            spool, [UplinkSpec(name="oem")], Schema.of([]), agent="pi", config_hash="0badcafe"
        )
        watch = SpoolWatch(
            spool,
            outbox,
            Limits(max_bytes=2_000_000_000),
            _happened,
            station=StationId(site="s", line="l", station="pi"),
            clock=lambda: DAY_NS,
        )
        async with listening(path.with_name("lini.sock"), watch.answer):  # type: ignore[arg-type] # asked of the spool only
            running = await asyncio.to_thread(_printed, config, tmp_path / "running", capsys)
    stopped = await asyncio.to_thread(_printed, config, tmp_path / "stopped", capsys)
    assert running == stopped
    first, room, _, *rows, exported = running.splitlines()
    assert first == "oem: 30 messages, 0.0 MB, the oldest of 2023-11-14T22:13:20Z"
    assert room.startswith("room for ")
    assert [row.split()[:2] for row in rows] == [[str(n), "telemetry"] for n in (21, 22, 23)]
    assert rows[0].endswith("1  2023-11-14T22:13:40Z .. 2023-11-14T22:13:40Z")
    assert exported == "2 rows are in /rows"
    lines = [f"a b={n}i {DAY_NS + n * 10**9}\n" for n in (28, 29)]
    assert (tmp_path / "stopped" / "rows").read_text() == "".join(lines)
    async with Spool(path) as spool:
        assert len(await spool.peek("oem", 0, 99)) == 30


async def test_wrong_words_are_told(tmp_path: Path) -> None:
    """An uplink that is not there, and a file that is."""
    config = tmp_path / "lini.toml"
    config.write_text(CONFIG)
    async with Spool(tmp_path / "data" / "spool.db") as spool:
        await spool.append([draft()])
    with pytest.raises(FixTheFileError, match="nothing was ever stored for `eom`"):
        list_("eom", config=config)
    with pytest.raises(FixTheFileError, match="there already"):
        export("oem", config, config=config)
    assert config.read_text() == CONFIG
