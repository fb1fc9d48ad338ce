"""Is a photograph sharp? The kernel that is found from the photograph itself, without coarse scales; and, with
noise, whether the kernel that the search has found predicts the photograph better than no blur."""

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.kernel_shape import one_pixel, spread
from daep_prior.blind.mean_shift import Denoise
from daep_prior.blind.one_start import one_round
from daep_prior.blind.pyramid import scales
from daep_prior.blind.settings import BlindSettings

#: Side of the largest kernel in the test, pixels, and rounds. Chosen by hand.
SIDE, ROUNDS = 13, 4
#: Spread of the kernel of a sharp photograph, pixels. On training crops that have 0.65 and more of the kernel in 2 x 2
#: pixels: sharp ones at most 1.13, but for one with 1.59; three blurred ones 1.22, 1.28 and 1.38.
COMPACT = 1.17
#: Standard deviation of a Gaussian kernel that stands for no blur, pixels: with one pixel, the restoration returns the
#: photograph with all its noise.
NO_BLUR = 0.4


def core(kernel: Tensor) -> float:
    """Largest sum of 2 x 2 neighbouring values of a kernel with sum 1; 1: all light stays in 2 x 2 pixels."""
    return float(F.avg_pool2d(F.pad(kernel, (1,) * 4)[None, None], 2, 1).max() * 4)


def sharpness(grey: Tensor, denoise: Denoise, settings: BlindSettings) -> float:
    """The :func:`core` of the kernel after a few rounds at the finest scale, from the photograph and one pixel.

    If the rest lies far from it, less: a trail may have most of its light at one end. The core is divided by the
    :func:`~daep_prior.blind.kernel_shape.spread` in units of :data:`COMPACT`, if that is above 1.

    The coarse scales may lead a sharp photograph to a wide kernel: reduced, repeated structure looks like blur. Without
    them, the kernel grows only if the photograph has no sharp edges.

    :param torch.Tensor grey: photograph (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    """
    settings = replace(settings, size=SIDE, rounds=ROUNDS, finest_edges_from=settings.edges_from)
    scale = scales(grey, settings)[-1]
    kernel, image, generator = one_pixel(SIDE), scale.y, torch.Generator().manual_seed(0)
    for width in settings.widths(finest=True):
        kernel, image = one_round(
            scale, kernel, image, denoise, settings, width, settings.last_weight, False, generator
        )
    return core(kernel) / max(1.0, spread(kernel) / COMPACT)


def predicts_better(kernel: Tensor, cost: Callable[[Tensor], float]) -> bool:
    """Whether a kernel (n, n) predicts a photograph better than no blur does.

    :param Callable cost: how badly a kernel predicts it.
    """
    profile = torch.exp(-torch.arange(-1.0, 2.0).square() / (2 * NO_BLUR**2))
    narrow = profile[:, None] * profile
    return cost(kernel) < cost(narrow / narrow.sum())
