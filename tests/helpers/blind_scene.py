"""A scene with edges in all directions, for the tests of blind deblurring."""

import torch
from deepinv.physics import Blur
from torch import Tensor


def discs() -> Tensor:
    """Overlapping discs in grey, (1, 1, 112, 112)."""
    rows, columns = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")
    generator = torch.Generator().manual_seed(3)
    x = torch.full((112, 112), 0.5)
    for _ in range(40):
        top, left, radius, value = torch.rand(4, generator=generator).tolist()
        inside = (rows - 112 * top) ** 2 + (columns - 112 * left) ** 2 < (4 + 14 * radius) ** 2
        x = torch.where(inside, value, x)
    return x[None, None]


def measured(x: Tensor, kernel: Tensor, noise: float = 0.005) -> Tensor:
    """The photograph of ``x`` under a blur with valid borders, with noise of a fixed seed."""
    y = Blur(kernel[None, None], padding="valid").A(x)
    return (y + noise * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def oracle(x: Tensor, width: float) -> Tensor:
    """A denoiser that returns the sharp scene. Its size is that of the finest scale, with the border."""
    return discs()
