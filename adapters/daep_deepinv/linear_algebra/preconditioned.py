"""Preconditioned conjugate gradients in which every image of a batch stops by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daep_prior.images import one_per_image

__all__ = ["preconditioned_conjugate_gradients"]

Map = Callable[[Tensor], Tensor]


def preconditioned_conjugate_gradients(
    normal: Map, rhs: Tensor, inverse: Map, bound: Tensor, iterations: int
) -> Tensor:
    """Solve ``normal(x) = rhs`` from ``x = 0`` (Saad, *Iterative Methods for Sparse Linear Systems*, algorithm 9.1).

    :param Callable normal: a symmetric positive definite map of (B, ...).
    :param torch.Tensor rhs: (B, ...).
    :param Callable inverse: an approximate inverse of ``normal``, symmetric and positive definite.
    :param torch.Tensor bound: an image stops when the norm of its residual is at most this; (B,).
    :param int iterations: maximum number.
    """

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return one_per_image((a * b).flatten(1).sum(1), a)

    x, residual = torch.zeros_like(rhs), rhs
    moved = inverse(residual)
    direction, product = moved, inner(residual, moved)
    enough = one_per_image(bound.square(), rhs)
    for _ in range(iterations):
        active = (inner(residual, residual) > enough) & (product > 0)
        if not bool(active.any()):
            break
        image = normal(direction)
        length = torch.where(active, product / inner(direction, image), 0)
        x, residual = x + length * direction, residual - length * image
        moved = inverse(residual)
        after = inner(residual, moved)
        direction = torch.where(active, moved + after / product * direction, direction)
        product = torch.where(active, after, product)
    return x
