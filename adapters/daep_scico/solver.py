"""``restore``: an image in one line from a scico operator, with scico's proximal step of the data term."""

from __future__ import annotations

from typing import Any

import scico.numpy as snp
import torch
from scico.solver import cg
from torch import Tensor

from daep_prior import MeanShiftPrior, Schedule, schedules
from daep_prior import restore as run
from daep_prior.array_layout import ImageLayout
from daep_prior.restoration import data_weight
from daep_prior.start import back_projection
from daep_scico.exchange import from_torch, to_torch

__all__ = ["restore"]

#: Conjugate gradients of a proximal step: the most, and the relative residual at which they stop.
PROX_OPTIONS = {"maxiter": 50, "tol": 1e-5}


def restore(
    A: Any,
    y: Any,
    sigma: float,
    *,
    data: Any = None,
    x0: Any = None,
    denoiser: Any = "dae",
    schedule: Schedule | None = None,
    iterations: int | None = None,
    channel_axis: int = -1,
    **options: Any,
) -> Any:
    r"""Minimise :math:`\frac{1}{2 \sigma^2} \|A \mathbf{x} - \mathbf{y}\|_2^2 + \lambda R_s(\mathbf{x})`.

    Proximal momentum with a kernel width :math:`s` that falls over the iterations, as ``DAEP`` for deepinv
    (:func:`daep_prior.restore`). The data term only enters by its proximal step.

    :param scico.linop.LinearOperator A: forward model; its ``input_shape`` is that of the image, (H, W) or with a
        channel axis.
    :param jax.Array y: measurement, of shape ``A.output_shape``.
    :param float sigma: noise standard deviation of ``y``, for images in [0, 1]; 0: noise-free.
    :param scico.functional.Functional data: another data term, used by its ``prox``.
    :param jax.Array x0: where to start; default :func:`daep_prior.start.back_projection`.
    :param denoiser: as in :class:`DAEPrior`.
    :param Schedule schedule: default :func:`daep_prior.schedules.default`, of ``iterations`` steps; where single pixels
        are measured, :func:`daep_prior.schedules.missing_pixels` does better.
    :param int channel_axis: axis of the channels in ``A.input_shape``.
    :param options: ``seed``, ``samples``, ``antithetic``, ``jacobian``, ``noise``, ``device`` as in
        :class:`daep_prior.MeanShiftPrior`.
    :return: the image, of shape ``A.input_shape``, in [0, 1] and of ``y``'s type.
    :raises ValueError: an argument that does not fit the others; the message names it.
    :raises TypeError: unknown option.
    """
    weight = data_weight(sigma)
    layout = ImageLayout(A.input_shape, channel_axis)
    if y.shape != A.output_shape or not snp.issubdtype(y.dtype, snp.floating) or not bool(snp.isfinite(y).all()):
        raise ValueError(
            f"y: got {y.dtype} of shape {y.shape}; expected finite real values of shape {A.output_shape}, as A gives."
        )
    if data is not None and not data.has_prox:
        raise ValueError(f"data: {type(data).__name__} has no proximal step; give a functional with has_prox.")
    if schedule is not None and iterations is not None:
        raise ValueError("iterations, schedule: a schedule has its own length; give one of the two.")
    prior = MeanShiftPrior(denoiser, **options)
    if schedule is None:
        schedule = schedules.default(sigma, prior.trained_width, iterations)
    back = A.adj(y)
    if x0 is None:
        seen = A.gram(snp.ones(A.input_shape, y.dtype))
        start = back_projection(*(layout.to_batch(to_torch(part)) for part in (back, seen)))
    else:
        start = layout.to_batch(to_torch(x0))

    # by hand because SquaredL2Loss.prox makes, and JAX compiles, a new operator at each call
    def least_squares(v: Any, gamma: float) -> Any:
        return cg(lambda x: x + gamma * weight * A.gram(x), v + gamma * weight * back, v, **PROX_OPTIONS)[0]

    def data_prox(v: Tensor, gamma: float) -> Tensor:
        image = from_torch(layout.from_batch(v), y)
        moved = least_squares(image, gamma) if data is None else data.prox(image, gamma, x0=image)
        return layout.to_batch(to_torch(moved)).to(v)

    return from_torch(layout.from_batch(run(data_prox, start.to(prior.device, torch.float32), prior, schedule)), y)
