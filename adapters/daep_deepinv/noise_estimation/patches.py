"""Noise level from the patches of an image, by deepinv's patch covariance estimator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from deepinv.models import PatchCovarianceNoiseEstimator
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.noise_estimation.noisy_pixels import usable_pixels
from daep_deepinv.noise_estimation.patch_covariance import covariance_level, patches_of

__all__ = ["VisibleNoise", "patch_level", "visible_noise"]

# Noise levels in these comments are of 255. "Crops" are crops of training images.

#: Side of the patches, pixels: the first that leaves enough patches. One channel has fewer values to separate noise
#: from texture by, so a grey image has larger patches. Chosen by hand on crops.
COLOUR_SIDES, GREY_SIDES = (5,), (16, 8, 5)
#: Least number of patches, as a multiple of the number of values in a patch. With fewer the covariance has modes that
#: are too weak, and the estimate is too low. Chosen by hand on crops.
MIN_PATCHES_PER_VALUE = 9
#: Number of patches above which a larger image is sampled. More only take longer. Chosen by hand.
MAX_PATCHES = 60_000
#: Side in pixels, and number, of the patches of a blurred measurement, which contains no fine texture. Chosen by hand.
BLURRED_SIDE, BLURRED_PATCHES = 8, 8_000
#: The two modes that are compared, counted from the weakest, and the least ratio of their strengths in white noise. On
#: crops: 0.5 to 0.94 in white noise of 2.55, 0.34 to 0.62 if stored as JPEG 90, 0.14 to 0.67 if averaged over 3 x 3
#: pixels.
COMPARED_MODES, MIN_WHITE_RATIO = (1, 20), 0.55
#: Strength of the weaker of these modes in white noise, relative to the noise level. On crops: 0.92 and more.
WHITE_WEAKEST_RATIO = 0.92
#: Largest level, estimated in the same way, of white noise of level 1 after the blur. Below it, the weak modes of a
#: measurement contain noise alone. Gaussian blurs of 0.6, 0.7 and 0.8 pixels: 0.31, 0.06, 0.02. Motion blurs of 7
#: pixels and more: at most 0.14.
MAX_PASSED = 0.2
#: Least height and width of a measurement, pixels. On crops of that size and more, under such blurs and noise of 2.55,
#: the estimate was 0.8 to 1.3 times the noise level.
SMALLEST_SIDE = 96


def patch_level(image: Tensor, usable: Tensor | None = None) -> float:
    """Noise level of an image with white Gaussian noise, from the covariance of its patches.

    Within a few per cent in colour. In grey, sharp texture is partly counted as noise.

    Chen, Zhu, Heng, *An Efficient Statistical Method for Image Noise Level Estimation*, ICCV 2015.

    :param torch.Tensor image: (1, C, H, W) of any range, C = 1 or 3. Equal channels are treated as one.
    :param torch.Tensor usable: ``False`` at pixels that hold no noise, (H, W); ``None``: as
        :func:`daep_deepinv.noise_estimation.noisy_pixels.usable_pixels` finds.
    :raises ValueError: the image is too small, or the estimator fails.
    """
    if image.shape[1] > 1 and bool((image[:, 1:] == image[:, :1]).all()):
        image = image[:, :1]
    one = image[0].cpu()
    if not bool(one.isfinite().all()):
        raise ValueError("the noise of this image cannot be estimated; give a number.")
    usable = usable_pixels(one) if usable is None else usable.cpu()
    channels, height, width = one.shape
    for side in COLOUR_SIDES if channels > 1 else GREY_SIDES:
        count = max(0, height - side + 1) * max(0, width - side + 1)
        needed = MIN_PATCHES_PER_VALUE * channels * side**2
        if count < needed:
            continue
        share = max(float(usable.float().mean()), MIN_PATCHES_PER_VALUE / MAX_PATCHES)
        patches = patches_of(one, side, max(1, math.ceil(math.sqrt(share * count / MAX_PATCHES))), usable)
        if len(patches) >= needed:
            return covariance_level(patches)
    raise ValueError(f"{width} x {height} pixels are too few to estimate the noise; give a number.")


def _level(image: Tensor, side: int, stride: int) -> float:
    try:
        level = float(PatchCovarianceNoiseEstimator.estimate_noise(image.cpu(), side, stride))
    except RuntimeError as error:
        raise ValueError("the noise of this image cannot be estimated; give a number.") from error
    # rounding makes the variance of a flat image slightly negative, and its root NaN
    return level if math.isfinite(level) else 0.0


class VisibleNoise(NamedTuple):
    """Noise estimated from the finest detail of a blurred measurement.

    :param float level: standard deviation if the noise is white, images in [0, 1].
    :param bool white: whether the weak modes of the patches are equally strong, as in white noise.
    :param float weakest: standard deviation of the weakest compared mode, images in [0, 1].
    """

    level: float
    white: bool
    weakest: float


def visible_noise(y: Tensor, physics: LinearPhysics, image: Tensor) -> list[VisibleNoise | None]:
    """Noise of a blurred measurement. Where the blur suppresses the finest detail, only noise remains.

    The noise is estimated in ``sqrt(C)`` times the mean of the channels. Noise that is independent in the channels has
    its own level there. Noise that the channels share has ``sqrt(C)`` times its level there, which is the level to
    assume for a denoiser of independent noise (:func:`daep_prior.images.replicated_level`).

    :param torch.Tensor y: measurement (B, C, h, w), images in [0, 1].
    :param deepinv.physics.LinearPhysics physics: forward model.
    :param torch.Tensor image: an image (B, C, H, W) in the domain of the physics; its values do not matter.
    :return: one an image; ``None``: detail and noise cannot be separated.
    """
    unknown: list[VisibleNoise | None] = [None] * image.shape[0]
    if not isinstance(y, Tensor) or y.ndim != image.ndim or y.shape[:2] != image.shape[:2]:
        return unknown
    if min(y.shape[2:]) < SMALLEST_SIDE:
        return unknown
    passed = _scaled_means(physics.A(_white_noise(image)))
    return [_estimated(mean, of_noise) for mean, of_noise in zip(_scaled_means(y), passed, strict=True)]


def _white_noise(image: Tensor) -> Tensor:
    """White noise in the shape of ``image`` (B, C, H, W). All images have the same, so a batch does not matter."""
    return torch.randn(image.shape[1:], generator=torch.Generator().manual_seed(0)).to(image).expand_as(image)


def _scaled_means(images: Tensor) -> Tensor:
    """``sqrt(C)`` times the mean of the channels of ``images`` (B, C, h, w): (B, 1, 1, h, w)."""
    return math.sqrt(images.shape[1]) * images.mean(1).cpu()[:, None, None]


def _estimated(image: Tensor, of_noise: Tensor) -> VisibleNoise | None:
    """The noise of one blurred ``image`` (1, 1, h, w), where it has no bars and is not clipped; ``None``: unknown.

    :param torch.Tensor of_noise: the measurement of white noise of level 1.
    """
    try:
        if _level(of_noise, BLURRED_SIDE, _stride(of_noise)) > MAX_PASSED:
            return None
        return _in_patches(image)
    except ValueError:
        return None


def _in_patches(image: Tensor) -> VisibleNoise:
    usable = usable_pixels(image[0])
    stride = max(1, math.floor(_stride(image) * math.sqrt(float(usable.float().mean()))))
    patches = patches_of(image[0], BLURRED_SIDE, stride, usable)
    if len(patches) < MIN_PATCHES_PER_VALUE * BLURRED_SIDE**2:
        patches = patches_of(image[0], BLURRED_SIDE, _stride(image))
    modes = torch.linalg.eigvalsh(torch.cov(patches.T.double())).clamp_min(0).sqrt().tolist()
    weakest, stronger = (modes[k] for k in COMPARED_MODES)
    level, white = covariance_level(patches), weakest >= MIN_WHITE_RATIO * stronger
    # every mode contains white noise; what the stronger modes have more of is texture
    return VisibleNoise(min(level, weakest / WHITE_WEAKEST_RATIO) if white else level, white, weakest)


def _stride(image: Tensor) -> int:
    """Distance in pixels between the patches of a blurred ``image`` (1, 1, h, w)."""
    return math.ceil(math.sqrt(image.shape[-2] * image.shape[-1] / BLURRED_PATCHES))
