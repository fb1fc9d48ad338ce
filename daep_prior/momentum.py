"""One step of each momentum solver, as pure functions of their state; all tensors are (B, C, H, W)."""

from __future__ import annotations

from torch import Tensor

__all__ = ["extrapolate", "heavy_ball_step"]


def heavy_ball_step(
    x: Tensor,
    origin: Tensor,
    gradient: Tensor,
    step: float | Tensor,
    momentum: float | Tensor,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Heavy-ball gradient descent with clipping (the paper's solver, section 4).

    ``v <- momentum v - step gradient``, ``x <- clip(x + v)``. The velocity is kept as the point it comes from,
    ``origin = x - v``: a solver started at ``(x, x)`` is at rest, and clipping the image does not clip the velocity.

    :return: the new ``x`` and the new ``origin``.
    """
    velocity = momentum * (x - origin) - step * gradient
    moved = x + velocity
    if bounds is not None:
        moved = moved.clamp(*bounds)
    return moved, moved - velocity


def extrapolate(x: Tensor, previous: Tensor, momentum: float | Tensor) -> Tensor:
    """``x + momentum (x - previous)``: where proximal momentum evaluates the prior (design of FISTA)."""
    return x + momentum * (x - previous)
