"""InfluxStore against a real InfluxDB and every answer that one, or a proxy before it, gives."""

import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest

from agent.server.influx import InfluxStore, retry_after_s
from agent.wire.store import (
    BadLinesError,
    BusyError,
    NotAllowedError,
    StoreDownError,
    StoreError,
    TooLargeError,
)
from collectors.errors import FixTheFileError
from tests.services.database import Database
from tests.services.edge import event
from tests.services.gateway import Fault
from tests.services.ports import free_port

pytestmark = pytest.mark.influxdb

NOW_S = 1_800_000_000.0
OF_INFLUXDB = '{"code": "invalid", "message": "partial write: field type conflict"}'


@pytest.fixture
async def store(influx: Database) -> AsyncIterator[InfluxStore]:
    async with InfluxStore(
        influx.url,
        influx.org,
        influx.bucket,
        influx.token,
        timeout_s=0.5,
        clock=lambda: NOW_S,
    ) as opened:
        yield opened


async def refusal(store: InfluxStore) -> StoreError:
    with pytest.raises(StoreError) as refused:
        await store.write([event(1)])
    return refused.value


async def test_lines_reach_the_database_unchanged(store: InfluxStore, influx: Database) -> None:
    """What goes in is byte for byte what was given, through gzip and the client library."""
    lines = [event(number) for number in range(1_000)]
    await store.write(lines)
    assert influx.gateway.writes == ["\n".join(lines).encode()]
    assert influx.count("event", "from_seq") == 1_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=400, body=OF_INFLUXDB), BadLinesError),
        (Fault(status=422, body=OF_INFLUXDB), BadLinesError),
        (Fault(status=400, body='{"error": "unable to parse"}'), BadLinesError),
        (Fault(status=400, body="<html>nginx: plain HTTP to an HTTPS port"), NotAllowedError),
        (Fault(status=400), NotAllowedError),
        (Fault(status=413), TooLargeError),
        (Fault(status=401, body=OF_INFLUXDB), NotAllowedError),
        (Fault(status=403), NotAllowedError),
        (Fault(status=404), NotAllowedError),
        (Fault(status=405), NotAllowedError),
        (Fault(status=302, headers={"Location": "/"}), NotAllowedError),
        (Fault(status=429), BusyError),
        (Fault(status=503), BusyError),
        (Fault(status=408), StoreDownError),
        (Fault(status=500), StoreDownError),
        (Fault(status=502, body="<html>"), StoreDownError),
        (Fault(status=504), StoreDownError),
        (Fault(status=200, body="hello"), StoreDownError),
        (Fault(hang=True), StoreDownError),
        (Fault(reset=True), StoreDownError),
    ],
    ids=lambda value: (
        f"{value.status}{'hang' * value.hang}{'reset' * value.reset}"
        if isinstance(value, Fault)
        else value.__name__
    ),
)
async def test_each_answer_has_its_own_error(
    store: InfluxStore, influx: Database, fault: Fault, kind: type[StoreError]
) -> None:
    """The error says what the receiver can do; the next write is good again."""
    influx.gateway.fail(fault)
    error = await refusal(store)
    assert type(error) is kind
    assert influx.token not in str(error)
    await store.write([event(1)])
    assert influx.count("event", "from_seq") == 1


async def test_the_databases_own_words_are_told(store: InfluxStore, influx: Database) -> None:
    """A real refusal by a real InfluxDB names the field."""
    influx.write(event(1).replace("from_seq=1i", 'from_seq="text"'))
    error = await refusal(store)
    assert isinstance(error, BadLinesError)
    assert "from_seq" in error.what


async def test_a_wrong_bucket_or_token_is_configuration(influx: Database) -> None:
    """Nobody's data are at fault; the hint says what to look at."""
    for bucket, token in (("none", influx.token), (influx.bucket, "wrong")):
        async with InfluxStore(influx.url, influx.org, bucket, token) as store:
            error = await refusal(store)
        assert isinstance(error, NotAllowedError)
        assert "bucket" in error.hint


async def test_a_server_that_is_not_there_is_down() -> None:
    """Refused and unknown names come out the same way."""
    for host in (f"127.0.0.1:{free_port()}", "no-such-host.invalid:8086"):
        async with InfluxStore(f"http://{host}", "o", "b", "t", timeout_s=2) as store:
            assert isinstance(await refusal(store), StoreDownError)


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("7", 7.0),
        (formatdate(NOW_S + 30, usegmt=True), 30.0),
        (formatdate(NOW_S - 30, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        (None, None),
    ],
)
async def test_retry_after_in_seconds_or_as_a_date(
    store: InfluxStore, influx: Database, header: str | None, asked_s: float | None
) -> None:
    """Both spellings of the header come through the client library."""
    influx.gateway.fail(Fault(status=429, headers={"Retry-After": header} if header else {}))
    error = await refusal(store)
    assert isinstance(error, BusyError)
    assert error.retry_after_s == asked_s
    assert retry_after_s(header, NOW_S) == asked_s


async def test_a_time_out_is_kept(store: InfluxStore, influx: Database) -> None:
    """A server that hangs costs the time that was set, though the lines may be in."""
    influx.gateway.fail(Fault(written=True, hang=True))
    started = time.monotonic()
    assert "no answer in 0.5 s" in (await refusal(store)).what
    assert 0.4 < time.monotonic() - started < 2
    assert influx.count("event", "from_seq") == 1


def test_an_address_that_is_none_is_refused_at_once() -> None:
    """Before any I/O, with an example."""
    with pytest.raises(FixTheFileError, match=r"http://127"):
        InfluxStore("localhost:8086", "o", "b", "t")
