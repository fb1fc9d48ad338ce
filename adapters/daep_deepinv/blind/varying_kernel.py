"""``VaryingKernel``: the blur kernels of a grid of regions, and the blur that they are together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from deepinv.physics import NoiseModel, TiledSpaceVaryingBlur
from torch import Tensor


@dataclass(frozen=True, eq=False)
class VaryingKernel:
    """Kernels that vary over a photograph; between the centres of the regions they are interpolated linearly.

    :param torch.Tensor kernels: (rows, columns, n, n), n odd; each not negative, with sum 1.
    :param torch.Tensor trusted: (rows, columns), bool; the others are means of their neighbours.
    :param tuple shape: height and width of the photograph.
    """

    kernels: Tensor
    trusted: Tensor
    shape: tuple[int, int]

    @property
    def stride(self) -> tuple[int, int]:
        """Distance of two centres down and across, pixels; a region has twice this height and width."""
        side = self.kernels.shape[-1]
        (rows, columns), (height, width) = self.kernels.shape[:2], self.shape
        return -(-(height + side - 1) // (rows + 1)), -(-(width + side - 1) // (columns + 1))

    @property
    def centres(self) -> Tensor:
        """Where the kernels stand: row and column in the photograph, (rows, columns, 2)."""
        margin = self.kernels.shape[-1] // 2
        down, across = (
            step * torch.arange(1.0, count + 1) - margin - 0.5
            for step, count in zip(self.stride, self.kernels.shape[:2], strict=True)
        )
        return torch.stack(torch.meshgrid(down, across, indexing="ij"), -1)

    def physics(
        self, noise_model: NoiseModel | None = None, device: torch.device | str = "cpu"
    ) -> TiledSpaceVaryingBlur:
        """The blur as deepinv's physics, of images that are larger than the photograph by n - 1 pixels."""
        height, width = self.stride
        return TiledSpaceVaryingBlur(
            filters=self.kernels.flatten(0, 1)[None, None].to(device, torch.float32),
            patch_size=(2 * height, 2 * width),
            stride=(height, width),
            blending_mode="linear",
            device=device,
            **({} if noise_model is None else {"noise_model": noise_model}),
        )


def region_count(side: int, region: int, most: int) -> int:
    """How many overlapping regions of about ``region`` pixels, at half that distance, cover ``side`` pixels."""
    return max(1, min(most, round(2 * side / region) - 1))
