"""Frequencies of Fourier transforms."""

import torch
from torch import Tensor

__all__ = ["frequencies"]


def frequencies(size: tuple[int, int]) -> Tensor:
    """Lengths of the frequencies of ``torch.fft.rfft2``, cycles a pixel, (H, W // 2 + 1)."""
    rows, cols = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    return torch.hypot(rows[:, None], cols[None])
