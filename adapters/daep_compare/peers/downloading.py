"""Peers whose weights deepinv downloads at the first use; they run only if asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepinv.models import Reconstructor
from deepinv.optim import DPIR, EPLL
from deepinv.physics import LinearPhysics
from torch import Tensor

from daep_deepinv.starts.starting_point import starting_point

__all__ = ["DOWNLOADING", "DOWNLOADING_SOLVERS"]


class PatchPrior(Reconstructor):
    """EPLL (Zoran and Weiss, ICCV 2011) with deepinv's patch model for colour images.

    :param float sigma: noise standard deviation, images in [0, 1].
    """

    def __init__(self, sigma: float):
        super().__init__()
        self.sigma, self.model = sigma, EPLL(channels=3)

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Tensor:
        out: Tensor = self.model(y, physics, sigma=self.sigma, x_init=starting_point(y, physics), batch_size=10000)
        return out


#: Peer -> its solver, made from the noise level.
DOWNLOADING_SOLVERS: dict[str, Callable[[float], Reconstructor]] = {"dpir-drunet": DPIR, "epll": PatchPrior}
#: Names of the peers that download.
DOWNLOADING = tuple(DOWNLOADING_SOLVERS)
