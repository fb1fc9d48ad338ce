"""``Measurement``: a photograph as the solver gets it, and its result as a photograph again."""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from daep_cli.kernels.reading import Kernel
from daep_cli.masks import Mask
from daep_cli.photographs.changed_metadata import enlarged
from daep_cli.photographs.metadata import NOTHING
from daep_cli.photographs.photo import Array, Photo
from daep_cli.photographs.tensors import centre, to_pixels, to_tensor
from daep_cli.photographs.tone_curves import ToneCurve
from daep_cli.photographs.transparency import resized_alpha, with_hidden, without_hidden
from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.noise_estimation.jpeg import jpeg_level


class Measurement(NamedTuple):
    """A photograph, and what is known about it.

    :param Photo photo: with its range.
    :param noise: where white is 1, of the values, or of the light if there is a ``curve``: a level, or that of a
        sensor; ``"estimate"``: the solver estimates it.
    :param known: which pixels are known, (H, W); ``None``: all.
    :param kernel: (h, w), or (C, h, w) for one a channel, or one that varies over the image; ``None``: no blur.
    :param blur: what is said of a kernel that was found in the photograph.
    :param checked: the noise has been compared with the photograph, or was found in it; it is not checked again.
    :param curve: it is restored in amounts of light by this tone curve; ``None``: in its values.
    """

    photo: Photo
    noise: float | str | SignalNoise
    known: Mask | None = None
    kernel: Kernel | VaryingKernel | None = None
    curve: ToneCurve | None = None
    blur: str = ""
    checked: bool = False

    @property
    def bounds(self) -> tuple[float, None] | Literal["found"]:
        """Limits of the result. Amounts of light may exceed the largest that was measured, as a sharpened star does."""
        counts = isinstance(self.noise, SignalNoise) and self.curve is None
        return (0.0, None) if counts or self.photo.linear else "found"

    def exact_where_known(self, factor: int) -> bool:
        """Whether the known pixels keep their values: there is neither noise nor blur, and nothing is enlarged."""
        return self.noise == 0 and self.kernel is None and factor == 1

    def image(self) -> Tensor:
        """The measured image (1, C, H, W)."""
        x = to_tensor(without_hidden(self.photo))
        if self.curve is None:
            return x
        return torch.from_numpy(self.curve.light(x.double().numpy()).astype(np.float32))

    def jpeg_level(self) -> float | None:
        """Level of the values, white is 1, that covers what JPEG has done to them; ``None``: that does not show."""
        return jpeg_level(to_tensor(without_hidden(self.photo)))

    def result(self, x: Tensor, factor: int) -> Photo:
        """The restored image (1, C, H, W) as a photograph of the type of its source, enlarged ``factor`` times."""
        source = self.photo
        if self.kernel is not None:
            width, height = source.size
            x = centre(x, x[..., : factor * height, : factor * width])
        if self.curve is not None:
            x = torch.from_numpy(self.curve.values(x.double().cpu().numpy()))
        colour = to_pixels(x, source.colour.dtype, (source.black, source.white))
        if self.exact_where_known(factor):
            known = np.ones(colour.shape[:2], bool) if self.known is None else self.known
            colour = np.where(known[..., None], source.colour, colour)
        height, width = colour.shape[:2]
        alpha = None if source.alpha is None else resized_alpha(source.alpha, height, width)
        return self.finished(colour, alpha, factor)

    def finished(self, colour: Array, alpha: Array | None, factor: int) -> Photo:
        """The photograph of restored colours (H, W, C), with what its source says."""
        source, (height, width) = self.photo, colour.shape[:2]
        metadata = source.metadata if factor == 1 else enlarged(source.metadata, width, height, factor)
        photo = replace(source, colour=colour, alpha=alpha, metadata=metadata, missing=None)
        return with_hidden(photo, source)

    @property
    def nothing_known(self) -> bool:
        """Whether no pixel is known, as in a page or a block without values."""
        return self.known is not None and not self.known.any()

    def as_it_is(self, factor: int) -> Photo:
        """The photograph without a restoration, each pixel repeated ``factor`` times in height and width."""

        def repeated(values: Array | None) -> Any:
            return values if values is None else values.repeat(factor, 0).repeat(factor, 1)

        photo = self.photo
        result = self.finished(repeated(photo.colour), repeated(photo.alpha), factor)
        return replace(result, missing=repeated(photo.missing))

    def part(self, rows: slice, columns: slice) -> "Measurement":
        """A part of the photograph, without its metadata."""
        photo = self.photo
        alpha = None if photo.alpha is None else photo.alpha[rows, columns]
        missing = None if photo.missing is None else photo.missing[rows, columns]
        span = (photo.black, photo.white)
        cut = replace(
            photo, colour=photo.colour[rows, columns], alpha=alpha, missing=missing, range=span, metadata=NOTHING
        )
        return self._replace(photo=cut, known=None if self.known is None else self.known[rows, columns])

    def middle(self, side: int) -> "Measurement":
        """The middle of the photograph, of at most ``side`` pixels in height and width."""
        starts = [max(0, (n - side) // 2) for n in self.photo.colour.shape[:2]]
        return self.part(*(slice(start, start + side) for start in starts))

    def alike(self, other: "Measurement") -> bool:
        """Whether two photographs can be restored in one batch."""
        return (
            self.photo.colour.shape == other.photo.colour.shape
            and (self.noise is other.noise or self.noise == other.noise)
            and self.bounds == other.bounds
            and _equal(self.known, other.known)
            and _equal(self.kernel, other.kernel)
        )


def _equal(a: Kernel | VaryingKernel | Mask | None, b: Kernel | VaryingKernel | Mask | None) -> bool:
    return a is b or (isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b))
