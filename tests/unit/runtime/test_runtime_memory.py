"""What the agent has learned: there after a restart, whatever happened to the file."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.runtime.memory import Memory
from tests.services.waiting import eventually

FACTS = {"map": "00ff", "walls": [["holding", 1, 10]]}


@asynccontextmanager
async def running(memory: Memory) -> AsyncIterator[None]:
    task = asyncio.create_task(memory.run())
    await asyncio.sleep(0)  # until its first wait: a task that never began saves nothing
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_facts_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    memory = Memory(path)
    async with running(memory):
        memory.remember("holes", "meter-1", FACTS)
        memory.remember("holes", "meter-2", FACTS)
        memory.remember("holes", "meter-2", {})
    assert Memory(path).recall("holes") == {"meter-1": FACTS}
    assert Memory(path).recall("counters") == {}


async def test_what_is_urgent_is_on_the_disk_at_once_and_the_rest_with_it(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    memory = Memory(path)
    async with running(memory):
        memory.remember("holes", "meter-1", FACTS)
        assert not path.exists()
        memory.remember("holes", "meter-2", FACTS, at_once=True)
        await eventually(path.exists)
        assert Memory(path).recall("holes") == {"meter-1": FACTS, "meter-2": FACTS}


async def test_nothing_is_written_when_nothing_was_learned(tmp_path: Path) -> None:
    """A card wears out by writing: the same facts again are no reason to."""
    path = tmp_path / "learned.json"
    memory = Memory(path)
    memory.remember("holes", "meter-1", FACTS)
    memory.save()
    path.unlink()
    memory.remember("holes", "meter-1", json.loads(json.dumps(FACTS)))
    memory.save()
    assert not path.exists()


@pytest.mark.parametrize("damage", ['{"holes": {"met', "[]", '{"holes": 1}', '{"holes": {"m": 2}}'])
def test_a_damaged_file_is_set_aside_and_told(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "learned.json"
    path.write_text(damage)
    memory = Memory(path)
    assert memory.recall("holes") == {}
    assert "is damaged" in caplog.text
    assert (tmp_path / "learned.damaged").read_text() == damage
    memory.remember("holes", "meter-1", FACTS)
    memory.save()
    assert Memory(path).recall("holes") == {"meter-1": FACTS}


def test_a_disk_that_takes_nothing_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder is missing, as on a disk that was not mounted; then it is there."""
    path = tmp_path / "data" / "learned.json"
    memory = Memory(path)
    memory.remember("holes", "meter-1", FACTS)
    memory.save()
    assert "could not be written" in caplog.text
    path.parent.mkdir()
    memory.save()
    assert Memory(path).recall("holes") == {"meter-1": FACTS}


def test_a_power_cut_while_writing_leaves_the_old_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced whole, and only once the new one is on the disk."""
    path = tmp_path / "learned.json"
    memory = Memory(path)
    memory.remember("holes", "meter-1", FACTS)
    memory.save()

    def cut(_: int) -> None:
        raise OSError("the power is gone")

    monkeypatch.setattr("os.fsync", cut)
    memory.remember("holes", "meter-1", {"map": "new"})
    memory.save()
    assert Memory(path).recall("holes") == {"meter-1": FACTS}
