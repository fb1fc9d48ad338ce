"""Which values of a measurement depend on the image."""

from __future__ import annotations

from deepinv.physics import Denoising, Inpainting, LinearPhysics, Physics
from torch import Tensor

from daep_deepinv.operators.failures import unless_it_fails
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.trust import probe

__all__ = ["measured_values"]


def measured_values(physics: Physics, y: Tensor, like: Tensor | None = None) -> Tensor | None:
    """Where a measurement depends on the image: at the known pixels of :class:`Inpainting`; elsewhere where ``K u`` is
    not 0, with white noise ``u``, so that a mask inside of any linear operator is seen.

    :param torch.Tensor y: measurement (B, C, h, w).
    :param torch.Tensor like: images (B, C, ...) of the shape that the physics takes; their values do not matter.
        ``None``: those of the adjoint.
    :return: boolean (B, C, h, w); ``None``: everywhere.
    """
    if isinstance(physics, Inpainting):
        return (physics.mask.to(y.device) != 0).expand_as(y)
    if isinstance(physics, Denoising) or not isinstance(physics, LinearPhysics):
        return None

    def seen() -> Tensor | None:
        where: Tensor = physics.A(probe(physics.A_adjoint(y) if like is None else like)) != 0
        return None if where.shape != y.shape or bool(where.all()) else where

    # it fails if the shapes do not fit, which is refused later
    return unless_it_fails(lambda: remembered(physics, ("measured", tuple(y.shape), str(y.device)), seen), None)
