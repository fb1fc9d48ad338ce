"""``--noise``: a number, ``auto``, or ``poisson:GAIN:READ``."""

import math
import warnings
from typing import Literal, NamedTuple, TypeAlias

AUTO: Literal["auto"] = "auto"
#: Prefix of the noise of a sensor that counts photons.
POISSON = "poisson"


class Counts(NamedTuple):
    """Noise of a sensor that counts, in the values of the file.

    :param float gain: value of one count.
    :param float read: standard deviation of the read noise.
    """

    gain: float
    read: float = 0.0


#: A noise standard deviation, values 0 to 255, or :class:`Counts`, or :data:`AUTO`.
Noise: TypeAlias = float | Counts | Literal["auto"]
#: A noise level below this is probably meant for images in [0, 1].
SMALLEST_LEVEL = 0.2


def parse_noise(text: str | None) -> Noise | None:
    """The value of ``--noise``; ``None`` if it is not given. Warns of a level that seems to be for images in [0, 1].

    :raises ValueError: none of those that are understood.
    """
    if text is None or text.strip().lower() == AUTO:
        return None if text is None else AUTO
    kind, *numbers = text.split(":")
    if kind.strip().lower() == POISSON:
        return _counts(text, numbers)
    value = _number(text)
    if not 0 <= value <= 255:
        raise ValueError(
            f"--noise {text}: expected a standard deviation from 0 to 255 (white is 255), {POISSON}:GAIN:READ in the "
            "values of the file, or auto to estimate it."
        )
    if 0 < value < SMALLEST_LEVEL:
        warnings.warn(
            f"--noise {text} is very little, because white is 255; if it is for images in [0, 1], "
            f"give {255 * value:.3g}.",
            stacklevel=2,
        )
    return value


def _counts(text: str, numbers: list[str]) -> Counts:
    values = [_number(number) for number in numbers]
    if values and values[0] <= 0:
        raise ValueError(
            f"--noise {text}: the gain is {values[0]:g}; expected the value of one photon in the file, above 0. If "
            "there is no noise of photons, give a standard deviation from 0 to 255 (white is 255)."
        )
    if len(values) not in (1, 2) or not all(0 <= value < math.inf for value in values):
        raise ValueError(
            f"--noise {text}: expected {POISSON}:GAIN or {POISSON}:GAIN:READ, the value of one photon and the standard "
            "deviation of the read noise, in the values of the file."
        )
    return Counts(*values)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
