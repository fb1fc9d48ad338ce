"""One estimate of the kernel, coarse to fine."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from daep_prior.blind.image_step import image_step
from daep_prior.blind.kernel_shape import cleaned, enlarged, one_pixel, spread, trimmed, with_margin
from daep_prior.blind.kernel_step import gradient_misfit, kernel_step
from daep_prior.blind.mean_shift import Denoise, mean_shift
from daep_prior.blind.position import at_best_position
from daep_prior.blind.pyramid import Scale, resized, scales
from daep_prior.blind.settings import BlindSettings

#: Called after each round with the scale's factor, the round, from 0, and the kernel.
Follow = Callable[[float, int, Tensor], None]
#: How badly a kernel explains the photograph.
Cost = Callable[[Tensor], float]
#: Rounds at the end of the finest scale that keep faint tails.
LAST_ROUNDS = 3
#: Kernel width at which estimates are judged, images in [0, 1]. Chosen by hand.
JUDGED_WIDTH = 15 / 255
#: Largest kernel width at which the image is moved between the pixels: larger ones leave few edges. Chosen by hand.
MOVED_FROM = 30 / 255
#: Values of an enlarged kernel below this share of the largest come from the interpolation. Chosen by hand.
ENLARGED_LEAST = 0.02


class Estimate(NamedTuple):
    r"""What one start has found.

    :param torch.Tensor kernel: (n, n), n odd; not negative, sum 1, centred.
    :param float misfit: root mean square of :math:`\nabla v * k - \nabla y` over the measured pixels. :math:`v` is a
        sharp natural image, the mean shift of the found one. A wrong kernel does not blur it into the photograph.
    :param float factor: between two scales of the start.
    """

    kernel: Tensor
    misfit: float
    factor: float


def one_estimate(
    y: Tensor,
    denoise: Denoise,
    settings: BlindSettings,
    seed: int = 0,
    follow: Follow | None = None,
    sharpen: Denoise | None = None,
) -> Estimate:
    r"""The blur kernel of a photograph from one start.

    At each scale and in each round:

    1. :math:`v = A_s(x + \epsilon)`, :math:`\epsilon \sim N(0, s^2)`: the mean shift at a wide kernel. The noise hides
       the blur that is left in :math:`x`, and a network ``sharpen`` that was trained for it removes the traces of a
       wrong kernel. :math:`v` has the sharp edges and the flat regions of a natural image.
    2. The kernel from :math:`\nabla v` and :math:`\nabla y`, see :func:`kernel_step`. Its support follows the values.
       In the last rounds of the finest scale, :math:`v` is moved first, see
       :func:`daep_prior.blind.position.at_best_position`.
    3. :math:`x` from :math:`y`, the kernel and :math:`v`, see :func:`image_step`.

    :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``; the misfit is measured with it.
    :param int seed: of the noise.
    :param Callable follow: see :data:`Follow`.
    :param Callable sharpen: the denoiser of the rounds; default: ``denoise``.
    """
    generator = torch.Generator().manual_seed(seed)
    levels = scales(y, settings)
    kernel, image = one_pixel(levels[0].size), levels[0].y
    for before, scale in zip([None, *levels], levels, strict=False):
        if before is not None:
            kernel = cleaned(enlarged(kernel, settings.factor), ENLARGED_LEAST, 0)
            image = scale.bordered(resized(before.inside(image), scale.inside(scale.y).shape[-2:]))
        finest = scale is levels[-1]
        widths, weight = settings.widths(finest), settings.last_weight if finest else settings.weight
        for number, width in enumerate(widths):
            faint = finest and number >= len(widths) - LAST_ROUNDS
            kernel, image = one_round(
                scale, kernel, image, sharpen or denoise, settings, width, weight, faint, generator
            )
            if follow is not None:
                follow(scale.factor, number, kernel)
    return Estimate(trimmed(kernel), misfit(scale, kernel, image, denoise), settings.factor)


def misfit(scale: Scale, kernel: Tensor, image: Tensor, denoise: Denoise) -> float:
    """The misfit of a kernel and the image that was found with it, see :class:`Estimate`."""
    # the same noise and width for all starts and settings
    sharp = mean_shift(image, denoise, JUDGED_WIDTH, torch.Generator().manual_seed(0))
    return gradient_misfit(sharp, scale.y, scale.known, kernel)


def one_round(
    scale: Scale,
    kernel: Tensor,
    image: Tensor,
    denoise: Denoise,
    settings: BlindSettings,
    width: float,
    weight: float,
    faint: bool,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """The kernel and image after one round at a scale, see :func:`one_estimate`.

    :param bool faint: keep faint values of the kernel: ``last_least`` and ``last_typical`` of the settings hold.
    """
    sharp = mean_shift(image, denoise, width, generator)
    kernel = with_margin(kernel, settings.margin, scale.room)
    equation = (scale.y, scale.known, kernel, settings.ridge, settings.kernel_iterations)
    finest = scale.factor == 1
    if finest and width <= MOVED_FROM:
        sharp = at_best_position(sharp, *equation, settings.moves)
    wide = settings.finest_edges_from if finest else settings.edges_from
    edges = settings.edges if spread(kernel) >= wide else 1.0
    kernel = kernel_step(sharp, *equation, edges)
    least, typical = settings.smallest(faint)
    kernel = cleaned(kernel, least, settings.island, scale.size, typical)
    return kernel, image_step(sharp, scale.y, scale.known, kernel, weight, settings.fills)
