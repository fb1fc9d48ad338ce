"""First images for a solver, from the adjoint of any linear measurement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["back_projection", "fill_missing"]

#: Pixels below this share of the largest entry of ``K^T K 1`` count as missing. Chosen by hand: far above rounding.
LEAST_SEEN = 1e-3


def back_projection(adjoint: Tensor, seen: Tensor) -> Tensor:
    """A first image for any linear measurement ``y = K x + n``: ``K^T y / K^T K 1``.

    For a blur it is the measurement, blurred once more. Missing pixels are interpolated.

    :param torch.Tensor adjoint: ``K^T y``, images (B, C, H, W).
    :param torch.Tensor seen: ``K^T K 1``, shape of ``adjoint``.
    :return: (B, C, H, W).
    """
    known = seen > LEAST_SEEN * seen.amax().clamp_min(0)
    image = torch.where(known, adjoint / torch.where(known, seen, 1), 0)
    return fill_missing(image, known.to(image))


def fill_missing(y: Tensor, mask: Tensor) -> Tensor:
    """Fill the pixels where ``mask`` (B, C, H, W) is 0 by means of known pixels, at the finest scale that has some."""
    if min(y.shape[-2:]) == 1 or bool((mask > 0).all()):
        mean = y.sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1)
        return torch.where(mask > 0, y, mean)
    known = F.avg_pool2d(mask, 2, ceil_mode=True, count_include_pad=False)
    total = F.avg_pool2d(y, 2, ceil_mode=True, count_include_pad=False)
    coarse = torch.where(known > 0, total / known.clamp_min(1e-6), torch.zeros_like(total))
    coarse = fill_missing(coarse, (known > 0).to(y))
    smooth = F.interpolate(coarse, size=y.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(mask > 0, y, smooth)
