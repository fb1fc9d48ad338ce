"""Faint arms of a kernel whose bright part is found: many weak values in a row, which only their sum shows."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.fourier import central, convolved, gradients, known_gradients, transfer
from daep_prior.blind.kernel_shape import brightest, centred, connected_parts, fitted, trimmed
from daep_prior.blind.kernel_step import kernel_step
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.one_start import Cost, Follow
from daep_prior.blind.pyramid import Scale, scales
from daep_prior.blind.refinement import WIDTHS, restored
from daep_prior.blind.settings import NORMAL_MEDIAN, BlindSettings

#: Number of steps in turn that may cost more before the search ends.
PATIENCE = 1
#: Ridge of ``d``. The larger it is, the smoother is its noise.
RIDGE = 100.0
#: Kernel width of the last mean shift with the sharpener, images in [0, 1]; the others are the last of ``WIDTHS``.
NARROW = 8 / 255
#: Standard deviations of the Gaussian that adds up values along a line and across, pixels; directions in half a turn.
ALONG, ACROSS, DIRECTIONS = 4.5, 0.7, 16
#: A curve has sums above ``LOW`` times their noise, the largest above ``HIGH`` times it. Largest sums in the first
#: step: 5.2 to 8.9 on the missing arms of twelve training crops, above 6 in ten of them; 6.0 to 7.0 in three of 20
#: crops that lack no arm. The kernels of these three hardly change. ``HIGH`` = 5 changes the kernels of two others.
LOW, HIGH = 3.0, 6.0
#: Least number of pixels outside the support; the noise of fewer is not known. Of windows of white noise, 13 x 13
#: pixels and smaller, 8 to 29 % had a sum above 5.
LEAST_OUTSIDE = 200


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
    :math:`r = \nabla y - k * \nabla v` shows what is missing,

    .. math::

        d = F^{-1} \frac{\overline{F \nabla v} \; F r}{|F \nabla v|^2 + \rho},

    mean over three sharp images :math:`v`. The support is that of the kernel with a margin of one pixel. It gets the
    :func:`curves` of :math:`d`, with the same margin. A kernel step on this support, with all three images and strong
    edges, gives the next kernel, see :func:`daep_prior.blind.kernel_step.kernel_step`. The search ends if the first
    step finds no curve, or after two kernels in turn that cost more. Of all kernels, the one that costs least is
    returned.

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
    support = first = _with_neighbours(present > 0)
    equation = (settings.ridge, settings.kernel_iterations, settings.edges)
    worse = 0
    for number in range(settings.arm_steps):
        if int((~support).sum()) < LEAST_OUTSIDE:
            break
        sharp = _sharp_images(problem, present, seed + number)
        support = support | _with_neighbours(curves(_correction(scale, sharp, present), support))
        if torch.equal(support, first):
            break
        present = kernel_step(sharp, scale.y, scale.known, present, *equation, support)
        present = present / present.sum().clamp_min(1e-12)
        new_rating = cost(new := _placed(present, scale))
        if follow is not None:
            follow(scale.factor, number, new)
        worse = 0 if new_rating < rating else worse + 1
        if new_rating < rating:
            best, rating = new, new_rating
        if worse > PATIENCE:
            break
    return best


def curves(missing: Tensor, support: Tensor) -> Tensor:
    r"""The curves of ``missing``, :math:`d`, outside ``support``; both (n, n), Boolean.

    .. math::

        z = \max_\theta \frac{g_\theta * d}{\sigma_\theta},

    with :math:`d` = 0 in the support, Gaussians :math:`g_\theta` of norm 1 along lines of 16 directions, see
    :data:`ALONG`, and the median absolute deviation over 0.6745 of :math:`g_\theta * d`, :math:`\sigma_\theta`. A curve
    is a connected part with :math:`z` above 3 whose largest :math:`z` is above 6. The signal-to-noise ratio of
    :math:`z` is 3.5 times that of a value in a long straight arm of one pixel, 6 times with three pixels across.
    """
    outside = ~support
    sums = _sums(torch.where(outside, missing, 0.0))
    values = sums[:, outside]
    noise = (values - values.median(1, keepdim=True).values).abs().median(1).values / NORMAL_MEDIAN
    sums = (sums / noise[:, None, None].clamp_min(1e-12)).amax(0)
    parts = connected_parts((sums > LOW) & outside)
    peaks = sums.new_zeros(missing.numel() + 1).scatter_reduce(0, parts.flatten(), sums.flatten(), "amax")
    return (parts > 0) & (peaks > HIGH)[parts]


def _sharp_images(problem: _Problem, kernel: Tensor, seed: int) -> Tensor:
    """Three sharp images (3, 1, H, W) of the restoration with a kernel (n, n)."""
    scale, denoise, sharpen, settings = problem
    generator = torch.Generator().manual_seed(seed)
    sharp, image = restored(scale, sharpen, kernel, settings, generator)
    others = [(sharpen, NARROW), (denoise, WIDTHS[-1])]
    return torch.cat([sharp, *(mean_shift(image, network, width, generator) for network, width in others)])


def _correction(scale: Scale, sharp: Tensor, kernel: Tensor) -> Tensor:
    """``d`` of :func:`with_faint_arms`, (n, n), from sharp images (N, 1, H, W)."""
    size, side = (sharp.shape[-2], sharp.shape[-1]), kernel.shape[0]
    steps = gradients(sharp)
    residual = known_gradients(scale.known) * (gradients(scale.y) - convolved(transfer(kernel, size), steps))
    spectrum = torch.fft.rfft2(steps)
    power, match = spectrum.abs().square().sum(1), (spectrum.conj() * torch.fft.rfft2(residual)).sum(1)
    return central(match / (power + RIDGE), size, side).mean(0)


def _placed(kernel: Tensor, scale: Scale) -> Tensor:
    """The kernel (n, n), without what leaves the largest kernel, centred."""
    return trimmed(centred(fitted(brightest(kernel, scale.size), 2 * kernel.shape[0] + 1)))


def _with_neighbours(mask: Tensor) -> Tensor:
    """A mask (n, n) with the pixels beside it."""
    return F.max_pool2d(mask.float()[None, None], 3, 1, 1)[0, 0] > 0


def _sums(values: Tensor) -> Tensor:
    """Sums of values (n, n) along lines in all directions, weighted by Gaussians of norm 1: (directions, n, n)."""
    reach = math.ceil(2.5 * ALONG)
    down, right = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    angles = (math.pi / DIRECTIONS * torch.arange(DIRECTIONS))[:, None, None]
    along = right * angles.cos() + down * angles.sin()
    across = down * angles.cos() - right * angles.sin()
    lines = torch.exp(-0.5 * ((along / ALONG).square() + (across / ACROSS).square()))
    lines = lines / lines.square().sum((1, 2), keepdim=True).sqrt()
    return F.conv2d(values[None, None], lines[:, None], padding=reach)[0]
