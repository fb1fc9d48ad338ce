"""Conjugate gradients in which every image of a batch stops by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daep_prior.images import one_per_image

__all__ = ["conjugate_gradients"]

Map = Callable[[Tensor], Tensor]


def conjugate_gradients(
    normal: Map, rhs: Tensor, bound: Tensor, iterations: int, precondition: Map | None = None
) -> Tensor:
    """Solve ``normal(x) = rhs`` from ``x = 0``.

    deepinv's own continues until the last image of the batch has converged, which changes the other images by up to
    1e-3.

    :param Callable normal: a symmetric positive definite map of (B, ...).
    :param torch.Tensor rhs: (B, ...).
    :param torch.Tensor bound: an image stops when the norm of its residual is at most this; (B,).
    :param int iterations: maximum number.
    :param Callable precondition: nearly the inverse of ``normal``, symmetric and positive definite.
    """

    def inner(a: Tensor, b: Tensor) -> Tensor:
        products = (a * b.conj()).real if a.is_complex() else a * b
        return one_per_image(products.flatten(1).sum(1), a)

    x, residual = torch.zeros_like(rhs), rhs
    direction = step = rhs if precondition is None else precondition(rhs)
    slope = inner(residual, step)
    squares = slope if precondition is None else inner(residual, residual)
    enough = one_per_image(bound.square(), rhs)
    for _ in range(iterations):
        active = squares > enough
        if not bool(active.any()):
            break
        image = normal(direction)
        length = torch.where(active, slope / inner(direction, image), 0)
        x, residual = x + length * direction, residual - length * image
        step = residual if precondition is None else precondition(residual)
        after = inner(residual, step)
        direction = torch.where(active, step + after / slope * direction, direction)
        slope = torch.where(active, after, slope)
        squares = slope if precondition is None else torch.where(active, inner(residual, residual), squares)
    return x
