"""A DAE as a deepinv ``Denoiser``, for our prior and for PnP, RED and everything else in deepinv that takes one."""

from __future__ import annotations

import os
from typing import Any

import torch
from deepinv.models.base import Denoiser
from torch import Tensor, nn

from daep_prior import DAE, load_dae
from daep_prior.arguments import checked_device
from daep_prior.denoiser_traits import check_takes_level
from daep_prior.neighbouring_slices import VolumePrior

__all__ = ["AnyChannelDenoiser", "DAEDenoiser", "as_denoiser"]


class DAEDenoiser(Denoiser):
    """A :class:`daep_prior.DAE` as a :class:`deepinv.models.Denoiser`, with its attributes ``sigma``, ``in_channels``,
    ``level_maps``, ``radius`` and ``multiple``.

    :param DAE, str dae: the network, a shipped name or a weight file (see :func:`daep_prior.load_dae`).
    :param str, torch.device device: where to put it; default: where it is.

    >>> from daep_deepinv import DAEDenoiser
    >>> denoiser = DAEDenoiser("dae-sigma25")
    >>> denoiser(torch.rand(1, 3, 16, 16), 25 / 255).shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(self, dae: DAE | str | os.PathLike[str], device: str | torch.device | None = None):
        super().__init__()
        self.dae = dae if isinstance(dae, DAE) else load_dae(dae)
        if device is not None:
            self.dae.to(checked_device(device))
        self.sigma, self.in_channels, self.level_maps = self.dae.sigma, self.dae.in_channels, self.dae.level_maps
        self.radius, self.multiple = self.dae.radius, self.dae.multiple

    def forward(self, x: Tensor, sigma: float | Tensor | None = None, **kwargs: object) -> Tensor:
        """Denoise ``x`` (B, C, H, W), C = 1 or 3, at level ``sigma``; see :meth:`daep_prior.DAE.forward`."""
        out: Tensor = self.dae(x, sigma)
        return out


class AnyChannelDenoiser(Denoiser):
    """A denoiser of images of some channels as one of any number of channels, complex numbers and volumes.

    Channels that the denoiser does not take together are transformed
    (:func:`daep_prior.network_input.fitting_channels`) and denoised one by one, as grey images. A volume is denoised
    slice by slice; a grey one whose slices are alike also with three neighbours as colours, see
    :class:`daep_prior.neighbouring_slices.VolumePrior`. For plug-and-play, RED and DPIR, with any of deepinv's
    denoisers; :class:`DAEPrior` and :class:`DAEP` take such images directly.

    :param denoiser: any deepinv denoiser, a DAE, a shipped name or a weight file.
    :param options: ``transform``, ``axes`` and ``tile`` of :class:`daep_prior.MeanShiftPrior`. A given ``transform`` is
        used for all images.

    >>> import torch
    >>> from daep_deepinv import AnyChannelDenoiser
    >>> denoiser = AnyChannelDenoiser("dae")
    >>> denoiser(torch.rand(1, 5, 16, 16), 25 / 255).shape
    torch.Size([1, 5, 16, 16])
    """

    def __init__(self, denoiser: nn.Module | str | os.PathLike[str] = "dae", **options: Any):
        super().__init__()
        self.denoiser = as_denoiser(denoiser)
        self._prior = VolumePrior(self.denoiser, **options)

    @property
    def sigma(self) -> float | None:
        """The one level the denoiser is trained for, in the units of the images; ``None``: it does not say."""
        return self._prior.trained_width

    def forward(self, x: Tensor, sigma: float | Tensor | None = None, **kwargs: object) -> Tensor:
        """Denoise.

        :param torch.Tensor x: noisy images (B, C, H, W) or volumes (B, C, D, H, W), real or complex.
        :param float, torch.Tensor sigma: standard deviation of the noise in each real number; one, or one an image.
        """
        return self._prior.adapted(x).denoise(x, sigma)


def as_denoiser(denoiser: nn.Module | str | os.PathLike[str]) -> nn.Module:
    """``denoiser`` as something deepinv takes: our networks and their names wrapped, deepinv's own left alone.

    :raises TypeError: neither a module nor a name, or a module that does not take a noise level.
    """
    if isinstance(denoiser, (DAE, str, os.PathLike)):
        return DAEDenoiser(denoiser)
    if isinstance(denoiser, nn.Module):
        check_takes_level(denoiser)
        return denoiser
    raise TypeError(
        f"denoiser: got {type(denoiser).__name__}; expected a deepinv Denoiser, a DAE, a shipped name or a weight file."
    )
