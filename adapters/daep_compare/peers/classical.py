"""Peers without a network: total variation, wavelets, Wiener filter, Richardson-Lucy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from deepinv.models import Reconstructor, TVDenoiser
from deepinv.optim import ADMM, MLEM, PDCP, BaseOptim, L12Prior, WaveletPrior
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_compare.peers.dual_start import with_dual
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.starts.starting_point import starting_point

__all__ = ["CLASSICAL_PEERS", "CLASSICAL_SOLVERS"]

#: Squared norm of the finite differences in two dimensions (Chambolle 2004).
DIFFERENCES_NORM2 = 8.0
#: Largest change of a grey value in one step of the splitting methods, images in [0, 1]. Convergence is fastest at the
#: contrast of fine detail.
STEP_IN_IMAGE = 0.02
#: deepinv's wavelet prior multiplies its weight by this; no solver can set it.
WAVELET_FACTOR = 0.1
#: Conjugate gradients of the Wiener filter: relative residual at which they stop, and most iterations.
WIENER_TOLERANCE, WIENER_ITERATIONS = 1e-4, 200
#: Smallest value in Richardson-Lucy, images in [0, 1]: its updates multiply, so a zero would remain zero.
LOWEST_INTENSITY = 1e-3


def tv(weight: float) -> BaseOptim:
    """Isotropic total variation (Rudin, Osher and Fatemi 1992) by Chambolle-Pock."""
    dual = weight / STEP_IN_IMAGE

    def start(y: Tensor, physics: LinearPhysics) -> tuple[Tensor, Tensor, Tensor]:
        x = starting_point(y, physics)
        return x, x, torch.zeros_like(TVDenoiser.nabla(x))

    return PDCP(
        K=TVDenoiser.nabla,
        K_adjoint=TVDenoiser.nabla_adjoint,
        data_fidelity=PerImageL2(),
        prior=_Differences(),
        lambda_reg=weight,
        stepsize=1 / (dual * DIFFERENCES_NORM2),
        stepsize_dual=dual,
        max_iter=150,
        g_first=True,
        custom_init=start,
    )


class _Differences(L12Prior):
    """deepinv's mixed norm, with the cost evaluated at the image, as deepinv's solvers do."""

    def __init__(self) -> None:
        super().__init__(l2_axis=-1)
        self.explicit_prior = False


def wavelets(weight: float) -> BaseOptim:
    """l1 norm of wavelet coefficients (Daubechies 8, three levels) by ADMM."""
    return ADMM(
        PerImageL2(),
        WaveletPrior(wv="db8", level=3),
        lambda_reg=weight / WAVELET_FACTOR,
        stepsize=STEP_IN_IMAGE / weight,
        max_iter=60,
        custom_init=with_dual,
    )


class Wiener(Reconstructor):
    """Linear estimate for images with a spectrum of 1/f^2: ``min 1/2 ||Ax - y||^2 + w/2 ||Dx||^2``.

    For a circular blur this is the Wiener filter. It is computed by conjugate gradients, for any boundary and any
    linear physics.
    """

    def __init__(self, weight: float):
        super().__init__()
        self.weight = weight

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Tensor:
        def normal(x: Tensor) -> Tensor:
            smooth: Tensor = TVDenoiser.nabla_adjoint(TVDenoiser.nabla(x))
            out: Tensor = physics.A_adjoint_A(x) + self.weight * smooth
            return out

        start, rhs = starting_point(y, physics), physics.A_adjoint(y)
        bound = WIENER_TOLERANCE * rhs.flatten(1).norm(dim=1)
        return start + conjugate_gradients(normal, rhs - normal(start), bound, WIENER_ITERATIONS)


class RichardsonLucy(MLEM):
    """Richardson (1972) and Lucy (1974): deepinv's MLEM on a measurement made positive, for blurs only."""

    def __init__(self, iterations: float):
        def start(y: Tensor, physics: LinearPhysics) -> Tensor:
            return starting_point(y, physics).clamp_min(LOWEST_INTENSITY)

        super().__init__(max_iter=round(iterations), custom_init=start)

    def forward(self, y: Tensor, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Any:
        return super().forward(y.clamp_min(LOWEST_INTENSITY), physics, *args, **kwargs)


#: Peer -> its solver, made from its parameter in :mod:`daep_compare.peers.tuned_settings`.
CLASSICAL_SOLVERS: dict[str, Callable[..., Reconstructor]] = {
    "tv": tv,
    "wavelets": wavelets,
    "wiener": Wiener,
    "richardson-lucy": RichardsonLucy,
}
#: Peers without a network.
CLASSICAL_PEERS = tuple(CLASSICAL_SOLVERS)
