"""One step of each momentum solver, as pure functions of their state; all tensors are (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from daep_prior.images import IMAGE_RANGE

__all__ = ["heavy_ball_step", "proximal_momentum_step", "running_mean"]


def heavy_ball_step(
    x: Tensor,
    origin: Tensor,
    gradient: Tensor,
    step: float | Tensor,
    momentum: float | Tensor,
    bounds: tuple[float, float] | None = IMAGE_RANGE,
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
    bounds: tuple[float, float] | None = IMAGE_RANGE,
    dual: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""A gradient step on the prior from an extrapolated point, and a proximal step on the data term.

    ``z = x + dual + momentum (x - previous)``, ``v = z - step gradient(z)``, ``x <- clip(data_prox(v - dual))``,
    ``dual <- dual + x - v``. Without a dual variable this is accelerated proximal gradient descent (Beck and Teboulle,
    FISTA, 2009) with the roles of prior and data exchanged. With one, what the prior takes away from the data is given
    to it beforehand the next time, as in ADMM, which this is for ``momentum = 0`` and a denoiser instead of the
    gradient step (Boyd et al. 2011, section 3.1.1): the result is one that the prior leaves as the data have it.

    :param torch.Tensor x: images (B, C, H, W) in [0, 1].
    :param torch.Tensor previous: those of the iteration before; ``x`` itself at rest.
    :param Callable gradient: of the prior's energy, images to images.
    :param Callable data_prox: proximal operator of the weighted data term, images to images.
    :param float, torch.Tensor step: length of the gradient step; a number, or a tensor that broadcasts.
    :param float, torch.Tensor momentum: in [0, 1); a number, or a tensor that broadcasts.
    :param tuple bounds: the images are clipped to these; ``None``: not clipped.
    :param torch.Tensor dual: scaled dual variable, as ``x``, zero at first; ``None``: there is none.
    :return: the new ``x``, the old one being ``previous`` of the next step, and the new ``dual``.
    """
    z = x + momentum * (x - previous)
    if dual is not None:
        z = z + dual
    v = z - step * gradient(z)
    moved = data_prox(v if dual is None else v - dual)
    if dual is not None:
        dual = dual + moved - v
    return (moved if bounds is None else moved.clamp(*bounds)), dual


def running_mean(mean: Tensor, x: Tensor, weight: float | Tensor) -> Tensor:
    """The mean of iterates after one more, ``x``, of that weight; 1 forgets those before."""
    return x if isinstance(weight, float) and weight == 1 else mean + weight * (x - mean)
