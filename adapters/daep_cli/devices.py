"""Which device to compute on."""

from __future__ import annotations

import torch

from daep_prior.inference.heap import keep_freed_memory

__all__ = ["pick_device"]


def pick_device(name: str | None) -> torch.device:
    """The device of that name; by default the GPU if there is one.

    On the processor the memory that is freed is kept from then on, see :mod:`daep_prior.inference.heap`.

    :raises ValueError: no such device on this machine.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # how to ask torch what there is differs by kind of device; using it tells
        torch.zeros(1, device=device).add(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name}: not usable here; try cpu, or leave it out.") from error
    if device.type == "cpu":
        keep_freed_memory()
    return device
