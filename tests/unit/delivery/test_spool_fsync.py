"""An fsync that fails: the batch is not safe, and is stored again from memory."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from agent.delivery.spool import Spool
from agent.wire.message import decode
from tests.services.process import binary
from tests.unit.delivery.fsync_rounds import MESSAGES, NOT_OPENED, line

_ROOT = Path(__file__).parents[3]
_PROGRAM = [sys.executable, "-m", "tests.unit.delivery.fsync_rounds"]


def _run(path: Path, *inject: str) -> tuple[int | None, int]:
    """Return how many attempts failed (None: it did not open), and how many fsyncs there were."""
    trace = path.with_suffix(".trace")
    strace = [binary("strace"), "-f", "-o", str(trace), "-e", "trace=fdatasync,fsync", *inject]
    argv = [*strace, *_PROGRAM, str(path)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=_ROOT, timeout=30)
    if "Operation not permitted" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode in {0, NOT_OPENED}, done.stderr
    failed = int(done.stdout) if done.returncode == 0 else None
    return failed, trace.read_text().count("sync(")


def _fail(which: int) -> tuple[str, str]:
    return "-e", f"inject=fdatasync:error=EIO:when={which}"


async def _lines(path: Path) -> list[str]:
    """Return all lines of the spool, once its numbers are known to be without a gap."""
    async with Spool(path) as spool:
        assert spool.salvage is None
        stored = await spool.peek("oem", 0, 999)
    assert [each.seq for each in stored] == list(range(1, len(stored) + 1))
    return [text for each in stored for text in decode(each.payload).lines]


def _journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.parametrize("which", [8, 9, 20])
async def test_an_append_whose_fsync_fails_is_told_and_can_be_repeated(
    tmp_path: Path, which: int
) -> None:
    """The agent goes on with the file opened anew; no message is missing."""
    path = tmp_path / "spool.db"
    failed, _ = _run(path, *_fail(which))
    assert failed == 1
    lines = await _lines(path)
    assert set(lines) == {line(number) for number in range(MESSAGES)}
    assert len(lines) <= MESSAGES + failed


@pytest.mark.parametrize("which", [1, 2, 3, 4, 5, 6])
async def test_a_start_whose_fsync_fails_leaves_a_good_spool(tmp_path: Path, which: int) -> None:
    """It gives up, or goes on with a write-ahead log; the next start finds one, and all messages."""
    path = tmp_path / "spool.db"
    failed, _ = _run(path, *_fail(which))
    assert failed is None or (failed == 0 and _journal_mode(path) == "wal")
    again, _ = _run(path)
    assert again == 0
    assert _journal_mode(path) == "wal"
    lines = await _lines(path)
    assert set(lines) == {line(number) for number in range(MESSAGES)}
    assert len(lines) == MESSAGES * (1 if failed is None else 2)


def test_without_a_fault_there_is_one_fsync_a_commit(tmp_path: Path) -> None:
    """Control: nothing fails by itself, and the disk is really asked at each append."""
    failed, syncs = _run(tmp_path / "spool.db")
    assert failed == 0
    assert MESSAGES <= syncs < MESSAGES + 15
