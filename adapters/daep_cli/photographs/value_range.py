"""``--white``: the values of black and white of a photo, found or given."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from daep_cli.photographs.photo import Array, Photo, largest

#: Black and white for each number type; ``None``: those of the type.
Ranges: TypeAlias = dict[np.dtype[Any], tuple[float, float] | None]
#: Bits a sample that sensors and files have.
DEPTHS = (8, 10, 12, 14, 16, 24, 32)
#: Floats of a photograph that leave [0, 1] below, or on both sides, by at most this, and below by no more than this
#: share of the largest value, do so by noise; black and white remain 0 and 1. Five times a noise of 25, white is 255.
NOISE_BEYOND = 0.5
#: Floats of which the largest is less than one level of 8 bits are in units of their own, such as jansky.
FAINTEST = 1 / 255
#: A file whose largest value is below this holds counts: no number of bits explains it.
FEWEST = 128
#: Values are clipped if the largest is that of this share of them, of this number, and of so many times more than any
#: single value in the two per cent below it. Found on 60 training images with 14 bits, clipped at 70 and 90 % of white.
CLIPPED_SHARE, CLIPPED_NUMBER, CLIPPED_RATIO, BELOW = 2e-4, 8, 5, 0.02


@dataclass
class _Extremes:
    """Smallest and largest of the values that have been seen, all of one type; whether the largest is a plateau."""

    kind: np.dtype[Any]
    linear: bool
    low: float = math.inf
    high: float = -math.inf
    clipped: bool = False

    def add(self, photo: Photo) -> None:
        values = visible(photo)
        if values.size == 0:
            return
        brightest = float(values.max())
        if brightest > self.high:
            self.high, self.clipped = brightest, False
        if brightest == self.high:
            self.clipped = self.clipped or is_clipped(values)
        self.low = min(self.low, float(values.min()))

    def range(self, white: float | None, black: float | None) -> tuple[float, float] | None:
        low, high, kind = self.low, self.high, self.kind
        if white is not None and kind.kind in "iu" and white > np.iinfo(kind).max:
            raise ValueError(f"--white {white:g}: expected at most {np.iinfo(kind).max}, the largest value of {kind}.")
        if high < low:  # nothing is visible
            return None if white is None else (black or 0.0, white)
        noisy = kind.kind == "f" and not self.linear and _beyond_by_noise(low, high if white is None else white)
        dark = black if black is not None else 0.0 if noisy else min(0.0, low)
        if white is not None:
            if not dark < white < math.inf:
                what = "black" if black is not None else "the smallest of the image"
                raise ValueError(f"--white {white:g}: expected a value above {dark:g}, {what}.")
            return dark, white
        unit = 1.0 if low >= 0 else 1 + NOISE_BEYOND if noisy else 0.0
        found = _found_white(high, self.clipped, kind, unit)
        if black is not None and found <= black:
            raise ValueError(f"--black {black:g}: expected a value below {found:g}, white.")
        return None if found <= dark or (dark, found) == (0.0, largest(kind)) else (dark, found)


def find_ranges(photos: Iterable[Photo], white: float | None = None, black: float | None = None) -> Ranges:
    """Black and white of the values of a file, for each number type of its pages.

    :param photos: all pages.
    :param float white: given by the user.
    :param float black: given by the user; values may be below it.
    :return: type -> the range; ``None``: that of the type (0 to 255, 0 to 1).
    :raises ValueError: ``white`` is not above black, or above the largest value of the type.
    """
    found: dict[np.dtype[Any], _Extremes] = {}
    for photo in photos:
        found.setdefault(photo.colour.dtype, _Extremes(photo.colour.dtype, photo.linear)).add(photo)
    return {kind: extremes.range(white, black) for kind, extremes in found.items()}


def _beyond_by_noise(low: float, white: float) -> bool:
    return -NOISE_BEYOND * min(1.0, white) <= low < 0 and white <= 1 + NOISE_BEYOND


def _found_white(high: float, clipped: bool, kind: np.dtype[Any], unit: float) -> float:
    """``unit``: floats up to this have the white 1."""
    if kind.kind == "f":
        return 1.0 if FAINTEST < high <= unit and not linear_units(high, clipped) else high
    top = largest(kind)
    return top if kind.itemsize == 1 else high if clipped else min(explained(high), top)


def linear_units(high: float, clipped: bool) -> bool:
    """Whether floats of at most 1 end at a value of their own: clipped below 1."""
    return clipped and high < 1


def explained(value: float) -> float:
    """The largest value of the number of bits that explains the largest ``value`` of a file; of counts and of sums
    beyond 32 bits, that itself."""
    if value < FEWEST:
        return value
    return next((2.0**bits - 1 for bits in DEPTHS if value < 2**bits), value)


def is_clipped(values: Array) -> bool:
    """Whether the largest value is a plateau: that of a saturated sensor."""
    high = values.max()
    if values.min() == high:
        return False
    number = int((values == high).sum())
    if number < max(CLIPPED_NUMBER, CLIPPED_SHARE * values.size):
        return False
    near = values[(values >= high - BELOW * abs(float(high))) & (values < high)]
    return near.size == 0 or number > CLIPPED_RATIO * int(np.unique(near, return_counts=True)[1].max())


def visible(photo: Photo) -> Array:
    """The values of the pixels that are neither missing nor fully transparent, (N, C)."""
    hidden = np.zeros(photo.colour.shape[:2], bool) if photo.missing is None else photo.missing
    if photo.alpha is not None:
        hidden = hidden | (photo.alpha == 0)
    return photo.colour.reshape(-1, photo.colour.shape[2]) if not hidden.any() else photo.colour[~hidden]


def ranged(photo: Photo, white: float | None = None, black: float | None = None) -> Photo:
    """The photo with its range, see :func:`find_ranges`."""
    return replace(photo, range=find_ranges([photo], white, black)[photo.colour.dtype])
