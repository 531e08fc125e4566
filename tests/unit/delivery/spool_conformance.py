"""What every spool promises, whatever it is made of."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from agent.delivery.entry import Draft, Dropped, Kind, Limits, SpoolRefusedError
from agent.delivery.spool import Spool
from agent.wire.message import decode
from collectors.record import Cursor

DAY_NS = 24 * 3600 * 10**9 + 1


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
    """Open the spool that lies in a folder; `now` is its wall clock in ns, `free` the disk's room."""

    def __call__(
        self, folder: Path, *, now: int = 0, free: int = 10**12
    ) -> AbstractAsyncContextManager[Spool]: ...


def told(dropped: Dropped) -> list[Draft]:
    """Tell of a gap, as the agent does."""
    return [draft(_gap(dropped), uplink=dropped.uplink, kind="evidence")]


def _gap(dropped: Dropped) -> str:
    return f"event count={dropped.lines}i {dropped.until_ns}"


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
            assert await spool.trim(Limits(max_bytes=size), told) is None
            dropped = await spool.trim(Limits(max_bytes=size // 2), told)
            assert dropped is not None
            assert (dropped.uplink, dropped.how, dropped.first_seq) == ("oem", "dropped", 1)
            assert 25 <= dropped.last_seq <= 28
            assert dropped.lines == 2 * dropped.last_seq
            assert (dropped.since_ns, dropped.until_ns) == (5, 5)
            stats = await spool.stats("oem")
            assert stats.bytes <= size // 2
            [*kept, gap] = await spool.peek("oem", 0, 99)
            assert [each.seq for each in kept] == [*range(dropped.last_seq + 1, 51)]
            assert gap.kind == "evidence"
            assert decode(gap.payload).lines == [_gap(dropped)]

    async def test_trim_never_drops_evidence(self, opens: Opens, tmp_path: Path) -> None:
        """Records and events stay, even if the limit cannot be kept."""
        async with opens(tmp_path) as spool:
            await spool.append([draft(kind="evidence"), draft(), draft(kind="evidence"), draft()])
            dropped = await spool.trim(Limits(max_bytes=1), told)
            assert dropped is not None
            assert (dropped.first_seq, dropped.last_seq, dropped.lines) == (2, 4, 2)
            assert [each.seq for each in await spool.peek("oem", 0, 9)] == [1, 3, 5]
            assert await spool.trim(Limits(max_bytes=1), told) is None
            assert len(await spool.peek("oem", 0, 9)) == 3

    async def test_trim_looks_at_all_uplinks_together(self, opens: Opens, tmp_path: Path) -> None:
        """The fullest has to give; what another still waits for stays."""
        async with opens(tmp_path) as spool:
            await spool.append([*[draft()] * 30, draft(uplink="own")])
            size = (await spool.stats("oem")).bytes
            dropped = await spool.trim(Limits(max_bytes=size), told)
            assert dropped is not None
            assert dropped.uplink == "oem"
            assert len(await spool.peek("own", 0, 9)) == 1

    async def test_trim_first_thins_old_telemetry(self, opens: Opens, tmp_path: Path) -> None:
        """After a day of each series one row in ten is left, once; then the oldest goes."""
        rows = [f"t,s={s} v={n}i {n}" for n in range(4) for s in ("a", "b\\ c")]
        async with opens(tmp_path, now=5) as spool:
            await spool.append([draft(*rows, pack=True)] * 30)
            await spool.append([draft("record a=1i 1", kind="evidence")])
            size = (await spool.stats("oem")).bytes
        async with opens(tmp_path, now=5 + DAY_NS) as spool:
            await spool.append([draft(*rows)])  # of today
            assert (await spool.stats("oem")).bytes > size
            thinned = await spool.trim(Limits(max_bytes=size), told)
            assert thinned is not None
            assert (thinned.how, thinned.first_seq, thinned.last_seq) == ("thinned", 1, 30)
            assert thinned.lines == 30 * 8 - 24
        async with opens(tmp_path, now=6 + DAY_NS) as spool:
            kept = [each for each in await spool.peek("oem", 0, 99) if each.seq <= 30]
            messages = [decode(each.payload) for each in kept]
            lines = [line for each in messages for line in each.lines]
            assert all(
                each.header.seq == stored.seq for each, stored in zip(messages, kept, strict=True)
            )
            assert [line.split("v=")[0] for line in lines] == ["t,s=a ", "t,s=b\\ c "] * 12
            assert [decode(each.payload).lines for each in await spool.peek("oem", 30, 9)] == [
                ["record a=1i 1"],
                rows,
                [_gap(thinned)],
            ]
            stats = await spool.stats("oem")
            assert stats.bytes == sum(len(each.payload) for each in await spool.peek("oem", 0, 99))
            dropped = await spool.trim(Limits(max_bytes=stats.bytes - 1), told)
            assert dropped is not None
            assert (dropped.how, dropped.first_seq) == ("dropped", kept[0].seq)

    async def test_trim_leaves_what_must_stay_free(self, opens: Opens, tmp_path: Path) -> None:
        """What is free inside the file counts, as the spool can use it again."""
        async with opens(tmp_path, free=1_000_000) as spool:
            await spool.append([draft("x" * 9_000)] * 40)
            limits = Limits(max_bytes=10**9, min_free=1_000_000)
            assert await spool.room(limits) >= 0
            assert await spool.trim(limits, told) is None
            limits = Limits(max_bytes=10**9, min_free=1_090_000)
            assert await spool.room(limits) < 0
            dropped = await spool.trim(limits, told)
            assert dropped is not None
            assert await spool.room(limits) >= 0
            assert 9 <= dropped.last_seq <= 14
            assert await spool.trim(limits, told) is None

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
