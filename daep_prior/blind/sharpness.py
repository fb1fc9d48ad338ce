"""Is a photograph sharp? The kernel that is found from the photograph itself, without coarse scales."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.kernel_shape import one_pixel
from daep_prior.blind.one_start import Denoise, one_round
from daep_prior.blind.pyramid import scales
from daep_prior.blind.settings import BlindSettings

#: Side of the largest kernel in the test, pixels, and rounds. Chosen by hand.
SIDE, ROUNDS = 13, 4


def core(kernel: Tensor) -> float:
    """Largest sum of 2 x 2 neighbouring values of a kernel with sum 1; 1: all light stays in 2 x 2 pixels."""
    return float(F.avg_pool2d(F.pad(kernel, (1,) * 4)[None, None], 2, 1).max() * 4)


def sharpness(grey: Tensor, denoise: Denoise, settings: BlindSettings) -> float:
    """The :func:`core` of the kernel after a few rounds at the finest scale, from the photograph and one pixel.

    The coarse scales may lead a sharp photograph to a wide kernel: reduced, repeated structure looks like blur. Without
    them, the kernel grows only if the photograph has no sharp edges.

    :param torch.Tensor grey: photograph (1, 1, h, w) in [0, 1].
    :param Callable denoise: ``denoise(x, s)``.
    """
    settings = replace(settings, size=SIDE, rounds=ROUNDS)
    scale = scales(grey, settings)[-1]
    kernel, image, generator = one_pixel(SIDE), scale.y, torch.Generator().manual_seed(0)
    for width in settings.widths(finest=True):
        kernel, image = one_round(
            scale, kernel, image, denoise, settings, width, settings.last_weight, settings.least, generator
        )
    return core(kernel)
