"""How another toolkit lays an image out in an array, and the way to (1, C, H, W) and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

__all__ = ["ImageLayout"]


@dataclass(frozen=True)
class ImageLayout:
    """One image as an array of ``shape``.

    :param tuple shape: (H, W) for a grey image; with a channel axis (C, H, W), (H, W, C) or (H, C, W), C = 1 or 3.
    :param int channel_axis: where the channels are in a shape of three; -1 is the last.
    :raises ValueError: not the shape of an image.
    """

    shape: tuple[int, ...]
    channel_axis: int = 0

    def __init__(self, shape: Sequence[int], channel_axis: int = 0):
        sizes = tuple(int(n) for n in shape)
        if len(sizes) not in (2, 3) or min(sizes) < 1:
            raise ValueError(
                f"image shape: got {sizes}; expected (H, W), or three axes of which one contains the channels."
            )
        if len(sizes) == 3 and not -3 <= channel_axis < 3:
            raise ValueError(f"channel_axis: got {channel_axis}; expected -3 to 2 for the shape {sizes}.")
        if len(sizes) == 3 and sizes[channel_axis] not in (1, 3):
            raise ValueError(
                f"channel_axis: got {channel_axis}, where the shape {sizes} has {sizes[channel_axis]} channels; "
                "expected the axis that has 1 or 3."
            )
        object.__setattr__(self, "shape", sizes)
        object.__setattr__(self, "channel_axis", channel_axis)

    def to_batch(self, x: Tensor, name: str = "x") -> Tensor:
        """``x``, of this shape or flattened, as images (1, C, H, W); a view.

        :param str name: of ``x`` in the message.
        :raises ValueError: another number of pixels, or not floating-point.
        """
        size = self.shape[0] * self.shape[1] * (self.shape[2] if len(self.shape) == 3 else 1)
        if x.numel() != size or x.ndim not in (1, len(self.shape)) or (x.ndim > 1 and tuple(x.shape) != self.shape):
            raise ValueError(f"{name}: got shape {tuple(x.shape)}; expected {self.shape}, or flattened {(size,)}.")
        if not x.is_floating_point():
            raise ValueError(f"{name}: got type {x.dtype}; expected a real floating-point image in [0, 1].")
        image = x.reshape(self.shape)
        return (image[None] if len(self.shape) == 2 else image.movedim(self.channel_axis, 0))[None]

    def from_batch(self, x: Tensor) -> Tensor:
        """Images (1, C, H, W) as one contiguous array of this shape."""
        image = x[0, 0] if len(self.shape) == 2 else x[0].movedim(0, self.channel_axis)
        return image.contiguous()
