"""Blurred measurements with exact and with wrong models: the rows of ``comparison.py``.

Standard deviations of noise are given for white = 255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from deepinv.optim import DPIR
from protocol import Border, Case, as_jpeg, blurred
from scipy.ndimage import rotate
from torch import Tensor, nn

from daep_compare.peers import Peer
from daep_deepinv import DAEP
from daep_prior.schedules import PRESETS


@dataclass(frozen=True)
class Measurement:
    """How an image is measured.

    :param float noise: noise level of the measurement, of 255.
    :param float assumed: noise level that the methods assume, of 255.
    :param str kind: ``independent``; ``grey``: the same in all channels; ``correlated``: averaged over 3 x 3 pixels and
        scaled to the standard deviation ``noise``.
    :param int jpeg: JPEG quality at which the measurement is stored; 0: not stored.
    :param float turned: angle between the true kernel and the assumed one, degrees.
    :param str border: of the blur.
    :param str kernels: whose they are: ``levin``; ``random``: see :func:`training_crops.kernel`.
    """

    noise: float
    assumed: float
    kind: Literal["independent", "grey", "correlated"] = "independent"
    jpeg: int = 0
    turned: float = 0.0
    border: Border = "valid"
    kernels: Literal["levin", "random"] = "levin"


MEASUREMENTS = {
    "2.55": Measurement(2.55, 2.55),
    "7.65": Measurement(7.65, 7.65),
    "12.75": Measurement(12.75, 12.75),
    "5.1, assumed 2.55": Measurement(5.1, 2.55),
    "2.55, assumed 5.1": Measurement(2.55, 5.1),
    "2.55, the same in all channels": Measurement(2.55, 2.55, "grey"),
    "2.55, correlated (3 x 3)": Measurement(2.55, 2.55, "correlated"),
    "2.55, stored as JPEG 90": Measurement(2.55, 2.55, jpeg=90),
    "2.55, kernel turned by 2 degrees": Measurement(2.55, 2.55, turned=2.0),
    "2.55, circular": Measurement(2.55, 2.55, border="circular"),
    "7.65, circular": Measurement(7.65, 7.65, border="circular"),
    "2.55, circular, random kernels": Measurement(2.55, 2.55, border="circular", kernels="random"),
    "7.65, circular, random kernels": Measurement(7.65, 7.65, border="circular", kernels="random"),
}


def measure(clean: Tensor, seed: int, kernel: np.ndarray, how: Measurement) -> Case:
    """The measurement, with the physics and the noise level that the methods assume.

    :param torch.Tensor clean: (1, 3, H, W) in [0, 1].
    :param int seed: of the noise.
    :param numpy.ndarray kernel: the assumed kernel, (h, w).
    """
    assumed = blurred(f"image {seed}", clean, kernel, 0.0, border=how.border)
    y = assumed.measurement
    if how.turned:
        true = rotate(kernel, how.turned, reshape=False, order=1).clip(0)
        y = blurred("", clean, true / true.sum(), 0.0, border=how.border).measurement
    rng = torch.Generator().manual_seed(seed)
    if how.kind == "grey":
        field = torch.randn([1, 1, *y.shape[2:]], generator=rng)
    elif how.kind == "correlated":
        rows, cols = (n + 2 for n in y.shape[2:])
        field = 3 * nn.functional.avg_pool2d(torch.randn([1, 3, rows, cols], generator=rng), 3, 1)
    else:
        field = torch.randn(y.shape, generator=rng)
    y = y + how.noise / 255 * field
    if how.jpeg:
        y = as_jpeg(y, how.jpeg)
    return replace(assumed, measurement=y, sigma=how.assumed / 255)


def restore(method: str, case: Case, network: nn.Module) -> Tensor:
    """The restored image.

    :param str method: a preset of DAEP; ``"estimate"``: the default preset with an estimated noise level; ``"dpir"``:
        DPIR as deepinv has it; or a peer.
    """
    if method == "estimate":
        model: Callable[..., Tensor] = DAEP("estimate", denoiser=network)
    elif method in PRESETS:
        model = DAEP(case.sigma, network, method)
    elif method == "dpir":
        model = DPIR(case.sigma, network)
    else:
        model = Peer(method, case.sigma, network)
    return model(case.measurement, case.physics)
