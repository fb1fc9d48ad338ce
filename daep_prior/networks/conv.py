"""The paper's denoising autoencoder: a chain of 20 convolutions with 64 channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from daep_prior.images import RGB
from daep_prior.networks.dae import DAE, start_near_identity

__all__ = ["ConvDAE"]


class ConvDAE(DAE):
    """The paper's DAE (section 4): a chain of 3 x 3 convolutions and ReLUs, batch normalisation in all but the first
    and the last, residual output; the architecture of DnCNN.

    :param float sigma: noise standard deviation it is trained for.
    :param int depth: number of convolutions, the paper's 20.
    :param int width: channels, the paper's 64.
    :param bool batch_norm: with normalisation, as the paper trains it, or the same chain without. Without, the inner
        convolutions start near the identity, which lets the chain learn like a residual network; trained by Muon it
        learns much faster than with normalisation. The folded form is the same for both.
    :param tuple sigma_range: for a noise-conditional variant.
    """

    architecture = "conv"

    def __init__(
        self,
        sigma: float | None = 25 / 255,
        depth: int = 20,
        width: int = 64,
        batch_norm: bool = True,
        sigma_range: tuple[float, float] | None = None,
    ):
        super().__init__(sigma, sigma_range)
        if depth < 2 or width < 1:
            raise ValueError(f"depth, width: got {depth}, {width}; expected at least 2 and 1.")
        self.depth, self.width, self.batch_norm = depth, width, batch_norm
        layers: list[nn.Module] = [nn.Conv2d(RGB + self.conditional, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
        layers.append(nn.Conv2d(width, RGB, 3, padding=1))
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if not batch_norm:
            _start_as_residual_blocks(self.body[1:-1])
        start_near_identity(self.body[-1])

    @property
    def radius(self) -> int:
        """One pixel a convolution."""
        return self.depth

    def config(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "sigma": self.sigma,
            "depth": self.depth,
            "width": self.width,
            "batch_norm": self.batch_norm,
            "sigma_range": self.sigma_range,
        }

    def fold(self) -> ConvDAE:
        """The same network with each normalisation folded into the convolution before it (equal to 1e-5)."""
        arguments = {key: value for key, value in self.config().items() if key != "architecture"}
        arguments["batch_norm"] = False
        with torch.device("meta"):  # every tensor is set below; drawing random ones would disturb the user's seed
            folded = ConvDAE(**arguments)
        source = list(self.body.children())
        targets = [layer for layer in folded.body.children() if isinstance(layer, nn.Conv2d)]
        for i, layer in enumerate(source):
            if not isinstance(layer, nn.Conv2d):
                continue
            weight = layer.weight.detach().double()
            bias = torch.zeros(weight.shape[0]) if layer.bias is None else layer.bias.detach()
            bias = bias.double().to(weight.device)
            norm = source[i + 1] if i + 1 < len(source) else None
            if isinstance(norm, nn.BatchNorm2d):
                scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
                weight = weight * scale.reshape(-1, 1, 1, 1)
                bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()  # type: ignore[union-attr]
            target = targets.pop(0)
            target.weight = nn.Parameter(weight.to(layer.weight.dtype))
            target.bias = nn.Parameter(bias.to(layer.weight.dtype))
        folded.compute_dtype = self.compute_dtype
        return folded.eval().requires_grad_(False)


def _start_as_residual_blocks(layers: nn.Module) -> None:
    """Start each inner convolution as the identity plus a tenth of a random kernel.

    Features are not negative after a ReLU, so ``relu(x + k * x)`` passes them on: a residual block, whose sum is part
    of the kernel.
    """
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            identity = torch.empty_like(layer.weight)
            nn.init.dirac_(identity)
            with torch.no_grad():
                layer.weight.mul_(0.1).add_(identity)
