"""The images in which a network sees an array, with their noise level; and the array of its output."""

from dataclasses import dataclass, replace

from torch import Tensor

from daep_prior.channel_transform import ChannelTransform, phase_channels, principal_channels
from daep_prior.images import mirrored, replicate, replicated_level
from daep_prior.noise_fields import NoiseSource
from daep_prior.partition import IMAGE, VOLUME, Partition

__all__ = ["NetworkInput", "fitting_channels", "network_input"]


@dataclass(frozen=True)
class NetworkInput:
    """The images that a network sees of an array.

    :param torch.Tensor images: (B * count, channels, H, W).
    :param float, torch.Tensor level: the noise level that the network gets; one, or one an image.
    :param Partition parts: how the array is split.
    :param ChannelTransform transform: of its channels before; ``None``: none.
    :param int flip: how the images are mirrored; see :func:`daep_prior.images.mirrored`.
    """

    images: Tensor
    level: float | Tensor
    parts: Partition
    transform: ChannelTransform | None = None
    flip: int = 0

    def flipped(self, flip: int) -> "NetworkInput":
        """The same, mirrored."""
        return replace(self, images=mirrored(self.images, flip), flip=flip)

    @property
    def replicated(self) -> Tensor:
        """The images as the network sees them, of one channel as several equal ones."""
        return replicate(self.images, self.parts.replicas)

    def noise(self, source: NoiseSource, factor: float = 1.0) -> list[Tensor]:
        """The next standard normal field for the replicated images, times ``factor``; each array has its own stream."""
        template = self.images.new_empty(()).expand(self.parts.noise_shape(self.images))
        fields = [field.reshape(self.replicated.shape) for field in source.draw(template)]
        return fields if factor == 1 else [factor * field for field in fields]

    def value(self, energies: Tensor) -> Tensor:
        """The energy of each array, (B,), from that of each image."""
        total = self.parts.total(energies)
        return total if self.transform is None else self.transform.scale.to(total) ** 2 * total

    def gradient(self, of_images: Tensor) -> Tensor:
        """The gradient of :meth:`value`, in the array's shape, from that of the images' energies."""
        gradient = self.parts.array(mirrored(of_images, self.flip))
        return self.parts.number(gradient if self.transform is None else self.transform.pulled_back(gradient))

    def array(self, replicated: Tensor) -> Tensor:
        """The array of these images."""
        images = replicated.mean(1, keepdim=True) if self.parts.replicas > 1 else replicated
        channels = self.parts.array(mirrored(images, self.flip))
        return self.parts.number(channels if self.transform is None else self.transform.inverse(channels))


def fitting_channels(x: Tensor, parts: Partition) -> ChannelTransform | None:
    """The transform for arrays like ``x``; ``None`` where the network takes all channels together, or there is one.

    Of two channels, as of complex numbers, :func:`phase_channels`; of more, :func:`principal_channels`.
    """
    channels = parts.real(x)
    if parts.channels == channels.shape[1] or x.ndim not in (IMAGE, VOLUME):
        return None
    return phase_channels(channels) if channels.shape[1] == 2 else principal_channels(channels)


def network_input(
    x: Tensor, width: float | Tensor, parts: Partition, transform: ChannelTransform | None, conditional: bool
) -> NetworkInput:
    """What a network sees of ``x``, at the noise level ``width`` in the units of ``x``.

    :param bool conditional: the network reads the level, so that it is that of the replicated images.
    """
    channels, level = parts.real(x), width
    if transform is not None:
        channels, level = transform.forward(channels), transform.level(level)
    if conditional:
        level = replicated_level(parts.level(level), parts.replicas)
    return NetworkInput(parts.images(channels), level, parts, transform)
