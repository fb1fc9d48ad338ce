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

    :param slice window: what the network sees.
    :param slice kept: what is kept of it, counted from the start of the window.
    :param slice target: where that goes in the image.
    :param torch.Tensor weight: of each kept pixel, where tiles are blended; ``None``: 1.
    """

    window: slice
    kept: slice
    target: slice
    weight: Tensor | None


def spans(length: int, size: int, halo: int, multiple: int = 1, ramp: int = 0) -> list[Span]:
    """Cut an axis into tiles of equal length as far as possible.

    :param int length: of the axis.
    :param int size: most pixels of a tile without its halo; rounded up to a multiple.
    :param int halo: pixels that the network sees on each side of what is kept for sure; at least ``ramp``.
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
        lower = max(0, first - ramp) if first > 0 else 0
        upper = min(length, last + ramp) if last < length else length
        weight = None
        if ramp and count > 1:
            position = torch.arange(lower, upper) + 0.5

            def risen(cut: int, position: Tensor = position) -> Tensor:
                """0 before the ramp around a cut, 1 after it; the ends of the axis have none."""
                if cut in (0, length):
                    return torch.full_like(position, float(cut == 0))
                return ((position - (cut - ramp)) / (2 * ramp)).clamp(0, 1)

            weight = risen(first) - risen(last)
        kept = slice(lower - start, upper - start)
        result.append(Span(slice(start, stop), kept, slice(lower, upper), weight))
    return result
