"""Estimate the noise of one measurement: its level, or how the level rises with the signal, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from deepinv.physics import Denoising, Inpainting, LinearPhysics
from torch import Tensor

from daep_deepinv.noise.by_restoration import FIRST_GUESS, gain_of, quick_restoration, restored_level
from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise.neighbours import level_of_neighbours
from daep_deepinv.noise.one_step import denoised
from daep_deepinv.noise.patches import PatchLevel, level_of_patches
from daep_deepinv.noise.signal_fit import SignalFit, fit_variance
from daep_deepinv.noise.usable import usable_pixels
from daep_deepinv.noise.variance import QuadraticVariance
from daep_deepinv.prior import DAEPrior

__all__ = ["contradicting_noise", "estimated_noise", "law_in_detail"]

#: Noise depends on the signal if its variance rises by this factor over the range of the image, with a rise of this
#: many standard errors. Chosen by hand on training crops: see :func:`_law`.
LEAST_RATIO, LEAST_SIGMAS = 2.0, 5.0
#: Relative standard error of a level from missing pixels and from a restoration: training crops.
NEIGHBOURS_ERROR, RESTORATION_ERROR = 0.1, 0.1
#: A measurement that is stated to be noise-free is believed up to this level: of a noisy image or one with missing
#: pixels; and of a quick restoration, as a multiple of the operator's gain. Solver's units. Texture counts as noise:
#: training crops.
DOUBT_DIRECT, DOUBT_RESTORED = 3 / 255, 4 / 255
#: Passes of denoising and fit.
PASSES = 2


def estimated_noise(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel:
    """The noise of one measurement, in its units.

    * A noisy image: from its patches; then its denoised form shows whether the noise rises with the signal.
    * Missing pixels: from whole patches, or from opposite neighbours.
    * Anything else: from a quick restoration.

    :param y: measurement of one image, (1, C, h, w); about [0, 1].
    :param torch.Tensor start: first image (1, C, H, W).
    :raises UnknownNoiseError: the denoiser is for one level, and the noise does not show without it.
    """
    image_like = isinstance(y, Tensor) and y.ndim == 4 and y.shape[1] in (1, 3) and not y.is_complex()
    if image_like and isinstance(physics, Denoising):
        try:
            found = level_of_patches(y)
        except ValueError:  # too few pixels
            return _restored(y, physics, prior, start)
        return _noisy_image(y, found, prior) if prior.trained_width is None else _white(found)
    if image_like and isinstance(physics, Inpainting) and isinstance(physics.mask, Tensor):
        level = _missing_pixels(y, physics.mask)
        if level is not None:
            return _white(level)
    return _restored(y, physics, prior, start)


def contradicting_noise(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel | None:
    """The noise of a measurement that is stated to be noise-free, perhaps only because nobody stated any.

    :return: ``None``: the measurement does not contradict the statement.
    """
    if prior.trained_width is not None:
        return None
    direct = isinstance(physics, (Denoising, Inpainting))
    gain = gain_of(physics, start)
    if not direct:
        level, _ = quick_restoration(y, physics, prior, start, FIRST_GUESS * gain, gain)
        if level <= DOUBT_RESTORED * gain:
            return None
    found = estimated_noise(y, physics, prior, start)
    limit = DOUBT_DIRECT if direct else DOUBT_RESTORED * gain
    return None if found.level <= limit else replace(found, source="overruled", assumed=0.0)


def law_in_detail(y: Tensor) -> NoiseModel | None:
    """Signal-dependent noise of a blurred measurement (1, C, h, w), whose finest detail is noise; ``None``: white.

    The detail is what a second difference in both directions leaves, in which white noise keeps its level.
    """
    kernel = torch.tensor([1.0, -2.0, 1.0], dtype=y.dtype, device=y.device)
    detail = (kernel[:, None] * kernel / 6)[None, None]
    smooth = torch.full_like(detail, 1 / 9)
    channels = y.transpose(0, 1)
    usable = usable_pixels(y[0])[1:-1, 1:-1]
    residual, mean = (F.conv2d(channels, filters)[:, 0][:, usable] for filters in (detail, smooth))
    return _law(fit_variance(mean.flatten(), residual.flatten()), mean)


def _white(found: PatchLevel) -> NoiseModel:
    return NoiseModel(found.level, "estimated", uncertainty=round(found.uncertainty, 2))


def _missing_pixels(y: Tensor, mask: Tensor) -> PatchLevel | None:
    """The level of an image with missing pixels; ``None``: too few are known."""
    known = (mask > 0).expand_as(y)[0].all(0)
    try:
        return level_of_patches(y, known)
    except ValueError:  # no whole patches
        level = level_of_neighbours(y[0], known)
        return None if level is None else PatchLevel(level, NEIGHBOURS_ERROR)


def _noisy_image(y: Tensor, found: PatchLevel, prior: DAEPrior) -> NoiseModel:
    """The noise of a noisy image: white, or rising with the signal, as its denoised form shows."""
    usable = usable_pixels(y[0])
    model = _white(found)
    for _ in range(PASSES):
        if model.level == 0:
            return model
        x = prior.denoise(y, model.level) if model.law is None else denoised(y, model.law, prior)
        fitted = _law(fit_variance(x[0][:, usable].flatten(), (y - x)[0][:, usable].flatten()), x)
        if fitted is None:
            return _white(found)
        model = fitted
    return model


def _restored(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel:
    found = restored_level(y, physics, prior, start)
    return NoiseModel(found.level, "estimated", uncertainty=RESTORATION_ERROR)


def _law(fit: SignalFit | None, mean: Tensor) -> NoiseModel | None:
    """The fitted noise, if it rises with the signal."""
    if fit is None or fit.ratio < LEAST_RATIO or fit.sigmas < LEAST_SIGMAS:
        return None
    law = QuadraticVariance(fit.constant, fit.linear)
    (level,) = law.level(mean.reshape(1, -1))
    words = f"rising with the signal: Poisson, gain {fit.linear:.3g}, and Gaussian of {math.sqrt(fit.constant):.3g}"
    return NoiseModel(level, "estimated", law=law, words=words, uncertainty=round(max(fit.uncertainty, 0.03), 2))
