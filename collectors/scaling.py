"""How raw numbers become values in a unit, and what may decide it."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from collectors.toml_file import Strict

Factor = Annotated[float, Field(ge=-1e12, le=1e12)]


class Scaling(Strict):
    """The value is `raw * scale + offset`."""

    scale: Factor = 1.0
    offset: Factor = 0.0


class ScaledBy(Strict):
    """Another register of the block decides the scaling: a decimal point, or a bit for the unit.

    `values` has the scaling for each of its numbers (0 and 1 with a `bit`). All of them lead to
    the one unit of the register, since a column of the database has one unit.
    """

    register_name: Annotated[str, Field(alias="register")]
    bit: Annotated[int, Field(ge=0, le=63)] | None = None
    values: Annotated[Mapping[str, Scaling], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_numbers(self) -> Self:
        if not all(re.fullmatch(r"\d+", key) for key in self.values):
            raise ValueError("the keys of `values` are the deciding register's numbers, as 0 or 1")
        if self.bit is not None and not self.values.keys() <= {"0", "1"}:
            raise ValueError("a bit is 0 or 1")
        if any(each.scale == 0 for each in self.values.values()):
            raise ValueError("`scale` 0 makes every value 0")
        return self


def decimals(*numbers: float) -> int:
    """Return how many decimals the longest of `numbers` is written with, 9 at most."""
    exponents = (Decimal(repr(each)).normalize().as_tuple().exponent for each in numbers)
    return min(9, max(0, *(-int(each) for each in exponents)))
