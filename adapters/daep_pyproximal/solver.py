"""``restore``: an image in one line from a PyLops operator, with pyproximal's proximal step of the data term."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproximal
import torch
from torch import Tensor

from daep_prior import MeanShiftPrior, Schedule, schedules
from daep_prior import restore as run
from daep_prior.array_layout import ImageLayout
from daep_prior.restoration import data_weight
from daep_prior.start import back_projection
from daep_pyproximal.prior import Array, from_tensor, to_tensor

__all__ = ["restore"]

#: Conjugate gradients of a proximal step: the most, and the residual a pixel at which they stop, a hundredth of a grey
#: level. They start from the last step's result.
PROX_ITERATIONS = 50
PROX_RESIDUAL = 0.01 / 255


def restore(
    Op: Any,
    y: Array,
    sigma: float,
    *,
    data: Any = None,
    x0: Array | None = None,
    denoiser: Any = "dae",
    schedule: Schedule | None = None,
    iterations: int | None = None,
    channel_axis: int = 0,
    **options: Any,
) -> Array:
    r"""Minimise :math:`\frac{1}{2 \sigma^2} \|\mathbf{Op} \mathbf{x} - \mathbf{y}\|_2^2 + \lambda R_s(\mathbf{x})`.

    Proximal momentum with a kernel width :math:`s` that falls over the iterations, as ``DAEP`` for deepinv
    (:func:`daep_prior.restore`). The data term only enters by its proximal step.

    :param pylops.LinearOperator Op: forward model; its ``dims`` say the shape of the image, (H, W) or with a channel
        axis.
    :param numpy.ndarray y: measurement, flattened or of shape ``Op.dimsd``.
    :param float sigma: noise standard deviation of ``y``, for images in [0, 1]; 0: noise-free.
    :param pyproximal.ProxOperator data: another data term, used by its ``prox``; default
        ``pyproximal.L2(Op, y, sigma=1/sigma**2)`` by conjugate gradients.
    :param numpy.ndarray x0: where to start; default :func:`daep_prior.start.back_projection`.
    :param denoiser: as in :class:`DAEPrior`.
    :param Schedule schedule: default :func:`daep_prior.schedules.default`, of ``iterations`` steps; where single pixels
        are measured, :func:`daep_prior.schedules.missing_pixels` does better.
    :param int channel_axis: axis of the channels in ``Op.dims``.
    :param options: ``seed``, ``samples``, ``antithetic``, ``jacobian``, ``noise``, ``device`` as in
        :class:`daep_prior.MeanShiftPrior`.
    :return: the image, flattened as everywhere in pyproximal, in [0, 1] and of ``y``'s type.
    :raises ValueError: an argument that does not fit the others; the message names it.
    :raises TypeError: unknown option.
    """
    weight = data_weight(sigma)
    layout = ImageLayout(Op.dims, channel_axis)
    y = np.asarray(y).ravel()
    if y.shape != (Op.shape[0],) or not np.issubdtype(y.dtype, np.floating) or not np.isfinite(y).all():
        raise ValueError(
            f"y: got {y.size} values of type {y.dtype}; expected {Op.shape[0]} finite real ones, as Op gives."
        )
    if schedule is not None and iterations is not None:
        raise ValueError("iterations, schedule: a schedule has its own length; give one of the two.")
    prior = MeanShiftPrior(denoiser, **options)
    if schedule is None:
        schedule = schedules.default(sigma, prior.trained_width, iterations)
    if data is None:
        tolerance = {"tol": PROX_RESIDUAL * Op.shape[1] ** 0.5}
        data = pyproximal.L2(Op, y, sigma=weight, niter=PROX_ITERATIONS, solver="cg", kwargs_solver=tolerance)
    if x0 is None:
        seen = Op.H @ (Op @ np.ones(Op.shape[1], y.dtype))
        start = back_projection(*(to_tensor(part.astype(y.dtype), layout) for part in (Op.H @ y, seen)))
    else:
        start = to_tensor(np.asarray(x0).ravel(), layout)

    def data_prox(v: Tensor, gamma: float) -> Tensor:
        moved = data.prox(from_tensor(v, layout).astype(y.dtype, copy=False), gamma)
        return to_tensor(np.asarray(moved), layout).to(v)

    return from_tensor(run(data_prox, start.to(prior.device, torch.float32), prior, schedule), layout).astype(y.dtype)
