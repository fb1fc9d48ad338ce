"""The data terms of ``DAEP``: deepinv's ``L2`` with a proximal step that treats each image by itself; also for noise
that is not white, and for noise that the channels share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.optim.data_fidelity import L2
from deepinv.physics import Downsampling, LinearPhysics
from deepinv.utils import TensorList
from torch import Tensor

from daep_deepinv.data_terms.conjugate_gradients import conjugate_gradients
from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.noise.spectrum import NoiseSpectrum

__all__ = ["PerImageL2", "SharedNoiseL2"]


class PerImageL2(L2):
    r"""``1/(2 sigma^2) ||Ax - y||^2``, whose proximal step gives an image the same alone and in a batch.

    Circular and ``valid`` blurs are left to :class:`FourierBlur`; other physics with a closed proximal step use that.
    For the rest deepinv runs conjugate gradients until the last image of the batch has converged; here each image stops
    by itself. Tolerance and length are the physics' own, ``physics.tol`` and ``physics.max_iter``. What one step learns
    about the border of a ``valid`` blur the next one starts from: every restoration needs an object of its own.

    :param float sigma: standard deviation of the noise, images in [0, 1].
    :param NoiseSpectrum noise: of noise that is not white, with which ``||r||^2 / sigma^2`` becomes the sum of
        ``|r|^2`` by frequency, each divided by the power of the noise there. For blurs that :class:`FourierBlur`
        handles.
    """

    def __init__(self, sigma: float = 1.0, noise: NoiseSpectrum | None = None):
        super().__init__(sigma=sigma)
        self.noise = noise

    #: The tensors that the last blur was prepared from, and what came of it.
    _prepared: tuple[list[tuple[Tensor, int]], FourierBlur] | None = None

    def fn(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        if self.noise is None:
            value: Tensor = super().fn(x, y, physics, *args, **kwargs)
            return value
        residual, weighted = self._weighted_residual(x, y, physics)
        return 0.5 * self.norm * (residual * weighted).flatten(1).sum(1)

    def grad(self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """See :meth:`deepinv.optim.L2.grad`."""
        if self.noise is None:
            gradient: Tensor = super().grad(x, y, physics, *args, **kwargs)
            return gradient
        return self.norm * self._blur(physics, x, y).back_projected(self._weighted_residual(x, y, physics)[1])

    def prox(
        self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See :meth:`deepinv.optim.L2.prox`."""
        if isinstance(gamma, float) and gamma == 0:
            return x
        weight = self.norm * gamma
        if FourierBlur.handles(physics, x, y):
            return self._blur(physics, x, y).prox(x, weight, float(physics.tol), int(physics.max_iter))
        if has_closed_prox(physics):
            closed: Tensor = super().prox(x, y, physics, *args, gamma=gamma, **kwargs)
            return closed

        def normal(v: Tensor) -> Tensor:
            out: Tensor = physics.A_adjoint_A(v) + v / weight
            return out

        right = physics.A_adjoint(y) + x / weight
        bound = float(physics.tol) * right.flatten(1).norm(dim=1)
        return x + conjugate_gradients(normal, right - normal(x), bound, int(physics.max_iter))

    def squared_residual(self, x: Tensor, y: Any, physics: LinearPhysics) -> Tensor:
        """``||Ax - y||^2`` of each image, (B,), by the quickest way; no gradient."""
        with torch.no_grad():
            if FourierBlur.handles(physics, x, y):
                residual = self._blur(physics, x, y).residual(x)
            else:
                residual = physics.A(x) - y
            parts = residual if isinstance(residual, TensorList) else [residual]
            squares: Tensor = sum(part.abs().square().flatten(1).sum(1) for part in parts)  # type: ignore[assignment]
        return squares

    def _weights(self) -> Callable[[Tensor], Tensor] | None:
        """What white noise of the same standard deviation has more than this noise, by frequency."""
        noise = self.noise
        return None if noise is None else lambda frequency: 1 / (self.norm * noise.at(frequency))

    def _weighted_residual(self, x: Tensor, y: Tensor, physics: LinearPhysics) -> tuple[Tensor, Tensor]:
        return self._blur(physics, x, y).weighted_residual(x, float(physics.tol), int(physics.max_iter))

    def _blur(self, physics: LinearPhysics, x: Tensor, y: Tensor) -> FourierBlur:
        """``physics`` prepared for ``y``: once, for all the steps of a restoration."""
        tensors = [y, physics.filter]
        if any(t.is_inference() or t.requires_grad for t in tensors):  # no versions; a graph that lives for one pass
            return FourierBlur(physics, y, (x.shape[-2], x.shape[-1]), self._weights())
        if self._prepared is not None:
            (known, blur) = self._prepared
            same = all(t is old and t._version == version for t, (old, version) in zip(tensors, known, strict=True))
            if same and blur.size == x.shape[-2:]:
                return blur
        blur = FourierBlur(physics, y, (x.shape[-2], x.shape[-1]), self._weights())
        self._prepared = ([(t, t._version) for t in tensors], blur)
        return blur


class SharedNoiseL2(PerImageL2):
    r"""Data term for noise that the channels share, for physics that treat all channels alike.

    .. math::

        \frac{1}{2\sigma^2} \|P(Ax - y)\|^2 + \frac{1}{2\sigma_d^2} \|(I - P)(Ax - y)\|^2

    :math:`P` puts the mean of the channels in their place; :math:`AP = PA`. Both parts are minimised each by itself.

    :param float sigma: standard deviation of the mean of the channels, times the root of their number.
    :param float differences: :math:`\sigma_d`, of what a channel differs by from the mean.
    """

    def __init__(self, sigma: float = 1.0, differences: float = 1.0):
        super().__init__(sigma)
        self.of_differences = PerImageL2(differences)

    def fn(self, x: Tensor, y: Tensor, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """The value, (B,)."""
        residual = physics.A(x) - y
        shared = _shared(residual)
        value: Tensor = self.d.fn(shared, 0.0) + self.of_differences.d.fn(residual, shared)
        return value

    def grad(self, x: Tensor, y: Tensor, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Tensor:
        """See :meth:`deepinv.optim.L2.grad`."""
        residual = physics.A(x) - y
        shared = _shared(residual)
        gradient: Tensor = physics.A_adjoint(self.norm * shared + self.of_differences.norm * (residual - shared))
        return gradient

    def prox(
        self, x: Tensor, y: Any, physics: LinearPhysics, *args: Any, gamma: float | Tensor = 1.0, **kwargs: Any
    ) -> Tensor:
        """See :meth:`deepinv.optim.L2.prox`."""
        differences = self.of_differences.prox(x, y, physics, gamma=gamma)
        return _with_mean_of(super().prox(x, y, physics, *args, gamma=gamma, **kwargs), differences)

    def prox_of_differences(self, x: Tensor, y: Tensor, physics: LinearPhysics, gamma: float | Tensor) -> Tensor:
        """The proximal step of what the channels differ by alone; their mean stays."""
        return _with_mean_of(x, self.of_differences.prox(x, y, physics, gamma=gamma))


def _with_mean_of(x: Tensor, differences: Tensor) -> Tensor:
    """The mean of the channels of ``x``, and what those of ``differences`` differ by."""
    return differences + _shared(x - differences)


def _shared(x: Tensor) -> Tensor:
    """The mean of the channels of ``x`` (B, C, H, W) in the place of each."""
    return x.mean(1, keepdim=True).expand_as(x)


def has_closed_prox(physics: LinearPhysics) -> bool:
    """Whether ``physics.prox_l2`` is a formula and not an iteration."""
    if isinstance(physics, Downsampling):  # its formula needs a filter, and holds for circular boundaries
        return physics.filter is not None and physics.padding == "circular"
    return type(physics).prox_l2 is not LinearPhysics.prox_l2
