"""Whoever has a password can publish: the list of what they may try, and what it would do."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.server import commits as commits_module
from agent.server import connection as connection_module
from agent.server import sink as sink_module
from agent.server.checks import MOST_REFUSED, Accepted
from agent.server.connection import Arrival, Connection
from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.sink import Sink
from agent.wire import message
from agent.wire.schema import Schema
from tests.services.database import Database
from tests.services.edge import Edge, edge, event, header, payload
from tests.services.gateway import Fault
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]

YEAR_2200_NS = 7_258_118_400_000_000_000
TAGS = "kind=test,line=l,site=s,station=w1"
NOW_NS = time.time_ns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A line that a database takes, and a query that shows what it did there."""

    line: str
    shows: str


# The database's own words for what must not be: (query, name that appears in its rows).
MEASUREMENT, TAG, FIELD = "SHOW MEASUREMENTS", "SHOW TAG KEYS", "SHOW FIELD KEYS"
ATTACKS: dict[str, Attack] = {
    "a new measurement": Attack(line=f"hacked,site=s f=1i {NOW_NS}", shows=MEASUREMENT),
    "one without tags": Attack(line=f"hacked f=1i {NOW_NS}", shows=MEASUREMENT),
    "a name in quotes": Attack(line=f'"hacked",site=s f=1i {NOW_NS}', shows=MEASUREMENT),
    "a name with a space": Attack(
        line=f"event\\ hacked,{TAGS} count=1i {NOW_NS}", shows=MEASUREMENT
    ),
    "a carriage return": Attack(line=f"hacked\r,{TAGS} count=1i {NOW_NS}", shows=MEASUREMENT),
    "a new field": Attack(line=f"event,{TAGS} hacked=1i {NOW_NS}", shows=FIELD),
    "a field behind a good one": Attack(
        line=f"event,{TAGS} count=1i,hacked=1i {NOW_NS}", shows=FIELD
    ),
    "a field behind a text": Attack(line=f'event,{TAGS} note="a",hacked=1i {NOW_NS}', shows=FIELD),
    "a field behind an escaped quote": Attack(
        line=f'event,{TAGS} note="a\\"b,",hacked=1i {NOW_NS}', shows=FIELD
    ),
    "a field named as a tag": Attack(line=f"event,{TAGS} hacked\\,kind=1i {NOW_NS}", shows=FIELD),
    "a new tag": Attack(line=f"event,{TAGS},hacked=1 count=1i {NOW_NS}", shows=TAG),
    "a tag before the others": Attack(line=f"event,hacked=1,{TAGS} count=1i {NOW_NS}", shows=TAG),
    "a tag with a comma in it": Attack(
        line=f"event,hacked\\,kind=test,{TAGS} count=1i {NOW_NS}", shows=TAG
    ),
    "a field of another type": Attack(line=f'event,{TAGS} before="text" {NOW_NS}', shows="string"),
    "a whole number as a float": Attack(line=f"event,{TAGS} after=1 {NOW_NS}", shows="float"),
    "the year 2200": Attack(line=event(1, time_ns=YEAR_2200_NS), shows="late"),
    "the year 1970": Attack(line=event(1, time_ns=1), shows="early"),
    "no time at all": Attack(line=f"hacked,{TAGS} count=1i", shows=MEASUREMENT),
    "two lines in one": Attack(
        line=f"event,{TAGS} count=1i {NOW_NS}\nhacked,site=s f=1i {NOW_NS}", shows=MEASUREMENT
    ),
}


def harm(influx: Database, attack: Attack, mine: str) -> bool:
    """Whether the database holds what the attack was after, under the name `mine`."""
    match attack.shows:
        case "late":
            return bool(influx.query(f"SELECT * FROM event WHERE time >= {YEAR_2200_NS}"))  # noqa: S608 - a number of ours
        case "early":
            return bool(influx.query("SELECT * FROM event WHERE time < 1000"))
        case "string" | "float" as kind:
            name = "before" if kind == "string" else "after"
            wanted = {"fieldKey": name, "fieldType": kind}
            return any(wanted.items() <= row.items() for row in influx.query(FIELD))
        case query:
            columns = {MEASUREMENT: "name", TAG: "tagKey", FIELD: "fieldKey"}
            return any(mine in row[columns[query]] for row in influx.query(query))


@asynccontextmanager
async def running(
    mosquitto: Mosquitto, influx: Database, folder: Path
) -> AsyncIterator[tuple[Sink, DeadLetters]]:
    """Run a sink for the block."""
    async with (
        InfluxStore(influx.url, influx.org, influx.bucket, influx.token) as store,
        DeadLetters(folder / "letters.db") as letters,
    ):
        sink = Sink(mosquitto.broker(), store, Schema.of([]), letters, retention=timedelta(days=30))
        task = asyncio.create_task(sink.run(), name="sink")
        try:
            await eventually(lambda: sink.stats.connected or task.done())
            yield sink, letters
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def is_committed(agent: Edge, seq: int) -> bool:
    """Whether the agent was told that its message is safe."""
    return seq in agent.committed


def unchecked(topic: str, body: bytes, **_: object) -> Accepted:
    """Let everything through, for controls."""
    del topic
    found = message.decode(body)
    return Accepted(header=found.header, lines=tuple(found.lines), refused=())


@pytest.mark.parametrize("checks", [True, False])
async def test_no_line_does_what_it_was_made_for(
    mosquitto: Mosquitto,
    influx: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    checks: bool,
) -> None:
    """Each attack is a dead letter and does no harm; control: without checks each does its own."""
    if not checks:
        monkeypatch.setattr(sink_module, "check", unchecked)
    monkeypatch.setattr(commits_module, "PERIOD_S", 0.02)
    async with (
        running(mosquitto, influx, tmp_path) as (_, letters),
        edge(mosquitto.broker()) as agent,
    ):
        for seq, (name, attack) in enumerate(ATTACKS.items(), start=1):
            mine = f"hacked{seq}_"
            known = await letters.count()
            await agent.send(payload(seq, [attack.line.replace("hacked", mine), event(seq)]))
            await eventually(partial(is_committed, agent, seq), what=name)
            assert harm(influx, attack, mine) is not checks, name
            assert (await letters.count() > known) is checks, name
        assert influx.count("event", "from_seq") >= len(ATTACKS)


WHOLE: dict[str, bytes] = {
    "nothing": b"",
    "no text": b"\x00\xff\xfe",
    "no header": f"event,{TAGS} count=1i {NOW_NS}\n".encode(),
    "a number that is none": payload(1).replace(b"seq=1", b"seq=-1"),
    "a number without end": payload(1).replace(b"seq=1", b"seq=" + b"9" * 300),
    "an agent with a slash": payload(1).replace(b"agent=pi1", b"agent=pi1/home"),
    "cut off": payload(1)[:-1],
    "too large": payload(1) + b"#" * message.MAX_BYTES,
    "packed, but cut off": zlib.compress(payload(1))[:-4],
    "a bomb": zlib.compress(b"\n" * 30 * message.MAX_BYTES),
    "a bomb within a bomb": zlib.compress(zlib.compress(payload(1))),
    "JSON": b'{"a":' * 5_000,
}


async def test_no_message_that_is_none_enters(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """What is no message is kept as it came, and holds nobody up."""
    async with (
        running(mosquitto, influx, tmp_path) as (sink, letters),
        edge(mosquitto.broker()) as agent,
    ):
        await agent.send(*WHOLE.values(), payload(9))
        await eventually(lambda: agent.committed == {1, 9})  # 1: cut off, but its header is true
        assert sink.stats.messages == len(WHOLE) + 1
        assert {each.content for each in await letters.letters()} == set(WHOLE.values())
        assert influx.count("event", "from_seq") == 1


async def test_a_packed_kilobyte_of_a_million_lines_is_few_letters(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """A hundred of its lines, and itself: nothing is lost, and memory does not pay for it."""
    lines = [""] * (15 * message.MAX_BYTES) + [event(1)]
    body = message.encode(message.Message(header=header(1), lines=lines), pack=True)
    assert len(body) < 2_000
    async with (
        running(mosquitto, influx, tmp_path) as (sink, letters),
        edge(mosquitto.broker()) as agent,
    ):
        await agent.send(body)
        await eventually(lambda: agent.committed == {1}, 20)
        assert sink.stats.dead == MOST_REFUSED + 1
        kept = await letters.letters(limit=MOST_REFUSED + 9)
        assert body in {each.content for each in kept}
        assert influx.count("event", "from_seq") == 1


@pytest.mark.parametrize("window", [20, 300])
async def test_what_a_sink_holds_is_bounded_by_its_window(
    mosquitto: Mosquitto,
    influx: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: int,
) -> None:
    """While the database is down the broker keeps the flood; then all of it lands, each once."""
    monkeypatch.setattr(connection_module, "RECEIVE_MAXIMUM", window)
    influx.gateway.fail(Fault(status=503, headers={"Retry-After": "0"}), times=1_000)
    arrivals: list[Arrival] = []

    class Watched(Connection):
        def __init__(self, *args: Any, arrived: Callable[[Arrival], None], **other: Any) -> None:
            def noted(arrival: Arrival) -> None:
                arrivals.append(arrival)
                arrived(arrival)

            super().__init__(*args, arrived=noted, **other)

    monkeypatch.setattr(sink_module, "Connection", Watched)
    async with running(mosquitto, influx, tmp_path) as (sink, _), edge(mosquitto.broker()) as agent:
        await agent.send(*(payload(seq) for seq in range(1, 901)))
        await eventually(lambda: len(arrivals) >= window and len(influx.gateway.writes) > 2)
        assert len(arrivals) == window
        assert sink.stats.messages == 0
        influx.gateway.heal()
        await eventually(lambda: len(agent.committed) == 900, 30)
        assert influx.count("event", "from_seq") == 900
        assert len(arrivals) == 900
