"""The methods of the tables: a network under a preset of DAEP, or under a peer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from deepinv.physics.functional import imresize_matlab
from protocol import Case
from torch import Tensor, nn

from daep_compare.peers import Peer
from daep_deepinv import DAEP, BicubicDownsampling
from daep_prior import load_dae
from daep_prior.networks import DAE

#: The paper authors' network, in the data folder.
AUTHORS = "reference/DAE_sigma25.caffemodel"


@dataclass(frozen=True)
class Method:
    """A network under a preset or a peer.

    :param str label: printed name.
    :param str network: a shipped name, or a file in the data folder; ``None``: the measurement itself, upsampled if it
        is smaller than the image.
    :param str preset: of :class:`DAEP`; ``"paper"`` becomes ``"paper-sr"`` for super-resolution.
    :param str noise: of eq. 8, as in :class:`DAEPrior`.
    :param str published: name of the same method in the paper.
    :param str rival: the method that it is compared with on the same cases.
    :param str peer: one of :mod:`daep_compare.peers`, instead of :class:`DAEP`.
    """

    label: str
    network: str | None
    preset: Literal["paper", "annealed", "best"] = "paper"
    noise: Literal["fresh", "none"] = "fresh"
    published: str | None = None
    rival: str | None = None
    peer: str | None = None


METHODS = {
    "measurement": Method("measurement", None, published="measurement"),
    "bicubic": Method("bicubic", None, published="bicubic"),
    "authors": Method("authors' network, paper preset", AUTHORS, published="DAEP"),
    "dae-sigma25": Method("dae-sigma25, paper preset", "dae-sigma25", rival="authors"),
    "dae": Method("dae, default preset", "dae", "annealed", rival="authors"),
    "dae-best": Method("dae, preset best", "dae", "best", rival="dae"),
    "pnp-hqs": Method("PnP-HQS with dae, 8 steps", "dae", "annealed", rival="dae", peer="pnp-hqs"),
    "pnp-hqs-24": Method("PnP-HQS with dae, 24 steps", "dae", "annealed", rival="dae", peer="pnp-hqs-24"),
    "pnp-admm": Method("PnP-ADMM with dae, 30 steps", "dae", "annealed", rival="dae", peer="pnp-admm"),
    "authors-still": Method("authors' network, without eq. 8", AUTHORS, noise="none", rival="authors"),
    "dae-sigma25-still": Method("dae-sigma25, without eq. 8", "dae-sigma25", noise="none", rival="dae-sigma25"),
    "dae-still": Method("dae, without eq. 8", "dae", "annealed", noise="none", rival="dae"),
}


def available(method: Method, data: Path) -> bool:
    """Whether the network is there. Only the authors' can be missing."""
    return method.network != AUTHORS or (data / AUTHORS).is_file()


@cache
def network(name: str, data: Path, device: torch.device) -> DAE:
    """The network of a method, loaded once."""
    return load_dae(data / name if name == AUTHORS else name, device)


def build(method: Method, case: Case, data: Path, device: torch.device, **options: object) -> DAEP:
    """The reconstructor for a case; ``options`` as in :class:`DAEP`."""
    assert method.network is not None
    small = isinstance(case.physics, BicubicDownsampling)
    preset = "paper-sr" if small and method.preset == "paper" else method.preset
    denoiser = network(method.network, data, device)
    return DAEP(case.sigma, denoiser, preset, noise=method.noise, **options)  # type: ignore[arg-type]


def restore(method: Method, case: Case, data: Path, device: torch.device) -> Tensor:
    """The restored image, (1, 3, H, W) on the CPU; bicubic upsampling is MATLAB's ``imresize``, as in the paper."""
    if method.network is None:
        factor = case.clean.shape[-1] / case.measurement.shape[-1]
        return case.measurement if factor == 1 else imresize_matlab(case.measurement, scale=factor)
    if method.peer is not None:
        model: nn.Module = Peer(method.peer, case.sigma, network(method.network, data, device))
    else:
        model = build(method, case, data, device)
    restored: Tensor = model(case.measurement.to(device), case.physics.to(device))
    return restored.cpu()
