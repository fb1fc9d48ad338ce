"""Conjugate gradients in which every image of a batch stops by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from daep_prior.images import one_per_image

__all__ = ["conjugate_gradients"]


def conjugate_gradients(normal: Callable[[Tensor], Tensor], rhs: Tensor, bound: Tensor, iterations: int) -> Tensor:
    """Solve ``normal(x) = rhs`` from ``x = 0``.

    deepinv's own continues until the last image of the batch has converged, which changes the other images by up to
    1e-3.

    :param Callable normal: a symmetric positive definite map of (B, ...).
    :param torch.Tensor rhs: (B, ...).
    :param torch.Tensor bound: an image stops when the norm of its residual is at most this; (B,).
    :param int iterations: maximum number.
    """

    def inner(a: Tensor, b: Tensor) -> Tensor:
        products = (a * b.conj()).real if a.is_complex() else a * b
        return one_per_image(products.flatten(1).sum(1), a)

    x, residual, direction = torch.zeros_like(rhs), rhs, rhs
    squares = inner(residual, residual)
    enough = one_per_image(bound.square(), rhs)
    for _ in range(iterations):
        active = squares > enough
        if not bool(active.any()):
            break
        image = normal(direction)
        length = torch.where(active, squares / inner(direction, image), 0)
        x, residual = x + length * direction, residual - length * image
        after = inner(residual, residual)
        direction = torch.where(active, residual + after / squares * direction, direction)
        squares = torch.where(active, after, squares)
    return x
