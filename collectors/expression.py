"""A small arithmetic language for profiles: `energy * 1000 / (weld_time + 0.5)`.

Knows + - * / and parentheses, numbers, names of values, and the functions min, max and abs.
Parsed once, when the profile is loaded; a text is never run as code.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, NoReturn

from pydantic import PlainSerializer, PlainValidator

from collectors.quality import Fault, Reason
from collectors.sample import Value

_MAX_LENGTH = 200
_MAX_DEPTH = 20  # of parentheses and signs, so that no text exhausts the stack

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<sign>[-+*/(),]))", re.ASCII
)
_FUNCTIONS: Mapping[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs}

Inputs = Mapping[str, float]
Compute = Callable[[Inputs], float]


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula. Two of the same text are equal; `names` are the values it is computed from."""

    text: str
    names: tuple[str, ...] = field(compare=False)  # in the order of the text
    _compute: Compute = field(compare=False, repr=False)

    def column_of(self, name: str) -> int:
        """Return where `name` first stands in the text, counting from 1."""
        return next(each.start for each in _tokens(self.text) if each.text == name) + 1

    def evaluate(self, values: Mapping[str, Value], faults: Mapping[str, Fault]) -> float | Fault:
        """Return the formula's number, or the fault that says why it has none.

        An input that is missing, not a number, or at fault in any way is as good as none:
        Reason.INPUT, and `raw` names it. A division by zero, or a result beyond what a float
        holds, is Reason.UNDEFINED; `raw` tells the divisor, or the formula.
        """
        inputs: dict[str, float] = {}
        for name in self.names:
            value = values.get(name)
            if name in faults or value is None or isinstance(value, (str, bool)):
                return Fault(reason=Reason.INPUT, raw=name)
            inputs[name] = float(value)
        try:
            found = self._compute(inputs)
        except _DividedByZeroError as error:
            return Fault(reason=Reason.UNDEFINED, raw=str(error))
        return found if math.isfinite(found) else Fault(reason=Reason.UNDEFINED, raw=self.text)


class _DividedByZeroError(ArithmeticError):
    """The text of the divisor."""


def parse(text: str) -> Expression:
    """Return the expression that `text` is.

    Raises ValueError that says where the text is wrong, counting columns from 1.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a formula has at most {_MAX_LENGTH} characters, not {len(text)}")
    parser = _Parser(text)
    compute = parser.whole()
    return Expression(text, tuple(dict.fromkeys(parser.names)), compute)


def _parsed(text: object) -> Expression:
    if not isinstance(text, str):
        raise ValueError('a formula is a text, as "voltage * current"')  # noqa: TRY004 - pydantic takes ValueError only
    return parse(text)


Formula = Annotated[
    Expression,
    PlainValidator(_parsed),
    PlainSerializer(lambda parsed: parsed.text, return_type=str),
]


class _Token(NamedTuple):
    kind: str  # number, name, sign, or "" at the end
    text: str
    start: int


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise ValueError(
                f"column {start + 1}: `{text[start]}` is not known here; known are numbers as 0.5, "
                f"names, + - * / ( ) and {', '.join(_FUNCTIONS)}"
            )
        kind = found.lastgroup or ""
        yield _Token(kind, found.group(kind), found.start(kind))
        place = found.end()
    yield _Token("", "", len(text))


class _Parser:
    """Recursive descent: a sum of products of factors."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Compute:
        compute = self._sum()
        if self._token.kind:
            self._fail("an operator, + - * or /, is missing before")
        return compute

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    @property
    def _behind(self) -> int:
        last = self._tokens[self._next - 1]
        return last.start + len(last.text)

    def _take(self, *signs: str) -> str:
        """Return the next token if it is one of `signs`, and go on behind it; else ""."""
        token = self._token
        if token.kind != "sign" or token.text not in signs:
            return ""
        self._next += 1
        return token.text

    def _sum(self) -> Compute:
        left = self._product()
        while sign := self._take("+", "-"):
            left = _binary(operator.add if sign == "+" else operator.sub, left, self._product())
        return left

    def _product(self) -> Compute:
        left = self._factor()
        while sign := self._take("*", "/"):
            start = self._token.start
            right = self._factor()
            if sign == "*":
                left = _binary(operator.mul, left, right)
            else:
                left = _quotient(left, right, self._text[start : self._behind])
        return left

    def _factor(self) -> Compute:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(f"more than {_MAX_DEPTH} parentheses or signs are open at")
        compute = self._signed()
        self._depth -= 1
        return compute

    def _signed(self) -> Compute:
        if sign := self._take("+", "-"):
            factor = self._factor()
            return factor if sign == "+" else _unary(operator.neg, factor)
        if self._take("("):
            inside = self._sum()
            self._close()
            return inside
        token = self._token
        if token.kind == "number":
            self._next += 1
            return _constant(float(token.text))
        if token.kind == "name":
            self._next += 1
            if self._take("("):
                return self._call(token)
            self.names.append(token.text)
            return operator.itemgetter(token.text)
        return self._fail("a number, a name or `(` should stand in place of")

    def _call(self, name: _Token) -> Compute:
        if name.text not in _FUNCTIONS:
            raise ValueError(
                f"column {name.start + 1}: there is no function `{name.text}`; "
                f"known here: {', '.join(_FUNCTIONS)}"
            )
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._close()
        if (len(arguments) == 1) != (name.text == "abs"):
            needs = "one value" if name.text == "abs" else "two values or more"
            raise ValueError(f"column {name.start + 1}: `{name.text}` takes {needs}")
        function = _FUNCTIONS[name.text]
        return lambda inputs: function(*(each(inputs) for each in arguments))

    def _close(self) -> None:
        if not self._take(")"):
            self._fail("`)` is missing before")

    def _fail(self, what: str) -> NoReturn:
        token = self._token
        shown = f"`{token.text}`" if token.kind else "the end"
        raise ValueError(f"column {token.start + 1}: {what} {shown}")


def _constant(number: float) -> Compute:
    return lambda _: number


def _unary(function: Callable[[float], float], operand: Compute) -> Compute:
    return lambda inputs: function(operand(inputs))


def _binary(function: Callable[[float, float], float], left: Compute, right: Compute) -> Compute:
    return lambda inputs: function(left(inputs), right(inputs))


def _quotient(left: Compute, right: Compute, divisor: str) -> Compute:
    def compute(inputs: Inputs) -> float:
        below = right(inputs)
        if below == 0:
            raise _DividedByZeroError(divisor)
        return left(inputs) / below

    return compute
