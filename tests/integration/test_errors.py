"""What people see when something is wrong: one clear message, the next step, an exit code."""

import socket
from pathlib import Path

import pytest

from tests.services.lini import Role, run_once
from tests.services.mosquitto import Mosquitto
from tests.services.ports import free_port

EDGE = """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"

[page]
host = "127.0.0.1"
port = {page}

[[bus]]
name = "plc"
host = "127.0.0.1"
port = {plc}

[[station]]
name = "welder-1"
bus = "plc"
profile = "spot-welder-plc"

[[uplink]]
name = "workshop"
host = "127.0.0.1"
port = {broker}
"""

SINK = """
[broker]
host = "127.0.0.1"
port = {broker}

[influx]
url = "http://127.0.0.1:{influx}"
bucket = "lini"
token_file = "token"
"""


def edge_file(folder: Path, text: str = EDGE, **ports: int) -> Path:
    path = folder / "lini.toml"
    names = {name: ports.get(name) or free_port() for name in ("page", "plc", "broker")}
    path.write_text(text.format(**names))
    return path


def sink_file(folder: Path, text: str = SINK, **ports: int) -> Path:
    path = folder / "sink.toml"
    (folder / "token").write_text("secret-token")
    names = {name: ports.get(name) or free_port() for name in ("broker", "influx")}
    path.write_text(text.format(**names))
    return path


def test_every_fault_of_a_configuration_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = EDGE.replace('site = "bengkel"', 'siet = "bengkel"').replace("port = {plc}", "port = 0")
    done = run_once("run", "--config", edge_file(tmp_path, text))
    assert done.returncode == 2
    assert "lini.toml:4: agent.siet: is not a known key" in done.stderr
    assert "did you mean `site`?" in done.stderr
    assert "lini.toml:14: bus.0.port: input should be greater than or equal to 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    done = run_once("run", "--config", tmp_path / "nowhere.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere.toml: there is no such file" in done.stderr


def test_an_unknown_profile_is_told_with_the_known_ones(tmp_path: Path) -> None:
    text = EDGE.replace("spot-welder-plc", "spot-wielder")
    done = run_once("run", "--config", edge_file(tmp_path, text))
    assert done.returncode == 2
    assert "station welder-1: there is no profile `spot-wielder`" in done.stderr
    assert "choose one of: cell-sorter-plc" in done.stderr


def test_a_taken_port_of_the_page_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_once("run", "--config", edge_file(tmp_path, page=port))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by another program" in done.stderr
    assert "give the page another port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_not_sent_over_an_open_network(tmp_path: Path) -> None:
    text = EDGE.replace(
        'name = "workshop"\nhost = "127.0.0.1"',
        'name = "workshop"\nhost = "broker.example"\npassword_file = "secret"',
    )
    done = run_once("run", "--config", edge_file(tmp_path, text))
    assert done.returncode == 2
    assert "set `tls = true`" in done.stderr


def test_a_machine_that_is_off_is_told_once_and_the_agent_goes_on(tmp_path: Path) -> None:
    agent = Role("run", edge_file(tmp_path))
    with agent:
        agent.logged("bengkel/line-1/welder-1 is lost: plc: no connection to 127.0.0.1:")
        agent.logged("check that the machine is on, the cable and the address")
        assert agent.stop() == 0
    assert agent.log.read_text().count("welder-1 is lost") == 1


@pytest.mark.mosquitto
def test_a_wrong_password_ends_the_sink_and_is_told_by_the_agent(tmp_path: Path) -> None:
    """The sink has nothing to do without a broker; the agent has, and keeps on collecting."""
    (tmp_path / "wrong").write_text("not-the-password")
    login = 'username = "pi-1"\npassword_file = "wrong"\n'
    with Mosquitto(tmp_path / "mosquitto", users={"pi-1": "right"}) as broker:
        text = SINK.replace("port = {broker}", "port = {broker}\n" + login)
        done = run_once("sink", "--config", sink_file(tmp_path, text, broker=broker.port))
        assert done.returncode == 1
        assert "check user name and password" in done.stderr
        assert "not-the-password" not in done.stderr
        agent = Role("run", edge_file(tmp_path, EDGE + login, broker=broker.port))
        with agent:
            agent.logged("refuses user 'pi-1'")
            agent.logged("check username and password")
            assert agent.stop() == 0
        assert "not-the-password" not in agent.log.read_text()


def test_a_broker_that_is_not_there_ends_the_start_of_the_sink(tmp_path: Path) -> None:
    done = run_once("sink", "--config", sink_file(tmp_path))
    assert done.returncode == 1
    assert "check that the broker runs, its address" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_secret_is_told_without_a_broker(tmp_path: Path) -> None:
    path = sink_file(tmp_path)
    (tmp_path / "token").unlink()
    done = run_once("sink", "--config", path)
    assert done.returncode == 2
    assert "token: the secret cannot be read" in done.stderr


@pytest.mark.mosquitto
def test_an_influxdb_that_is_not_there_is_told_and_waited_for(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    sink = Role("sink", sink_file(tmp_path, broker=mosquitto.port))
    agent = Role("run", edge_file(tmp_path, broker=mosquitto.port))
    with sink, agent:
        sink.logged("http://127.0.0.1:")
        assert sink.stop() == 0
        assert agent.stop() == 0
    told = sink.log.read_text()
    assert "→" in told
    assert "Traceback" not in told
