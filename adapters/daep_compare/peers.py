"""The methods that DAEP is compared with, built from deepinv's own classes: ``peer(name, sigma, denoiser)``.

Those with a network take the same one as DAEP. All of them take the same exact data steps and the same start, so that
what differs is the prior and the solver. Their parameters are tables, found on crops of training images; each says how.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import torch
from deepinv.models import Reconstructor, TVDenoiser
from deepinv.models.GSPnP import GSPnP
from deepinv.optim import ADMM, DPIR, EPLL, HQS, MLEM, PDCP, PGD, RED, BaseOptim, L12Prior, PnP, WaveletPrior
from deepinv.physics import Blur, BlurFFT, Denoising, Downsampling, DownsamplingMatlab, Inpainting, LinearPhysics
from torch import Tensor, nn

from daep_deepinv.checks import check_sigma
from daep_deepinv.data_terms.conjugate_gradients import conjugate_gradients
from daep_deepinv.data_terms.least_squares import PerImageL2
from daep_deepinv.denoiser import as_denoiser
from daep_deepinv.operators.resampling import BicubicDownsampling
from daep_deepinv.reconstructor import DAEP
from daep_deepinv.start import starting_point
from daep_prior import schedules

__all__ = ["DOWNLOADING", "NETWORK_PEERS", "PEERS", "Peer", "Settings", "peer", "settings", "task"]

#: Peers that use the given network.
NETWORK_PEERS = ("pnp-hqs", "pnp-hqs-24", "pnp-admm", "red", "gs-pnp", "dmsp")
#: Peers without a network.
CLASSICAL_PEERS = ("tv", "wavelets", "wiener", "richardson-lucy")
#: All that run without downloading anything.
PEERS = NETWORK_PEERS + CLASSICAL_PEERS
#: Peers whose weights deepinv downloads at the first use: only for those who ask for them by name.
DOWNLOADING = ("dpir-drunet", "epll")

#: The problems that parameters are tuned for.
TASKS = ("blur", "super-resolution", "holes", "denoising")


@dataclass(frozen=True)
class Settings:
    r"""Parameters of a peer with a network, at one noise level of one task.

    The level of the denoiser falls geometrically, :math:`s_1 \dots s_n`, and the data step is
    :math:`\operatorname{prox}_{\gamma_k f}` of :math:`f(x) = \frac{1}{2\sigma^2} \|Ax - y\|^2` with
    :math:`\gamma_k = t s_k^2 / w`.

    :param float first: :math:`s_1`, of 255.
    :param float last: :math:`s_n` as a multiple of the noise of the measurement.
    :param float weight: :math:`w`, lambda of the DPIR paper; ``g / 2`` of our own schedules.
    :param float step: :math:`t`, relative length of the prior's step (RED, gradient-step PnP, DMSP).
    """

    first: float
    last: float
    weight: float
    step: float = 1.0


#: Evaluations of the network.
ITERATIONS = {"pnp-hqs": 8, "pnp-hqs-24": 24, "pnp-admm": 30, "red": 30, "gs-pnp": 30, "dmsp": 30}

#: Name -> task -> noise of 255 -> parameters for the network ``dae``, as ``benchmarks/tune_peers.py`` found them in
#: at most so many trials: ``pnp-hqs`` 16, ``pnp-hqs-24`` 14, ``pnp-admm`` 12, ``red`` 22, ``gs-pnp`` 14, ``dmsp`` 8.
#: Not searched for: ``gs-pnp`` but for blur; it carries over what ``red`` had.
#: Noise 0 stands for :data:`daep_prior.schedules.SMALLEST_NOISE`, as in our own schedules.
TUNED: dict[str, dict[str, dict[float, Settings]]] = {
    "pnp-hqs": {
        "blur": {2.55: Settings(60, 2, 0.23), 7.65: Settings(60, 1, 0.23), 12.75: Settings(60, 1, 0.23)},
        "super-resolution": {0: Settings(49, 2, 0.0147)},
        "holes": {0: Settings(24.5, 4, 0.0288)},
        "denoising": {25.5: Settings(49, 1, 0.0036)},
    },
    "pnp-hqs-24": {
        "blur": {2.55: Settings(60, 1.4, 0.329), 7.65: Settings(60, 2, 0.23), 12.75: Settings(60, 1.4, 0.23)},
        "super-resolution": {0: Settings(49, 0.5, 0.00735)},
        "holes": {0: Settings(24.5, 2, 0.0144)},
        "denoising": {25.5: Settings(49, 1, 0.00504)},
    },
    "pnp-admm": {
        "blur": {2.55: Settings(60, 2.8, 1), 7.65: Settings(30, 1, 0.5), 12.75: Settings(60, 1, 0.5)},
        "super-resolution": {0: Settings(49, 0.125, 0.0294)},
        "holes": {0: Settings(24.5, 32, 1.84)},
        "denoising": {25.5: Settings(49, 1, 0.92)},
    },
    "red": {
        "blur": {
            2.55: Settings(60, 0.5, 0.714, 0.225),
            7.65: Settings(60, 0.0312, 0.5, 0.45),
            12.75: Settings(60, 0.125, 0.5, 0.225),
        },
        "super-resolution": {0: Settings(49, 0.5, 0.00735, 0.643)},
        "holes": {0: Settings(24.5, 2, 0.0576)},
        "denoising": {25.5: Settings(49, 0.714, 1.84)},
    },
    "gs-pnp": {
        "blur": {
            2.55: Settings(60, 0.25, 2.86, 0.45),
            7.65: Settings(60, 0.5, 2, 0.45),
            12.75: Settings(60, 0.0625, 1.4, 0.45),
        },
        "super-resolution": {0: Settings(60, 1, 0.0576, 0.9)},
        "holes": {0: Settings(24.5, 2, 0.0576, 0.9)},
        "denoising": {25.5: Settings(49, 1, 1.0, 0.9)},
    },
    "dmsp": {
        "blur": {
            2.55: Settings(49, 2.7451, 1.5, 0.5),
            7.65: Settings(49, 0.458, 0.75, 0.5),
            12.75: Settings(49, 0.54902, 0.75, 0.5),
        },
        "super-resolution": {0: Settings(49, 14, 0.375, 0.5)},
        "holes": {0: Settings(49, 1.75, 0.375, 0.5)},
        "denoising": {25.5: Settings(49, 0.27451, 1.5, 0.25)},
    },
}

#: Likewise for the classical methods, the best of eight weights a factor of three apart on one crop of a training
#: image: the weight of the prior beside ``1/2 ||Ax - y||^2``. Of Richardson-Lucy the number of iterations, a guess.
TUNED_CLASSICAL: dict[str, dict[str, dict[float, float]]] = {
    "tv": {
        "blur": {2.55: 0.001, 7.65: 0.004, 12.75: 0.01},
        "super-resolution": {0: 0.0003},
        "holes": {0: 0.0003},
        "denoising": {25.5: 0.05},
    },
    "wavelets": {
        "blur": {2.55: 0.001, 7.65: 0.008, 12.75: 0.02},
        "super-resolution": {0: 0.002},
        "holes": {0: 0.001},
        "denoising": {25.5: 0.12},
    },
    "wiener": {
        "blur": {2.55: 0.003, 7.65: 0.02, 12.75: 0.04},
        "super-resolution": {0: 0.0005},
        "holes": {0: 0.003},
        "denoising": {25.5: 0.3},
    },
    "richardson-lucy": {"blur": {2.55: 40.0, 7.65: 12.0, 12.75: 6.0}},
}


class Peer(Reconstructor):
    """A method of comparison, called as any deepinv reconstructor: ``model(y, physics)``.

    The deepinv solver is made anew at every call by :meth:`solver`: its parameters depend on the physics, and some of
    deepinv's priors keep a state that would leak from one image into the next.

    :param str name: one of :data:`PEERS` or :data:`DOWNLOADING`.
    :param float sigma: noise standard deviation of the measurement, images in [0, 1]; 0: noise-free.
    :param denoiser: the network; any deepinv denoiser, a DAE, a shipped name or a weight file.
    :param Settings, float parameters: instead of the tuned ones.
    :param int seed: of the noise that DMSP draws.
    :raises ValueError: unknown name, negative ``sigma``, or a network peer without a denoiser.
    """

    def __init__(
        self,
        name: str,
        sigma: float,
        denoiser: nn.Module | str | os.PathLike[str] | None = None,
        *,
        parameters: Settings | float | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if name not in (*PEERS, *DOWNLOADING):
            raise ValueError(f"name: got {name!r}; expected one of {', '.join(map(repr, (*PEERS, *DOWNLOADING)))}.")
        check_sigma(sigma)
        if name in NETWORK_PEERS and denoiser is None:
            raise ValueError(f"denoiser: {name!r} needs one, as in peer({name!r}, sigma, 'dae').")
        self.name, self.sigma, self.parameters, self.seed = name, float(sigma), parameters, seed
        self.denoiser = as_denoiser(denoiser) if name in NETWORK_PEERS and denoiser is not None else None

    def solver(self, physics: LinearPhysics) -> Reconstructor:
        """deepinv's own object, set up for this physics.

        :raises ValueError: the method cannot do this physics.
        """
        told = max(self.sigma, schedules.SMALLEST_NOISE)
        if self.denoiser is not None:
            chosen = settings(self.name, self.sigma, task(physics)) if self.parameters is None else self.parameters
            if not isinstance(chosen, Settings):
                raise ValueError(f"parameters: got {chosen!r}; {self.name!r} takes Settings.")
            if self.name == "dmsp":
                return _dmsp(chosen, self.sigma, self.denoiser, self.seed)
            return _NETWORK_SOLVERS[self.name](chosen, told, self.denoiser, ITERATIONS[self.name])
        if self.name in DOWNLOADING:
            return _DOWNLOADED_SOLVERS[self.name](told)
        if self.parameters is None:
            value = _interpolated(TUNED_CLASSICAL[self.name], self.sigma, task(physics), self.name)[0]
        elif isinstance(self.parameters, Settings):
            raise ValueError(f"parameters: got {self.parameters!r}; {self.name!r} takes one number.")
        else:
            value = float(self.parameters)
        return _CLASSICAL_SOLVERS[self.name](value)

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Any:
        """Restore ``y``.

        :param torch.Tensor y: measurement, (B, C, h, w).
        :param deepinv.physics.LinearPhysics physics: forward model.
        :param kwargs: of deepinv's solvers (``x_gt``, ``compute_metrics``).
        :return: images (B, C, H, W); with ``compute_metrics`` also the metrics, for iterative methods.
        """
        return self.solver(physics).to(y.device)(y, physics, **kwargs)


def peer(name: str, sigma: float, denoiser: nn.Module | str | os.PathLike[str] | None = None, **kwargs: Any) -> Peer:
    """A method of comparison by name; see :class:`Peer`.

    >>> import torch, deepinv as dinv
    >>> from daep_compare.peers import peer
    >>> physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    >>> y = physics(torch.rand(1, 3, 32, 32))
    >>> peer("pnp-hqs", 0.1, "dae")(y, physics).shape
    torch.Size([1, 3, 32, 32])
    """
    return Peer(name, sigma, denoiser, **kwargs)


def task(physics: LinearPhysics) -> str:
    """Which of :data:`TASKS` the parameters of a physics are taken from; ``"blur"`` for what is none of the others."""
    if isinstance(physics, Inpainting):
        return "holes"
    if isinstance(physics, (BicubicDownsampling, Downsampling, DownsamplingMatlab)):
        return "super-resolution"
    return "denoising" if isinstance(physics, Denoising) else "blur"


def settings(name: str, sigma: float, task: str) -> Settings:
    """Tuned parameters: geometric in between the noise levels that were tuned, constant beyond."""
    return Settings(*_interpolated(TUNED[name], sigma, task, name))


def _interpolated(table: dict[str, dict[float, Any]], sigma: float, task: str, name: str) -> tuple[float, ...]:
    if task not in table:
        raise ValueError(f"{name} is for blurred images only; this is {task}.")
    rows = [
        (max(noise / 255, schedules.SMALLEST_NOISE), astuple(row) if isinstance(row, Settings) else (row,))
        for noise, row in sorted(table[task].items())
    ]
    below = [row for row in rows if row[0] <= sigma] or rows[:1]
    above = [row for row in rows if row[0] >= sigma] or rows[-1:]
    (low, a), (high, b) = below[-1], above[0]
    share = 0.0 if low >= high else math.log(sigma / low) / math.log(high / low)
    return tuple(p ** (1 - share) * q**share for p, q in zip(a, b, strict=True))


def _levels(chosen: Settings, told: float, count: int) -> list[float]:
    first, last = chosen.first / 255, chosen.last * told
    return [first * (last / first) ** (k / (count - 1)) for k in range(count)]


def _with_zeros(y: Tensor, physics: LinearPhysics) -> tuple[Tensor, Tensor]:
    start = starting_point(y, physics)
    return start, torch.zeros_like(start)


def _hqs(chosen: Settings, told: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Half-quadratic splitting, the DPIR schedule (Zhang et al., TPAMI 2021)."""
    return _splitting(HQS, starting_point, chosen, told, denoiser, count)


def _admm(chosen: Settings, told: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Plug-and-play ADMM with a continuation of the penalty (Chan, Wang and Elgendy, TCI 2017)."""
    return _splitting(ADMM, _with_zeros, chosen, told, denoiser, count)


def _splitting(
    solver: type[BaseOptim],
    start: Callable[..., Any],
    chosen: Settings,
    told: float,
    denoiser: nn.Module,
    count: int,
) -> BaseOptim:
    """The proximal step of the data and the denoiser in turn, at a falling level."""
    levels = _levels(chosen, told, count)
    return solver(
        PerImageL2(sigma=told),
        PnP(denoiser),
        stepsize=[s**2 / chosen.weight for s in levels],
        g_param=levels,
        max_iter=count,
        custom_init=start,
    )


def _red(chosen: Settings, told: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Regularisation by denoising, proximal gradient (Reehorst and Schniter, TCI 2019), with a falling level."""
    levels = _levels(chosen, told, count)
    stepsizes = [chosen.step * s**2 / chosen.weight for s in levels]
    return PGD(
        PerImageL2(sigma=told),
        RED(denoiser),
        stepsize=stepsizes,
        lambda_reg=[chosen.step / stepsize for stepsize in stepsizes],
        g_param=levels,
        max_iter=count,
        g_first=True,
        custom_init=starting_point,
    )


def _gradient_step(chosen: Settings, told: float, denoiser: nn.Module, count: int) -> BaseOptim:
    """Gradient-step plug-and-play (Hurault, Leclaire and Papadakis, ICLR 2022) on the potential ``|x - D(x)|^2/2``."""
    return _red(chosen, told, GSPnP(denoiser), count)


def _dmsp(chosen: Settings, sigma: float, denoiser: nn.Module, seed: int) -> DAEP:
    """Deep mean-shift prior (Bigdeli, Jin, Favaro and Zwicker, NIPS 2017): our solver without the Jacobian."""
    told = max(sigma, schedules.SMALLEST_NOISE)
    widths = (chosen.first / 255, chosen.last * told)
    weights, steps = (2 * chosen.weight, 2 * chosen.weight), (chosen.step, chosen.step / 4)
    schedule = schedules.sequence(
        schedules.Phase(ITERATIONS["dmsp"], widths, weights, steps, (0.6, 0.1), gradient=True, averaged=8),
        final_width=None if sigma == 0 else 4 / 255,
    )
    return DAEP(sigma, denoiser=denoiser, schedule=schedule, jacobian=False, seed=seed)


_NETWORK_SOLVERS: dict[str, Callable[[Settings, float, nn.Module, int], BaseOptim]] = {
    "pnp-hqs": _hqs,
    "pnp-hqs-24": _hqs,
    "pnp-admm": _admm,
    "red": _red,
    "gs-pnp": _gradient_step,
}

#: Squared norm of the finite differences in two dimensions (Chambolle 2004).
DIFFERENCES_NORM2 = 8.0
#: How far a step of the splitting methods moves grey values at most; convergence is fastest at the scale of the detail.
STEP_IN_IMAGE = 0.02


def _tv(weight: float) -> BaseOptim:
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
    """deepinv's mixed norm, with a cost that can be evaluated at an image, as deepinv's solvers do."""

    def __init__(self) -> None:
        super().__init__(l2_axis=-1)
        self.explicit_prior = False


#: deepinv's wavelet prior multiplies its weight by this, and no solver can set it.
WAVELET_FACTOR = 0.1


def _wavelets(weight: float) -> BaseOptim:
    """l1 norm of wavelet coefficients (Daubechies 8, three levels) by ADMM."""
    return ADMM(
        PerImageL2(),
        WaveletPrior(wv="db8", level=3),
        lambda_reg=weight / WAVELET_FACTOR,
        stepsize=STEP_IN_IMAGE / weight,
        max_iter=60,
        custom_init=_with_zeros,
    )


WIENER_TOLERANCE, WIENER_ITERATIONS = 1e-4, 200


class _Wiener(Reconstructor):
    """Linear estimate for images whose spectrum falls as 1/f^2: ``min 1/2 ||Ax - y||^2 + w/2 ||Dx||^2``.

    For a circular blur this is the Wiener filter; by conjugate gradients it holds for any boundary and any physics.
    """

    def __init__(self, weight: float):
        super().__init__()
        self.weight = weight

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Tensor:
        def normal(x: Tensor) -> Tensor:
            smooth: Tensor = TVDenoiser.nabla_adjoint(TVDenoiser.nabla(x))
            out: Tensor = physics.A_adjoint_A(x) + self.weight * smooth
            return out

        start, right = starting_point(y, physics), physics.A_adjoint(y)
        bound = WIENER_TOLERANCE * right.flatten(1).norm(dim=1)
        return start + conjugate_gradients(normal, right - normal(start), bound, WIENER_ITERATIONS)


class _RichardsonLucy(MLEM):
    """Richardson (1972) and Lucy (1974), deepinv's MLEM, on a measurement made non-negative."""

    def __init__(self, iterations: float):
        def start(y: Tensor, physics: LinearPhysics) -> Tensor:
            return starting_point(y, physics).clamp_min(LOWEST_INTENSITY)

        super().__init__(max_iter=round(iterations), custom_init=start)

    def forward(self, y: Tensor, physics: LinearPhysics, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(physics, (Blur, BlurFFT)):
            raise ValueError("richardson-lucy is for blurred images only.")
        return super().forward(y.clamp_min(LOWEST_INTENSITY), physics, *args, **kwargs)


#: Richardson-Lucy multiplies, so it can never leave zero.
LOWEST_INTENSITY = 1e-3

_CLASSICAL_SOLVERS: dict[str, Callable[[float], Reconstructor]] = {
    "tv": _tv,
    "wavelets": _wavelets,
    "wiener": _Wiener,
    "richardson-lucy": _RichardsonLucy,
}


class _EPLL(Reconstructor):
    """EPLL (Zoran and Weiss, ICCV 2011) with deepinv's patch model for colour images."""

    def __init__(self, sigma: float):
        super().__init__()
        self.sigma, self.model = sigma, EPLL(channels=3)

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Tensor:
        out: Tensor = self.model(y, physics, sigma=self.sigma, x_init=starting_point(y, physics), batch_size=10000)
        return out


_DOWNLOADED_SOLVERS: dict[str, Callable[[float], Reconstructor]] = {"dpir-drunet": DPIR, "epll": _EPLL}
