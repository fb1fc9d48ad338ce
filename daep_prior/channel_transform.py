"""``ChannelTransform``: an orthogonal change of the channels, with offset and scale, before a network sees them.

White noise remains white and equally strong in all new channels, so a network that removes white noise can restore the
image there. With ``x = U (a c + b)``, the energy of ``x`` is ``a^2 R_{s/a}(c)``, its gradient ``a U grad R_{s/a}(c)``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from daep_prior.images import continued

__all__ = ["ChannelTransform", "phase_channels", "principal_channels", "range_transform"]

#: Highest frequency of a smooth phase, cycles a pixel: standard deviation of a Gaussian low-pass. Single-coil MRI of
#: three training images, two of them with a phase, at the accelerations 4 and 8: 29.72 and 25.48 dB at 0.005, 30.15 and
#: 25.96 at 0.01, 30.37 and 25.38 at 0.02; 29.44 and 25.07 with shifted real and imaginary parts. The fully measured
#: centre of the spectrum has a half width of 0.04 and 0.02: the phase beyond is that of artefacts.
PHASE_FREQUENCY = 0.01
#: Share of the pixels that may lie below the value 0 of a channel, so that single outliers do not move it.
OUTLIERS = 0.002


@dataclass(frozen=True)
class ChannelTransform:
    """``c = (U^T x - b) / a`` at each pixel of an array (B, C, ...).

    :param torch.Tensor matrix: ``U``, orthogonal, (1, C, C) or (B, C, C), or one a pixel, (B, C, C, H, W); each column
        is a new channel. ``None``: the identity.
    :param torch.Tensor offset: ``b``, (1, C) or (B, C); (1, 1): equal in all channels.
    :param torch.Tensor scale: ``a``, positive, (1,) or (B,).
    :param str name: what the new channels are, in words.
    """

    matrix: Tensor | None
    offset: Tensor
    scale: Tensor
    name: str = "transformed channels"

    def forward(self, x: Tensor) -> Tensor:
        """The new channels of ``x``."""
        channels = x if self.matrix is None else _mixed(self.matrix.transpose(1, 2), x)
        return (channels - _spread(self.offset, x)) / _spread(self.scale, x)

    def inverse(self, channels: Tensor) -> Tensor:
        """``x`` of its new channels."""
        return self._mixed_back(_spread(self.scale, channels) * channels + _spread(self.offset, channels))

    def pulled_back(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to ``x`` of ``a^2 R(c)``, from that of ``R`` with respect to the new channels."""
        return self._mixed_back(_spread(self.scale, gradient) * gradient)

    def level(self, sigma: float | Tensor) -> float | Tensor:
        """A noise level of ``x`` in the units of the new channels; one number, or one an array."""
        scale: float | Tensor = float(self.scale) if self.scale.numel() == 1 else self.scale
        if isinstance(sigma, Tensor):
            return sigma.reshape(-1) / (scale.to(sigma) if isinstance(scale, Tensor) else scale)
        return sigma / scale

    def _mixed_back(self, channels: Tensor) -> Tensor:
        return channels if self.matrix is None else _mixed(self.matrix, channels)


def range_transform(low: float, high: float) -> ChannelTransform:
    """Values from ``low`` to ``high`` are shown to the network as [0, 1]."""
    return ChannelTransform(None, torch.tensor([[low]]), torch.tensor([high - low]), f"{low:g} to {high:g} as 0 to 1")


def principal_channels(x: Tensor) -> ChannelTransform:
    """The principal components of the channels of each array, the strongest first, each shifted to at least 0.

    :param torch.Tensor x: real arrays (B, C, H, W) or (B, C, D, H, W), for example the first images of a restoration.
    """
    flat = _finite(x).flatten(2)
    centred = flat - flat.mean(2, keepdim=True)
    covariance = torch.stack([part @ part.mT for part in centred])  # one array at a time, as in _mixed
    vectors = torch.stack([torch.linalg.eigh(matrix)[1] for matrix in covariance]).flip(2)
    sums = vectors.sum(1, keepdim=True)
    vectors = torch.where(sums < 0, -vectors, vectors)  # mostly positive: bright remains bright
    return _of_unit_range(vectors, x, "principal components")


def phase_channels(x: Tensor) -> ChannelTransform:
    """Of complex arrays, the part that has the smooth phase of the array, and the part at a right angle to it.

    The first is nearly the magnitude, which looks like a photograph; the second is small.

    :param torch.Tensor x: real and imaginary parts, (B, 2, H, W) or (B, 2, D, H, W).
    """
    smooth = torch.stack([_low_pass(torch.complex(*part)) for part in _finite(x)])
    length = smooth.abs()
    unit = torch.where(length > 0, smooth / length.clamp(min=torch.finfo(length.dtype).tiny), torch.ones_like(smooth))
    cosine, sine = unit.real, unit.imag
    matrix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    return _of_unit_range(matrix, x, "along and across the smooth phase")


def _finite(x: Tensor) -> Tensor:
    """``x`` in float64, with 0 where it is not finite: there the solver reports the failure, not the transform."""
    x = x.detach().double()
    return torch.where(x.isfinite(), x, 0.0)


def _of_unit_range(matrix: Tensor, x: Tensor, name: str) -> ChannelTransform:
    """The transform that brings the new channels of ``x`` to [0, 1], by one scale for all: no network knows negative
    values."""
    channels = _mixed(matrix.transpose(1, 2), _finite(x)).flatten(2)
    rank = 1 + round(OUTLIERS * (channels.shape[2] - 1))
    low, high = (sign * (sign * channels).kthvalue(rank, dim=2).values for sign in (1, -1))
    scale = (high - low).amax(1)
    scale = torch.where(scale > 0, scale, 1.0)  # an empty array
    return ChannelTransform(matrix.to(x.dtype), low.to(x.dtype), scale.to(x.dtype), name)


def _low_pass(image: Tensor) -> Tensor:
    """A complex image (..., H, W), continued by its mirror image, its frequencies weighted by a Gaussian."""
    height, width = image.shape[-2:]
    rows, columns = (torch.fft.fftfreq(2 * n, dtype=torch.float64, device=image.device) for n in (height, width))
    weight = torch.exp(-(rows[:, None].square() + columns.square()) / (2 * PHASE_FREQUENCY**2))
    return torch.fft.ifft2(torch.fft.fft2(continued(image)) * weight)[..., :height, :width]


def _mixed(matrix: Tensor, x: Tensor) -> Tensor:
    if matrix.ndim > 3:
        return (matrix.to(x) * x[:, None]).sum(2)
    # one array at a time: the rounding of a batched product depends on the number of arrays
    matrices = matrix.to(x).expand(x.shape[0], -1, -1)
    return torch.stack([m @ part.flatten(1) for m, part in zip(matrices, x, strict=True)]).view_as(x)


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """(B, C) or (B,) as a tensor that broadcasts to (B, C, ...)."""
    return values.to(x).reshape(*values.shape, *(1,) * (x.ndim - values.ndim))
