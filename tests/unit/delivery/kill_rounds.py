"""Kill an agent's spool again and again, and look whether it kept its word.

Run as a program of its own (folder, rounds, seed, `early` for the control): it forks a victim
that appends and says so, kills it at a random moment and opens the file. Ends with an
AssertionError when a message whose append had returned is not there.
"""

import asyncio
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from agent.delivery.entry import Draft
from agent.delivery.spool import Spool
from agent.wire.message import decode
from collectors.record import Cursor


def _drafts(number: int) -> list[Draft]:
    """Return one to four messages that name the append they belong to."""
    return [
        Draft(
            agent="ws1",
            uplink="oem" if part % 2 else "own",
            config="0badcafe",
            kind="evidence",
            lines=[f"a b={number}i {line}" for line in range(number % 60 + 1)],
        )
        for part in range(number % 4 + 1)
    ]


async def _victim(path: Path, number: int, tell: int, *, early: bool) -> None:
    async with Spool(path) as spool:
        while True:
            number += 1
            if early:
                os.write(tell, b".")
            await spool.append(_drafts(number), {"welder": Cursor(seq=number)})
            if not early:
                os.write(tell, b".")
            if number % 7 == 0:
                await spool.commit("own", spool.epoch, [(1, number // 2)])


async def _verify(path: Path, epoch: str, told: int) -> tuple[str, int]:
    """Check everything that a spool promises after a crash; return its epoch and its cursor."""
    async with Spool(path) as spool:
        assert spool.salvage is None, "the file was damaged"
        assert epoch in {"", spool.epoch}, "the epoch changed"
        number = (await spool.cursor("welder")).seq or 0
        assert number >= told, f"append {told} had returned, but only {number} are there"
        expected = {"own": 0, "oem": 0}
        for each in range(1, number + 1):
            for draft in _drafts(each):
                expected[draft.uplink] += 1
        for uplink, count in expected.items():
            stats = await spool.stats(uplink)
            stored = await spool.peek(uplink, 0, count + 1)
            assert stats.next_seq == count + 1, f"{uplink}: rows and cursor disagree"
            assert stats.messages == len(stored)
            assert [each.seq for each in stored] == list(range(stats.committed + 1, count + 1))
            assert all(decode(each.payload).header.seq == each.seq for each in stored[-20:])
        return spool.epoch, number


def main(folder: Path, rounds: int, seed: int, *, early: bool) -> None:
    """Do the rounds and print what happened as JSON."""
    chance = random.Random(seed)
    epoch, number, told_in_all = "", 0, 0
    for _ in range(rounds):
        listen, tell = os.pipe()
        victim = os.fork()
        if not victim:
            os.close(listen)
            asyncio.run(_victim(folder / "spool.db", number, tell, early=early))
        os.close(tell)
        select.select([listen], [], [])
        time.sleep(chance.uniform(0, 0.02))  # the random moment, not a wait for anything
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        told = 0
        while heard := os.read(listen, 65_536):
            told += len(heard)
        os.close(listen)
        epoch, number = asyncio.run(_verify(folder / "spool.db", epoch, number + told))
        told_in_all += told
    print(json.dumps({"told": told_in_all, "stored": number}))  # noqa: T201 - this is a program


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), early="early" in sys.argv)
