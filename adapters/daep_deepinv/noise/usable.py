"""Pixels of a measurement that hold noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["usable_pixels"]

#: Share of the values that lie exactly at the lowest or the highest one, from which on that is a limit that values are
#: clipped at. In photographs of 8 bits that are not clipped: at most 0.0004 on training crops.
CLIPPED_SHARE = 1e-3
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
    values = image[:, everywhere]
    usable = everywhere.clone()
    if values.numel() == 0:
        return usable
    for limit in (values.min(), values.max()):
        at_limit = image == limit
        if float(at_limit[:, everywhere].float().mean()) > CLIPPED_SHARE:
            usable &= ~at_limit.any(0)
    matte = _flat(image) & everywhere
    if bool(matte.any()):
        # colours as single numbers; equal colours have equal ones
        weights = torch.linspace(1.0, 1.7, image.shape[0], dtype=torch.float64, device=image.device)
        counts = (weights @ image[:, matte].double()).unique(return_counts=True)[1].sort(descending=True).values
        if float(counts[:MATTE_COLOURS].sum()) >= MATTE_SHARE * float(counts.sum()):
            usable &= ~matte
    return usable if float(usable.sum()) >= LEAST_SHARE * float(everywhere.sum()) else everywhere


def _flat(image: Tensor) -> Tensor:
    """Pixels that equal their 3 x 3 neighbours in every channel, (h, w)."""
    if min(image.shape[-2:]) < 3:
        return torch.zeros(image.shape[-2:], dtype=torch.bool, device=image.device)
    padded = F.pad(image[None].float(), (1, 1, 1, 1), mode="replicate")
    highest, lowest = F.max_pool2d(padded, 3, 1), -F.max_pool2d(-padded, 3, 1)
    return (highest == lowest)[0].all(0)
