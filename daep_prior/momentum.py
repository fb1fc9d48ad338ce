"""One step of each momentum solver, as pure functions of their state; all tensors are (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["heavy_ball_step", "mirrored", "proximal_momentum_step", "running_mean"]


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


def proximal_momentum_step(
    x: Tensor,
    previous: Tensor,
    gradient: Callable[[Tensor], Tensor],
    data_prox: Callable[[Tensor], Tensor],
    step: float | Tensor,
    momentum: float | Tensor,
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Tensor:
    r"""A gradient step on the prior from an extrapolated point, and a proximal step on the data term.

    ``z = x + momentum (x - previous)``, ``x <- clip(data_prox(z - step gradient(z)))``: accelerated proximal gradient
    descent (Beck and Teboulle, FISTA, 2009) with the roles of prior and data exchanged.

    :param torch.Tensor x: images (B, C, H, W) in [0, 1].
    :param torch.Tensor previous: those of the iteration before; ``x`` itself at rest.
    :param Callable gradient: of the prior's energy, images to images.
    :param Callable data_prox: proximal operator of the weighted data term, images to images.
    :param float, torch.Tensor step: length of the gradient step; a number, or a tensor that broadcasts.
    :param float, torch.Tensor momentum: in [0, 1); a number, or a tensor that broadcasts.
    :param tuple bounds: the images are clipped to these; ``None``: not clipped.
    :return: the new ``x``; the old one is ``previous`` of the next step.
    """
    z = x + momentum * (x - previous)
    moved = data_prox(z - step * gradient(z))
    return moved if bounds is None else moved.clamp(*bounds)


def running_mean(mean: Tensor, x: Tensor, weight: float | Tensor) -> Tensor:
    """The mean of iterates after one more, ``x``, of that weight; 1 forgets those before."""
    return x if isinstance(weight, float) and weight == 1 else mean + weight * (x - mean)


def mirrored(x: Tensor, flip: int) -> Tensor:
    """Images (B, C, H, W) mirrored left to right (1), top to bottom (2), both (3) or not (0); its own inverse."""
    axes = [axis for axis, bit in ((-1, 1), (-2, 2)) if flip & bit]
    return x.flip(axes) if axes else x
