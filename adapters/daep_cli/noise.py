"""``--noise``: a number, or ``auto`` for an estimate by deepinv."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from deepinv.models import PatchCovarianceNoiseEstimator
from torch import Tensor

__all__ = ["AUTO", "Noise", "estimate_noise", "parse_noise"]

AUTO: Literal["auto"] = "auto"
#: A noise standard deviation where white is 255, or :data:`AUTO`.
Noise: TypeAlias = "float | Literal['auto']"

#: Sides of the patches, largest first, in colour and in grey. Noise is told from texture by what neighbouring pixels
#: and channels have in common, and one channel has less of it, so its patches are larger.
COLOUR_PATCHES, GREY_PATCHES = (5,), (16, 8, 5)
#: The covariance of a patch needs this many times more patches than a patch has values, or the estimate is too low.
PATCHES_A_VALUE = 9
#: More patches than this make nothing better, only slower: a larger image is sampled.
MOST_PATCHES = 60_000


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
    """Standard deviation of white Gaussian noise in an image, by deepinv's patch covariance estimator.

    Chen, Zhu, Heng, *An Efficient Statistical Method for Image Noise Level Estimation*, ICCV 2015. Right within a few
    per cent in colour. In grey it takes part of a sharp texture for noise.

    :param torch.Tensor image: (1, C, H, W) in [0, 1], C = 1 or 3. Equal channels count as one.
    :return: in units of the image.
    :raises ValueError: the image is too small, or holds nothing that noise could be told from.
    """
    if image.shape[1] > 1 and bool((image[:, 1:] == image[:, :1]).all()):
        image = image[:, :1]
    height, width = image.shape[-2:]
    channels = image.shape[1]
    for side in COLOUR_PATCHES if channels > 1 else GREY_PATCHES:
        across = max(0, height - side + 1) * max(0, width - side + 1)
        if across >= PATCHES_A_VALUE * channels * side**2:
            break
    else:
        raise ValueError(f"--noise auto: {width} x {height} pixels are too few to estimate the noise; give a number.")
    stride = max(1, math.ceil(math.sqrt(across / MOST_PATCHES)))
    try:
        level = float(PatchCovarianceNoiseEstimator.estimate_noise(image.cpu(), side, stride))
    except RuntimeError as error:
        raise ValueError("--noise auto: the noise of this image cannot be estimated; give a number.") from error
    if not math.isfinite(level):  # rounding makes the variance of a flat image slightly negative
        return 0.0
    return level
