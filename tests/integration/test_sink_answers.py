"""Every answer a database may give, and what the sink makes of it: the whole table, end to end."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from agent.server import commits as commits_module
from agent.server import writer as writer_module
from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.sink import Sink
from agent.wire.schema import Schema
from tests.services.database import Database
from tests.services.edge import edge, event, payload
from tests.services.gateway import Fault
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]

WORDS = '{"code": "invalid", "message": "partial write: field type conflict"}'
LINES = [event(number) for number in range(1, 9)]

# What the database says once, to eight good lines, and what is written after it: `again` the
# same eight, `halves` two times four.
AGAIN, HALVES = [8, 8], [8, 4, 4]
ANSWERS: Sequence[tuple[Fault, list[int]]] = (
    (Fault(status=400, body=WORDS), HALVES),
    (Fault(status=422, body=WORDS), HALVES),
    (Fault(status=400, body=WORDS, written=True), HALVES),  # InfluxDB 1: the good lines are in
    (Fault(status=413), HALVES),
    (Fault(status=413, body=WORDS), HALVES),
    (Fault(status=400, body="<html>"), AGAIN),
    (Fault(status=401, body=WORDS), AGAIN),
    (Fault(status=403, body=WORDS), AGAIN),
    (Fault(status=404, body=WORDS), AGAIN),
    (Fault(status=408), AGAIN),
    (Fault(status=429, headers={"Retry-After": "0"}), AGAIN),
    (Fault(status=503, headers={"Retry-After": "0"}), AGAIN),
    (Fault(status=500, body=WORDS), AGAIN),
    (Fault(status=502, body="<html>"), AGAIN),
    (Fault(status=504), AGAIN),
    (Fault(status=500, written=True), AGAIN),
    (Fault(status=200, body="hello"), AGAIN),
    (Fault(status=302, headers={"Location": "/"}), AGAIN),
    (Fault(hang=True), AGAIN),
    (Fault(hang=True, written=True), AGAIN),
    (Fault(reset=True), AGAIN),
    (Fault(reset=True, written=True), AGAIN),
)


class _Scene:
    """A sink on a broker and a database that errs on demand."""

    def __init__(self, stack: AsyncExitStack, mosquitto: Mosquitto, influx: Database) -> None:
        self.influx = influx
        self._stack = stack
        self._mosquitto = mosquitto
        self.seq = 0

    async def open(self, folder: Path) -> None:
        influx = self.influx
        store = InfluxStore(
            influx.url, org=influx.org, bucket=influx.bucket, token=influx.token, timeout_s=0.2
        )
        await self._stack.enter_async_context(store)
        self.letters = await self._stack.enter_async_context(DeadLetters(folder / "letters.db"))
        self.sink = Sink(
            self._mosquitto.broker(),
            store,
            Schema.of([]),
            self.letters,
            retention=timedelta(days=30),
        )
        running = asyncio.create_task(self.sink.run(), name="sink")
        self._stack.push_async_callback(asyncio.wait, [running])
        self._stack.callback(running.cancel)
        await eventually(lambda: self.sink.stats.connected)
        self.agent = await self._stack.enter_async_context(edge(self._mosquitto.broker()))

    async def settled(self, lines: Sequence[str]) -> list[list[bytes]]:
        """Send a message, wait until it is committed; return the writes that took."""
        self.seq += 1
        self.influx.gateway.writes.clear()
        await self.agent.send(payload(self.seq, lines))
        await eventually(lambda: self.seq in self.agent.committed, what=f"{self.seq} is committed")
        return [each.split(b"\n") for each in self.influx.gateway.writes]


async def test_every_answer_has_its_remedy(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good lines always get in, each once; none is set apart for an answer to its neighbours."""
    monkeypatch.setattr(writer_module, "HOLD_S", 0.05)
    monkeypatch.setattr(commits_module, "PERIOD_S", 0.05)
    async with AsyncExitStack() as stack:
        scene = _Scene(stack, mosquitto, influx)
        await scene.open(tmp_path)
        for fault, sizes in ANSWERS:
            influx.query("DROP MEASUREMENT event")
            influx.gateway.fail(fault)
            writes = await scene.settled(LINES)
            assert [len(each) for each in writes] == sizes, fault
            assert influx.count("event", "from_seq") == 8, fault
            assert scene.sink.stats.held == ""
        assert await scene.letters.count() == 0


@pytest.mark.parametrize("fault", [Fault(status=400, body=WORDS), Fault(status=413)])
async def test_one_line_that_is_never_taken_is_set_apart(
    mosquitto: Mosquitto, influx: Database, tmp_path: Path, fault: Fault
) -> None:
    """Bisected down to it, the database's words beside it; the seven others are stored."""
    async with AsyncExitStack() as stack:
        scene = _Scene(stack, mosquitto, influx)
        await scene.open(tmp_path)
        for _ in range(4):  # the first line is alone after 8, 4, 2
            influx.gateway.fail(fault)
        writes = await scene.settled(LINES)
        assert [len(each) for each in writes] == [8, 4, 2, 1, 1, 2, 4]
        assert influx.count("event", "from_seq") == 7
        (letter,) = await scene.letters.letters()
        assert letter.content == LINES[0].encode()
        assert str(fault.status) in letter.reason


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(status=status, body=WORDS) for status in (401, 403, 404, 500, 503)),
        Fault(reset=True),
    ],
    ids=lambda fault: str(fault.status) if not fault.reset else "reset",
)
async def test_nothing_is_settled_while_it_lasts(
    mosquitto: Mosquitto,
    influx: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    """Held: no acknowledgement, no commit, no dead letter, and the state says why; then it flows."""
    monkeypatch.setattr(writer_module, "HOLD_S", 0.05)
    async with AsyncExitStack() as stack:
        scene = _Scene(stack, mosquitto, influx)
        await scene.open(tmp_path)
        influx.gateway.fail(fault, times=1_000)
        await scene.agent.send(payload(1, LINES))
        await eventually(lambda: len(influx.gateway.writes) >= 3, what="it is tried again")
        stats = scene.sink.stats
        assert (stats.messages, stats.commits, stats.dead) == (0, 0, 0)
        assert influx.url in stats.held
        assert scene.agent.committed == set()
        influx.gateway.heal()
        await eventually(lambda: scene.agent.committed == {1})
        assert influx.count("event", "from_seq") == 8
