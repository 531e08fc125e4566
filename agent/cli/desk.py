"""Asks the running agent; where none runs, what it left on the disk."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from agent.config import LiniFile, load_edge
from agent.control import server
from agent.control.client import NoAgentError, ask
from agent.control.desk import Desk, Done
from agent.control.requests import REQUESTS, Request
from agent.genealogy.store import Genealogy
from collectors.errors import FixTheFileError

T = TypeVar("T")


def answered(
    data: Path, request: Request, into: type[T], otherwise: Callable[[NoAgentError], T]
) -> T:
    """Return the answer of the agent whose folder is `data`; if none runs, that of `otherwise`."""
    try:
        return ask(data / server.NAME, request, into)
    except NoAgentError as error:
        return otherwise(error)


def asked(config: Path, request: Request, into: type[T]) -> tuple[LiniFile, T]:
    """Return the site's configuration, and the answer to `request` as a value of type `into`."""
    file = load_edge(config)
    data = config.parent / file.agent.data
    path = data / "genealogy.db"

    def from_file(error: NoAgentError) -> T:
        if not path.exists():
            raise error
        answer = asyncio.run(_from_file(path, file, request))
        assert isinstance(answer, into)  # noqa: S101 - the caller names the type of its own request
        return answer

    return file, answered(data, request, into, from_file)


def entered(config: Path, facts: Mapping[str, object]) -> None:
    """Have the running agent store what people enter. Raises FixTheFileError for a wrong fact."""
    try:
        request = REQUESTS.validate_python(facts)
    except ValidationError as error:
        told = "; ".join(
            f"{each['loc'][-1]}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise FixTheFileError(told) from error
    asked(config, request, Done)


async def _from_file(path: Path, file: LiniFile, request: Request) -> object:
    async with Genealogy(path, file.genealogy.links()) as genealogy:
        return await Desk(genealogy).answer(request)
