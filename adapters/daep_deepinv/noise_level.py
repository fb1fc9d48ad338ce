"""How strong the noise of a measurement is: what the physics states, an estimate from the measurement itself, or what
of a told level can be believed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics, Physics, ZeroNoise
from torch import Tensor

from daep_deepinv.checks import check_sigma
from daep_deepinv.fidelity import PerImageL2
from daep_deepinv.history import Monitor
from daep_deepinv.patch_noise import ShownNoise, shown_noise, unshared_levels
from daep_deepinv.prior import DAEPrior
from daep_prior import schedules
from daep_prior.momentum import proximal_momentum_step

__all__ = ["BelievedNoise", "NoiseWarning", "UnknownNoiseError", "believed_noise", "estimated_level", "stated_level"]

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
#: A measurement that holds this many times the noise that was told is restored for the noise that it holds; one that
#: was told to be noise-free, if it holds more than so much. On 222 crops of training images white noise of 2.55 of 255
#: was taken for more in one, where texture looks like it; noise that the channels share, 1.73 times by rights, never
#: for less. Eight bits alone are 0.29 of 255, and were taken for up to 0.56, in three of 180 for 0.8 to 2.9.
EVIDENT, EVIDENT_IN_NONE = 1.65, 0.7 / 255
#: Noise that is not white is taken for so many times the level that was told: what it has less of the finest detail it
#: has more of the rest. The more, with the root, the weaker its weakest mode is between these shares of the level. On
#: crops of training images with noise of 2.55, 4.5 and 7.65 of 255, better by 0.6, 1.3 and 2.4 dB where it was averaged
#: over 3 x 3 pixels, by 0.3, 0.3 and 0.0 dB where it was stored as JPEG 90, 85 and 75.
COLOURED, WEAKEST_SHARES = 1.3, (0.1, 0.25)
#: It is white, and texture what looks like more of it, if its weakest mode is no weaker than this share of the level:
#: 0.92 and more in white noise, 0.5 in the middle if stored as JPEG 90, 0.3 if averaged. But there must be some of it.
HELD, SOME = 0.8, 0.1
#: The channels share the noise that a measurement holds in excess of what was told, or that was estimated, if they
#: differ by less than this share of it. Rounding to eight bits makes them differ by the second number at least.
SHARED, EIGHT_BITS = 0.5, 1 / 255 / math.sqrt(12)


class UnknownNoiseError(ValueError):
    """The noise of a measurement is to be estimated, and cannot be."""


class BelievedNoise(NamedTuple):
    """The noise that an image is restored for.

    :param float level: standard deviation for images in [0, 1].
    :param float differences: of what a channel differs by from their mean; less than ``level`` if they share the noise.
    """

    level: float
    differences: float


class NoiseWarning(UserWarning):
    """A measurement is restored for more noise than was told."""


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
    (:func:`daep_deepinv.patch_noise.shown_noise`). Else it is what a quick restoration leaves over. As in the
    noise-blind form of DMSP (Bigdeli, Jin, Favaro and Zwicker, NIPS 2017) the level is the root mean square of
    :math:`Kx - y`. There it changes with the iterates; here a few mean-shift steps are repeated with the level they
    led to, eleven forward evaluations each time. Noise that is not white (of a JPEG file, equal in the channels) passes
    for image the more, the less of it is told, and going on would lead below it: so as soon as the estimates fall, the
    result lies between the last two, and is rather too large, which costs less than too small.

    :param torch.Tensor y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser; with any other, only noise that shows is found.
    :param Callable start: ``start(y, physics)``, the first image (1, C, H, W).
    :return: for images in [0, 1].
    :raises ValueError: the denoiser is for one level and no noise shows.
    """
    x0 = start(y, physics)
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
        schedule = schedules.annealed_opening(level)
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


def believed_noise(
    sigma: float, y: Tensor, physics: LinearPhysics, image: Tensor, *, estimated: bool = False
) -> list[BelievedNoise]:
    """The noise to restore each image for: ``sigma``, or more if the measurement shows that it must be.

    :param float sigma: standard deviation that is told, for images in [0, 1].
    :param torch.Tensor y: measurement (B, C, h, w).
    :param torch.Tensor image: an image (B, C, H, W) that the physics takes.
    :param bool estimated: ``sigma`` is the noise that the measurement shows already.
    :return: one an image; a single one where nothing shows, for all.
    """
    shown = shown_noise(y, physics, image)
    if shown is None:
        return [BelievedNoise(sigma, sigma)]
    levels = [_believed(sigma, noise) for noise in shown]
    strong = [noise.white and (estimated or level > sigma) for noise, level in zip(shown, levels, strict=True)]
    unshared = unshared_levels(y, physics, image) if any(strong) else levels
    return [
        BelievedNoise(level, max(other, EIGHT_BITS) if more and other < SHARED * level else level)
        for level, other, more in zip(levels, unshared, strong, strict=True)
    ]


def _believed(sigma: float, shown: ShownNoise) -> float:
    """The level for an image whose noise is said to be ``sigma``."""
    if shown.white:
        return shown.level if shown.level > max(EVIDENT * sigma, EVIDENT_IN_NONE) else sigma
    if shown.weakest >= HELD * sigma or shown.level <= SOME * sigma:
        return sigma
    lowest, highest = WEAKEST_SHARES
    return COLOURED * math.sqrt(highest / min(max(shown.weakest / sigma, lowest), highest)) * sigma
