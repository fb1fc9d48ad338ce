"""``--noise``: a number, or ``auto`` for an estimate by deepinv."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from torch import Tensor

from daep_deepinv.noise.patches import patch_level

__all__ = ["AUTO", "Noise", "estimate_noise", "parse_noise"]

AUTO: Literal["auto"] = "auto"
#: A noise standard deviation where white is 255, or :data:`AUTO`.
Noise: TypeAlias = "float | Literal['auto']"


def parse_noise(text: str) -> Noise:
    """The value of ``--noise``.

    :raises ValueError: neither a number from 0 to 255 nor ``auto``.
    """
    if text.strip().lower() == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 255:
        raise ValueError(
            f"--noise {text}: expected a standard deviation from 0 to 255 (white is 255), or auto to have it estimated."
        )
    return value


def estimate_noise(image: Tensor) -> float:
    """Standard deviation of the noise of a photograph, see :func:`daep_deepinv.noise.patches.patch_level`.

    :raises ValueError: it cannot be estimated.
    """
    try:
        return patch_level(image)
    except ValueError as error:
        raise ValueError(f"--noise {AUTO}: {error}") from error
