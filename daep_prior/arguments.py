"""Checks of arguments that callers give: one sentence with the argument, what was given, and what is expected."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

__all__ = ["check_switch", "checked_device", "checked_numbers", "checked_seeds", "real_number", "whole_number"]

P = ParamSpec("P")
R = TypeVar("R")

#: Seeds that torch's generators take.
LOWEST_SEED, HIGHEST_SEED = -(2**63), 2**64 - 1


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
    return int(value)


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


def check_switch(name: str, value: Any) -> None:
    """Refuse anything but ``True`` and ``False``, such as ``"no"``, which Python takes as true.

    :raises TypeError: another object.
    """
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise TypeError(f"{name}: got {value!r}; expected True or False.")


def checked_device(device: Any) -> torch.device:
    """The device of that name.

    :raises ValueError: there is none, or it cannot be used.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: got {device!r}; expected a torch.device, or its name, such as 'cuda'.") from error
    try:
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts that it has it
        raise ValueError(f"device: got {device!r}, which cannot be used here; try 'cpu'.") from error
    return found


def checked_seeds(seed: Any) -> int | list[int]:
    """One seed for all images, or one an image.

    :raises ValueError: none, or not whole numbers.
    """
    if isinstance(seed, Sequence) and not isinstance(seed, (str, bytes)):
        if not seed:
            raise ValueError("seed: got no seeds; expected one, or one an image.")
        return [_seed(one) for one in seed]
    return _seed(seed)


def _seed(value: Any) -> int:
    try:
        number = int(value)
        whole = bool(number == value) and LOWEST_SEED <= number <= HIGHEST_SEED
    except (TypeError, ValueError, RuntimeError, OverflowError):
        whole = False
    if isinstance(value, (str, bytes, bool)) or not whole:
        raise ValueError(f"seed: got {value!r}; expected a whole number of at most 64 bits, or one an image.")
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
