"""The proximal step of a sum over the measured values, ``sum_i d(z_i, y_i)`` with ``z = Kx``, by Newton steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_prior.images import one_per_image

__all__ = ["absolute_slopes", "newton_prox", "poisson_slopes", "slopes_by_autograd"]

#: First derivative and a curvature of each value of the sum, at ``z``.
Slopes = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

#: Newton steps of a proximal step, and their halvings. Each begins where the one before ended.
STEPS, HALVINGS = 8, 8
#: An image is finished when a step moves it by less than this share of its norm.
FINISHED = 1e-4
#: Residuals below this share of the largest measured value count as this in the curvature of the absolute value.
SMALLEST_RESIDUAL = 1e-4


def absolute_slopes(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``|z - y|``: the quadratic majoriser of iteratively reweighted least squares."""
    residual = z - y
    floor = SMALLEST_RESIDUAL * one_per_image(y.abs().flatten(1).amax(1), y).clamp_min(1e-30)
    curvature = 1 / torch.maximum(residual.abs(), floor)
    return curvature * residual, curvature


def poisson_slopes(gain: float, background: float, denormalise: bool) -> tuple[Slopes, Callable[[Tensor], Tensor]]:
    """Of ``(z/g + b) - y log(z/g + b)``, and the map of ``z`` to where the logarithm exists.

    The curvature is the largest of ``y / (z/g + b)^2`` and the expected one, ``1 / (z/g + b)``, over ``g^2``.
    """
    least = 1e-6

    def slopes(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        counts = y / gain if denormalise else y
        rate = (z / gain + background).clamp_min(least)
        return (1 - counts / rate) / gain, torch.maximum(counts / rate.square(), 1 / rate) / gain**2

    return slopes, lambda z: z.clamp_min((least - background) * gain)


def slopes_by_autograd(distance: Any) -> Slopes:
    """Of one of deepinv's distances that is a sum over the values."""

    def slopes(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            (first,) = torch.autograd.grad(distance.fn(z, y).sum(), z, create_graph=True)
            (second,) = torch.autograd.grad(first.sum(), z)
        return first.detach(), second.clamp_min(0)

    return slopes


def newton_prox(
    v: Tensor,
    y: Tensor,
    physics: LinearPhysics,
    gamma: float | Tensor,
    slopes: Slopes,
    value: Callable[[Tensor], Tensor],
    feasible: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    """``argmin_x gamma sum_i d((Kx)_i, y_i) + 1/2 ||x - v||^2``; each image stops by itself.

    :param torch.Tensor v: images (B, ...).
    :param torch.Tensor y: measurement.
    :param Callable slopes: first derivative and curvature of each ``d`` at ``z``.
    :param Callable value: ``z`` to the sum of each image, (B,).
    :param Callable feasible: projects ``z`` to where ``d`` is defined.
    """

    def objective(x: Tensor) -> Tensor:
        return gamma * value(feasible(physics.A(x))) + 0.5 * (x - v).square().flatten(1).sum(1)

    x, size = v, v.flatten(1).norm(dim=1)
    best = objective(x)
    for _ in range(STEPS):
        first, curvature = slopes(feasible(physics.A(x)), y)
        rhs = v - x - gamma * physics.A_adjoint(first)
        bound = float(physics.tol) * rhs.flatten(1).norm(dim=1)

        def normal(u: Tensor, curvature: Tensor = curvature) -> Tensor:
            out: Tensor = u + gamma * physics.A_adjoint(curvature * physics.A(u))
            return out

        step = conjugate_gradients(normal, rhs, bound, int(physics.max_iter))
        x, best, moved = _shortened(x, step, best, objective)
        if bool((moved <= FINISHED * size).all()):
            break
    return x


def _shortened(
    x: Tensor, step: Tensor, best: Tensor, objective: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """The step of each image, halved until it lowers the objective: image, objective, length of the step."""
    length = torch.ones_like(best)
    for _ in range(HALVINGS):
        scaled = one_per_image(length, x) * step
        found = objective(x + scaled)
        worse = ~(found <= best)
        if not bool(worse.any()):
            break
        length = torch.where(worse, length / 2, length)
    lower = found <= best
    taken = one_per_image(lower, x)
    moved = torch.where(taken, scaled, 0)
    return x + moved, torch.where(lower, found, best), moved.flatten(1).norm(dim=1)
