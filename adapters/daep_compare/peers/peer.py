"""``Peer``: a method of comparison, called as any deepinv reconstructor."""

from __future__ import annotations

import os
from typing import Any

from deepinv.models import Reconstructor
from deepinv.physics import Blur, BlurFFT, LinearPhysics
from torch import Tensor, nn

from daep_compare.peers.classical import CLASSICAL_PEERS, CLASSICAL_SOLVERS
from daep_compare.peers.downloading import DOWNLOADING, DOWNLOADING_SOLVERS
from daep_compare.peers.network import network_solver
from daep_compare.peers.tuned_settings import NETWORK_PEERS, Settings, task, tuned
from daep_deepinv.denoiser import as_denoiser
from daep_prior.arguments import real_number
from daep_prior.schedules import SMALLEST_NOISE

__all__ = ["PEERS", "Peer"]

#: All peers that run without a download.
PEERS = NETWORK_PEERS + CLASSICAL_PEERS


class Peer(Reconstructor):
    """A method of comparison by name.

    Every call makes a new deepinv solver (:meth:`solver`): its parameters depend on the physics, and some of deepinv's
    priors keep a state that would pass from one image to the next.

    :param str name: one of :data:`PEERS` or :data:`DOWNLOADING`.
    :param float sigma: noise standard deviation of the measurement, images in [0, 1]; 0: noise-free.
    :param denoiser: the network: any deepinv denoiser, a DAE, a shipped name or a weight file.
    :param parameters: instead of the tuned ones: :class:`Settings` for a peer with a network, one number for a
        classical peer (weight of the prior; for ``"richardson-lucy"`` the number of iterations).
    :param int seed: of the noise that DMSP draws.
    :raises ValueError: unknown name, negative ``sigma``, or a network peer without a denoiser.

    >>> import torch
    >>> from daep_compare.peers import Peer
    >>> from daep_deepinv import degradation
    >>> physics = degradation(sigma=0.1)
    >>> y = physics(torch.rand(1, 3, 32, 32))
    >>> Peer("pnp-hqs", 0.1, "dae")(y, physics).shape
    torch.Size([1, 3, 32, 32])
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
        if name in NETWORK_PEERS and denoiser is None:
            raise ValueError(f"denoiser: got None; expected a network, as in Peer({name!r}, sigma, 'dae').")
        self.sigma = real_number("sigma", sigma, "a finite noise level")
        self.name, self.parameters, self.seed = name, parameters, seed
        self.denoiser = as_denoiser(denoiser) if name in NETWORK_PEERS and denoiser is not None else None

    def solver(self, physics: LinearPhysics) -> Reconstructor:
        """deepinv's own solver, set up for this physics.

        :raises ValueError: the method cannot restore this physics, or ``parameters`` are of the wrong kind.
        """
        if self.name in DOWNLOADING:
            return DOWNLOADING_SOLVERS[self.name](max(self.sigma, SMALLEST_NOISE))
        if self.name == "richardson-lucy" and not isinstance(physics, (Blur, BlurFFT)):
            raise ValueError(f"physics: got {type(physics).__name__}; richardson-lucy is for blurred images only.")
        given = self.parameters
        found = tuned(self.name, self.sigma, task(physics)) if given is None else {}
        if self.denoiser is not None:
            settings = Settings(**found) if given is None else given
            if not isinstance(settings, Settings):
                raise ValueError(f"parameters: got {given!r}; expected Settings for {self.name!r}.")
            return network_solver(self.name, settings, self.sigma, self.denoiser, self.seed)
        if isinstance(given, Settings):
            raise ValueError(f"parameters: got {given!r}; expected one number for {self.name!r}.")
        make = CLASSICAL_SOLVERS[self.name]
        return make(**found) if given is None else make(float(given))

    def forward(self, y: Tensor, physics: LinearPhysics, **kwargs: Any) -> Any:
        """Restore ``y``.

        :param torch.Tensor y: measurement, (B, C, h, w).
        :param deepinv.physics.LinearPhysics physics: forward model.
        :param kwargs: passed to deepinv's solver (``x_gt``, ``compute_metrics``).
        :return: images (B, C, H, W); with ``compute_metrics`` also the metrics, for iterative methods.
        """
        return self.solver(physics).to(y.device)(y, physics, **kwargs)
