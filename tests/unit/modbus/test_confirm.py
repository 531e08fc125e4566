"""Long values that a device changes between their words: whole, or marked as torn."""

import struct
from collections.abc import Iterator, Sequence

import pytest

from collectors.modbus.decoding.confirm import LOOKS, Confirmation
from collectors.modbus.reading.device import Device, Place
from collectors.profile import Profile
from collectors.quality import Fault, Reason
from collectors.sample import StationId, Value
from tests.services.profiles import small_profile
from tests.services.refusing import RefusingBus, RefusingDevice

CARRY = 0x0004_FFFE  # the next counts carry into the high word


def profile(kind: str, *, confirm: bool = True, order: str = "ABCD") -> Profile:
    return small_profile(
        [
            {"name": "total", "address": 0, "type": kind, "confirm": confirm},
            {"name": "state", "address": 4, "type": "uint16"},
        ],
        modbus={"order": order},
    )


def device(about: Profile, looks: Sequence[bytes]) -> tuple[Device, RefusingDevice]:
    """Return a device whose first registers hold one of `looks` after the other."""
    held = iter(looks)
    machine = RefusingDevice(edit=lambda _, payload: payload_of(held, payload))
    place = Place(
        station=StationId(site="s", line="l", station="meter-1"),
        device_id=1,
        profile=about,
        timeout_s=1.0,
    )
    bus = RefusingBus(machine)
    return Device(place, bus, lambda: 0), machine  # type: ignore[arg-type]  # stands in for a Bus


def payload_of(looks: Iterator[bytes], payload: bytes) -> bytes:
    look = next(looks)
    return look + payload[len(look) :]


async def polled(about: Profile, looks: Sequence[bytes]) -> tuple[Value | Fault, int]:
    """Return what one poll makes of the counter, and how many reads it took."""
    reader, machine = device(about, looks)
    (sample,) = await reader.sample("live")
    assert "state" in sample.values
    found = sample.values.get("total", sample.faults.get("total"))
    assert found is not None
    return found, len(machine.asked)


def counts(*numbers: int) -> list[bytes]:
    return [struct.pack(">I", number) for number in numbers]


def torn(high: int, low: int) -> int:
    """Return a counter with the high word of one number and the low word of another."""
    return high & 0xFFFF_0000 | low & 0xFFFF


AFTER = CARRY + 5
TEARS = {
    "the second look has the old high word": ([CARRY, torn(CARRY, AFTER), AFTER + 1], AFTER + 1),
    "the second look has the old low word": ([CARRY, torn(AFTER, CARRY), AFTER], AFTER),
    "the first look has the old high word": ([torn(CARRY, AFTER), AFTER, AFTER + 1], AFTER + 1),
    "the first look has the old low word": ([torn(AFTER, CARRY), AFTER, AFTER + 3], AFTER + 3),
}


@pytest.mark.parametrize("looks", TEARS)
async def test_a_torn_counter_is_never_taken_for_a_value(looks: str) -> None:
    """One tear spoils one look; the other two agree."""
    numbers, expected = TEARS[looks]
    assert await polled(profile("uint32"), counts(*numbers)) == (expected, LOOKS)


async def test_a_counter_that_no_two_looks_agree_on_is_marked() -> None:
    numbers = [CARRY, torn(CARRY, AFTER), torn(AFTER, CARRY)]
    found = await polled(profile("uint32"), counts(*numbers))
    assert found == (Fault(reason=Reason.TORN), LOOKS)


@pytest.mark.parametrize("looks", TEARS)
async def test_without_the_second_look_a_torn_counter_is_off_by_65536(looks: str) -> None:
    """The control: read once, the look that is torn is stored."""
    numbers, _ = TEARS[looks]
    wrong = next(each for each in numbers if abs(each - CARRY) > 1000)
    found, _ = await polled(profile("uint32", confirm=False), counts(wrong))
    assert isinstance(found, int)
    assert abs(found - CARRY) > 60_000


async def test_a_counter_that_runs_over_the_border_of_its_words_is_whole() -> None:
    assert await polled(profile("uint32"), counts(0x4FFFF, 0x50001)) == (0x50001, 2)


async def test_a_counter_that_was_reset_between_two_looks_is_taken_from_the_next_two() -> None:
    assert await polled(profile("uint32"), counts(123_456, 0, 1)) == (1, 3)


async def test_low_word_first_is_compared_as_the_number_it_is() -> None:
    about = profile("uint32", order="CDAB")
    looks = [struct.pack(">HH", each & 0xFFFF, each >> 16) for each in (0x4FFFF, 0x50001)]
    assert await polled(about, looks) == (0x50001, 2)


async def test_a_measured_value_is_taken_only_when_two_looks_are_equal() -> None:
    """A float may go anywhere, so any change between two looks may be a tear."""
    about = profile("float32")
    floats = [struct.pack(">f", each) for each in (1.5, 1.75, 2.5, 2.5)]
    assert await polled(about, floats[:3]) == (Fault(reason=Reason.TORN), 3)
    assert await polled(about, floats[1:]) == (2.5, 3)
    assert await polled(about, floats[2:]) == (2.5, 2)


async def test_one_register_cannot_be_torn_and_is_read_once() -> None:
    assert await polled(profile("uint16"), [b"\x00\x07"]) == (7, 1)


@pytest.mark.parametrize("step", [1, 5, 1000, 32767])
def test_every_tear_of_a_running_counter_is_seen(step: int) -> None:
    """Wherever the low word stands: old and new in any mixture never pass for whole."""
    (read,) = device(profile("uint32"), [])[0].reads("live")
    confirmation = Confirmation(read)
    carries = 0
    for old in range(0x0004_0000, 0x0005_0000, 17):
        new = old + step
        if new >> 16 == old >> 16:
            continue
        carries += 1
        for mixed in (torn(old, new), torn(new, old)):
            assert confirmation.torn([answer(old)], answer(mixed))
            assert confirmation.torn([answer(mixed)], answer(new))
        assert not confirmation.torn([answer(old)], answer(new))
    assert carries == -(-step // 17)


def answer(total: int) -> bytes:
    return struct.pack(">IHHH", total, 0, 0, 0)
