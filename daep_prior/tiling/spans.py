"""Cut one axis of an image into tiles with halos."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Span", "spans"]


@dataclass(frozen=True)
class Span:
    """One tile along one axis.

    :param slice window: the pixels of the image that the network sees.
    :param slice kept: the part of the output that is kept, counted from the start of the window.
    :param slice target: the pixels of the image that this part is written to.
    :param torch.Tensor weight: of each kept pixel, if tiles are blended; ``None``: 1.
    """

    window: slice
    kept: slice
    target: slice
    weight: Tensor | None


def spans(length: int, size: int, halo: int, multiple: int = 1, ramp: int = 0) -> list[Span]:
    """Cut an axis into tiles of nearly equal length.

    :param int length: of the axis, pixels.
    :param int size: largest length of a tile without its halo; rounded up to a multiple.
    :param int halo: pixels that the network sees beyond each end of a tile; at least ``ramp``.
    :param int multiple: windows begin at multiples of this.
    :param int ramp: half width of the ramps between neighbours; 0: no blending.
    :return: from first to last; their weights add up to 1 at each pixel.
    """
    count = math.ceil(length / size)
    step = math.ceil(length / count / multiple) * multiple
    cuts = [*range(0, length, step), length]
    result = []
    for first, last in zip(cuts, cuts[1:], strict=False):
        start = max(0, first - halo) // multiple * multiple
        stop = min(length, last + halo)
        lower, upper = max(0, first - ramp), min(length, last + ramp)
        weight = _rise(first, lower, upper, length, ramp) - _rise(last, lower, upper, length, ramp) if ramp else None
        result.append(Span(slice(start, stop), slice(lower - start, upper - start), slice(lower, upper), weight))
    return result


def _rise(cut: int, lower: int, upper: int, length: int, ramp: int) -> Tensor:
    """At the pixels from ``lower`` to ``upper``: 0 before the ramp around ``cut``, 1 after it; no ramp at the ends."""
    position = torch.arange(lower, upper) + 0.5
    if cut in (0, length):
        return torch.full_like(position, float(cut == 0))
    return ((position - (cut - ramp)) / (2 * ramp)).clamp(0, 1)
