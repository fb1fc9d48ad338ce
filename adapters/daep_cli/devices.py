"""``--device``: where to compute."""

import torch


def pick_device(name: str | None) -> torch.device:
    """The device of that name; default: the GPU if there is one. A device that does not work is a ``ValueError``."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        # each kind of device is asked differently whether it exists, so use it
        torch.zeros(1, device=device).add(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name}: not usable here; try cpu, or leave it out.") from error
    return device
