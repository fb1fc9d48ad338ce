"""From measurements to deepinv's physics."""

import warnings
from collections.abc import Sequence

import torch
from deepinv.physics import Blur, Inpainting, LinearPhysics
from torch import Tensor

from daep_cli.jobs.measurement import Measurement
from daep_deepinv import degradation
from daep_deepinv.blind.varying_kernel import VaryingKernel


def forward_model(batch: Sequence[Measurement], factor: int, device: torch.device) -> tuple[Tensor, LinearPhysics]:
    """The measurement (B, C, h, w), white is 1, and its forward model: blur, reduction, missing pixels.

    :param batch: any two are alike.
    :param int factor: of the reduction; 1: none.
    """
    y = torch.cat([measured.image() for measured in batch]).to(device)
    channels, height, width = y.shape[1:]
    first = batch[0]
    physics: LinearPhysics
    if isinstance(first.kernel, VaryingKernel):
        physics = first.kernel.physics(device=device)
    elif first.kernel is not None and first.kernel.ndim == 3:
        filter = torch.from_numpy(first.kernel).to(device, torch.float32)[None]
        physics = Blur(filter=filter, padding="valid", device=device)
    else:
        img_size = (channels, height * factor, width * factor)
        physics = degradation(first.kernel, factor, img_size=img_size, device=device)
    if first.known is None:
        return y, physics
    mask = torch.from_numpy(first.known).to(device, torch.float32).expand(1, channels, -1, -1)
    known = Inpainting(img_size=(channels, height, width), mask=mask, device=device)
    y = known.A(y)  # the values of missing pixels in the file are no measurement
    if first.kernel is None and factor == 1:
        return y, known
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the product has no closed proximal step
        return y, known * physics
