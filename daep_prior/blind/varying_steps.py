"""Kernel and image step of a blur that varies over the image."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.camera_poses import CameraPoses, support
from daep_prior.blind.fourier import gradients, known_gradients
from daep_prior.blind.pyramid import Scale
from daep_prior.blind.settings import BlindSettings
from daep_prior.blind.windows import Windows

#: Times the residual is computed anew in a kernel step; conjugate gradients of an image step. Chosen by hand.
RESIDUALS, GRADIENTS = 2, 8
#: The ridge of the settings is for the kernel of a photograph of this side, pixels; a window has its share of it.
RIDGE_SIDE = 255


def times_step(
    sharp: Tensor, scale: Scale, times: Tensor, windows: Windows, poses: CameraPoses, settings: BlindSettings
) -> Tensor:
    r"""The next times in the poses,

    .. math::

        \operatorname{argmin}_{w \ge 0} \tfrac12 \Big\|\sum_i u_i \, (M_i w * \nabla x) - \nabla y\Big\|^2
        + \tfrac{\rho}{2} \sum_i \|M_i w\|^2.

    The Hessian is replaced by that of :math:`\sum_i \| \sqrt{u_i} (k_i * \nabla x) \|^2`, an upper bound as
    :math:`\sum_i u_i = 1`. It is nearly a convolution with an autocorrelation in each window. Accelerated projected
    gradients solve this; then the residual is computed anew.

    :param torch.Tensor sharp: :math:`x`, (1, 1, H, W).
    :param torch.Tensor times: the last :math:`w`, (n, n, n).
    :return: (n, n, n).
    """
    edges, inside = gradients(sharp), known_gradients(scale.known)
    spectra = torch.fft.rfft2(windows.patches(edges))
    ridge = settings.ridge * windows.stride[0] * windows.stride[1] / RIDGE_SIDE**2
    normal = _autocorrelation(edges, windows, ridge)

    def hessian(change: Tensor) -> Tensor:
        return poses.adjoint(normal(poses.kernels(change)))

    box = support(times, settings.margin)
    step = 1 / _largest_eigenvalue(hessian, box)
    for _ in range(RESIDUALS):
        kernels, before = poses.kernels(times), times
        missing = inside * (gradients(scale.y) - windows.blurred(edges, windows.transfer(kernels)))
        downhill = poses.adjoint(windows.correlation(spectra, missing) - ridge * kernels)
        ahead, momentum = times, 1.0
        for _ in range(settings.kernel_iterations):
            new = box * (ahead - step * (hessian(ahead - before) - downhill)).clamp_min(0)
            momentum, last = (1 + math.sqrt(1 + 4 * momentum**2)) / 2, momentum
            ahead = new + (last - 1) / momentum * (new - times)
            times = new
    return times


def varying_image_step(sharp: Tensor, scale: Scale, windows: Windows, kernels: Tensor, weight: float) -> Tensor:
    r"""``argmin_x 1/2 ||known (A x - y)||^2 + weight/2 ||x - v||^2`` by conjugate gradients from ``v = sharp``."""
    transfer = windows.transfer(kernels)

    def normal(image: Tensor) -> Tensor:
        return windows.adjoint(scale.known * windows.blurred(image, transfer), transfer) + weight * image

    x = sharp
    residual = windows.adjoint(scale.known * scale.y, transfer) + weight * sharp - normal(x)
    direction, power = residual, residual.square().sum()
    for _ in range(GRADIENTS):
        image = normal(direction)
        length = power / (direction * image).sum().clamp_min(1e-20)
        x, residual = x + length * direction, residual - length * image
        power, last = residual.square().sum(), power
        direction = residual + power / last.clamp_min(1e-20) * direction
    return x


def varying_misfit(sharp: Tensor, scale: Scale, windows: Windows, kernels: Tensor) -> float:
    """Root mean square difference of the gradients of the blurred ``sharp`` and of ``y`` over the measured pixels."""
    inside = known_gradients(scale.known)
    spread = windows.blurred(gradients(sharp), windows.transfer(kernels))
    return math.sqrt(float((inside * (spread - gradients(scale.y))).square().sum() / inside.sum()))


def _autocorrelation(edges: Tensor, windows: Windows, ridge: float) -> Callable[[Tensor], Tensor]:
    """Convolution of the kernels with the autocorrelation of ``edges`` in their windows, plus ``ridge``."""
    side, r, patch = windows.side, windows.border, windows.patch
    seen = F.pad(windows.weights.sqrt(), (r,) * 4) * windows.patches(edges)
    power = torch.fft.irfft2(torch.fft.rfft2(seen).abs().square().sum(0), s=patch)
    period = 2 ** math.ceil(math.log2(2 * side))
    lags = torch.arange(1 - side, side)
    small = power.new_zeros(*windows.counts, period, period)
    small[..., (lags % period)[:, None], lags % period] = power[..., (lags % patch[0])[:, None], lags % patch[1]]
    spectrum = torch.fft.rfft2(small)

    def normal(kernels: Tensor) -> Tensor:
        padded = F.pad(kernels, (0, period - side, 0, period - side))
        spread = torch.fft.irfft2(spectrum * torch.fft.rfft2(padded), s=(period, period))
        return spread[..., :side, :side] + ridge * kernels

    return normal


def _largest_eigenvalue(hessian: Callable[[Tensor], Tensor], box: Tensor) -> float:
    """A little more than the largest eigenvalue inside ``box``, by power iteration. All entries are positive."""
    vector, largest = box / box.norm(), 1.0
    for _ in range(10):
        vector = box * hessian(vector)
        largest = max(float(vector.norm()), 1e-12)
        vector = vector / largest
    return 1.05 * largest
