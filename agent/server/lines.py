"""Whether a line may enter the database: its spelling, every name, every type, its time.

The exact way parses a line, looks up each name and spells the line anew. Most lines are plain
numbers under tags seen before: two regular expressions tell that, three times as fast. They take
only what the exact way takes; a test holds the two together.
"""

import re

from agent.server.window import Window
from agent.wire import line as line_protocol
from agent.wire.schema import FieldType, Schema

_MOST_HEADS = 5_000  # to remember: who sends ever new ones goes the exact way

_NAME = "[a-z][a-z0-9_]*"
# No more than 15 digits and no zeros at the end: then a float is spelt back as it came.
_FLOAT = r"-?(?=[0-9.]{3,16}[, ])(?:0\.(?!0000)|[1-9][0-9]*\.)(?:0|[0-9]*[1-9])"
_WHOLE = "(?:-?[1-9][0-9]{0,17}|0)i"
_TEXT = r'"[^"\\\x00-\x1f\x7f]*"'
_FIELD = f"{_NAME}=(?:{_FLOAT}|{_WHOLE}|{_TEXT})"
_LINE = re.compile(rf"([^ \\]+) ((?:{_FIELD},)*+{_FIELD}) ([1-9][0-9]{{0,18}})")
_NAME_AND_MARK = re.compile(rf'({_NAME})=(?:-?[0-9]+([.i])[0-9]*|"[^"]*")')  # of what is a _LINE
_MARKS: dict[FieldType, str] = {"float": ".", "int": "i", "str": ""}


class LineCheck:
    """Checks lines against one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields = {
            measurement: frozenset((name, _MARKS[wanted]) for name, wanted in types.items())
            for measurement, types in schema.fields.items()
        }
        self._heads: dict[str, str] = {}  # measurement and tags that were right → measurement

    def fault(self, line: str, window: Window) -> str:
        """Return why `line` may not enter, or nothing when it may."""
        found = _LINE.fullmatch(line)
        if found is not None and self._is_plain(found):
            return window.fault(int(found[3]))
        try:
            point = line_protocol.parse(line)
            self._schema.check(point)
        except ValueError as error:
            return str(error)
        if found is not None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[found[1]] = point.measurement
        return window.fault(point.time_ns)

    def _is_plain(self, found: re.Match[str]) -> bool:
        """Whether the head is known, and each field is, in its type and once."""
        measurement = self._heads.get(found[1])
        if measurement is None:
            return False
        fields = _NAME_AND_MARK.findall(found[2])
        distinct = set(fields)
        return len(distinct) == len(fields) and distinct <= self._fields[measurement]
