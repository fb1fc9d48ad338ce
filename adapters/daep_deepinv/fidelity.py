"""The data term of ``DAEP``: deepinv's ``L2`` with a proximal step that treats each image by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.optim.data_fidelity import L2
from deepinv.physics import Downsampling, LinearPhysics
from torch import Tensor

__all__ = ["PerImageL2"]


class PerImageL2(L2):
    r"""``1/(2 sigma^2) ||Ax - y||^2``, whose proximal step gives an image the same alone and in a batch.

    Physics with a closed proximal step use it. For the others deepinv runs conjugate gradients until the last image of
    the batch has converged, which moves the first ones on by up to 1e-3; here each image stops by itself. Tolerance and
    length are the physics' own, ``physics.tol`` and ``physics.max_iter``.
    """

    def prox(
        self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See :meth:`deepinv.optim.L2.prox`."""
        if has_closed_prox(physics):
            closed: Tensor = super().prox(x, y, physics, *args, gamma=gamma, **kwargs)
            return closed
        weight = self.norm * gamma

        def normal(v: Tensor) -> Tensor:
            out: Tensor = physics.A_adjoint_A(v) + v / weight
            return out

        right = physics.A_adjoint(y) + x / weight
        return conjugate_gradients(normal, right, x, float(physics.tol), int(physics.max_iter))


def has_closed_prox(physics: LinearPhysics) -> bool:
    """Whether ``physics.prox_l2`` is a formula and not an iteration."""
    if isinstance(physics, Downsampling):  # its formula needs a filter, and holds for circular boundaries
        return physics.filter is not None and physics.padding == "circular"
    return type(physics).prox_l2 is not LinearPhysics.prox_l2


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor], right: Tensor, x: Tensor, tolerance: float, iterations: int
) -> Tensor:
    """Solve ``normal(x) = right`` (B, ...) from ``x``; each image stops at a residual of ``tolerance ||right||``."""

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))

    residual = right - normal(x)
    direction, squared = residual, inner(residual, residual)
    bound = tolerance**2 * inner(right, right)
    for _ in range(iterations):
        active = squared > bound
        if not bool(active.any()):
            break
        image = normal(direction)
        length = torch.where(active, squared / inner(direction, image), 0)
        x, residual = x + length * direction, residual - length * image
        after = inner(residual, residual)
        direction = torch.where(active, residual + after / squared * direction, direction)
        squared = torch.where(active, after, squared)
    return x
