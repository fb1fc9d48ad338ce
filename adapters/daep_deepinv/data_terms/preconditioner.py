"""The preconditioner of the equation in the unmeasured values of a blur."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daep_deepinv.data_terms.border_strips import BorderStrips
from daep_deepinv.data_terms.unmeasured import Border, Unmeasured
from daep_prior.images import one_per_image

__all__ = ["preconditioner"]


def preconditioner(
    outside: Unmeasured, border: Border, weights: Tensor, white: bool, y: Tensor
) -> Callable[[Tensor], Tensor]:
    """``P C^{-1} P^T`` for ``P C P^T``: ``C`` a circular convolution, ``P`` the unmeasured values.

    It is the lumped preconditioner of domain decomposition (Farhat and Roux, 1991). For white noise, ``C^{-1}`` is
    ``1 + w K^T K``, a filter as wide as the border of a ``valid`` blur. Values that are scattered over the image are
    divided by the diagonal of ``C`` instead: there, the lumped one takes up to five times as many iterations.

    :param Unmeasured outside: the unmeasured values, of images on the grid ``border.size``.
    :param Border border: those of them that no image measures.
    :param torch.Tensor weights: the eigenvalues of ``C``, real, (1 or B, 1 or C, H, W // 2 + 1).
    :param bool white: whether the noise is white.
    :param torch.Tensor y: measurement, (B, C, h, w).
    :return: a map of the values, in the form of ``outside``.
    """
    narrow = white and BorderStrips.fits(border)
    if isinstance(outside, Border) and narrow:
        return BorderStrips(border, 1 / weights)

    def lumped(values: Tensor) -> Tensor:
        return outside.of(torch.fft.irfft2(torch.fft.rfft2(outside.embed(values)) / weights, s=border.size))

    areas = one_per_image(outside.in_areas(border, y), y)
    if bool(areas.all()):
        return lumped
    strips = BorderStrips(border, 1 / weights) if narrow else None
    diagonal = torch.fft.irfft2(weights, s=border.size)[..., :1, :1]

    def separate(values: Tensor) -> Tensor:
        scaled = values / diagonal
        if strips is None:
            return scaled
        scaled[..., : border.top, :] = 0
        scaled[..., :, : border.left] = 0
        return scaled + border.embed(strips(border.of(values)))

    if not bool(areas.any()):
        return separate
    return lambda values: torch.where(areas, lumped(values), separate(values))
