"""The spool in SQLite: the conformance suite, and what can go wrong with a file."""

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agent.delivery.entry import Draft, Limits, SpoolError, SpoolRefusedError
from agent.delivery.spool import Spool
from agent.delivery.spool_file import SpoolFile
from agent.wire.message import decode
from collectors.record import Cursor
from tests.unit.delivery.spool_conformance import Opens, SpoolConformance, draft, told

_PAGE = 4096


class TestSpool(SpoolConformance):
    """SQLite keeps the promises."""

    @pytest.fixture
    def opens(self) -> Opens:
        """Return how to open it."""

        def opened(folder: Path, *, now: int = 0, free: int = 10**12) -> Spool:
            path = folder / "spool" / "spool.db"
            return Spool(path, clock=lambda: now, disk_free=lambda _: free)

        return opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the spool lies."""
    return tmp_path / "spool" / "spool.db"


def test_the_settings_that_make_it_durable_are_in_force(tmp_path: Path) -> None:
    """WAL with an fsync per commit, in SQLite's own words."""
    file = SpoolFile(tmp_path / "spool.db", cap_bytes=1 << 20, clock=lambda: 0)
    with closing(file):
        assert file._db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert file._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file._db.execute("PRAGMA locking_mode").fetchone() == ("exclusive",)
        assert file._db.execute("PRAGMA max_page_count").fetchone() == ((1 << 20) // _PAGE,)


async def test_nobody_else_may_read_the_files(path: Path) -> None:
    """Folder 0700, files 0600: records are the workshop's secret."""
    async with Spool(path) as spool:
        await spool.append([draft()])
        assert path.parent.stat().st_mode & 0o777 == 0o700
        files = list(path.parent.iterdir())
        assert len(files) >= 3
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_a_second_connection_is_locked_out(path: Path) -> None:
    """The WAL-reset bug needs two connections; there cannot be two."""
    async with Spool(path) as spool:
        await spool.append([draft()])
        with closing(sqlite3.connect(path, timeout=0)) as other:  # noqa: SIM117 - order matters
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("SELECT * FROM meta").fetchall()


async def test_a_newer_version_is_refused_untouched(path: Path) -> None:
    """Going back to an older Lini must not cost data."""
    async with Spool(path) as spool:
        await spool.append([draft()])
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE meta SET value = '3' WHERE key = 'schema'")
        db.commit()
    before = _bytes(path)
    with pytest.raises(SpoolRefusedError, match="newer"):
        async with Spool(path):
            pass
    assert _bytes(path) == before


async def test_a_spool_of_version_1_is_taken_over(path: Path) -> None:
    """Its messages and cursors stay; a cursor has no mark then, and can be given one."""
    async with Spool(path) as spool:
        await spool.append([draft()], {"welder": Cursor(epoch=2, seq=17, mark="a")})
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE cursor DROP COLUMN mark")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
        db.commit()
    for _ in range(2):
        async with Spool(path) as spool:
            assert spool.salvage is None
            assert await spool.cursor("welder") == Cursor(epoch=2, seq=17)
            assert len(await spool.peek("oem", 0, 9)) == 1
    async with Spool(path) as spool:
        await spool.append([], {"welder": Cursor(epoch=2, seq=18, mark="b")})
        assert await spool.cursor("welder") == Cursor(epoch=2, seq=18, mark="b")


async def test_a_foreign_database_is_refused_untouched(path: Path) -> None:
    """A wrong path in the configuration must not turn someone's database into a spool."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE welds (a)")
    before = _bytes(path)
    with pytest.raises(SpoolRefusedError, match="not a spool"):
        async with Spool(path):
            pass
    assert _bytes(path) == before


async def _filled(path: Path, messages: int = 60) -> str:
    """Make a spool of messages of three pages each; return its epoch."""
    async with Spool(path) as spool:
        for number in range(messages):
            lines = [f"a,n={number} b={n}i {n}" for n in range(600)]
            await spool.append([draft(*lines)], {"welder": Cursor(seq=number)})
        return spool.epoch


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _replace(path: Path, old: bytes, new: bytes) -> None:
    assert path.read_bytes().count(old) == 1
    path.write_bytes(path.read_bytes().replace(old, new))


def _rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def _zero(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * _PAGE)
        file.write(bytes(_PAGE))


def _garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 999)


def _no_header(path: Path) -> None:
    _zero(path, 0)


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // _PAGE * _PAGE)


@pytest.mark.parametrize("damage", [_garbage, _no_header, _cut])
async def test_a_damaged_file_is_set_aside(path: Path, damage: Callable[[Path], None]) -> None:
    """The agent starts with a new epoch, the old file is kept, and the caller is told."""
    epoch = await _filled(path)
    damage(path)
    damaged = _bytes(path)
    async with Spool(path) as spool:
        assert spool.salvage is not None
        assert spool.epoch != epoch
        assert _bytes(spool.salvage.file) == damaged
        assert spool.salvage.lost is None or spool.salvage.lost > 0
        await spool.append([draft()])
        assert (await spool.stats("oem")).messages == spool.salvage.messages + 1
    async with Spool(path) as spool:
        assert spool.salvage is None


async def test_a_sound_file_is_not_set_aside(path: Path) -> None:
    """The control: nothing is salvaged where nothing is broken."""
    epoch = await _filled(path)
    async with Spool(path) as spool:
        assert (spool.salvage, spool.epoch) == (None, epoch)


async def test_one_broken_page_costs_one_message(path: Path) -> None:
    """Every other message goes on, intact, under the new epoch; cursors too."""
    await _filled(path)
    async with Spool(path) as spool:
        originals = await _lines(spool)
    _zero(path, _leaf(path))
    async with Spool(path) as spool:
        assert spool.salvage is not None
        assert 55 <= spool.salvage.messages < 60
        assert spool.salvage.lost == 60 - spool.salvage.messages
        lines = await _lines(spool)
        assert len(lines) == spool.salvage.messages
        assert all(each in originals for each in lines)
        assert await spool.cursor("welder") == Cursor(seq=59)


async def _lines(spool: Spool) -> list[Sequence[str]]:
    return [decode(each.payload).lines for each in await spool.peek("oem", 0, 999)]


def _leaf(path: Path) -> int:
    """Return the number of a page in the middle that holds messages of the table itself."""
    with path.open("rb") as file:
        data = file.read()
    leaves = [page for page in range(2, len(data) // _PAGE) if data[page * _PAGE] == 0x0D]
    return leaves[len(leaves) // 2]


async def test_a_flipped_bit_is_never_published(path: Path) -> None:
    """SQLite does not see it, the checksum does: that message is given up, the rest goes on."""
    await _filled(path, 3)
    _replace(path, b"a,n=1 b=500i 500", b"a,n=1 b=501i 500")
    async with Spool(path) as spool:
        assert spool.salvage is None
        with pytest.raises(SpoolError, match="checksum"):
            await spool.peek("oem", 0, 9)
        messages = [decode(each.payload) for each in await spool.peek("oem", 0, 9)]
        assert [each.lines[0] for each in messages] == ["a,n=0 b=0i 0", "a,n=2 b=0i 0"]
        assert {each.header.epoch for each in messages} == {spool.epoch}
        assert spool.salvage is not None
        assert (spool.salvage.messages, spool.salvage.lost) == (2, 1)


async def test_salvage_is_done_again_after_a_crash(path: Path) -> None:
    """Killed between setting the file aside and copying it: the next start copies it."""
    await _filled(path, 3)
    _rename(path, "spool.db.damaged")
    async with Spool(path) as spool:
        assert spool.salvage is not None
        assert (spool.salvage.messages, spool.salvage.lost) == (3, 0)
        assert not path.with_name("spool.db.damaged").exists()
        assert len(await spool.peek("oem", 0, 9)) == 3


async def test_a_full_disk_is_told_and_survived(path: Path) -> None:
    """Nothing half is stored, old messages can still be read and freed, and then it goes on."""
    big = draft("x" * 3_000)
    async with Spool(path, cap_bytes=100 * _PAGE) as spool:
        with pytest.raises(SpoolError, match="free some disk space"):
            await _append_for_ever(spool, big)
        kept = (await spool.stats("oem")).messages
        assert kept > 50
        assert await spool.cursor("welder") == Cursor(seq=kept)
        assert len(await spool.peek("oem", 0, 999)) == kept
        with pytest.raises(SpoolError):
            await spool.append([big])
        assert await spool.trim(Limits(max_bytes=50 * 3_000), told) is not None
        await spool.append([big])
        assert [each.seq for each in await spool.peek("oem", kept, 9)] == [kept + 1, kept + 2]


async def _append_for_ever(spool: Spool, each: Draft) -> None:
    for number in itertools.count(1):
        await spool.append([each], {"welder": Cursor(seq=number)})


async def test_a_disk_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A path that cannot be made is an error with a next step, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="check the disk"):
        async with Spool(tmp_path / "file" / "spool.db"):
            pass
