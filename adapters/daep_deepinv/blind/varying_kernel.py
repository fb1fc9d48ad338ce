"""``VaryingKernel``: the blur kernels of a grid of regions, and the blur that they are together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from deepinv.physics import NoiseModel, TiledSpaceVaryingBlur
from torch import Tensor

from daep_prior.blind import similarity

#: Error of a blur that is joined from kernels of regions, images in [0, 1], over the mean square difference of
#: neighbours, ``||a / ||a|| - b / ||b||||^2``. Two training photographs, noise of 2.55/255: under a rotation, with a
#: difference of 0.25, levels of 2.55, 6, 10 and 16/255 restored 22.9, 23.8, 24.2 and 24.3 dB; under a lens, with 0.1,
#: levels of 2.55 and 4/255 restored 23.6 and 23.3 dB in grey.
ERROR = 128 / 255
#: The largest error that is assumed: more gained 0.1 dB under the rotation.
LARGEST_ERROR = 10 / 255


@dataclass(frozen=True, eq=False)
class VaryingKernel:
    """Kernels that vary over a photograph; between the centres of the regions they are interpolated linearly.

    :param torch.Tensor kernels: (rows, columns, n, n), n odd; each not negative, with sum 1.
    :param torch.Tensor trusted: (rows, columns), bool; the others are means of their neighbours.
    :param tuple shape: height and width of the photograph.
    :param float known_error: error of the blur, images in [0, 1]; ``None``: see :attr:`error`.
    """

    kernels: Tensor
    trusted: Tensor
    shape: tuple[int, int]
    known_error: float | None = None

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

    @property
    def error(self) -> float:
        """Error of the blur between the centres, images in [0, 1], see :data:`ERROR`; it grows with the difference."""
        if self.known_error is not None:
            return self.known_error
        rows, columns = self.kernels.shape[:2]
        alike = [
            similarity(self.kernels[i, j], self.kernels[i + 1, j]) for i in range(rows - 1) for j in range(columns)
        ]
        alike += [
            similarity(self.kernels[i, j], self.kernels[i, j + 1]) for i in range(rows) for j in range(columns - 1)
        ]
        difference = 2 * sum(max(0.0, 1 - s) for s in alike) / max(1, len(alike))
        return min(LARGEST_ERROR, ERROR * difference)

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


class VaryingBlur(NamedTuple):
    """The blur of one photograph.

    :param VaryingKernel kernel: of one region if the kernels of more are not found.
    :param float confidence: mean over the regions, those that are not trusted with 0; of one region, its own; of the
        poses of a camera, the mean similarity of the kernels of two starts.
    :param str verdict: ``"found"``, or as that of :class:`daep_prior.blind.FoundBlur`.
    """

    kernel: VaryingKernel
    confidence: float
    verdict: str


def region_count(side: int, region: int, most: int) -> int:
    """How many overlapping regions of about ``region`` pixels, at half that distance, cover ``side`` pixels."""
    return max(1, min(most, round(2 * side / region) - 1))
