"""Shape of a blur kernel: centre, support, small values, islands, size. Kernels are (n, n) with n odd."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Pixels of the longest trail, in sides of its support, counted as ``exp(entropy)``. True kernels of training crops: at
#: most 2.5. Kernels that are noise: 5.6 to 8.3.
TRAIL_PIXELS = 4.5
#: Sum of squared steps between neighbours over the sum of squares of a smooth kernel. A disc of 5 pixels: 0.75; noise
#: over the whole support: 1.2 and more; a trail: 2 to 3.
SMOOTH = 1.0


def one_pixel(side: int = 1) -> Tensor:
    """The kernel of no blur, (side, side)."""
    kernel = torch.zeros(side, side)
    kernel[side // 2, side // 2] = 1
    return kernel


def reach(kernel: Tensor) -> int:
    """Largest distance from the centre, along an axis, of a value that is not 0; pixels."""
    used = kernel.nonzero()
    return int((used - kernel.shape[0] // 2).abs().max()) if len(used) else 0


def extent(kernel: Tensor) -> int:
    """Height or width of the values that are not 0, the larger one, pixels."""
    used = kernel.nonzero()
    return int((used.amax(0) - used.amin(0)).max()) + 1 if len(used) else 0


def window_of(kernel: Tensor, share: float) -> int:
    """Side of the smallest square, in odd numbers of pixels, that holds a share of the sum of a kernel (n, n)."""
    for side in range(1, kernel.shape[0], 2):
        if float(kernel[_brightest_window(kernel, side)].sum()) >= share * float(kernel.sum()):
            return side
    return kernel.shape[0]


def fitted(kernel: Tensor, side: int) -> Tensor:
    """The kernel in another support with the same centre, (side, side): cropped, or padded with 0."""
    margin = (side - kernel.shape[0]) // 2
    return F.pad(kernel, (margin,) * 4)


def trimmed(kernel: Tensor) -> Tensor:
    """The smallest square support with the same centre that holds every value."""
    return fitted(kernel, 2 * reach(kernel) + 1)


def with_margin(kernel: Tensor, margin: int, largest: int) -> Tensor:
    """The kernel in a support that it may grow into: ``margin`` pixels beside its farthest value, at most (largest,
    largest)."""
    return fitted(kernel, min(largest, 2 * (reach(kernel) + margin) + 1))


def brightest(kernel: Tensor, side: int) -> Tensor:
    """The kernel inside the window of (side, side) pixels that holds most of it, 0 outside; of the same shape."""
    if 2 * reach(kernel) + 1 <= side:
        return kernel
    rows, columns = _brightest_window(kernel, side)
    inside = torch.zeros_like(kernel)
    inside[rows, columns] = kernel[rows, columns]
    return inside


def moved_into(kernel: Tensor, side: int) -> Tensor:
    """The kernel in a support of (side, side): with the same centre if it fits, otherwise its brightest window."""
    return fitted(kernel, side) if 2 * reach(kernel) + 1 <= side else kernel[_brightest_window(kernel, side)]


def _brightest_window(kernel: Tensor, side: int) -> tuple[slice, slice]:
    """Rows and columns of the (side, side) pixels with the largest sum."""
    sums = F.avg_pool2d(kernel[None, None], side, stride=1)[0, 0]
    top, left = divmod(int(sums.argmax()), sums.shape[1])
    return slice(top, top + side), slice(left, left + side)


def centred(kernel: Tensor) -> Tensor:
    """The kernel moved by whole pixels, so that its centre of mass lies in the middle pixel; its sum is 1.

    What leaves the support is lost.
    """
    side, total = kernel.shape[0], kernel.sum().clamp_min(1e-12)
    places = torch.arange(side, dtype=kernel.dtype)
    down = round(side // 2 - float((kernel.sum(1) * places).sum() / total))
    right = round(side // 2 - float((kernel.sum(0) * places).sum() / total))
    margin = max(abs(down), abs(right))
    if margin:
        padded = F.pad(kernel, (margin,) * 4).roll((down, right), (0, 1))
        kernel = padded[margin : margin + side, margin : margin + side]
    return kernel / kernel.sum().clamp_min(1e-12)


def cleaned(kernel: Tensor, least: float, island: float, side: int | None = None, typical: float = math.inf) -> Tensor:
    """Without negative and small values and without small islands; centred, with sum 1.

    :param float least: smallest value that is kept, a share of the largest.
    :param float island: smallest sum of a connected part that is kept, a share of the whole.
    :param int side: of the window that holds the kernel, see :func:`brightest`; default: the support.
    :param float typical: ``least`` is a share of ``typical`` times ``exp(-entropy(kernel))`` instead, if that is less
        than the largest value. ``exp(-entropy)`` is the geometric mean of the values, each weighted with itself: one
        bright end of a trail does not raise it much, and the faint rest is kept.
    """
    kernel = kernel.clamp_min(0)
    if not bool(kernel.any()):
        return one_pixel(kernel.shape[0])
    kernel = kernel / kernel.sum()
    level = min(float(kernel.max()), typical * math.exp(-entropy(kernel)))
    kernel = torch.where(kernel < least * level, torch.zeros_like(kernel), kernel)
    total = float(kernel.sum())
    if island > 0:
        labels = connected_parts(kernel > 0)
        sums = torch.zeros(kernel.numel() + 1).index_add_(0, labels.flatten(), kernel.flatten())
        # the largest part is always kept
        kernel = torch.where(sums[labels] >= min(island * total, float(sums[1:].max())), kernel, 0.0)
    return centred(kernel if side is None else brightest(kernel, side))


def connected_parts(mask: Tensor) -> Tensor:
    """A number for each part of ``mask`` (h, w) that is connected by sides or corners; 0 outside; (h, w)."""
    labels = (torch.arange(1.0, mask.numel() + 1).view_as(mask)) * mask
    while True:
        spread = F.max_pool2d(labels[None, None], 3, 1, 1)[0, 0] * mask
        if torch.equal(spread, labels):
            return labels.long()
        labels = spread


def enlarged(kernel: Tensor, factor: float) -> Tensor:
    """The kernel on a grid that is finer by ``factor``; negative values of the interpolation are cut off."""
    side = max(3, 2 * math.floor(kernel.shape[0] * factor / 2 + 0.5) + 1)
    fine = F.interpolate(kernel[None, None], size=(side, side), mode="bicubic", antialias=True, align_corners=False)
    return fine[0, 0].clamp_min(0)


def spread(kernel: Tensor) -> float:
    """Root mean square distance of the kernel from its centre of mass, pixels."""
    places = torch.arange(kernel.shape[0], dtype=kernel.dtype)
    total = kernel.sum().clamp_min(1e-12)
    variance = torch.zeros(())
    for profile in (kernel.sum(0) / total, kernel.sum(1) / total):
        variance = variance + (profile * places.square()).sum() - (profile * places).sum().square()
    return float(variance.clamp_min(0).sqrt())


def entropy(kernel: Tensor) -> float:
    """``-sum k log k`` of a kernel with sum 1: 0 for one pixel, ``log m`` for ``m`` equal ones."""
    used = kernel[kernel > 0]
    return -float((used * used.log()).sum())


def scattered(kernel: Tensor) -> bool:
    """Whether the kernel looks like noise all over its support: many pixels of unlike values.

    A trail has fewer pixels, :data:`TRAIL_PIXELS`; a soft blur is smooth, :data:`SMOOTH`.
    """
    padded = F.pad(kernel, (1,) * 4)
    steps = torch.cat([(padded[1:] - padded[:-1]).flatten(), (padded[:, 1:] - padded[:, :-1]).flatten()])
    roughness = float(steps.square().sum() / kernel.square().sum())
    return math.exp(entropy(kernel)) > TRAIL_PIXELS * kernel.shape[0] and roughness > SMOOTH
