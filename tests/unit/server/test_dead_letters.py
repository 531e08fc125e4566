"""Dead letters: on the disk before they are settled, bounded, and never dropped in silence."""

import sqlite3
from pathlib import Path

import pytest

from agent.server.dead_letters import DeadLetter, DeadLetters, DiskError


def letter(content: bytes = b"rubbish", header: str = "agent=pi1 seq=1") -> DeadLetter:
    return DeadLetter(
        time_ns=1, topic="lini/v1/data/pi1/home", header=header, reason="why", content=content
    )


async def test_a_letter_outlives_the_process(tmp_path: Path) -> None:
    """What was added is there for the next one who opens the file, bytes unchanged."""
    async with DeadLetters(tmp_path / "letters.db") as letters:
        await letters.add([letter(b"\x00\xff\n"), letter(b"")])
    async with DeadLetters(tmp_path / "letters.db") as letters:
        kept = await letters.letters()
    assert [each.content for each in kept] == [b"\x00\xff\n", b""]
    assert (kept[0].time_ns, kept[0].topic, kept[0].header, kept[0].reason) == (
        *(1, "lini/v1/data/pi1/home"),
        *("agent=pi1 seq=1", "why"),
    )
    assert len({each.id for each in kept}) == 2


async def test_it_is_on_the_disk_when_add_returns(tmp_path: Path) -> None:
    """Another connection sees it, and commits are synced in full."""
    async with DeadLetters(tmp_path / "letters.db") as letters:
        await letters.add([letter()])
        other = sqlite3.connect(tmp_path / "letters.db")
        assert other.execute("SELECT count(*) FROM letter").fetchone() == (1,)
        other.close()
        assert letters._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert letters._db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_the_same_line_of_the_same_message_is_kept_once(tmp_path: Path) -> None:
    """A message that is delivered again does not double its dead letters."""
    async with DeadLetters(tmp_path / "letters.db") as letters:
        await letters.add([letter(), letter()])
        await letters.add([letter()])
        assert await letters.count() == 1
        await letters.add([letter(header="agent=pi1 seq=2")])
        assert await letters.count() == 2


async def test_the_oldest_make_room_and_are_counted(tmp_path: Path) -> None:
    """The file is bounded; how much was pushed out is known, also after a restart."""
    path = tmp_path / "letters.db"
    async with DeadLetters(path, max_bytes=1_000) as letters:
        for number in range(25):
            await letters.add([letter(b"%04d" % number * 25)])
        assert [each.content[:4] for each in await letters.letters()] == [
            b"%04d" % number for number in range(15, 25)
        ]
        assert await letters.pushed_out() == 15
    async with DeadLetters(path, max_bytes=1_000) as letters:
        await letters.add([letter(b"x" * 500)])
        assert (await letters.count(), await letters.pushed_out()) == (6, 20)


async def test_letters_are_read_in_pages_and_removed(tmp_path: Path) -> None:
    """A person works through them and takes out what is done; room comes back."""
    async with DeadLetters(tmp_path / "letters.db", max_bytes=1_000) as letters:
        await letters.add([letter(b"%04d" % number * 25) for number in range(10)])
        first = await letters.letters(limit=4)
        rest = await letters.letters(after_id=first[-1].id)
        assert [each.content[:4] for each in first + rest] == [b"%04d" % n for n in range(10)]
        assert await letters.remove([(1, first[-1].id), (12345, 12345)]) == 4
        await letters.add([letter(b"%04d" % number * 25) for number in range(20, 24)])
        assert (await letters.count(), await letters.pushed_out()) == (10, 0)


async def test_a_full_disk_is_told_and_nothing_half_is_kept(tmp_path: Path) -> None:
    """DiskError means: settle nothing. When there is room again the same letters go in."""
    async with DeadLetters(tmp_path / "letters.db") as letters:
        letters._db.execute("PRAGMA max_page_count = 20")
        many = [letter(b"%08d" % number * 100) for number in range(200)]
        with pytest.raises(DiskError, match="full"):
            await letters.add(many)
        assert await letters.count() == 0
        letters._db.execute("PRAGMA max_page_count = 100000")
        await letters.add(many)
        assert await letters.count() == 200


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The error names the file; nothing of it is touched."""
    path = tmp_path / "letters.db"
    path.write_bytes(b"not a database, but somebody's letter" * 99)
    before = path.read_bytes()
    with pytest.raises(DiskError, match=r"letters\.db"):
        await DeadLetters(path).__aenter__()
    assert path.read_bytes() == before
