"""Blur with one kernel for each of a grid of overlapping windows, and its adjoint, by Fourier transforms."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Windows:
    r"""Overlapping windows of an image, and the blur with a kernel for each,

    .. math::

        A x = \sum_i w_i \, (k_i * x), \qquad \sum_i w_i = 1.

    The weights :math:`w_i` are products of two triangles (Hirsch et al., *Efficient filter flow*, CVPR 2010). Between
    the middles of the windows the kernel is interpolated linearly, and beyond the outer ones it is constant. The
    geometry is that of deepinv's ``TiledSpaceVaryingBlur``.

    :param tuple shape: height and width of the photograph, pixels.
    :param int side: of the kernels, n, odd. Images have a border of n // 2 pixels around the photograph.
    :param tuple counts: windows down and across.
    """

    def __init__(self, shape: tuple[int, int], side: int, counts: tuple[int, int]):
        self.shape, self.side, self.counts, self.border = shape, side, counts, side // 2
        self.size = (shape[0] + 2 * self.border, shape[1] + 2 * self.border)
        self.stride = (-(-self.size[0] // (counts[0] + 1)), -(-self.size[1] // (counts[1] + 1)))
        self.patch = (2 * self.stride[0] + 2 * self.border, 2 * self.stride[1] + 2 * self.border)
        down, across = (_triangles(count, stride) for count, stride in zip(counts, self.stride, strict=True))
        self.weights = down[:, None, :, None] * across[None, :, None, :]

    @property
    def places(self) -> Tensor:
        """Middle of each window: row and column from the middle of the photograph, pixels, (rows, columns, 2)."""
        down, across = (
            step * torch.arange(1.0, count + 1) - self.border - length / 2
            for step, count, length in zip(self.stride, self.counts, self.shape, strict=True)
        )
        return torch.stack(torch.meshgrid(down, across, indexing="ij"), -1)

    def transfer(self, kernels: Tensor) -> Tensor:
        """Fourier transforms of kernels (rows, columns, n, n) on the grid of a patch."""
        return torch.fft.rfft2(F.pad(kernels, (0, self.patch[1] - self.side, 0, self.patch[0] - self.side)))

    def blurred(self, image: Tensor, transfer: Tensor) -> Tensor:
        """``A x`` of an image (1, C, H, W); in its border, values have no meaning."""
        spread = torch.fft.irfft2(transfer * torch.fft.rfft2(self.patches(image)), s=self.patch)
        return self._joined(self.weights * spread[..., 2 * self.border :, 2 * self.border :])[
            ..., : self.size[0], : self.size[1]
        ]

    def adjoint(self, image: Tensor, transfer: Tensor) -> Tensor:
        """``A^T x`` of an image (1, C, H, W)."""
        r = self.border
        spread = torch.fft.irfft2(transfer.conj() * self._weighted(image), s=self.patch)
        return self._joined(spread)[..., r : r + self.size[0], r : r + self.size[1]]

    def correlation(self, spectra: Tensor, image: Tensor) -> Tensor:
        """Derivative of ``<image, A x>`` by the kernels, (rows, columns, n, n), summed over the channels.

        :param torch.Tensor spectra: ``rfft2`` of :meth:`patches` of ``x``.
        """
        matched = torch.fft.irfft2((spectra.conj() * self._weighted(image)).sum(0), s=self.patch)
        return matched[..., : self.side, : self.side]

    def patches(self, image: Tensor) -> Tensor:
        """What each window sees of an image (1, C, H, W): (C, rows, columns, height, width)."""
        r, (down, across) = self.border, self.stride
        high, wide = ((count + 1) * step for count, step in zip(self.counts, self.stride, strict=True))
        padded = F.pad(image, (r, wide + r - self.size[1], r, high + r - self.size[0]))[0]
        return padded.unfold(1, self.patch[0], down).unfold(2, self.patch[1], across)

    def _weighted(self, image: Tensor) -> Tensor:
        """Fourier transforms of an image in each window, times its weights."""
        down, across = self.stride
        high, wide = ((count + 1) * step for count, step in zip(self.counts, self.stride, strict=True))
        padded = F.pad(image, (0, wide - self.size[1], 0, high - self.size[0]))[0]
        tiles = self.weights * padded.unfold(1, 2 * down, down).unfold(2, 2 * across, across)
        return torch.fft.rfft2(F.pad(tiles, (2 * self.border, 0, 2 * self.border, 0)))

    def _joined(self, parts: Tensor) -> Tensor:
        """The sum of overlapping parts (C, rows, columns, h, w), at the distance of the windows."""
        channels, rows, columns, high, wide = parts.shape
        size = ((rows - 1) * self.stride[0] + high, (columns - 1) * self.stride[1] + wide)
        flat = parts.permute(0, 3, 4, 1, 2).reshape(channels, high * wide, rows * columns)
        return F.fold(flat, size, (high, wide), stride=self.stride)[:, 0][None]


def _triangles(count: int, stride: int) -> Tensor:
    """Weights along one axis, (count, 2 stride); the outer ones stay 1 up to the edge."""
    rising = (torch.arange(stride) + 0.5) / stride
    weights = torch.cat([rising, rising.flip(0)]).repeat(count, 1)
    weights[0, :stride], weights[-1, stride:] = 1, 1
    return weights
