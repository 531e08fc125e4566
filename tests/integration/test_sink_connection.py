"""The sink and its broker: refused at the start, lost and found later, never a wrong ack."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from agent.server import connection as connection_module
from agent.server import sink as sink_module
from agent.server.connection import (
    Arrival,
    BrokerRefusedError,
    Connection,
    ConnectionLostError,
)
from agent.server.dead_letters import DeadLetters
from agent.server.sink import Sink
from agent.wire.backoff import Backoff
from agent.wire.broker import Broker
from agent.wire.schema import Schema
from collectors.errors import LiniError
from tests.services.certificates import Authority
from tests.services.edge import edge, event, payload
from tests.services.mosquitto import Mosquitto
from tests.services.ports import free_port
from tests.services.waiting import eventually

pytestmark = pytest.mark.mosquitto

SINK_ACL = "user sink\ntopic read lini/v1/data/#\ntopic write lini/v1/commit/#\n"
AGENT_ACL = "user pi1\ntopic write lini/v1/data/pi1/#\ntopic read lini/v1/commit/pi1/#\n"
USERS = {"sink": "secret", "pi1": "geheim"}


class GatedStore:
    """Takes one write for each `open`; remembers what came and what it took."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.took: list[str] = []
        self._gate = asyncio.Semaphore(0)

    def open(self, writes: int = 1) -> None:
        for _ in range(writes):
            self._gate.release()

    async def write(self, lines: Sequence[str]) -> None:
        self.came += lines
        await self._gate.acquire()
        self.took += lines


@pytest.fixture
async def letters(tmp_path: Path) -> AsyncIterator[DeadLetters]:
    async with DeadLetters(tmp_path / "letters.db") as opened:
        yield opened


def make_sink(broker: Broker, letters: DeadLetters, store: GatedStore | None = None) -> Sink:
    return Sink(
        broker,
        store or GatedStore(),
        Schema.of([]),
        letters,
        client_id="sink",
        retention=timedelta(days=30),
    )


@asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(sink.run(), name="sink")
    try:
        await eventually(lambda: sink.stats.connected or task.done(), what="the sink connects")
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def refusal(sink: Sink) -> LiniError:
    with pytest.raises(LiniError) as refused:
        await asyncio.wait_for(sink.run(), 10)
    return refused.value


async def test_a_wrong_password_ends_the_start(tmp_path: Path, letters: DeadLetters) -> None:
    """The error names the broker and what to look at; the right password works."""
    with Mosquitto(tmp_path / "m", users=USERS) as server:
        wrong = Broker(host="127.0.0.1", port=server.port, username="sink", password="wrong")
        error = await refusal(make_sink(wrong, letters))
        assert isinstance(error, BrokerRefusedError)
        assert str(server.port) in error.what
        assert "password" in error.hint
        async with running(make_sink(server.broker("sink"), letters)) as task:
            assert not task.done()


async def test_an_access_list_that_forbids_commits_ends_the_start(
    tmp_path: Path, letters: DeadLetters
) -> None:
    """Without commits every agent would fill up; that must not wait until it happens."""
    acl = "user sink\ntopic read lini/v1/data/#\n"
    with Mosquitto(tmp_path / "m", users=USERS, acl=acl) as server:
        error = await refusal(make_sink(server.broker("sink"), letters))
        assert isinstance(error, BrokerRefusedError)
        assert "lini/v1/commit/#" in error.hint
    with Mosquitto(tmp_path / "m2", users=USERS, acl=SINK_ACL) as server:
        async with running(make_sink(server.broker("sink"), letters)) as task:
            assert not task.done()


async def test_no_broker_ends_the_start(letters: DeadLetters) -> None:
    """Nobody listens: an address to correct, so the start fails instead of waiting for ever."""
    error = await refusal(make_sink(Broker(host="127.0.0.1", port=free_port()), letters))
    assert isinstance(error, ConnectionLostError)
    assert "refused" in error.what


async def test_access_lists_keep_agents_apart(tmp_path: Path, letters: DeadLetters) -> None:
    """With the recommended lists an agent's message passes, in its own name only."""
    with Mosquitto(tmp_path / "m", users=USERS, acl=SINK_ACL + AGENT_ACL) as server:
        store = GatedStore()
        store.open(2)
        async with (
            running(make_sink(server.broker("sink"), letters, store)),
            edge(server.broker("pi1")) as agent,
        ):
            await agent.send(payload(1), topic="lini/v1/data/pi2/home")
            await agent.send(payload(2))
            await eventually(lambda: agent.committed == {2})
            assert store.took == [event(2)]


async def test_a_restarted_broker_is_found_again(
    tmp_path: Path, letters: DeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning when it is lost; messages flow when it is back, those queued included."""
    with Mosquitto(tmp_path / "m", persistence=True) as server:
        store = GatedStore()
        sink = make_sink(server.broker(), letters, store)
        async with running(sink):
            server.stop()
            await eventually(lambda: not sink.stats.connected, what="the loss is noticed")
            assert sink.stats.held
            server.start()
            async with edge(server.broker()) as agent:
                await agent.send(payload(1))  # the session lives: queued, or delivered at once
                await eventually(lambda: sink.stats.connected, what="connected again")
                store.open()
                await eventually(lambda: agent.committed == {1})
            assert sink.stats.held == ""
    warned = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert 1 <= len([each for each in warned if "not connected" in each]) <= 3


async def _stale_ack(server: Mosquitto, letters: DeadLetters) -> tuple[int, list[str]]:
    """Return how many acks were stale, and what the next sink gets, after this story.

    Message 1 is in hand when the broker loses its session. The new session gives the number
    of message 1 to message 2. Then message 1 is settled, and the sink dies with 2 in hand.
    """
    store = GatedStore()
    sink = make_sink(server.broker(), letters, store)
    async with running(sink):
        async with edge(server.broker()) as agent:
            await agent.send(payload(1))
            await eventually(lambda: event(1) in store.came, what="1 is in hand")
        server.kill()
        await eventually(lambda: not sink.stats.connected)
        server.start()
        await eventually(lambda: sink.stats.connected)
        async with edge(server.broker()) as agent:
            await agent.send(payload(2))
            store.open()  # message 1 is written and settled, message 2 comes in hand
            await eventually(lambda: event(2) in store.came, what="2 is in hand")
            assert store.took == [event(1)]
    stale = sink.stats.stale_acks
    next_store = GatedStore()
    next_store.open(9)
    next_sink = make_sink(server.broker(), letters, next_store)
    async with running(next_sink), edge(server.broker()) as agent:
        await agent.send(payload(3))
        await eventually(lambda: event(3) in next_store.took)
    return stale, next_store.took


async def test_an_ack_of_an_older_connection_is_dropped(
    mosquitto: Mosquitto, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late ack settles nothing on the new connection: message 2 is delivered again."""
    monkeypatch.setattr(sink_module, "DRAIN_S", 0.05)
    stale, got = await _stale_ack(mosquitto, letters)
    assert stale == 1
    assert got == [event(2), event(3)]


async def test_without_the_check_the_stale_ack_loses_a_message(
    mosquitto: Mosquitto, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: acks sent to whatever connection there is lose message 2 for good."""

    def ack_anyhow(self: Sink, arrival: Arrival) -> None:
        assert self._connection is not None
        self._connection.ack(arrival.mid)

    monkeypatch.setattr(sink_module, "DRAIN_S", 0.05)
    monkeypatch.setattr(Sink, "_ack", ack_anyhow)
    stale, got = await _stale_ack(mosquitto, letters)
    assert stale == 0
    assert got == [event(3)]


async def test_what_comes_before_the_subscription_is_confirmed_is_acknowledged(
    mosquitto: Mosquitto, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session's old messages come at once; settled early, they are settled all the same."""
    store = GatedStore()
    sink = make_sink(mosquitto.broker(), letters, store)
    opened = Connection.open

    async def slow_open(self: Connection) -> None:
        await opened(self)
        await eventually(lambda: sink.stats.messages == 1, what="1 is settled before")

    async with running(sink):
        assert sink._connection is not None
        monkeypatch.setattr(Connection, "open", slow_open)
        await sink._connection.close()
        async with edge(mosquitto.broker()) as agent:
            await agent.send(payload(1))
        store.open(9)
        await eventually(lambda: sink.stats.connected and sink.stats.messages == 1)
        monkeypatch.setattr(Connection, "open", opened)
        await sink._connection.close()
        async with edge(mosquitto.broker()) as agent:
            await eventually(lambda: sink.stats.connected)
            await agent.send(payload(2))
            await eventually(lambda: event(2) in store.took)
    assert store.came == [event(1), event(2)]
    assert sink.stats.stale_acks == 0


def _connected_anew(sink: Sink, before: Connection) -> bool:
    return sink._connection not in {None, before}


async def test_messages_in_hand_are_bounded_and_flapping_does_not_add_to_them(
    mosquitto: Mosquitto, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receive window is the bound, also when the connection comes and goes."""
    monkeypatch.setattr(connection_module, "RECEIVE_MAXIMUM", 10)
    monkeypatch.setattr(sink_module, "DRAIN_S", 0.05)
    store = GatedStore()
    sink = make_sink(mosquitto.broker(), letters, store)
    async with running(sink), edge(mosquitto.broker()) as agent:
        await agent.send(*(payload(seq) for seq in range(1, 61)))
        await eventually(lambda: store.came, what="a batch is in hand")
        for _ in range(3):
            assert sink._connection is not None
            before = sink._connection
            await before.close()
            await eventually(partial(_connected_anew, sink, before))
            await eventually(lambda: not sink._arrivals.empty(), what="delivered again")
            assert sink._arrivals.qsize() <= 10
        store.open(99)
        await eventually(lambda: agent.committed == set(range(1, 61)), 20)


@pytest.mark.parametrize(("stable_s", "few"), [(30.0, True), (0.0, False)])
async def test_two_sinks_of_one_name_slow_each_other_down(
    mosquitto: Mosquitto,
    letters: DeadLetters,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stable_s: float,
    few: bool,
) -> None:
    """They throw each other out less and less often. Control: a backoff that forgets at once."""
    monkeypatch.setattr(sink_module, "STABLE_S", stable_s)
    longest = partial(Backoff, low_s=0.1, uniform=lambda _, high_s: high_s)
    monkeypatch.setattr(sink_module, "Backoff", longest)
    first, second = (make_sink(mosquitto.broker(), letters) for _ in range(2))
    async with running(first), running(second):
        await asyncio.sleep(2)  # waits of 0.1, 0.2, 0.4, 0.8 s against waits of 0.1 s
    connects = mosquitto.log.read_text().count(" as sink ")
    assert (connects <= 10) == few, connects


async def test_ending_in_front_of_a_frozen_broker_takes_two_seconds(
    mosquitto: Mosquitto, letters: DeadLetters
) -> None:
    """A broker that takes no goodbye does not keep the process from ending."""
    async with running(make_sink(mosquitto.broker(), letters)) as task:
        mosquitto.freeze()
        task.cancel()
        await asyncio.wait([task], timeout=3)
        assert task.done()
    mosquitto.thaw()


async def test_over_tls(tmp_path: Path, letters: DeadLetters) -> None:
    """With the right authority messages flow encrypted; a foreign one is told by name."""
    pair = Authority(tmp_path / "ca").issue("localhost")
    with Mosquitto(tmp_path / "m", tls=pair) as server:
        store = GatedStore()
        store.open()
        broker = server.broker()
        async with running(make_sink(broker, letters, store)), edge(broker) as agent:
            await agent.send(payload(1))
            await eventually(lambda: agent.committed == {1})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho's socket
async def test_a_broker_with_a_foreign_certificate_ends_the_start(
    tmp_path: Path, letters: DeadLetters
) -> None:
    """Nothing is sent to somebody who only says that they are the broker."""
    pair = Authority(tmp_path / "ca").issue("localhost")
    foreign = Authority(tmp_path / "other")
    with Mosquitto(tmp_path / "m", tls=pair) as server:
        broker = dataclasses.replace(server.broker(), ca_file=foreign.ca)
        error = await refusal(make_sink(broker, letters))
    assert "certificate verify failed" in error.what


async def test_a_full_disk_of_dead_letters_stops_the_acks(
    mosquitto: Mosquitto, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rubbish that cannot be kept is not settled; it is when there is room again."""
    monkeypatch.setattr(sink_module, "HOLD_S", 0.1)
    letters._db.execute("PRAGMA max_page_count = 8")
    store = GatedStore()
    store.open(9)
    sink = make_sink(mosquitto.broker(), letters, store)
    async with running(sink), edge(mosquitto.broker()) as agent:
        await agent.send(payload(1, ["rubbish" * 8_000]), payload(2))
        await eventually(lambda: "full" in sink.stats.held, what="held for the disk")
        assert agent.committed == set()
        letters._db.execute("PRAGMA max_page_count = 100000")
        await eventually(lambda: agent.committed == {1, 2})
        assert (sink.stats.held, sink.stats.dead) == ("", 1)
        assert await letters.count() == 1


async def test_a_huge_message_stays_with_the_broker(
    mosquitto: Mosquitto, letters: DeadLetters
) -> None:
    """Ten megabytes from somebody rogue take none of our memory, nor the connection."""
    store = GatedStore()
    store.open(9)
    sink = make_sink(mosquitto.broker(), letters, store)
    async with running(sink), edge(mosquitto.broker()) as agent:
        await agent.send(b"x" * 10_000_000, payload(1))
        await eventually(lambda: agent.committed == {1})
        assert (sink.stats.messages, sink.stats.connected) == (1, True)
        assert mosquitto.log.read_text().count(" as sink ") == 1
