"""The kernel that blurs a sharp image into the measurement: least squares on gradients, non-negative."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.fourier import central, convolved, gradients, known_gradients, transfer

#: Passes of a kernel step on strong edges. Chosen by hand.
PASSES = 3


def kernel_step(
    sharp: Tensor,
    y: Tensor,
    known: Tensor,
    kernel: Tensor,
    ridge: float,
    iterations: int,
    edges: float = 1.0,
    support: Tensor | None = None,
) -> Tensor:
    r"""The next kernel,

    .. math::

        \operatorname{argmin}_{k \ge 0} \tfrac12 \|\nabla x * k - \nabla y\|^2 + \tfrac{\rho}{2} \|k\|^2.

    At unmeasured pixels, :math:`\nabla y` is what the last kernel predicts (one step of expectation and maximisation).
    Then the convolution is circular, and its normal equations are a convolution with the autocorrelation of
    :math:`\nabla x`, which is computed once and has only twice the side of the kernel. Accelerated projected gradients
    (Beck and Teboulle, 2009) solve them.

    With ``edges`` below 1, strong edges determine the kernel, as Cho and Lee (2009) select them. The gradients
    :math:`g = \nabla x` have weights :math:`w = |g|^2 / (|g|^2 + t^2)`; the share ``edges`` of the pixels has
    :math:`|g| > t`. The equation

    .. math::

        (w g) \star (g * k - \nabla y) + \rho k = 0,

    with the correlation :math:`\star`, takes the place of the normal equations; it is solved where :math:`k > 0`. The
    errors of :math:`g` on weak edges hardly matter then (instrumental variables). The antisymmetric part of
    :math:`k \mapsto (w g) \star (g * k)`, which is small, is applied to the kernel of the pass before.

    :param torch.Tensor sharp: :math:`x`, (1, 1, H, W); or N images (N, 1, H, W), with the mean over them of the squared
        error, or of :math:`(w g) \star (g * k - \nabla y)`.
    :param torch.Tensor y: measurement on the same grid, (1, 1, H, W).
    :param torch.Tensor known: 1 where the pixel is measured, (1, 1, H, W).
    :param torch.Tensor kernel: the last kernel, (n, n), n odd.
    :param float ridge: :math:`\rho`.
    :param float edges: share of the pixels with strong edges, in (0, 1]; 1: all gradients have weight 1.
    :param torch.Tensor support: 1 where the kernel may differ from 0, (n, n); default: everywhere.
    :return: (n, n).
    """
    side, size = kernel.shape[0], (sharp.shape[-2], sharp.shape[-1])
    steps, blurred, inside = gradients(sharp), gradients(y), known_gradients(known)
    every = torch.fft.rfft2(steps)
    strong = every if edges >= 1 else torch.fft.rfft2(_weights(steps, edges) * steps)
    both = (strong.conj() * every).sum(1).mean(0, keepdim=True)
    power = torch.fft.irfft2(both.real, s=size)[0]
    for _ in range(1 if edges >= 1 else PASSES):
        blur = transfer(kernel, size)
        measured = torch.lerp(torch.fft.irfft2(every * blur, s=size), blurred, inside)
        match = (strong.conj() * torch.fft.rfft2(measured)).sum(1).mean(0, keepdim=True) - 1j * both.imag * blur
        kernel = nonnegative_solution(power, central(match, size, side)[0], kernel, ridge, iterations, support)
    return kernel


def _weights(steps: Tensor, edges: float) -> Tensor:
    """``|g|^2 / (|g|^2 + t^2)`` of gradients (N, 2, H, W): (N, 1, H, W)."""
    squares = steps.square().sum(1, keepdim=True)
    # kthvalue, as quantile refuses large images
    threshold = squares.flatten(1).kthvalue(max(1, round((1 - edges) * squares[0].numel())), dim=1).values
    return squares / (squares + threshold.clamp_min(1e-12)[:, None, None, None])


def nonnegative_solution(
    power: Tensor, match: Tensor, kernel: Tensor, ridge: float, iterations: int, support: Tensor | None = None
) -> Tensor:
    r""":math:`\operatorname{argmin}_{k \ge 0} \tfrac12 \langle k, p * k \rangle - \langle m, k \rangle
    + \tfrac{\rho}{2} \|k\|^2` by accelerated projected gradients.

    :param torch.Tensor power: the autocorrelation :math:`p`, (H, W), periodic.
    :param torch.Tensor match: :math:`m`, (n, n), or (N, n, n) for as many solutions.
    :param torch.Tensor kernel: where the iterations begin, of the same shape.
    :param float ridge: :math:`\rho`.
    :param torch.Tensor support: 1 where the kernel may differ from 0, (n, n); default: everywhere.
    :return: of the shape of ``kernel``.
    """
    normal, largest = _convolution_with(power, kernel.shape[-1])
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


def quadratic(power: Tensor, match: Tensor, kernel: Tensor, ridge: float) -> Tensor:
    """What :func:`nonnegative_solution` minimises, of kernels (N, n, n): (N,)."""
    normal, _ = _convolution_with(power, kernel.shape[-1])
    return ((0.5 * (normal(kernel) + ridge * kernel) - match) * kernel).sum((-2, -1))


def gradient_misfit(sharp: Tensor, y: Tensor, known: Tensor, kernel: Tensor) -> float:
    r"""Root mean square of :math:`\nabla x * k - \nabla y` over the measured pixels; parameters as above."""
    size, inside = (sharp.shape[-2], sharp.shape[-1]), known_gradients(known)
    difference = inside * (convolved(transfer(kernel, size), gradients(sharp)) - gradients(y))
    return math.sqrt(float(difference.square().sum() / inside.sum()))


def _convolution_with(autocorrelation: Tensor, side: int) -> tuple[Callable[[Tensor], Tensor], float]:
    """Convolution of kernels (..., side, side) with an autocorrelation (H, W), and a bound on its eigenvalues."""
    period = 2 ** math.ceil(math.log2(2 * side))
    lags = torch.arange(1 - side, side)
    rows, cols = autocorrelation.shape
    small = autocorrelation.new_zeros(period, period)
    small[(lags % period)[:, None], lags % period] = autocorrelation[(lags % rows)[:, None], lags % cols]
    spectrum = torch.fft.rfft2(small)

    def normal(kernel: Tensor) -> Tensor:
        padded = F.pad(kernel, (0, period - side, 0, period - side))
        return convolved(spectrum, padded)[..., :side, :side]

    return normal, float(spectrum.real.max())
