"""How strong the noise of a measurement is: what the physics states, or an estimate from the measurement itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from deepinv.physics import LinearPhysics, Physics, ZeroNoise
from torch import Tensor

from daep_deepinv.checks import check_sigma
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.history import Monitor
from daep_deepinv.noise.assess import CERTAINLY_SHARED, colour_noise
from daep_deepinv.noise.patches import shown_noise
from daep_deepinv.prior import DAEPrior
from daep_prior import schedules
from daep_prior.solvers import proximal_momentum_step

__all__ = ["UnknownNoiseError", "estimated_level", "stated_level"]

#: The level that is told at first, and the most passes. Told half or twice the truth, a pass finds 0.9 or 1.2 times the
#: truth, so that the first guess is soon forgotten.
FIRST_GUESS, PASSES = 8 / 255, 3
#: Share of the last pass in the result when the estimates fall.
LAST_SHARE = 2 / 3
#: The residual of the restored image is larger than the noise, by what the restoration has smoothed away of the image.
#: On crops of training images under motion blur, noise of 2.55 to 25 of 255: 0.97 to 1.07 times the noise.
SMOOTHING = 1.03
#: The image is denoised at this multiple of the level, and at least at that one, before its residual is taken.
WIDTH_PER_LEVEL, SMALLEST_WIDTH = 2.0, 8 / 255


class UnknownNoiseError(ValueError):
    """The noise of a measurement is to be estimated, and cannot be."""


def stated_level(physics: Physics) -> float | None:
    """The standard deviation that ``physics.noise_model`` states, 0 for noise-free; ``None`` if it states none.

    :raises ValueError: it states several, or one that is negative or not finite.
    """
    noise = getattr(physics, "noise_model", None)
    if isinstance(noise, ZeroNoise):
        return 0.0
    level = getattr(noise, "sigma", None)
    if level is None:
        return None
    values = torch.as_tensor(level, dtype=torch.float64).flatten().unique()
    if values.numel() != 1:
        raise ValueError("sigma: the physics states several noise levels; restore one level at a time.")
    check_sigma(float(values))
    return float(values)


def estimated_level(y: Tensor, physics: LinearPhysics, prior: DAEPrior, start: Callable[..., Tensor]) -> float:
    r"""Standard deviation of the noise in the measurement of one image.

    Where the physics has taken the fine detail away and what there is of it is white, that is the noise
    (:func:`daep_deepinv.noise.spectrum.noise_spectra`, in grey :func:`daep_deepinv.noise.patches.shown_noise`). Else it
    is what a quick restoration leaves over. As in the noise-blind form of DMSP (Bigdeli, Jin, Favaro and Zwicker, NIPS
    2017) the level is the root mean square of :math:`Kx - y`. There it changes with the iterates; here a few mean-shift
    steps are repeated with the level they led to, eleven forward evaluations each time. Noise that is not white (of a
    JPEG file, equal in the channels) passes for image the more, the less of it is told, and going on would lead below
    it: so as soon as the estimates fall, the result lies between the last two, and is rather too large, which costs
    less than too small.

    :param torch.Tensor y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser; with any other, only noise that shows is found.
    :param Callable start: ``start(y, physics)``, the first image (1, C, H, W).
    :return: for images in [0, 1].
    :raises ValueError: the denoiser is for one level and no noise shows.
    """
    x0 = start(y, physics)
    (of_colours,) = colour_noise(y, physics, x0, CERTAINLY_SHARED)
    if of_colours is not None:
        return of_colours.level
    shown = shown_noise(y, physics, x0)
    if shown is not None and (shown[0].white or prior.trained_width is not None):
        return shown[0].level
    if prior.trained_width is not None:
        raise UnknownNoiseError(
            "sigma: the noise is estimated with a noise-conditional denoiser, this one is trained for one level; "
            "give DAEP(sigma=...), 0 for a noise-free measurement."
        )
    levels = [FIRST_GUESS]
    for _ in range(PASSES):
        level = levels[-1]
        schedule = schedules.forgiving(level)
        data = PerImageL2(sigma=max(level, schedules.SMALLEST_NOISE))
        x = previous = x0
        for k in range(len(schedule)):
            step, gamma = schedule.step[k], schedule.step[k] / schedule.prior_weight[k]
            gradient = partial(prior.grad, sigma=schedule.kernel_width[k], noise_share=0.0, jacobian=False)
            prox = partial(data.prox, y=y, physics=physics, gamma=gamma)
            moved, _ = proximal_momentum_step(x, previous, gradient, prox, step, schedule.momentum[k])
            x, previous = moved, x
        x = prior.denoise(x, max(WIDTH_PER_LEVEL * level, SMALLEST_WIDTH)).clamp(0, 1)
        levels.append(float(Monitor(data, y, physics, level).data_residual(x)) / SMOOTHING)
        if len(levels) > 2 and levels[-1] < levels[-2]:
            return levels[-2] ** (1 - LAST_SHARE) * levels[-1] ** LAST_SHARE
    return levels[-1]
