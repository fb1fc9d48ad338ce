"""The blur of a photograph that varies over it: one kernel for each of a grid of overlapping regions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from daep_deepinv.blind.arguments import checked_size
from daep_deepinv.blind.doubts import is_trusted, warn_of
from daep_deepinv.blind.kernels import found_blurs, stacked
from daep_deepinv.blind.prior import BlindPrior
from daep_deepinv.blind.varying_camera import CONFIRMED, Judge, camera_blur, refined_blur, suits
from daep_deepinv.blind.varying_kernel import VaryingBlur, VaryingKernel, region_count
from daep_deepinv.blind.varying_position import in_the_middle
from daep_deepinv.caller_warnings import warn_caller
from daep_prior.blind import FoundBlur, similarity
from daep_prior.blind.kernel_shape import fitted, trimmed
from daep_prior.blind.region import SIDES_PER_KERNEL
from daep_prior.blind.several_starts import FollowStarts

#: Least side of a region, pixels. It is less than that of the region in a photograph of one blur, as the blur varies
#: more in a larger one. Chosen by hand.
LEAST_SIDE = 160
#: Most regions down and across: 16 estimates take minutes. Chosen by hand.
MOST_REGIONS = 4
#: Power of the similarity with which kernels are averaged. On training photographs, 3 to 10 gave kernels of a lens that
#: were 0.006 more similar to the true ones, and worse ones of unlike trails; 20 made those of a rotation 0.02 worse.
ALIKE = 40
#: Share of the regions that must be trusted. With fewer, one kernel is more reliable. Chosen by hand.
LEAST_TRUSTED = 0.5
#: Least share of the variation of the kernels that two starts for a camera must repeat. It was 0.71 under a
#: rotation and 0.42 under a lens, in one training photograph each.
REPEATED = 0.5
#: Misfit of kernels that vary, over that of one kernel, up to which they are taken. One kernel explains a rotation and
#: a lens as well as they do (1.00 for the poses, 1.005 for the regions), but restored worse, by 5.0 and 0.6 dB, when
#: this was chosen. The poses of one start must have less than 1.
NO_WORSE = 1.04


def found_varying_blur(
    y: Tensor, size: int | None, prior: BlindPrior, starts: int, seed: int, follow: FollowStarts | None = None
) -> VaryingBlur:
    """The blur of a photograph (1, C, h, w) that varies over it.

    If the photograph is small enough, see :func:`daep_deepinv.blind.varying_camera.suits`, one kernel is found first.
    Then the poses of a camera are sought. They are taken, and refined, if two starts find the same variation of the
    kernels, see :data:`REPEATED`, and it explains the photograph about as well as one kernel, see :data:`NO_WORSE`.
    Otherwise each region has a kernel of its own. If these explain it worse, it has one kernel; this is warned of.
    Parts that are turned against each other may look sharp together. Then the regions come first, and poses are sought
    if they find a blur.

    The parameters are those of :func:`daep_deepinv.blind.kernels.found_blurs`; ``follow`` counts all starts.
    """
    largest = checked_size(size, y)
    if not suits(y):
        return _by_regions(y, largest, prior, starts, seed, follow)
    one = _whole(y, largest, prior, starts, seed, follow)
    regions, made = None, starts
    if one.verdict not in ("found", "not found"):
        regions = _by_regions(y, largest, prior, starts, seed, None if follow is None else _counted(follow, made), one)
        if regions.verdict != "found":
            return regions
        made += starts * regions.kernel.trusted.numel()
    judge = Judge(y, largest, prior)
    single = judge.misfit(one.kernel[None, None])
    camera = camera_blur(judge, starts, seed, None if follow is None else _counted(follow, made))
    agreed = camera.blur.confidence >= CONFIRMED or starts == 1
    if agreed and camera.repeated >= REPEATED and camera.misfit < (single if starts == 1 else NO_WORSE * single):
        return refined_blur(judge, camera, seed, None if follow is None else _counted(follow, made))
    if regions is not None:
        return regions
    counted = None if follow is None else _counted(follow, 2 * starts)
    regions = _by_regions(y, largest, prior, starts, seed, counted, one)
    if regions.kernel.kernels.shape[:2] == (1, 1) or judge.misfit(regions.kernel.kernels) <= NO_WORSE * single:
        return regions
    return _one_kernel(y, one, starts, largest, "the kernels of the regions explain it worse")


def _by_regions(
    y: Tensor,
    largest: int,
    prior: BlindPrior,
    starts: int,
    seed: int,
    follow: FollowStarts | None,
    one: FoundBlur | None = None,
) -> VaryingBlur:
    """One kernel for each of a grid of regions.

    A kernel is trusted if it is found, or the region is sharp, with a confidence of at least ``UNCERTAIN``. The others
    are replaced by means of trusted neighbours. If less than :data:`LEAST_TRUSTED` of the regions are trusted, or the
    photograph is too small for two, it has one kernel, that of ``one`` if it is given; this is warned of.
    """
    side = max(LEAST_SIDE, SIDES_PER_KERNEL * largest)
    shape = (y.shape[2], y.shape[3])
    rows, columns = (region_count(n, side, MOST_REGIONS) for n in shape)
    if rows * columns == 1:
        smaller = "; a smaller size= needs smaller ones" if side > LEAST_SIDE else ""
        reason = f"it has {shape[0]} x {shape[1]} pixels, too few for two regions of {side} pixels{smaller}"
        return _one_kernel(y, one or _whole(y, largest, prior, starts, seed, follow), starts, largest, reason)
    found: list[FoundBlur] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about regions; those that are not found are replaced
        for number, (down, across) in enumerate(_regions(shape, (rows, columns), side)):
            counted = None if follow is None else _counted(follow, number * starts)
            found += found_blurs(y[..., down, across], largest, prior, starts, seed, counted, whole=False)
    trusted = torch.tensor([is_trusted(one, starts) for one in found]).view(rows, columns)
    if float(trusted.float().mean()) < LEAST_TRUSTED:
        reason = f"it is found in {int(trusted.sum())} of {rows * columns} regions"
        return _one_kernel(y, one or _whole(y, largest, prior, starts, seed, follow), starts, largest, reason)
    kernels = stacked([one.kernel for one in found])[:, 0]
    if kernels.shape[-1] > 1:
        kernels = in_the_middle(kernels)
        side = min(largest, trimmed(kernels.amax(0)).shape[0])
        kernels = torch.stack([fitted(kernel, side) for kernel in kernels])
        kernels = kernels / kernels.sum((1, 2), keepdim=True)  # the shift may put a little light outside ``size``
    kernels = filled(smoothed(kernels.view(rows, columns, *kernels.shape[1:]), trusted), trusted)
    confidence = sum(one.confidence for one, good in zip(found, trusted.flatten(), strict=True) if good) / len(found)
    verdict = "sharp" if kernels.shape[-1] == 1 else "found"
    return VaryingBlur(VaryingKernel(kernels, trusted, shape), confidence, verdict)


def smoothed(kernels: Tensor, trusted: Tensor) -> Tensor:
    """The kernels (rows, columns, n, n), averaged with their trusted neighbours, also those across the corner.

    The weight of a neighbour is the similarity to it to the power of :data:`ALIKE`. So the errors of regions of almost
    one blur average out, and unlike trails do not mix.
    """
    places, flat = trusted.nonzero(), kernels[trusted]
    new = kernels.clone()
    for one, place in zip(flat, places, strict=True):
        near = (places - place).abs().amax(1) <= 1
        weights = torch.tensor([similarity(one, other) ** ALIKE for other in flat[near]])
        new[tuple(place)] = (weights[:, None, None] * flat[near]).sum(0) / weights.sum()
    return new


def filled(kernels: Tensor, trusted: Tensor) -> Tensor:
    """The kernels (rows, columns, n, n); those that are not trusted are means of the nearest that are."""
    places = torch.stack(torch.meshgrid(*map(torch.arange, trusted.shape), indexing="ij"), -1).float()
    good, filled = places[trusted], kernels.clone()
    for row, column in (~trusted).nonzero().tolist():
        distances = (good - places[row, column]).norm(dim=1)
        nearest = distances <= distances.min() + 0.5  # with those across the corner
        filled[row, column] = kernels[trusted][nearest].mean(0)
    return filled


def _regions(shape: tuple[int, int], counts: tuple[int, int], least: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each region: around its centre, inside the photograph, all of one size."""
    spans = []
    for length, count in zip(shape, counts, strict=True):
        stride = length / (count + 1)
        side = min(length, max(least, round(2 * stride)))
        starts = [round(min(max(0, stride * (i + 1) - side / 2), length - side)) for i in range(count)]
        spans.append([slice(start, start + side) for start in starts])
    return [(down, across) for down in spans[0] for across in spans[1]]


def _whole(y: Tensor, size: int, prior: BlindPrior, starts: int, seed: int, follow: FollowStarts | None) -> FoundBlur:
    """One blur of the whole photograph; without its warnings, see :func:`_one_kernel`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = found_blurs(y, size, prior, starts, seed, follow, whole=False)
    return found


def _one_kernel(y: Tensor, found: FoundBlur, starts: int, size: int, reason: str) -> VaryingBlur:
    """One kernel for the whole photograph, with the warnings about it."""
    warn_caller(f"y: one kernel is used for the whole photograph: {reason}.")
    warn_of(found, 0, starts, size)
    kernel = VaryingKernel(found.kernel[None, None], torch.ones(1, 1, dtype=torch.bool), (y.shape[2], y.shape[3]))
    return VaryingBlur(kernel, found.confidence, found.verdict)


def _counted(follow: FollowStarts, before: int) -> Callable[[int, float, int, Tensor], None]:
    return lambda start, factor, number, kernel: follow(before + start, factor, number, kernel)
