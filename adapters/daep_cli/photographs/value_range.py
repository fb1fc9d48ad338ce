"""``--white``: the values of black and white of a photo, found or given."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from daep_cli.photographs.photo import Array, Photo

#: Bits a sample that sensors and files have.
DEPTHS = (8, 10, 12, 14, 16, 24, 32)
#: A file whose largest value is below this holds counts: no number of bits explains it.
FEWEST = 128
#: Values are clipped if the largest is that of this share of them, of this number, and of so many times more than any
#: single value in the two per cent below it. Found on 60 training images with 14 bits, clipped at 70 and 90 % of white.
CLIPPED_SHARE, CLIPPED_NUMBER, CLIPPED_RATIO, BELOW = 2e-4, 8, 5, 0.02


def find_range(photos: Iterable[Photo], white: float | None = None) -> tuple[float, float] | None:
    """Black and white of the values of a file; ``None``: those of the type (0 to 255, 0 to 1).

    :param photos: all pages.
    :param float white: given by the user.
    :raises ValueError: ``white`` is not above the smallest value.
    """
    low, high, clipped, kind, alike = math.inf, -math.inf, False, np.dtype(np.uint8), 0
    for photo in photos:
        values = visible(photo)
        if values.size == 0:
            continue
        kind = photo.colour.dtype
        smallest, largest = float(values.min()), float(values.max())
        if largest > high:
            high, clipped = largest, False
        if largest == high:
            clipped = clipped or is_clipped(values)
        low, alike = min(low, smallest), alike + 1
    black = min(0.0, low) if alike else 0.0
    if white is not None:
        if not black < white < math.inf:
            raise ValueError(f"--white {white:g}: expected a value above {black:g}, the smallest of the image.")
        if kind.kind in "iu" and alike and white > np.iinfo(kind).max:
            raise ValueError(f"--white {white:g}: expected at most {np.iinfo(kind).max}, the largest value of {kind}.")
        return black, white
    if not alike or high <= black:
        return None
    if kind.kind == "f":
        return None if black == 0 and high <= 1 and not linear_units(high, clipped) else (black, high)
    if kind == np.uint8:
        return None
    found = high if clipped else explained(high)
    top = float(np.iinfo(kind).max)
    return None if black == 0 and found >= top else (black, min(found, top))


def linear_units(high: float, clipped: bool) -> bool:
    """Whether floats of at most 1 end at a value of their own: clipped below 1."""
    return clipped and high < 1


def explained(largest: float) -> float:
    """The largest value of the number of bits that explains ``largest``; of counts, that itself."""
    if largest < FEWEST:
        return largest
    return float(2 ** next(bits for bits in DEPTHS if largest < 2**bits) - 1)


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


def ranged(photo: Photo, white: float | None = None) -> Photo:
    """The photo with its range, see :func:`find_range`."""
    return replace(photo, range=find_range([photo], white))
