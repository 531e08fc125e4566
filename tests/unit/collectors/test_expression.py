"""The formulas of profiles: Python's own arithmetic is the oracle."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.expression import Expression, parse
from collectors.quality import Fault, Reason

NAMES = ("current", "voltage", "weld_time")
numbers = st.sampled_from([0.0, 1.0, 0.5, 2.0, 3.25, 1000.0, 0.001])
inputs = st.fixed_dictionaries({name: st.floats(-1e6, 1e6) | st.just(0.0) for name in NAMES})


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    joined = st.tuples(inner, st.sampled_from([" + ", "-", " * ", "/"]), inner).map("".join)
    signed = st.tuples(st.sampled_from("-+"), inner).map("".join)
    several = st.lists(inner, min_size=2, max_size=3).map(", ".join)
    called = st.tuples(st.sampled_from(["min", "max"]), several)
    return st.one_of(
        joined,
        signed,
        inner.map("({})".format),
        inner.map("abs({})".format),
        called.map(lambda each: f"{each[0]}({each[1]})"),
    )


texts = st.recursive(st.sampled_from(NAMES) | numbers.map(str), _grown, max_leaves=12).filter(
    lambda text: len(text) <= 200
)


def number_of(text: str, **values: float) -> float:
    """Return the number that a formula must have."""
    found = parse(text).evaluate(values, {})
    assert not isinstance(found, Fault), found
    return found


@given(text=texts, values=inputs)
def test_a_formula_has_the_value_that_python_gives_it(text: str, values: dict[str, float]) -> None:
    """Precedence, order from the left, signs and functions are those of Python, to the last bit."""
    scope = {"__builtins__": {}, "min": min, "max": max, "abs": abs, **values}
    found = parse(text).evaluate(values, {})
    try:
        expected = eval(text, scope)  # noqa: S307 - the oracle, on a text that hypothesis made
    except ZeroDivisionError:
        assert isinstance(found, Fault)
        assert found.reason is Reason.UNDEFINED
        return
    if math.isfinite(expected):
        assert found == expected
    else:
        assert found == Fault(reason=Reason.UNDEFINED, raw=text)


@given(text=texts, values=inputs, lost=st.sampled_from(NAMES))
def test_without_one_of_its_inputs_a_formula_has_no_value(
    text: str, values: dict[str, float], lost: str
) -> None:
    """Missing, faulty or doubtful: the value is absent and the fault names the input."""
    formula = parse(text)
    faults = {lost: Fault(reason=Reason.IMPLAUSIBLE)}
    without = {name: value for name, value in values.items() if name != lost}
    told = Fault(reason=Reason.INPUT, raw=lost)
    if lost in formula.names:
        assert formula.evaluate(without, {}) == told
        assert formula.evaluate(values, faults) == told  # even a value that is there, but doubted
        assert formula.evaluate(values | {lost: "7"}, {}) == told
        assert formula.evaluate(values | {lost: True}, {}) == told
    else:
        assert formula.evaluate(without, faults) == formula.evaluate(values, {})


def test_laws_of_welding_in_the_units_of_the_trade() -> None:
    """KA and V make kW and mΩ, kW and ms make J: a published record of 4.5 kA, 4 V, 2 ms."""
    assert number_of("voltage * current", voltage=4.0, current=4.5) == 18.0
    assert number_of("voltage / current", voltage=4.0, current=4.5) == pytest.approx(
        0.889, abs=1e-3
    )
    assert number_of("power * weld_time", power=18.0, weld_time=2.0) == 36.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8 - 4 - 2", 2),
        ("8 / 4 / 2", 1),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("-2 * -3", 6),
        ("2 - -3", 5),
        ("min(3, 1, 2) + max(3, 4) - abs(0 - 2)", 3),
        ("  1.50  ", 1.5),
        ("min + abs", 5),
    ],
)
def test_examples(text: str, value: float) -> None:
    """Short formulas; a function's name without a parenthesis is the name of a value."""
    assert number_of(text, min=2, abs=3) == value


@pytest.mark.parametrize(
    ("text", "divisor"),
    [
        ("voltage / current", "current"),
        ("1 / (current - current) + 2", "(current - current)"),
        ("3 * (1 / min(0, current) * 2)", "min(0, current)"),
    ],
)
def test_a_division_by_zero_has_no_value_and_names_the_divisor(text: str, divisor: str) -> None:
    """It is neither 0 nor infinite."""
    found = parse(text).evaluate({"voltage": 1.2, "current": 0}, {})
    assert found == Fault(reason=Reason.UNDEFINED, raw=divisor)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column 1: a number, a name or `(` should stand in place of the end"),
        ("voltage *", "column 10: a number, a name or `(` should stand in place of the end"),
        ("2 voltage", "column 3: an operator, + - * or /, is missing before `voltage`"),
        ("(1 + 2", "column 7: `)` is missing before the end"),
        ("1 + 2)", "column 6: an operator, + - * or /, is missing before `)`"),
        ("voltage ** 2", "column 10: a number, a name or `(` should stand in place of `*`"),
        ("voltage % 2", "column 9: `%` is not known here; known are numbers as 0.5, names"),
        ("Voltage", "column 1: `V` is not known here"),
        ("1,5 * a", "column 2: an operator, + - * or /, is missing before `,`"),
        ("a.b", "column 2: `.` is not known here"),
        ("__import__('os')", "column 1: `_` is not known here"),
        ("sqrt(2)", "column 1: there is no function `sqrt`; known here: min, max, abs"),
        ("1 + abs(2, 3)", "column 5: `abs` takes one value"),
        ("min(1)", "column 1: `min` takes two values or more"),
        ("min()", "column 5: a number, a name or `(` should stand in place of `)`"),
        ("1" * 201, "a formula has at most 200 characters, not 201"),
        ("(" * 100 + "1" + ")" * 99, "column 21: more than 20 parentheses or signs are open"),
        ("-" * 150 + "1", "column 21: more than 20 parentheses or signs are open"),
    ],
)
def test_what_is_no_formula_is_told_with_its_place(text: str, told: str) -> None:
    """The column counts from 1, and what is known is named where that helps."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        parse(text)
    assert str(caught.value).startswith(told)


@given(text=st.text(alphabet="abx01 .,+-*/()", max_size=30))
def test_any_text_is_a_formula_or_a_fault(text: str) -> None:
    """Nothing but ValueError comes of a text, and what is parsed once is parsed alike again."""
    try:
        found = parse(text)
    except ValueError:
        return
    assert parse(text) == found
    assert isinstance(found, Expression)
