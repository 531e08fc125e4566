"""What the values of a part say about each other: doubts, and values derived from the good ones."""

from collections.abc import Mapping
from itertools import chain

from collectors.quality import Fault, Quality, Reason
from collectors.record_formulas import Check, Derived
from collectors.record_source import RecordSource
from collectors.register import Register
from collectors.sample import Value

Values = Mapping[str, Value]
Faults = Mapping[str, Fault]


def completed(source: RecordSource, values: Values, faults: Faults) -> tuple[Values, Faults]:
    """Return what was read of a part with its doubts and derived values.

    Nothing measured is taken away: a value that breaks a check stays, marked UNCERTAIN. The
    checks go first, and none sees the doubts of another; so nothing is derived from a doubt, and
    their order in the file means nothing.
    """
    registers = {each.name: each for each in source.registers} if source.checks else {}
    doubted = chain.from_iterable(
        check.doubted
        for check in source.checks
        if _is_broken(check, registers[check.value], values, faults)
    )
    doubt = Fault(reason=Reason.IMPLAUSIBLE, quality=Quality.UNCERTAIN)
    full = dict(values)
    told = {**{name: doubt for name in doubted if name in values}, **faults}
    for each in source.derived:
        found = _derive(each, full, told)
        if isinstance(found, Fault):
            told[each.name] = found
        else:
            full[each.name] = found
    return full, told


def _is_broken(check: Check, register: Register, values: Values, faults: Faults) -> bool:
    """Whether the part breaks a law; what cannot be checked, for want of a value, does not.

    A value where the formula has none, as a resistance without current, breaks it.
    """
    value = values.get(check.value)
    if check.value in faults or value is None or isinstance(value, str):
        return False
    expected = check.formula.evaluate(values, faults)
    if isinstance(expected, Fault):
        return expected.reason is Reason.UNDEFINED
    step = 0.0 if register.digits is None else 10.0**-register.digits
    return abs(value - expected) > abs(expected) * check.tolerance_percent / 100 + step


def _derive(derived: Derived, values: Values, faults: Faults) -> float | Fault:
    found = derived.formula.evaluate(values, faults)
    if isinstance(found, Fault):
        return found
    found = round(found, derived.decimals)
    low, high = derived.valid or (found, found)
    if not low <= found <= high:
        return Fault(reason=Reason.OUT_OF_RANGE, raw=found)
    return found
