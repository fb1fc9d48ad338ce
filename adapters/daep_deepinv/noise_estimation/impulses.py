"""Find impulses ("salt and pepper") in a measurement that looks like an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_deepinv.noise.assumed import Impulses
from daep_prior.back_projection import fill_missing

__all__ = ["can_have_impulses", "impulses_in"]

#: Least share of the values that are impulses of each kind, and largest share of both: a halftone has more.
LEAST_SHARE, MOST_SHARE = 4e-3, 0.6
#: A value stands out if it differs from the median of its 3 x 3 neighbours by this share of the range.
JUMP = 0.1
#: At least this share of the values at an extreme stand out. Clipped values lie beside each other.
LEAST_ALONE = 0.3
#: And at least this many times the share of the values next to the extreme, to this share of the range. Strong noise
#: that is clipped, and sparkle, stand out below the limit as well. They have at least LEAST_SHARE of the values there.
RATIO, NEXT = 2.0, 0.1
#: Least height and width, pixels.
SMALLEST_SIDE = 16


def can_have_impulses(y: Tensor) -> bool:
    """Whether a measurement looks like an image: real, and not too small."""
    return y.ndim == 4 and not y.is_complex() and min(y.shape[-2:]) >= SMALLEST_SIDE


def impulses_in(y: Tensor, measured: Tensor | None = None) -> Impulses | None:
    """The impulses of a measurement; ``None``: there are none. Both extremes must occur, as isolated values.

    :param torch.Tensor y: (1, C, h, w), real.
    :param torch.Tensor measured: boolean, as ``y``; where it depends on the image. ``None``: everywhere.
    """
    if not can_have_impulses(y):
        return None
    seen = torch.ones_like(y, dtype=torch.bool) if measured is None else measured
    values = y[seen]
    if values.numel() == 0:
        return None
    low, high = float(values.min()), float(values.max())
    spread, count = high - low, values.numel()
    if any(int((values == extreme).sum()) < LEAST_SHARE * count for extreme in (low, high)):
        return None  # before the medians, which take nine times the memory of the image
    image = y if measured is None else fill_missing(y * seen, seen.to(y))
    windows = F.unfold(F.pad(image, (1, 1, 1, 1), mode="reflect").transpose(0, 1), 3)
    away = (image - windows.median(1).values.view_as(image)).abs() > JUMP * spread
    share = 0.0
    for extreme in (low, high):
        at = (y == extreme) & seen
        next_to = ((y - extreme).abs() <= NEXT * spread) & seen & ~at
        alone, alone_next = (float((there & away).sum()) for there in (at, next_to))
        rate, rate_next = alone / int(at.sum()), alone_next / max(int(next_to.sum()), LEAST_SHARE * count)
        if alone < LEAST_SHARE * count or rate < max(LEAST_ALONE, RATIO * rate_next):
            return None
        share += alone / count
    return Impulses(low, high, share) if share <= MOST_SHARE else None
