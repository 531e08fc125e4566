"""Asks the running agent; where none runs, the genealogy's file itself."""

import asyncio
from pathlib import Path
from typing import TypeVar

from agent.config import LiniFile, load_edge
from agent.control import server
from agent.control.client import NoAgentError, ask
from agent.control.desk import Desk
from agent.control.requests import Request
from agent.genealogy.store import Genealogy

T = TypeVar("T")


def asked(config: Path, request: Request, into: type[T]) -> tuple[LiniFile, T]:
    """Return the site's configuration, and the answer to `request` as a value of type `into`."""
    file = load_edge(config)
    data = config.parent / file.agent.data
    try:
        return file, ask(data / server.NAME, request, into)
    except NoAgentError:
        path = data / "genealogy.db"
        if not path.exists():
            raise
        answer = asyncio.run(_from_file(path, file, request))
    assert isinstance(answer, into)  # noqa: S101 - the caller names the type of its own request
    return file, answer


async def _from_file(path: Path, file: LiniFile, request: Request) -> object:
    async with Genealogy(path, file.genealogy.links()) as genealogy:
        return await Desk(genealogy).answer(request)
