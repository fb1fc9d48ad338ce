"""``--denoiser``: the network that restores."""

from __future__ import annotations

import torch

from daep_cli.errors import named
from daep_prior import DAE, load_dae

__all__ = ["read_network"]


def read_network(name: str, device: torch.device) -> DAE:
    """The network of that name or file, see :func:`daep_prior.load_dae`.

    :raises FileNotFoundError: no such file, or no shipped network of that name.
    :raises ValueError: unusable weights, or a package that reads them is missing.
    :raises ConnectionError: a repository that cannot be fetched.
    """
    with named("--denoiser ", name):
        return load_dae(name, device)
