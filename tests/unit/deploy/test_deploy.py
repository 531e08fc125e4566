"""The files that people copy: examples load, units are sound and tight, the broker enforces."""

import asyncio
import getpass
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from agent.config import LiniFile, SinkFile, load_edge, load_sink, station_profiles
from agent.delivery.connection import Connection
from agent.delivery.trouble import NOBODY_LISTENS, NOT_AUTHORISED
from agent.wire.broker import Broker
from agent.wire.message import commit_topic, data_topic, status_topic
from tests.services.certificates import Authority, KeyPair
from tests.services.ports import free_port
from tests.services.process import Process, binary

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
UNITS = {"lini.service": "lini.toml", "lini-sink.service": "sink.toml"}
GUIDES = [ROOT / "README.md", *sorted(DEPLOY.glob("*.md"))]
LOADERS: dict[str, Callable[[Path], LiniFile | SinkFile]] = {
    "lini.toml": load_edge,
    "sink.toml": load_sink,
}
PASSWORDS = {"agent-1": "one", "agent-2": "two", "sink": "three"}
TAKEN = {0, NOBODY_LISTENS}


# -- examples and guides ----------------------------------------------------------------------


@pytest.mark.parametrize("name", LOADERS)
def test_an_example_loads(name: str) -> None:
    """The file that a technician starts from has no fault."""
    LOADERS[name](DEPLOY / name)


def test_the_example_names_models_that_exist() -> None:
    """Every station of the example has its profile."""
    file = load_edge(DEPLOY / "lini.toml")
    assert len(station_profiles(file, DEPLOY)) == len(file.station)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_toml_block_of_a_guide_loads(guide: Path, tmp_path: Path) -> None:
    """A block says in its first line which file it is, and is that file, whole."""
    blocks = re.findall(
        r"^```toml\n(.*?)^```", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    if guide == ROOT / "README.md":
        assert {block.split()[1] for block in blocks} == set(LOADERS)
    for block in blocks:
        name = block.split()[1]
        path = tmp_path / name
        path.write_text(block, encoding="utf-8")
        LOADERS[name](path)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_link_of_a_guide_leads_somewhere(guide: Path) -> None:
    """A relative link names a file that exists."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", guide.read_text(encoding="utf-8"))
    assert [link for link in links if not (guide.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "BACA-SAYA.md"])
def test_a_guide_tells_of_every_file_to_copy(name: str) -> None:
    """A file below deploy/ that no guide mentions would never reach a machine."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".md"]
    assert [path.name for path in files if f"deploy/{path.relative_to(DEPLOY)}" not in text] == []


def test_the_sinks_lock_has_the_versions_that_were_tested() -> None:
    """Every package of the sink's lock file is in the developers' one, same version."""

    def pins(path: Path) -> set[str]:
        return set(re.findall(r"^[\w.-]+==[^ ]+", path.read_text(encoding="utf-8"), re.MULTILINE))

    sink = pins(DEPLOY / "requirements-sink.lock")
    assert sink - pins(ROOT / "requirements-dev.lock") == set()
    assert pins(ROOT / "requirements.lock") < sink


# -- systemd ----------------------------------------------------------------------------------


def _systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [binary("systemd-analyze"), "--no-pager", *map(str, arguments)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)


def _installed(unit: str, folder: Path, *, extra: str = "") -> Path:
    """Return a copy of a unit whose command exists on this machine."""
    text = (DEPLOY / unit).read_text(encoding="utf-8")
    path = folder / unit
    command = str(Path(sys.executable).with_name("lini"))
    path.write_text(text.replace("/opt/lini/bin/lini", command) + extra, encoding="utf-8")
    return path


def _values(unit: str, key: str) -> list[str]:
    text = (DEPLOY / unit).read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_a_unit(unit: str, tmp_path: Path) -> None:
    """No fault and no warning; the control has a misspelt key."""
    found = _systemd_analyze("verify", _installed(unit, tmp_path))
    assert (found.returncode, found.stderr) == (0, "")
    control = _installed(unit, tmp_path, extra="[Service]\nProtectHomes=yes\n")
    assert "ProtectHomes" in _systemd_analyze("verify", control).stderr


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_exposes_little(unit: str, tmp_path: Path) -> None:
    """Be rated 1.5 or less, of 10, by systemd; the control filters no system calls."""
    threshold = ("security", "--offline=true", "--threshold=15")
    found = _systemd_analyze(*threshold, _installed(unit, tmp_path))
    assert found.returncode == 0, found.stdout
    control = _installed(unit, tmp_path, extra="[Service]\nSystemCallFilter=\n")
    assert _systemd_analyze(*threshold, control).returncode != 0


@pytest.mark.parametrize(("unit", "example"), UNITS.items())
def test_a_unit_gives_what_its_example_asks_for(unit: str, example: str) -> None:
    """Command, secrets and data folder of the unit are those of the example beside it."""
    (command,) = _values(unit, "ExecStart")
    assert command.endswith(f" --config /etc/lini/{example}")
    file = LOADERS[example](DEPLOY / example)
    if isinstance(file, LiniFile):
        secrets = [uplink.password_file for uplink in file.uplink]
        data = file.agent.data
    else:
        secrets = [file.broker.password_file, file.influx.token_file]
        data = file.sink.data
    granted = [value.split(":")[0] for value in _values(unit, "LoadCredential")]
    assert granted == [str(secret) for secret in secrets]
    assert [f"/var/lib/{name}" for name in _values(unit, "StateDirectory")] == [str(data)]


# -- Mosquitto --------------------------------------------------------------------------------


class Installed(Process):
    """Debian's Mosquitto with our two files, put where this test may write."""

    def __init__(self, folder: Path, server: KeyPair, *, acl: str) -> None:
        self.ca = server.ca
        self.tls_port, plain_port = free_port(), free_port()
        included = folder / "conf.d"
        included.mkdir(parents=True)
        passwords = folder / "lini-passwords"
        passwords.touch(mode=0o600)
        for name, password in PASSWORDS.items():
            argv = [binary("mosquitto_passwd"), "-b", str(passwords), name, password]
            subprocess.run(argv, check=True, capture_output=True)
        (folder / "lini-acl").write_text(acl, encoding="utf-8")
        (folder / "lini-acl").chmod(0o600)
        text = (DEPLOY / "mosquitto/lini.conf").read_text(encoding="utf-8")
        for there, here in {
            "/etc/mosquitto/certs/lini-server.crt": str(server.cert),
            "/etc/mosquitto/certs/lini-server.key": str(server.key),
            "/etc/mosquitto/": f"{folder}/",
            "listener 8883": f"listener {self.tls_port}",
            "listener 1883": f"listener {plain_port}",
        }.items():
            assert there in text
            text = text.replace(there, here)
        (included / "lini.conf").write_text(text, encoding="utf-8")
        main = folder / "mosquitto.conf"  # as Debian's, which ours must get along with
        main.write_text(
            f"persistence true\npersistence_location {folder}/\n"
            f"user {getpass.getuser()}\ninclude_dir {included}\n",
            encoding="utf-8",
        )
        argv = [binary("mosquitto"), "-c", str(main)]
        super().__init__(argv, port=plain_port, log=folder / "mosquitto.log")

    def broker(self, user: str, password: str | None = None) -> Broker:
        """Return how `user` reaches the TLS listener."""
        return Broker(
            host="localhost",
            port=self.tls_port,
            username=user,
            password=password or PASSWORDS[user],
            tls=True,
            ca_file=self.ca,
        )

    @asynccontextmanager
    async def connected(self, user: str, password: str | None = None) -> AsyncIterator[Connection]:
        """Connect as `user`, with an agent's last will."""
        will = aiomqtt.Will(status_topic(user), b"gone", qos=1)
        broker = self.broker(user, password)
        async with Connection(broker, identifier=f"test-{user}", will=will) as connection:
            yield connection


@pytest.fixture(scope="module")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """Return the server's certificate."""
    return Authority(tmp_path_factory.mktemp("authority")).issue("localhost")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, key_pair: KeyPair) -> Iterator[Installed]:
    """Run the broker as deployed."""
    acl = (DEPLOY / "mosquitto/acl").read_text(encoding="utf-8")
    with Installed(tmp_path_factory.mktemp("mosquitto") / "m", key_pair, acl=acl) as broker:
        yield broker


async def _heard(connection: Connection, *, until: str) -> list[str]:
    """Return the topics of all messages that come, up to and with `until`."""
    heard: list[str] = []
    async for message in connection.messages:
        heard.append(str(message.topic))
        if heard[-1] == until:
            break
    return heard


async def test_an_agent_writes_its_own_topics_only(installed: Installed) -> None:
    """Its data and status are taken; another agent's, and commits, are refused."""
    async with installed.connected("agent-1") as agent:
        for topic in (data_topic("agent-1", "workshop"), status_topic("agent-1")):
            assert await agent.send(topic, b"x") in TAKEN
        for topic in (
            data_topic("agent-2", "workshop"),
            status_topic("agent-2"),
            commit_topic("agent-1", "workshop"),
        ):
            assert await agent.send(topic, b"x") == NOT_AUTHORISED


async def test_the_sink_reads_data_and_writes_commits(installed: Installed) -> None:
    """It hears every agent and may tell each, and say so at its start; it writes no data."""
    async with installed.connected("sink") as sink, installed.connected("agent-1") as agent:
        await sink.subscribe("lini/v1/data/+/+", qos=1)
        await agent.send(data_topic("agent-1", "workshop"), b"x")
        async with asyncio.timeout(5):
            assert await _heard(sink, until=data_topic("agent-1", "workshop"))
        for topic in (commit_topic("agent-1", "workshop"), commit_topic("lini-sink", "start")):
            assert await sink.send(topic, b"x") in TAKEN
        assert await sink.send(data_topic("agent-1", "workshop"), b"x") == NOT_AUTHORISED


async def test_an_agent_hears_its_own_commits_only(installed: Installed) -> None:
    """Whoever asks for everything gets nobody else's data, and nobody else's commits."""
    mine, others = commit_topic("agent-2", "workshop"), commit_topic("agent-1", "workshop")
    async with (
        installed.connected("sink") as sink,
        installed.connected("agent-1") as agent,
        installed.connected("agent-2") as curious,
    ):
        await curious.subscribe("lini/v1/#", qos=1)
        await agent.send(data_topic("agent-1", "workshop"), b"x")
        await sink.send(others, b"x")
        await sink.send(mine, b"x")
        async with asyncio.timeout(5):
            assert await _heard(curious, until=mine) == [mine]


@pytest.mark.parametrize(("user", "password"), [("agent-1", "wrong"), ("nobody", "one")])
async def test_no_one_connects_without_a_password(
    installed: Installed, user: str, password: str
) -> None:
    """A wrong password and an unknown user are refused."""
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with installed.connected(user, password):
            pass


async def test_loopback_asks_for_a_password_too(installed: Installed) -> None:
    """The listener without TLS is no way around."""
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with aiomqtt.Client("127.0.0.1", installed.port):
            pass


async def test_control_without_the_access_list_an_agent_writes_anothers_data(
    tmp_path: Path, key_pair: KeyPair
) -> None:
    """Shows that the refusals above are the access list's, and would be missed."""
    with Installed(tmp_path / "m", key_pair, acl="topic readwrite #\npattern readwrite #\n") as it:
        async with it.connected("agent-1") as agent:
            assert await agent.send(data_topic("agent-2", "workshop"), b"x") in TAKEN
