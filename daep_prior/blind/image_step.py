"""The image that explains the measurement and stays close to the mean-shift image."""

import torch
from torch import Tensor

from daep_prior.blind.fourier import convolved, transfer


def image_step(denoised: Tensor, y: Tensor, known: Tensor, kernel: Tensor, weight: float, fills: int) -> Tensor:
    r"""``argmin_x 1/2 ||known (k * x - y)||^2 + weight/2 ||x - v||^2`` for the mean-shift image ``v``.

    Unmeasured pixels are filled with the prediction of the present ``x`` (expectation and maximisation). Each pass is
    then a division in the Fourier domain.

    :param torch.Tensor denoised: ``v``, (1, 1, H, W).
    :param torch.Tensor y: measurement on the same grid.
    :param torch.Tensor known: 1 where the pixel is measured.
    :param torch.Tensor kernel: (n, n), n odd.
    :param int fills: passes.
    :return: (1, 1, H, W).
    """
    size = (denoised.shape[-2], denoised.shape[-1])
    blur = transfer(kernel, size)
    denominator = blur.real.square() + blur.imag.square() + weight
    near, x = weight * torch.fft.rfft2(denoised), denoised
    for _ in range(fills):
        measured = torch.lerp(convolved(blur, x), y, known)
        x = torch.fft.irfft2((blur.conj() * torch.fft.rfft2(measured) + near) / denominator, s=size)
    return x
