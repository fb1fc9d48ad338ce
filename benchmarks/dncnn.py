"""The DnCNN authors' networks as deepinv denoisers; their weights are in the data folder, ``peers/``."""

from __future__ import annotations

from pathlib import Path

import torch
from deepinv.models.base import Denoiser
from safetensors.torch import load_file
from torch import Tensor, nn


class DnCNN(Denoiser):
    """A plain chain of 3 x 3 convolutions and ReLUs from ``conv{i}.weight`` and ``conv{i}.bias``.

    ``fdncnn_color`` takes the noise level as a fourth channel and returns the clean image; ``cdncnn_sigma25`` returns
    the noise.

    :param Path path: ``.safetensors`` file.
    """

    def __init__(self, path: Path):
        super().__init__()
        weights = load_file(path)
        depth = sum(name.endswith(".weight") for name in weights)
        layers: list[nn.Module] = []
        for i in range(depth):
            out, inside = weights[f"conv{i}.weight"].shape[:2]
            layer = nn.Conv2d(inside, out, 3, padding=1)
            layer.load_state_dict({k: weights[f"conv{i}.{k}"] for k in ("weight", "bias")})
            layers += [layer, nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.conditional = layers[0].in_channels == 4
        self.in_channels = 3

    def forward(self, x: Tensor, sigma: float | Tensor, **kwargs: object) -> Tensor:
        """Denoise (B, 3, H, W) in [0, 1]."""
        if not self.conditional:
            return x - self.body(x)
        level = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1, 1, 1).expand(x.shape[0], 1, *x.shape[2:])
        clean: Tensor = self.body(torch.cat([x, level], 1))
        return clean
