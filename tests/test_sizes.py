"""Sizes agree with Python's integers, keep one normal form, and say what they can of themselves."""

from __future__ import annotations

import operator
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl.sizes import (
    MAX_COEFFICIENT,
    MAX_DEGREE,
    Size,
    Symbolic,
    TooLarge,
    Undecided,
    at_least,
    bounds,
    ceil_div,
    divide_exactly,
    equal,
    is_size,
    maximum,
    minimum,
    substitute,
    symbol,
    symbols_of,
)

H, W = symbol("H"), symbol("W")


@st.composite
def sizes(draw: st.DrawFn, depth: int = 4) -> Size:
    """An expression made the way layers make them."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.one_of(st.integers(-9, 9), st.sampled_from([H, W])))
    a = draw(sizes(depth=depth - 1))
    kind = draw(st.sampled_from(["+", "-", "*", "//", "%", "max", "min"]))
    if kind in ("//", "%"):
        n = draw(st.integers(1, 6))
        return a // n if kind == "//" else a % n
    b = draw(sizes(depth=depth - 1))
    if kind == "*":
        return a * (b if draw(st.booleans()) else draw(st.integers(-4, 4)))
    return {"+": operator.add, "-": operator.sub, "max": maximum, "min": minimum}[kind](a, b)


NUMBERS = st.fixed_dictionaries({"H": st.integers(1, 40), "W": st.integers(1, 40)})


@st.composite
def with_meaning(draw: st.DrawFn, depth: int = 4) -> tuple[Size, str]:
    """An expression, and the same as plain Python source that nothing has simplified."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        value: Size = draw(st.one_of(st.integers(-9, 9), st.sampled_from([H, W])))
        return value, f"({value})"
    a, left = draw(with_meaning(depth=depth - 1))
    kind = draw(st.sampled_from(["+", "-", "*", "//", "%", "max", "min"]))
    if kind in ("//", "%"):
        n = draw(st.integers(1, 6))
        return (a // n if kind == "//" else a % n), f"({left} {kind} {n})"
    b, right = draw(with_meaning(depth=depth - 1))
    if kind in ("max", "min"):
        return (maximum if kind == "max" else minimum)(a, b), f"{kind}({left}, {right})"
    apply = {"+": operator.add, "-": operator.sub, "*": operator.mul}[kind]
    return apply(a, b), f"({left} {kind} {right})"


@given(with_meaning(), NUMBERS)
def test_agrees_with_integers(pair: tuple[Size, str], numbers: dict[str, int]) -> None:
    size, source = pair
    expected = eval(source, {}, numbers)
    assert substitute(size, numbers) == expected
    assert eval(str(size), {}, numbers) == expected


@given(sizes())
def test_normal_form_is_stable(size: Size) -> None:
    again = eval(str(size), {"max": maximum, "min": minimum}, {"H": H, "W": W})
    assert again == size
    assert hash(again) == hash(size)
    assert str(again) == str(size)
    assert substitute(size, {}) == size
    assert isinstance(size, int) or (symbols_of(size) <= {"H", "W"} and symbols_of(size))


@given(sizes(), NUMBERS)
def test_bounds_are_sound(size: Size, numbers: dict[str, int]) -> None:
    value = substitute(size, numbers)
    assert isinstance(value, int)
    low, high = bounds(size)
    assert low is None or low <= value
    assert high is None or value <= high
    for n in (-3, 0, 1, 5):
        answer = at_least(size, n)
        assert answer is None or answer == (value >= n)


@given(sizes(depth=3), sizes(depth=3), NUMBERS)
def test_questions_are_answered_rightly_or_not_at_all(a: Size, b: Size, numbers: dict[str, int]) -> None:
    x, y = substitute(a, numbers), substitute(b, numbers)
    answer = equal(a, b)
    assert answer is None or answer == (x == y)
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        try:
            assert compare(a, b) == compare(x, y)
        except Undecided:
            assert isinstance(a, Symbolic) or isinstance(b, Symbolic)


@given(sizes(depth=3), st.integers(1, 9), NUMBERS)
def test_exact_division(a: Size, n: int, numbers: dict[str, int]) -> None:
    assert divide_exactly(a * n, n) == a
    quotient = divide_exactly(a, n)
    if quotient is not None:
        assert substitute(quotient, numbers) * n == substitute(a, numbers)
    assert substitute(ceil_div(a, n), numbers) == -(-substitute(a, numbers) // n)


@settings(max_examples=50)
@given(sizes(depth=3), sizes(depth=2), NUMBERS)
def test_division_by_a_symbolic_size(a: Size, b: Size, numbers: dict[str, int]) -> None:
    divisor = maximum(b, 1)
    assert substitute(a // divisor, numbers) == substitute(a, numbers) // substitute(divisor, numbers)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((H + 1) // 2, "(H + 1)//2"),
        ((2 * H + 1) // 2, "H"),
        (((H + 1) // 2 + 1) // 2, "(H + 3)//4"),
        ((H - 1) // 2 + 1, "(H + 1)//2"),
        ((H - 11 + 4) // 4 + 1, "(H + 1)//4 - 1"),
        (2 * (H // 2), "2*(H//2)"),
        (H // 2 * W, "W*(H//2)"),
        (prod((64, H // 2, W // 2)), "64*(H//2)*(W//2)"),
        (7 - H, "7 - H"),
        (-H, "-H"),
        (-(H // 2), "-(H//2)"),
        (H - H // 2, "H - H//2"),
        (H**2 * 3 + W - 1, "3*H**2 + W - 1"),
        ((3 * H) // 4, "(3*H)//4"),
        (5 * H // 4, "H + H//4"),
        (sum([H, W, H]), "2*H + W"),
        (H % 2, "H - 2*(H//2)"),
        (7 // H, "7//H"),
        (7 % (H + 7), "7"),
        (maximum(H, W, 3), "max(3, H, W)"),
        (maximum(H, 1), "H"),
        (minimum(H, 1), "1"),
        (maximum(H - 1, 0), "H - 1"),
        ((H * W) // H, "W"),
        (ceil_div(H, 3), "(H + 2)//3"),
    ],
)
def test_reads_like_python(size: Size, text: str) -> None:
    assert str(size) == text


def test_numbers_stay_numbers() -> None:
    constants = [
        H - H,
        (H + 3) - H,
        0 * H,
        H // 1 - H + 4,
        (2 * H + 1) % 2,
        maximum(3, 4),
        substitute(H, {"H": 5}),
    ]
    for size in constants:
        assert type(size) is int
    assert (2 * H) // 2 == H
    assert ceil_div(7, 2) == 4
    assert divide_exactly(7, 2) is None
    assert divide_exactly(H * 6, H * 2) == 3
    assert divide_exactly(H * 6 + 2, H * 3 + 1) == 2
    assert divide_exactly(H, 2) is None


def test_what_is_a_size() -> None:
    assert is_size(3) and is_size(H)
    assert not is_size(True) and not is_size(3.0) and not is_size("H")


def test_how_terms_go_together_is_seen() -> None:
    assert at_least(H - H // 2, 1) is True
    assert at_least(H * W - H, 0) is True
    assert at_least(H + 2 - 3, 1) is None
    assert at_least(-H, 0) is False
    assert equal(2 * H + 1, 4) is False
    assert equal(2 * (H // 2), H) is None
    assert bounds((H + 1) // 2 - H // 2) == (0, 1)
    assert H // 2 < H
    assert symbols_of(H // 2 * W) == {"H", "W"}


def test_what_symbols_decide_is_undecided() -> None:
    for ask in (lambda: H < W, lambda: H >= 2, lambda: bool(H - 1), lambda: H // (W - 1)):
        with pytest.raises(Undecided):
            ask()
    assert bool(H)
    with pytest.raises(ZeroDivisionError):
        H // 0
    with pytest.raises(TypeError):
        H * 0.5  # type: ignore[operator]


def test_growth_is_bounded() -> None:
    with pytest.raises(TooLarge):
        H ** (MAX_DEGREE + 1)
    with pytest.raises(TooLarge):
        H * MAX_COEFFICIENT
    with pytest.raises(TooLarge):
        prod(symbol(f"A{i}") + symbol(f"B{i}") for i in range(9))
    size: Size = H
    with pytest.raises(TooLarge):
        for _ in range(10_000):
            size = (size * size + size + 1) // 3
    size = H
    with pytest.raises(TooLarge):
        for _ in range(10_000):
            size = (3 * size + 1) // 2 * 5 // 7
