"""Which pixels of a measurement show noise: none that are clipped, and none in bars of one colour."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["flat_pixels", "usable_pixels"]

#: Share of the values that lie exactly at the lowest or the highest one, from which on that is a limit that values are
#: clipped at. In photographs of 8 bits that are not clipped: at most 0.0004 on training crops.
CLIPPED_SHARE = 1e-3
#: Around a clipped value, a window of this side is left out, pixels. Noise is cut off there as well, only less often.
WINDOW = 5
#: Pixels with 3 x 3 equal neighbours belong to bars or mattes if this share of them has one of that many colours. Flat
#: areas of many colours are those of a drawing without noise.
MATTE_SHARE, MATTE_COLOURS = 0.9, 3
#: At least this share of the pixels must remain; else all are used.
LEAST_SHARE = 0.1


def usable_pixels(image: Tensor, known: Tensor | None = None) -> Tensor:
    """Where an image holds noise, (h, w): not where it is clipped, nor in bars of one colour.

    :param torch.Tensor image: (C, h, w).
    :param torch.Tensor known: ``False`` at pixels that are not measured, (h, w); ``None``: all are.
    """
    everywhere = torch.ones(image.shape[-2:], dtype=torch.bool, device=image.device) if known is None else known
    if not bool(everywhere.any()):
        return everywhere
    clipped = _clipped(image, everywhere)
    near = F.max_pool2d(clipped[None].float(), WINDOW, 1, WINDOW // 2)[0] > 0
    bars = _bars(image, everywhere)
    for unusable in (near | bars, clipped | bars):
        usable = everywhere & ~unusable
        if float(usable.sum()) >= LEAST_SHARE * float(everywhere.sum()):
            return usable
    return everywhere


def _clipped(image: Tensor, measured: Tensor) -> Tensor:
    """Measured pixels with a value at a limit that many values share, (h, w)."""
    clipped = torch.zeros_like(measured)
    values = image[:, measured]
    for limit in (values.min(), values.max()):
        if float((values == limit).float().mean()) > CLIPPED_SHARE:
            clipped |= (image == limit).any(0) & measured
    return clipped


def _bars(image: Tensor, measured: Tensor) -> Tensor:
    """Measured pixels in flat areas of few colours, (h, w)."""
    flat = flat_pixels(image) & measured
    # colours as single numbers; equal colours have equal ones
    weights = torch.linspace(1.0, 1.7, image.shape[0], dtype=torch.float64, device=image.device)
    counts = (weights @ image[:, flat].double()).unique(return_counts=True)[1].sort(descending=True).values
    few = float(counts[:MATTE_COLOURS].sum()) >= MATTE_SHARE * float(counts.sum())
    return flat if few else torch.zeros_like(flat)


def flat_pixels(image: Tensor) -> Tensor:
    """Pixels that equal their 3 x 3 neighbours in every channel, (h, w)."""
    if min(image.shape[-2:]) < 3:
        return torch.zeros(image.shape[-2:], dtype=torch.bool, device=image.device)
    padded = F.pad(image[None].float(), (1, 1, 1, 1), mode="replicate")
    highest, lowest = F.max_pool2d(padded, 3, 1), -F.max_pool2d(-padded, 3, 1)
    return (highest == lowest)[0].all(0)
