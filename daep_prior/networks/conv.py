"""The paper's denoising autoencoder: a chain of 20 convolutions with 64 channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
        last = nn.Conv2d(width, RGB, 3, padding=1)
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
        with torch.device("meta"):  # every tensor is set below; random ones would change the user's random state
            folded = ConvDAE(self.sigma, self.depth, self.width, False, self.sigma_range)
        layers = list(self.body.children())
        targets = iter(_convolutions(folded.body))
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, nn.Conv2d):
                weight, bias = _folded(layer, following if isinstance(following, nn.BatchNorm2d) else None)
                target = next(targets)
                target.weight = nn.Parameter(weight.to(layer.weight.dtype))
                target.bias = nn.Parameter(bias.to(layer.weight.dtype))
        folded.compute_dtype = self.compute_dtype
        return folded.eval().requires_grad_(False)


def _convolutions(body: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in body.children() if isinstance(layer, nn.Conv2d)]


def _folded(layer: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Weight and bias, in float64, of ``layer`` followed by ``norm``."""
    weight = layer.weight.detach().double()
    bias = weight.new_zeros(weight.shape[0]) if layer.bias is None else layer.bias.detach().double()
    if norm is not None:
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = weight * scale.reshape(-1, 1, 1, 1)
        bias = (bias - norm.running_mean.double()) * scale + norm.bias.detach().double()
    return weight, bias


def _start_as_residual_block(layer: nn.Conv2d) -> None:
    """Set the kernel to the identity plus a tenth of its random values ``k``.

    Features are not negative after a ReLU, so ``relu(x + k * x / 10)`` passes them on like a residual block.
    """
    identity = torch.empty_like(layer.weight)
    nn.init.dirac_(identity)
    with torch.no_grad():
        layer.weight.mul_(0.1).add_(identity)
