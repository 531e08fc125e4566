"""The whole agent on a machine with a hole: told once, known after a restart."""

import json
import logging
from pathlib import Path

import pytest

from agent.config import load_edge
from agent.runtime.edge import running
from tests.services.ports import free_port
from tests.services.refusing import RefusingDevice, serving
from tests.services.waiting import eventually

SITE = """
[agent]
name = "pi-1"
site = "bengkel"
line = "line-1"
profiles = "profiles"

[page]
enabled = false

[[uplink]]
name = "workshop"
host = "127.0.0.1"
port = {nobody}

[[bus]]
name = "plc"
transport = "tcp"
host = "127.0.0.1"
port = {plc}

[[station]]
name = "chiller-1"
bus = "plc"
device_id = 1
profile = "holey"
"""
PROFILE = """
title = { id = "Uji", en = "Test" }
family = "chiller"
maker = "none"
source = "made for this test"
grade = "bronze"

[groups]
live = 0.05

[[registers]]
name = "r"
address = 0
type = "uint16"
count = 40
"""


async def test_a_hole_is_told_once_and_not_asked_again_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = RefusingDevice(holes={7})
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "holey.toml").write_text(PROFILE)
    path, learned = tmp_path / "lini.toml", tmp_path / "lini-data" / "learned.json"
    async with serving(machine) as plc:
        path.write_text(SITE.format(plc=plc, nobody=free_port()))
        async with running(path, load_edge(path)):
            await eventually(learned.exists)  # at once, not only when the agent ends
            polls = len(machine.asked)
            await eventually(lambda: len(machine.asked) > polls + 10)
        told = [each.message for each in caplog.records if "refuses" in each.message]
        assert told == [
            "chiller-1 refuses `r_8` (holding 7, exception 2): left out, and asked again now and then"
        ]
        assert json.loads(learned.read_text())["holes"]["chiller-1"]["refused"]
        machine.asked.clear()
        machine.refused = 0
        async with running(path, load_edge(path)):
            await eventually(lambda: len(machine.asked) > 10)
    assert machine.refused == 0
    assert {(each.address, each.count) for each in machine.asked} == {(0, 7), (8, 32)}
