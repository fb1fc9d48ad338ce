"""``daep info``: what a bug report needs to say."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from daep_cli.devices import pick_device
from daep_prior import shipped_networks
from daep_prior.networks import fast_dtype

__all__ = ["facts"]


def facts(device_name: str | None = None) -> list[tuple[str, str]]:
    """(name, value) of what the results depend on.

    :param str device_name: see :func:`daep_cli.devices.pick_device`.
    :raises ValueError: no such device.
    """
    device = pick_device(device_name)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return [
        ("daep-prior", _version("daep-prior")),
        ("deepinv", _version("deepinv")),
        ("torch", torch.__version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("device", f"{device} ({hardware})"),
        ("convolutions", str(fast_dtype(device)).removeprefix("torch.")),
        ("networks", ", ".join(shipped_networks()) or "none shipped"),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
