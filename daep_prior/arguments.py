"""Checks of numbers that callers give: one sentence with the argument, what was given, and what is expected."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

__all__ = ["checked_numbers", "checked_seeds", "real_number", "whole_number"]

P = ParamSpec("P")
R = TypeVar("R")


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """``value`` as an integer of at least ``least``; any type that holds a whole number is one.

    :raises ValueError: anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if isinstance(value, (str, bytes, bool)) or not math.isfinite(number) or number != int(number) or number < least:
        raise ValueError(f"{name}: got {value!r}; expected a whole number >= {least}.")
    return int(number)


def real_number(name: str, value: Any, what: str, *, positive: bool = False) -> float:
    """``value`` as a finite float of at least 0, or above 0; any type that holds a real number is one.

    :param str what: what is expected, in words.
    :raises ValueError: anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if isinstance(value, (str, bytes, bool)) or not 0 <= number < math.inf or (positive and number == 0):
        raise ValueError(f"{name}: got {value!r}; expected {what} {'>' if positive else '>='} 0.")
    return number


def checked_seeds(seed: Any) -> int | list[int]:
    """One seed for all images, or one an image.

    :raises ValueError: not whole numbers.
    """
    if isinstance(seed, Sequence) and not isinstance(seed, (str, bytes)):
        return [_seed(one) for one in seed]
    return _seed(seed)


def _seed(value: Any) -> int:
    try:
        number = int(value)
        whole = number == float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        whole = False
    if isinstance(value, (str, bytes, bool)) or not whole:
        raise ValueError(f"seed: got {value!r}; expected a whole number, or one an image.")
    return number


def checked_numbers(make: Callable[P, R]) -> Callable[P, R]:
    """A function whose arguments ``sigma``, ``width``, ``iterations`` and ``factor`` are checked, where they are given.

    :raises ValueError: a noise level below 0, a width that is not positive, or no whole number >= 1.
    """
    signature = inspect.signature(make)
    checks: dict[str, Callable[[Any], Any]] = {
        "sigma": lambda v: real_number("sigma", v, "a finite noise level"),
        "width": lambda v: real_number("width", v, "a finite kernel width", positive=True),
        "iterations": lambda v: None if v is None else whole_number("iterations", v),
        "factor": lambda v: whole_number("factor", v),
    }

    @functools.wraps(make)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, check in checks.items():
            if name in bound.arguments:
                bound.arguments[name] = check(bound.arguments[name])
        return make(*bound.args, **bound.kwargs)

    return checked
