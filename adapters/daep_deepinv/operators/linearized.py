"""The derivative of a nonlinear physics, forwards and backwards."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import ComposedPhysics, Physics
from deepinv.physics.spatial_unwrapping import SpatialUnwrapping
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.operators.memory import remembered
from daep_deepinv.operators.scaled import ScaledPhysics
from daep_deepinv.operators.trust import ADJOINT_TOLERANCE, FAILURES, probe, total

__all__ = ["backward", "forward", "period_of", "require_differentiable"]

#: Length of the finite difference, relative to the image.
DIFFERENCE = 1e-3


def forward(physics: Physics, x: Tensor, direction: Tensor) -> Any:
    """``J d``: the change of ``A(x)`` in a direction, by forward differentiation, or by central differences where an
    operator has none."""
    if remembered(physics, "forward differentiation", lambda: _has_forward(physics, x)):
        return torch.func.jvp(physics.A, (x,), (direction,))[1]
    one_each = (-1, *[1] * (x.ndim - 1))
    size = x.abs().flatten(1).amax(1).clamp_min(DIFFERENCE) / direction.abs().flatten(1).amax(1).clamp_min(1e-30)
    step = (DIFFERENCE * size).view(one_each)
    change = physics.A(x + step * direction) - physics.A(x - step * direction)
    if isinstance(change, TensorList):
        return TensorList([part / (2 * step).view(-1, *[1] * (part.ndim - 1)) for part in change])
    return change / (2 * step).view(-1, *[1] * (change.ndim - 1))


def backward(physics: Physics, x: Tensor, v: Any) -> Tensor:
    """``J^T v``, by ``A_vjp`` of the class if that is the transpose of the derivative, else by automatic
    differentiation."""
    if type(physics).A_vjp is not Physics.A_vjp and remembered(
        physics, ("A_vjp", tuple(x.shape), x.dtype), lambda: _transposed(physics, x)
    ):
        product: Tensor = physics.A_vjp(x, v)
        return product
    # not Physics.A_vjp: it takes no TensorList
    parts, pull = torch.func.vjp(lambda image: tuple(_parts(physics.A(image))), x)
    return pull(tuple(q.to(p) for p, q in zip(parts, _parts(v), strict=True)))[0]


def require_differentiable(physics: Physics, x: Tensor) -> None:
    """Refuse a physics whose derivative cannot be computed at ``x``.

    :raises ValueError: with the reason.
    """
    try:
        seen = physics.A(x)
        gradient = backward(physics, x, seen)
    except FAILURES as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ValueError(
            f"physics: {type(physics).__name__} is not linear, and its derivative cannot be computed: {error}"
        ) from error
    if gradient.shape != x.shape:
        raise ValueError(f"physics: the derivative of {type(physics).__name__} has shape {tuple(gradient.shape)}.")


def period_of(physics: Physics) -> float | None:
    """The period of the measured values, for spatial unwrapping, also after other operators; else ``None``."""
    scale, last = 1.0, physics
    while isinstance(last, (ScaledPhysics, ComposedPhysics)):
        if isinstance(last, ScaledPhysics):
            scale, last = scale * last.scale, last.base
        else:
            last = last.physics_list[-1]
    return float(last.threshold) / scale if isinstance(last, SpatialUnwrapping) else None


def _parts(y: Any) -> list[Tensor]:
    return list(y) if isinstance(y, TensorList) else [y]


def _has_forward(physics: Physics, x: Tensor) -> bool:
    """Whether forward differentiation works, and agrees with a finite difference."""
    try:
        torch.func.jvp(physics.A, (x,), (torch.ones_like(x),))
    except FAILURES as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        return False
    return True


def _transposed(physics: Physics, x: Tensor) -> bool:
    """Whether ``A_vjp`` is the transpose of the derivative: ``<J d, r> = <d, J^T r>`` for noise ``d`` and ``r``."""
    direction = probe(x, 1)
    try:
        seen = forward(physics, x, direction)
        there, back = total(seen, seen), total(direction, physics.A_vjp(x, seen))
    except FAILURES as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        return False
    return abs(there - back) <= ADJOINT_TOLERANCE * there
