"""The derivative of a nonlinear physics, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.physics import ComposedPhysics, PhaseRetrieval, Physics
from deepinv.physics.spatial_unwrapping import SpatialUnwrapping
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.measurement_parts import parts_of
from daep_deepinv.operators.failures import refusal, unless_it_fails
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.scaled import ComplexAsReal, ScaledPhysics
from daep_deepinv.operators.trust import ADJOINT_TOLERANCE, probe, total, transpose_test
from daep_prior.images import one_per_image
from daep_prior.partition import as_complex, as_real

__all__ = ["backward", "derivatives", "forward", "period_of", "require_differentiable"]

#: Length of the finite difference, relative to the image.
DIFFERENCE = 1e-3


def derivatives(physics: Physics, x: Tensor) -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]:
    """:func:`forward` and :func:`backward` at ``x``, for many directions: what they share is computed once."""
    if isinstance(physics, ScaledPhysics):
        return derivatives(physics.base, physics.scale * x + physics.offset)
    if isinstance(physics, ComplexAsReal):
        push, pull = derivatives(physics.base, as_complex(x))
        return lambda d: push(as_complex(d)), lambda v: as_real(pull(v))
    if isinstance(physics, PhaseRetrieval) and type(physics).A is PhaseRetrieval.A and x.is_complex():
        seen = physics.B(x)
        return lambda d: 2 * (seen.conj() * physics.B(d)).real, lambda v: 2 * physics.B_adjoint(seen * v)
    if _has_right_product(physics, x):
        if remembered(physics, ("graph", tuple(x.shape), x.dtype), lambda: _graph_is_product(physics, x)):
            seen, pull = _graph(physics, x)
            return lambda d: _difference(physics, x, d, seen), pull
        return lambda d: forward(physics, x, d), lambda v: physics.A_vjp(x, v)
    return lambda d: forward(physics, x, d), _pull(physics, x)


def forward(physics: Physics, x: Tensor, direction: Tensor) -> Any:
    """``J d``: the change of ``A(x)`` in a direction, by forward differentiation, or by central differences where an
    operator has none."""
    if remembered(physics, "forward differentiation", lambda: _has_forward(physics, x)):
        return torch.func.jvp(physics.A, (x,), (direction,))[1]
    step = _step(x, direction)
    change = physics.A(x + step * direction) - physics.A(x - step * direction)
    if isinstance(change, TensorList):
        return TensorList([part / one_per_image(2 * step, part) for part in change])
    return change / one_per_image(2 * step, change)


def _step(x: Tensor, direction: Tensor) -> Tensor:
    """Length of a finite difference, (B, 1, ...)."""
    size = x.abs().flatten(1).amax(1).clamp_min(DIFFERENCE) / direction.abs().flatten(1).amax(1).clamp_min(1e-30)
    return one_per_image(DIFFERENCE * size, x)


def _difference(physics: Physics, x: Tensor, direction: Tensor, seen: Tensor) -> Tensor:
    """``J d`` from ``A(x)``, which is known, and one evaluation."""
    step = _step(x, direction)
    return (physics.A(x + step * direction) - seen) / one_per_image(step, seen)


def backward(physics: Physics, x: Tensor, v: Any) -> Tensor:
    """``J^T v``, by ``A_vjp`` of the class if that is the transpose of the derivative, else by automatic
    differentiation."""
    if _has_right_product(physics, x):
        product: Tensor = physics.A_vjp(x, v)
        return product
    return _pull(physics, x)(v)


def require_differentiable(physics: Physics, x: Tensor) -> None:
    """Refuse a physics whose derivative cannot be computed at ``x``.

    :raises ValueError: with the reason.
    """
    with refusal(f"physics: {type(physics).__name__} is not linear, and its derivative cannot be computed"):
        seen = physics.A(x)
        gradient = backward(physics, x, seen)
    if gradient.shape != x.shape:
        raise ValueError(f"physics: the derivative of {type(physics).__name__} has shape {tuple(gradient.shape)}.")
    if total(seen, seen) > 0 and not bool(gradient.any()):
        raise ValueError(
            f"physics: the derivative of {type(physics).__name__} is zero at the first image; expected an A that can "
            "be differentiated. Rounding, comparisons and detach() have none. If A has one elsewhere, pass init=."
        )


def period_of(physics: Physics) -> float | None:
    """The period of the measured values, for spatial unwrapping, also after other operators; else ``None``."""
    scale, last = 1.0, physics
    while isinstance(last, (ScaledPhysics, ComposedPhysics)):
        if isinstance(last, ScaledPhysics):
            scale, last = scale * last.scale, last.base
        else:
            last = last.physics_list[-1]
    return float(last.threshold) / scale if isinstance(last, SpatialUnwrapping) else None


def _pull(physics: Physics, x: Tensor) -> Callable[[Any], Tensor]:
    """``J^T`` by automatic differentiation. ``Physics.A_vjp`` would do the same, but takes no ``TensorList``."""
    parts, pull = torch.func.vjp(lambda image: tuple(parts_of(physics.A(image))), x)[:2]
    return lambda v: pull(tuple(q.to(p) for p, q in zip(parts, parts_of(v), strict=True)))[0]


def _graph(physics: Physics, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``A(x)``, and ``J^T`` by one backward pass a direction: an ``A_vjp`` evaluates ``A`` again each time."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        seen = physics.A(point)
    return seen.detach(), lambda v: torch.autograd.grad(seen, point, v.to(seen), retain_graph=True)[0]


def _graph_is_product(physics: Physics, x: Tensor) -> bool:
    """Whether the graph of ``A`` gives what ``A_vjp`` gives."""

    def agree() -> bool:
        seen, pull = _graph(physics, x)
        expected = physics.A_vjp(x, seen)
        gap = pull(seen) - expected
        return total(gap, gap) <= ADJOINT_TOLERANCE**2 * total(expected, expected)

    return unless_it_fails(agree, False)


def _has_right_product(physics: Physics, x: Tensor) -> bool:
    """Whether the class has an ``A_vjp`` of its own that is right."""
    if type(physics).A_vjp is Physics.A_vjp:
        return False
    return remembered(physics, ("A_vjp", tuple(x.shape), x.dtype), lambda: _transposed(physics, x))


def _has_forward(physics: Physics, x: Tensor) -> bool:
    """Whether forward differentiation works, and agrees with a finite difference."""
    return unless_it_fails(lambda: torch.func.jvp(physics.A, (x,), (torch.ones_like(x),)), None) is not None


def _transposed(physics: Physics, x: Tensor) -> bool:
    """Whether ``A_vjp`` is the transpose of the derivative: ``<J d, r> = <d, J^T r>`` for noise ``d`` and ``r``."""

    def agree() -> bool:
        direction = probe(x)
        return transpose_test(direction, forward(physics, x, direction), lambda v: physics.A_vjp(x, v)).passed

    return unless_it_fails(agree, False)
