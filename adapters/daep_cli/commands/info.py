"""``daep info``."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from daep_cli.commands.shared_options import Device
from daep_cli.errors import one_line


def info(device: Device = None) -> None:
    """Show versions, the device with its number type, and the shipped networks, for a bug report.

    **Examples**

    * `daep info`
    * `daep info --device cuda`
    """
    import torch

    from daep_cli.devices import pick_device
    from daep_prior import shipped_networks
    from daep_prior.inference import fast_dtype
    from daep_prior.pretrained import read_card

    place = pick_device(device)
    hardware = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{torch.get_num_threads()} threads"
    dtype = str(fast_dtype(place)).removeprefix("torch.")
    rows = {
        "daep-prior": installed("daep-prior"),
        "deepinv": installed("deepinv"),
        "torch": torch.__version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "device": f"{place} ({hardware})",
        "convolutions": f"{dtype}, channels-last; everything else float32",
        **{f"network {name}": _network(read_card(name)) for name in shipped_networks()},
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {one_line(value)}")


def installed(name: str) -> str:
    """The version of a package, or that it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"


def _network(card: dict[str, Any]) -> str:
    """Architecture, size, and the PSNR of held-out images or the task, of a model card."""
    network = card["config"]["network"]
    level = "for one noise level" if network["sigma"] else "noise-conditional"
    size = f"{card['parameters'] / 1e6:.2f} M parameters"
    if "validation" in card:
        psnr = {name: value for name, value in card["validation"][-1].items() if name.isdigit()}
        denoised = ", ".join(f"{value:.2f} dB at {noise}" for noise, value in psnr.items())
        task = f"denoises held-out images to {denoised} of 255"
    else:
        task = card["task"]
    return f"{network['architecture']}, {level}, {size}; {task}"
