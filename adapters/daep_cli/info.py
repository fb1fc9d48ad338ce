"""``daep info``: what a bug report needs to say."""

from __future__ import annotations

import platform
from typing import Any

import torch

from daep_cli.devices import pick_device
from daep_cli.versions import installed
from daep_prior import shipped_networks
from daep_prior.inference import fast_dtype
from daep_prior.pretrained import read_card

__all__ = ["facts"]


def facts(device_name: str | None = None) -> list[tuple[str, str]]:
    """(name, value) of what the results depend on; a network's figures are those of its own card.

    :param str device_name: see :func:`daep_cli.devices.pick_device`.
    :raises ValueError: no such device.
    """
    device = pick_device(device_name)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    dtype = str(fast_dtype(device)).removeprefix("torch.")
    return [
        ("daep-prior", installed("daep-prior")),
        ("deepinv", installed("deepinv")),
        ("torch", torch.__version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("device", f"{device} ({hardware})"),
        ("convolutions", f"{dtype}, channels-last; everything else float32"),
        *((f"network {name}", _network(read_card(name))) for name in shipped_networks()),
    ]


def _network(card: dict[str, Any]) -> str:
    """Architecture, size, and what it denoises its held-out images to."""
    network = card["config"]["network"]
    figures = {name: value for name, value in card["validation"][-1].items() if name.isdigit()}
    denoised = ", ".join(f"{value:.2f} dB at {level}" for level, value in figures.items())
    told = "for one noise level" if network["sigma"] else "told the noise level"
    size = f"{card['parameters'] / 1e6:.2f} M parameters"
    return f"{network['architecture']}, {told}, {size}; denoises held-out images to {denoised} of 255"
