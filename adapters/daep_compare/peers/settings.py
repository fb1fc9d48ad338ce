"""Parameters of the peers, tuned on crops of training images by ``benchmarks/tune_peers.py``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Literal, TypeAlias

from deepinv.physics import Denoising, Downsampling, DownsamplingMatlab, Inpainting, LinearPhysics

from daep_deepinv.operators.resampling import BicubicDownsampling
from daep_prior.schedules import SMALLEST_NOISE

__all__ = [
    "CLASSICAL_PEERS",
    "ITERATIONS",
    "NETWORK_PEERS",
    "Settings",
    "Task",
    "task",
    "tuned_settings",
    "tuned_value",
]

#: The problems that parameters are tuned for.
Task: TypeAlias = Literal["deblurring", "super-resolution", "inpainting", "denoising"]


@dataclass(frozen=True)
class Settings:
    r"""Parameters of a peer with a network, for one task and one noise level.

    The level of the denoiser falls geometrically, :math:`s_1 \dots s_n`. The data step is
    :math:`\operatorname{prox}_{\gamma_k f}` of :math:`f(x) = \frac{1}{2\sigma^2} \|Ax - y\|^2` with
    :math:`\gamma_k = t s_k^2 / w`.

    :param float first: first level of the denoiser, :math:`s_1`, in units of 1/255.
    :param float last: last level of the denoiser in units of the noise level, :math:`s_n / \sigma`.
    :param float weight: :math:`w`, the lambda of DPIR; twice this is the prior weight of our own schedules.
    :param float step: :math:`t`, relative length of the prior's step (RED, gradient-step PnP, DMSP).
    """

    first: float
    last: float
    weight: float
    step: float = 1.0


#: Evaluations of the network, by peer.
ITERATIONS = {"pnp-hqs": 8, "pnp-hqs-24": 24, "pnp-admm": 30, "red": 30, "gs-pnp": 30, "dmsp": 30}

#: Peer -> task -> noise level (in units of 1/255) -> parameters for the network ``dae``.
#:
#: Found by ``benchmarks/tune_peers.py``, in at most this many trials a cell: ``pnp-hqs`` 16, ``pnp-hqs-24`` 14,
#: ``pnp-admm`` 12, ``red`` 22, ``gs-pnp`` 14, ``dmsp`` 8. ``gs-pnp`` was searched for deblurring only; its other cells
#: are those of ``red``. Noise 0 is treated as :data:`daep_prior.schedules.SMALLEST_NOISE`, as in our own schedules.
TUNED: dict[str, dict[Task, dict[float, Settings]]] = {
    "pnp-hqs": {
        "deblurring": {
            2.55: Settings(first=60, last=2, weight=0.23),
            7.65: Settings(first=60, last=1, weight=0.23),
            12.75: Settings(first=60, last=1, weight=0.23),
        },
        "super-resolution": {0: Settings(first=49, last=2, weight=0.0147)},
        "inpainting": {0: Settings(first=24.5, last=4, weight=0.0288)},
        "denoising": {25.5: Settings(first=49, last=1, weight=0.0036)},
    },
    "pnp-hqs-24": {
        "deblurring": {
            2.55: Settings(first=60, last=1.4, weight=0.329),
            7.65: Settings(first=60, last=2, weight=0.23),
            12.75: Settings(first=60, last=1.4, weight=0.23),
        },
        "super-resolution": {0: Settings(first=49, last=0.5, weight=0.00735)},
        "inpainting": {0: Settings(first=24.5, last=2, weight=0.0144)},
        "denoising": {25.5: Settings(first=49, last=1, weight=0.00504)},
    },
    "pnp-admm": {
        "deblurring": {
            2.55: Settings(first=60, last=2.8, weight=1),
            7.65: Settings(first=30, last=1, weight=0.5),
            12.75: Settings(first=60, last=1, weight=0.5),
        },
        "super-resolution": {0: Settings(first=49, last=0.125, weight=0.0294)},
        "inpainting": {0: Settings(first=24.5, last=32, weight=1.84)},
        "denoising": {25.5: Settings(first=49, last=1, weight=0.92)},
    },
    "red": {
        "deblurring": {
            2.55: Settings(first=60, last=0.5, weight=0.714, step=0.225),
            7.65: Settings(first=60, last=0.0312, weight=0.5, step=0.45),
            12.75: Settings(first=60, last=0.125, weight=0.5, step=0.225),
        },
        "super-resolution": {0: Settings(first=49, last=0.5, weight=0.00735, step=0.643)},
        "inpainting": {0: Settings(first=24.5, last=2, weight=0.0576)},
        "denoising": {25.5: Settings(first=49, last=0.714, weight=1.84)},
    },
    "gs-pnp": {
        "deblurring": {
            2.55: Settings(first=60, last=0.25, weight=2.86, step=0.45),
            7.65: Settings(first=60, last=0.5, weight=2, step=0.45),
            12.75: Settings(first=60, last=0.0625, weight=1.4, step=0.45),
        },
        "super-resolution": {0: Settings(first=60, last=1, weight=0.0576, step=0.9)},
        "inpainting": {0: Settings(first=24.5, last=2, weight=0.0576, step=0.9)},
        "denoising": {25.5: Settings(first=49, last=1, weight=1.0, step=0.9)},
    },
    "dmsp": {
        "deblurring": {
            2.55: Settings(first=49, last=2.7451, weight=1.5, step=0.5),
            7.65: Settings(first=49, last=0.458, weight=0.75, step=0.5),
            12.75: Settings(first=49, last=0.54902, weight=0.75, step=0.5),
        },
        "super-resolution": {0: Settings(first=49, last=14, weight=0.375, step=0.5)},
        "inpainting": {0: Settings(first=49, last=1.75, weight=0.375, step=0.5)},
        "denoising": {25.5: Settings(first=49, last=0.27451, weight=1.5, step=0.25)},
    },
}

#: Peer -> task -> noise level (in units of 1/255) -> weight of the prior beside ``1/2 ||Ax - y||^2``, images in [0, 1];
#: of ``richardson-lucy``, which is for deblurring only, the number of iterations.
#:
#: The weights are the best of eight, a factor of three apart, on one crop of a training image. The numbers of
#: iterations were not searched.
TUNED_CLASSICAL: dict[str, dict[Task, dict[float, float]]] = {
    "tv": {
        "deblurring": {2.55: 0.001, 7.65: 0.004, 12.75: 0.01},
        "super-resolution": {0: 0.0003},
        "inpainting": {0: 0.0003},
        "denoising": {25.5: 0.05},
    },
    "wavelets": {
        "deblurring": {2.55: 0.001, 7.65: 0.008, 12.75: 0.02},
        "super-resolution": {0: 0.002},
        "inpainting": {0: 0.001},
        "denoising": {25.5: 0.12},
    },
    "wiener": {
        "deblurring": {2.55: 0.003, 7.65: 0.02, 12.75: 0.04},
        "super-resolution": {0: 0.0005},
        "inpainting": {0: 0.003},
        "denoising": {25.5: 0.3},
    },
    "richardson-lucy": {"deblurring": {2.55: 40.0, 7.65: 12.0, 12.75: 6.0}},
}

#: Peers that use the given network.
NETWORK_PEERS = tuple(TUNED)
#: Peers without a network.
CLASSICAL_PEERS = tuple(TUNED_CLASSICAL)


def task(physics: LinearPhysics) -> Task:
    """The task of a physics; ``"deblurring"`` for every physics that is none of the others."""
    if isinstance(physics, Inpainting):
        return "inpainting"
    if isinstance(physics, (BicubicDownsampling, Downsampling, DownsamplingMatlab)):
        return "super-resolution"
    return "denoising" if isinstance(physics, Denoising) else "deblurring"


def tuned_settings(name: str, sigma: float, task: Task) -> Settings:
    """Parameters of a peer with a network: geometric between the tuned noise levels, constant beyond them.

    :param str name: one of :data:`NETWORK_PEERS`.
    :param float sigma: noise standard deviation, images in [0, 1].
    """
    rows = {noise: astuple(row) for noise, row in TUNED[name][task].items()}
    return Settings(*_interpolated(rows, sigma))


def tuned_value(name: str, sigma: float, task: Task) -> float:
    """The parameter of a classical peer, interpolated like :func:`tuned_settings`."""
    rows = {noise: (value,) for noise, value in TUNED_CLASSICAL[name][task].items()}
    return _interpolated(rows, sigma)[0]


def _interpolated(table: Mapping[float, tuple[float, ...]], sigma: float) -> tuple[float, ...]:
    rows = [(max(noise / 255, SMALLEST_NOISE), row) for noise, row in sorted(table.items())]
    below = [row for row in rows if row[0] <= sigma] or rows[:1]
    above = [row for row in rows if row[0] >= sigma] or rows[-1:]
    (low, a), (high, b) = below[-1], above[0]
    share = 0.0 if low >= high else math.log(sigma / low) / math.log(high / low)
    return tuple(p ** (1 - share) * q**share for p, q in zip(a, b, strict=True))
