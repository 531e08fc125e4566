"""What a profile computes of each part: values derived from the measured ones, and checks.

[[records.derived]]
name = "line_energy"
formula = "1000 * power / scan_speed"

[[records.checks]]
value = "power"
formula = "voltage * current"
tolerance_percent = 5
"""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from collectors.derived import DerivedQuantity
from collectors.expression import Expression, Formula
from collectors.register import Band, Name, Positive
from collectors.toml_file import Strict


class Derived(DerivedQuantity):
    """A value computed from the part's other values; it is stored and shown like a measured one.

    Computed from good values only: when one of them is missing or doubtful, there is none.
    """

    formula: Formula
    valid: Band | None = None  # what it can be, in `unit`


class Check(Strict):
    """A law that a part's values obey: `value` is what the formula makes of the others.

    A part that breaks it keeps its values, but those under `doubts` are UNCERTAIN: `value` and
    all that the formula names, unless the profile says which. One unit of `value`'s last digit
    is allowed for beside the tolerance: registers round.
    """

    value: Name
    formula: Formula
    tolerance_percent: Positive
    doubts: tuple[Name, ...] = ()

    @property
    def doubted(self) -> tuple[str, ...]:
        """Names of the values that are not to be trusted when the check fails."""
        return self.doubts or tuple(dict.fromkeys((self.value, *self.formula.names)))


def faults_of_derived(derived: Collection[Derived], numbers: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with `derived`, of a part whose registers `numbers` are numbers.

    A formula may name the values that are derived before it.
    """
    known = list(numbers)
    for each in derived:
        if each.name in known:
            yield f"there is a `{each.name}` already: call the derived value otherwise"
        yield from _unknown(f"derived `{each.name}`", each.formula, known)
        known.append(each.name)


def faults_of_checks(
    checks: Collection[Check], numbers: Collection[str], measured: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with `checks`; only values of the part, `measured`, can be doubted."""
    for each in checks:
        yield from _unknown(f"check of `{each.value}`", each.formula, numbers)
        if each.value not in numbers:
            yield f"check of `{each.value}`: {_not_there(each.value, numbers)}"
        for name in each.doubted:
            if name not in measured:
                yield (
                    f"check of `{each.value}`: `{name}` cannot be doubted, since it is no measured "
                    "value; name those that can in `doubts`"
                )


def _unknown(where: str, formula: Expression, known: Collection[str]) -> Iterator[str]:
    for name in formula.names:
        if name not in known:
            column = formula.column_of(name)
            yield f"{where}: formula, column {column}: {_not_there(name, known)}"


def _not_there(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(known))}"
    return f"there is no number `{name}`; {meant}"
