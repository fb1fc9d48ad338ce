"""Blur kernels of neighbouring regions, moved to where they explain one image.

A kernel is known only up to a shift. Two neighbours that are shifted against each other blur the pixels between them
like no image: it would be doubled.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.kernel_shape import fitted, trimmed

#: Standard deviation of the Gaussian that softens kernels before they are compared, pixels, and its reach: two trails
#: that are a pixel apart shall attract each other. Chosen by hand.
SOFTNESS, REACH = 1.0, 3


def aligned(kernels: Tensor, used: Tensor) -> Tensor:
    r"""The kernels, each moved by whole pixels.

    The shift :math:`s_i` of each kernel solves :math:`\min \sum (s_i - s_j - d_{ij})^2` over neighbours :math:`i, j`,
    where :math:`d_{ij}` is the shift at which the two are most alike. Of all solutions it is one with a mean of at most half a pixel.

    :param torch.Tensor kernels: (rows, columns, n, n), n odd.
    :param torch.Tensor used: (rows, columns), bool; the others have no influence.
    :return: (rows, columns, m, m), m odd, the smallest support that holds all.
    """
    rows, columns, side = kernels.shape[:3]
    numbers = torch.arange(rows * columns).view(rows, columns)
    pairs = torch.cat(
        [
            torch.stack([numbers[1:].flatten(), numbers[:-1].flatten()], 1),
            torch.stack([numbers[:, 1:].flatten(), numbers[:, :-1].flatten()], 1),
        ]
    )
    pairs = pairs[used.flatten()[pairs].all(1)]
    flat = kernels.flatten(0, 1)
    if len(pairs):
        wanted = torch.tensor([best_shift(flat[i], flat[j]) for i, j in pairs.tolist()], dtype=torch.float64)
        differences = torch.zeros(len(pairs), len(flat), dtype=torch.float64)
        differences.scatter_(1, pairs[:, 1:], 1.0).scatter_(1, pairs[:, :1], -1.0)
        solution = torch.linalg.pinv(differences) @ wanted
        shifts = (solution - solution[:1]).round().long()  # rounded by themselves, two could differ by a pixel more
        shifts -= shifts.double().mean(0).round().long()
    else:
        shifts = torch.zeros(len(flat), 2, dtype=torch.long)
    wide = [
        fitted(kernel, side + 2 * int(shifts.abs().max())).roll(shift.tolist(), (0, 1))
        for kernel, shift in zip(flat, shifts, strict=True)
    ]
    together = trimmed(torch.stack(wide).amax(0)).shape[0]
    return torch.stack([fitted(kernel, together) for kernel in wide]).view(rows, columns, together, together)


def best_shift(a: Tensor, b: Tensor) -> tuple[int, int]:
    """Pixels down and right by which ``b`` is moved to be most like ``a``, both (n, n): the largest correlation."""
    places = torch.arange(-REACH, REACH + 1.0)
    bell = torch.exp(-places.square() / (4 * SOFTNESS**2))  # that of both together has twice the variance
    margin = b.shape[0] - 1 + REACH
    soft = F.conv2d(F.pad(a, (margin,) * 4)[None, None], torch.outer(bell, bell)[None, None])
    score = F.conv2d(soft, b[None, None])[0, 0]
    best = int(score.argmax())
    middle = score.shape[0] // 2
    return best // score.shape[1] - middle, best % score.shape[1] - middle
