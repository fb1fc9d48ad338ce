"""``restore``: an image in one line from a PyLops operator, with pyproximal's proximal step of the data term."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproximal
from pylops import LinearOperator
from pyproximal.ProxOperator import ProxOperator
from torch import Tensor

from daep_prior.array_layout import ImageLayout
from daep_prior.restoration import data_weight
from daep_prior.restore_measurement import restore_measurement
from daep_pyproximal.prior import Array, from_tensor, to_tensor

__all__ = ["restore"]

#: Conjugate gradients of a proximal step: maximum number, and the residual a pixel at which they stop (a hundredth of a
#: grey level). They start from the result of the last step, the first from zero: after 50 it was not converged, which
#: cost 0.9 dB in 256 x 256 pixels under motion blur; 100 and 200 give the same PSNR.
PROX_ITERATIONS = 100
PROX_RESIDUAL = 0.01 / 255


def restore(
    Op: Any,
    y: Array,
    sigma: float,
    *,
    data: Any = None,
    x0: Array | None = None,
    channel_axis: int = 0,
    **options: Any,
) -> Array:
    r"""Minimise :math:`\frac{1}{2 \sigma^2} \|\mathbf{Op} \mathbf{x} - \mathbf{y}\|_2^2 + \lambda R_s(\mathbf{x})`.

    The solver and the presets are those of ``DAEP`` for deepinv. An operator that selects pixels is recognised as
    inpainting, the identity as denoising.

    :param pylops.LinearOperator Op: forward model; its ``dims`` are the shape of the image, (H, W) or with a channel
        axis.
    :param numpy.ndarray y: measurement, flattened or of shape ``Op.dimsd``.
    :param float sigma: noise standard deviation of ``y``, for images in [0, 1]; 0: noise-free.
    :param pyproximal.ProxOperator data: another data term; used by its ``prox``, and by its ``grad`` under the paper's
        presets. Default ``pyproximal.L2(Op, y, sigma=1/sigma**2)`` by conjugate gradients.
    :param numpy.ndarray x0: first image; default :func:`daep_prior.back_projection.back_projection`.
    :param int channel_axis: axis of the channels in ``Op.dims``.
    :param options: ``preset``, ``schedule``, ``denoiser``, ``iterations``, ``settings``, ``seed``, ... of
        :func:`daep_prior.restore_measurement.restore_measurement`.
    :return: the image, flattened as everywhere in pyproximal, in [0, 1] and of ``y``'s type.
    :raises ValueError: an argument that does not fit the others; the message names it.
    :raises TypeError: unknown option.
    """
    if not isinstance(Op, LinearOperator):
        raise TypeError(f"Op: got {type(Op).__name__}; expected a pylops.LinearOperator.")
    if not isinstance(data, ProxOperator | None):
        raise TypeError(f"data: got {type(data).__name__}; expected a pyproximal.ProxOperator.")
    weight = data_weight(sigma)
    layout = ImageLayout(Op.dims, channel_axis)
    y = np.asarray(y).ravel()
    if y.shape != (Op.shape[0],) or not np.issubdtype(y.dtype, np.floating) or not np.isfinite(y).all():
        raise ValueError(
            f"y: got {y.size} values of type {y.dtype}; expected {Op.shape[0]} finite real ones, as Op gives."
        )
    if data is None:
        tolerance = {"tol": PROX_RESIDUAL * Op.shape[1] ** 0.5}
        data = pyproximal.L2(Op, y, sigma=weight, niter=PROX_ITERATIONS, solver="cg", kwargs_solver=tolerance)
        data.OpTb = data.OpTb.ravel()  # PyLops gives it the shape dims if y has the shape dimsd

    def on_tensors(function: Any, x: Tensor, *numbers: float) -> Tensor:
        found = function(from_tensor(x, layout).astype(y.dtype, copy=False), *numbers)
        return to_tensor(np.asarray(found), layout).to(x)

    restored = restore_measurement(
        sigma,
        to_tensor((Op.H @ y).astype(y.dtype), layout),
        lambda x: on_tensors(lambda v: Op.H @ (Op @ v), x),
        lambda v, gamma: on_tensors(data.prox, v, gamma),
        lambda x: on_tensors(data.grad, x),
        start=None if x0 is None else to_tensor(np.asarray(x0).ravel(), layout, "x0"),
        **options,
    )
    return from_tensor(restored, layout).astype(y.dtype)
