"""Registers that stand together: the main map, a channel, a record slot. Their names are unique."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator

from collectors.register import MAX_NAME, Alarm, Bit, Register, Text, Type

_DECIDERS = {Type.BOOL, Type.ENUM, Type.BITFIELD}  # and whole numbers


def _written_out(registers: tuple[Register, ...]) -> tuple[Register, ...]:
    """Return the block with each element of its arrays as a register of its own."""
    for register in registers:
        if register.count is not None:
            _check_array(register, registers)
    block = tuple(each for register in registers for each in _elements(register))
    names = [each.name for each in block]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two registers are called {', '.join(twice)}")
    by_name = {each.name: each for each in block}
    for register in block:
        if register.scaled_by:
            _check_scaled(register, by_name.get(register.scaled_by.register_name))
    deciders = {each.scaled_by.register_name for each in block if each.scaled_by}
    return tuple(
        each.model_copy(update={"decides": True}) if each.name in deciders else each
        for each in block
    )


Registers = Annotated[tuple[Register, ...], AfterValidator(_written_out)]


def _check_array(array: Register, block: Iterable[Register]) -> None:
    if array.end > 65536:
        raise ValueError(f"the array `{array.name}` reaches beyond address 65535")
    if len(f"{array.name}_{array.count}") > MAX_NAME:
        raise ValueError(f"`{array.name}_{array.count}` is longer than {MAX_NAME} characters")
    for other in block:
        is_apart = other.end <= array.address or array.end <= other.address
        if other is not array and other.table == array.table and not is_apart:
            raise ValueError(
                f"the array `{array.name}` (addresses {array.address} to {array.end - 1}) "
                f"overlaps `{other.name}` (at {other.address})"
            )


def _elements(register: Register) -> Iterator[Register]:
    """Yield `<name>_1` at the address, `<name>_2` behind it, and so on."""
    if register.count is None:
        yield register
        return
    for number in range(1, register.count + 1):
        yield register.model_copy(
            update={
                "name": f"{register.name}_{number}",
                "address": register.address + (number - 1) * register.words,
                "label": _numbered(register.label, number),
                "alarm": _numbered_alarm(register.alarm, number),
                "bits": tuple(_numbered_bit(bit, number) for bit in register.bits),
                "count": None,
            }
        )


def _numbered(text: Text | None, number: int) -> Text | None:
    return text and Text(id=f"{text.id} {number}", en=f"{text.en} {number}")


def _numbered_alarm(alarm: Alarm | None, number: int) -> Alarm | None:
    return alarm and alarm.model_copy(update={"text": _numbered(alarm.text, number)})


def _numbered_bit(bit: Bit, number: int) -> Bit:
    alarm = _numbered_alarm(bit.alarm, number)
    return bit.model_copy(update={"name": f"{bit.name}_{number}", "alarm": alarm})


def _check_scaled(register: Register, decider: Register | None) -> None:
    by = register.scaled_by
    if by is None:
        return
    what = f"`{register.name}` is scaled by `{by.register_name}`"
    if decider is None:
        raise ValueError(f"{what}, which is not in the same block")
    if decider.scaled_by:
        raise ValueError(f"{what}, which is itself scaled by another")
    if decider.type not in _DECIDERS and not decider.is_whole:
        raise ValueError(f"{what}, which is not a bit, a code or a whole number")
    if by.bit is not None and by.bit >= 16 * decider.words:
        raise ValueError(f"{what}, which has no bit {by.bit}")
