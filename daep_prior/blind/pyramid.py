"""Scales of an image, coarse to fine, and the measurement on the grid of each."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.settings import BlindSettings

#: Least height and width of the image at a coarse scale, pixels. Chosen by hand: a quarter of it is wider than an edge.
SMALLEST = 24
#: Largest distance of the centre of mass of a kernel of ``size`` from its middle, sides; without it, a trail with most
#: of its light at one end is cut. Chosen by hand on training crops, see ``docs/unknown-blur-method.md``.
ROOM = 0.25


class Scale(NamedTuple):
    """One scale.

    :param float factor: of the scale; 1: that of the photograph.
    :param int size: side of the largest kernel, pixels of this scale.
    :param torch.Tensor y: measurement (1, 1, H, W), mirrored into a border that the largest kernel does not leave.
    :param torch.Tensor known: 1 where a pixel is measured, 0 in the border.
    """

    factor: float
    size: int
    y: Tensor
    known: Tensor

    @property
    def room(self) -> int:
        """Side of the support in which the centre of mass of a kernel of ``size`` is the middle pixel, pixels."""
        return self.size + 2 * round(ROOM * self.size)

    def inside(self, image: Tensor) -> Tensor:
        """``image`` (1, 1, H, W) without the border."""
        r = self.size // 2
        return image[..., r : image.shape[-2] - r, r : image.shape[-1] - r]

    def bordered(self, image: Tensor) -> Tensor:
        """``image`` (1, 1, h, w) of this scale with a border that repeats its outermost pixels."""
        return F.pad(image, (self.size // 2,) * 4, mode="replicate")


def scales(y: Tensor, settings: BlindSettings) -> list[Scale]:
    """The scales of ``y`` (1, 1, h, w), coarse to fine."""
    factors = [1.0]
    while settings.size * factors[-1] / settings.factor >= settings.coarsest - 0.5:
        factors.append(factors[-1] / settings.factor)
    return [_scale(y, factor, settings.size) for factor in reversed(factors)]


def resized(image: Tensor, size: Sequence[int]) -> Tensor:
    """``image`` (1, 1, h, w) at another size, by antialiased bicubic interpolation."""
    size = (size[0], size[1])
    if tuple(image.shape[-2:]) == size:
        return image
    return F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)


def _scale(y: Tensor, factor: float, largest: int) -> Scale:
    height, width = (max(min(n, SMALLEST), round(n * factor)) for n in y.shape[-2:])
    side = max(3, 2 * (round(largest * factor) // 2) + 1)
    r = side // 2
    mode = "reflect" if r < min(height, width) else "replicate"
    small = resized(y, (height, width))
    return Scale(factor, side, F.pad(small, (r,) * 4, mode=mode), F.pad(y.new_ones(1, 1, height, width), (r,) * 4))
