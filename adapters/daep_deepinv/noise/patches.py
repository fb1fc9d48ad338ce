"""Noise that shows in the finest detail of an image, by deepinv's patch covariance estimator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from deepinv.models import PatchCovarianceNoiseEstimator
from deepinv.physics import LinearPhysics
from torch import Tensor

__all__ = ["VisibleNoise", "patch_level", "visible_noise"]

#: Sides of the patches, largest first, in colour and in grey. Noise is told from texture by what neighbouring pixels
#: and channels have in common, and one channel has less of it, so its patches are larger.
COLOUR_PATCHES, GREY_PATCHES = (5,), (16, 8, 5)
#: The covariance of a patch needs this many times more patches than a patch has values, or the estimate is too low.
PATCHES_A_VALUE = 9
#: More patches than this make nothing better, only slower: a larger image is sampled.
MOST_PATCHES = 60_000
#: Side and number of the patches that are enough where a blur has taken the texture away.
BLURRED_PATCH, FEW_PATCHES = 8, 8_000
#: Two of the modes of such patches, by strength, and how strong the weaker one is at least in white noise. On crops of
#: training images: 0.5 to 0.94 in white noise of 2.55 of 255, 0.34 to 0.62 if stored as JPEG 90, 0.14 to 0.67 if
#: averaged over 3 x 3 pixels.
COMPARED_MODES, WHITE = (1, 20), 0.55
#: Standard deviation of the weaker of these in white noise, of that of the noise. On such crops 0.92 and more.
WEAKEST_OF_WHITE = 0.92
#: Share of fine detail that a physics may let through and still leave the finest to the noise. Gaussian blurs of 0.6,
#: 0.7 and 0.8 pixels: 0.31, 0.06, 0.02; motion blurs from 7 pixels on: at most 0.14.
MOST_PASSED = 0.2
#: Least height and width of a measurement whose noise shows, pixels. On crops of training images of that size and
#: more, under blurs as above and noise of 2.55 of 255, the estimate was 0.8 to 1.3 times the noise.
SMALLEST_SIDE = 96


def patch_level(image: Tensor) -> float:
    """Standard deviation of white Gaussian noise in an image.

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
        raise ValueError(f"{width} x {height} pixels are too few to estimate the noise; give a number.")
    return _level(image, side, max(1, math.ceil(math.sqrt(across / MOST_PATCHES))))


def _level(image: Tensor, side: int, stride: int) -> float:
    try:
        level = float(PatchCovarianceNoiseEstimator.estimate_noise(image.cpu(), side, stride))
    except RuntimeError as error:
        raise ValueError("the noise of this image cannot be estimated; give a number.") from error
    if not math.isfinite(level):  # rounding makes the variance of a flat image slightly negative
        return 0.0
    return level


class VisibleNoise(NamedTuple):
    """What the finest detail of a blurred measurement says of its noise.

    :param float level: standard deviation for images in [0, 1], if the noise is white.
    :param bool white: whether its weakest modes are equally strong, as white noise makes them.
    :param float weakest: standard deviation of its weakest mode.
    """

    level: float
    white: bool
    weakest: float


def visible_noise(y: Tensor, physics: LinearPhysics, image: Tensor) -> list[VisibleNoise] | None:
    """Noise that the measurement of a blur cannot hide: where the physics has taken the fine detail away, what there
    is of it is noise.

    It is measured in the mean of the channels, times the root of their number. That is the standard deviation of noise
    that is independent in the channels, and for noise that they share it is larger by what a denoiser that takes them
    for independent must be told (as :func:`daep_prior.networks.replicated_level`).

    :param torch.Tensor y: measurement (B, C, h, w).
    :param LinearPhysics physics: forward model.
    :param torch.Tensor image: an image (B, C, H, W) that it takes.
    :return: one for each image; ``None``: detail and noise cannot be told apart.
    """
    if not isinstance(y, Tensor) or y.ndim != image.ndim or y.shape[:2] != image.shape[:2]:
        return None
    if min(y.shape[2:]) < SMALLEST_SIDE:
        return None

    try:
        passed = _scaled_means(physics.A(_detail(image)))
        if max(_level(one, BLURRED_PATCH, _stride(one)) for one in passed) > MOST_PASSED:
            return None
        return [_of_weak_modes(mean) for mean in _scaled_means(y)]
    except ValueError:
        return None


def _detail(image: Tensor) -> Tensor:
    """White noise in the form of ``image`` (B, C, H, W), one field for all images: each is judged as it would be
    alone."""
    return torch.randn(image.shape[1:], generator=torch.Generator().manual_seed(0)).to(image).expand_as(image)


def _scaled_means(images: Tensor) -> Tensor:
    """Means of the channels of ``images`` (B, C, h, w), times the root of their number, (B, 1, 1, h, w)."""
    return math.sqrt(images.shape[1]) * images.mean(1).cpu()[:, None, None]


def _of_weak_modes(image: Tensor) -> VisibleNoise:
    """Noise of ``image`` (1, 1, h, w)."""
    modes = _modes(_patches(image))
    weakest, weak = (modes[k] for k in COMPARED_MODES)
    level, white = _level(image, BLURRED_PATCH, _stride(image)), weakest >= WHITE * weak
    # white noise is in every mode; what the others have more of is texture
    return VisibleNoise(min(level, weakest / WEAKEST_OF_WHITE) if white else level, white, weakest)


def _stride(image: Tensor) -> int:
    """Distance of the few patches of ``image`` that are enough after a blur."""
    return math.ceil(math.sqrt(image.shape[-2] * image.shape[-1] / FEW_PATCHES))


def _patches(image: Tensor) -> Tensor:
    """Few patches of ``image`` (1, 1, h, w), one a row."""
    side, stride = BLURRED_PATCH, _stride(image)
    return image[0, 0].unfold(0, side, stride).unfold(1, side, stride).reshape(-1, side**2).double()


def _modes(patches: Tensor) -> list[float]:
    """Standard deviations of the modes of ``patches``, weakest first."""
    strengths: list[float] = torch.linalg.eigvalsh(torch.cov(patches.T)).clamp_min(0).sqrt().tolist()
    return strengths
