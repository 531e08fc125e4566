"""`lini demo`: the whole of Lini on one machine, with a proof at its end and nothing left behind."""

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from tests.services.lini import COMMAND, run_once
from tests.services.ports import free_port
from tests.services.waiting import wait_until


def page(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def answers(port: int) -> bool:
    try:
        return bool(page(port, "/healthz"))
    except OSError:
        return False


def test_the_demo_shows_live_values_and_ends_with_a_proof(tmp_path: Path) -> None:
    """Machines, broker, agent, sink, database and page: every part made is stored once."""
    port = free_port()
    arguments = ["demo", "--seconds", "10", "--speed", "10", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1", "TERM": "dumb"}
    with subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, env=environment) as demo:
        wait_until(lambda: answers(port), timeout_s=30, what="the page answers")

        def stations() -> dict[str, dict[str, object]]:
            frame = json.loads(page(port, "/api/snapshot"))
            return {each["name"]: each for each in frame["stations"]}

        wait_until(
            lambda: all(each["seen_ms"] for each in stations().values()),
            what="every station has answered",
        )
        assert stations().keys() >= {"welder-1", "sorter-1", "formation-1", "chiller-1", "meter-1"}
        output, _ = demo.communicate(timeout=60)
    said = output.decode()
    assert demo.returncode == 0, said
    assert f"http://127.0.0.1:{port}/" in said
    assert "records missing, 0 twice, all values as made" in said
    assert "✓ 0 of 0" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_leads_to_the_next_one(tmp_path: Path) -> None:
    """Two demos may run side by side."""
    port = free_port()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    arguments = [str(COMMAND), "demo", "--seconds", "20", "--port", str(port)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=environment) as first:
        wait_until(lambda: answers(port), timeout_s=30, what="the page answers")
        second = run_once("demo", "--seconds", "3", "--port", str(port))
        first.terminate()
        assert first.wait(20) == 0
    assert second.returncode == 0, second.stderr
    assert f"http://127.0.0.1:{port + 1}/" in second.stdout
    assert list(tmp_path.iterdir()) == []
