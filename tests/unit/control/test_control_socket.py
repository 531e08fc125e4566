"""The agent's socket: for its user alone, within limits, and an answer whatever is asked."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.control import server
from agent.control.client import NoAgentError, RefusedRequestError, ask
from agent.control.desk import AskTheAgentError, Desk, Done
from agent.control.requests import Enter, ListOrphans, Place, Request, Resolve, Trace
from agent.control.server import listening
from agent.genealogy.entries import PlacementEntry, Placements
from agent.genealogy.errors import EntryError
from agent.genealogy.life import Answer, Queue
from agent.genealogy.store import Genealogy
from tests.services.parts import weld
from tests.services.waiting import eventually

TRACE = b'{"do":"trace","serial":"M1"}\n'


async def echo(request: Request) -> object:
    """Answer with the serial that was asked for."""
    assert isinstance(request, Trace)
    return {"serial": request.serial}


async def raw(path: Path, sent: bytes, *, end: bool = False) -> dict[str, object]:
    """Return the answer to whatever bytes."""
    reader, writer = await asyncio.open_unix_connection(path, limit=10_000_000)
    writer.write(sent)
    if end:
        writer.write_eof()
    try:
        return dict(json.loads(await reader.readline()))
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """Return a socket that answers."""
    async with listening(tmp_path / "lini.sock", echo, request_s=0.2):
        yield tmp_path / "lini.sock"


async def test_only_its_own_user_may_open_it(path: Path) -> None:
    """Whatever the umask: nobody else on the machine can ask, or enter anything."""
    mode = await asyncio.to_thread(path.stat)
    assert stat.S_ISSOCK(mode.st_mode)
    assert stat.S_IMODE(mode.st_mode) == 0o600


async def test_a_request_has_its_answer(path: Path) -> None:
    """One line each way."""
    answer = await asyncio.to_thread(ask, path, Trace(serial="M1"), dict[str, str])
    assert answer == {"serial": "M1"}


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"hello\n", "not understood: request: Invalid JSON"),
        (b"[]\n", "not understood"),
        (b'{"do":"format the disk"}\n', "not understood"),
        (b'{"do":"trace"}\n', "serial: Field required"),
        (b'{"do":"trace","serial":""}\n', "at least 1 character"),
        (b'{"do":"trace","serial":"M1","more":1}\n', "Extra inputs"),
        (b'{"do":"trace","serial":"' + b"x" * 65 + b'"}\n', "at most 64"),
        (b"\xff\xfe\x00\n", "not understood"),
        (b"x" * (server.MOST_BYTES + 10), "longer than"),
    ],
    ids=lambda each: repr(each[:30]),
)
async def test_a_rogue_request_is_refused_with_words(path: Path, sent: bytes, what: str) -> None:
    """And the next one is answered."""
    assert what in str((await raw(path, sent))["what"])
    assert await raw(path, TRACE) == {"answer": {"serial": "M1"}}


async def test_a_request_cut_off_is_refused(path: Path) -> None:
    """Whoever hung up half-way is told, if still there."""
    assert "ended before" in str((await raw(path, TRACE[:-1], end=True))["what"])


async def test_who_says_nothing_is_not_waited_for(path: Path) -> None:
    """A connection without a request ends after its time, and holds up no other."""
    silent = asyncio.create_task(raw(path, b""))
    assert await raw(path, TRACE) == {"answer": {"serial": "M1"}}
    assert "too long" in str((await silent)["what"])


async def test_who_leaves_before_the_answer_harms_nobody(path: Path) -> None:
    """The agent goes on."""
    for _ in range(20):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(TRACE)
        writer.transport.abort()
    assert await raw(path, TRACE) == {"answer": {"serial": "M1"}}


async def test_too_many_at_once_are_told_to_come_again(tmp_path: Path) -> None:
    """Eight are served; the ninth is refused at once, and served when there is room."""
    gate = asyncio.Event()
    waiting: list[Request] = []

    async def slow(request: Request) -> object:
        waiting.append(request)
        await gate.wait()
        return await echo(request)

    path = tmp_path / "lini.sock"
    async with listening(path, slow):
        asking = [asyncio.create_task(raw(path, TRACE)) for _ in range(8)]
        await eventually(lambda: len(waiting) == 8)
        assert "too many" in str((await raw(path, TRACE))["what"])
        gate.set()
        assert await asyncio.gather(*asking) == [{"answer": {"serial": "M1"}}] * 8
        assert await raw(path, TRACE) == {"answer": {"serial": "M1"}}


async def test_an_error_comes_with_its_next_step(tmp_path: Path) -> None:
    """As words, not as a stack of the agent."""

    async def refuse(_: Request) -> object:
        raise EntryError("C1 is in M1", "give a reason")

    path = tmp_path / "lini.sock"
    async with listening(path, refuse):
        with pytest.raises(RefusedRequestError) as caught:
            await asyncio.to_thread(ask, path, Trace(serial="M1"), Answer)
    assert (caught.value.what, caught.value.hint) == ("C1 is in M1", "give a reason")


async def test_without_an_agent_the_command_is_told(tmp_path: Path) -> None:
    """No socket, one of an agent that was killed, and no folder."""
    path = tmp_path / "lini.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    for nowhere in (tmp_path / "none.sock", path, tmp_path / "none" / "lini.sock"):
        with pytest.raises(NoAgentError, match="lini run"):
            await asyncio.to_thread(ask, nowhere, Trace(serial="M1"), Answer)


async def test_what_a_killed_agent_left_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    """The next agent listens at the same place."""
    path = tmp_path / "lini.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with listening(path, echo):
        assert await raw(path, TRACE) == {"answer": {"serial": "M1"}}
    assert [each.name for each in await asyncio.to_thread(lambda: [*tmp_path.iterdir()])] == []


async def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    """A socket's path may have 107 bytes; the folder of a workshop's data may have more."""
    folder = tmp_path / ("x" * 120)
    await asyncio.to_thread(folder.mkdir)
    async with listening(folder / "lini.sock", echo):
        answer = await asyncio.to_thread(
            ask, folder / "lini.sock", Trace(serial="M1"), dict[str, str]
        )
    assert answer == {"serial": "M1"}


async def test_leaving_ends_what_is_still_asked(tmp_path: Path) -> None:
    """A command that waits does not hold up the end of the agent."""
    path = tmp_path / "lini.sock"

    asked = asyncio.Event()

    async def never(request: Request) -> object:
        if isinstance(request, ListOrphans):
            return "here"
        asked.set()
        await asyncio.Event().wait()
        return None

    async with asyncio.timeout(5):
        async with listening(path, never):
            asking = asyncio.create_task(raw(path, TRACE))
            await asked.wait()
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b'{"half": ')
            await writer.drain()
            assert await raw(path, b'{"do":"orphans"}\n') == {"answer": "here"}  # in their order
        with pytest.raises(ValueError, match="Expecting value"):
            await asking
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def desk_at(path: Path, **more: Callable[..., object]) -> AsyncIterator[Desk]:
    async with Genealogy(path) as genealogy:
        await genealogy.keep([weld(1, "M1"), weld(2, "")])
        yield Desk(genealogy, **more)  # type: ignore[arg-type]


async def test_the_desk_answers_every_request_over_the_socket(tmp_path: Path) -> None:
    """Each answer arrives as the value that it was."""
    entered: list[Enter] = []
    caught_up: list[int] = []

    async def enter(request: Enter) -> None:
        entered.append(request)

    async def catch_up() -> None:
        caught_up.append(1)

    path = tmp_path / "lini.sock"
    row = PlacementEntry(parent="P1", position="1", child="M1")
    event = Enter(kind="calibration", station="sorter-1", by="ani", note="reference cell 3")
    resolve = Resolve(
        station="welder-1", epoch=1, first=2, last=2, serial="M2", by="ani", reason="jig"
    )
    async with (
        desk_at(tmp_path / "g.db", enter=enter, catch_up=catch_up) as desk,
        listening(path, desk.answer),
    ):

        async def asked(request: Request, into: type) -> object:
            return await asyncio.to_thread(ask, path, request, into)

        queue = await asked(ListOrphans(), Queue)
        assert queue == await desk.answer(ListOrphans())
        assert await asked(Place(rows=(row,), by="ani"), Placements) == Placements(added=1, known=0)
        assert await asked(resolve, Done) == Done(count=1)
        assert await asked(event, Done) == Done(count=1)
        for serial in ("M1", "M2", "M9"):
            there = await asked(Trace(serial=serial), Answer)
            assert there == await desk.answer(Trace(serial=serial))
    assert entered == [event]
    assert len(caught_up) == 10, "before everything but the event: what waits is part of the answer"


async def test_without_an_agent_no_event_can_be_entered(tmp_path: Path) -> None:
    """It has to be stored like a record, and only an agent can do that."""
    async with desk_at(tmp_path / "g.db") as desk:
        with pytest.raises(AskTheAgentError, match="lini run"):
            await desk.answer(Enter(kind="maintenance", station="welder-1", by="ani"))
        answer = await desk.answer(Trace(serial="M1"))
        assert isinstance(answer, Answer)
        assert not answer.is_empty
