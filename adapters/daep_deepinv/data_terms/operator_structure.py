"""Structure of ``K K^T`` and ``K^T K`` that makes proximal steps cheap, found once for each physics."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.linear_algebra.circulant import preconditioner_power
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.trust import probe

__all__ = ["circulant_of", "gram_diagonal", "row_sums"]

#: Relative deviation of ``K K^T`` from a diagonal matrix. Rounding in float32 leaves 2e-7, other operators have 0.3
#: and more.
DIAGONAL = 1e-5


def gram_diagonal(physics: LinearPhysics, x: Tensor, y: Any) -> Tensor | None:
    """The diagonal of ``K K^T``, as ``y``, if ``K K^T`` is diagonal: coded spectral images, missing pixels and
    coefficients in any disguise, sums of channels.

    The proximal step is then a formula: ``(K^T W K + 1 / g)^-1 K^T W = g K^T W (1 + g K K^T W)^-1``.

    :param torch.Tensor x: images of the shape that the physics takes; the values do not matter, nor those of ``y``.
    :return: ``None``: ``K K^T`` is not diagonal, or ``y`` is a list.
    """
    if not isinstance(y, Tensor):
        return None

    def diagonal() -> Tensor | None:
        def gram(v: Tensor) -> Tensor:
            out: Tensor = physics.A(physics.A_adjoint(v))
            return out

        found, v = gram(torch.ones_like(y)), probe(y)
        if found.shape != y.shape:
            return None
        gap, size = ((u.abs() ** 2).sum() for u in (gram(v) - found * v, found * v))
        return found.real.clamp_min(0) if bool(gap <= DIAGONAL**2 * size) else None

    return remembered(physics, ("gram", *_kind(x), *_kind(y)), diagonal)


def circulant_of(physics: LinearPhysics, x: Tensor) -> Tensor | None:
    """:func:`daep_deepinv.linear_algebra.circulant.preconditioner_power` of ``K^T K``.

    :param torch.Tensor x: images of the shape that the physics takes; their values do not matter.
    """
    if x.is_complex():
        return None

    def power() -> Tensor | None:
        return preconditioner_power(physics.A_adjoint_A, row_sums(physics, x))

    return remembered(physics, ("circulant", *_kind(x)), power)


def row_sums(physics: LinearPhysics, x: Tensor) -> Tensor:
    """``K^T K 1``, as the images ``x``, whose values do not matter."""
    return remembered(physics, ("row sums", *_kind(x)), lambda: physics.A_adjoint_A(torch.ones_like(x)))


def _kind(like: Tensor) -> tuple[Any, ...]:
    return tuple(like.shape), like.dtype, str(like.device)
