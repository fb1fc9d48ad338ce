"""A blur kernel from the blurred photograph itself: ``blind``, ``blind:PHOTO``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.value_range import ranged

if TYPE_CHECKING:
    from torch import Tensor

Kernel = npt.NDArray[np.float64]

#: Name of the kernel that is estimated from the photograph that is restored; with a colon, from another one.
BLIND = "blind"


def read_blind(path: Path) -> Kernel:
    """The kernel (n, n) of a photograph of one blur; one pixel if it is sharp, or not found, which is warned of."""
    from daep_cli.photographs.tensors import to_tensor

    with named("--kernel blind:", path):
        return blind_kernel(to_tensor(ranged(read_photo(path))))


def blind_kernel(y: Tensor, denoiser: Any = "dae", seed: int = 0) -> Kernel:
    """The kernel (n, n) of a photograph (1, C, H, W) in [0, 1]; the parameters are those of ``estimate_kernel``."""
    from daep_deepinv import estimate_kernel

    kernel: Kernel = estimate_kernel(y.clamp(0, 1), denoiser=denoiser, seed=seed)[0, 0].double().numpy()
    return kernel / kernel.sum()
