"""Looking at a spool that no agent uses: all of it is seen, and nothing of it changed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.delivery.entry import Limits, SpoolError, SpoolRefusedError
from agent.delivery.spool import Spool
from agent.delivery.view import looking_at
from tests.unit.delivery.spool_conformance import draft

LIMITS = Limits(max_bytes=1_000_000)


def _state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


async def _filled(path: Path) -> None:
    async with Spool(path, clock=lambda: 5) as spool:
        await spool.append([draft(f"a b={n}i {n}", pack=True) for n in range(30)])
        await spool.append([draft("r a=1i 1", kind="evidence", uplink="own")])
        await spool.commit("oem", spool.epoch, [(1, 10)])


async def _left_by_a_killed_agent(path: Path, folder: Path) -> Path:
    """Return a spool with its newest messages only in the log."""
    async with Spool(path, clock=lambda: 5) as spool:
        await spool.append([draft("a b=30i 30")])
        return Path(shutil.copytree(path.parent, folder)) / path.name


async def test_a_stopped_agents_spool_is_seen_and_left_alone(tmp_path: Path) -> None:
    """Queues, messages in order with readable lines, and the room."""
    path = tmp_path / "data" / "spool.db"
    await _filled(path)
    before = _state(path.parent)
    with looking_at(path) as spool:
        seen = spool.overview(LIMITS)
        page = spool.page("oem", 12, 3)
        assert spool.page("oem", 30, 3).messages == ()
    assert [(each.uplink, each.stats.messages) for each in seen.queues] == [("oem", 20), ("own", 1)]
    assert {each.stats.oldest_at_ns for each in seen.queues} == {5}
    assert seen.room == LIMITS.max_bytes - sum(each.stats.bytes for each in seen.queues)
    assert [(each.seq, each.lines) for each in page.messages] == [
        (seq, (f"a b={seq - 1}i {seq - 1}",)) for seq in (13, 14, 15)
    ]
    assert _state(path.parent) == before


async def test_what_a_killed_agent_left_in_its_log_is_seen(tmp_path: Path) -> None:
    """The control reads the file without its log, and misses it."""
    await _filled(tmp_path / "data" / "spool.db")
    path = await _left_by_a_killed_agent(tmp_path / "data" / "spool.db", tmp_path / "killed")
    before = _state(path.parent)
    with looking_at(path) as spool:
        assert [each.seq for each in spool.page("oem", 29, 9).messages] == [30, 31]
    assert _state(path.parent) == before
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (21,)
    async with Spool(path) as spool:
        assert len(await spool.peek("oem", 0, 99)) == 21


async def test_a_spool_in_use_is_not_looked_at(tmp_path: Path) -> None:
    """And the agent cannot start while somebody looks."""
    path = tmp_path / "spool.db"
    async with Spool(path) as spool:
        with pytest.raises(SpoolRefusedError, match="does not answer"), looking_at(path):
            pass
        await spool.append([draft()])
    with looking_at(path):  # noqa: SIM117 - order matters
        with pytest.raises(SpoolRefusedError, match="another agent"):
            async with Spool(path):
                pass
    async with Spool(path) as spool:
        assert len(await spool.peek("oem", 0, 9)) == 1


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """No spool, and one that is damaged, each with a next step; neither is changed."""
    with pytest.raises(SpoolError, match="no spool"), looking_at(tmp_path / "spool.db"):
        pass
    assert not list(tmp_path.iterdir())
    path = tmp_path / "spool.db"
    path.write_bytes(b"nonsense" * 1000)
    before = _state(tmp_path)
    with pytest.raises(SpoolError, match="salvages"), looking_at(path):
        pass
    assert _state(tmp_path) == before
