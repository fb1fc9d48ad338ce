"""Denoise a measurement whose noise has not the same level everywhere, with a denoiser for white noise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from deepinv.physics import Denoising
from torch import Tensor, nn

from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise.stabilise import Stabiliser, stabiliser_of
from daep_deepinv.noise.variance import VarianceLaw
from daep_deepinv.view import View
from daep_prior import MeanShiftPrior, Schedule
from daep_prior.images import RGB

__all__ = ["denoised", "one_step", "takes_level_maps"]

#: Largest level of stabilised noise, where the image has the range 1, up to which the map of levels is of use. Beyond,
#: an image of few counts, the first estimate and the map with it are too coarse. On 8 colour and 8 grey training crops:
#: the mean of both estimates is 0.03 to 0.15 dB better up to 0.29 (Poisson noise of gain 0.2), 0.6 dB worse in grey at
#: 0.9 (gain 1).
LARGEST_MAP_LEVEL = 0.3
#: Smallest variance, as a share of its mean, that a map of levels shows the network. It bounds the level of a dark
#: pixel whose first estimate is 0.
SMALLEST_SHARE = 1e-3
#: Ratio of the least to the largest level of the channels at which the map is not used, and from which on it has its
#: full weight; side of the window in which the ratio is averaged, pixels. On 14 crops, gains 0.05 and 0.2: better than
#: the stabilised estimate by 0.04 and 0.18 dB, at worst by -0.04 dB; with equal weights everywhere at worst -0.69 dB.
ALIKE_RANGE, ALIKE_WINDOW = (0.5, 0.8), 5

#: Distance of the levels at which a denoiser without maps is evaluated, in octaves: 0.6 to 1.3 dB below a map on
#: training crops whose level rises from 0.02 to 0.2; half of it costs twice the time.
OCTAVES_PER_LEVEL = 0.75


def one_step(view: View, noise: NoiseModel, schedule: Schedule) -> bool:
    """Whether :func:`denoised` restores: a noisy image whose noise has not the same level everywhere, in one step."""
    return noise.law is not None and isinstance(view.physics, Denoising) and len(schedule) == 1 and view.used.of_all


def takes_level_maps(denoiser: object) -> bool:
    """Whether a network takes noise levels of shape (B, 1, H, W): attribute ``level_maps``, as our conditional ones."""
    return bool(getattr(denoiser, "level_maps", False))


def denoised(y: Tensor, law: VarianceLaw, prior: MeanShiftPrior) -> Tensor:
    """The denoised measurement.

    Noise of signal-dependent level is stabilised and denoised at one level (:mod:`daep_deepinv.noise.stabilise`). A
    network that takes maps then sees the measurement again, with the levels that this estimate implies. The result is
    the mean of both estimates. Noise of given levels is denoised with their map; by a denoiser that takes none, at
    several levels, between which each pixel is interpolated.

    :param torch.Tensor y: measurement (B, C, H, W) with the mean ``x``, bright values about 1.
    :param VarianceLaw law: of each of these images.
    :param MeanShiftPrior prior: with a noise-conditional denoiser.
    :return: (B, C, H, W), not clipped.
    """
    maps = takes_level_maps(prior.denoiser) and y.shape[1] in (1, RGB) and prior.transform is None
    at_levels = _with_map if maps else _between_levels
    stabiliser = stabiliser_of(law)
    if stabiliser is None:
        estimate = y
        for _ in range(2 if law.signal_dependent else 1):
            estimate = at_levels(y, _levels(law.variance(estimate)), prior)
        return estimate
    first, level = _stabilised(y, stabiliser, prior)
    if not maps or level > LARGEST_MAP_LEVEL:
        return first
    variance = law.variance(first)
    return first + _share_of_map(variance) * (_with_map(y, _levels(variance), prior) - first)


def _share_of_map(variance: Tensor) -> Tensor:
    """Weight of the estimate with a map, (B, 1, H, W): one half; less where the channels have unlike levels, of which
    the map shows one."""
    levels = variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
    alike = levels.amin(1, keepdim=True) / levels.amax(1, keepdim=True)
    alike = F.avg_pool2d(alike, ALIKE_WINDOW, 1, ALIKE_WINDOW // 2, count_include_pad=False)
    none, full = ALIKE_RANGE
    return ((alike - none) / (full - none)).clamp(0, 1) / 2


def _levels(variance: Tensor) -> Tensor:
    """The standard deviations of the pixels (B, C, H, W) as one map an image, (B, 1, H, W)."""
    least = SMALLEST_SHARE * variance.flatten(1).mean(1).view(-1, 1, 1, 1)
    return torch.maximum(variance, least).mean(1, keepdim=True).sqrt()


def _stabilised(y: Tensor, stabiliser: Stabiliser, prior: MeanShiftPrior) -> tuple[Tensor, float]:
    """The estimate by stabilised noise, and the level of that noise for images in [0, 1].

    Dark and white become 0 and 1 again, as the network knows them. Where that would make the noise stronger than
    the network knows, only 1 remains.
    """
    low, high = stabiliser.ends()
    if high - low < 1 / LARGEST_MAP_LEVEL and high > 0:
        low = 0.0
    level = 1 / (high - low)
    shown = (stabiliser.forward(y) - low) * level
    return stabiliser.inverse(prior.denoise(shown, level) / level + low), level


def _with_map(y: Tensor, levels: Tensor, prior: MeanShiftPrior) -> Tensor:
    """The measurement (B, C, H, W) denoised with a map of levels (B, 1, H, W)."""
    shown = MeanShiftPrior(_MapAsChannel(prior.denoiser, y.shape[1]), noise="none", tile=prior.tile)
    return shown.denoise(torch.cat([y, levels], 1), 1.0)[:, :-1]


def _between_levels(y: Tensor, levels: Tensor, prior: MeanShiftPrior) -> Tensor:
    """The same with a denoiser that takes one level an image: at several, between which each pixel is interpolated."""
    if len(y) > 1:  # each image has levels of its own
        several = levels.expand(len(y), -1, -1, -1)
        return torch.cat([_between_levels(y[i : i + 1], several[i : i + 1], prior) for i in range(len(y))])
    logarithms = levels.log2()
    low, high = float(logarithms.min()), float(logarithms.max())
    count = 1 + math.ceil((high - low) / OCTAVES_PER_LEVEL)
    position = (logarithms - low) / max(high - low, 1e-6) * (count - 1)
    x = torch.zeros_like(y)
    for k in range(count):
        share = (1 - (position - k).abs()).clamp_min(0)
        x = x + share * prior.denoise(y, 2 ** (low + (high - low) * k / max(count - 1, 1)))
    return x


class _MapAsChannel(nn.Module):
    """A network that reads the noise levels from the last channel of the image, so that tiles are cut from both."""

    def __init__(self, denoiser: nn.Module, channels: int):
        super().__init__()
        self.denoiser, self.in_channels = denoiser, channels + 1
        for name in ("radius", "multiple"):
            if hasattr(denoiser, name):
                setattr(self, name, getattr(denoiser, name))

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        levels = x[:, -1:].clamp_min(0)
        return torch.cat([self.denoiser(x[:, :-1], levels), levels], 1)
