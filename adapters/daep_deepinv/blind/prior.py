"""The two networks of blind deblurring: one judges and restores, one finds the kernel."""

from __future__ import annotations

import math
import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_deepinv.blind.restoration import noise_level, with_border
from daep_deepinv.prior import DAEPrior

#: The shipped network that finds kernels. It was trained on images that were restored with a wrong kernel.
SHARPENER = "dae-blind"
#: Of :meth:`BlindPrior.prediction_error`: ``a``, and the least noise level, images in [0, 1]. Chosen by hand.
SPLIT, LEAST_LEVEL = 0.7, 0.5 / 255
#: Seed of its noise field. Simulated photographs often have noise of a small seed; the field must not be the same.
FIELD_SEED = 7_348_519_206


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

    def prediction_error(self, y: Tensor, kernel: Tensor) -> float:
        r"""How badly a kernel predicts a photograph that the restoration has not seen.

        With a noise field :math:`n` as strong as the noise of :math:`y`, :math:`y + a n` and :math:`y - n / a` have
        independent noise (Pang et al., *Recorrupted-to-Recorrupted*, CVPR 2021). ``x`` is the restoration of the first
        by ``"fast"``; the error is that of :math:`k * x` to the second. So a kernel gains nothing if it lets the image
        fit the noise.

        :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
        :param torch.Tensor kernel: (n, n), n odd, sum 1.
        :return: mean square; differences between kernels are independent of the noise.
        """
        level = max(LEAST_LEVEL, noise_level(y))
        field = level * torch.randn(y.shape, generator=torch.Generator().manual_seed(FIELD_SEED)).to(y)
        seen, unseen = y + SPLIT * field, y - field / SPLIT
        sigma = math.hypot(1, SPLIT) * level
        x = with_border(seen.to(self._judging.device), kernel, sigma, "fast", self.denoiser).to(y)
        return float((F.conv2d(x, kernel.flip(0, 1)[None, None]) - unseen).square().mean())


def as_blind_prior(
    denoiser: nn.Module | str | os.PathLike[str],
    sharpener: nn.Module | str | os.PathLike[str] = SHARPENER,
    device: str | torch.device | None = None,
) -> BlindPrior:
    """The two networks, on ``device`` or where they are.

    :raises ValueError: one is trained for one noise level.
    :raises FileNotFoundError: no such network.
    """
    prior = BlindPrior(_any_level("denoiser", denoiser), _any_level("sharpener", sharpener))
    return prior if device is None else prior.to(device)


def _any_level(name: str, network: nn.Module | str | os.PathLike[str]) -> DAEPrior:
    try:
        prior = DAEPrior(network)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{name}: {error}") from error
    if prior.trained_width is not None:
        raise ValueError(
            f"{name}: it is trained for the one level {255 * prior.trained_width:g}/255; expected a "
            "noise-conditional one, such as 'dae'."
        )
    return prior


def _evaluated(prior: DAEPrior, x: Tensor, width: float) -> Tensor:
    return prior.denoise(x.to(prior.device), width).to(x.device)
