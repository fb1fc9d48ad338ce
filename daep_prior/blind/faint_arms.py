"""Faint arms of a kernel whose bright part is found: many weak values in a row, each below the noise."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.fourier import convolved, gradients, known_gradients, transfer
from daep_prior.blind.kernel_shape import brightest, centred, connected_parts, fitted, trimmed
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.one_start import Cost, Follow
from daep_prior.blind.pyramid import Scale, scales
from daep_prior.blind.refinement import WIDTHS, restored
from daep_prior.blind.settings import NORMAL_MEDIAN, BlindSettings

#: Number of steps in turn that may cost more before the search ends.
PATIENCE = 1
#: Ridge of a correction. The larger it is, the smoother is the noise of the correction.
RIDGE = 100.0
#: Kernel width of the last mean shift with the sharpener, images in [0, 1]; the others are the last of ``WIDTHS``.
NARROW = 8 / 255
#: Standard deviation of the Gaussian that softens the values, pixels.
SOFTNESS = 1.5
#: A connected part has softened values above ``LOW`` times their noise. It is significant if the largest is above
#: ``HIGH`` times the noise, and their sum above ``TOGETHER`` times the noise and the square root of their number. In 39
#: training crops, 20 parts are significant in the first step: 15 lie on the true kernel, one does in part. With 3.0 and
#: no limit of the sum, crops with much texture gained noise all over the support.
LOW, HIGH, TOGETHER = 1.5, 4.0, 14.0


class _Problem(NamedTuple):
    """What stays the same in all steps: the finest scale, the two networks, the settings."""

    scale: Scale
    denoise: Denoise
    sharpen: Denoise
    settings: BlindSettings


def with_faint_arms(
    y: Tensor,
    denoise: Denoise,
    sharpen: Denoise,
    kernel: Tensor,
    rating: float,
    settings: BlindSettings,
    seed: int,
    follow: Follow | None,
    cost: Cost,
) -> Tensor:
    r"""The kernel with the faint arms that lower its cost.

    In a step, the photograph is restored with the present kernel :math:`k`. Its residual
    :math:`r = \nabla y - k * \nabla v` corrects the kernel,

    .. math::

        d = F^{-1} \frac{\overline{F \nabla v} \; F r}{|F \nabla v|^2 + \rho},

    mean over three sharp images :math:`v`. A value of a faint arm is below the noise of :math:`d`; many in a row are
    not. So :math:`k + d` is softened, and its connected parts beside the bright part of the kernel are kept if they are
    significant, see :data:`LOW`; the noise is that of the softened :math:`d`. The bright part stays as it is. Of
    the kernels of all steps, the one that costs least is returned.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``; ``sharpen``: the network that found the kernel.
    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float rating: what ``kernel`` costs.
    :param int seed: of the noise.
    :param Callable follow: see :data:`daep_prior.blind.one_start.Follow`.
    :param Callable cost: see :data:`daep_prior.blind.one_start.Cost`.
    :return: (m, m), as ``kernel``.
    """
    problem = _Problem(scales(y, settings)[-1], denoise, sharpen, settings)
    scale, best = problem.scale, kernel
    present = fitted(kernel, scale.room)
    bright = F.max_pool2d((present > 0).float()[None, None], 3, 1, 1)[0, 0] > 0
    if bool(bright.all()):
        return kernel
    worse = 0
    for number in range(settings.arm_steps):
        present = significant(present, _correction(problem, present, seed + number), bright)
        if not bool((present > 0)[~bright].any()):
            break
        new = _placed(present, scale)
        new_rating = cost(new)
        if follow is not None:
            follow(scale.factor, number, new)
        worse = 0 if new_rating < rating else worse + 1
        if new_rating < rating:
            best, rating = new, new_rating
        if worse > PATIENCE:
            break
    return best


def significant(kernel: Tensor, correction: Tensor, bright: Tensor) -> Tensor:
    """The kernel (n, n) with the significant parts of the corrected one outside ``bright``, not all; its sum is 1."""
    outside = ~bright
    corrected = torch.where(outside, kernel + correction, 0.0)
    noise = _softened(torch.where(outside, correction, 0.0))[outside]
    level = float((noise - noise.median()).abs().median()) / NORMAL_MEDIAN
    soft = _softened(corrected) / max(level, 1e-12)
    parts = connected_parts((soft > LOW) & outside)
    labels, none = parts.flatten(), soft.new_zeros(kernel.numel() + 1)
    peaks = none.scatter_reduce(0, labels, soft.flatten(), "amax")
    numbers = none.index_add(0, labels, torch.ones_like(soft).flatten())
    sums = none.index_add(0, labels, soft.flatten()) / numbers.clamp_min(1).sqrt()
    kept = (parts > 0) & ((peaks > HIGH) & (sums > TOGETHER))[parts]
    new = torch.where(bright, kernel, torch.where(kept, corrected.clamp_min(0), 0.0))
    return new / new.sum()


def _correction(problem: _Problem, kernel: Tensor, seed: int) -> Tensor:
    """``d`` of :func:`with_faint_arms`, (n, n) as ``kernel``."""
    scale, denoise, sharpen, settings = problem
    generator = torch.Generator().manual_seed(seed)
    sharp, image = restored(scale, sharpen, kernel, settings, generator)
    others = [(sharpen, NARROW), (denoise, WIDTHS[-1])]
    images = [sharp, *(mean_shift(image, network, width, generator) for network, width in others)]
    return torch.stack([_explaining(scale, one, kernel) for one in images]).mean(0)


def _explaining(scale: Scale, sharp: Tensor, kernel: Tensor) -> Tensor:
    """The correction of a kernel (n, n) that explains the residual of one sharp image."""
    size, side = (sharp.shape[-2], sharp.shape[-1]), kernel.shape[0]
    steps = gradients(sharp)
    residual = known_gradients(scale.known) * (gradients(scale.y) - convolved(transfer(kernel, size), steps))
    spectrum = torch.fft.rfft2(steps)
    power, match = spectrum.abs().square().sum(1), (spectrum.conj() * torch.fft.rfft2(residual)).sum(1)
    correction = torch.fft.irfft2(match / (power + RIDGE), s=size)[0]
    return correction.roll((side // 2, side // 2), (-2, -1))[:side, :side]


def _placed(kernel: Tensor, scale: Scale) -> Tensor:
    """The kernel (n, n), without what leaves the largest kernel, centred."""
    return trimmed(centred(fitted(brightest(kernel, scale.size), 2 * kernel.shape[0] + 1)))


def _softened(kernel: Tensor) -> Tensor:
    r = round(3 * SOFTNESS)
    line = torch.exp(-0.5 * (torch.arange(-r, r + 1.0) / SOFTNESS).square())
    gaussian = line[:, None] * line / line.sum().square()
    return F.conv2d(kernel[None, None], gaussian[None, None], padding=r)[0, 0]
