"""Append what is missing of thirty messages to a spool, however often the disk says no.

Run as a program of its own under strace, which makes an fsync fail. Prints how many attempts
failed; ends with 3 when the spool could not even be opened.
"""

import asyncio
import sys
from pathlib import Path

from agent.delivery.entry import Draft, SpoolError
from agent.delivery.spool import Spool

MESSAGES = 30
NOT_OPENED = 3


def line(number: int) -> str:
    """Return the only line of message `number`."""
    return f"a b={number}i 1"


def _draft(number: int) -> Draft:
    lines = [line(number)]
    return Draft(agent="ws1", uplink="oem", config="0badcafe", kind="evidence", lines=lines)


async def _append(spool: Spool) -> int:
    failed = number = 0
    while number < MESSAGES:
        try:
            await spool.append([_draft(number)])
        except SpoolError:
            failed += 1
        else:
            number += 1
    return failed


async def main(path: Path) -> int:
    """Return how many attempts failed."""
    spool = Spool(path)
    try:
        await spool.__aenter__()
    except SpoolError:
        sys.exit(NOT_OPENED)
    try:
        return await _append(spool)
    finally:
        await spool.__aexit__()


if __name__ == "__main__":
    print(asyncio.run(main(Path(sys.argv[1]))))  # noqa: T201 - this is a program
