"""Noise level from the covariance of patches (Chen, Zhu, Heng, ICCV 2015), for any choice of patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["covariance_level", "patches_of"]


def patches_of(image: Tensor, side: int, stride: int, usable: Tensor | None = None) -> Tensor:
    """The patches of which every pixel is usable, (n, C * side * side), in the order of rows.

    :param torch.Tensor image: (C, h, w).
    :param torch.Tensor usable: boolean (h, w); ``None``: all.
    """

    def cut(values: Tensor) -> Tensor:
        return values.unfold(-2, side, stride).unfold(-2, side, stride)

    patches = cut(image).permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)
    return patches if usable is None else patches[cut(usable).flatten(2).all(2).flatten()]


def covariance_level(patches: Tensor) -> float:
    """The standard deviation of white noise in patches (n, d).

    Noise has the same variance in each of the ``d`` principal components; the image only in some. Those are left out,
    strongest first, until mean and median of the variances agree.

    :raises ValueError: the patches are not finite, or no components agree.
    """
    if not bool(patches.isfinite().all()):
        raise ValueError("the noise of this image cannot be estimated; give a number.")
    values = torch.linalg.eigvalsh(torch.cov(patches.T.double(), correction=0))
    for count in range(len(values) - 1, 0, -1):
        weakest = values[:count]
        mean = weakest.mean()
        if int((weakest > mean).sum()) == int((weakest < mean).sum()):
            return math.sqrt(max(float(mean), 0.0))
    raise ValueError("the noise of this image cannot be estimated; give a number.")
