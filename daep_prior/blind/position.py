"""The position of a kernel between the pixels, which the other steps of a round do not change."""

import math
from itertools import product

import torch
from torch import Tensor

from daep_prior.blind.fourier import central, gradients, known_gradients, transfer
from daep_prior.blind.kernel_step import nonnegative_solution, quadratic
from daep_prior.images import continued

#: Length of a move along an axis, pixels.
MOVE = 1 / 8
#: Least ``(f(0) - f(d)) / f(0)`` for which the image is moved. Ten training crops with noise of 1 %: 1e-4 to 1e-3 in
#: the first rounds that move thin shakes between the pixels, below that in all rounds of straight motion and smooth
#: kernels. With 5e-5, one photograph of the set ``jpeg`` lost 1 dB.
LEAST_DECREASE = 1e-4
#: No move, which wins if costs are equal, and moves along either axis or both.
NEIGHBOURS = list(product((0, -1, 1), repeat=2))


def at_best_position(
    sharp: Tensor, y: Tensor, known: Tensor, kernel: Tensor, ridge: float, iterations: int, moves: int
) -> Tensor:
    r"""The sharp image, moved by parts of a pixel to where a non-negative kernel explains the photograph best.

    If an image is moved by :math:`-d` and its kernel by :math:`d`, their convolution stays the same. But a thin kernel
    that lies between the pixels has negative values, which :math:`k \ge 0` forbids. With :math:`x_d`, the image moved
    by :math:`-d`, descent over the eight neighbours at a distance of :data:`MOVE` lowers

    .. math::

        f(d) = \min_{k \ge 0} \tfrac12 \|\nabla x_d * k - \nabla y\|^2 + \tfrac{\rho}{2} \|k\|^2 .

    The autocorrelation of :math:`\nabla x_d` does not depend on :math:`d`, and its correlation with :math:`\nabla y`
    moves by :math:`d`. So no network is evaluated. At unmeasured pixels, :math:`\nabla y` is what the last kernel
    predicts for :math:`d = 0`. All gradients count, also where strong edges determine the kernel.

    :param torch.Tensor sharp: :math:`x`, (1, 1, H, W).
    :param torch.Tensor y: measurement on the same grid, (1, 1, H, W).
    :param torch.Tensor known: 1 where the pixel is measured, (1, 1, H, W).
    :param torch.Tensor kernel: the last kernel, (n, n), n odd.
    :param float ridge: :math:`\rho`.
    :param int iterations: of accelerated projected gradients for each :math:`d`.
    :param int moves: at most; 0: ``sharp`` stays where it is.
    :return: (1, 1, H, W).
    """
    if moves == 0:
        return sharp
    size, side = (sharp.shape[-2], sharp.shape[-1]), kernel.shape[0]
    steps = torch.fft.rfft2(gradients(sharp))
    power = torch.fft.irfft2(steps.abs().square().sum(1), s=size)[0]
    predicted = torch.fft.irfft2(steps * transfer(kernel, size), s=size)
    blurred = torch.lerp(predicted, gradients(y), known_gradients(known))
    match = (steps.conj() * torch.fft.rfft2(blurred)).sum(1)
    constant = 0.5 * float(blurred.square().sum())
    place, costs = (0, 0), dict[tuple[int, int], float]()
    for _ in range(moves):
        near = [(place[0] + down, place[1] + across) for down, across in NEIGHBOURS]
        new = [one for one in near if one not in costs]
        matches = central(match * torch.stack([_phases(sharp, size, one) for one in new]), size, side)
        kernels = nonnegative_solution(power, matches, kernel.expand_as(matches), ridge, iterations)
        costs.update(zip(new, (constant + quadratic(power, matches, kernels, ridge)).tolist(), strict=True))
        best = min(near, key=costs.__getitem__)
        if best == place:
            break
        place = best
    stays = place == (0, 0) or costs[0, 0] - costs[place] < LEAST_DECREASE * costs[0, 0]
    return sharp if stays else _moved(sharp, (-place[0], -place[1]))


def _moved(image: Tensor, place: tuple[int, int]) -> Tensor:
    """An image (1, 1, H, W) moved by ``place`` moves; mirrored at its border, as a seam would ring."""
    rows, columns = image.shape[-2:]
    size = (2 * rows, 2 * columns)
    return torch.fft.irfft2(_phases(image, size, place) * torch.fft.rfft2(continued(image)), s=size)[
        ..., :rows, :columns
    ]


def _phases(like: Tensor, size: tuple[int, int], place: tuple[int, int]) -> Tensor:
    """The Fourier transform (``rfft2``) of a shift by ``place`` moves down and across, for images of ``size``."""
    rows, columns = torch.fft.fftfreq(size[0]).to(like)[:, None], torch.fft.rfftfreq(size[1]).to(like)
    return torch.exp(-2j * math.pi * MOVE * (place[0] * rows + place[1] * columns))
