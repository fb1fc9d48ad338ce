"""Which values of a measurement depend on the image."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import Denoising, Inpainting, LinearPhysics, Physics
from torch import Tensor

from daep_deepinv.operators.convolution import part_that_shows
from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.trust import probe

__all__ = ["measured_values"]

#: A value does not depend on the image if random images change it by less than this share of the largest change. A
#: Fourier transform in float32 leaves 1e-7.
TINY = 1e-6
#: Number of random images. One alone changes a measured value so little with a probability of about 4e-6, and a
#: photograph has millions of values.
PROBES = 2


def measured_values(physics: Physics, y: Any, like: Tensor | None = None) -> Tensor | None:
    """Where a measurement depends on the image: at the known pixels of :class:`Inpainting`; elsewhere where random
    images change it, so that a mask inside of any operator is seen.

    :param y: measurement, a tensor (B, ...); of other measurements, all values count.
    :param torch.Tensor like: images (B, C, ...) of the shape that the physics takes; their values do not matter.
        ``None``: those of the adjoint; a nonlinear physics has none.
    :return: boolean, in the shape of ``y``; ``None``: everywhere.
    """
    linear = isinstance(physics, LinearPhysics)
    if isinstance(physics, Denoising) or not isinstance(y, Tensor) or not (linear or like is not None):
        return None
    # both fail if the shapes do not fit, which is refused elsewhere
    if isinstance(physics, Inpainting):
        known: Tensor | None = unless_it_fails(lambda: (physics.mask.to(y.device) != 0).expand_as(y), None)
        return None if known is None or bool(known.all()) else known

    def seen() -> Tensor | None:
        large = y if like is None else like
        part = part_that_shows(physics, large)
        if part is not large and bool(_changing(physics, part).all()):
            return None
        where = _changing(physics, physics.A_adjoint(y) if like is None else like)
        return None if where.shape != y.shape or bool(where.all()) else where

    found: Tensor | None = unless_it_fails(
        lambda: remembered(physics, ("measured", tuple(y.shape), str(y.device)), seen), None
    )
    return found


def _changing(physics: Physics, like: Tensor) -> Tensor:
    """Which values of a measurement random images change, boolean."""
    changes = sum((_change(physics, like, seed) for seed in range(PROBES)), torch.zeros(()))
    return changes > TINY * changes.flatten(1).amax(1).view(-1, *[1] * (changes.ndim - 1))


def _change(physics: Physics, like: Tensor, seed: int) -> Tensor:
    """Between the measurements of black and of white noise; of two images in [0, 1], if the physics is nonlinear."""
    noise = probe(like, seed)
    if isinstance(physics, LinearPhysics):
        return physics.A(noise).abs()
    change: Tensor = physics.A(torch.sigmoid(noise)) - physics.A(torch.sigmoid(-noise))
    return change.abs()
