"""The paper's network in the plainest form, to compare the running time with."""

from __future__ import annotations

from typing import Any

import torch
from deepinv.models.base import Denoiser
from torch import Tensor, nn

from daep_prior import load_dae
from daep_prior.networks import ConvDAE
from timing.race import WIDTH


class PlainPort(Denoiser):
    """A network of the paper's architecture in float32, contiguous layout, with normalisation as layers.

    The shipped network has no normalisation. The layers added here change the time only, not the result.
    """

    def __init__(self, name: str, device: torch.device):
        super().__init__()
        self.body = ConvDAE(sigma=WIDTH).eval().requires_grad_(False).body
        folded = (layer for layer in load_dae(name).body if isinstance(layer, nn.Conv2d))
        layers = list(self.body)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.Conv2d):
                source = next(folded)
                layer.weight.copy_(source.weight)
                if isinstance(following, nn.BatchNorm2d):
                    following.bias.copy_(source.bias)
                    following.running_var.fill_(1 - following.eps)
                else:
                    layer.bias.copy_(source.bias)
        self.body.to(device)
        self.sigma, self.in_channels = WIDTH, 3

    def forward(self, x: Tensor, sigma: Any = None, **kwargs: object) -> Tensor:
        """Denoise (B, 3, H, W)."""
        out: Tensor = x + self.body(x)
        return out
