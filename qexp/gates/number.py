"""Checks of numbers that users pass in; the exception tells a wrong type from a wrong value."""

from __future__ import annotations

from numbers import Integral, Real


def positive_integer(value: object, name: str) -> int:
    """Return a number that must be whole and at least 1; ``5.0`` is 5.

    Raises:
        TypeError: It is no real number.
        ValueError: It is not whole, or below 1.
    """
    number = int(value) if isinstance(value, Integral) else real(value, name)
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"'{name}' should be an integer, but was {value}")
    if number < 1:
        raise ValueError(f"'{name}' should be at least 1, but was {value}")
    return int(number)


def real(value: object, name: str) -> float:
    """Return a real number, infinity included.

    Raises:
        TypeError: It is no real number.
    """
    if not isinstance(value, Real):
        raise TypeError(f"'{name}' should be a real number, but was of type {type(value)}")
    return float(value)
