"""The services that other tests stand on do what their names say."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import aiomqtt
import pytest
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from tests.services.certificates import Authority
from tests.services.database import Database
from tests.services.gateway import Fault
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually, wait_until


async def test_the_real_client_writes_through_the_gateway(influx: Database) -> None:
    """The InfluxDB 2 client, gzip and all, lands its lines in the test's own database."""
    async with InfluxDBClientAsync(
        influx.url, token=influx.token, org=influx.org, enable_gzip=True
    ) as client:
        written = await client.write_api().write(
            influx.bucket, record=b'weld f=1,s="x" 1\nweld f=2 2'
        )
        assert written
        assert await client.ping()
    assert influx.count("weld", "f") == 2
    assert influx.query("SELECT f FROM weld WHERE time = 2") == [
        {"name": "weld", "time": 2, "f": 2}
    ]


async def test_gateway_refuses_a_wrong_token(influx: Database) -> None:
    """Another token gets 401 and writes nothing."""
    async with InfluxDBClientAsync(influx.url, token="wrong", org=influx.org) as client:
        with pytest.raises(ApiException) as refused:
            await client.write_api().write(influx.bucket, record=b"weld f=1 1")
    assert refused.value.status == 401
    assert influx.count("weld", "f") == 0


async def test_gateway_faults_come_in_order_and_end(influx: Database) -> None:
    """A scripted answer, a hang and a reset after the write, then normal service."""
    influx.gateway.fail(Fault(status=503, headers={"Retry-After": "7"}))
    influx.gateway.fail(Fault(written=True, hang=True))
    influx.gateway.fail(Fault(written=True, reset=True))
    async with InfluxDBClientAsync(
        influx.url, token=influx.token, org=influx.org, timeout=500
    ) as client:
        write = client.write_api().write
        with pytest.raises(ApiException) as busy:
            await write(influx.bucket, record=b"weld f=1 1")
        assert (busy.value.status, busy.value.retry_after) == (503, "7")
        assert influx.count("weld", "f") == 0
        with pytest.raises(asyncio.TimeoutError):
            await write(influx.bucket, record=b"weld f=1 2")
        with pytest.raises(aiohttp.ClientError):
            await write(influx.bucket, record=b"weld f=1 3")
        assert influx.count("weld", "f") == 2
        await write(influx.bucket, record=b"weld f=1 4")
    assert influx.count("weld", "f") == 3


def test_influx_freezes_thaws_and_survives_a_kill(killable_influx: Database) -> None:
    """A frozen server does not answer; a killed one has its rows back after the start."""
    killable_influx.write("weld f=1 1")
    killable_influx.server.freeze()
    with pytest.raises(TimeoutError):
        killable_influx.server._post("/query?q=SHOW+DATABASES", b"", timeout_s=0.3)
    killable_influx.server.thaw()
    assert killable_influx.count("weld", "f") == 1
    killable_influx.server.kill()
    killable_influx.server.start()
    assert killable_influx.count("weld", "f") == 1


async def test_mosquitto_checks_users_acl_and_tls(tmp_path: Path) -> None:
    """Over TLS, a named user gets in; a wrong password, plain TCP and a foreign CA do not."""
    pair = Authority(tmp_path / "ca").issue("localhost")
    acl = "user ani\ntopic readwrite ani/#\n"
    with Mosquitto(tmp_path / "m", users={"ani": "secret"}, acl=acl, tls=pair) as server:
        broker = server.broker("ani")

        def client(password: str, tls_context: ssl.SSLContext | None) -> aiomqtt.Client:
            return aiomqtt.Client(
                broker.host,
                broker.port,
                username="ani",
                password=password,
                tls_context=tls_context,
                protocol=aiomqtt.ProtocolVersion.V5,
                timeout=2,
            )

        async with client("secret", broker.ssl_context()) as good:
            await good.publish("ani/x", b"1", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            await client("wrong", broker.ssl_context()).__aenter__()
        foreign = Authority(tmp_path / "other").issue("localhost")
        # By hand: paho leaves a socket open whose handshake failed.
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "localhost", broker.port, ssl=ssl.create_default_context(cafile=foreign.ca)
            )


@pytest.mark.parametrize("persistence", [True, False])
async def test_mosquitto_keeps_a_session_only_with_persistence(
    tmp_path: Path, *, persistence: bool
) -> None:
    """A queued message outlives a restart with persistence, and only then."""
    with Mosquitto(tmp_path / "m", persistence=persistence) as server:

        def client() -> aiomqtt.Client:
            return aiomqtt.Client(
                "127.0.0.1", server.port, identifier="reader", clean_session=False
            )

        async with client() as reader:
            await reader.subscribe("t", qos=1)
        async with aiomqtt.Client("127.0.0.1", server.port) as writer:
            await writer.publish("t", b"kept", qos=1)
        server.restart()
        async with client() as reader, aiomqtt.Client("127.0.0.1", server.port) as writer:
            await reader.subscribe("t", qos=1)
            await writer.publish("t", b"last", qos=1)
            got = []
            async for message in reader.messages:
                got.append(message.payload)
                if message.payload == b"last":
                    break
    assert got == ([b"kept", b"last"] if persistence else [b"last"])


async def test_waiting_tells_the_last_value() -> None:
    """A condition that never comes true is an assertion with what was seen last."""
    with pytest.raises(AssertionError, match="last value was 0"):
        await eventually(lambda: 0, timeout_s=0.05)
    with pytest.raises(AssertionError, match="rows did not come true"):
        wait_until(list, timeout_s=0.05, what="rows")
