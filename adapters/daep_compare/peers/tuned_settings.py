"""Parameters of the peers, found by ``benchmarks/tune_peers.py`` on crops of training images: ``settings.json``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

from deepinv.physics import Denoising, Downsampling, DownsamplingMatlab, Inpainting, LinearPhysics

from daep_deepinv.operators.resampling import BicubicDownsampling
from daep_prior.schedules import SMALLEST_NOISE

__all__ = ["ITERATIONS", "NETWORK_PEERS", "Settings", "Task", "tables", "task", "tuned"]

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
    :param float weight: :math:`w`, the lambda of DPIR; half the ``g`` of :class:`daep_prior.schedules.Phase`.
    :param float step: :math:`t`, relative length of the prior's step (RED, gradient-step PnP, DMSP).
    """

    first: float
    last: float
    weight: float
    step: float = 1.0


#: Evaluations of the network, by peer.
ITERATIONS = {"pnp-hqs": 8, "pnp-hqs-24": 24, "pnp-admm": 30, "red": 30, "gs-pnp": 30, "dmsp": 30}

#: Peers that use the given network.
NETWORK_PEERS = tuple(ITERATIONS)


def task(physics: LinearPhysics) -> Task:
    """The task of a physics; ``"deblurring"`` for every physics that is none of the others."""
    if isinstance(physics, Inpainting):
        return "inpainting"
    if isinstance(physics, (BicubicDownsampling, Downsampling, DownsamplingMatlab)):
        return "super-resolution"
    return "denoising" if isinstance(physics, Denoising) else "deblurring"


def tuned(name: str, sigma: float, task: Task) -> dict[str, float]:
    """Parameters of a peer by name: geometric between the tuned noise levels, constant beyond them.

    Noise 0 is treated as :data:`daep_prior.schedules.SMALLEST_NOISE`, as in our own schedules.

    :param str name: one of :data:`daep_compare.peers.PEERS`.
    :param float sigma: noise standard deviation, images in [0, 1].
    :return: the fields of :class:`Settings`; of a classical peer ``weight`` or ``iterations``.
    """
    rows = [(max(float(noise) / 255, SMALLEST_NOISE), row) for noise, row in tables()[name][task].items()]
    below = [row for row in rows if row[0] <= sigma] or rows[:1]
    above = [row for row in rows if row[0] >= sigma] or rows[-1:]
    (low, a), (high, b) = below[-1], above[0]
    share = 0.0 if low >= high else math.log(sigma / low) / math.log(high / low)
    return {field: a[field] ** (1 - share) * b[field] ** share for field in a}


@cache
def tables() -> dict[str, dict[Task, dict[str, dict[str, float]]]]:
    """Peer -> task -> noise level, of 255, rising -> parameters by name, as in ``settings.json``."""
    read: dict[str, dict[Task, dict[str, dict[str, float]]]]
    read = json.loads(files(__package__).joinpath("settings.json").read_text())["tuned"]
    return read
