r"""Draw images from the posterior: an annealed chain of denoising, a proximal step on the data, and new noise.

The chain holds :math:`x_k`, an image with Gaussian noise of level :math:`\sigma_k`. At each level

.. math::

    d_k &= A_{\sigma_k}(x_k) \\
    \hat x_k &= \operatorname{argmin}_x \; f(x) + \tfrac{1}{2 \sigma_k^2} \|x - d_k\|^2 \\
    x_{k+1} &= \hat x_k + \sigma_{k+1} \left( \sqrt{1 - \zeta} \, \frac{x_k - \hat x_k}{\sigma_k} + \sqrt\zeta \, n_k
    \right)

with white noise :math:`n_k` and the data term :math:`f`. The parts are those of DiffPIR (Zhu et al., CVPR Workshops
2023). The chain starts at a restored image plus noise of :math:`\sigma_1`, which the networks are trained for, and its
result is denoised once more, at 3/255.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from daep_prior.arguments import real_number, whole_number
from daep_prior.noise_fields import NoiseSource
from daep_prior.prior import MeanShiftPrior
from daep_prior.restoration import require_finite
from daep_prior.solvers import Bounds, clipped

__all__ = ["SamplingPlan", "draw_sample", "sample_seed"]

#: First and last noise level of the chain, images in [0, 1]. The first is the highest that ``"dae"`` is trained for.
FIRST_LEVEL, LAST_LEVEL = 75 / 255, 3 / 255
#: Number of levels, and share of new noise in each: the best mean of the chains on training crops.
LEVELS, FRESH = 20, 1.0
#: Width of the last denoising, images in [0, 1].
FINAL_WIDTH = 3 / 255


@dataclass(frozen=True)
class SamplingPlan:
    """Numbers of the chain, lengths in the units of images in [0, 1].

    :param float first: first noise level.
    :param float last: last noise level.
    :param int levels: number of levels, in geometric steps; one network evaluation each.
    :param float fresh: share of new noise, 0 to 1.
    :raises ValueError: a number out of its range.
    """

    first: float = FIRST_LEVEL
    last: float = LAST_LEVEL
    levels: int = LEVELS
    fresh: float = FRESH

    def __post_init__(self) -> None:
        first, last = (real_number(k, getattr(self, k), "a noise level", positive=True) for k in ("first", "last"))
        if last > first:
            raise ValueError(f"first, last: got {self.first} and {self.last}; expected first >= last.")
        whole_number("levels", self.levels)
        if real_number("fresh", self.fresh, "a share of at most 1 and") > 1:
            raise ValueError(f"fresh: got {self.fresh}; expected a share from 0 to 1.")

    def noise_levels(self) -> list[float]:
        """The noise level of each step, falling."""
        if self.levels == 1:
            return [self.first]
        ratio = (self.last / self.first) ** (1 / (self.levels - 1))
        return [self.first * ratio**k for k in range(int(self.levels))]


def draw_sample(
    data_prox: Callable[[Tensor, float], Tensor],
    start: Tensor,
    prior: MeanShiftPrior,
    noise: NoiseSource,
    plan: SamplingPlan = SamplingPlan(),
    *,
    dual: float = 0.0,
    bounds: Bounds | None = None,
) -> Tensor:
    """One sample for each image of a batch.

    :param Callable data_prox: ``data_prox(v, gamma)`` returns ``argmin_x gamma f(x) + 1/2 ||x - v||^2``.
    :param torch.Tensor start: restored images (B, C, H, W).
    :param MeanShiftPrior prior: with a noise-conditional denoiser.
    :param NoiseSource noise: of the chain. An image of the same seed gets the same sample alone and in a batch.
    :param float dual: share of a scaled dual variable that each step keeps, 0 to 1, as in
        :func:`daep_prior.solvers.proximal_momentum_step`; for missing pixels, where single known pixels look like noise
        to the network. 0: there is none.
    :param tuple bounds: limits of the result.
    :return: (B, C, H, W).
    :raises ValueError: the denoiser is for one level.
    :raises DivergenceError: the images are no longer finite.
    """
    check_takes_levels(prior)
    levels = plan.noise_levels()
    with torch.no_grad():
        x, scaled_dual = start + levels[0] * noise.draw(start)[0], torch.zeros_like(start)
        for k, level in enumerate(levels):
            denoised = prior.denoise(x + scaled_dual, level)
            clean = data_prox(denoised - scaled_dual, level**2)
            require_finite(clean, k)
            scaled_dual = dual * (scaled_dual + clean - denoised)
            if k + 1 == len(levels):
                break
            kept, fresh = math.sqrt(1 - plan.fresh) / level, math.sqrt(plan.fresh)
            x = clean + levels[k + 1] * (kept * (x - clean) + fresh * noise.draw(x)[0])
        sample = prior.denoise(clean, FINAL_WIDTH)
        require_finite(sample, wait=True)
    return clipped(sample, bounds)


def check_takes_levels(prior: MeanShiftPrior) -> None:
    """Refuse a denoiser for one level."""
    if prior.trained_width is not None:
        raise ValueError(
            f"denoiser: it is for the noise level {255 * prior.trained_width:.3g}/255 alone, and samples need falling "
            'levels; use a noise-conditional one, such as "dae".'
        )


def sample_seed(seed: int, number: int) -> int:
    """The seed of sample ``number``; seeds and numbers that differ give other noise."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
