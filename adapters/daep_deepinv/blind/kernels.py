"""``estimate_kernel``: the blur kernels of photographs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_deepinv.blind.arguments import checked_photographs, checked_size, seeds_of
from daep_deepinv.blind.doubts import is_trusted, warn_of
from daep_deepinv.blind.prior import SHARPENER, BlindPrior, as_blind_prior
from daep_deepinv.noise_estimation.jpeg import jpeg_traces
from daep_prior.arguments import whole_number
from daep_prior.blind import BlindSettings, FoundBlur, find_blur
from daep_prior.blind.several_starts import FollowStarts
from daep_prior.blind.variation import other_quarters

#: Largest number of starts. Three differ in the factor between two scales.
STARTS = 5


def estimate_kernel(
    y: Tensor,
    size: int | None = None,
    *,
    denoiser: nn.Module | str | os.PathLike[str] = "dae",
    sharpener: nn.Module | str | os.PathLike[str] = SHARPENER,
    starts: int = STARTS,
    seed: int | Sequence[int] = 0,
) -> Tensor:
    """The blur kernel of each photograph, as deepinv's :class:`~deepinv.physics.Blur` takes it.

    :param torch.Tensor y: blurred photographs (B, C, h, w) in [0, 1], grey or colour. Each is estimated by itself.
    :param int size: side of the largest kernel that is sought, pixels, at least 3; an even one counts as the next odd
        one. Default: an eighth of the photograph, 9 to 31. All values of a kernel lie in a square of this side.
    :param denoiser: judges the kernels: a noise-conditional DAE, a shipped name or a weight file.
    :param sharpener: finds the kernel, see :class:`daep_deepinv.BlindDAEP`.
    :param int starts: largest number of starts of a network, see :class:`daep_deepinv.BlindDAEP`.
    :param int, list seed: of the noise; one, or one an image.
    :return: (B, 1, n, n), n odd, at most about 1.5 ``size``; not negative, sum 1, centre of mass in the middle pixel.
        One pixel: the photograph is sharp, or its blur is not found, which is warned of.
    :raises ValueError: ``y`` is not a batch of photographs in [0, 1], is too small for ``size``, an argument is out of
        range, or a network is for one noise level.
    :raises FileNotFoundError: ``denoiser`` or ``sharpener`` names no network.

    >>> import torch
    >>> from daep_deepinv import estimate_kernel
    >>> estimate_kernel(torch.rand(1, 1, 64, 64), size=5, starts=1).sum().round()
    tensor(1.)
    """
    found = found_blurs(checked_photographs(y), size, as_blind_prior(denoiser, sharpener), starts, seed)
    return stacked([one.kernel for one in found]).to(y.device)


def found_blurs(
    y: Tensor,
    size: int | None,
    prior: BlindPrior,
    starts: int,
    seed: int | Sequence[int],
    follow: FollowStarts | None = None,
    whole: bool = True,
) -> list[FoundBlur]:
    """The blur of each photograph; warns of those that are not found, or may vary over it.

    The parameters are those above.

    :param bool whole: the photographs are no regions of one. With two starts or more, and if nothing graver
        is warned of, another blur is sought in their quarters, see :func:`daep_prior.blind.variation.other_quarters`.
    """
    settings = replace(BlindSettings(), size=checked_size(size, y))
    starts, seeds = whole_number("starts", starts), seeds_of(seed, len(y))

    with torch.inference_mode(False), torch.no_grad():
        photographs = [one[None].clone() for one in y.detach().to("cpu", torch.float32)]
        errors = [_error(photograph) for photograph in photographs]
        networks = (prior.sharpen, prior.prediction_error)
        found = [
            find_blur(photograph, prior.judge, settings, starts, s, follow, *networks, error)
            for photograph, s, error in zip(photographs, seeds, errors, strict=True)
        ]
        judging = (prior.judge, prior.sharpen, settings, prior.prediction_error)
        others = [
            other_quarters(photograph.mean(1, keepdim=True), one.kernel, *judging, error)
            if whole and starts > 1 and one.verdict == "found" and is_trusted(one, starts)
            else 0
            for photograph, one, error in zip(photographs, found, errors, strict=True)
        ]
    for number, (one, other) in enumerate(zip(found, others, strict=True)):
        warn_of(one, number, starts, settings.size, other)
    return found


def _error(photograph: Tensor) -> float:
    """What JPEG has changed in a photograph (1, C, h, w); 0 if it does not show."""
    traces = jpeg_traces(photograph)
    return 0.0 if traces is None else traces.error


def stacked(kernels: list[Tensor]) -> Tensor:
    """Kernels (n, n) of different sizes in one tensor (B, 1, n, n), each in the middle."""
    side = max(kernel.shape[0] for kernel in kernels)
    margins = [math.floor((side - kernel.shape[0]) / 2) for kernel in kernels]
    return torch.stack([F.pad(k, (m,) * 4)[None] for k, m in zip(kernels, margins, strict=True)])
