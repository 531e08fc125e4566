"""Values over several registers that a device changes between its words: looked at twice.

A torn value has its high words from before a change and its low ones from after it, or the other
way round. Of a counter that is off by about 65536, so another look shows it: a counter that moved
forward by less than half of that between two looks was whole in both. For everything else (a
temperature may go anywhere) only two equal looks prove that nothing was torn.
"""

from collections.abc import Sequence
from dataclasses import replace

from collectors.modbus.decoding.layout import Layout
from collectors.modbus.planning.plan import Item, Read
from collectors.register import Register, Type

LOOKS = 3  # at most: one tear spoils one of them, and the other two agree

_COUNTERS = {Type.UINT32, Type.UINT64, Type.BCD}
_LARGEST_STEP = 2**15


class Confirmation:
    """Compares two answers to one read; `items` are those its profile wants confirmed."""

    def __init__(self, read: Read) -> None:
        self.items = tuple(item for item in read.items if needs_confirmation(item.register))
        self._layout = Layout(replace(read, items=self.items))

    def torn(self, looks: Sequence[bytes], last: bytes) -> list[Item]:
        """Return the items that may be torn in `last`: no earlier look agrees with it."""
        earlier = [self._layout.unpack(look) for look in looks]
        return [
            item
            for item, now, *before in zip(
                self.items, self._layout.unpack(last), *earlier, strict=True
            )
            if not any(_is_whole(item.register, each, now) for each in before)
        ]


def needs_confirmation(register: Register) -> bool:
    """Whether a value is to be read twice: one register cannot be torn."""
    return register.confirm and register.words > 1


def _is_whole(register: Register, first: object, second: object) -> bool:
    if first == second:
        return True
    if register.type not in _COUNTERS:
        return False
    assert isinstance(first, int)  # noqa: S101 - all counters are ints
    assert isinstance(second, int)  # noqa: S101 - all counters are ints
    return 0 < second - first < _LARGEST_STEP
