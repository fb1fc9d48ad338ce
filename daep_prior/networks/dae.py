"""What all denoising autoencoders (DAEs) share.

Every network is residual: ``A(x) = x + r(x)``. :class:`DAE` checks the input, shows grey images as three equal
channels, pads, and evaluates a frozen network in its fast form. An architecture only builds ``body``, the module that
maps the network's input to ``r``.
"""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any, ClassVar, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_prior.arguments import real_number
from daep_prior.images import RGB, per_image, replicated_level
from daep_prior.inference.frozen import FrozenBody

__all__ = ["DAE", "start_near_identity"]


class DAE(nn.Module):
    """A residual denoising autoencoder ``A(x) = x + r(x)``; called like a deepinv denoiser.

    Parameters keep their number type. If none of them requires a gradient, the convolutions run on a cached copy in
    ``compute_dtype`` and channels-last layout: on a CPU image by image, on a GPU as CUDA graphs
    (:mod:`daep_prior.inference`). Images, noise and the sum ``x + r`` keep the type of ``x``. Float64 images are always
    computed in float64. Several threads may call a frozen network at the same time.

    :param float, None sigma: noise standard deviation the network is trained for, images in [0, 1]; ``None`` for a
        noise-conditional network, which reads the level from a further input channel.
    :param tuple sigma_range: levels a noise-conditional network was trained on.
    :param int channels: of the images.
    :raises ValueError: both or neither of the two, levels out of range, or no channel.
    """

    architecture: ClassVar[str]
    #: Channels of the images the network was trained on.
    channels: int = RGB
    #: Height and width are padded to a multiple of this, and the output is cropped back.
    multiple: int = 1

    body: nn.Module

    def __init__(self, sigma: float | None, sigma_range: tuple[float, float] | None = None, channels: int = RGB):
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels: got {channels}; expected at least 1.")
        self.channels = channels
        if (sigma is None) == (sigma_range is None):
            raise ValueError("give sigma (one level) or sigma_range (noise-conditional), exactly one of the two.")
        if sigma is not None:
            real_number("sigma", sigma, "a finite noise level", positive=True)
        if sigma_range is not None and not (len(sigma_range) == 2 and 0 <= sigma_range[0] < sigma_range[1] < math.inf):
            raise ValueError(f"sigma_range: got {sigma_range}; expected two levels, 0 <= low < high, images in [0, 1].")
        self.sigma = sigma
        self.sigma_range = sigma_range
        #: Number type of the convolutions; ``None``: :func:`daep_prior.inference.fast_dtype` decides.
        self.compute_dtype: torch.dtype | None = None
        self._frozen_body = FrozenBody()

    @property
    def conditional(self) -> bool:
        """Whether the network is noise-conditional."""
        return self.sigma is None

    @property
    def level_maps(self) -> bool:
        """Whether the network takes a noise level for each pixel."""
        return self.conditional

    @property
    def in_channels(self) -> int:
        """Channels of the images the network was trained on."""
        return self.channels

    @property
    def radius(self) -> int:
        """Largest distance, in pixels, at which an input pixel can change an output pixel."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """The argument of :func:`build_network` that makes this network again; JSON-serialisable.

        Three channels are left out, as in files of earlier versions.
        """
        arguments = inspect.signature(type(self)).parameters
        known = {name: getattr(self, name) for name in arguments if name != "channels" or self.channels != RGB}
        return {"architecture": self.architecture} | known

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Denoise.

        :param torch.Tensor x: noisy images (B, C, H, W) in [0, 1] up to noise, C = 1 or the network's channels.
        :param float, torch.Tensor sigma: noise standard deviation, a number, one an image, or for a noise-conditional
            network one a pixel, (B, 1, H, W). A network for one level ignores it.
        :return: denoised images, shape and type of ``x``.
        :raises ValueError: wrong shape or type, or a noise level that is missing, negative or not finite.
        """
        if x.ndim != 4 or x.shape[1] not in (1, self.channels):
            counts = " or ".join(map(str, sorted({1, self.channels})))
            raise ValueError(f"x: got shape {tuple(x.shape)}; expected images (B, C, H, W) with C = {counts}.")
        if not x.is_floating_point():
            raise ValueError(f"x: got type {x.dtype}; expected floating-point images in [0, 1].")
        if x.shape[1] == 1 < self.channels:
            if self.conditional and sigma is not None:
                sigma = replicated_level(sigma, self.channels)
            return self.forward(x.expand(-1, self.channels, -1, -1), sigma).mean(1, keepdim=True)
        return x + self.residual(x, sigma)

    def residual(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """``r(x) = A(x) - x`` for images (B, channels, H, W): the mean-shift vector of eq. 6."""
        height, width = x.shape[-2:]
        z = x
        level = None if sigma is None else sigma if _is_map(sigma, x) else per_image(sigma, x)
        if self.conditional:
            if level is None:
                raise ValueError("sigma: got None; this network is noise-conditional and needs the noise level.")
            z = torch.cat([x, level.to(x).expand(x.shape[0], 1, height, width)], 1)
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            mode = "reflect" if bottom < height and right < width else "replicate"
            z = F.pad(z, (0, right, 0, bottom), mode=mode)
        learning = any(p.requires_grad for p in self.body.parameters())
        if learning or (self.training and any(isinstance(m, nn.BatchNorm2d) for m in self.body.modules())):
            r = self.body(z)
        else:
            r = self._frozen_body(self.body, z, self.compute_dtype)
        return r[..., :height, :width].to(x.dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> DAE:
        self._frozen_body.clear()  # frees the copy on the old device
        return super()._apply(fn, recurse)

    def fold(self) -> DAE:
        """The form for inference: equal outputs, no normalisation layers, evaluation mode, frozen parameters."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def extra_repr(self) -> str:
        if self.sigma_range is not None:
            return "sigma in [{:g}, {:g}]/255".format(*(255 * s for s in self.sigma_range))
        return f"sigma={255 * (self.sigma or 0):g}/255"


def _is_map(sigma: float | Tensor, x: Tensor) -> TypeGuard[Tensor]:
    """Whether there is a level for each pixel, (B, 1, H, W) or (1, 1, H, W)."""
    return isinstance(sigma, Tensor) and sigma.numel() > len(x) and sigma.shape in (x[:, :1].shape, x[:1, :1].shape)


def start_near_identity(last: nn.Conv2d) -> None:
    """Shrink the last convolution, so that training starts from ``A(x)`` close to ``x``."""
    with torch.no_grad():
        last.weight.mul_(0.1)
