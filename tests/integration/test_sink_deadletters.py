"""`lini deadletters`: what was refused is seen, retried and dropped, beside a sink that runs."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from agent.server.dead_letters import DeadLetter, DeadLetters
from tests.services.database import Database
from tests.services.edge import edge, event, payload
from tests.services.gateway import Fault
from tests.services.lini import Role, run_once
from tests.services.mosquitto import Mosquitto
from tests.services.waiting import eventually

pytestmark = [pytest.mark.mosquitto, pytest.mark.influxdb]

HEADER = "agent=pi1 uplink=home epoch=00000000000000aa seq=1 config=0badcafe"
TOPIC = "lini/v1/data/pi1/home"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A sink's configuration and its database."""

    config: Path
    influx: Database

    @property
    def letters(self) -> Path:
        return self.config.parent / "data" / "deadletters.db"

    def run(self, *arguments: str) -> CompletedProcess[str]:
        return run_once("deadletters", *arguments, "-c", self.config)

    async def add(self, *contents: bytes, header: str = HEADER, topic: str = TOPIC) -> None:
        async with DeadLetters(self.letters) as letters:
            await letters.add(
                [
                    DeadLetter(time_ns=1, topic=topic, header=header, reason="why", content=each)
                    for each in contents
                ]
            )

    async def left(self) -> list[bytes]:
        async with DeadLetters(self.letters) as letters:
            return [each.content for each in await letters.letters()]


@pytest.fixture
def site(mosquitto: Mosquitto, influx: Database, tmp_path: Path) -> Site:
    """Write the configuration of a sink; nothing of it runs yet."""
    (tmp_path / "token").write_text(influx.token)
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "sink.toml"
    config.write_text(
        f"""
        [sink]
        data = "data"
        [broker]
        host = "127.0.0.1"
        port = {mosquitto.port}
        [influx]
        url = "{influx.url}"
        bucket = "{influx.bucket}"
        token_file = "token"
        """
    )
    return Site(config=config, influx=influx)


async def test_beside_a_running_sink(site: Site, mosquitto: Mosquitto) -> None:
    """A mended database takes the letter that its fault had made; the sink goes on all the while."""
    wrong = "event,site=s,line=l,station=w1,kind=test"
    site.influx.write(f'{wrong} count="text"')
    late = event(2).replace("from_seq", "count")
    with Role("sink", site.config):
        async with edge(mosquitto.broker()) as agent:

            async def settled() -> set[int]:
                await agent.send(payload(1, [event(1), late]))  # lost until the sink subscribes
                return agent.committed

            condition: Callable[[], set[int] | Awaitable[set[int]]] = settled
            await eventually(condition, 20, "the sink runs")
            listed = site.run("list")
            assert listed.returncode == 0, listed.stderr
            assert "pi1/home" in listed.stdout
            assert "field type conflict" in listed.stdout
            assert late[:50] in listed.stdout
            again = site.run("retry", "--all")
            assert again.returncode == 1
            assert "field type conflict" in again.stdout
            assert "1 letters are still refused" in again.stderr

            site.influx.query("DROP MEASUREMENT event")  # the mend
            mended = site.run("retry", "1-99")
            assert mended.returncode == 0, mended.stderr
            assert site.influx.count("event", "count") == 1
            assert "0 letters" in site.run("list").stdout

            await agent.send(payload(2, ["rubbish"]))
            await eventually(lambda: agent.committed == {1, 2}, what="the sink still writes it")
            assert "1 letters dropped" in site.run("drop", "--all").stdout
            assert "0 letters" in site.run("list").stdout


async def test_what_is_retried_is_checked_anew(site: Site) -> None:
    """A good line without a believed sender stays out, as do stray names; the good ones enter."""
    strayed = event(5)
    await site.add(
        event(1).encode(), payload(2, [event(2), "rubbish"]), payload(3), b"hacked f=1i 1"
    )
    await site.add(strayed.encode(), header="")
    await site.add(payload(4), topic="lini/v1/data/pi2/home")
    result = site.run("retry", "--all")
    assert result.returncode == 1, result.stderr
    assert "2 letters are in the database now" in result.stdout
    assert site.influx.count("event", "from_seq") == 3, "1, 3, and the good line of 2"
    assert [row["name"] for row in site.influx.query("SHOW MEASUREMENTS")] == ["event"]
    assert len(await site.left()) == 4
    # Control: the strayed line is one the database would take.
    site.influx.write(strayed)
    assert site.influx.count("event", "from_seq") == 4


@pytest.mark.parametrize("fault", [Fault(status=401), Fault(status=503), Fault(reset=True)])
async def test_a_database_in_trouble_costs_no_letter(site: Site, fault: Fault) -> None:
    """The command says so and ends; the same once more, and they are in."""
    await site.add(event(1).encode(), event(2).encode())
    site.influx.gateway.fail(fault)
    failed = site.run("retry", "--all")
    assert failed.returncode == 1
    assert site.influx.url in failed.stderr
    assert len(await site.left()) == 2
    assert site.run("retry", "--all").returncode == 0
    assert await site.left() == []
    assert site.influx.count("event", "from_seq") == 2


async def test_letters_are_shown_as_what_they_are(site: Site) -> None:
    """What strangers wrote cannot move the cursor; programs get it whole."""
    await site.add(b"\x1b[2Jboo\r\n\xff", b"x" * 500)
    text = site.run("list", "--limit", "1").stdout
    assert "\x1b" not in text
    assert "\\x1b[2Jboo\\r\\n\\xff" in text
    assert "2 letters; 0 older ones made room" in text
    (row,) = json.loads(site.run("list", "--after", "1", "--json").stdout)
    assert (row["id"], row["content"], row["header"]) == (2, "x" * 500, HEADER)


@pytest.mark.parametrize("wrong", [(), ("one",), ("1-x",), ("1", "--all")])
async def test_which_letters_must_be_said(site: Site, wrong: tuple[str, ...]) -> None:
    """Neither command guesses, and nothing is touched."""
    await site.add(b"a")
    assert site.run("drop", *wrong).returncode == 2
    assert site.run("retry", *wrong).returncode == 2
    assert await site.left() == [b"a"]


def test_a_site_without_a_file_is_told(site: Site) -> None:
    """A wrong configuration is no empty list, and makes no file."""
    result = site.run("list")
    assert result.returncode == 2
    assert "deadletters.db does not exist" in result.stderr
    assert not site.letters.exists()
