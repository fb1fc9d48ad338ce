"""The two networks of blind deblurring: one judges and restores, one finds the kernel."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_deepinv.blind.restoration import deblurred
from daep_deepinv.prior import DAEPrior

#: The shipped network that finds kernels. It was trained on images that were restored with a wrong kernel.
SHARPENER = "dae-blind"
#: Kernel width of the mean shift in :meth:`BlindPrior.cost`, images in [0, 1]. On 29 blurred training crops, 2/255 to
#: 4.5/255 choose equally well.
COST_WIDTH = 3 / 255


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

    def cost(self, y: Tensor, kernel: Tensor, noise: float) -> float:
        r"""How badly a kernel explains a photograph: root mean squares :math:`|A_s(x) - x| / s + |k * x - y| / \sigma`.

        ``x`` is the restoration with the kernel by ``"fast"``. The first term is the root of the prior's energy, up to
        a factor; the second is 1 if the residual is the noise.

        :param torch.Tensor y: photograph in grey, (1, 1, h, w) in [0, 1].
        :param torch.Tensor kernel: (n, n), n odd, sum 1.
        :param float noise: :math:`\sigma`, images in [0, 1].
        """
        x = deblurred(y.to(self._judging.device), kernel, None, "fast", self.denoiser).to(y)
        left = self.judge(x.clamp(0, 1), COST_WIDTH) - x
        r, (height, width) = kernel.shape[0] // 2, (y.shape[-2], y.shape[-1])
        residual = F.conv2d(x, kernel.flip(0, 1)[None, None]) - y[..., r : height - r, r : width - r]
        rms = [float(one.square().mean().sqrt()) for one in (left, residual)]
        return rms[0] / COST_WIDTH + rms[1] / max(noise, 1e-6)


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
