"""The methods of a comparison by name: DAEP's presets and the peers."""

from __future__ import annotations

from deepinv.physics import LinearPhysics
from torch import nn

from daep_compare.peers import DOWNLOADING, PEERS, Peer, task
from daep_deepinv import DAEP
from daep_prior.schedules import PRESETS

__all__ = ["known_methods", "make_method", "usual_methods"]

#: Prefix of DAEP's presets: ``daep-annealed``, ``daep-paper``, ...
OURS = "daep-"


def known_methods() -> tuple[str, ...]:
    """Every name that :func:`daep_compare.compare` takes."""
    return (*(OURS + preset for preset in PRESETS), *PEERS, *DOWNLOADING)


def usual_methods(physics: LinearPhysics, sigma: float) -> tuple[str, ...]:
    """The methods compared by default: all that can restore this physics and download nothing.

    Of the paper's two solvers only the one for the task.
    """
    enlarging = task(physics) == "super-resolution" and sigma == 0
    other = OURS + ("paper" if enlarging else "paper-sr")
    ours = [OURS + preset for preset in PRESETS if OURS + preset != other]
    only_blur = () if task(physics) == "deblurring" else ("richardson-lucy",)
    return (*ours, *(name for name in PEERS if name not in only_blur))


def make_method(name: str, sigma: float, network: nn.Module, seed: int, physics: LinearPhysics) -> nn.Module:
    """The method as a deepinv ``Reconstructor``.

    :raises ValueError: the method cannot restore this physics.
    """
    if name.startswith(OURS):
        return DAEP(sigma, network, name.removeprefix(OURS), seed=seed)
    return Peer(name, sigma, network, seed=seed).solver(physics)
