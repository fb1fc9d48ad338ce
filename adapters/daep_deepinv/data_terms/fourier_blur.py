"""Least squares for a blur, by Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from deepinv.physics import Blur, BlurFFT, LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.preconditioner import preconditioner
from daep_deepinv.data_terms.unmeasured import Border, Masked, Unmeasured
from daep_deepinv.linear_algebra.frequencies import frequencies
from daep_deepinv.linear_algebra.preconditioned import preconditioned_conjugate_gradients
from daep_deepinv.operators.convolution import has_products_of

__all__ = ["FourierBlur", "products_of"]

#: Tolerances of the border, as multiples of the physics' ``tol``: error of a border pixel relative to the root mean
#: square of the data, and error in the image, images in [0, 1]. With deepinv's ``tol`` of 1e-4 the PSNR of training
#: crops is that of an exact step. Ten times the error in the image costs up to 12 dB in a noise-free blur, and saves a
#: twentieth of the time.
BORDER_PER_TOLERANCE, IMAGE_PER_TOLERANCE = 3.0, 1.2


class FourierBlur:
    r"""``1/2 ||Kx - y||^2`` for a circular or a ``valid`` blur ``K``, as deepinv's operators apply it.

    A circular blur is diagonal in the Fourier domain, so its proximal step

    .. math::

        \operatorname{argmin}_v \tfrac12 \|v - x\|^2 + \tfrac{w}{2} \|Kv - y\|^2

    is a division. A ``valid`` blur is a circular one whose border, as wide as the kernel, is not measured. Given the
    border ``u`` of ``y``, the step is again a division, giving ``v(u)``. The solution has ``u`` equal to the border of
    ``K v(u)``, a linear equation in the unmeasured pixels. Conjugate gradients solve it for each image separately, with
    two transforms an iteration, starting from the border of the step before. Every restoration therefore needs an
    object of its own. Measured values that are not used are unmeasured too.

    Transforms have a fast size, see :func:`fast_length`. The rows and columns that are added to a ``valid`` blur touch
    no measured pixel, so they change nothing.

    Noise that is not white has weights ``c``, the reciprocal of its power spectrum. ``||r||^2`` becomes
    :math:`\sum c |\hat r|^2`, minimised over the unmeasured pixels of the residual ``r``. This is the exact likelihood
    if the noise is stationary and periodic.

    :param deepinv.physics.LinearPhysics physics: one that :meth:`handles` accepts.
    :param torch.Tensor y: measurement (B, C, h, w).
    :param tuple size: height and width of the image, pixels.
    :param Callable weights: ``c``, positive, as a function of the frequency in cycles a pixel; default: 1.
    """

    def __init__(
        self,
        physics: LinearPhysics,
        y: Tensor,
        size: tuple[int, int],
        weights: Callable[[Tensor], Tensor] | None = None,
    ):
        kernel = physics.filter.to(y)
        rows, cols = kernel.shape[-2:]
        valid = isinstance(physics, Blur) and physics.padding == "valid"
        self.size = size
        #: Size of the transforms, and rows above and columns left of the image in them.
        self.grid = (fast_length(size[0]), fast_length(size[1])) if valid and weights is None else size
        self.above, self.beside = self.grid[0] - size[0], self.grid[1] - size[1]
        #: Size of the border: unmeasured rows above and unmeasured columns left of the measured pixels.
        self.top = self.left = 0
        padded = F.pad(kernel, (0, self.grid[1] - cols, 0, self.grid[0] - rows))
        if valid:
            self.top, self.left = self.above + rows - 1, self.beside + cols - 1
        else:
            padded = padded.roll((-(rows // 2), -(cols // 2)), (-2, -1))
        #: Fourier transform of the kernel, and its squared magnitude.
        self.spectrum = torch.fft.rfft2(padded)
        self.power = self.spectrum.real.square() + self.spectrum.imag.square()
        self.y = y
        #: ``y - Kx`` at the unmeasured values, as found by the last step.
        self.border: Tensor | None = None
        #: ``||y||^2`` of each image, (B,).
        self.data = torch.linalg.vector_norm(y, dim=(1, 2, 3)).square()
        #: ``c`` at each frequency; ``None``: 1.
        self.weights = None if weights is None else weights(frequencies(self.grid).to(y))
        #: Fourier transform of ``K^T y``, weighted by ``c``.
        self.back = self._weighted(self.spectrum.conj() * torch.fft.rfft2(self._padded(y)))

    @staticmethod
    def handles(physics: LinearPhysics, x: Tensor, y: Tensor) -> bool:
        """Whether ``physics`` is a two-dimensional circular or ``valid`` blur of deepinv, and not a derived class."""
        kind = Blur if isinstance(physics, Blur) else BlurFFT
        if not isinstance(physics, kind) or not isinstance(y, Tensor) or x.ndim != 4:
            return False
        if x.dtype not in (torch.float32, torch.float64) or y.dtype != x.dtype:
            return False
        if not has_products_of(physics, kind):
            return False
        if kind is Blur and physics.padding not in ("valid", "circular"):
            return False
        kernel = physics.filter
        return kernel is not None and kernel.ndim == 4 and all(kernel.shape[i] <= x.shape[i] for i in (-2, -1))

    def residual(self, x: Tensor) -> Tensor:
        """``Kx - y``, (B, C, h, w)."""
        return self.forward(x) - self.y

    def forward(self, x: Tensor) -> Tensor:
        """``Kx``, (B, C, h, w)."""
        return self._measured(self._back(self.spectrum * self._transformed(x)))

    def adjoint(self, residual: Tensor) -> Tensor:
        """``K^T`` of a residual (B, C, h, w), (B, C, H, W)."""
        return self.back_projected(self._padded(residual))

    def prox(
        self, x: Tensor, weight: float | Tensor, tolerance: float, iterations: int, unused: Tensor | None = None
    ) -> Tensor:
        """The proximal step.

        :param torch.Tensor x: images (B, C, H, W).
        :param float, torch.Tensor weight: ``w``, a number or (B, 1, 1, 1).
        :param float tolerance: relative tolerance of the border, see :data:`BORDER_PER_TOLERANCE`.
        :param int iterations: maximum number of conjugate gradient iterations.
        :param torch.Tensor unused: measured values that do not count, boolean, as ``y``; ``None``: all count.
        :return: ``v``, (B, C, H, W).
        """
        denominator = self._weighted(self.power) + 1 / weight
        transformed = self._transformed(x)
        if not (self.top or self.left) and unused is None:
            return self._image((self.back + transformed / weight) / denominator)
        residual = self.y - self._measured(self._back(self.spectrum * transformed))
        outside: Unmeasured = self._border()
        data = self.data
        if unused is not None:
            outside = Masked(F.pad(unused.to(x), (self.left, 0, self.top, 0), value=1.0))
            residual = residual.masked_fill(unused, 0)
            data = torch.linalg.vector_norm(self.y.masked_fill(unused, 0), dim=(1, 2, 3)).square()
        residual = self._padded(residual)
        # largest factors from an error of the border to one of the gradient, and to one of the image
        to_gradient = self.power.flatten(1).amax(1).sqrt()
        to_image = (self._weighted(self.power.sqrt()) / denominator).flatten(1).amax(1)
        data = data + torch.linalg.vector_norm(x / weight, dim=(1, 2, 3)).square()
        level = (data / x[0].numel()).sqrt()
        bound = torch.minimum(BORDER_PER_TOLERANCE * level / to_gradient, IMAGE_PER_TOLERANCE / to_image)
        # the residual that is left after the step, weighted by c, is this times the residual before it
        left = self._weighted(1 / (weight * denominator))
        start = torch.zeros_like(residual) if self.border is None else outside.embed(self.border)
        border = self._least(residual, left, outside, outside.of(start), tolerance * bound, iterations)
        self.border = border.detach()
        step = self._weighted(self.spectrum.conj()) / denominator * torch.fft.rfft2(residual + outside.embed(border))
        return x + self._image(step)

    def weighted_residual(self, x: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
        """``Kx - y`` with the unmeasured pixels that minimise its weighted norm, and the same weighted by ``c``.

        The parameters are those of :meth:`prox`. Both results are (B, C, H, W).
        """
        residual = self._padded(self.residual(x))
        weights = torch.ones_like(self.power) if self.weights is None else self.weights
        if self.top or self.left:
            level = torch.linalg.vector_norm(residual, dim=(1, 2, 3)) / residual[0].numel() ** 0.5
            outside, bound = self._border(), tolerance * float(weights.mean()) * level
            none = outside.of(torch.zeros_like(residual))
            residual = residual + outside.embed(self._least(residual, weights, outside, none, bound, iterations))
        return residual, self._back(weights * torch.fft.rfft2(residual))

    def back_projected(self, residual: Tensor) -> Tensor:
        """``K^T`` of a residual (B, C, H, W) that contains the unmeasured pixels."""
        return self._image(self.spectrum.conj() * torch.fft.rfft2(residual))

    def nearly_inverse(self, weight: float | Tensor, gamma: float | Tensor) -> Callable[[Tensor], Tensor]:
        """Nearly the inverse of ``weight K^T K + 1 / gamma``, of images (B, C, H, W): that of the circular blur."""
        return lambda v: self._image(self._transformed(v) / (weight * self.power + 1 / gamma))

    def _least(
        self,
        residual: Tensor,
        weights: Tensor,
        outside: Unmeasured,
        start: Tensor,
        bound: Tensor,
        iterations: int,
    ) -> Tensor:
        """The unmeasured values for which the norm of ``residual`` with these ``weights`` is smallest.

        :param torch.Tensor start: first values.
        :param torch.Tensor bound: root mean square error at which an image stops, (B,).
        """

        def gradient(v: Tensor) -> Tensor:
            return outside.of(self._back(weights * torch.fft.rfft2(v)))

        return start + preconditioned_conjugate_gradients(
            lambda values: gradient(outside.embed(values)),
            -gradient(residual + outside.embed(start)),
            preconditioner(outside, self._border(), weights, self.weights is None, self.y),
            bound * outside.count() ** 0.5,
            iterations,
        )

    def _weighted(self, spectrum: Tensor) -> Tensor:
        return spectrum if self.weights is None else self.weights * spectrum

    def _transformed(self, x: Tensor) -> Tensor:
        """The Fourier transform of images (B, C, H, W)."""
        return torch.fft.rfft2(F.pad(x, (self.beside, 0, self.above, 0)) if self.above or self.beside else x)

    def _back(self, spectrum: Tensor) -> Tensor:
        """The inverse transform."""
        return torch.fft.irfft2(spectrum, s=self.grid)

    def _image(self, spectrum: Tensor) -> Tensor:
        """The pixels of the image in the inverse transform."""
        return self._back(spectrum)[..., self.above :, self.beside :]

    def _measured(self, v: Tensor) -> Tensor:
        """The measured pixels of (B, C, H, W)."""
        return v[..., self.top :, self.left :]

    def _padded(self, y: Tensor) -> Tensor:
        """``y`` (B, C, h, w) with unmeasured pixels of zero, (B, C, H, W)."""
        return F.pad(y, (self.left, 0, self.top, 0))

    def _border(self) -> Border:
        return Border(self.top, self.left, self.grid, self.y.shape[1])


def fast_length(length: int) -> int:
    """The least number from ``length`` on without a prime factor above 7: of others, transforms take 2 to 3 times as
    long."""
    while not _is_smooth(length):
        length += 1
    return length


def _is_smooth(length: int) -> bool:
    for factor in (2, 3, 5, 7):
        while length % factor == 0:
            length //= factor
    return length == 1


def products_of(physics: LinearPhysics, x: Tensor, y: Any) -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]:
    """``K`` and ``K^T``; by Fourier transforms for the blurs of :class:`FourierBlur`.

    :param torch.Tensor x: images (B, C, ...) of the shape that the physics takes.
    :param y: measurement.
    """
    if not FourierBlur.handles(physics, x, y):
        return physics.A, physics.A_adjoint
    blur = FourierBlur(physics, y, (x.shape[-2], x.shape[-1]))
    return blur.forward, blur.adjoint
