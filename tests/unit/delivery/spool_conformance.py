"""What every spool promises, whatever it is made of."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from agent.delivery.entry import Draft, Kind, SpoolRefusedError
from agent.delivery.spool import Spool
from agent.wire.message import decode
from collectors.record import Cursor


def draft(*lines: str, uplink: str = "oem", kind: Kind = "telemetry", pack: bool = False) -> Draft:
    """Return a draft of one message; a number as its only line by default."""
    return Draft(
        agent="ws1",
        uplink=uplink,
        config="0badcafe",
        kind=kind,
        lines=lines or ("a b=1i 1",),
        pack=pack,
    )


class Opens(Protocol):
    """Open the spool that lies in a folder; `now` is its wall clock in ns."""

    def __call__(self, folder: Path, *, now: int = 0) -> AbstractAsyncContextManager[Spool]: ...


class SpoolConformance:
    """Subclass as `Test…` with a fixture `opens` to hold an implementation against it."""

    async def test_numbers_messages_without_gap_per_uplink(
        self, opens: Opens, tmp_path: Path
    ) -> None:
        """Each uplink counts from 1, whatever the others do."""
        async with opens(tmp_path) as spool:
            await spool.append([draft(), draft(uplink="own"), draft()])
            await spool.append([draft()])
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [1, 2, 3]
            assert [each.seq for each in await spool.peek("own", 0, 9)] == [1]

    @pytest.mark.parametrize("pack", [False, True])
    async def test_stores_the_bytes_to_publish(
        self, opens: Opens, tmp_path: Path, *, pack: bool
    ) -> None:
        """A payload decodes to the lines and the identity it was given, and never changes."""
        lines = [f"telemetry,site=s a={n}.5 {n}" for n in range(99)]
        async with opens(tmp_path) as spool:
            await spool.append([draft(), draft(*lines, kind="evidence", pack=pack)])
            [_, stored] = await spool.peek("oem", 0, 9)
            message = decode(stored.payload)
            assert message.lines == lines
            assert (message.header.agent, message.header.uplink) == ("ws1", "oem")
            assert (message.header.epoch, message.header.seq) == (spool.epoch, 2)
            assert (message.header.first, message.header.config) == (1, "0badcafe")
            assert stored.kind == "evidence"
            assert stored.payload.startswith(b"#") is not pack
        async with opens(tmp_path) as spool:
            assert (await spool.peek("oem", 1, 1)) == [stored]

    async def test_first_is_the_oldest_number_still_held(
        self, opens: Opens, tmp_path: Path
    ) -> None:
        """`first` in the header tells the receiver what can still come."""
        async with opens(tmp_path) as spool:
            await spool.append([draft()] * 3)
            await spool.commit("oem", spool.epoch, [(1, 2)])
            await spool.append([draft()])
            await spool.commit("oem", spool.epoch, [(3, 4)])
            await spool.append([draft()])
            [last] = await spool.peek("oem", 0, 9)
            assert decode(last.payload).header.first == 5

    async def test_peek_is_bounded(self, opens: Opens, tmp_path: Path) -> None:
        """Never more than was asked for, and only what comes after."""
        async with opens(tmp_path) as spool:
            await spool.append([draft()] * 50)
            assert [each.seq for each in await spool.peek("oem", 7, 3)] == [8, 9, 10]
            assert await spool.peek("oem", 50, 3) == []
            assert await spool.peek("nobody", 0, 3) == []

    async def test_commit_deletes_exactly_its_ranges(self, opens: Opens, tmp_path: Path) -> None:
        """Both ends are included; what was never stored is no error."""
        async with opens(tmp_path) as spool:
            await spool.append([*[draft()] * 9, draft(uplink="own")])
            assert await spool.commit("oem", spool.epoch, [(1, 2), (5, 5), (8, 99)]) == 5
            assert await spool.commit("oem", spool.epoch, [(1, 2)]) == 0
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [3, 4, 6, 7]
            assert len(await spool.peek("own", 0, 9)) == 1

    @pytest.mark.parametrize("low", [10, 2**40 + 1, 2**40 + 3, 10**18 - 1])
    async def test_commit_of_numbers_never_given_deletes_nothing(
        self, opens: Opens, tmp_path: Path, low: int
    ) -> None:
        """Not even with numbers no sane sink would send, nor in the stream of another uplink."""
        async with opens(tmp_path) as spool:
            await spool.append([*[draft()] * 9, *[draft(uplink="own")] * 9])
            assert await spool.commit("oem", spool.epoch, [(low, 10**18 - 1)]) == 0
            assert len(await spool.peek("oem", 0, 99)) == 9
            assert len(await spool.peek("own", 0, 99)) == 9

    async def test_commit_of_another_epoch_is_ignored(self, opens: Opens, tmp_path: Path) -> None:
        """A late commit for an older file must not delete what only shares its numbers."""
        async with opens(tmp_path) as spool:
            await spool.append([draft()])
            assert await spool.commit("oem", "0" * 16, [(1, 1)]) == 0
            assert len(await spool.peek("oem", 0, 9)) == 1

    async def test_a_number_is_never_used_again(self, opens: Opens, tmp_path: Path) -> None:
        """Also when every message is gone and the file was closed between."""
        async with opens(tmp_path) as spool:
            epoch = spool.epoch
            await spool.append([draft()] * 200)
            await spool.commit("oem", epoch, [(1, 200)])
        async with opens(tmp_path) as spool:
            assert spool.epoch == epoch
            await spool.append([draft()])
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [201]

    async def test_cursor_comes_back(self, opens: Opens, tmp_path: Path) -> None:
        """The cursor stored last is there after a restart; one never stored is a fresh one."""
        async with opens(tmp_path) as spool:
            assert await spool.cursor("welder") == Cursor()
            await spool.append([draft()], {"welder": Cursor(epoch=2, seq=17)})
            await spool.append([], {"welder": Cursor(epoch=3), "sorter": Cursor(seq=1, mark="a")})
        async with opens(tmp_path) as spool:
            assert await spool.cursor("welder") == Cursor(epoch=3, seq=None)
            assert await spool.cursor("sorter") == Cursor(epoch=1, seq=1, mark="a")

    async def test_append_is_all_or_nothing(self, opens: Opens, tmp_path: Path) -> None:
        """What fails half-way leaves neither message, nor number, nor cursor behind."""
        async with opens(tmp_path) as spool:
            await spool.append([draft()])
            with pytest.raises(UnicodeEncodeError):
                await spool.append([draft(), draft("\ud800")], {"welder": Cursor(seq=9)})
            assert await spool.cursor("welder") == Cursor()
            await spool.append([draft()])
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [1, 2]
            assert (await spool.stats("oem")).messages == 2

    async def test_stats_count_what_is_held(self, opens: Opens, tmp_path: Path) -> None:
        """Counts agree with the rows, before and after a restart."""
        async with opens(tmp_path, now=5) as spool:
            empty = await spool.stats("oem")
            assert (empty.messages, empty.next_seq, empty.committed) == (0, 1, 0)
            assert empty.oldest_at_ns is None
            await spool.append([draft()] * 100)
        async with opens(tmp_path, now=7) as spool:
            await spool.append([draft()])
            await spool.commit("oem", spool.epoch, [(1, 2), (4, 4)])
            stats = await spool.stats("oem")
            assert stats.bytes == sum(len(each.payload) for each in await spool.peek("oem", 0, 999))
            assert (stats.messages, stats.next_seq, stats.committed) == (98, 102, 2)
            assert stats.oldest_at_ns == 5
        async with opens(tmp_path) as spool:
            assert await spool.stats("oem") == stats

    async def test_trim_drops_the_oldest_telemetry(self, opens: Opens, tmp_path: Path) -> None:
        """Until the rest fits, and says exactly what is gone."""
        async with opens(tmp_path, now=5) as spool:
            await spool.append([draft("a b=1i 1", "a b=1i 2")] * 50)
            size = (await spool.stats("oem")).bytes
            assert await spool.trim("oem", size) is None
            dropped = await spool.trim("oem", size // 2)
            assert dropped is not None
            assert dropped.first_seq == 1
            assert 25 <= dropped.messages <= 28
            assert (dropped.last_seq, dropped.lines) == (dropped.messages, 2 * dropped.messages)
            assert (dropped.since_ns, dropped.until_ns) == (5, 5)
            stats = await spool.stats("oem")
            assert stats.bytes <= size // 2
            assert stats.messages == 50 - dropped.messages

    async def test_trim_never_drops_evidence(self, opens: Opens, tmp_path: Path) -> None:
        """Records and events stay, even if the limit cannot be kept; other uplinks as well."""
        async with opens(tmp_path) as spool:
            await spool.append([draft(kind="evidence"), draft(), draft(kind="evidence"), draft()])
            await spool.append([draft(uplink="own")])
            dropped = await spool.trim("oem", 1)
            assert dropped is not None
            assert (dropped.first_seq, dropped.last_seq, dropped.messages) == (2, 4, 2)
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [1, 3]
            assert await spool.trim("oem", 1) is None
            assert len(await spool.peek("own", 0, 9)) == 1

    async def test_a_second_agent_is_refused(self, opens: Opens, tmp_path: Path) -> None:
        """Two writers would give one number to two messages; the first goes on undisturbed."""
        async with opens(tmp_path) as spool:
            with pytest.raises(SpoolRefusedError, match="another agent") as refused:
                async with opens(tmp_path):
                    pass
            assert refused.value.hint
            await spool.append([draft()])
        async with opens(tmp_path) as spool:
            assert len(await spool.peek("oem", 0, 9)) == 1
