"""The sink between a real Mosquitto and a real InfluxDB: everything lands, and lands once."""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from agent.server import sink as sink_module
from agent.server import writer as writer_module
from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.sink import Sink
from agent.wire.broker import Broker
from agent.wire.schema import Schema
from agent.wire.store import Store
from tests.services.database import Database
from tests.services.edge import edge, event, payload
from tests.services.gateway import Fault
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]

RETENTION = timedelta(days=30)


def store_of(influx: Database, *, timeout_s: float = 5) -> InfluxStore:
    return InfluxStore(
        influx.url, org=influx.org, bucket=influx.bucket, token=influx.token, timeout_s=timeout_s
    )


@asynccontextmanager
async def running(
    broker: Broker,
    store: Store,
    letters: DeadLetters,
    *,
    client_id: str = "sink",
    share_group: str | None = None,
) -> AsyncIterator[Sink]:
    """Run a sink for the block; cancel it and wait for its end after it."""
    sink = Sink(
        broker,
        store,
        Schema.of([]),
        letters,
        client_id=client_id,
        retention=RETENTION,
        share_group=share_group,
    )
    task = asyncio.create_task(sink.run(), name="sink")
    try:
        await eventually(lambda: sink.stats.connected or task.done(), what="the sink connects")
        yield sink
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def whole(mosquitto: Mosquitto, influx: Database, folder: Path) -> AsyncIterator[Sink]:
    """Run a sink with its store and dead letters for the block."""
    async with (
        store_of(influx) as store,
        DeadLetters(folder / "letters.db") as letters,
        running(mosquitto.broker(), store, letters) as sink,
    ):
        yield sink


async def test_messages_land_once_and_are_committed(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """Every message is stored, acknowledged and committed; sent again, it changes nothing."""
    bodies = [payload(seq, pack=seq % 2 == 0) for seq in range(1, 301)]
    async with whole(mosquitto, influx, tmp_path) as sink, edge(mosquitto.broker()) as agent:
        await agent.send(*bodies)
        await eventually(lambda: agent.committed == set(range(1, 301)), what="all committed")
        assert influx.count("event", "from_seq") == 300
        assert len(influx.gateway.writes) < 100, "messages are gathered"
        await agent.send(*bodies)
        await eventually(lambda: sink.stats.messages == 600, what="all again")
        assert influx.count("event", "from_seq") == 300
        assert (sink.stats.dead, sink.stats.held, sink.stats.stale_acks) == (0, "", 0)


async def test_nothing_is_acknowledged_or_committed_before_the_store_took_it(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """While InfluxDB is held up, no commit goes out; a sink that ends then loses nothing."""
    async with edge(mosquitto.broker()) as agent:
        influx.gateway.fail(Fault(status=500), times=1_000)
        async with whole(mosquitto, influx, tmp_path) as sink:
            await agent.send(*(payload(seq) for seq in range(1, 21)))
            await eventually(lambda: sink.stats.held, what="the sink is held")
            assert "500" in sink.stats.held
            started = time.monotonic()
        assert time.monotonic() - started < 4, "a sink that cannot write still ends"
        assert agent.committed == set()
        influx.gateway.heal()
        async with whole(mosquitto, influx, tmp_path) as sink:
            await eventually(lambda: agent.committed == set(range(1, 21)), what="redelivered")
            assert influx.count("event", "from_seq") == 20
            assert sink.stats.held == ""


def _sink_process(broker: Broker, url: str, bucket: str, token: str, letters: Path) -> None:
    async def main() -> None:
        async with (
            InfluxStore(url, org="o", bucket=bucket, token=token) as store,
            DeadLetters(letters) as dead,
        ):
            schema = Schema.of([])
            await Sink(broker, store, schema, dead, client_id="sink", retention=RETENTION).run()

    asyncio.run(main())


async def test_killed_between_write_and_ack(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """SIGKILL after the rows are in and before the ack: delivered again, the count unchanged."""
    async with whole(mosquitto, influx, tmp_path):
        pass  # from now on the broker keeps a session
    influx.gateway.fail(Fault(written=True, hang=True))
    process = multiprocessing.get_context("spawn").Process(
        target=_sink_process,
        args=(
            *(mosquitto.broker(), influx.url, influx.bucket, influx.token),
            tmp_path / "letters.db",
        ),
    )
    process.start()
    try:
        async with edge(mosquitto.broker()) as agent:
            await agent.send(payload(1))
            await eventually(lambda: influx.count("event", "from_seq") == 1, 20, "written")
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.join, 5)
            assert agent.committed == set()
            async with whole(mosquitto, influx, tmp_path) as sink:
                await eventually(lambda: agent.committed == {1}, what="redelivered, committed")
                assert sink.stats.messages == 1
                assert influx.count("event", "from_seq") == 1
    finally:
        process.kill()
        process.join()
        process.close()


async def test_frozen_database_is_written_once_after_the_thaw(
    mosquitto: Mosquitto, killable_influx: Database, tmp_path: Path
) -> None:
    """A write that timed out is repeated until answered; there is one row in the end."""
    influx = killable_influx
    async with (
        store_of(influx, timeout_s=0.3) as store,
        DeadLetters(tmp_path / "letters.db") as letters,
        running(mosquitto.broker(), store, letters) as sink,
        edge(mosquitto.broker()) as agent,
    ):
        influx.server.freeze()
        await agent.send(payload(1))
        await eventually(lambda: len(influx.gateway.writes) >= 2, what="it is tried again")
        assert agent.committed == set()
        assert "no answer" in sink.stats.held
        influx.server.thaw()
        await eventually(lambda: agent.committed == {1}, what="committed after the thaw")
        assert influx.count("event", "from_seq") == 1
        assert set(influx.gateway.writes) == {event(1).encode()}, "the same bytes each time"


async def test_wrong_token_holds_everything_until_it_is_right(
    mosquitto: Mosquitto,
    influx: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """401 is nobody's data's fault: no dead letter, one alarm; it flows when the token works."""
    monkeypatch.setattr(writer_module, "HOLD_S", 0.1)
    good = influx.token
    async with whole(mosquitto, influx, tmp_path) as sink, edge(mosquitto.broker()) as agent:
        influx.gateway.token = "another"
        await agent.send(*(payload(seq) for seq in range(1, 6)))
        await eventually(lambda: sink.stats.held, what="held")
        assert "401" in sink.stats.held
        await asyncio.sleep(0.5)  # four tries: the alarm must not repeat
        assert (agent.committed, sink.stats.dead) == (set(), 0)
        assert [each.levelname for each in caplog.records if "401" in each.message] == ["ERROR"]
        influx.gateway.token = good
        await eventually(lambda: agent.committed == {1, 2, 3, 4, 5}, what="flows again")
        assert (sink.stats.held, sink.stats.dead) == ("", 0)


ROGUE = [
    b"",
    b"\x00\xff\xfe",
    b"weld,site=a f=1 1",
    b"x" * 64_500,
    b"x\x9c not zlib",
    payload(900, ["hacked,site=s f=1i 1"]),
    payload(901, [event(1).replace("from_seq", "new_field")]),
    payload(902, [event(1).replace("kind=test", "kind=test,extra=1")]),
    payload(903, [event(1).replace("from_seq=1i", 'from_seq="text"')]),
    payload(904, [event(1, time_ns=7_258_118_400_000_000_000)]),
    payload(905, [event(1, time_ns=1)]),
    payload(906, [event(1).replace("station=w1", "station=w1\\\nhacked")]),
]


async def test_rogue_payloads_create_nothing_and_keep_nobody_up(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """No new measurement, tag or field; all is kept as dead letters; good lines go on."""

    def shape() -> list[object]:
        return [
            influx.query("SHOW MEASUREMENTS"),
            influx.query("SHOW TAG KEYS"),
            influx.query("SHOW FIELD KEYS"),
        ]

    async with (
        store_of(influx) as store,
        DeadLetters(tmp_path / "letters.db") as letters,
        running(mosquitto.broker(), store, letters) as sink,
        edge(mosquitto.broker()) as agent,
    ):
        await agent.send(payload(1))
        await eventually(lambda: agent.committed == {1})
        before = shape()
        await agent.send(*ROGUE, payload(907, [event(907), "rubbish", event(908)]))
        await agent.send(payload(1), topic="lini/v1/data/pi2/home")  # a name that is not theirs
        await agent.send(payload(2))
        await eventually(lambda: 2 in agent.committed, what="the good message behind them")
        assert shape() == before
        assert influx.count("event", "from_seq") == 4
        assert sink.stats.dead == await letters.count() == len(ROGUE) + 3  # 906 is two lines
        # What came with a true header is settled; a forged one is not.
        assert agent.committed == {1, 2, *range(900, 908)}
        kept = {each.content for each in await letters.letters()}
        assert {b"rubbish", b"x" * 64_500, b"hacked,site=s f=1i 1"} < kept


async def test_rogue_lines_would_do_harm_without_the_checks(influx: Database) -> None:
    """Control: the same lines, written directly, do make a measurement and a field."""
    influx.write(event(1))
    influx.write("hacked,site=s f=1i 1")
    influx.write(event(1).replace("from_seq", "new_field"))
    assert [row["name"] for row in influx.query("SHOW MEASUREMENTS")] == ["event", "hacked"]
    assert "new_field" in {row["fieldKey"] for row in influx.query("SHOW FIELD KEYS")}


async def test_line_that_only_the_database_refuses_becomes_a_dead_letter(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """A type conflict in the database itself costs one line, and none of its neighbours."""
    influx.write('event,site=s,line=l,station=w1,kind=test count="text"')
    lines = [event(number) for number in range(1, 51)]
    lines[20] = event(21).replace("from_seq", "count")
    async with (
        store_of(influx) as store,
        DeadLetters(tmp_path / "letters.db") as letters,
        running(mosquitto.broker(), store, letters) as sink,
        edge(mosquitto.broker()) as agent,
    ):
        await agent.send(payload(1, lines))
        await eventually(lambda: agent.committed == {1})
        assert influx.count("event", "from_seq") == 49
        assert (sink.stats.lines, sink.stats.dead) == (49, 1)
        (letter,) = await letters.letters()
        assert letter.content == lines[20].encode()
        assert "field type conflict" in letter.reason
        assert len(influx.gateway.writes) <= 1 + 2 * 6


def _has_rows(influx: Database, number: int) -> bool:
    return influx.count("event", "from_seq") == number


@pytest.mark.parametrize("retained", [True, False])
async def test_retained_messages_are_not_taken(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path, *, retained: bool
) -> None:
    """What the broker kept from before is junk; the same message sent live is data."""
    async with edge(mosquitto.broker()) as agent:
        topic = "lini/v1/data/pi1/home"
        if retained:
            await agent.client.publish(topic, payload(1), qos=1, retain=True)
        async with whole(mosquitto, influx, tmp_path):
            if not retained:
                await agent.client.publish(topic, payload(1), qos=1)
            await agent.send(payload(2))
            await eventually(lambda: 2 in agent.committed)
            await eventually(lambda: retained or 1 in agent.committed)
    assert influx.count("event", "from_seq") == (1 if retained else 2)


async def test_two_sinks_share_the_load(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """With a share group each message goes to one of them; together they commit all."""
    async with (
        store_of(influx) as store,
        DeadLetters(tmp_path / "one.db") as one,
        DeadLetters(tmp_path / "two.db") as two,
        running(mosquitto.broker(), store, one, client_id="a", share_group="g") as first,
        running(mosquitto.broker(), store, two, client_id="b", share_group="g") as second,
        edge(mosquitto.broker()) as agent,
    ):
        await agent.send(*(payload(seq) for seq in range(1, 101)))
        await eventually(lambda: agent.committed == set(range(1, 101)))
        assert first.stats.messages + second.stats.messages == 100
        assert first.stats.messages
        assert second.stats.messages
        assert influx.count("event", "from_seq") == 100


async def test_commits_are_gathered_to_one_a_second(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path
) -> None:
    """The first commit comes at once, the next wait for their second and come as one."""
    async with whole(mosquitto, influx, tmp_path), edge(mosquitto.broker()) as agent:
        started = time.monotonic()
        await agent.send(payload(1))
        await eventually(lambda: agent.committed == {1})
        assert time.monotonic() - started < 0.9
        for seq in range(2, 6):
            await agent.send(payload(seq))
            await eventually(partial(_has_rows, influx, seq))
        await eventually(lambda: agent.committed == {1, 2, 3, 4, 5})
        assert time.monotonic() - started > sink_module.QUIET_S
        assert len(agent.commits) <= 2 + int(time.monotonic() - started)
