"""Peers with a network: plug-and-play HQS and ADMM, RED, gradient-step plug-and-play, and DMSP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepinv.models import Reconstructor
from deepinv.models.GSPnP import GSPnP
from deepinv.optim import ADMM, HQS, PGD, RED, BaseOptim, PnP
from torch import nn

from daep_compare.peers.dual_start import with_dual
from daep_compare.peers.tuned_settings import ITERATIONS, Settings
from daep_deepinv import DAEP, starting_point
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_prior import schedules

__all__ = ["network_solver"]


def network_solver(name: str, settings: Settings, sigma: float, denoiser: nn.Module, seed: int) -> Reconstructor:
    """deepinv's solver of a peer with a network, or DAEP's for ``"dmsp"``.

    :param str name: one of :data:`daep_compare.peers.NETWORK_PEERS`.
    :param float sigma: noise standard deviation, images in [0, 1]; 0: noise-free.
    :param int seed: of the noise that DMSP draws.
    """
    level, count = max(sigma, schedules.SMALLEST_NOISE), ITERATIONS[name]
    if name == "pnp-admm":
        return splitting(ADMM, with_dual, settings, level, denoiser, count)
    if name == "red":
        return red(settings, level, denoiser, count)
    if name == "gs-pnp":
        return gradient_step(settings, level, denoiser, count)
    if name == "dmsp":
        return dmsp(settings, sigma, denoiser, count, seed)
    return splitting(HQS, starting_point, settings, level, denoiser, count)


def splitting(
    solver: type[BaseOptim],
    start: Callable[..., Any],
    settings: Settings,
    sigma: float,
    denoiser: nn.Module,
    count: int,
) -> BaseOptim:
    """The proximal step of the data and the denoiser in turn, at a falling level.

    With :class:`deepinv.optim.HQS` this is DPIR's schedule (Zhang et al., TPAMI 2021), with
    :class:`deepinv.optim.ADMM` a continuation of the penalty (Chan, Wang and Elgendy, TCI 2017).
    """
    levels = _levels(settings, sigma, count)
    return solver(
        PerImageL2(sigma=sigma),
        PnP(denoiser),
        stepsize=[s**2 / settings.weight for s in levels],
        g_param=levels,
        max_iter=count,
        custom_init=start,
    )


def red(settings: Settings, sigma: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Regularisation by denoising, proximal gradient (Reehorst and Schniter, TCI 2019), at a falling level."""
    levels = _levels(settings, sigma, count)
    stepsizes = [settings.step * s**2 / settings.weight for s in levels]
    return PGD(
        PerImageL2(sigma=sigma),
        RED(denoiser),
        stepsize=stepsizes,
        lambda_reg=[settings.step / stepsize for stepsize in stepsizes],
        g_param=levels,
        max_iter=count,
        g_first=True,
        custom_init=starting_point,
    )


def gradient_step(settings: Settings, sigma: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Gradient-step plug-and-play (Hurault, Leclaire and Papadakis, ICLR 2022) on the potential ``|x - D(x)|^2/2``."""
    return red(settings, sigma, GSPnP(denoiser), count)


def dmsp(settings: Settings, sigma: float, denoiser: nn.Module, count: int, seed: int) -> DAEP:
    """Deep mean-shift prior (Bigdeli, Jin, Favaro and Zwicker, NIPS 2017): DAEP's solver without the Jacobian."""
    widths = (settings.first / 255, settings.last * max(sigma, schedules.SMALLEST_NOISE))
    weights, steps = (2 * settings.weight, 2 * settings.weight), (settings.step, settings.step / 4)
    schedule = schedules.sequence(
        schedules.Phase(count, widths, weights, steps, (0.6, 0.1), gradient=True, average_last=8),
        final_width=None if sigma == 0 else 4 / 255,
    )
    return DAEP(sigma, denoiser=denoiser, schedule=schedule, jacobian=False, seed=seed)


def _levels(settings: Settings, sigma: float, count: int) -> list[float]:
    first, last = settings.first / 255, settings.last * sigma
    return [first * (last / first) ** (k / (count - 1)) for k in range(count)]
