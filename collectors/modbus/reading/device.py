"""One device on a bus: what its profile asks of it, as polls that return or raise."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from collectors.errors import FixTheFileError, NoAnswerError, RefusedError, WrongDeviceError
from collectors.modbus.decoding.confirm import LOOKS, Confirmation
from collectors.modbus.decoding.decode import Decoded
from collectors.modbus.planning.healing import (
    ADDRESS,
    AT_ONCE,
    LASTING,
    Answered,
    Healing,
    News,
    Trial,
    between,
    halves,
)
from collectors.modbus.planning.holes import Facts, Holes, recalled, remembered
from collectors.modbus.planning.plan import Item, Read, groups_of, place, read_of
from collectors.modbus.reading.polls import Outcome, Poll, Work, decode, faults
from collectors.modbus.transport.bus import Bus
from collectors.modbus.transport.frame import Acknowledgement, Request
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.sample import Sample, StationId

Clock = Callable[[], int]  # wall clock in ns since 1970
Tell = Callable[[News, Facts], None]  # what was learned just now, and all of it to remember


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is, and how it is read: a station of the plant behind a device id of a bus.

    `acknowledge` is the site's leave to write the one register that the profile names for it.
    """

    station: StationId
    device_id: int
    profile: Profile
    timeout_s: float
    acknowledge: bool = False


class Device:
    """Reads one device. Every method may raise BusDownError, NoAnswerError or WrongDeviceError.

    `learned` is what `tell` gave in an earlier life: which registers the device refuses.
    """

    def __init__(
        self,
        place: Place,
        bus: Bus,
        clock: Clock,
        *,
        learned: Facts | None = None,
        tell: Tell | None = None,
    ) -> None:
        self.place = place
        self.clock = clock
        self.timeout_s = place.timeout_s  # of each request; less for a probe of the runner
        self.refusals = 0  # since the start
        self._bus = bus
        self._tell = tell or _nobody
        self._items = groups_of(place.profile)
        self._healing = Healing(
            self._items,
            place.profile.modbus,
            device_id=place.device_id,
            holes=recalled(learned or {}, place.profile, place.device_id),
            now_ns=clock(),
        )
        self._works = {group: Work(self._healing.plan(group)) for group in self._items}
        identity = place.profile.identity
        self._identity = self._poll_of(identity.name) if identity else None
        self._identified_on: int | None = None  # the bus's generation, once the device is known
        self._polls = 0  # since then

    @property
    def station(self) -> StationId:
        """The station this device is."""
        return self.place.station

    @property
    def holes(self) -> Holes:
        """What the device is known to refuse."""
        return self._healing.holes

    def reads(self, group: str) -> tuple[Read, ...]:
        """Return the reads of a poll group, as they are planned now."""
        return tuple(poll.read for poll in self._works[group].polls)

    async def sample(self, group: str) -> list[Sample]:
        """Read a poll group. What the device refuses comes as faults, not as an error."""
        await self.recognise()
        work = self._works[group]
        outcomes = await self._ask(work.polls)
        if work.plan.is_open or any(each.code is not None for each in outcomes):
            outcomes = await self._heal(group, work, outcomes)
        elif work.plan.left_out:
            await self._ask_left_out(group, work)
        await self.recognise()  # a connection made meanwhile may lead to another device
        self._polls += 1
        samples = [
            self._sample(group, part, outcome.at_ns)
            for outcome, parts in decode(outcomes)
            for part in parts
        ]
        at_ns = self.clock() if work.left_out else 0
        return samples + [self._sample(group, part, at_ns) for part in work.left_out]

    def silent(self, group: str, reason: Reason) -> list[Sample]:
        """Return a poll group in which every value is missing, for `reason`."""
        fault, at_ns = Fault(reason=reason), self.clock()
        parts = faults((item, fault) for item in self._items[group])
        return [self._sample(group, part, at_ns) for part in parts]

    async def fetch(self, request: Request) -> bytes:
        """Return the data bytes of one answer; raises RefusedError too."""
        try:
            return await self._bus.read(request, self.timeout_s)
        except RefusedError:
            self.refusals += 1
            raise
        except NoAnswerError:
            self._identified_on = None  # who answers next may be another device
            raise

    async def acknowledge(self, value: int) -> None:
        """Tell the machine which part is stored: the one write of this engine.

        Raises RefusedError too, and FixTheFileError unless both profile and site allow it.
        """
        records = self.place.profile.records
        if records is None or records.acknowledge is None or not self.place.acknowledge:
            raise FixTheFileError(
                f"{self.station}: nothing may be written to this device",
                "name the register in [records] of the profile, and set `acknowledge = true`",
            )
        address = self.place.profile.named(records.acknowledge).address
        request = Acknowledgement(self.place.device_id, address, value)
        await self.recognise()  # what is meant for this device must not be told to another
        await self.fetch(request)

    async def recognise(self) -> None:
        """Identify the device if that is due, so that nothing of another one is ever decoded.

        It is due on a new connection, after a silence, and each `every` polls of the profile.
        """
        identity = self.place.profile.identity
        if identity is None:
            return
        if self._identified_on != self._bus.generation or self._polls >= identity.every:
            self._identified_on = None
            await self.identify()
            self._identified_on, self._polls = self._bus.generation, 0

    async def identify(self) -> None:
        """Raise WrongDeviceError unless the identity register holds what the profile says."""
        identity = self.place.profile.identity
        if identity is None or self._identity is None:
            return
        (outcome,) = await self._ask([self._identity])
        ((_, (part,)),) = decode([outcome])
        if outcome.code is not None and outcome.code not in LASTING:
            raise NoAnswerError(
                f"{self.station} does not identify itself now (exception {outcome.code})",
                "it is busy or has failed: look at the device if this lasts",
            )
        found = part.values.get(identity.name, part.faults.get(identity.name))
        if found != identity.value:
            raise WrongDeviceError(
                f"{self.station}: `{identity.name}` is {found}, "
                f"the profile is made for {identity.value}",
                "the machine's program was changed, or another machine answers: "
                "check its address and its profile",
            )

    async def _ask(self, polls: Sequence[Poll]) -> list[Outcome]:
        if len(polls) == 1 or self._bus.window == 1:
            return [await self._look(poll) for poll in polls]
        # All are awaited even if one fails: none may be left behind without an owner.
        results = await asyncio.gather(*map(self._look, polls), return_exceptions=True)
        outcomes = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            outcomes.append(result)
        return outcomes

    async def _look(self, poll: Poll) -> Outcome:
        """Read once, or as often as it takes to know that no value is torn."""
        torn: Sequence[Item] = ()
        try:
            payload = await self.fetch(poll.read.request)
            if poll.confirmation is not None:
                payload, torn = await self._confirm(poll.read, poll.confirmation, payload)
        except RefusedError as error:
            return Outcome(poll, self.clock(), code=error.code)
        return Outcome(poll, self.clock(), payload, torn=torn)

    async def _confirm(
        self, read: Read, confirmation: Confirmation, first: bytes
    ) -> tuple[bytes, Sequence[Item]]:
        """Return the last look at a read, and what may be torn in it."""
        looks, torn = [first], [*confirmation.items]
        while torn and len(looks) < LOOKS:
            payload = await self.fetch(read.request)
            torn = confirmation.torn(looks, payload)
            looks.append(payload)
        return looks[-1], torn

    async def _heal(self, group: str, work: Work, outcomes: list[Outcome]) -> list[Outcome]:
        """Return the outcomes with the halves in place of what was refused, and learn of both."""
        size = len(work.plan.reads)
        kept: list[Outcome] = []
        trials: list[Trial] = []
        answers: list[Answered] = []
        for outcome in outcomes[:size]:
            room = AT_ONCE - len(work.plan.suspects) - len(trials)
            pair = halves(outcome.poll.read) if outcome.code in ADDRESS and room > 0 else None
            if pair is None:
                kept.append(outcome)
                answers.append(outcome.answered)
            else:
                parts = await self._ask([Poll(half) for half in pair])
                kept += parts
                trials.append(await self._try(outcome.answered, parts))
        for index, whole in enumerate(work.plan.suspects):
            parts = outcomes[size + 2 * index : size + 2 * index + 2]
            kept += parts
            trials.append(await self._try(whole, parts))
        await self.recognise()  # another device's refusals are no lesson
        before = self._healing.holes
        news = self._healing.learn(group, answers, trials, self.clock())
        if trials or work.plan.is_open or self._healing.holes is not before:
            self._plan_anew(group, before, news)
        return kept

    async def _try(self, whole: Answered, parts: Sequence[Outcome]) -> Trial:
        """Return what a refused read and its halves tell; ask once more if both are good."""
        low, high = (part.answered for part in parts)
        trial = Trial(whole=whole, halves=(low, high))
        if not trial.are_good:
            return trial
        trial = replace(trial, again=await self._answer(whole.read))
        if trial.is_about_count and (gap := between(low.read, high.read)):
            trial = replace(trial, gap=await self._answer(gap))
        return trial

    async def _answer(self, read: Read) -> Answered:
        try:
            await self.fetch(read.request)
        except RefusedError as error:
            return Answered(read, error.code)
        return Answered(read, None)

    async def _ask_left_out(self, group: str, work: Work) -> None:
        """Ask a refused register again, if one is due: it may have come back."""
        read = self._healing.due(work.plan, self.clock())
        if read is not None:
            before = self._healing.holes
            news = self._healing.asked_again(await self._answer(read), self.clock())
            self._plan_anew(group, before, news)

    def _plan_anew(self, group: str, before: Holes, news: News) -> None:
        holes = self._healing.holes
        for each in self._items if holes is not before else [group]:
            self._works[each] = Work(self._healing.plan(each))
        if holes is not before:
            self._tell(news, remembered(holes, self.place.profile, self.place.device_id))

    def _sample(self, group: str, part: Decoded, at_ns: int) -> Sample:
        return Sample(
            station=self.station,
            group=group,
            time_ns=at_ns,
            values=part.values,
            faults=part.faults,
            channel=part.channel,
        )

    def _poll_of(self, name: str) -> Poll:
        profile = self.place.profile
        return Poll(read_of([place(profile, profile.named(name))], self.place.device_id))


def _nobody(news: News, facts: Facts) -> None:
    del news, facts
