"""How much two blur kernels agree, whatever their position."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Standard deviation of the Gaussian that softens both kernels, pixels: two trails half a pixel apart shall agree.
SOFTNESS = 0.7
#: The best shift is sought in steps of 1 / ``FINER`` pixels.
FINER = 4


def similarity(a: Tensor, b: Tensor) -> float:
    """Largest normalised correlation of two softened kernels over all shifts; 1: equal up to a shift.

    (Hu and Yang, *Good Regions to Deblur*, ECCV 2012, use it without softening.)

    :param torch.Tensor a: kernel (n, n); ``b``: kernel (m, m).
    """
    side = 2 ** math.ceil(math.log2(2 * max(*a.shape, *b.shape)))
    first, second = _softened(a, side), _softened(b, side)
    correlation = _finer(first * second.conj())
    scale = first.abs().square().mean().sqrt() * second.abs().square().mean().sqrt()
    return float(torch.fft.ifft2(correlation).real.max() * FINER**2 / scale)


def _softened(kernel: Tensor, side: int) -> Tensor:
    """Fourier transform (side, side) of the softened kernel."""
    frequency = torch.fft.fftfreq(side)
    gaussian = torch.exp(-2 * (math.pi * SOFTNESS) ** 2 * (frequency[:, None].square() + frequency.square()))
    return torch.fft.fft2(F.pad(kernel, (0, side - kernel.shape[1], 0, side - kernel.shape[0]))) * gaussian


def _finer(spectrum: Tensor) -> Tensor:
    """The spectrum (n, n) with zeros at high frequencies, (FINER n, FINER n)."""
    side = spectrum.shape[0]
    middle = torch.fft.fftshift(spectrum)
    margin = (FINER - 1) * side // 2
    return torch.fft.ifftshift(F.pad(middle, (margin,) * 4))
