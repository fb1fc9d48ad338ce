"""Build a network from its configuration, the dictionary that weight files contain."""

from __future__ import annotations

from typing import Any

from daep_prior.networks.conv import ConvDAE
from daep_prior.networks.dae import DAE
from daep_prior.networks.unet import UNetDAE

__all__ = ["ARCHITECTURES", "build_network"]

ARCHITECTURES: dict[str, type[DAE]] = {cls.architecture: cls for cls in (ConvDAE, UNetDAE)}


def build_network(config: dict[str, Any]) -> DAE:
    """The network, in its training form and with fresh weights, of a configuration as :meth:`DAE.config` returns it.

    :param dict config: ``architecture`` and the arguments of its class.
    :raises ValueError: unknown architecture, or arguments it does not take.
    """
    arguments = dict(config)
    name = arguments.pop("architecture", None)
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture: got {name!r}; expected one of {sorted(ARCHITECTURES)}.")
    if arguments.get("sigma_range") is not None:
        arguments["sigma_range"] = tuple(arguments["sigma_range"])
    try:
        return ARCHITECTURES[name](**arguments)
    except TypeError as error:
        raise ValueError(f"network configuration {config}: {error}") from error
