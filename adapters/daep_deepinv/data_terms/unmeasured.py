"""The values of a circular blur that are not measured: the border of a ``valid`` blur, and values that are not used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Border", "Masked", "Unmeasured"]


class Unmeasured(Protocol):
    """Unmeasured values of (B, C, H, W)."""

    def of(self, v: Tensor) -> Tensor:
        """These values of (B, C, H, W)."""

    def embed(self, values: Tensor) -> Tensor:
        """An image (B, C, H, W) of these values that is zero at the measured ones."""

    def count(self) -> int | Tensor:
        """Their number in each image."""

    def in_areas(self, border: Border, y: Tensor) -> Tensor:
        """Whether most of those beside the ``border`` are in areas, not scattered, or there are none; for each
        measurement of (B, C, h, w), (B,)."""


@dataclass(frozen=True)
class Border:
    """The rows above and the columns left of the measured values, kept in a row, (B, C, n)."""

    top: int
    left: int
    size: tuple[int, int]
    channels: int

    def of(self, v: Tensor) -> Tensor:
        """See :class:`Unmeasured`."""
        return torch.cat([v[..., : self.top, :].flatten(2), v[..., self.top :, : self.left].flatten(2)], 2)

    def embed(self, values: Tensor) -> Tensor:
        """See :class:`Unmeasured`."""
        height, width = self.size
        above, beside = values.split([self.top * width, (height - self.top) * self.left], 2)
        image = values.new_zeros((*values.shape[:2], height, width))
        image[..., : self.top, :] = above.unflatten(2, (self.top, width))
        image[..., self.top :, : self.left] = beside.unflatten(2, (height - self.top, self.left))
        return image

    def count(self) -> int:
        """See :class:`Unmeasured`."""
        height, width = self.size
        return self.channels * (self.top * width + (height - self.top) * self.left)

    def in_areas(self, border: Border, y: Tensor) -> Tensor:
        """See :class:`Unmeasured`."""
        return torch.ones(len(y), dtype=torch.bool, device=y.device)


@dataclass(frozen=True)
class Masked:
    """Any values, kept in an image that is zero elsewhere.

    :param torch.Tensor mask: 1 where a value is not measured, (B, C, H, W).
    """

    mask: Tensor

    def of(self, v: Tensor) -> Tensor:
        """See :class:`Unmeasured`."""
        return self.mask * v

    def embed(self, values: Tensor) -> Tensor:
        """See :class:`Unmeasured`."""
        return values

    def count(self) -> Tensor:
        """See :class:`Unmeasured`."""
        return self.mask.flatten(1).sum(1)

    def in_areas(self, border: Border, y: Tensor) -> Tensor:
        """See :class:`Unmeasured`: of at least half, the neighbours on the right and below are not measured either."""
        mask = self.mask[..., border.top :, border.left :]
        inner = mask[..., :-1, :-1] * mask[..., 1:, :-1] * mask[..., :-1, 1:]
        return inner.flatten(1).sum(1) >= 0.5 * mask.flatten(1).sum(1)
