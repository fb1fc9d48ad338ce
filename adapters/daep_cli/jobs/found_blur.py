"""The blur that is found in a photograph: for its restoration, on the screen, and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daep_cli.jobs.measurement import Measurement
from daep_cli.kernels.blind import as_picture, blind_kernel, without_gaps
from daep_cli.kernels.choosing import without_effect
from daep_cli.kernels.drawing import encode_kernel
from daep_cli.screen import remark
from daep_cli.whole_files import write_whole
from daep_prior.blind.several_starts import FollowStarts


def with_found_blur(
    measured: Measurement, network: Any, seed: int, size: int | None, varying: bool, follow: FollowStarts | None
) -> Measurement:
    """A measurement with the kernel that is found in it, ``None`` if it is sharp or not found, and what is said of it.

    The other parameters are those of :func:`daep_cli.kernels.blind.blind_kernel`.
    """
    y, gaps = without_gaps(measured.image(), measured.known)
    kernel, words = blind_kernel(y, network, seed, size, varying, follow)
    words += gaps
    if isinstance(kernel, np.ndarray):
        return measured._replace(kernel=without_effect(kernel), blur=words)
    return measured._replace(kernel=None if kernel.kernels.shape[-1] == 1 else kernel, blur=words)


def write_found_kernel(measured: Measurement, path: Path, overwrite: bool) -> None:
    """Write the kernel of a measurement as ``daep kernel`` does; says so if it is one pixel."""
    if measured.kernel is None:
        remark(f"--kernel-out {path}: contains a kernel of one pixel, which blurs nothing: {measured.blur}.")
    write_whole(path, encode_kernel(as_picture(measured.kernel), path.suffix), overwrite)
