"""The writer against a scripted store: every answer has its own remedy, none loses a line."""

import math
from collections.abc import Sequence

import pytest

from agent.server.writer import HOLD_S, MAX_BUSY_S, MAX_LINES, Writer
from agent.wire.backoff import Backoff
from agent.wire.store import (
    BadLinesError,
    BusyError,
    NotAllowedError,
    StoreDownError,
    StoreError,
    Tee,
    TooLargeError,
)


class ScriptedStore:
    """Answers with `script` first, then refuses batches that hold a line of `bad`."""

    def __init__(
        self,
        *script: StoreError | None,
        bad: Sequence[str] = (),
        max_lines: int = 10**9,
    ) -> None:
        self.script = list(script)
        self.bad = set(bad)
        self.max_lines = max_lines
        self.writes: list[tuple[str, ...]] = []
        self.taken: list[str] = []

    async def write(self, lines: Sequence[str]) -> None:
        self.writes.append(tuple(lines))
        if self.script and (error := self.script.pop(0)):
            raise error
        if len(lines) > self.max_lines:
            raise TooLargeError("413")
        if not self.bad.isdisjoint(lines):
            raise BadLinesError("400 bad line")
        self.taken += lines


class Waits:
    """Stands for sleeping; `seconds` is what was waited, `seen` what the writer said then."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.seen: list[str] = []
        self.writer: Writer

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.seen.append(self.writer.held)


def make_writer(store: ScriptedStore | Tee) -> tuple[Writer, Waits]:
    waits = Waits()
    longest = Backoff(uniform=lambda _, high_s: high_s)
    waits.writer = Writer(store, backoff=longest, sleep=waits.sleep)
    return waits.writer, waits


def lines_of(number: int) -> list[str]:
    return [f"m f={each}i {each}" for each in range(number)]


async def test_all_good_is_one_write() -> None:
    """The lines go as they are, in order."""
    store = ScriptedStore()
    writer, waits = make_writer(store)
    assert await writer.write(lines_of(3)) == {}
    assert store.writes == [tuple(lines_of(3))]
    assert waits.seconds == []


async def test_nothing_to_write_is_no_write() -> None:
    """An empty batch does not bother the store."""
    store = ScriptedStore()
    assert await make_writer(store)[0].write([]) == {}
    assert store.writes == []


async def test_large_batches_go_in_pieces() -> None:
    """No write is larger than InfluxDB advises; the order stays."""
    store = ScriptedStore()
    lines = lines_of(2 * MAX_LINES + 1)
    await make_writer(store)[0].write(lines)
    assert [len(each) for each in store.writes] == [MAX_LINES, MAX_LINES, 1]
    assert store.taken == lines


@pytest.mark.parametrize("place", [0, 1, 2_499, 2_500, 4_998, 4_999])
async def test_one_bad_line_in_five_thousand_is_found(place: int) -> None:
    """It alone is refused, at no more than 2·⌈log2 n⌉ further writes."""
    lines = lines_of(5_000)
    store = ScriptedStore(bad=[lines[place]])
    writer, waits = make_writer(store)
    assert await writer.write(lines) == {place: "400 bad line"}
    assert store.taken == lines[:place] + lines[place + 1 :]
    assert len(store.writes) - 1 <= 2 * math.ceil(math.log2(5_000))
    assert waits.seconds == []


async def test_all_bad_lines_are_named_each() -> None:
    """Equal lines are told apart by their place."""
    store = ScriptedStore(bad=["x"])
    refused = await make_writer(store)[0].write(["x", "good", "x", "x"])
    assert sorted(refused) == [0, 2, 3]
    assert store.taken == ["good"]


async def test_too_large_is_halved_until_it_fits() -> None:
    """413 splits the batch without refusing anything."""
    store = ScriptedStore(max_lines=100)
    assert await make_writer(store)[0].write(lines_of(1_000)) == {}
    assert store.taken == lines_of(1_000)


async def test_a_line_that_is_too_large_alone_is_refused() -> None:
    """Nothing is smaller than one line."""
    store = ScriptedStore(max_lines=0)
    assert await make_writer(store)[0].write(["a", "b"]) == {0: "413", 1: "413"}


async def test_a_store_that_is_down_gets_the_same_lines_until_it_takes_them() -> None:
    """The waits double up to 30 s; then it flows, and the next trouble starts small again."""
    store = ScriptedStore(*[StoreDownError("down")] * 9, None, StoreDownError("down"))
    writer, waits = make_writer(store)
    assert await writer.write(lines_of(3)) == {}
    assert store.writes == [tuple(lines_of(3))] * 10
    assert waits.seconds == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert set(waits.seen) == {"down"}
    assert writer.held == ""
    await writer.write(lines_of(1))
    assert waits.seconds[-1] == 0.5


async def test_waits_are_spread_over_their_whole_range() -> None:
    """Full jitter: a thousand sinks do not come back in one moment."""
    drawn: list[tuple[float, float]] = []

    def uniform(low_s: float, high_s: float) -> float:
        drawn.append((low_s, high_s))
        return low_s

    backoff = Backoff(uniform=uniform)
    assert [backoff.next_s() for _ in range(3)] == [0, 0, 0]
    assert drawn == [(0, 0.5), (0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(None, 0.5), (0.0, 0.5), (7.0, 7.0), (100_000.0, MAX_BUSY_S)]
)
async def test_a_busy_store_is_given_the_time_it_asks_for(
    asked_s: float | None, waited_s: float
) -> None:
    """Retry-After is kept, within reason."""
    writer, waits = make_writer(ScriptedStore(BusyError("busy", asked_s)))
    assert await writer.write(lines_of(1)) == {}
    assert waits.seconds == [waited_s]


async def test_wrong_configuration_holds_everything_and_alarms_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No line is refused for it, however long it lasts."""
    store = ScriptedStore(*[NotAllowedError("401 token", "check the token")] * 50)
    writer, waits = make_writer(store)
    assert await writer.write(lines_of(9)) == {}
    assert waits.seconds == [HOLD_S] * 50
    assert set(waits.seen) == {"401 token"}
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert store.taken == lines_of(9)


async def test_each_kind_of_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """First the store is down, then its token is wrong: two things to know."""
    down, wrong = StoreDownError("down"), NotAllowedError("401")
    await make_writer(ScriptedStore(down, down, wrong, wrong))[0].write(["a"])
    assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]


async def test_trouble_in_the_middle_of_a_search_does_not_lose_the_search() -> None:
    """While halves are tried the store goes down and comes back."""
    lines = lines_of(8)
    store = ScriptedStore(
        BadLinesError("400"), StoreDownError("down"), TooLargeError("413"), bad=[lines[5]]
    )
    assert list(await make_writer(store)[0].write(lines)) == [5]
    assert store.taken == lines[:5] + lines[6:]


@pytest.mark.parametrize("down_first", [True, False])
async def test_two_stores_are_one(*, down_first: bool) -> None:
    """Both have every line in the end; what one refuses is refused."""
    lines = lines_of(4)
    down, picky = ScriptedStore(StoreDownError("down")), ScriptedStore(bad=[lines[2]])
    tee = Tee(down, picky) if down_first else Tee(picky, down)
    assert list(await make_writer(tee)[0].write(lines)) == [2]
    assert set(picky.taken) == {lines[0], lines[1], lines[3]}
    assert set(down.taken) >= set(picky.taken)
