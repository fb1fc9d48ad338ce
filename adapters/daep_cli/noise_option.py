"""``--noise``: a number, or ``auto``."""

import math
import warnings
from typing import Literal, TypeAlias

AUTO: Literal["auto"] = "auto"
#: A noise standard deviation, values 0 to 255, or :data:`AUTO`.
Noise: TypeAlias = float | Literal["auto"]
#: A noise level below this is probably meant for images in [0, 1].
SMALLEST_LEVEL = 0.2


def parse_noise(text: str | None) -> Noise | None:
    """The value of ``--noise``; ``None`` if it is not given. Warns of a level that seems to be for images in [0, 1].

    :raises ValueError: neither a number from 0 to 255 nor ``auto``.
    """
    if text is None or text.strip().lower() == AUTO:
        return None if text is None else AUTO
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 255:
        raise ValueError(
            f"--noise {text}: expected a standard deviation from 0 to 255 (white is 255), or auto to estimate it."
        )
    if 0 < value < SMALLEST_LEVEL:
        warnings.warn(
            f"--noise {text} is very little, because white is 255; if it is for images in [0, 1], "
            f"give {255 * value:.3g}.",
            stacklevel=2,
        )
    return value
