"""Estimate the noise of one measurement: its level, or how the level rises with the signal, and how sure that is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepinv.physics import Denoising, LinearPhysics, StackedLinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise.variance import PartsVariance, QuadraticVariance
from daep_deepinv.noise_estimation.amplified import noise_explains
from daep_deepinv.noise_estimation.by_restoration import (
    error_of_texture,
    first_level,
    restored_level,
    rises_with_signal,
)
from daep_deepinv.noise_estimation.pixels import PixelNoise, pixel_noise
from daep_deepinv.noise_estimation.response import gain_of
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.operators.subsampling import is_subsampling
from daep_deepinv.prior import DAEPrior
from daep_prior.images import RGB

__all__ = ["contradicting_noise", "estimated_noise", "law_in_detail"]

#: A measurement that is stated to be noise-free is believed up to these levels, in the solver's units. In the pixels of
#: a colour image, and of a grey one that is noisy or has missing pixels: on 24 clean training crops, half of whose
#: pixels were missing, at most 1.4 and 7.1 of 255.
DOUBT_COLOUR, DOUBT_GREY = 3 / 255, 8 / 255
#: The same for the first pass of a restoration and for its end, as multiples of the operator's gain: 3 training crops,
#: blurred or two and three times smaller, clean at most 4.1 and 0.7, with noise of 5.1 at least 5.2 and 5.1.
DOUBT_FIRST, DOUBT_RESTORED = 4.5 / 255, 2.5 / 255
#: The same for both, where the operator neither measures an image nor samples one: tomography, pansharpening, stacks.
#: 14 crops of training images and of scikit-image, clean at most 1.6 (sampled ones up to 4.7), with noise of 2.55 at
#: least 2.2.
DOUBT_OTHER = 2.0 / 255
#: Noise of a grey image that rises with the signal is that from this level on, solver's units; of weaker noise, texture
#: may be what rises. Training crops: see ``LEAST_RATIO`` in :mod:`daep_deepinv.noise_estimation.signal_fit`.
STRONG_GREY = 12 / 255
#: A level that the pixels of clean images show, in the solver's units: smooth training crops, 8 bits.
CLEAN = 1.2 / 255
#: Relative standard error of a level from the pixels up to which no restoration is tried. In a sharp grey image the
#: estimate may be texture even so.
SURE = 0.2
#: Parts of a measurement have levels of their own if the largest is this many times the smallest.
LEAST_PART_RATIO = 1.5


def estimated_noise(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel:
    """The noise of one measurement, in its units.

    * What looks like an image (noisy, blurred, smaller, or with missing pixels): from its pixels, which also show
      whether the noise rises with the signal. Where texture makes that unsure, from a quick restoration.
    * Anything else: from a quick restoration.

    :param y: measurement of one image, (1, C, h, w); about [0, 1].
    :param torch.Tensor start: first image (1, C, H, W).
    :raises UnknownNoiseError: the denoiser is for one level, and the noise does not show without it.
    """
    found, masked = _in_pixels(y, physics, start)
    if found is None:
        return _restored(y, physics, prior, start, amounts=True)
    sharp, colour = _is_sharp(y, physics, start, masked), y.shape[1] == RGB
    rises = found.law is not None and (found.level >= STRONG_GREY or colour)
    sure = rises or (found.law is None and found.uncertainty <= SURE and (colour or not sharp))
    if found.white and (sure or prior.trained_width is not None):
        return _shown(found)
    restored = _restored(y, physics, prior, start, white=found.white or not colour)
    # texture adds to both; a restoration overestimates the noise of missing pixels
    if (found.white or masked) and found.level < restored.level:
        return _shown(found)
    if isinstance(physics, Denoising) and not colour and found.white and rises_with_signal(y, prior, restored.level):
        return _shown(found)  # the network takes the bright half of such noise for texture
    return restored


def contradicting_noise(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel | None:
    """The noise of a measurement that is stated to be noise-free, perhaps only because nobody stated any.

    :return: ``None``: the measurement does not contradict that.
    """
    found, masked = _in_pixels(y, physics, start)
    direct = _is_sharp(y, physics, start, masked)
    white_colour = found is not None and found.white and y.shape[1] == RGB
    if prior.trained_width is not None and not (white_colour or (direct and found is not None and found.white)):
        return None
    if found is None and not _samples(physics, y, start):
        return _amplified(y, physics, prior, start)
    if found is None or not (direct or white_colour):
        gain = gain_of(physics, start)
        limit = DOUBT_RESTORED * gain
        if found is not None and found.level <= DOUBT_COLOUR:
            return None
        if first_level(y, physics, prior, start) <= DOUBT_FIRST * gain:
            return None
    else:
        limit = DOUBT_COLOUR if white_colour else DOUBT_GREY
        texture = not found.white and masked
        if texture or (found.white and found.level <= limit):
            return None
    noise = estimated_noise(y, physics, prior, start)
    least = noise.level * (1 - (noise.uncertainty or 0.0))  # the rest may be texture
    return None if least <= limit else replace(noise, source="overruled", assumed=0.0)


def _amplified(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> NoiseModel | None:
    """:func:`contradicting_noise` of a measurement that is no image, nor samples of one."""
    limit = DOUBT_OTHER * gain_of(physics, start)
    if first_level(y, physics, prior, start) <= limit:
        return None
    noise = estimated_noise(y, physics, prior, start)
    if noise.level <= limit or not noise_explains(y, physics, prior, start, noise):
        return None
    return replace(noise, source="overruled", assumed=0.0)


def _samples(physics: LinearPhysics, y: Any, start: Tensor) -> bool:
    """Whether an operator, or one of a stack, samples the image. Its texture looks like noise. The panchromatic image
    of pansharpening, a mean of the channels, is no sample."""
    if is_subsampling(physics, y, start):
        return True
    if not isinstance(y, TensorList) or not isinstance(physics, StackedLinearPhysics):
        return False
    whole = (
        image_geometry(one, start) is not None and measured_values(one, part, start) is None
        for part, one in zip(y, physics.physics_list, strict=True)
    )
    parts = zip(physics.physics_list, y, whole, strict=True)
    return any(not complete and is_subsampling(one, part, start) for one, part, complete in parts)


def _is_sharp(y: Any, physics: LinearPhysics, start: Tensor, masked: bool) -> bool:
    """Whether the measured pixels are those of the image, whose texture may look like noise; not those of a blur."""
    return isinstance(physics, Denoising) or (masked and is_subsampling(physics, y, start, exact=True))


def law_in_detail(y: Tensor) -> NoiseModel | None:
    """Signal-dependent noise of a blurred measurement (1, C, h, w), whose finest detail is noise; ``None``: white."""
    try:
        found = pixel_noise(y)
    except ValueError:  # too few pixels
        return None
    return None if found.law is None else _shown(found)


def _in_pixels(y: Any, physics: LinearPhysics, start: Tensor) -> tuple[PixelNoise | None, bool]:
    """The level of a measurement from its pixels, and whether some are missing.

    The level is ``None`` if the measurement does not look like an image, or is small.
    """
    if not isinstance(y, Tensor) or y.ndim != start.ndim or y.ndim != 4 or y.is_complex():
        return None, False
    if y.shape[1] != start.shape[1] or y.shape[1] not in (1, RGB) or image_geometry(physics, start) is None:
        return None, False
    measured = measured_values(physics, y, start)
    try:
        return pixel_noise(y, None if measured is None else measured[0].all(0)), measured is not None
    except ValueError:  # too few pixels
        return None, False


def _shown(found: PixelNoise) -> NoiseModel:
    error = max(found.uncertainty, error_of_texture(found.level, CLEAN))
    uncertainty = round(min(error, 1.0), 2)
    return NoiseModel(found.level, "estimated", law=found.law, words=found.words, uncertainty=uncertainty)


def _restored(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, *, white: bool = True, amounts: bool = False
) -> NoiseModel:
    """From a quick restoration; parts of a measurement whose levels differ have a law each.

    :param bool amounts: whether noise that rises with the signal is looked for.
    """
    found = restored_level(y, physics, prior, start, white=white)
    if amounts and found.law is not None:
        return _shown(PixelNoise(found.law.level(y.clamp_min(0))[0], found.uncertainty, found.law))
    uncertainty = round(min(found.uncertainty, 1.0), 2)
    if max(found.parts) <= LEAST_PART_RATIO * min(found.parts):
        return NoiseModel(found.level, "estimated", uncertainty=uncertainty)
    law = PartsVariance(tuple(QuadraticVariance(level**2) for level in found.parts))
    return NoiseModel(found.level, "estimated", law=law, words="Gaussian, one level a part", uncertainty=uncertainty)
