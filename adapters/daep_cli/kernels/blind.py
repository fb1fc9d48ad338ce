"""A blur kernel from the blurred photograph itself: ``blind``, ``blind:PHOTO``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from daep_cli.errors import named
from daep_cli.jobs.progress import blur_bar
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.value_range import ranged
from daep_cli.screen import about, remark

if TYPE_CHECKING:
    from torch import Tensor

    from daep_deepinv.blind.varying_kernel import VaryingKernel

Kernel = npt.NDArray[np.float64]

#: Name of the kernel that is estimated from the photograph that is restored; with a colon, from another one.
BLIND = "blind"
#: What is said of a photograph that is not restored, for each verdict.
NOT_RESTORED = {
    "sharp": "the photograph is sharp, and stays as it is",
    "not found": "the blur is not found, the photograph stays as it is",
    "no texture": "the photograph has no texture that shows a blur, and stays as it is",
}


class BlindKernel(NamedTuple):
    """The kernel of a photograph, one pixel if it is sharp or not found, and what is said of it."""

    kernel: Kernel | VaryingKernel
    words: str


def read_blind(path: Path, size: int | None = None) -> Kernel:
    """The kernel (n, n) of a photograph of one blur, one pixel if it is sharp or not found; says which it is."""
    from daep_cli.photographs.tensors import to_tensor

    with about(path.name), named("--kernel blind:", path), blur_bar(path.name) as follow:
        photo = read_photo(path)
        y, gaps = without_gaps(to_tensor(ranged(photo)), None if photo.missing is None else ~photo.missing)
        kernel, words = blind_kernel(y, size=size, follow=follow)
    remark(f"{path.name}: {words}{gaps}")
    return np.asarray(kernel)


def without_gaps(y: Tensor, known: npt.NDArray[np.bool_] | None) -> tuple[Tensor, str]:
    """A photograph (1, C, H, W) with the pixels that are not ``known`` (H, W) filled from their neighbours, and what is
    said of that; ``None``: all are."""
    import torch

    from daep_prior.back_projection import fill_missing

    if known is None or known.all():
        return y, ""
    mask = torch.from_numpy(known).to(y).expand_as(y)
    return fill_missing(mask * y, mask), ", sought with the missing pixels filled in"


def blind_kernel(
    y: Tensor,
    denoiser: Any = "dae",
    seed: int = 0,
    size: int | None = None,
    varying: bool = False,
    follow: Callable[[int, float, int, Tensor], None] | None = None,
) -> BlindKernel:
    """The kernel of a photograph (1, C, H, W) in [0, 1]; the parameters are those of ``BlindDAEP``."""
    from daep_deepinv.blind.arguments import checked_photographs
    from daep_deepinv.blind.kernels import STARTS, found_blurs
    from daep_deepinv.blind.prior import as_blind_prior
    from daep_deepinv.blind.varying import found_varying_blur

    y, prior = checked_photographs(y.clamp(0, 1)), as_blind_prior(denoiser)
    if varying:
        blur = found_varying_blur(y, size, prior, STARTS, seed, follow)
        trusted = blur.kernel.trusted
        words = f"blur found in {int(trusted.sum())} of {trusted.numel()} regions, "
        return BlindKernel(blur.kernel, _said(blur.verdict, words, blur.kernel.kernels.shape[-1], blur.confidence))
    (found,) = found_blurs(y, size, prior, STARTS, seed, follow)
    kernel: Kernel = found.kernel.double().numpy()
    return BlindKernel(kernel / kernel.sum(), _said(found.verdict, "blur found, ", len(kernel), found.confidence))


def _said(verdict: str, words: str, side: int, confidence: float) -> str:
    found = f"{words}kernel of {side} x {side} pixels, confidence {confidence:.2f}"
    return NOT_RESTORED.get(verdict, found)


def as_picture(kernel: Kernel | VaryingKernel | None) -> Kernel:
    """A kernel (h, w); one pixel for ``None``; kernels that vary side by side, as they stand in the photograph."""
    if kernel is None:
        return np.ones((1, 1))
    if isinstance(kernel, np.ndarray):
        return kernel
    kernels = kernel.kernels.double().numpy()
    rows, columns, height, width = kernels.shape
    side_by_side: Kernel = kernels.swapaxes(1, 2).reshape(rows * height, columns * width)
    return side_by_side / side_by_side.sum()
