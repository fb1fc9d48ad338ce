"""How well a network denoises images that it was not trained on."""

from __future__ import annotations

import math

import numpy as np
import torch

from daep_prior.networks import DAE
from daep_prior.training.data import TrainingImage

__all__ = ["validation_psnr"]

#: Validation noise levels of a noise-conditional network, of 255; 15, 25 and 50 are the usual ones of denoising papers.
VALIDATION_LEVELS = (5, 15, 25, 50)
#: Height and width of the validation crops, pixels. Chosen by hand.
CROP = 160


def validation_psnr(dae: DAE, images: list[TrainingImage], device: torch.device) -> dict[str, float]:
    """Mean PSNR of the denoised centre crops, with noise from a fixed seed.

    :param DAE dae: the network, in either form.
    :param list images: that suit its channels.
    :param torch.device device: where to compute.
    :return: dB by noise level, of 255; for a noise-conditional network at the levels of its range.
    """
    dae = dae.fold().to(device)
    levels = VALIDATION_LEVELS if dae.sigma is None else (255 * dae.sigma,)
    highest = 255 * dae.sigma_range[1] if dae.sigma_range else math.inf
    result = {}
    for level in (level for level in levels if level <= highest):
        total = 0.0
        for i, image in enumerate(images):
            top, left = ((n - min(n, CROP)) // 2 for n in image.size)
            crop = image.crop(top, left, CROP, CROP, dae.in_channels)
            clean = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].to(device)
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(i)).to(device)
            with torch.no_grad():
                out = dae(clean + level / 255 * noise, level / 255).clamp(0, 1)
            total += -10 * math.log10(max(float((out - clean).square().mean()), 1e-12))
        result[f"{level:g}"] = total / len(images)
    return result
