"""MATLAB-style bicubic downsampling with an exact adjoint, pseudo-inverse and proximal step."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from deepinv.physics import LinearPhysics
from deepinv.physics.functional import imresize_matlab
from torch import Tensor

from daep_prior.arguments import whole_number

__all__ = ["BicubicDownsampling"]


class BicubicDownsampling(LinearPhysics):
    r"""Antialiased bicubic downsampling (MATLAB's ``imresize``), equal to deepinv's ``DownsamplingMatlab`` to 1e-6.

    The operator is separable, :math:`Y = R_h X R_w^\top`. Each of the two is a convolution with a symmetric kernel of
    the image mirrored at its borders, of which the middle of every ``factor`` pixels is kept. So the cosine transform
    :math:`C` (DCT-II) of the *small* size diagonalises :math:`R R^\top = C^\top \Lambda C`, and

    .. math::

        \operatorname{argmin}_x \tfrac{\gamma}{2} \|A x - y\|^2 + \tfrac12 \|x - z\|^2
        = z + A^\top (A A^\top + \tfrac{1}{\gamma})^{-1} (y - A z)

    is exact, at the cost of a few products with matrices of the small image's height and width.

    :param tuple img_size: (C, H, W) of the high-resolution image.
    :param int factor: reduction; it must divide H and W.
    :param str, torch.device device: where the matrices are put.
    :param kwargs: ``noise_model`` and others of :class:`deepinv.physics.LinearPhysics`.
    :raises ValueError: ``factor`` below 1, or it does not divide the image.

    >>> import torch
    >>> from daep_deepinv import BicubicDownsampling
    >>> physics = BicubicDownsampling((3, 12, 18), factor=3)
    >>> physics.A(torch.rand(1, 3, 12, 18)).shape
    torch.Size([1, 3, 4, 6])
    """

    kernel: Tensor
    rows: Tensor
    columns: Tensor
    cosines_h: Tensor
    cosines_w: Tensor
    power: Tensor

    def __init__(self, img_size: tuple[int, int, int], factor: int, device: str | torch.device = "cpu", **kwargs: Any):
        height, width = img_size[-2:]
        factor = whole_number("factor", factor)
        if height % factor or width % factor or not height or not width:
            raise ValueError(f"img_size: {height} x {width} is not a multiple of factor {factor}; crop the image.")
        super().__init__(img_size=tuple(img_size), device=device, **kwargs)
        self.factor = factor
        kernel = _kernel(factor)
        buffers = {"kernel": kernel}
        powers = []
        for name, cosines, size in (("rows", "cosines_h", height), ("columns", "cosines_w", width)):
            buffers[name] = _mirrored(size, factor, len(kernel))
            buffers[cosines] = _cosine_transform(size // factor)
            # the length of R^T c for each c of the transform: the eigenvalues of R R^T
            back = _expand(buffers[cosines].T[None, None], kernel, buffers[name], factor)
            powers.append(back.square().sum((0, 1, 2)))
        buffers["power"] = torch.outer(*powers)
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer.float() if buffer.is_floating_point() else buffer)
        self.to(device)

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Image (B, C, H, W) to measurement (B, C, H / factor, W / factor)."""
        kernel = self.kernel.to(x)
        x = _reduce(x, kernel, self.rows, self.factor)
        return _reduce(x.mT, kernel, self.columns, self.factor).mT.contiguous()

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:
        """Measurement (B, C, h, w) to image (B, C, H, W)."""
        kernel = self.kernel.to(y)
        y = _expand(y.mT, kernel, self.columns, self.factor).mT
        return _expand(y, kernel, self.rows, self.factor)

    def A_dagger(self, y: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Pseudo-inverse of a measurement (B, C, h, w): (B, C, H, W)."""
        return self.A_adjoint(self._solve(y, 0.0))

    def prox_l2(self, z: Tensor | float | None, y: Tensor, gamma: float | Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The step above; ``z`` an image, a number or ``None`` (0), ``gamma`` a number or (B, 1, 1, 1)."""
        if not isinstance(z, Tensor):
            z = y.new_full((*y.shape[:2], *(n * self.factor for n in y.shape[2:])), z or 0.0)
        return z + self.A_adjoint(self._solve(y - self.A(z), 1 / gamma))

    def _solve(self, y: Tensor, shift: float | Tensor) -> Tensor:
        """``(A A^T + shift)^-1 y``."""
        high, wide = self.cosines_h.to(y), self.cosines_w.to(y)
        return high.T @ ((high @ y @ wide.T) / (self.power.to(y) + shift)) @ wide


def _kernel(factor: int) -> Tensor:
    """The weights by which deepinv's ``imresize_matlab`` averages 4 ``factor`` neighbours (float64)."""
    if factor == 1:
        return torch.ones(1, dtype=torch.float64)
    small = 9  # so long that the one in the middle sees no border
    impulses = torch.eye(small * factor, dtype=torch.float64)[:, None, :, None].expand(-1, -1, -1, small * factor)
    middle = imresize_matlab(impulses.contiguous(), scale=1 / factor)[:, 0, small // 2, small // 2]
    first = small // 2 * factor - _reach(factor, 4 * factor)
    return middle[first : first + 4 * factor]


def _reach(factor: int, taps: int) -> int:
    """How far before the first of ``factor`` pixels the kernel begins, which is centred on their middle.

    For an odd factor the middle is a pixel, and the last of the even number of weights is 0.
    """
    return (taps - factor) // 2


def _mirrored(size: int, factor: int, taps: int) -> Tensor:
    """Indices of the pixels that the kernel meets along an axis, the border pixels used twice (as MATLAB does)."""
    reach = _reach(factor, taps)
    position = torch.arange(-reach, size - factor - reach + taps) % (2 * size)
    return torch.minimum(position, 2 * size - 1 - position)


def _reduce(x: Tensor, kernel: Tensor, indices: Tensor, factor: int) -> Tensor:
    """``R x`` along the height of (B, C, H, W)."""
    padded = x.index_select(2, indices)
    flat = padded.reshape(-1, 1, *padded.shape[2:])
    return F.conv2d(flat, kernel.reshape(1, 1, -1, 1), stride=(factor, 1)).unflatten(0, x.shape[:2])[:, :, 0]


def _expand(y: Tensor, kernel: Tensor, indices: Tensor, factor: int) -> Tensor:
    """``R^T y`` along the height of (B, C, h, W)."""
    flat = y.reshape(-1, 1, *y.shape[2:])
    padded = F.conv_transpose2d(flat, kernel.reshape(1, 1, -1, 1), stride=(factor, 1)).unflatten(0, y.shape[:2])
    out = padded.new_zeros(*y.shape[:2], y.shape[2] * factor, y.shape[3])
    return out.index_add(2, indices, padded[:, :, 0])


def _cosine_transform(size: int) -> Tensor:
    """The orthogonal DCT-II as a matrix (float64)."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * torch.outer(n, n + 0.5)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix
