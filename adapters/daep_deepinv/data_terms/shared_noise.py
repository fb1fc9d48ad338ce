"""Least squares for noise that the channels of a colour image share."""

from __future__ import annotations

from typing import Any

from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.least_squares import PerImageL2

__all__ = ["SharedNoiseL2"]


class SharedNoiseL2(PerImageL2):
    r"""Data term for noise that the channels share, for physics that treat all channels alike.

    .. math::

        \frac{1}{2\sigma^2} \|P(Ax - y)\|^2 + \frac{1}{2\sigma_d^2} \|(I - P)(Ax - y)\|^2

    :math:`P` replaces each channel by the mean of the channels; :math:`AP = PA`. The two parts are minimised
        separately.

    :param float sigma: standard deviation of the mean of the channels, times the root of their number.
    :param float differences: :math:`\sigma_d`, standard deviation of the difference between a channel and that mean.
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
        """The proximal step of the channel differences alone; the mean of the channels stays."""
        return _with_mean_of(x, self.of_differences.prox(x, y, physics, gamma=gamma))


def _with_mean_of(x: Tensor, differences: Tensor) -> Tensor:
    """The channel mean of ``x`` with the channel differences of ``differences``."""
    return differences + _shared(x - differences)


def _shared(x: Tensor) -> Tensor:
    """``P x``: each channel replaced by the mean of the channels, (B, C, H, W)."""
    return x.mean(1, keepdim=True).expand_as(x)
