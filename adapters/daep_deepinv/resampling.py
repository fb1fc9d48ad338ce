"""MATLAB-style bicubic downsampling with an exact adjoint, pseudo-inverse and proximal step."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.physics import DecomposablePhysics
from deepinv.physics.functional import imresize_matlab
from torch import Tensor

from daep_deepinv.checks import check_factor

__all__ = ["BicubicDownsampling"]


class BicubicDownsampling(DecomposablePhysics):
    r"""Antialiased bicubic downsampling (MATLAB's ``imresize``), equal to deepinv's ``DownsamplingMatlab`` to 1e-6.

    The operator is separable, :math:`Y = R_h X R_w^\top`. With :math:`R_h = U_h S_h V_h^\top` and likewise for the
    width, its singular value decomposition is :math:`U = U_w \otimes U_h`, :math:`V = V_w \otimes V_h`, with the
    products
    of the singular values. So the adjoint, the pseudo-inverse and the proximal step are exact, and cost a few products
    with matrices of the image's height and width.

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

    def __init__(self, img_size: tuple[int, int, int], factor: int, device: str | torch.device = "cpu", **kwargs: Any):
        height, width = img_size[-2:]
        check_factor(factor)
        if height % factor or width % factor or not height or not width:
            raise ValueError(f"img_size: {height} x {width} is not a multiple of factor {factor}; crop the image.")
        u_h, s_h, v_h = _decompose(height, int(factor))
        u_w, s_w, v_w = (u_h, s_h, v_h) if width == height else _decompose(width, int(factor))
        singular = torch.zeros(1, 1, height, width)
        singular[..., : len(s_h), : len(s_w)] = torch.outer(s_h, s_w)
        super().__init__(img_size=tuple(img_size), mask=singular, device=device, **kwargs)
        self.factor = int(factor)
        for name, matrix in (("u_h", u_h), ("u_w", u_w), ("v_h", v_h), ("v_w", v_w)):
            self.register_buffer(name, matrix)
        self.to(device)

    def V_adjoint(self, x: Tensor) -> Tensor:
        """Image (B, C, H, W) to its coefficients (B, C, H, W)."""
        return self.v_h.T @ x @ self.v_w

    def V(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Coefficients (B, C, H, W) to the image (B, C, H, W)."""
        return self.v_h @ x @ self.v_w.T

    def prox_l2(self, z: Tensor, y: Tensor, gamma: float | Tensor, **kwargs: Any) -> Tensor:
        """See :meth:`deepinv.physics.LinearPhysics.prox_l2`; only the coefficients that are measured change."""
        h, w = self.u_h.shape[0], self.u_w.shape[0]
        v_h, v_w, singular = self.v_h[:, :h], self.v_w[:, :w], self.mask[..., :h, :w]
        mismatch = self.u_h.T @ y @ self.u_w - singular * (v_h.T @ z @ v_w)
        change = singular * mismatch / (1 / gamma + singular.square())
        return z + v_h @ change @ v_w.T

    def U(self, x: Tensor) -> Tensor:
        """Coefficients (B, C, H, W), of which those of the measurement are used, to the measurement (B, C, h, w)."""
        h, w = self.u_h.shape[0], self.u_w.shape[0]
        return self.u_h @ x[..., :h, :w] @ self.u_w.T

    def U_adjoint(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Measurement (B, C, h, w) to coefficients (B, C, H, W), zero beyond the measurement's."""
        h, w = self.u_h.shape[0], self.u_w.shape[0]
        full = x.new_zeros(*x.shape[:2], self.v_h.shape[0], self.v_w.shape[0])
        full[..., :h, :w] = self.u_h.T @ x @ self.u_w
        return full


def _decompose(size: int, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Singular value decomposition ``U, S, V`` (V square) of bicubic downsampling of ``size`` samples in a row."""
    # every unit impulse as the column of an image that is constant along its rows, which resampling leaves constant
    impulses = torch.eye(size, dtype=torch.float64).reshape(size, 1, size, 1).expand(-1, -1, -1, 4 * factor)
    matrix = imresize_matlab(impulses.contiguous(), scale=1 / factor)[:, 0, :, 0].T
    u, s, vh = torch.linalg.svd(matrix, full_matrices=True)
    return u.float(), s.float(), vh.T.float()
