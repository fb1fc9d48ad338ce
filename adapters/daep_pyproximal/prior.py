"""The denoising-autoencoder prior as a ``pyproximal.ProxOperator`` on flattened NumPy images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyproximal.ProxOperator import ProxOperator, _check_tau
from torch import Tensor

from daep_prior import MeanShiftPrior
from daep_prior.arguments import whole_number
from daep_prior.array_layout import ImageLayout
from daep_prior.schedules import PAPER_WIDTH

__all__ = ["Array", "DAEPrior", "from_tensor", "to_tensor"]

Array = NDArray[Any]


class DAEPrior(ProxOperator):
    r"""The mean-shift prior of a denoising autoencoder (DAEP; Bigdeli and Zwicker, VISAPP 2018).

    .. math::

        R_s(\mathbf{x}) = \tfrac12 \| A_s(\mathbf{x}) - \mathbf{x} \|_2^2

    with the network :math:`A_s` evaluated at :math:`\mathbf{x} - \epsilon`, :math:`\epsilon \sim \mathcal N(0, s^2)`
    (eq. 8). It is differentiable and not convex. Solvers that take its gradient, such as
    ``pyproximal.optimization.primal.ProximalGradient`` with the data term as the other function, evaluate the network
    least often; a proximal step is a few gradient steps.

    :param tuple dims: shape of the image whose flattened values the solvers handle, as in PyLops: (H, W) for grey, or
        three axes of which ``channel_axis`` contains 1 or 3 channels. Values are in [0, 1].
    :param denoiser: a shipped name, a weight file, a DAE, or any ``denoiser(x, sigma)`` on tensors (B, C, H, W).
    :param float sigma: kernel width :math:`s`, a standard deviation for images in [0, 1]; a denoiser that is trained
        for one level always acts at that level.
    :param int channel_axis: default 0, because PyLops' operators act on the last two axes.
    :param torch.dtype dtype: type the prior computes in; arrays come back in the type they came in.
    :param int prox_iterations: maximum number of gradient steps in a proximal step.
    :param options: ``noise``, ``jacobian``, ``seed``, ``device``, ``tile`` as in :class:`daep_prior.MeanShiftPrior`.
    :raises ValueError: not the shape of an image, or an unusable option.
    :raises TypeError: unknown option, or not a denoiser.

    >>> import numpy as np
    >>> from daep_pyproximal import DAEPrior
    >>> prior = DAEPrior((3, 16, 16), noise="fixed")
    >>> x = np.random.default_rng(0).random(3 * 16 * 16)
    >>> prior(x) > 0, prior.grad(x).shape, prior.prox(x, 0.5).dtype
    (True, (768,), dtype('float64'))
    """

    def __init__(
        self,
        dims: Sequence[int],
        denoiser: Callable[..., Tensor] | str | os.PathLike[str] = "dae",
        sigma: float = PAPER_WIDTH,
        *,
        channel_axis: int = 0,
        dtype: torch.dtype = torch.float32,
        prox_iterations: int = 10,
        **options: Any,
    ):
        super().__init__(None, hasgrad=True)
        self.layout = ImageLayout(dims, channel_axis)
        self.mean_shift = MeanShiftPrior(denoiser, sigma=sigma, **options)
        self.dtype = dtype
        self.prox_iterations = whole_number("prox_iterations", prox_iterations)

    def reset(self) -> None:
        """Restart the noise: the same calls then give the same results."""
        self.mean_shift.reset()

    def __call__(self, x: Array) -> float:
        """Energy of ``x``, (N,) or of shape ``dims``, always at the same noise."""
        with torch.no_grad():
            return float(self.mean_shift.value(self._tensor(x)))

    def grad(self, x: Array) -> Array:
        """Gradient at ``x``, (N,) or of shape ``dims``, and of that shape; with fresh noise at each call by default."""
        with torch.no_grad():
            return self._array(self.mean_shift.gradient(self._tensor(x)), x)

    @_check_tau
    def prox(self, x: Array, tau: float) -> Array:
        r""":math:`\operatorname{prox}_{\tau R_s}` of ``x``, (N,) or of shape ``dims``, and of that shape."""
        with torch.no_grad():
            moved = self.mean_shift.prox(self._tensor(x), float(tau), iterations=self.prox_iterations)
            return self._array(moved, x)

    def _tensor(self, x: Array) -> Tensor:
        return to_tensor(x, self.layout).to(self.mean_shift.device, self.dtype)

    def _array(self, x: Tensor, like: Array) -> Array:
        return from_tensor(x, self.layout).astype(like.dtype, copy=False).reshape(like.shape)


def to_tensor(x: Array, layout: ImageLayout, name: str = "x") -> Tensor:
    """``x`` as images (1, C, H, W); shares its memory where it can.

    :raises ValueError: not a real floating-point image of this layout.
    """
    # torch warns about memory that is read-only, and has no negative strides
    return layout.to_batch(torch.from_numpy(np.require(x, requirements=["C", "W"])), name)


def from_tensor(x: Tensor, layout: ImageLayout) -> Array:
    """Images (1, C, H, W) as one flattened array."""
    flat: Array = layout.from_batch(x).cpu().numpy().ravel()
    return flat
