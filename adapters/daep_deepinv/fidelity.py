"""The data term of ``DAEP``: deepinv's ``L2`` with a proximal step that treats each image by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.optim.data_fidelity import L2
from deepinv.physics import Blur, Downsampling, LinearPhysics
from torch import Tensor

__all__ = ["PerImageL2"]

#: With deepinv's default tolerance of 1e-4 the error of a proximal step is then about a tenth of a grey level: far
#: below the noise that eq. 8 adds to the result.
ERROR_PER_TOLERANCE = 4.0


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
        precondition = circular_inverse(physics, x, weight)
        return conjugate_gradients(normal, right, x, float(physics.tol), int(physics.max_iter), precondition)


def has_closed_prox(physics: LinearPhysics) -> bool:
    """Whether ``physics.prox_l2`` is a formula and not an iteration."""
    if isinstance(physics, Downsampling):  # its formula needs a filter, and holds for circular boundaries
        return physics.filter is not None and physics.padding == "circular"
    return type(physics).prox_l2 is not LinearPhysics.prox_l2


def circular_inverse(physics: LinearPhysics, x: Tensor, weight: float | Tensor) -> Callable[[Tensor], Tensor] | None:
    """Inverse of ``A^T A + 1/weight`` if a blur's boundary were circular: nearly right everywhere but at the border.

    As a preconditioner it makes three iterations of twenty. ``None`` for physics other than a two-dimensional blur.
    """
    if not isinstance(physics, Blur) or physics.filter is None or x.ndim != 4:
        return None
    height, width = x.shape[-2:]
    spectrum = torch.fft.rfft2(physics.filter.to(x), s=(height, width)).abs().square() + 1 / weight

    def apply(v: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(v) / spectrum, s=(height, width))

    return apply


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor],
    right: Tensor,
    x: Tensor,
    tolerance: float,
    iterations: int,
    precondition: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Solve ``normal(x) = right`` (B, ...) from ``x``; every image stops by itself.

    :param float tolerance: an image stops at a residual of ``tolerance ||right||``; with a preconditioner, whose output
        estimates the error of ``x`` itself, also that must be below :data:`ERROR_PER_TOLERANCE` times the tolerance.
    :param int iterations: the most.
    :param Callable precondition: an approximate inverse of ``normal``, symmetric and positive.
    """

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))

    residual = right - normal(x)
    better = residual if precondition is None else precondition(residual)
    direction, descent = better, inner(residual, better)
    bound = tolerance**2 * inner(right, right)
    error_bound = (ERROR_PER_TOLERANCE * tolerance) ** 2 * right[0].numel()
    for _ in range(iterations):
        active = inner(residual, residual) > bound
        if precondition is not None:
            active = active | (inner(better, better) > error_bound)
        active = active & (descent > 0)
        if not bool(active.any()):
            break
        image = normal(direction)
        length = torch.where(active, descent / inner(direction, image), 0)
        x, residual = x + length * direction, residual - length * image
        better = residual if precondition is None else precondition(residual)
        after = inner(residual, better)
        direction = torch.where(active, better + after / descent * direction, direction)
        descent = torch.where(active, after, descent)
    return x
