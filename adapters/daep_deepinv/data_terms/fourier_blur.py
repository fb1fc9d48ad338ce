"""The proximal step of a blur by Fourier transforms, whatever the size of the kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from deepinv.physics import Blur, BlurFFT, LinearPhysics
from torch import Tensor

from daep_deepinv.data_terms.conjugate_gradients import conjugate_gradients

__all__ = ["FourierBlur", "frequencies"]

#: How well the border is known after a step, in a pixel of it: to this times the tolerance relative to the data,
#: and so that the error in the image is this times the tolerance. With deepinv's default tolerance of 1e-4 the PSNR of
#: restored training crops is that of an exact step. Ten times the error in the image is none in noise, but costs up to
#: 12 dB in a noise-free blur, and saves only a twentieth of the time.
BORDER_PER_TOLERANCE, IMAGE_PER_TOLERANCE = 3.0, 1.2


class FourierBlur:
    r"""``1/2 ||Kx - y||^2`` for a circular or a ``valid`` blur ``K``, as deepinv's operators apply it.

    A circular blur is a multiplication of spectra, and its proximal step

    .. math::

        \operatorname{argmin}_v \tfrac12 \|v - x\|^2 + \tfrac{w}{2} \|Kv - y\|^2

    a division. A ``valid`` blur is the circular one of which a border of the result, as wide as the kernel, is
    not measured. If the border ``u`` were known, the step would be that division again; and ``u`` is what the blurred
    solution shows there. This is a linear equation in the few unknown pixels, solved by conjugate gradients with two
    transforms an iteration, each image by itself. They start from the border that the last step found, so that the
    steps of a restoration learn it together; every restoration needs an object of its own.

    Noise that is not white has weights ``c``, the reciprocal of its power spectrum: then ``||r||^2`` stands for
    :math:`\sum c |\hat r|^2`, the unmeasured pixels of ``r`` being those for which it is least. Under noise that is
    stationary around the edges, this is its exact likelihood.

    :param deepinv.physics.LinearPhysics physics: for which :meth:`handles` says yes.
    :param torch.Tensor y: measurement (B, C, h, w).
    :param tuple size: height and width of the image.
    :param Callable weights: the weight at each frequency, positive, of its length in cycles a pixel; default 1.
    """

    def __init__(
        self,
        physics: LinearPhysics,
        y: Tensor,
        size: tuple[int, int],
        weights: Callable[[Tensor], Tensor] | None = None,
    ):
        self.size = size
        filter = physics.filter.to(y)
        rows, cols = filter.shape[-2:]
        #: Rows above and columns left of the measured pixels, when a circular blur has moved all unmeasured ones there.
        self.top = self.left = 0
        padded = F.pad(filter, (0, size[1] - cols, 0, size[0] - rows))
        if isinstance(physics, Blur) and physics.padding == "valid":
            self.top, self.left = rows - 1, cols - 1
        else:
            padded = padded.roll((-(rows // 2), -(cols // 2)), (-2, -1))
        self.spectrum = torch.fft.rfft2(padded)
        self.power = self.spectrum.real.square() + self.spectrum.imag.square()
        self.y = y
        #: By how much ``y`` exceeds ``Kx`` at the unmeasured pixels, as far as the last step knew; (B, C, n).
        self.border: Tensor | None = None
        #: ``||y||^2`` of each image, (B,).
        self.data = torch.linalg.vector_norm(y, dim=(1, 2, 3)).square()
        #: ``c`` at each frequency; ``None``: 1.
        self.weights = None if weights is None else weights(frequencies(size).to(y))
        back = self.spectrum.conj() * torch.fft.rfft2(F.pad(y, (self.left, 0, self.top, 0)))
        #: ``K^T y``, weighted, which is the same at every step.
        self.back = self._weighted(back)

    @staticmethod
    def handles(physics: LinearPhysics, x: Tensor, y: Tensor) -> bool:
        """Whether ``physics`` is a two-dimensional circular or ``valid`` blur, unchanged by a derived class."""
        kind = Blur if isinstance(physics, Blur) else BlurFFT
        if not isinstance(physics, kind) or not isinstance(y, Tensor) or x.ndim != 4:
            return False
        if x.dtype not in (torch.float32, torch.float64) or y.dtype != x.dtype:
            return False
        if type(physics).A is not kind.A or type(physics).A_adjoint is not kind.A_adjoint:
            return False
        if kind is Blur and physics.padding not in ("valid", "circular"):
            return False
        filter = physics.filter
        return filter is not None and filter.ndim == 4 and all(filter.shape[i] <= x.shape[i] for i in (-2, -1))

    def residual(self, x: Tensor) -> Tensor:
        """``Kx - y``, (B, C, h, w)."""
        return self._image(self.spectrum * torch.fft.rfft2(x))[..., self.top :, self.left :] - self.y

    def prox(self, x: Tensor, weight: float | Tensor, tolerance: float, iterations: int) -> Tensor:
        """The proximal step above.

        :param torch.Tensor x: images (B, C, H, W).
        :param float, torch.Tensor weight: ``w``, a number or (B, 1, 1, 1).
        :param float tolerance: how well the border is to be known, see :data:`BORDER_PER_TOLERANCE`.
        :param int iterations: the most for the border.
        """
        power = self._weighted(self.power)
        damped = power + 1 / weight
        inside = torch.fft.rfft2(x)
        if not (self.top or self.left):
            return self._image((self.back + inside / weight) / damped)
        seen = self._image(self.spectrum * inside)
        mismatch = F.pad(self.y - seen[..., self.top :, self.left :], (self.left, 0, self.top, 0))
        # what a unit of error in the border is in the gradient and in the image, at most
        gain = self.power.flatten(1).amax(1).sqrt()
        error = (self._weighted(self.power.sqrt()) / damped).flatten(1).amax(1)
        data = self.data + torch.linalg.vector_norm(x / weight, dim=(1, 2, 3)).square()
        level = (data / x[0].numel()).sqrt()
        bound = torch.minimum(BORDER_PER_TOLERANCE * level / gain, IMAGE_PER_TOLERANCE / error)
        # what the blurred solution lacks of the data, of what x lacks
        lacking = self._weighted(1 / (weight * damped))
        border = self._least(mismatch, lacking, self.border, tolerance * bound, iterations)
        self.border = border.detach()
        step = self._weighted(self.spectrum.conj()) / damped * torch.fft.rfft2(mismatch + self._embed(border))
        return x + self._image(step)

    def weighted_residual(self, x: Tensor, tolerance: float, iterations: int) -> tuple[Tensor, Tensor]:
        """``Kx - y``, with the unmeasured pixels that make it least, and the same weighted by ``c``; (B, C, H, W)."""
        residual = self._image(self.spectrum * torch.fft.rfft2(x))
        residual = F.pad(residual[..., self.top :, self.left :] - self.y, (self.left, 0, self.top, 0))
        weights = torch.ones_like(self.power) if self.weights is None else self.weights
        if self.top or self.left:
            level = torch.linalg.vector_norm(residual, dim=(1, 2, 3)) / residual[0].numel() ** 0.5
            border = self._least(residual, weights, None, tolerance * float(weights.mean()) * level, iterations)
            residual = residual + self._embed(border)
        return residual, self._image(weights * torch.fft.rfft2(residual))

    def back_projected(self, residual: Tensor) -> Tensor:
        """``K^T`` of (B, C, H, W), in which unmeasured pixels are in their place."""
        return self._image(self.spectrum.conj() * torch.fft.rfft2(residual))

    def _least(self, inside: Tensor, weights: Tensor, start: Tensor | None, bound: Tensor, iterations: int) -> Tensor:
        """The border that makes ``inside`` least in the norm of these weights.

        :param torch.Tensor start: a border, and zero if there is none yet.
        :param torch.Tensor bound: how well to know it, in a pixel, (B,).
        """
        start = torch.zeros_like(self._border(inside)) if start is None else start

        def misfit(v: Tensor) -> Tensor:
            return self._border(self._image(weights * torch.fft.rfft2(v)))

        return start + conjugate_gradients(
            lambda b: misfit(self._embed(b)),
            -misfit(inside + self._embed(start)),
            bound * start[0].numel() ** 0.5,
            iterations,
        )

    def _weighted(self, spectrum: Tensor) -> Tensor:
        return spectrum if self.weights is None else self.weights * spectrum

    def _image(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=self.size)

    def _border(self, v: Tensor) -> Tensor:
        """The unmeasured pixels of (B, C, H, W) in a row, (B, C, n)."""
        return torch.cat([v[..., : self.top, :].flatten(2), v[..., self.top :, : self.left].flatten(2)], 2)

    def _embed(self, border: Tensor) -> Tensor:
        """They in their place, and zero where it is measured."""
        height, width = self.size
        above, beside = border.split([self.top * width, (height - self.top) * self.left], 2)
        image = border.new_zeros((*border.shape[:2], height, width))
        image[..., : self.top, :] = above.unflatten(2, (self.top, width))
        image[..., self.top :, : self.left] = beside.unflatten(2, (height - self.top, self.left))
        return image


def frequencies(size: tuple[int, int]) -> Tensor:
    """Lengths in cycles a pixel of the frequencies of ``torch.fft.rfft2``, (H, W // 2 + 1)."""
    rows, cols = torch.fft.fftfreq(size[0]), torch.fft.rfftfreq(size[1])
    return torch.hypot(rows[:, None], cols[None])
