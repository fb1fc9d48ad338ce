"""One step of each momentum solver, as pure functions of their state; all tensors are (B, C, H, W)."""

from __future__ import annotations

from torch import Tensor

__all__ = ["extrapolate", "heavy_ball_step", "mirrored"]


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

    :param torch.Tensor x: images (B, C, H, W) in [0, 1].
    :param torch.Tensor origin: ``x - v``; ``x`` itself at rest.
    :param torch.Tensor gradient: of the objective at ``x``.
    :param float, torch.Tensor step: length of the gradient step; a number, or a tensor that broadcasts.
    :param float, torch.Tensor momentum: weight of the velocity, in [0, 1).
    :param tuple bounds: the images are clipped to these; ``None``: not clipped.
    :return: the new ``x`` and the new ``origin``.
    """
    velocity = momentum * (x - origin) - step * gradient
    moved = x + velocity
    if bounds is not None:
        moved = moved.clamp(*bounds)
    return moved, moved - velocity


def extrapolate(x: Tensor, previous: Tensor, momentum: float | Tensor) -> Tensor:
    """``x + momentum (x - previous)``: where proximal momentum evaluates the prior (design of FISTA).

    :param torch.Tensor x: images (B, C, H, W).
    :param torch.Tensor previous: those of the iteration before.
    :param float, torch.Tensor momentum: in [0, 1); a number, or a tensor that broadcasts.
    :return: (B, C, H, W).
    """
    return x + momentum * (x - previous)


def mirrored(x: Tensor, flip: int) -> Tensor:
    """Images (B, C, H, W) mirrored left to right (1), top to bottom (2), both (3) or not (0); its own inverse."""
    axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if flip & bit]
    return x.flip(axes) if axes else x
