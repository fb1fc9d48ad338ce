"""The paper's denoising autoencoder: a chain of 20 convolutions with 64 channels."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from daep_prior.images import RGB
from daep_prior.networks.dae import DAE, start_near_identity

__all__ = ["ConvDAE"]


class ConvDAE(DAE):
    """The paper's DAE (section 4), the architecture of DnCNN: a chain of 3 x 3 convolutions and ReLUs with a residual
    output. All but the first and the last convolution are followed by batch normalisation.

    :param float sigma: noise standard deviation it is trained for.
    :param int depth: number of convolutions, the paper's 20.
    :param int width: channels, the paper's 64.
    :param bool batch_norm: with batch normalisation, as in the paper. Without it, the inner convolutions start near the
        identity, and the chain learns like a residual network. Trained by Muon, the chain without normalisation learns
        much faster. The folded form is the same for both.
    :param tuple sigma_range: noise levels of a noise-conditional variant.
    :param int channels: of the images: 3 for colour, 1 for grey, or any other number.
    """

    architecture = "conv"

    def __init__(
        self,
        sigma: float | None = 25 / 255,
        depth: int = 20,
        width: int = 64,
        batch_norm: bool = True,
        sigma_range: tuple[float, float] | None = None,
        channels: int = RGB,
    ):
        super().__init__(sigma, sigma_range, channels)
        if depth < 2 or width < 1:
            raise ValueError(f"depth, width: got {depth}, {width}; expected at least 2 and 1.")
        self.depth, self.width, self.batch_norm = depth, width, batch_norm
        layers: list[nn.Module] = [nn.Conv2d(channels + self.conditional, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
        last = nn.Conv2d(width, channels, 3, padding=1)
        self.body = nn.Sequential(*layers, last)
        for layer in _convolutions(self.body):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if not batch_norm:
            for layer in _convolutions(self.body)[1:-1]:
                _start_as_residual_block(layer)
        start_near_identity(last)

    @property
    def radius(self) -> int:
        """One pixel a convolution."""
        return self.depth

    def fold(self) -> ConvDAE:
        """The same network with each normalisation folded into the convolution before it (equal to 1e-5)."""
        folded = copy.deepcopy(self).double().eval()
        layers: list[Any] = []
        for layer in folded.body.children():
            if isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
            else:
                layers.append(layer)
        folded.body, folded.batch_norm = nn.Sequential(*layers), False
        return folded.to(next(self.parameters()).dtype).requires_grad_(False)


def _convolutions(body: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in body.children() if isinstance(layer, nn.Conv2d)]


def _start_as_residual_block(layer: nn.Conv2d) -> None:
    """Set the kernel to the identity plus a tenth of its random values ``k``.

    Features are not negative after a ReLU, so ``relu(x + k * x / 10)`` passes them on like a residual block.
    """
    identity = torch.empty_like(layer.weight)
    nn.init.dirac_(identity)
    with torch.no_grad():
        layer.weight.mul_(0.1).add_(identity)
