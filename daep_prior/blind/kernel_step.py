"""The kernel that blurs a sharp image into the measurement: least squares on gradients, non-negative."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.fourier import convolved, gradients, known_gradients, transfer


def kernel_step(sharp: Tensor, y: Tensor, known: Tensor, kernel: Tensor, ridge: float, iterations: int) -> Tensor:
    r"""The next kernel,

    .. math::

        \operatorname{argmin}_{k \ge 0} \tfrac12 \|\nabla x * k - \nabla y\|^2 + \tfrac{\rho}{2} \|k\|^2.

    At unmeasured pixels, :math:`\nabla y` is what the last kernel predicts (one step of expectation and maximisation).
    Then the convolution is circular, and its normal equations are a convolution with the autocorrelation of
    :math:`\nabla x`, which is computed once and has only twice the side of the kernel. Accelerated projected gradients
    (Beck and Teboulle, 2009) solve them.

    :param torch.Tensor sharp: :math:`x`, (1, 1, H, W).
    :param torch.Tensor y: measurement on the same grid, (1, 1, H, W).
    :param torch.Tensor known: 1 where the pixel is measured, (1, 1, H, W).
    :param torch.Tensor kernel: the last kernel, (n, n), n odd.
    :param float ridge: :math:`\rho`.
    :return: (n, n).
    """
    side, size = kernel.shape[0], sharp.shape[-2:]
    edges = torch.fft.rfft2(gradients(sharp))
    predicted = torch.fft.irfft2(edges * transfer(kernel, (size[0], size[1])), s=size)
    measured = torch.lerp(predicted, gradients(y), known_gradients(known))
    match = torch.fft.irfft2((edges.conj() * torch.fft.rfft2(measured)).sum(1), s=size)[0]
    match = match.roll((side // 2, side // 2), (-2, -1))[:side, :side]
    power = torch.fft.irfft2((edges.real.square() + edges.imag.square()).sum(1), s=size)[0]
    return nonnegative_solution(power, match, kernel, ridge, iterations)


def nonnegative_solution(
    power: Tensor, match: Tensor, kernel: Tensor, ridge: float, iterations: int, support: Tensor | None = None
) -> Tensor:
    r""":math:`\operatorname{argmin}_{k \ge 0} \tfrac12 \langle k, p * k \rangle - \langle m, k \rangle
    + \tfrac{\rho}{2} \|k\|^2` by accelerated projected gradients.

    :param torch.Tensor power: the autocorrelation :math:`p`, (H, W), periodic.
    :param torch.Tensor match: :math:`m`, (n, n).
    :param torch.Tensor kernel: where the iterations begin, (n, n).
    :param float ridge: :math:`\rho`.
    :param torch.Tensor support: 1 where the kernel may differ from 0, (n, n); default: everywhere.
    :return: (n, n).
    """
    normal, largest = _convolution_with(power, kernel.shape[0])
    step = 1 / (largest + ridge)
    ahead, momentum = kernel, 1.0
    for _ in range(iterations):
        new = (ahead - step * (normal(ahead) - match + ridge * ahead)).clamp_min(0)
        if support is not None:
            new = support * new
        momentum, before = (1 + math.sqrt(1 + 4 * momentum**2)) / 2, momentum
        ahead = new + (before - 1) / momentum * (new - kernel)
        kernel = new
    return kernel


def gradient_misfit(sharp: Tensor, y: Tensor, known: Tensor, kernel: Tensor) -> float:
    r"""Root mean square of :math:`\nabla x * k - \nabla y` over the measured pixels; parameters as above."""
    size, inside = (sharp.shape[-2], sharp.shape[-1]), known_gradients(known)
    difference = inside * (convolved(transfer(kernel, size), gradients(sharp)) - gradients(y))
    return math.sqrt(float(difference.square().sum() / inside.sum()))


def _convolution_with(autocorrelation: Tensor, side: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """Convolution of a kernel (side, side) with an autocorrelation (H, W), and a bound on its largest eigenvalue."""
    period = 2 ** math.ceil(math.log2(2 * side))
    lags = torch.arange(1 - side, side)
    rows, cols = autocorrelation.shape
    small = autocorrelation.new_zeros(period, period)
    small[(lags % period)[:, None], lags % period] = autocorrelation[(lags % rows)[:, None], lags % cols]
    spectrum = torch.fft.rfft2(small)

    def normal(kernel: Tensor) -> Tensor:
        padded = F.pad(kernel, (0, period - side, 0, period - side))
        return convolved(spectrum, padded)[:side, :side]

    return normal, float(spectrum.real.max())
