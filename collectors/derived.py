"""A value of a part that no register holds: it is made of others, by whatever rule."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from collectors.register import RESERVED, Band, Name, Text
from collectors.toml_file import Strict


class DerivedQuantity(Strict):
    """What is stored and shown of it: like a measured value, always a number."""

    name: Name
    unit: str = ""
    decimals: Annotated[int, Field(ge=0, le=9)]
    spec: Band | None = None  # the product's lower and upper limit, in `unit`
    label: Text
    show: Annotated[int, Field(ge=1, le=9)] | None = None  # rank on the station's tile

    @property
    def digits(self) -> int:
        """Decimals to round to."""
        return self.decimals

    @property
    def is_number(self) -> bool:
        """Whether it is a number; it is never anything else."""
        return True

    @model_validator(mode="after")
    def _can_be_stored(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(f"`{self.name}` is a name that the database keeps for itself")
        return self
