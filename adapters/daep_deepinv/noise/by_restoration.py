"""Estimate the noise level of a measurement from the residual of a quick restoration."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from deepinv.physics import LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.data_terms.nonlinear import NonlinearL2
from daep_deepinv.history import residual_rms
from daep_deepinv.prior import DAEPrior
from daep_prior import restore, schedules
from daep_prior.solvers import clipped

__all__ = ["RestoredLevel", "UnknownNoiseError", "gain_of", "level_by_restoration", "quick_restoration"]

#: Assumed level of the first pass, for an image and an operator that keeps a white image white; and the maximum number
#: of passes. A pass that assumes half or twice the true level finds 0.9 or 1.2 times the true level, so the first guess
#: matters little.
FIRST_GUESS, PASSES = 8 / 255, 3
#: Weight of the last pass in the result when the estimates fall, in the geometric mean. Chosen by hand on crops of
#: training images.
LAST_SHARE = 2 / 3
#: The residual of the restored image exceeds the noise by the image detail that the restoration removed. On crops of
#: training images under motion blur, noise of 2.55 to 25 of 255: 0.97 to 1.07 times the noise.
RESIDUAL_PER_NOISE = 1.03
#: The image is denoised at this multiple of the level, and at least at this level, images in [0, 1], before its
#: residual is taken. Chosen by hand on crops of training images.
WIDTH_PER_LEVEL, MIN_WIDTH = 2.0, 8 / 255
#: Limits of the image, as the network knows them.
BOUNDS = (0.0, 1.0)
#: Measured values below this share of the largest are those of missing pixels.
TINY_GAIN = 1e-6


class UnknownNoiseError(ValueError):
    """The noise of a measurement cannot be estimated."""


class RestoredLevel(NamedTuple):
    """A level, and the image that it was found with.

    :param float level: standard deviation, in the units of the measurement.
    :param torch.Tensor image: (1, C, H, W).
    """

    level: float
    image: Tensor


def level_by_restoration(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> float:
    r"""Noise level of one measurement: the root mean square of :math:`Kx - y` for a quickly restored image :math:`x`.

    As in noise-blind DMSP (Bigdeli, Jin, Favaro and Zwicker, NIPS 2017). There the level changes with the iterates.
    Here ten mean-shift steps and a denoising are repeated with the level of the pass before, eleven forward evaluations
    each. Noise that is not white (JPEG, equal in the channels) looks like image detail the more, the lower the assumed
    level is, so further passes would fall below the true level. As soon as the estimates fall, the result lies between
    the last two. An overestimate costs less PSNR than an underestimate.

    The schedules are for operators that keep a white image white. Others are divided by their gain (:func:`gain_of`).

    :param y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser.
    :param torch.Tensor start: first image (1, C, H, W) in [0, 1].
    :return: standard deviation, in the units of the measurement.
    :raises UnknownNoiseError: the denoiser is for one level.
    """
    return restored_level(y, physics, prior, start).level


def restored_level(y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> RestoredLevel:
    """:func:`level_by_restoration`, with the image."""
    gain = gain_of(physics, start)
    levels = [FIRST_GUESS * gain]
    x = start
    for _ in range(PASSES):
        found, x = quick_restoration(y, physics, prior, start, levels[-1], gain)
        levels.append(found)
        if len(levels) > 2 and levels[-1] < levels[-2]:
            return RestoredLevel(levels[-2] ** (1 - LAST_SHARE) * levels[-1] ** LAST_SHARE, x)
    return RestoredLevel(levels[-1], x)


def quick_restoration(
    y: Any, physics: LinearPhysics, prior: DAEPrior, start: Tensor, level: float, gain: float
) -> tuple[float, Tensor]:
    """One pass: the level found where ``level`` is assumed, and the image (1, C, H, W).

    :raises UnknownNoiseError: the denoiser is for one level.
    """
    if prior.trained_width is not None:
        raise UnknownNoiseError(
            "sigma: the noise is estimated with a noise-conditional denoiser, this one is trained for one level; "
            "give DAEP(sigma=...), 0 for a noise-free measurement."
        )
    width, prior = level / gain, prior.adapted(start)
    bounds = BOUNDS if prior.transform is None else None  # real and imaginary parts are signed
    least_squares = PerImageL2 if isinstance(physics, LinearPhysics) else NonlinearL2
    data = least_squares(sigma=gain * max(width, schedules.SMALLEST_NOISE))
    x = restore(data.prox_of(y, physics), start, prior, schedules.for_noise_estimation(width), bounds=bounds)
    x = clipped(prior.denoise(x, max(WIDTH_PER_LEVEL * width, MIN_WIDTH)), bounds)
    return float(residual_rms(data, x, y, physics)) / RESIDUAL_PER_NOISE, x


def gain_of(physics: LinearPhysics, start: Tensor) -> float:
    """Root mean square of the measured values of a white image of ones: 1 for a blur, a path length for tomography.

    Missing pixels do not count. Operators that see no constant image have the gain of a random one.
    """
    for probe in (
        torch.ones_like(start),
        torch.rand(start.shape, generator=torch.Generator().manual_seed(0)).to(start),
    ):
        seen = physics.A(probe)
        values = torch.cat([part.abs().flatten() for part in (seen if isinstance(seen, TensorList) else [seen])])
        largest = float(values.max())
        if largest > TINY_GAIN * float(probe.abs().max()):
            return float(values[values > TINY_GAIN * largest].double().square().mean().sqrt())
    return 1.0
