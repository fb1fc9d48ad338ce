"""The two networks of blind deblurring: one judges and restores, one finds the kernel."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from daep_deepinv.prior import DAEPrior

#: The shipped network that finds kernels. It was trained on images that were restored with a wrong kernel.
SHARPENER = "dae-blind"


class BlindPrior(nn.Module):
    """The denoiser that judges and restores, and the network that finds the kernel. Both take any noise level.

    :param DAEPrior judging: of the denoiser that also restores, see :class:`daep_deepinv.DAEP`.
    :param DAEPrior finding: of the network that removes noise and the traces of a wrong kernel.
    """

    def __init__(self, judging: DAEPrior, finding: DAEPrior):
        super().__init__()
        self._judging, self._finding = judging, finding

    @property
    def denoiser(self) -> nn.Module:
        """The denoiser that restores."""
        return self._judging.denoiser

    def judge(self, x: Tensor, width: float) -> Tensor:
        """The denoiser at a kernel width, images (1, 1, h, w) in [0, 1], on any device."""
        return _evaluated(self._judging, x, width)

    def sharpen(self, x: Tensor, width: float) -> Tensor:
        """The network that finds the kernel in photographs with noise; parameters as above."""
        return _evaluated(self._finding, x, width)


def as_blind_prior(
    denoiser: nn.Module | str | os.PathLike[str],
    sharpener: nn.Module | str | os.PathLike[str] = SHARPENER,
    device: str | torch.device | None = None,
) -> BlindPrior:
    """The two networks, on ``device`` or where they are.

    :raises ValueError: one is trained for one noise level.
    """
    prior = BlindPrior(_any_level("denoiser", denoiser), _any_level("sharpener", sharpener))
    return prior if device is None else prior.to(device)


def _any_level(name: str, network: nn.Module | str | os.PathLike[str]) -> DAEPrior:
    prior = DAEPrior(network)
    if prior.trained_width is not None:
        raise ValueError(
            f"{name}: it is trained for the one level {255 * prior.trained_width:g}/255; expected a "
            "noise-conditional one, such as 'dae'."
        )
    return prior


def _evaluated(prior: DAEPrior, x: Tensor, width: float) -> Tensor:
    return prior.denoise(x.to(prior.device), width).to(x.device)
