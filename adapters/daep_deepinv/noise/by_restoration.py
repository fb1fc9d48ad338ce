"""Estimate the noise level of a measurement from the residual of a quick restoration."""

from __future__ import annotations

from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.history import residual_rms
from daep_deepinv.prior import DAEPrior
from daep_prior import restore, schedules

__all__ = ["UnknownNoiseError", "level_by_restoration"]

#: Assumed level of the first pass, images in [0, 1], and the maximum number of passes. A pass that assumes half or
#: twice the true level finds 0.9 or 1.2 times the true level, so the first guess matters little.
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


class UnknownNoiseError(ValueError):
    """The noise of a measurement cannot be estimated."""


def level_by_restoration(y: Tensor, physics: LinearPhysics, prior: DAEPrior, start: Tensor) -> float:
    r"""Noise level of one measurement: the root mean square of :math:`Kx - y` for a quickly restored image :math:`x`.

    As in noise-blind DMSP (Bigdeli, Jin, Favaro and Zwicker, NIPS 2017). There the level changes with the iterates.
    Here ten mean-shift steps and a denoising are repeated with the level of the pass before, eleven forward evaluations
    each. Noise that is not white (JPEG, equal in the channels) looks like image detail the more, the lower the assumed
    level is, so further passes would fall below the true level. As soon as the estimates fall, the result lies between
    the last two. An overestimate costs less PSNR than an underestimate.

    :param torch.Tensor y: measurement of one image.
    :param DAEPrior prior: with a noise-conditional denoiser.
    :param torch.Tensor start: first image (1, C, H, W) in [0, 1].
    :return: standard deviation, images in [0, 1].
    :raises UnknownNoiseError: the denoiser is for one level.
    """
    if prior.trained_width is not None:
        raise UnknownNoiseError(
            "sigma: the noise is estimated with a noise-conditional denoiser, this one is trained for one level; "
            "give DAEP(sigma=...), 0 for a noise-free measurement."
        )
    levels = [FIRST_GUESS]
    for _ in range(PASSES):
        level = levels[-1]
        data = PerImageL2(sigma=max(level, schedules.SMALLEST_NOISE))
        schedule = schedules.for_noise_estimation(level)
        x = restore(data.prox_of(y, physics), start, prior, schedule)
        x = prior.denoise(x, max(WIDTH_PER_LEVEL * level, MIN_WIDTH)).clamp(0, 1)
        levels.append(float(residual_rms(data, x, y, physics)) / RESIDUAL_PER_NOISE)
        if len(levels) > 2 and levels[-1] < levels[-2]:
            return levels[-2] ** (1 - LAST_SHARE) * levels[-1] ** LAST_SHARE
    return levels[-1]
