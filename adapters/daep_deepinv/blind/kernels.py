"""``estimate_kernel``: the blur kernels of photographs."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_deepinv.blind.prior import SHARPENER, BlindPrior, as_blind_prior
from daep_deepinv.caller_warnings import warn_caller
from daep_deepinv.noise_estimation.jpeg import jpeg_traces
from daep_deepinv.value_range import bounds_warning
from daep_prior.arguments import checked_seeds, whole_number
from daep_prior.blind import BlindSettings, FoundBlur, find_blur
from daep_prior.blind.confidence import UNCERTAIN
from daep_prior.blind.kernel_shape import extent, window_of
from daep_prior.blind.several_starts import FollowStarts
from daep_prior.images import RGB

#: Side of the largest kernel that is sought by default, as a share of the photograph's smaller side, and its limits,
#: pixels. Levin's photographs have kernels of up to 27 pixels in 255.
SIZE_SHARE, SMALLEST_SIZE, LARGEST_DEFAULT = 1 / 8, 9, 31
#: Least side of the largest kernel, pixels: at the coarsest scale it has three.
SMALLEST_SIDE = 3
#: Smallest height and width of a photograph, in sides of the largest kernel, and in pixels. Chosen by hand.
LEAST_SIDES, LEAST_PIXELS = 3, 32
#: A photograph with values outside these is not in [0, 1].
DARKEST, BRIGHTEST = -0.5, 1.5
#: Share of the light of a kernel that fills ``size``, whose extent the warning names.
MOST_LIGHT = 0.9
#: Largest number of starts. Three differ in the factor between two scales.
STARTS = 5

#: What to do about a blur that is not found, and about an uncertain one.
ADVICE = {
    "no texture": "it has no texture that shows a blur; give a photograph or a region with edges",
    "not found": "the starts disagree; give a region with edges in all directions and without saturated lights, a "
    "size= close to the extent of the blur, or more starts=. A blur that varies over the image has no one kernel",
}
TRY = "try a region with more edges, another size= or more starts="


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
) -> list[FoundBlur]:
    """The blur of each photograph; warns of those that are not found. The parameters are those above."""
    settings = replace(BlindSettings(), size=checked_size(size, y))
    starts, seeds = whole_number("starts", starts), seeds_of(seed, len(y))

    with torch.inference_mode(False), torch.no_grad():
        photographs = [one[None].clone() for one in y.detach().to("cpu", torch.float32)]
        networks = (prior.sharpen, prior.prediction_error)
        found = [
            find_blur(photograph, prior.judge, settings, starts, s, follow, *networks, _error(photograph))
            for photograph, s in zip(photographs, seeds, strict=True)
        ]
    for number, one in enumerate(found):
        warn_of(one, number, starts, settings.size)
    return found


def _error(photograph: Tensor) -> float:
    """What JPEG has changed in a photograph (1, C, h, w); 0 if it does not show."""
    traces = jpeg_traces(photograph)
    return 0.0 if traces is None else traces.error


def warn_of(found: FoundBlur, number: int, starts: int, size: int) -> None:
    """Warn if the blur of a photograph is not found, or uncertain."""
    doubt = _doubt(found, number, starts, size)
    if doubt is not None:
        warn_caller(f"y: {doubt}.")


def _doubt(found: FoundBlur, number: int, starts: int, size: int) -> str | None:
    """What speaks against the blur of a photograph, and what to do; the gravest alone."""
    blur, compare = f"the blur of photograph {number}", "compare the result with the photograph"
    if found.verdict in ADVICE:
        return f"{blur} is not found: {ADVICE[found.verdict]}"
    if found.verdict != "found":
        return None
    confidence = f"confidence {found.confidence:.2f}; " if starts > 1 else ""
    advice = f"{confidence}{compare}, and {TRY}"
    if found.doubt > 1:
        return f"{blur} may be wrong: the restoration overshoots the photograph, {advice}"
    if starts > 1 and found.confidence < UNCERTAIN:
        return f"{blur} is uncertain, {advice}"
    if size > LARGEST_DEFAULT:
        often = f"kernels of more than {LARGEST_DEFAULT} pixels are often wrong"
        return f"{blur} was sought with size={size}; {often}; {compare}"
    if extent(found.kernel) >= size:
        inner = window_of(found.kernel, MOST_LIGHT)
        light = f"{MOST_LIGHT:.0%} of its light is in {inner} x {inner} pixels"
        advice = "if the blur is larger, give a larger size="
        if inner < size:
            advice = "if they hold the blur, give a smaller size=, if it is larger, a larger one"
        return f"the kernel of photograph {number} fills size={size}; {light}; {advice}; {compare}"
    return None


def checked_photographs(y: Any) -> Tensor:
    """``y``, a batch of photographs, without a graph.

    :raises ValueError: it is not, or too small, or not in [0, 1].
    """
    if not isinstance(y, Tensor) or not y.is_floating_point() or y.ndim != 4 or 0 in y.shape:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(f"y: got {got}; expected photographs, a floating-point tensor (B, C, h, w).")
    y = y.detach()
    if not bool(y.isfinite().all()):
        raise ValueError("y: the photograph contains NaN or infinite values; expected finite numbers.")
    least, most = float(y.min()), float(y.max())
    if least < DARKEST or most > BRIGHTEST:
        raise ValueError(f"y: got values from {least:.3g} to {most:.3g}; expected photographs in [0, 1].")
    if min(y.shape[2:]) < LEAST_PIXELS:
        last = y.shape[3] in (1, RGB) and y.shape[1] >= LEAST_PIXELS
        order = " Its channels seem to be last; expected (B, C, h, w), as y.movedim(-1, 1) gives." if last else ""
        raise ValueError(
            f"y: got {y.shape[3]} x {y.shape[2]} pixels; expected at least {LEAST_PIXELS} x {LEAST_PIXELS}.{order}"
        )
    return y


def warn_of_clipping(y: Tensor) -> None:
    """Warn if photographs (B, C, h, w) have values clearly outside [0, 1]: results are clipped."""
    if any(bounds_warning(one, (0.0, 1.0)) is not None for one in y):
        least, most = float(y.min()), float(y.max())
        warn_caller(f"y: got values from {least:.3g} to {most:.3g}; results are clipped to [0, 1], so scale y to it.")


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """The seed of each of ``count`` photographs.

    :raises ValueError: no whole numbers, or not as many as photographs.
    """
    seeds = checked_seeds(seed)
    if isinstance(seeds, int):
        return [seeds] * count
    if len(seeds) != count:
        raise ValueError(f"seed: got {len(seeds)} seeds for {count} photographs; give one, or one a photograph.")
    return seeds


def checked_size(size: int | None, y: Tensor) -> int:
    """The side of the largest kernel for photographs ``y``, odd; an even ``size`` counts as the next odd one.

    :raises ValueError: it is not a whole number from 3 on, or too large for the photographs.
    """
    smaller = min(y.shape[2:])
    if size is None:
        return 2 * (round(min(LARGEST_DEFAULT, max(SMALLEST_SIZE, SIZE_SHARE * smaller))) // 2) + 1
    side = 2 * (whole_number("size", size, SMALLEST_SIDE) // 2) + 1
    if LEAST_SIDES * side > smaller:
        raise ValueError(
            f"size: got {size} pixels for a photograph of {y.shape[3]} x {y.shape[2]}; expected at most "
            f"{(smaller // LEAST_SIDES - 1) // 2 * 2 + 1}, a third of its smaller side."
        )
    return side


def stacked(kernels: list[Tensor]) -> Tensor:
    """Kernels (n, n) of different sizes in one tensor (B, 1, n, n), each in the middle."""
    side = max(kernel.shape[0] for kernel in kernels)
    margins = [math.floor((side - kernel.shape[0]) / 2) for kernel in kernels]
    return torch.stack([F.pad(k, (m,) * 4)[None] for k, m in zip(kernels, margins, strict=True)])
