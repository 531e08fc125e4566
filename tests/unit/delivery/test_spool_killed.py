"""kill -9 at any moment costs nothing whose append had returned."""

import json
import subprocess
import sys
from pathlib import Path

_ROUNDS = 100
_ROOT = Path(__file__).parents[3]


def _rounds(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "tests.unit.delivery.kill_rounds", str(folder), str(_ROUNDS), "1"]
    return subprocess.run(
        [*argv, *more], check=False, capture_output=True, text=True, timeout=100, cwd=_ROOT
    )


def test_every_append_that_returned_is_there(tmp_path: Path) -> None:
    """Numbers go on without gap or double use, cursor and rows agree, after each of 100 kills."""
    done = _rounds(tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["stored"] >= result["told"] > 3 * _ROUNDS


def test_the_rounds_would_catch_a_liar(tmp_path: Path) -> None:
    """Control: a spool that says "safe" before it is, is caught."""
    done = _rounds(tmp_path, "early")
    assert done.returncode != 0
    assert "had returned, but only" in done.stderr
