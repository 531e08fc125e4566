"""How a refused read is healed: halved cycle by cycle until what the device refuses is known.

A refused read loses nothing that can be read: both halves are asked at once, the refused one is
halved again in the next cycle, and so on. So a cycle has two requests more for each refused read
(once two checks more, before something is learned), and at most `AT_ONCE` such reads are halved
in it: the neighbours on the bus keep their periods. What is found is one of

- a register that is refused alone: it is named, left out, and asked again after ever longer
  pauses, because a machine that starts may refuse what it has. When one comes back, all do;
- a wall: two good halves, refused together. No read crosses it any more;
- a count: the same with exception 3 and nothing between the halves. The most that the device
  takes is then found by halving too.

Walls and counts are learned only from a read that is refused after its halves were answered, so
a machine that starts cannot teach them. A busy or failed device (4, 5, 6) teaches nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from collectors.modbus.planning.holes import Counts, Holes, Refused, Spot, Wall, describe
from collectors.modbus.planning.plan import Item, Read, plan, read_of
from collectors.profile import Limits
from collectors.register import Table

NO_FUNCTION = 1
ADDRESS = frozenset({2, 3})  # exceptions that mean the addresses
LASTING = ADDRESS | {NO_FUNCTION}  # those that do not mean the moment

AT_ONCE = 4  # refused reads of a poll group that are halved in one cycle

_FIRST_PAUSE_S = 60.0
_LAST_PAUSE_S = 86_400.0
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answered:
    """A read and what came of it: the code of the exception, or None for values."""

    read: Read
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A refused read, its two halves, and the checks if both were good.

    `again` is the whole once more, `gap` what lies between the halves; both None when not asked.
    """

    whole: Answered
    halves: tuple[Answered, Answered]
    again: Answered | None = None
    gap: Answered | None = None

    @property
    def are_good(self) -> bool:
        """Whether both halves were answered."""
        return all(half.code is None for half in self.halves)

    @property
    def is_about_count(self) -> bool:
        """Whether the whole may be refused for its size alone."""
        return self.again is not None and self.again.code == 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask in the next cycle of a poll group.

    `suspects` were refused: their halves are to be asked after `reads`. `left_out` is not asked,
    because of the exception with it. With `is_open` there is more to learn, even if everything
    is answered.
    """

    reads: tuple[Read, ...]
    suspects: tuple[Answered, ...]
    left_out: tuple[tuple[Item, int], ...]
    is_open: bool

    @property
    def pairs(self) -> Iterator[tuple[Read, Read]]:
        """The halves of each suspect."""
        for suspect in self.suspects:
            if pair := halves(suspect.read):
                yield pair


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What was learned, in words: `lost` is for a technician, the rest for the curious."""

    lost: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


def halves(read: Read) -> tuple[Read, Read] | None:
    """Return the two halves of a read, or None for one that holds a single place."""
    places = sorted({(item.address, item.end) for item in read.items})
    if len(places) < 2:
        return None
    middle = places[len(places) // 2]
    low = [item for item in read.items if (item.address, item.end) < middle]
    return read_of(low, read.device_id), read_of(read.items[len(low) :], read.device_id)


def between(low: Read, high: Read) -> Read | None:
    """Return the addresses between two reads as a read of its own, or None if there are none."""
    if high.address <= low.end:
        return None
    return Read(
        table=low.table,
        address=low.end,
        count=high.address - low.end,
        items=(),
        device_id=low.device_id,
    )


class Healing:
    """The plans of one device's poll groups, and what its answers teach.

    Every time is the wall clock in ns since 1970.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[Item]],
        limits: Limits,
        *,
        device_id: int,
        holes: Holes,
        now_ns: int,
    ) -> None:
        self.holes = holes
        self._groups = groups
        self._limits = limits
        self._device_id = device_id
        self._names = _names(chain.from_iterable(groups.values()))
        self._suspects: dict[str, list[Answered]] = {group: [] for group in groups}
        self._taken: dict[Table, int] = {}  # the largest counts that were answered lately
        self._pauses = {spot: each.pause_s for spot, each in holes.refused.items()}
        self._due = {spot: now_ns + _ns(pause_s) for spot, pause_s in self._pauses.items()}

    def plan(self, group: str) -> Plan:
        """Return the fewest reads for what is known now, and the halves still to be asked."""
        items, suspects = self._groups[group], self._suspects[group]
        codes = {spot: each.code for spot, each in self.holes.refused.items()}
        doubted = {spot for each in suspects for spot in each.read.spots}
        asked = [each for each in items if each.spot not in codes and each.spot not in doubted]
        for waiting in suspects[AT_ONCE:]:
            codes |= dict.fromkeys(waiting.read.spots, waiting.code or 0)
        fences = {fence for each in suspects for fence in _fences(each.read)}
        # What is refused alone would be refused in the middle of a read as well.
        fences |= {
            Wall(table, address, address + words - 1)
            for (table, address, words), each in self.holes.refused.items()
            if each.code in ADDRESS
        }
        holes = replace(self.holes, walls=self.holes.walls | fences)
        reads, is_open = self._trial_plan(asked, holes)
        return Plan(
            reads=reads,
            suspects=tuple(suspects[:AT_ONCE]),
            left_out=tuple((each, codes[each.spot]) for each in items if each.spot in codes),
            is_open=bool(suspects) or is_open,
        )

    def due(self, plan: Plan, now_ns: int) -> Read | None:
        """Return the read of one register that `plan` leaves out, if its pause is over."""
        for item, _ in plan.left_out:
            if now_ns >= self._due.get(item.spot, now_ns + 1):
                return read_of([item], self._device_id)
        return None

    def learn(
        self, group: str, answers: Iterable[Answered], trials: Iterable[Trial], now_ns: int
    ) -> News:
        """Take in a cycle: the `answers` to reads that were not halved, and the trials."""
        before = self.holes
        for answer in answers:
            self._take(answer)
            if answer.code == NO_FUNCTION or (answer.code in ADDRESS and not halves(answer.read)):
                self._leave_out(answer.read.spots, answer.code, now_ns)
        suspects = []
        for trial in trials:
            for half in trial.halves:
                self._take(half)
            if trial.are_good:
                self._learn_border(trial)
            else:
                suspects += self._narrowed(trial, now_ns)
        self._suspects[group] = [*suspects, *self._suspects[group][AT_ONCE:]]
        return self._news_since(before)

    def asked_again(self, answer: Answered, now_ns: int) -> News:
        """Take in the answer to a refused register that was `due`."""
        spots, refused = answer.read.spots, self.holes.refused
        if answer.code is None:
            self.holes = replace(self.holes, refused={})
            self._due.clear()
            others = len(refused.keys() - spots)
            return News(
                back=tuple(describe(spot, refused[spot]) for spot in spots),
                found=(f"{others} other refused values are asked again too",) if others else (),
            )
        if answer.code == NO_FUNCTION:  # it speaks for the whole table
            spots |= {
                spot
                for spot, each in refused.items()
                if spot[0] is answer.read.table and each.code == NO_FUNCTION
            }
        self._leave_out(spots, answer.code, now_ns)
        return News()

    def _take(self, answer: Answered) -> None:
        """Note how many addresses the device took."""
        if answer.code is not None:
            return
        table, count = answer.read.table, answer.read.count
        self._taken[table] = max(count, self._taken.get(table, 0))
        known = self.holes.counts.get(table)
        if known is not None and known.takes < count:
            self.holes = self.holes.taking(table, count)

    def _learn_border(self, trial: Trial) -> None:
        if trial.again is None or trial.again.code not in ADDRESS:
            return  # a passing mood: the halves were answered, and now the whole is
        whole, (low, high) = trial.whole.read, (half.read for half in trial.halves)
        is_crossed = trial.gap is None or trial.gap.code is None
        is_more_than_ever = whole.count > self._taken[whole.table]
        if trial.is_about_count and is_crossed and is_more_than_ever:
            counts = Counts(self._taken[whole.table], whole.count)
            self.holes = replace(self.holes, counts={**self.holes.counts, whole.table: counts})
            return
        edge = (low.end - 1, high.address)
        if edge[0] >= edge[1]:  # the halves share registers: only the whole is known to be refused
            edge = (whole.address, whole.end - 1)
        self.holes = replace(self.holes, walls=self.holes.walls | {Wall(whole.table, *edge)})

    def _narrowed(self, trial: Trial, now_ns: int) -> list[Answered]:
        """Return which halves stay under suspicion; what is refused alone is named."""
        if any(half.code is not None and half.code not in LASTING for half in trial.halves):
            return [trial.whole]  # busy: the same question once more
        suspects = []
        for half in trial.halves:
            if half.code in ADDRESS and halves(half.read):
                suspects.append(half)
            elif half.code is not None:
                self._leave_out(half.read.spots, half.code, now_ns)
        return suspects

    def _leave_out(self, spots: Iterable[Spot], code: int, now_ns: int) -> None:
        refused = dict(self.holes.refused)
        for spot in spots:
            before = self._pauses.get(spot)
            pause_s = min(2 * before, _LAST_PAUSE_S) if before else _FIRST_PAUSE_S
            known = refused.get(spot)
            refused[spot] = Refused(
                name=self._names[spot],
                code=known.code if known and code not in LASTING else code,
                pause_s=pause_s,
            )
            self._pauses[spot] = pause_s
            self._due[spot] = now_ns + _ns(pause_s)
        self.holes = replace(self.holes, refused=refused)

    def _trial_plan(self, items: Sequence[Item], holes: Holes) -> tuple[tuple[Read, ...], bool]:
        """Plan with a count halfway between what the device takes and what it refuses.

        Returns too whether a read of this plan is larger than what the device is known to take.
        """
        is_open = False
        for table, known in holes.counts.items():
            own = [item for item in items if item.table is table]
            count = known.takes
            reads = self._reads(own, holes)
            fewest = self._reads(own, holes.taking(table, known.refuses - 1))
            while len(reads) > len(fewest) and count + 1 < known.refuses and not is_open:
                count = (count + known.refuses) // 2
                holes = holes.taking(table, count)
                reads = self._reads(own, holes)
                is_open = any(read.count > known.takes for read in reads)
        return self._reads(items, holes), is_open

    def _reads(self, items: Sequence[Item], holes: Holes) -> tuple[Read, ...]:
        return plan(items, self._limits, holes=holes, device_id=self._device_id)

    def _news_since(self, before: Holes) -> News:
        now = self.holes
        lost = now.refused.keys() - before.refused.keys()
        walls = Holes(walls=now.walls - before.walls).words()
        counts = [
            f"{table}: the device takes fewer addresses in one read than its profile says; "
            "how many is being looked for"
            for table in now.counts.keys() - before.counts.keys()
        ]
        return News(
            lost=tuple(describe(spot, now.refused[spot]) for spot in sorted(lost)),
            found=(*walls, *counts),
        )


def _names(items: Iterable[Item]) -> dict[Spot, str]:
    """Return what stands at each spot: `name`, `channel/name`, or several of them."""
    names: dict[Spot, dict[str, None]] = {}
    for item in items:
        name = f"{item.channel}/{item.register.name}" if item.channel else item.register.name
        names.setdefault(item.spot, {})[name] = None
    return {spot: ", ".join(each) for spot, each in names.items()}


def _fences(read: Read) -> tuple[Wall, Wall]:
    """Return what keeps other reads out of this one."""
    return (
        Wall(read.table, read.address - 1, read.address),
        Wall(read.table, read.end - 1, read.end),
    )


def _ns(seconds: float) -> int:
    return round(seconds * _NS)
