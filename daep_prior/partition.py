"""Arrays of any number of channels, complex numbers and volumes, split into the images that a network takes.

The images of an array are restored as one batch. Splitting only reorders its numbers. So the energy of the array is the
sum of the energies of its images, and white noise remains white.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DEFAULT_PLANE", "IMAGE", "VOLUME", "Partition", "as_complex", "as_real", "check_plane", "partition_of"]

#: Axes of the image plane: height and width.
DEFAULT_PLANE = (-2, -1)
#: Dimensions of images (B, C, H, W), and of volumes or sequences (B, C, D, H, W).
IMAGE, VOLUME = 4, 5
#: Spatial axes of a volume, for a network that takes volumes.
WHOLE_VOLUME = (-3, -2, -1)


@dataclass(frozen=True)
class Partition:
    """How an array is split into the images (B * count, channels, ...) of a network, and joined again.

    :param tuple shape: of the array, (B, C, H, W) or (B, C, D, H, W).
    :param bool is_complex: its numbers are complex. Real and imaginary parts are then channels: first all real ones.
    :param int channels: of an image.
    :param int replicas: equal channels in which the network sees an image of one channel.
    :param tuple seen: axes of the array that an image has, counted from the end: height and width, or all three of a
        volume. ``None``: the array is shown as it is.
    """

    shape: tuple[int, ...]
    is_complex: bool = False
    channels: int = 1
    replicas: int = 1
    seen: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """Images of one array."""
        return 1 if self.seen is None else self._groups * self.slices

    @property
    def slices(self) -> int:
        """Slices of one array; 1 for an image."""
        return math.prod(self._others)

    @property
    def _groups(self) -> int:
        """Images of one slice."""
        return (2 if self.is_complex else 1) * self.shape[1] // self.channels

    @property
    def _others(self) -> list[int]:
        """Lengths of the axes that an image does not have."""
        size = len(self.shape)
        return [] if self.seen is None else [self.shape[i] for i in range(2, size) if i - size not in self.seen]

    @property
    def _as_it_is(self) -> bool:
        return self.seen is None or (self.count == 1 and self.seen == tuple(range(2 - len(self.shape), 0)))

    def real(self, x: Tensor) -> Tensor:
        """``x`` in real channels: of complex numbers first all real parts, then all imaginary ones."""
        return as_real(x) if self.is_complex else x

    def number(self, x: Tensor) -> Tensor:
        """The inverse of :meth:`real`."""
        return as_complex(x) if self.is_complex else x

    def images(self, x: Tensor) -> Tensor:
        """The images of real channels (B, C, ...), those of one array together: (B * count, channels, ...)."""
        if self._as_it_is:
            return x
        parts = x.reshape(x.shape[0], self._groups, self.channels, *x.shape[2:])
        return parts.permute(self._order()).flatten(0, 1 + len(self._others))

    def array(self, images: Tensor) -> Tensor:
        """The real channels of the images; the inverse of :meth:`images`."""
        if self._as_it_is:
            return images
        batch, order = images.shape[0] // self.count, self._order()
        parts = images.reshape(batch, self._groups, *self._others, *images.shape[1:])
        parts = parts.permute([order.index(i) for i in range(len(order))])
        return parts.reshape(batch, self._groups * self.channels, *self.shape[2:])

    def level(self, sigma: float | Tensor) -> float | Tensor:
        """A noise level an array as one an image; a single one remains single."""
        if isinstance(sigma, Tensor) and sigma.numel() == self.shape[0] > 1 and self.count > 1:
            return sigma.reshape(-1).repeat_interleave(self.count)
        return sigma

    def total(self, values: Tensor) -> Tensor:
        """The sum over the images of each array, (B,), of one value an image."""
        return values if self.count == 1 else values.reshape(-1, self.count).sum(1)

    def noise_shape(self, images: Tensor) -> tuple[int, ...]:
        """The shape in which the noise of ``images`` is drawn: the arrays first, so that each has its own stream."""
        return (images.shape[0] // self.count, self.count * images.shape[1] * self.replicas, *images.shape[2:])

    def _order(self) -> list[int]:
        """Axes of (B, groups, channels, ...) in the order (B, groups, other axes, channels, seen axes)."""
        assert self.seen is not None
        size = len(self.shape) + 1
        seen = [axis + size for axis in self.seen]
        return [0, 1, *(i for i in range(3, size) if i not in seen), 2, *seen]

    def __str__(self) -> str:
        words = ["real and imaginary part as channels"] if self.is_complex else []
        if self._groups > 1:
            alone = self.channels == 1
            words.append("each channel as a grey image" if alone else f"{self.channels} channels at a time")
        if self._others:
            words.append(f"in {self.slices} slices along the axes {self.seen}")
        return ", ".join(words) or "as it is"


def partition_of(
    x: Tensor,
    takes: tuple[int, ...] | None,
    plane: tuple[int, int] = DEFAULT_PLANE,
    volumes: bool = False,
) -> Partition:
    """The images in which a network sees an array.

    The network sees all channels at once if it takes so many; real and imaginary parts count as channels. Else it sees
    real and imaginary part as two images, if it takes the channels of each. Else it sees each channel as a grey image.

    :param torch.Tensor x: (B, C, H, W), or (B, C, D, H, W): a volume, or a sequence of D images.
    :param tuple takes: numbers of channels that the network takes; ``None``: unknown, it gets the channels as they are.
    :param tuple plane: the two axes of a volume that are height and width of its slices, counted from the end.
    :param bool volumes: the network takes volumes, which then remain whole.
    :raises ValueError: ``x`` is neither, and the network states its channels; or ``x`` has no such plane.
    """
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.is_complex()):
        got = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"x: got {got}; expected a torch.Tensor of real or complex numbers.")
    shape, is_complex = tuple(x.shape), x.is_complex()
    if x.ndim not in (IMAGE, VOLUME):
        if takes is None and not is_complex:
            return Partition(shape)
        raise ValueError(f"x: got shape {shape}; expected images (B, C, H, W) or volumes (B, C, D, H, W).")
    if 0 in shape[1:]:
        raise ValueError(f"x: got shape {shape}, which contains no pixel.")
    if min(plane) < 2 - x.ndim:
        raise ValueError(f"axes: got {plane} for an array of shape {shape}; expected two of its last {x.ndim - 2}.")
    total = shape[1] * (2 if is_complex else 1)
    if takes is None:
        channels = shape[1]
    else:
        channels = next((count for count in (total, shape[1]) if count in takes), 1)
    replicas = 1 if takes is None or channels in takes else max(takes)
    seen = WHOLE_VOLUME if volumes and x.ndim == VOLUME else plane
    return Partition(shape, is_complex, channels, replicas, seen)


def as_real(x: Tensor) -> Tensor:
    """(B, C, ...) -> (B, 2 C, ...): first all real parts, then all imaginary ones."""
    return torch.cat([x.real, x.imag], 1)


def as_complex(x: Tensor) -> Tensor:
    """(B, 2 C, ...) -> (B, C, ...), the inverse of :func:`as_real`."""
    real, imaginary = x.chunk(2, 1)
    return torch.complex(real.contiguous(), imaginary.contiguous())


def check_plane(axes: tuple[int, int]) -> None:
    """Refuse anything but two different axes among the last three.

    :raises ValueError: with what is expected.
    """
    pair = isinstance(axes, (tuple, list)) and len(axes) == 2 and axes[0] != axes[1]
    if not pair or not all(isinstance(axis, int) and -3 <= axis <= -1 for axis in axes):
        raise ValueError(f"axes: got {axes}; expected two of -3, -2 and -1, height and width of a slice.")
