"""The sink on one core: values into a real InfluxDB, beside a sink of `Point` objects; its memory.

The sink has a process of its own, whose CPU seconds count; database and broker have theirs.
"""

import asyncio
import itertools
import multiprocessing
import random
import resource
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.server.dead_letters import DeadLetters
from agent.server.influx import InfluxStore
from agent.server.lines import LineCheck
from agent.server.sink import Sink
from agent.server.window import Window
from agent.wire import line, message
from agent.wire.broker import Broker
from agent.wire.message import Header, Message
from agent.wire.point import Point
from agent.wire.schema import Schema
from tests.bench.figures import Figure, show
from tests.services.gateway import Fault, Gateway
from tests.services.influxdb import Influx
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

_LINES, _VALUES = 20, 40  # of a message
_MESSAGES = 1_500
_FLOOD = 1_000_000  # of small messages
_LARGE = 3_000  # messages of 60 kB, to a database that is down
_WINDOW = 1_000  # the flood waits for the broker's answers each so many messages
_SETTINGS = ("max_queued_messages 100000", "max_inflight_messages 500")
_FIELDS = [f"v{number}" for number in range(_VALUES)]
_SCHEMA = Schema({**Schema.of([]).fields, "telemetry": dict.fromkeys(_FIELDS, "float")})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What a sink process is to do; it answers with CPU seconds and MiB that it grew by."""

    broker: Broker
    url: str
    bucket: str
    folder: Path
    messages: int  # to take before the end
    of_points: bool = False


class _PointCheck(LineCheck):
    """Judges lines by parsing them into objects, as a sink built on `Point` must."""

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)
        self.points: dict[str, Any] = {}

    def fault(self, line: str, window: Window) -> str:
        from influxdb_client.client.write.point import Point as ClientPoint  # noqa: PLC0415 - the other sink does without

        head, fields, time_ns = line.split(" ")  # the least that a parser can do
        measurement, *tags = head.split(",")
        client_point: Any = ClientPoint  # the library has no types
        point = client_point(measurement).time(int(time_ns))
        for tag in tags:
            point = point.tag(*tag.split("="))
        known = self._schema.fields[measurement]
        for field in fields.split(","):
            name, value = field.split("=")
            if name not in known:
                return "no such field"
            point = point.field(name, float(value))
        self.points[line] = point
        return window.fault(int(time_ns))


class _PointStore(InfluxStore):
    """Writes the `Point` of each line."""

    check: _PointCheck

    async def write(self, lines: Sequence[str]) -> None:
        points = [self.check.points.pop(each) for each in lines]
        if not await self._client.write_api().write(self.bucket, record=points):
            raise AssertionError("not written")


async def _work(job: _Job, answers: Any) -> None:
    kind = _PointStore if job.of_points else InfluxStore
    async with AsyncExitStack() as stack:
        store = kind(job.url, org="o", bucket=job.bucket, token="test-token")
        await stack.enter_async_context(store)
        letters = await stack.enter_async_context(DeadLetters(job.folder / "letters.db"))
        sink = Sink(
            job.broker, store, _SCHEMA, letters, client_id="bench", retention=timedelta(days=30)
        )
        if isinstance(store, _PointStore):
            store.check = _PointCheck(_SCHEMA)
            sink._line_check = store.check
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start_s, wall_s = time.process_time(), time.perf_counter()
        running = asyncio.create_task(sink.run())
        await eventually(lambda: sink.stats.connected, what="the sink connects")
        answers.send("connected")
        if job.messages:
            await eventually(lambda: sink.stats.messages >= job.messages, 600, "all are taken")
        else:
            await asyncio.to_thread(answers.recv)
        cpu_s, wall_s = time.process_time() - start_s, time.perf_counter() - wall_s
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if sink.stats.dead:
            raise AssertionError(await letters.letters(limit=1))
        answers.send((cpu_s, wall_s, grown / 1024))


def _sink(job: _Job, answers: Any) -> None:
    asyncio.run(_work(job, answers))


class _Process:
    """One sink process and the wire to it."""

    def __init__(self, job: _Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.answers, theirs = context.Pipe()
        self._process = context.Process(target=_sink, args=(job, theirs))
        self._process.start()
        theirs.close()
        if self.answers.recv() != "connected":
            raise AssertionError("the sink did not connect")

    def result(self) -> tuple[float, float, float]:
        """Return CPU seconds, wall seconds and MiB once the process has ended."""
        result: tuple[float, float, float] = self.answers.recv()
        self._process.join()
        return result


def _payloads(count: int, *, lines: int, start_seq: int = 1) -> Iterator[bytes]:
    drawn = random.Random(1)
    now_ns = time.time_ns()
    for seq in range(start_seq, start_seq + count):
        rows = [
            line.encode(
                Point(
                    measurement="telemetry",
                    tags={"site": "bench", "line": "1", "station": f"unit-{number}"},
                    fields={each: round(drawn.uniform(0, 500), 2) for each in _FIELDS},
                    time_ns=now_ns + seq,
                )
            )
            for number in range(lines)
        ]
        head = Header(agent="pi", uplink="u", epoch="0" * 16, seq=seq, first=1, config="0" * 8)
        yield message.encode(Message(header=head, lines=rows), pack=False)


def _publish(port: int, payloads: Iterator[bytes]) -> None:
    """Publish with QoS 1 as fast as the broker takes it: 3.1.1 by hand, a thousand at a time."""
    topic = message.data_topic("pi", "u").encode()
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03pub")
        answers = peer.makefile("rb")
        answers.read(4)
        while chunk := list(itertools.islice(payloads, _WINDOW)):
            for mid, payload in enumerate(chunk, 1):
                body = len(topic).to_bytes(2) + topic + mid.to_bytes(2) + payload
                peer.sendall(b"\x32" + _length(len(body)) + body)
            answers.read(4 * len(chunk))
        peer.sendall(b"\xe0\x00")


def _length(number: int) -> bytes:
    spelt = bytearray()
    while number >= 128:
        spelt.append(number % 128 | 128)
        number //= 128
    return bytes([*spelt, number])


def _job(broker: Mosquitto, gateway: Gateway, folder: Path, messages: int, **other: Any) -> _Job:
    bucket = "bench"
    gateway.influx.query(f'DROP DATABASE "{bucket}"')
    gateway.influx.query(f'CREATE DATABASE "{bucket}"')
    gateway.writes.clear()
    return _Job(
        broker=broker.broker(),
        url=gateway.url,
        bucket=bucket,
        folder=folder,
        messages=messages,
        **other,
    )


def _rate(broker: Mosquitto, gateway: Gateway, folder: Path, **other: Any) -> float:
    """Return the values of a CPU second, of messages that lie ready at the broker."""
    first = _Process(_job(broker, gateway, folder, 1, **other))  # makes the session
    _publish(broker.port, _payloads(1, lines=1))
    first.result()
    _publish(broker.port, _payloads(_MESSAGES, lines=_LINES))
    job = _job(broker, gateway, folder, _MESSAGES, **other)
    cpu_s, _, _ = _Process(job).result()
    (found,) = gateway.influx.query("SELECT count(v0) AS n FROM telemetry", db=job.bucket)
    if found["n"] != _MESSAGES * _LINES:
        raise AssertionError(found)
    return _MESSAGES * _LINES * _VALUES / cpu_s


def _figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, Influx(Path(name) / "influxdb") as influx:
        folder = Path(name)
        with (
            Gateway(influx) as gateway,
            Mosquitto(folder / "mosquitto", settings=_SETTINGS) as broker,
        ):
            ours = _rate(broker, gateway, folder)
            yield Figure(
                name="values from the broker into InfluxDB, 20 × 40 a message",
                value=ours / 1e6,
                unit="M a CPU s",
                least=1,
            )
            theirs = _rate(broker, gateway, folder, of_points=True)
            yield Figure(
                name="… beside the same sink built on `Point` objects",
                value=ours / theirs,
                unit="times",
                least=3,
            )
            flooded = _Process(_job(broker, gateway, folder, 0))
            small = next(_payloads(1, lines=0))
            _publish(broker.port, itertools.repeat(small, _FLOOD))
            flooded.answers.send("over")
            yield Figure(
                name="memory for a flood of a million messages",
                value=flooded.result()[2],
                unit="MiB",
                most=50,
            )
        with (
            Gateway(influx) as gateway,
            Mosquitto(folder / "another", settings=_SETTINGS) as broker,
        ):
            gateway.fail(Fault(status=503), times=1_000)
            held = _Process(_job(broker, gateway, folder, 0))
            _publish(broker.port, _payloads(_LARGE, lines=125))
            held.answers.send("over")
            yield Figure(
                name="memory while 3000 messages of 60 kB meet a database that is down",
                value=held.result()[2],
                unit="MiB",
                most=120,
            )


if __name__ == "__main__":
    show(_figures())
