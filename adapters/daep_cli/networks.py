"""``--denoiser``: the network."""

import torch

from daep_cli.errors import named
from daep_prior import DAE, load_dae


def read_network(name: str, device: torch.device) -> DAE:
    """The network of that name or file, see :func:`daep_prior.load_dae`.

    :raises FileNotFoundError: no such file, or no shipped network of that name.
    :raises ValueError: unusable weights, or the package that reads them is missing.
    :raises ConnectionError: a repository that cannot be downloaded.
    """
    with named("--denoiser ", name):
        return load_dae(name, device)
