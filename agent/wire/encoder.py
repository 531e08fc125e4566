"""From points to lines at the least cost: rows of one shape share all but their numbers.

A line is that of `line.encode(schema.coerce(point))`, to the letter; a test holds the two together.
Most rows of a machine have the same names, tags and types as the row before. For those, names are
checked and escaped once, and one format operation spells the values: four times as fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from agent.wire import line
from agent.wire.point import Field, Point
from agent.wire.schema import FieldType, Schema

_MOST_SHAPES = 500  # to keep: what is left of filtered samples has ever new ones
_NOT_FINITE = ("=nan", "=inf", "=-inf")
_FORMATS: dict[tuple[FieldType, type], str] = {
    ("float", float): "%r",
    ("int", int): "%di",
    ("int", bool): "%di",
    ("str", str): "%s",
}


@dataclass(frozen=True, slots=True)
class _Shape:
    head: str
    fields: str  # a format
    texts: Sequence[int]  # places of the values that are text
    whole: Callable[[Sequence[Field]], tuple[int, ...]] | None  # picks those to fit 64 bits


class Encoder:
    """Encodes the points of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._shapes: dict[tuple[object, ...], _Shape] = {}

    def encode(self, point: Point) -> str:
        """Return the point's line with every field in its fixed type, without a line feed.

        Raises ValueError, TypeError or OverflowError for a point that has no line.
        """
        values = [*point.fields.values()]
        about = (point.measurement, *point.tags.items(), *point.fields, *map(type, values))
        shape = self._shapes.get(about)
        if shape is None:
            return self._learnt(point, about)
        for place in shape.texts:
            values[place] = line.quoted(str(values[place]))
        if shape.whole is not None:
            whole = shape.whole(values)
            if max(whole) >= 2**63 or min(whole) < -(2**63):
                return self._exact(point)
        fields = shape.fields % tuple(values)
        if any(each in fields for each in _NOT_FINITE):  # or in a text: the exact way knows
            return self._exact(point)
        return f"{shape.head} {fields} {point.time_ns}"

    def _exact(self, point: Point) -> str:
        return line.encode(self._schema.coerce(point))

    def _learnt(self, point: Point, about: tuple[object, ...]) -> str:
        text = self._exact(point)
        types = self._schema.fields[point.measurement]
        formats = [
            _FORMATS.get((types[name], type(value)), "") for name, value in point.fields.items()
        ]
        if all(formats):
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            self._shapes[about] = _shape(point, formats)
        return text


def _shape(point: Point, formats: Sequence[str]) -> _Shape:
    names = (line.key(name).replace("%", "%%") for name in point.fields)
    whole = [place for place, each in enumerate(formats) if each == "%di"]
    return _Shape(
        head=line.head(point),
        fields=",".join(f"{name}={each}" for name, each in zip(names, formats, strict=True)),
        texts=[place for place, each in enumerate(formats) if each == "%s"],
        whole=itemgetter(whole[0], *whole) if whole else None,  # one alone would be no tuple
    )
