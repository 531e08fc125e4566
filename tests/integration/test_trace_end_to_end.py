"""From the machines to `lini trace`: every weld of a module, once, under what was in force then."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from agent.control.client import NoAgentError, ask
from agent.control.requests import ListOrphans, Trace
from agent.demo.site_file import site_file
from agent.genealogy.life import Answer, Life, Queue
from collectors.record import Result
from collectors.simulated import ledger, welder
from collectors.simulated.ledger import Deed, Part
from collectors.simulated.line import LineSpec, SimulatedLine
from tests.services.lini import Role, run_once
from tests.services.ports import free_port
from tests.services.waiting import eventually

PARTS = 200
_FIRST_LOOK = 60
Identity = tuple[str, int, int]  # station, epoch, seq
# What the deeds in the machines' ledger look like to the agent.
EVENTS = {
    "lot_changed": "lot_started",
    "recipe_changed": "recipe_changed",
    "electrode_dressed": "electrode_dressed",
    "electrode_changed": "electrode_changed",
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, Role]]:
    """Return a folder and the agent that will run in it; nobody is at the broker's address."""
    config = tmp_path / "lini.toml"
    agent = Role("run", config)
    yield config, agent
    agent.kill()


def asked(config: Path, serial: str) -> Answer:
    return ask(config.parent / "lini-data" / "lini.sock", Trace(serial=serial), Answer)


def is_up(config: Path) -> bool:
    try:
        asked(config, "anything")
    except NoAgentError:
        return False
    return True


async def made_more(line: SimulatedLine, parts: int) -> None:
    goal = line.counts()["welder-1"] + parts
    await eventually(lambda: line.counts()["welder-1"] >= goal, timeout_s=60)


def identities(life: Life) -> list[Identity]:
    return [(each.station, each.epoch, each.seq) for each in life.part.records]


def by_serial(parts: list[Part]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        found[part.serial].append(part)
    return found


async def test_trace_tells_what_the_machines_did(
    site: tuple[Path, Role], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lots, recipes and dressings, an agent killed in between; by the socket, and by the command."""
    monkeypatch.setattr(welder, "_MODULES_A_LOT", 1)
    monkeypatch.setattr(welder, "_DRESSINGS_AN_ELECTRODE", 2)
    monkeypatch.setattr(welder.Welder, "_draw_life", lambda _: 70)
    config, agent = site
    truth = config.with_name("ledger.jsonl")
    spec = LineSpec(seed=5, speed=28, formation_speed=2000, parts=PARTS)
    async with SimulatedLine(spec, ledger_path=truth) as line:
        text = site_file(line.equipment, broker_port=free_port(), flush_s=0.2)
        config.write_text(text.replace("[page]", "[page]\nenabled = false"), encoding="utf-8")
        with agent:
            await made_more(line, 90)
            agent.kill()
            await made_more(line, 40)
            line.pause()
            agent.start()
            await eventually(partial(is_up, config), timeout_s=30)
            line.resume()
            await eventually(line.finished.is_set, timeout_s=60)
            parts = list(ledger.read(truth))
            assert len(parts) == sum(line.counts().values())
            await everything_is_told(config, by_serial(parts))
            enter_and_trace(config, parts)
            assert agent.stop() == 0
        trace_from_the_file(config, parts)
    every_deed_is_an_event(config, list(ledger.read_deeds(truth)))
    control_a_weld_that_is_gone_is_missed(config, parts)


async def everything_is_told(config: Path, truth: dict[str, list[Part]]) -> None:
    """Check each module, and some cells, against the ledger: all records, each once."""
    newest = {part.station: part for parts in truth.values() for part in parts if part.serial}
    for part in newest.values():
        await eventually(partial(is_told, config, part), timeout_s=30)
    some = sorted(serial for serial in truth if not serial.startswith("MOD-"))[::40]
    for serial in [each for each in truth if each.startswith("MOD-")] + some:
        if not serial:
            continue
        (life,) = asked(config, serial).lives
        made = truth[serial]
        assert identities(life) == [(each.station, each.epoch, each.seq) for each in made], serial
        for told, part in zip(life.part.records, made, strict=True):
            assert (told.result, told.code) == (part.result, part.code)
            assert dict(told.tags) == part.tags
            if part.kind == "weld" and part.result is not Result.TEST:
                if "electrode" in part.values:  # of the spot welders, which have a map
                    assert told.position is not None
                    assert told.in_force["electrode"].value == str(part.values["electrode"])
                # The very first were read before the agent had looked at the lot.
                if part.seq > _FIRST_LOOK:
                    assert told.in_force.keys() >= {"lot", "recipe"}
    socket = config.parent / "lini-data" / "lini.sock"
    queue = ask(socket, ListOrphans(), Queue)
    lost = sum(run.last - run.first + 1 for run in queue.runs)
    assert lost == len(truth.get("", []))


def is_told(config: Path, part: Part) -> bool:
    """Return whether a part has its record; all before it have theirs then, they come in order."""
    identity = (part.station, part.epoch, part.seq)
    return any(identity in identities(life) for life in asked(config, part.serial).lives)


def enter_and_trace(config: Path, parts: list[Part]) -> None:
    """Enter by the command what people know, and have it told."""
    cells = [part.serial for part in parts if part.kind == "cell" and part.result is Result.OK]
    sheet = config.with_name("cells.csv")
    rows = [f"MOD-1000001;{place};{cell}" for place, cell in enumerate(cells[:20], start=1)]
    sheet.write_text("\n".join(["parent;position;child", *rows, "PACK-1;A;MOD-1000001"]))
    done = run_once("trace", "import", sheet, "--by", "ani", "-c", config)
    assert done.stdout == "21 entered, 0 known already\n", done.stderr
    told = run_once("trace", cells[2], "-c", config)
    assert told.returncode == 0, told.stderr
    assert "MOD-1000001, position 3" in told.stdout
    assert "PACK-1, position A" in told.stdout
    assert told.stdout.count(f"cells {cells[2]}") == 4, "two welds a side"
    wrong = run_once("trace", "place", "MOD-1000001", "1", cells[30], "-c", config)
    assert wrong.returncode == 1
    assert f"MOD-1000001 1 holds {cells[0]}: to correct that, give a reason" in wrong.stderr
    right = ["--reason", "fell down", "--by", "budi"]
    assert run_once("trace", "place", "MOD-1000001", "1", cells[30], *right, "-c", config).stdout
    told = run_once("trace", cells[0], "-c", config)
    assert "(superseded)" in told.stdout
    entered = ["maintenance", "--station", "welder-1", "--note", "new belt", "--by", "ani"]
    done = run_once("event", *entered, "-c", config)
    assert done.stdout == "maintenance at welder-1 is stored\n", done.stderr
    nowhere = run_once("event", "maintenance", "--station", "welder-9", "-c", config)
    assert nowhere.returncode == 1
    assert "there is no station `welder-9`" in nowhere.stderr


def every_deed_is_an_event(config: Path, deeds: list[Deed]) -> None:
    """Check that each was seen, once and in order, and that none was invented."""
    query = (
        "SELECT name, kind, json_extract(facts, '$.value') FROM event"
        " JOIN station ON station.id = station ORDER BY event.id"
    )
    with closing(sqlite3.connect(config.parent / "lini-data" / "genealogy.db")) as db:
        rows = [row for row in db.execute(query) if row[1] in EVENTS.values()]
    for kind, event in EVENTS.items():
        # A counter that begins anew has gone on by the time it is looked at.
        is_counter = kind == "electrode_dressed"
        seen = [
            (name, None if is_counter else after) for name, each, after in rows if each == event
        ]
        done = [
            (each.station, None if is_counter else each.after)
            for each in deeds
            if each.deed == kind
        ]
        assert sorted(seen) == sorted(done), kind
    assert {each.deed for each in deeds} == EVENTS.keys(), "the line is too tame to prove anything"


def control_a_weld_that_is_gone_is_missed(config: Path, parts: list[Part]) -> None:
    """Show that the comparison above would fail: one row deleted."""
    gone = next(part for part in parts if part.serial == "MOD-1000001")
    with closing(sqlite3.connect(config.parent / "lini-data" / "genealogy.db")) as db, db:
        query = "SELECT source.id FROM source JOIN station ON station.id = station WHERE name = ?"
        (source,) = db.execute(query, [gone.station]).fetchone()
        key = [source, gone.epoch, gone.seq]
        db.execute("DELETE FROM record WHERE source = ? AND epoch = ? AND seq = ?", key)
    with pytest.raises(AssertionError):
        trace_from_the_file(config, parts)


def trace_from_the_file(config: Path, parts: list[Part]) -> None:
    """Ask once the agent is gone: the command opens the file, and says what only an agent can do."""
    module = json.loads(run_once("trace", "MOD-1000001", "--json", "-c", config).stdout)
    (life,) = module["lives"]
    welds = [part for part in parts if part.serial == "MOD-1000001"]
    assert [each["seq"] for each in life["part"]["records"]] == [each.seq for each in welds]
    assert len(life["part"]["parts"]) == 20
    unknown = run_once("trace", "MOD-1O00001", "-c", config)
    assert unknown.returncode == 1
    assert "did you mean: MOD-1000001" in unknown.stderr
    lot = run_once("trace", "--lot", "M0001-1", "-c", config)
    assert lot.returncode == 0, lot.stderr
    assert "1 packs" in lot.stdout
    assert "PACK-1" in lot.stdout
    event = run_once("event", "maintenance", "--station", "welder-1", "-c", config)
    assert event.returncode == 1
    assert "start it with `lini run`" in event.stderr
