"""The blur that is found in a photograph: for its restoration, on the screen, and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daep_cli.jobs.measurement import Measurement
from daep_cli.kernels.blind import as_picture, blind_kernel
from daep_cli.kernels.choosing import without_effect
from daep_cli.kernels.drawing import encode_kernel
from daep_cli.screen import remark
from daep_cli.whole_files import write_whole
from daep_prior.back_projection import fill_missing
from daep_prior.blind.several_starts import FollowStarts


def with_found_blur(
    measured: Measurement, network: Any, seed: int, size: int | None, varying: bool, follow: FollowStarts | None
) -> Measurement:
    """A measurement with the kernel that is found in it, ``None`` if it is sharp or not found, and what is said of it.

    The other parameters are those of :func:`daep_cli.kernels.blind.blind_kernel`.
    """
    y, gaps = _without_gaps(measured)
    kernel, words = blind_kernel(y, network, seed, size, varying, follow)
    words += gaps
    if isinstance(kernel, np.ndarray):
        return measured._replace(kernel=without_effect(kernel), blur=words)
    return measured._replace(kernel=None if kernel.kernels.shape[-1] == 1 else kernel, blur=words)


def _without_gaps(measured: Measurement) -> tuple[Tensor, str]:
    """The measured image (1, C, H, W), with missing pixels filled from their neighbours, and what is said of that."""
    y = measured.image()
    if measured.known is None or measured.known.all():
        return y, ""
    known = torch.from_numpy(measured.known).to(y).expand_as(y)
    return fill_missing(known * y, known), ", sought with the missing pixels filled in"


def write_found_kernel(measured: Measurement, path: Path, overwrite: bool) -> None:
    """Write the kernel of a measurement as ``daep kernel`` does; says so if it is one pixel."""
    if measured.kernel is None:
        remark(f"--kernel-out {path}: contains a kernel of one pixel, which blurs nothing: {measured.blur}.")
    write_whole(path, encode_kernel(as_picture(measured.kernel), path.suffix), overwrite)
