"""Circular convolution with a small kernel, and image gradients, by Fourier transforms."""

import torch
import torch.nn.functional as F
from torch import Tensor


def transfer(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Fourier transform (``rfft2``) of a kernel whose centre lies at the origin.

    :param torch.Tensor kernel: (h, w), odd sides.
    :param tuple size: height and width of the images.
    :return: (H, W // 2 + 1), complex.
    """
    height, width = kernel.shape
    padded = F.pad(kernel, (0, size[1] - width, 0, size[0] - height))
    return torch.fft.rfft2(padded.roll((-(height // 2), -(width // 2)), (-2, -1)))


def convolved(transform: Tensor, image: Tensor) -> Tensor:
    """The circular convolution of ``image`` (..., H, W) with the kernel of that ``transform``."""
    return torch.fft.irfft2(transform * torch.fft.rfft2(image), s=image.shape[-2:])


def central(transform: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """The values around the origin, (..., side, side), of the periodic images (..., H, W) with that ``transform``."""
    image = torch.fft.irfft2(transform, s=size)
    return image.roll((side // 2, side // 2), (-2, -1))[..., :side, :side]


def gradients(image: Tensor) -> Tensor:
    """Differences to the pixel on the left and to the pixel above, (N, 2, H, W), of images (N, 1, H, W).

    Across the seam of the periodic domain they are 0: the edge there is none of the image.
    """
    across, down = image - image.roll(1, -1), image - image.roll(1, -2)
    across[..., 0], down[..., 0, :] = 0, 0
    return torch.cat([across, down], 1)


def known_gradients(known: Tensor) -> Tensor:
    """1 where both pixels of a difference are known, (1, 2, H, W); ``known`` is 1 at known pixels, (1, 1, H, W)."""
    return torch.cat([known * known.roll(1, -1), known * known.roll(1, -2)], 1)
